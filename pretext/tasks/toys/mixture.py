"""Eight modes in the plane: the toy on which GANs lose modes (MR-GAN, appendix C, figure 5).

The condition is 0 and has no information. A target is a point drawn from eight Gaussians of
standard deviation ``spread``, whose centres lie evenly on the unit circle. The paper gives neither
radius nor spread. With a spread of 0.1 adjacent centres are 7.65 standard deviations apart. The
samples of a method are good if nearly all lie within three standard deviations of a centre, and
complete if all eight modes occur.

The data set ``toy`` determines the number of points in an epoch; its values are not used.
"""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from data_prep.basis import Basis
from pretext.data.batch import Batch, Example, Problem
from pretext.randomness import randint, randn
from spectral_ssl.ground.config import check_ranges, within
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

    spread: float = field(default=0.1, metadata=within(1e-6, 10.0))

    def __post_init__(self) -> None:
        check_ranges(self, "task")


def compute_mixture_centres() -> Tensor:
    """Compute the centres of the eight Gaussians, (8, 2)."""
    angles = 2 * math.pi * torch.arange(MODES) / MODES
    return torch.stack([angles.cos(), angles.sin()], dim=1)


def mixture(batch: Batch, config: MixtureConfig, generator: torch.Generator) -> Example:
    """Draw a point of the mixture, (B, 2, 1, 1), for each condition (B, 1, 1, 1) of 0."""
    size = len(batch.maps)
    mode = randint(MODES, size, generator=generator)
    points = compute_mixture_centres()[mode] + config.spread * randn(size, 2, generator=generator)
    target = points[:, :, None, None]
    return Example(mixture_view(batch, config), target, torch.ones_like(target))


def mixture_view(batch: Batch, config: MixtureConfig) -> Tensor:
    """Return conditions (B, 1, 1, 1) of 0."""
    return torch.zeros_like(batch.maps)


def mixture_problem(basis: Basis, config: MixtureConfig) -> Problem:
    """Build the problem, or raise a UserError for data other than the toy's."""
    if basis.kind != "pixels" or basis.shape != (1, 1, 1):
        raise UserError("the mixture needs images of one pixel", f"maps {basis.shape}", "prepare --dataset toy")
    return Problem((1, 1, 1), (2, 1, 1), bounded=False)
