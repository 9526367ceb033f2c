"""The first paper's toy: a number x has two solutions, y = +-4 (x, x^2, x^3).

Source: cGML, section 4, figure 3. With an L1 loss alone a network predicts the middle, y = 0. A
multimodal method should predict both branches and nothing between them.

The data are images of one pixel (data set ``toy``). Uniform noise as wide as one of the 256 grey
levels is added, so that x is uniform on [-1, 1]. The branch of a sample is drawn anew each time.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from data_prep.basis import Basis
from pretext.data.batch import Batch, Example, Problem
from pretext.randomness import rand
from spectral_ssl.ground.config import check_ranges, within
from spectral_ssl.ground.errors import UserError

LEVEL = 2 / 255  # between two grey levels of maps in [-1, 1]
SCALE = 4.0


@dataclass(frozen=True, kw_only=True)
class ToyConfig:
    """Settings of the task.

    Attributes
    ----------
    positive : float
        Share of the samples on the branch +4 (x, x^2, x^3).
    """

    positive: float = field(default=0.5, metadata=within(0.0, 1.0))

    def __post_init__(self) -> None:
        check_ranges(self, "task")


def compute_curve(x: Tensor) -> Tensor:
    """Compute the positive branch, 4 (x, x^2, x^3): (..., 1, 1, 1) -> (..., 3, 1, 1)."""
    return SCALE * torch.cat([x, x**2, x**3], dim=-3)


def toy(batch: Batch, config: ToyConfig, generator: torch.Generator) -> Example:
    """Draw numbers x, (B, 1, 1, 1), and one of the two solutions for each, (B, 3, 1, 1)."""
    size = len(batch.maps)
    spread = LEVEL * (rand(size, 1, 1, 1, generator=generator) - 0.5)
    x = (batch.maps + spread).clamp(-1, 1)
    positive = rand(size, 1, 1, 1, generator=generator) < config.positive
    target = torch.where(positive, 1.0, -1.0) * compute_curve(x)
    return Example(x, target, torch.ones_like(target))


def toy_problem(basis: Basis, config: ToyConfig) -> Problem:
    """Build the problem from one number to three, or raise a UserError for other data."""
    if basis.kind != "pixels" or basis.shape != (1, 1, 1):
        raise UserError("the toy needs images of one pixel", f"maps {basis.shape}", "prepare --dataset toy")
    return Problem((1, 1, 1), (3, 1, 1), bounded=False)
