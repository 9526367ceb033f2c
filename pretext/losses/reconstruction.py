"""The error of each sample of a batch: what all methods of this folder minimise, in one form or another."""

from typing import Literal

import torch
from torch import Tensor

from pretext.data.batch import Example, Problem
from pretext.numerics import in_full

Loss = Literal["l1", "l2"]


def sample_error(answer: Tensor, example: Example, loss: Loss = "l1", problem: Problem | None = None) -> Tensor:
    """E(y) of each sample: the weighted mean over its map of |answer - target| or its square, and the task's own term.

    Parameters
    ----------
    answer : Tensor, shape (B, C', H, W)
        What the network gave.
    example : Example
        Targets and weights.
    loss : {"l1", "l2"}
        Absolute or squared differences.
    problem : Problem, optional
        Brings the task's extra term, if it has one.

    Returns
    -------
    Tensor, shape (B,)
        A sample's error depends on that sample alone.
    """
    difference = in_full(answer) - example.target
    distance = difference.abs() if loss == "l1" else difference.square()
    error = (distance * example.weight).flatten(1).sum(dim=1) / example.weight.flatten(1).sum(dim=1)
    if problem is not None and problem.extra_error is not None:
        error = error + problem.extra_error(answer, example)
    return error


def compose(example: Example, answers: Tensor) -> Tensor:
    """Answers (N, K, C, H, W) with what does not count (weight 0) taken from the condition, where shapes allow it.

    Completion of a hole is the case: outside it the image is known, and the network was not asked for it.
    """
    if example.condition.shape != example.target.shape:
        return answers
    return torch.where(example.weight[:, None] > 0, answers, example.condition[:, None])
