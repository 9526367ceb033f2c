"""The commands that reproduce a map file, a run and its results."""

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Any

from data_prep.basis import Basis
from data_prep.maps.reader import MapFile
from pretext.networks.feature_layers import DEFAULT
from pretext.runs.plan import Plan
from spectral_ssl.ground.config import flatten

# `pretrain` chooses these by the data unless they are set (`spectral_ssl.planning.defaults`).
CHOSEN_BY_DATA = ("epochs", "batch_size", "precision")


def build_prep_command(maps: MapFile) -> str:
    """Build the command that makes a map file; of a data set with a path, the file stores the last folder only."""
    stem, _, side = maps.source.partition(" side ")
    words = ["prep", "--dataset", stem, *(["--side", side] if side else []), *_list_basis_options(maps.basis)]
    if maps.basis.kind in ("zernike", "sh") and maps.basis.sampling in ("area", "farthest"):
        words.append("--keep-points" if maps.has_points else "--no-keep-points")
    return _join(words, "--out", maps.path)


def _list_basis_options(basis: Basis) -> list[str]:
    if basis.kind == "pixels":
        height, width = basis.shape[1:]
        return ["--size", str(height)] if height == width and height > 1 else []
    cut = {"--centre": basis.centre, "--reach": basis.reach}
    if basis.kind == "radial":
        options: dict[str, Any] = {"--basis": "sh", "--sphere": "radial", "--degree": basis.degree, **cut}
    else:
        radial = {} if basis.truncation == "triangular" else {"--radial": basis.radial}
        sampling = {"--points": basis.points, "--seed": basis.seed, "--sampling": basis.sampling}
        options = {"--basis": basis.kind, "--degree": basis.degree, **radial, **sampling, **cut}
    return [str(word) for pair in options.items() for word in pair]


def build_pretrain_command(plan: Plan, folder: Path) -> str:
    """Build the command that trains with the same settings; it names those that differ from the defaults."""
    words = ["pretrain", "--data", plan.data, "--method", plan.method, "--task", plan.task]
    words += ["--init-from", plan.init_from] if plan.init_from else []
    for section, config in (("train", plan.train), ("method", plan.method_config), ("task", plan.task_config)):
        defaults = flatten(asdict(type(config)()))
        for key, value in flatten(asdict(config)).items():
            # A run that starts from weights takes its other settings from there, not from the defaults.
            is_chosen = key in CHOSEN_BY_DATA or bool(plan.init_from)
            if value is not None and (value != defaults[key] or is_chosen):
                text = str(value).lower() if isinstance(value, bool) else str(value)
                words += ["--set", f"{section}.{key}={text}"]
    return _join(words, "--out", folder)


def build_probe_command(result: dict[str, Any], data: Path) -> str:
    """Build the command of a stored probe; ``data`` is the folder of its map file."""
    maker = ["--encoder", result["encoder"]] if result.get("encoder") else ["--run", result["run"]]
    words = ["probe", "--target", str(data / result["maps"]), *maker]
    words += ["--seeds", str(len(result["seeds"])), "--probes", ",".join(result["probes"])]
    if result.get("pose", "aligned") != "aligned":
        words += ["--pose", result["pose"]]
    if result.get("layer", DEFAULT) != DEFAULT:
        words += ["--layer", result["layer"]]
    if any(row["features"].startswith("reference") for row in result["rows"]):
        words.append("--references")
    return _join(words)


def build_evaluate_command(result: dict[str, Any], plan: Plan, data: Path) -> str:
    """Build the command of a stored evaluation; it names task settings that differ from those of the run."""
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
    return _join(words)


def _join(words: list[str], *more: str | Path) -> str:
    return shlex.join(["spectral-ssl", *words, *map(str, more)])
