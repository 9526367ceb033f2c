"""Choose what a run is shown on, and check that the completions of several runs can be compared."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from data_prep.maps.reader import MapFile
from pretext.data.training_split import check_same_basis
from pretext.runs.trained_run import TrainedRun
from spectral_ssl.ground.errors import UserError


def select_held_out_rows(maps: MapFile, count: int) -> NDArray[np.int64]:
    """Select up to ``count`` rows spread over the test split, or over all maps if there is none."""
    rows = maps.rows("test") if len(maps.rows("test")) else maps.rows()
    # They are spread because consecutive rows of a file often belong to one class.
    return rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)]


def describe_rows(maps: MapFile, rows: NDArray[np.int64]) -> str:
    """Describe rows of a map file for a caption, with their number and their split.

    Parameters
    ----------
    maps : MapFile
        The map file.
    rows : ndarray, shape (N,), int64
        Rows of it.

    Returns
    -------
    str
        E.g. "6 images of the test split", or "9 objects of the training and the test split".
    """
    is_image = maps.basis.kind == "pixels"
    noun = "object" if not is_image else "image" if maps.basis.shape[1:] != (1, 1) else "sample"
    present = set(maps.splits[rows].tolist())
    names = {"train": "training", "val": "validation", "test": "test"}
    splits = [f"the {name}" for split, name in names.items() if split in present]
    return f"{len(rows)} {noun}{'s' * (len(rows) != 1)} of {' and '.join(splits)} split"


def require_comparable(main: TrainedRun, others: Sequence[TrainedRun], maps: MapFile) -> None:
    """Raise a UserError unless all runs have completions and the conditions that ``main`` makes suit the others."""
    for each in (main, *others):
        each.require_completions()
    problem = main.plan.task_entry.problem(main.basis, main.plan.task_config)
    for other in others:
        check_same_basis(other.basis, maps)
        if not (
            torch.equal(other.standardise.mean, main.standardise.mean)
            and torch.equal(other.standardise.std, main.standardise.std)
        ):
            what_to_do = "train it on the same map file: the conditions of one run have other units for the other"
            raise UserError("runs with other training statistics", str(other.folder), what_to_do)
        other_problem = other.plan.task_entry.problem(other.basis, other.plan.task_config)
        if (other_problem.condition, other_problem.target) != (problem.condition, problem.target):
            raise UserError("runs whose tasks cannot be compared", str(other.folder), "give runs of one task")
