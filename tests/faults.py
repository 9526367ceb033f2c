"""Runs of every method on tiny made-up data, and the faults they shall survive. Each runs in a forked child process."""

import errno
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

import pretext.training.checkpoint
import pretext.training.trainer
import spectral_ssl
import spectral_ssl.cli.app
import spectral_ssl.ground.files
import spectral_ssl.verbs.pretrain
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
from pretext.training.batch_step import BatchStep
from pretext.training.checkpoint import load_checkpoint
from spectral_ssl.ground.config import build_config
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.run_folder import read_metrics, read_status

# What settings of these names are, whatever method has them: a new method is small without a line here.
TINY = {
    "width": 4, "code": 8, "hidden": 8, "steps": 3, "latent": 4, "projector": 16, "grid": 8, "samples": 2,
    "predictor_steps": 4,
}  # fmt: skip
BASES = {"clouds": zernike_basis(6), "pictures": pixel_basis(1, 16, 16)}
TRAIN, TEST, POINTS = 40, 8, 32
EPOCHS, BATCH, STEPS = 3, 16, 9
# More of a method than its defaults: what else could be lost between two processes.
MORE = {
    ("cgml", "clouds"): (("schedule=two-stage", "first_stage=4", "decay=cosine"),),
    ("cgml", "pictures"): (("latent_updates=whole-path", "momentum=0.5"),),
    ("joint-embedding", "pictures"): (("filters=8",),),
}


@dataclass(frozen=True)
class Case:
    """A method on a kind of data."""

    method: str
    data: str
    more: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "-".join([self.method, self.data, *(text.replace("=", "-") for text in self.more)])

    @property
    def task(self) -> str:
        if self.method == "joint-embedding":
            return {"clouds": "views", "pictures": "picture-views"}[self.data]
        return METHODS[self.method].task

    @property
    def settings(self) -> tuple[str, ...]:
        known = {field.name for field in fields(METHODS[self.method].config)}
        tiny = (f"method.{name}={value}" for name, value in TINY.items() if name in known)
        return (*tiny, *self.more, f"batch_size={BATCH}", "log_every=2")

    def build(self) -> tuple[Any, Problem]:
        """Build the untrained method, and return it with its problem."""
        task = find_task(self.task)
        config: Any = task.config()
        if isinstance(config, FromCodeConfig) and self.method != "rotation-prediction":
            config = FromCodeConfig(features="some", dimensions=3)
        values = dict(text.removeprefix("method.").split("=", 1) for text in self.settings[: -2 or None])
        entry, standardise = METHODS[self.method], _standardiser(BASES[self.data])
        problem = replace(task.problem(standardise.basis, config), standardise=standardise)
        return build_seeded(entry.build, 0, build_config(entry.config, values, "method"), problem), problem

    @property
    def fits(self) -> bool:
        """Whether the method can be built for such data."""
        try:
            self.build()
        except UserError:
            return False
        return True


def with_checkpoints_inside_epochs(case: Case) -> Case:
    """The same run with a checkpoint after each step."""
    return Case(case.method, case.data, (*case.more, "checkpoint_minutes=1e-9"))


def _standardiser(basis: Basis) -> Standardiser:
    return Standardiser.from_statistics(basis, torch.zeros(basis.shape), torch.ones(basis.shape))


def cases() -> list[Case]:
    """Every method on whatever data it works on."""
    found = [
        Case(method, data, more) for method in METHODS for data in BASES for more in ((), *MORE.get((method, data), ()))
    ]
    return [case for case in found if case.fits]


def write_data(folder: Path) -> Path:
    """A folder with the map files of both kinds and a feature file for each."""
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
    given = {"epochs": EPOCHS, "seed": 3, "settings": case.settings, **more}
    spectral_ssl.pretrain(
        data / f"{case.data}.h5", method=case.method, task=case.task, features=features, out=out, **given
    )


def command(case: Case, data: Path, out: Path | None) -> list[str]:
    """What a user would type for ``start``."""
    given = ["pretrain", "--data", str(data / f"{case.data}.h5"), "--method", case.method, "--task", case.task]
    given += ["--features", str(data / f"{case.data}-codes.h5")] if case.method == "lsc-gan" else []
    given += ["--epochs", str(EPOCHS), "--seed", "3", *(part for text in case.settings for part in ("--set", text))]
    return given + (["--out", str(out)] if out else [])


def typed(*words: str) -> None:
    """The command line with these words; it ends in SystemExit when something is not well."""
    sys.argv = ["spectral-ssl", *words]
    spectral_ssl.cli.app.main()


def go_on(case: Case, data: Path, out: Path) -> None:
    """Resume it."""
    spectral_ssl.pretrain(data / f"{case.data}.h5", resume=out)


# faults: each is installed in the child and strikes at the n-th opportunity; it never comes back


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def at_call(
    owner: Any, name: str, number: int, strike: Callable[..., Any], only: str = "", after: bool = False
) -> None:
    """Have ``strike`` called with the arguments of the n-th call of ``owner.name`` (of those on files of one name)."""
    original, calls = getattr(owner, name), 0

    def wrapped(*args: Any, **given: Any) -> Any:
        nonlocal calls
        counts = not only or any(isinstance(arg, Path) and arg.name == only for arg in args)
        calls += counts
        if counts and calls == number and not after:
            strike(*args)
        found = original(*args, **given)
        if counts and calls == number and after:
            strike(*args)
        return found

    setattr(owner, name, wrapped)


def half_a_file(content: Any, path: Path) -> None:
    torch.save(content, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    kill()


def half_a_row(path: Path, row: dict[str, Any]) -> None:
    with path.open("a") as stream:
        stream.write('{"epoch": 1, "st')
    kill()


def full_disk(*_: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def send(number: int) -> None:
    os.kill(os.getpid(), number)


def at_file(name: str, strike: Callable[[], Any], *, after: bool = False) -> Callable[[Case, int], None]:
    """A fault when a file of this name is put in its place for the n-th time."""
    return lambda case, n: at_call(spectral_ssl.ground.files, "publish", n, lambda *_: strike(), only=name, after=after)


def in_step(strike: Callable[[], Any]) -> Callable[[Case, int], None]:
    """A fault at the end of the n-th step."""
    return lambda case, n: at_call(BatchStep, "step", n, lambda *_: strike(), after=True)


def in_engine(name: str, strike: Callable[..., Any], *, after: bool = False) -> Callable[[Case, int], None]:
    """A fault at the n-th call of what the engine calls by this name."""
    return lambda case, n: at_call(pretext.training.trainer, name, n, strike, after=after)


@dataclass(frozen=True)
class Fault:
    """What goes wrong, how often it could in a whole run, and the exit status that is asked for."""

    install: Callable[[Case, int], None]
    opportunities: int
    status: int = -signal.SIGKILL


FAULTS = {
    "SIGKILL in a step": Fault(in_step(kill), STEPS),
    "SIGKILL, checkpoint half written": Fault(
        lambda case, n: at_call(pretext.training.checkpoint, "save_tensors", n, half_a_file), EPOCHS
    ),
    "SIGKILL, checkpoint written, not in its place": Fault(at_file("last.pt", kill), EPOCHS),
    "SIGKILL, checkpoint just put in its place": Fault(at_file("last.pt", kill, after=True), EPOCHS),
    "SIGKILL between previous and last checkpoint": Fault(at_file("previous.pt", kill, after=True), EPOCHS - 1),
    "SIGKILL, row of metrics just written": Fault(in_engine("append_metrics", lambda *_: kill(), after=True), 6),
    "SIGKILL, row of metrics half written": Fault(in_engine("append_metrics", half_a_row), 6),
    "SIGKILL, status not in its place": Fault(at_file("status.json", kill), EPOCHS + 1),
    "Ctrl-C in a step": Fault(in_step(lambda: send(signal.SIGINT)), STEPS - 1, 130),
    "SIGTERM in a step": Fault(in_step(lambda: send(signal.SIGTERM)), STEPS - 1, 143),
    "disk full at some sync": Fault(lambda case, n: at_call(os, "fsync", n, full_disk), 12, 2),
    "disk full in a row of metrics": Fault(in_engine("append_metrics", full_disk), 6, 2),
}
OUTSIDE = "SIGKILL from outside, any time"


def tear(path: Path, draw: random.Random) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: draw.randrange(len(content))])


def turn_a_bit(path: Path, draw: random.Random) -> None:
    content = bytearray(path.read_bytes())
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    path.write_bytes(content)


# what happens to the last checkpoint while no one is looking
DAMAGES: dict[str, Callable[[Path, random.Random], None]] = {
    "last checkpoint torn": tear,
    "a bit of the last checkpoint turned": turn_a_bit,
    "last checkpoint gone": lambda path, draw: path.unlink(),
}


def child(work: Callable[[], Any], log: Path, seconds: float | None = None) -> int:
    """Do work in a forked process; its exit status: 0, one of its own, or minus the signal that ended it.

    After ``seconds`` it is killed from outside. What it says is added to ``log``.
    """
    process = forked(work, log)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(process, signal.SIGKILL)
    return ended(process)


def ended(process: int) -> int:
    """Wait for a child; its exit status."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def forked(work: Callable[[], Any], log: Path) -> int:
    """Begin work in a forked process; its number."""
    sys.stdout.flush()
    sys.stderr.flush()
    process = os.fork()
    if process == 0:
        status = 1
        try:
            with log.open("ab") as stream:
                os.dup2(stream.fileno(), 1)
                os.dup2(stream.fileno(), 2)
            sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))
            # nothing may hang on these
            torch.manual_seed(os.getpid())
            np.random.seed(os.getpid())  # noqa: NPY002
            random.seed(os.getpid())
            for name in ("draw_run", "draw_losses"):  # pictures are drawn after the training, and tested elsewhere
                setattr(spectral_ssl.verbs.pretrain, name, lambda *_, **__: None)
            work()
            status = 0
        except SystemExit as error:
            status = error.code if isinstance(error.code, int) else int(error.code is not None)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    return process


def with_fault(case: Case, kind: str, number: int, work: Callable[[], Any]) -> Callable[[], Any]:
    """The work with a fault in it, at the n-th opportunity."""

    def faulty() -> None:
        FAULTS[kind].install(case, number)
        work()

    return faulty


# comparing


def leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Every number, text and tensor of a nested content, with its place."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from leaves(part, f"{name}/{key}")
    elif isinstance(value, list | tuple):
        for place, part in enumerate(value):
            yield from leaves(part, f"{name}/{place}")
    else:
        yield name, value


def rows_of(run: Path) -> list[dict[str, Any]]:
    """The metrics without what depends on the clock."""
    rows = read_metrics(run / "metrics.jsonl")
    return [{key: value for key, value in row.items() if key not in ("seconds", "waiting")} for row in rows]


def differences(first: Path, second: Path) -> list[str]:
    """In what two finished runs differ, bit by bit; empty where they are the same."""
    contents = [load_checkpoint(run / "checkpoints" / "last.pt") for run in (first, second)]
    one, two = (dict(leaves({key: content[key] for key in ("model", "optimizers", "place")})) for content in contents)
    found = list(one.keys() ^ two.keys())
    for name in one.keys() & two.keys():
        if name == "/place/seconds":
            continue
        a, b = one[name], two[name]
        if isinstance(a, torch.Tensor):
            same = a.dtype == b.dtype and a.shape == b.shape and _bytes(a) == _bytes(b)
        else:
            same = type(a) is type(b) and a == b
        if not same:
            found.append(name)
    if rows_of(first) != rows_of(second):
        found.append(f"metrics {rows_of(first)} {rows_of(second)}")
    states = [read_status(run)["state"] for run in (first, second)]
    if states != ["finished", "finished"]:
        found.append(f"status {states}")
    found += [path.name for run in (first, second) for path in run.rglob("*.part")]
    return found


def _bytes(tensor: torch.Tensor) -> bytes:
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
