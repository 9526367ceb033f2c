"""Random alterations of clouds: directions, rotations, stretches, the unit ball; and that there are clouds.

Each object gets an alteration of its own. Letters in shapes: B objects, P points of a cloud.
"""

import math

import torch
from torch import Tensor

from data_prep.basis import Basis
from data_prep.geometry.unit_ball import MARGIN
from data_prep.pipeline.shape_to_map import samples_points
from data_prep.transforms.principal_frame import HALF_TURNS, UPRIGHT_HALF_TURNS
from pretext.randomness import rand, randint, randn
from spectral_ssl.ground.errors import UserError


def require_point_maps(basis: Basis, task: str) -> None:
    """Raise a UserError that names the task if maps of a basis are not computed from points."""
    if not samples_points(basis.kind, basis.sampling):
        got = f"maps of kind {basis.kind!r}, sampling {basis.sampling!r}"
        what_to_do = "prepare shapes with --keep-points and --basis zernike or sh"
        raise UserError(f"the task {task} needs maps computed from points", got, what_to_do)


def require_clouds(points: Tensor | None, task: str) -> Tensor:
    """Return the clouds of a batch, or raise a UserError that names the task if it has none."""
    if points is None:
        raise UserError(f"the task {task} needs clouds", "maps alone", "prepare them with --keep-points")
    return points


def draw_directions(count: int, generator: torch.Generator) -> Tensor:
    """Draw unit vectors (B, 3), uniform over the sphere."""
    vectors = randn(count, 3, generator=generator)
    return vectors / vectors.norm(dim=1, keepdim=True).clamp(min=1e-6)


def draw_stretches(count: int, most: float, mirror: bool, generator: torch.Generator) -> Tensor:
    """Draw factors of the three axes, (B, 3) float64: e^u, u uniform in +-``most``.

    With ``mirror`` the factors of x and y have random signs.
    """
    stretch = (most * (2 * rand(count, 3, generator=generator, dtype=torch.float64) - 1)).exp()
    signs = 1.0 - 2.0 * (rand(count, 2, generator=generator) < 0.5).double()
    if mirror:
        stretch[:, :2] *= signs
    return stretch


def draw_turns(count: int, most: float, generator: torch.Generator) -> Tensor:
    """Draw rotations (B, 3, 3) float64 about the vertical, uniform in +-``most`` radians."""
    angle = most * (2 * rand(count, generator=generator, dtype=torch.float64) - 1)
    return make_turns(angle)


def make_turns(angle: Tensor) -> Tensor:
    """Make rotations (B, 3, 3) float64 about the vertical by angles (B), from x towards y.

    They act as points @ matrix.T.
    """
    turn = torch.zeros(len(angle), 3, 3, dtype=torch.float64)
    turn[:, 0, 0] = turn[:, 1, 1] = angle.cos()
    turn[:, 1, 0] = angle.sin()
    turn[:, 0, 1] = -angle.sin()
    turn[:, 2, 2] = 1.0
    return turn


def draw_rotations(count: int, generator: torch.Generator) -> Tensor:
    """Draw uniform rotations (B, 3, 3) float64, from normally distributed quaternions."""
    from scipy.spatial.transform import Rotation

    quaternions = randn(count, 4, generator=generator, dtype=torch.float64)  # the real part first
    return torch.from_numpy(Rotation.from_quat(quaternions.roll(-1, dims=1).numpy()).as_matrix())


def draw_half_turns(count: int, generator: torch.Generator, upright: bool = False) -> Tensor:
    """Draw signs (B, 3) float64 of x, y and z: the identity or a half turn about an axis.

    With ``upright`` the axis is z.

    All choices have the same probability.
    """
    half_turns = torch.tensor(UPRIGHT_HALF_TURNS if upright else HALF_TURNS, dtype=torch.float64)
    return half_turns[randint(len(half_turns), count, generator=generator)]


def turn_onto_principal_axes(clouds: Tensor, upright: bool = False) -> Tensor:
    """Centre clouds (B, P, 3) and turn them so that their second moments are diagonal.

    The largest second moment is then along x, the smallest along z. With ``upright`` clouds are
    turned about z only, and the larger second moment in the horizontal plane is along x.
    """
    centred = clouds - clouds.mean(dim=1, keepdim=True)
    moments = (centred.transpose(1, 2) @ centred).double()  # (B, 3, 3)
    if upright:
        angle = torch.atan2(2 * moments[:, 0, 1], moments[:, 0, 0] - moments[:, 1, 1]) / 2
        return centred @ make_turns(angle).to(clouds.dtype)
    axes = torch.linalg.eigh(moments)[1].flip(2)  # columns
    axes = axes * torch.linalg.det(axes).sign()[:, None, None]
    return centred @ axes.to(clouds.dtype)


def alter_whole_clouds(
    clouds: Tensor, generator: torch.Generator, *, stretch: float, turn: float, mirror: bool, reach: float = 1.0
) -> Tensor:
    """Alter clouds (B, P, 3) at random, and scale them into the unit ball.

    Each axis is stretched by e^u, u uniform in +-``stretch``; x and y get random signs with
    ``mirror``; then the object is turned about the vertical, uniformly in +-``turn`` radians.
    ``reach`` is explained in ``data_prep.geometry.unit_ball.move_to_unit_ball``.
    """
    moves = draw_turns(len(clouds), turn, generator)
    moves = moves * draw_stretches(len(clouds), stretch, mirror, generator)[:, None]
    return scale_into_unit_ball(clouds @ moves.transpose(1, 2).to(clouds.dtype), reach)


def scale_into_unit_ball(clouds: Tensor, reach: float = 1.0) -> Tensor:
    """Centre clouds (B, P, 3) and scale them into the unit ball.

    Each cloud is moved as by ``data_prep.geometry.unit_ball.move_to_unit_ball``, where ``reach`` is
    explained. A cloud whose points all coincide moves to the origin.
    """
    centred = clouds - clouds.mean(dim=1, keepdim=True)
    distances = centred.norm(dim=2)  # (B, P)
    if reach == 1:
        radius = distances.amax(dim=1, keepdim=True)
    else:
        rank = min(max(math.ceil(reach * clouds.shape[1]), 1), clouds.shape[1])
        radius = distances.kthvalue(rank, dim=1, keepdim=True).values.maximum(distances)
    return centred / (MARGIN * radius.clamp(min=1e-12))[:, :, None]
