"""Settle a training on the universe: ``pretrain --data universe``, and the setting ``train.fresh``.

The name stands for the reference file ``WS/maps/universe-zernike.h5``, which is prepared where it is
missing, and for new shapes in every epoch. The path of that file stands for its maps alone.
"""

import math
from pathlib import Path
from typing import Any

from data_prep.maps.reader import MapFile
from pretext.data.standardise import Standardiser
from pretext.data.training_split import TrainingData
from pretext.data.universe_stream import UniverseStream
from pretext.runs.plan import Plan
from spectral_ssl.ground.config import Settings, as_texts
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.workspace import Workspace

UNIVERSE = "universe"
# Shapes of an epoch, shapes of a batch, and steps of the whole training.
FRESH = 16384
BATCH = 128
STEPS = 2000


def is_universe(data: str | Path | MapFile | None) -> bool:
    """Tell whether the option ``data`` is the name of the universe and not a file."""
    return not isinstance(data, MapFile) and data is not None and str(data) == UNIVERSE


def holds_universe(maps: MapFile) -> bool:
    """Tell whether the maps of a file are shapes of the universe."""
    return maps.source.partition(":")[0] == UNIVERSE


def find_reference(workspace: Workspace) -> Path:
    """Return the path of the reference file in a workspace; it may be missing."""
    return workspace.maps(UNIVERSE, "zernike")


def find_fresh(data: str | Path | MapFile | None, settings: Settings) -> int:
    """Return the number of new shapes of an epoch that the options ask for; 0 if they ask for none.

    A value that is no number is reported when the settings are read.
    """
    fresh = FRESH if is_universe(data) else 0
    for setting in as_texts(settings):
        key, _, value = setting.partition("=")
        is_fresh = key.strip().removeprefix("train.").removeprefix("data.") == "fresh"
        if is_fresh and value.strip().isdecimal():
            fresh = int(value)
    return fresh


def size_stream(fresh: int) -> dict[str, Any]:
    """Choose the settings [train] of a training on so many new shapes an epoch."""
    batch = min(BATCH, fresh)
    return {"fresh": fresh, "batch_size": batch, "epochs": math.ceil(STEPS / math.ceil(fresh / batch))}


def check_stream(plan: Plan, maps: MapFile) -> None:
    """Raise a UserError if a plan asks for new shapes and the data or the task do not allow them."""
    if not plan.train.data.fresh:
        return
    got = f"train.fresh = {plan.train.data.fresh}"
    if not holds_universe(maps):
        do = "give --data universe, or leave train.fresh out"
        raise UserError("new shapes are made of the universe only", f"{got} with maps of {maps.source!r}", do)
    if plan.task_entry.training_split is not None:
        do = "leave train.fresh out, and give the map file with --data"
        raise UserError(f"the task {plan.task} needs all maps before the training", got, do)


def open_training_data(plan: Plan, maps: MapFile, standardise: Standardiser | None = None) -> TrainingData:
    """Open the training split of a map file with all that the task needs, or the stream of new shapes.

    Parameters
    ----------
    plan : Plan
        The plan of the run.
    maps : MapFile
        The map file.
    standardise : Standardiser, optional
        Basis and statistics of the weights that the run starts from; those of the file by default.

    Returns
    -------
    TrainingData
        The data, which is open.
    """
    split = plan.task_entry.open_training_split(maps, plan.task_config, standardise)
    if not plan.train.data.fresh:
        return split
    with_maps = plan.task_entry.reads_maps(plan.task_config)
    return UniverseStream(split, plan.train.data.fresh, plan.train.seed, with_maps=with_maps)


def describe_data(training: TrainingData, maps: MapFile) -> str:
    """Describe what is trained on, for the line that begins a training."""
    if isinstance(training, UniverseStream):
        return f"new shapes of the universe, {len(training)} an epoch"
    return f"{len(training)} maps of {maps.path}"
