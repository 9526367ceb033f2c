"""Random changes of clouds, each object's own, that tasks share: directions, rotations, stretches, the unit ball."""

import math

import torch
from torch import Tensor

from data_prep.principal_frame import HALF_TURNS
from data_prep.unit_ball import MARGIN
from pretext.drawing import rand, randn


def random_directions(count: int, generator: torch.Generator) -> Tensor:
    """Unit vectors (B, 3), uniform over the sphere."""
    vectors = randn(count, 3, generator=generator)
    return vectors / vectors.norm(dim=1, keepdim=True).clamp(min=1e-6)


def random_stretches(count: int, most: float, mirror: bool, generator: torch.Generator) -> Tensor:
    """Factors of the three axes, (B, 3) float64: e^u, u uniform in +-``most``; with ``mirror`` random signs of x, y."""
    stretch = (most * (2 * rand(count, 3, generator=generator, dtype=torch.float64) - 1)).exp()
    signs = 1.0 - 2.0 * (rand(count, 2, generator=generator) < 0.5).double()
    if mirror:
        stretch[:, :2] *= signs
    return stretch


def random_turns(count: int, most: float, generator: torch.Generator) -> Tensor:
    """Rotations about the vertical (B, 3, 3) float64, their angles uniform in +-``most`` radians."""
    angle = most * (2 * rand(count, generator=generator, dtype=torch.float64) - 1)
    turn = torch.zeros(count, 3, 3, dtype=torch.float64)
    turn[:, 0, 0] = turn[:, 1, 1] = angle.cos()
    turn[:, 1, 0] = angle.sin()
    turn[:, 0, 1] = -angle.sin()
    turn[:, 2, 2] = 1.0
    return turn


def random_rotations(count: int, generator: torch.Generator) -> Tensor:
    """Rotations (B, 3, 3) float64, uniform over all: those of normally distributed quaternions."""
    from scipy.spatial.transform import Rotation

    quaternions = randn(count, 4, generator=generator, dtype=torch.float64)  # the real part first
    return torch.from_numpy(Rotation.from_quat(quaternions.roll(-1, dims=1).numpy()).as_matrix())


def random_half_turns(count: int, generator: torch.Generator) -> Tensor:
    """Signs (B, 3) float64 of x, y and z: unchanged, or half a turn about one of the axes, each for a quarter."""
    return torch.tensor(HALF_TURNS, dtype=torch.float64)[torch.randint(4, (count,), generator=generator)]


def onto_principal_axes(clouds: Tensor) -> Tensor:
    """Clouds (B, P, 3) centred and turned, so that their second moments are diagonal, the largest along x."""
    centred = clouds - clouds.mean(dim=1, keepdim=True)
    axes = torch.linalg.eigh((centred.transpose(1, 2) @ centred).double())[1].flip(2)  # columns
    axes = axes * torch.linalg.det(axes).sign()[:, None, None]
    return centred @ axes.to(clouds.dtype)


def into_unit_ball(clouds: Tensor, reach: float = 1.0) -> Tensor:
    """Clouds (B, P, 3) centred and scaled as ``data_prep.unit_ball.to_unit_ball`` does it, all of them at once.

    A cloud whose points all coincide stays at the origin.
    """
    centred = clouds - clouds.mean(dim=1, keepdim=True)
    distances = centred.norm(dim=2)  # (B, P)
    if reach == 1:
        radius = distances.amax(dim=1, keepdim=True)
    else:
        place = min(max(math.ceil(reach * clouds.shape[1]), 1), clouds.shape[1])
        radius = distances.kthvalue(place, dim=1, keepdim=True).values.maximum(distances)
    return centred / (MARGIN * radius.clamp(min=1e-12))[:, :, None]
