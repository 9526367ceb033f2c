"""The first paper's toy: one number x has two answers, y = +-4 (x, x^2, x^3) (cGML, section 4, figure 3).

L1 alone must answer with the middle, y = 0; a method for several answers must find both branches, and nothing between.
The data are images of one pixel (data set ``toy``) whose 256 levels are spread over their own width here, so that x is
uniform on [-1, 1]. Which of the two branches a sample shows is drawn anew each time.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from data_prep.basis import Basis
from pretext.data.batch import Batch, Example, Problem
from pretext.randomness import rand
from spectral_ssl.ground.config import check_range
from spectral_ssl.ground.errors import UserError

LEVEL = 2 / 255  # between two grey levels of maps in [-1, 1]
SCALE = 4.0


@dataclass(frozen=True, kw_only=True)
class ToyConfig:
    """Settings of the task.

    Attributes
    ----------
    positive : float
        Share of the samples that show the branch +4 (x, x^2, x^3).
    """

    positive: float = 0.5

    def __post_init__(self) -> None:
        check_range("task.positive", self.positive, 0.0, 1.0)


def curve(x: Tensor) -> Tensor:
    """The positive branch, 4 (x, x^2, x^3): (..., 1, 1, 1) -> (..., 3, 1, 1)."""
    return SCALE * torch.cat([x, x**2, x**3], dim=-3)


def toy(batch: Batch, config: ToyConfig, generator: torch.Generator) -> Example:
    """Numbers x, (B, 1, 1, 1), and one of their two answers each, (B, 3, 1, 1)."""
    size = len(batch.maps)
    spread = LEVEL * (rand(size, 1, 1, 1, generator=generator) - 0.5)
    x = (batch.maps + spread).clamp(-1, 1)
    positive = rand(size, 1, 1, 1, generator=generator) < config.positive
    target = torch.where(positive, 1.0, -1.0) * curve(x)
    return Example(x, target, torch.ones_like(target))


def toy_problem(basis: Basis, config: ToyConfig) -> Problem:
    """One number to three; raises a UserError for other data."""
    if basis.kind != "pixels" or basis.shape != (1, 1, 1):
        raise UserError("the toy needs images of one pixel", f"maps {basis.shape}", "prepare --dataset toy")
    return Problem((1, 1, 1), (3, 1, 1), bounded=False)
