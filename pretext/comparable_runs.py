"""Whether several runs can be asked the same questions."""

from collections.abc import Sequence

import torch

from data_prep.map_store import MapFile
from pretext.runs import TrainedRun
from pretext.training_maps import check_same_basis
from spectral_ssl.ground.errors import UserError


def need_comparable(main: TrainedRun, others: Sequence[TrainedRun], maps: MapFile) -> None:
    """Raise a UserError unless all give answers, and the inputs that ``main`` makes of the maps suit the others."""
    for each in (main, *others):
        each.need_answers()
    problem = main.plan.task_entry.problem(main.basis, main.plan.task_config)
    for other in others:
        check_same_basis(other.basis, maps)
        if not (
            torch.equal(other.standardise.mean, main.standardise.mean)
            and torch.equal(other.standardise.std, main.standardise.std)
        ):
            what_to_do = "train it on the same map file: conditions of one run are in other units for the other"
            raise UserError("runs with other training statistics", str(other.folder), what_to_do)
        its = other.plan.task_entry.problem(other.basis, other.plan.task_config)
        if (its.condition, its.target) != (problem.condition, problem.target):
            raise UserError("runs of tasks that do not compare", str(other.folder), "give runs of one task")
