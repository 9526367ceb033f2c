"""Check that completions of several runs can be compared."""

from collections.abc import Sequence

import torch

from data_prep.maps.reader import MapFile
from pretext.data.training_split import check_same_basis
from pretext.runs.trained_run import TrainedRun
from spectral_ssl.ground.errors import UserError


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
