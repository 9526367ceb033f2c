"""Pretext tasks: each takes clean maps and gives what the network sees, what it shall give, and where that counts.

To add one: a file here with a frozen config dataclass and a function like ``denoise``, a line in ``TASKS``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from data_prep.basis import Basis
from pretext.tasks.denoise import DenoiseConfig, denoise
from pretext.tasks.example import Batch, Example, Problem
from pretext.tasks.toy import ToyConfig, toy
from pretext.tasks.toy import problem as toy_problem
from spectral_ssl.ground.errors import unknown_name


def same_shapes(basis: Basis, config: Any) -> Problem:
    """The problem of tasks whose conditions and targets are maps like the data's own; any data will do."""
    return Problem(condition=basis.shape, target=basis.shape, bounded=basis.kind == "pixels")


def whole_maps(batch: Batch, config: Any) -> Tensor:
    """The clean maps themselves: what the encoder is shown when features are wanted."""
    return batch.maps


def as_it_is(condition: Tensor, answer: Tensor, config: Any) -> Tensor:
    """The answer itself, clamped to [-1, 1]: how to look at it where it is an image."""
    return answer.clamp(-1, 1)


@dataclass(frozen=True)
class TaskEntry:
    """A task.

    Attributes
    ----------
    config : type
        Its config's type.
    apply : callable
        (batch, config, generator) -> Example; pure, the generator its only source of randomness.
    description : str
        One line.
    problem : callable
        (basis, config) -> Problem; raises a UserError when the task cannot work on such data.
    view : callable
        (batch, config) -> conditions (B, C, H, W) without corruption, from which features are taken.
    needs_points : bool
        Whether batches must bring the clouds along.
    picture : callable
        (conditions, answers, config) -> images (B, 1 or 3, H, W) in [-1, 1] to look at and to measure; for images only.
    """

    config: type
    apply: Callable[[Batch, Any, torch.Generator], Example]
    description: str
    problem: Callable[[Basis, Any], Problem] = same_shapes
    view: Callable[[Batch, Any], Tensor] = whole_maps
    needs_points: bool = False
    picture: Callable[[Tensor, Tensor, Any], Tensor] = as_it_is


TASKS: dict[str, TaskEntry] = {
    "denoise": TaskEntry(DenoiseConfig, denoise, "a block of the map is hidden or noised; recover the map"),
    "toy": TaskEntry(ToyConfig, toy, "one number with two answers, y = +-4 (x, x^2, x^3)", problem=toy_problem),
}


def find_task(name: str) -> TaskEntry:
    """The task of that name.

    Raises
    ------
    UserError
        When there is none.
    """
    if name not in TASKS:
        raise unknown_name("task", name, TASKS)
    return TASKS[name]
