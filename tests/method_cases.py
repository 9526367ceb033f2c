"""Runs of every method on tiny made-up data, and their comparison bit by bit."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

import spectral_ssl
import spectral_ssl.cli.app
from data_prep.basis import Basis, pixel_basis, zernike_basis
from data_prep.layout import find_valid_cells
from data_prep.maps.reader import open_maps
from data_prep.maps.writer import MapWriter
from downstream.features.store import Features, write_features
from pretext.data.batch import Problem
from pretext.data.standardise import Standardiser
from pretext.method import build_seeded
from pretext.methods.catalogue import METHODS
from pretext.tasks.catalogue import find_task
from pretext.tasks.codes.from_code import FromCodeConfig
from pretext.training.checkpoint import load_checkpoint
from spectral_ssl.ground.config import bare_key, build_config, setting_keys
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.run_folder import read_metrics, read_status

# Small values for settings of these names, whatever method has them: a new method is small without a line here.
TINY = {
    "width": 4, "code": 8, "hidden": 8, "steps": 3, "latent": 4, "projector": 16, "grid": 8, "samples": 2,
    "predictor_steps": 4,
}  # fmt: skip
BASES = {"clouds": zernike_basis(6), "images": pixel_basis(1, 16, 16)}
TRAIN, TEST, POINTS = 40, 8, 32
EPOCHS, BATCH, STEPS = 3, 16, 9
# Settings other than the defaults that have a state of their own, which could be lost when a run is resumed.
MORE = {
    ("cgml", "clouds"): (("schedule=two-stage", "first_stage=4", "decay=cosine"),),
    ("cgml", "images"): (("latent_updates=whole-path", "momentum=0.5"),),
    ("joint-embedding", "images"): (("filters=8",),),
    ("lsc-gan", "images"): (("conditioning=code", "generator_updates=2", "average=0.5"),),
    ("mr-gan", "images"): (("samples=3", "generator_updates=3", "average=0.5"),),
}


@dataclass(frozen=True)
class Case:
    """A method on a kind of data."""

    method: str
    data: str
    more: tuple[str, ...] = ()
    checkpoint_each_step: bool = False  # otherwise at the end of each epoch

    def __str__(self) -> str:
        return "-".join([self.method, self.data, *(text.replace("=", "-") for text in self.more)])

    @property
    def task(self) -> str:
        if self.method == "joint-embedding":
            return {"clouds": "views", "images": "picture-views"}[self.data]
        return METHODS[self.method].task

    @property
    def method_settings(self) -> dict[str, str]:
        known = {bare_key(key) for key in setting_keys(METHODS[self.method].config)}
        tiny = {name: str(value) for name, value in TINY.items() if name in known}
        return tiny | dict(text.split("=", 1) for text in self.more)

    @property
    def settings(self) -> tuple[str, ...]:
        method = (f"method.{name}={value}" for name, value in self.method_settings.items())
        checkpoints = ("checkpoint_minutes=1e-9",) if self.checkpoint_each_step else ()
        return (*method, *checkpoints, f"batch_size={BATCH}", "log_every=2")

    def build(self) -> tuple[Any, Problem]:
        """Build the untrained method, and return it with its problem."""
        task = find_task(self.task)
        config: Any = task.config()
        if isinstance(config, FromCodeConfig) and self.method != "rotation-prediction":
            config = FromCodeConfig(features="some", dimensions=3)
        entry, standardise = METHODS[self.method], _standardiser(BASES[self.data])
        problem = replace(task.problem(standardise.basis, config), standardise=standardise)
        return build_seeded(
            entry.build, 0, build_config(entry.config, self.method_settings, "method"), problem
        ), problem

    @property
    def is_possible(self) -> bool:
        """Whether the method can be built for such data."""
        try:
            self.build()
        except UserError:
            return False
        return True


ONE_CASE = Case("cgml", "clouds")  # for what does not depend on the method


def _standardiser(basis: Basis) -> Standardiser:
    return Standardiser.from_statistics(basis, torch.zeros(basis.shape), torch.ones(basis.shape))


def cases() -> list[Case]:
    """List every method on the data that it works on, with its default settings and with others."""
    plain = [Case(method, data) for method in METHODS for data in BASES]
    plain = [case for case in plain if case.is_possible]
    others = [replace(case, more=more) for case in plain for more in MORE.get((case.method, case.data), ())]
    return [*plain, *others]


def write_data(folder: Path) -> Path:
    """Write the map files of both kinds and a feature file for each into a folder."""
    generator = np.random.default_rng(0)
    count = TRAIN + TEST
    for name, basis in BASES.items():
        clouds = name == "clouds"
        maps = generator.uniform(-1, 1, size=(count, *basis.shape)).astype(np.float32) * find_valid_cells(basis)
        points = generator.normal(size=(count, POINTS, 3))
        points = points / np.linalg.norm(points, axis=2, keepdims=True) * generator.uniform(0.2, 1, (count, POINTS, 1))
        path = folder / f"{name}.h5"
        with MapWriter(
            path, basis, source="made-up", source_digest="0", classes=["a", "b"], count=count, created_by="test",
            keep_points=POINTS if clouds else 0,
        ) as writer:  # fmt: skip
            splits = ["train"] * TRAIN + ["test"] * TEST
            ids, labels = [f"object-{row}" for row in range(count)], (np.arange(count) % 2).tolist()
            writer.append(maps, ids, labels, splits, points.astype(np.float16) if clouds else None)
        made = open_maps(path)
        values = generator.normal(size=(count, 3)).astype(np.float32)
        about = dict.fromkeys(("layer", "pooling", "checkpoint_digest", "config", "basis", "source"), "made-up")
        about["data_digest"] = made.digest
        write_features(
            folder / f"{name}-codes.h5", Features(values, made.ids, made.labels, made.splits, made.classes, about)
        )
    return folder


def start(case: Case, data: Path, out: Path | None, **more: Any) -> None:
    """Train a case from its beginning."""
    features = data / f"{case.data}-codes.h5" if case.method == "lsc-gan" else None
    options = {"epochs": EPOCHS, "seed": 3, "settings": case.settings, **more}
    spectral_ssl.pretrain(
        data / f"{case.data}.h5", method=case.method, task=case.task, features=features, out=out, **options
    )


def command(case: Case, data: Path, out: Path | None) -> list[str]:
    """Make the command line that does what ``start`` does."""
    words = ["pretrain", "--data", str(data / f"{case.data}.h5"), "--method", case.method, "--task", case.task]
    words += ["--features", str(data / f"{case.data}-codes.h5")] if case.method == "lsc-gan" else []
    words += ["--epochs", str(EPOCHS), "--seed", "3", *(part for text in case.settings for part in ("--set", text))]
    return words + (["--out", str(out)] if out else [])


def run_command_line(*words: str) -> None:
    """Run the command line with these words; it raises SystemExit if the status is not 0."""
    sys.argv = ["spectral-ssl", *words]
    spectral_ssl.cli.app.main()


def resume(case: Case, data: Path, out: Path) -> None:
    """Resume the run of a case."""
    spectral_ssl.pretrain(data / f"{case.data}.h5", resume=out)


def leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Iterate over every number, text and tensor of a nested content, with its path."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from leaves(part, f"{name}/{key}")
    elif isinstance(value, list | tuple):
        for index, part in enumerate(value):
            yield from leaves(part, f"{name}/{index}")
    else:
        yield name, value


def rows_of(run: Path) -> list[dict[str, Any]]:
    """Read the metrics without what depends on the clock."""
    rows = read_metrics(run / "metrics.jsonl")
    return [{key: value for key, value in row.items() if key not in ("seconds", "waiting")} for row in rows]


def differences(first: Path, second: Path) -> list[str]:
    """List the names of what differs between two finished runs, bit by bit."""
    contents = [load_checkpoint(run / "checkpoints" / "last.pt") for run in (first, second)]
    one, two = (dict(leaves({key: content[key] for key in ("model", "optimizers", "place")})) for content in contents)
    differing = list(one.keys() ^ two.keys())
    for name in one.keys() & two.keys():
        if name == "/place/seconds":
            continue
        a, b = one[name], two[name]
        if isinstance(a, torch.Tensor):
            same = a.dtype == b.dtype and a.shape == b.shape and _bytes(a) == _bytes(b)
        else:
            same = type(a) is type(b) and a == b
        if not same:
            differing.append(name)
    if rows_of(first) != rows_of(second):
        differing.append(f"metrics {rows_of(first)} {rows_of(second)}")
    states = [read_status(run)["state"] for run in (first, second)]
    if states != ["finished", "finished"]:
        differing.append(f"status {states}")
    differing += [path.name for run in (first, second) for path in run.rglob("*.part")]
    return differing


def _bytes(tensor: torch.Tensor) -> bytes:
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
