"""Eight modes in the plane: the toy on which GANs lose modes (MR-GAN, appendix C, figure 5).

There is nothing to go by: the condition is 0, and an answer is a point drawn from eight Gaussians of standard deviation
``spread`` whose centres lie evenly on the unit circle. The paper gives neither radius nor spread; with 0.1 the
neighbours' centres are 7.65 standard deviations apart. A method's answers are good when nearly all lie within three
standard deviations of a centre, and complete when all eight are found. The data set ``toy`` says how many points make
an epoch; its values are not looked at.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from data_prep.basis import Basis
from pretext.data.batch import Batch, Example, Problem
from pretext.randomness import randint, randn
from spectral_ssl.ground.config import check_range
from spectral_ssl.ground.errors import UserError

MODES = 8


@dataclass(frozen=True, kw_only=True)
class MixtureConfig:
    """Settings of the task.

    Attributes
    ----------
    spread : float
        Standard deviation of each Gaussian; the circle's radius is 1.
    """

    spread: float = 0.1

    def __post_init__(self) -> None:
        check_range("task.spread", self.spread, 1e-6, 10.0)


def mixture_centres() -> Tensor:
    """The centres of the eight Gaussians, (8, 2)."""
    angles = 2 * math.pi * torch.arange(MODES) / MODES
    return torch.stack([angles.cos(), angles.sin()], dim=1)


def mixture(batch: Batch, config: MixtureConfig, generator: torch.Generator) -> Example:
    """Conditions (B, 1, 1, 1) of 0 and a point of the mixture for each, (B, 2, 1, 1)."""
    size = len(batch.maps)
    which = randint(MODES, size, generator=generator)
    points = mixture_centres()[which] + config.spread * randn(size, 2, generator=generator)
    target = points[:, :, None, None]
    return Example(mixture_view(batch, config), target, torch.ones_like(target))


def mixture_view(batch: Batch, config: MixtureConfig) -> Tensor:
    """The same nothing for all: (B, 1, 1, 1) of 0."""
    return torch.zeros_like(batch.maps)


def mixture_problem(basis: Basis, config: MixtureConfig) -> Problem:
    """Nothing to a point in the plane; raises a UserError for data other than the toy's."""
    if basis.kind != "pixels" or basis.shape != (1, 1, 1):
        raise UserError("the mixture needs images of one pixel", f"maps {basis.shape}", "prepare --dataset toy")
    return Problem((1, 1, 1), (2, 1, 1), bounded=False)
