"""The commands that make a map file, a run and its results again."""

import shlex
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from data_prep.basis import Basis
from data_prep.maps.reader import MapFile
from pretext.networks.feature_layers import DEFAULT
from pretext.runs.trained_run import Plan

# What `pretrain` chooses by the data where nothing is said (`spectral_ssl.planning.defaults`).
CHOSEN_BY_DATA = ("epochs", "batch_size", "precision")


def prep_command(maps: MapFile) -> str:
    """The command that makes a map file; of data sets given by a path the file knows the last folder only."""
    stem, _, side = maps.source.partition(" side ")
    words = ["prep", "--dataset", stem, *(["--side", side] if side else []), *_basis_options(maps.basis)]
    if maps.basis.kind in ("zernike", "sh") and maps.basis.sampling in ("area", "farthest"):
        words.append("--keep-points" if maps.has_points else "--no-keep-points")
    return _line(words, "--out", maps.path)


def _basis_options(basis: Basis) -> list[str]:
    if basis.kind == "pixels":
        height, width = basis.shape[1:]
        return ["--size", str(height)] if height == width and height > 1 else []
    cut = {"--centre": basis.centre, "--reach": basis.reach}
    if basis.kind == "radial":
        options: dict[str, Any] = {"--basis": "sh", "--sphere": "radial", "--degree": basis.degree, **cut}
    else:
        radial = {} if basis.truncation == "triangular" else {"--radial": basis.radial}
        drawn = {"--points": basis.points, "--seed": basis.seed, "--sampling": basis.sampling}
        options = {"--basis": basis.kind, "--degree": basis.degree, **radial, **drawn, **cut}
    return [str(word) for pair in options.items() for word in pair]


def pretrain_command(plan: Plan, folder: Path) -> str:
    """The command that trains with the same settings: those that are not the defaults are named."""
    words = ["pretrain", "--data", plan.data, "--method", plan.method, "--task", plan.task]
    for section, config in (("train", plan.train), ("method", plan.method_config), ("task", plan.task_config)):
        for field in fields(config):
            value = getattr(config, field.name)
            default = field.default_factory() if field.default_factory is not MISSING else field.default
            if value is not None and (value != default or field.name in CHOSEN_BY_DATA):
                text = str(value).lower() if isinstance(value, bool) else str(value)
                words += ["--set", f"{section}.{field.name}={text}"]
    return _line(words, "--out", folder)


def probe_command(result: dict[str, Any], data: Path) -> str:
    """The command behind a stored probe; ``data`` is the folder of its map file."""
    words = ["probe", "--target", str(data / result["maps"]), "--run", result["run"]]
    words += ["--seeds", str(len(result["seeds"])), "--probes", ",".join(result["probes"])]
    if result.get("pose", "aligned") != "aligned":
        words += ["--pose", result["pose"]]
    if result.get("layer", DEFAULT) != DEFAULT:
        words += ["--layer", result["layer"]]
    if any(row["features"].startswith("reference") for row in result["rows"]):
        words.append("--references")
    return _line(words)


def evaluate_command(result: dict[str, Any], plan: Plan, data: Path) -> str:
    """The command behind a stored evaluation; task settings that differ from the run's are named."""
    words = ["evaluate", "--run", result["run"], "--data", str(data / result["maps"])]
    for other in result["beside"]:
        words += ["--beside", other]
    words += [
        "--count",
        str(result["inputs"]),
        "--modes",
        str(result["answers_to_each"]),
        "--seed",
        str(result["seed"]),
    ]
    for name, value in result["task_settings"].items():
        if value != getattr(plan.task_config, name, value):
            words += ["--set", f"{name}={value}"]
    return _line(words)


def _line(words: list[str], *more: str | Path) -> str:
    return shlex.join(["spectral-ssl", *words, *map(str, more)])
