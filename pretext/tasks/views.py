"""Two views of one object: what a joint embedding shall find equal.

The points of each object are altered twice, independently, and the maps of both clouds are made as ``prep`` makes them:

1. a random half-space of them is removed (a share, drawn uniformly up to ``crop``);
2. of the rest ``points`` are drawn;
3. each axis is stretched by e^u, u uniform in +-``stretch``; x and y are mirrored, each with probability 1/2;
4. the object is turned about the vertical by an angle uniform in +-``turn``, or by any rotation at all;
5. each point is moved by Gaussian noise of standard deviation ``jitter``;
6. the cloud is centred and brought into the unit ball.

Condition and target are the two maps, standardised as the whole maps are. The alterations act on points because that is
where they are simple: a crop or an uneven stretch mixes coefficients of all degrees, and few points bring the sampling
noise that real clouds have.

With ``pose="principal"`` an object is first turned onto its own principal axes, in one of the four ways that the signs
of these leave open (``data_prep.transforms.principal_frame``), the same for both views; its longest axis then is x, its shortest
z, about which step 4 turns. Features are taken in all four ways, their mean and standard deviation handed out. Nothing
that is learnt or handed out then depends on the pose an object came in, but for rounding. ``principal-upright`` does so
about the vertical alone, in two ways.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data_prep.basis import Basis
from data_prep.pipeline.shape_to_map import clouds_to_maps
from data_prep.transforms.principal_frame import (
    HALF_TURNS,
    UPRIGHT_HALF_TURNS,
    apply_half_turn,
    turn_to_principal_frame,
    turn_to_upright_frame,
)
from pretext.data.batch import Batch, Example, Problem
from pretext.data.standardise import Standardiser
from pretext.randomness import rand, randn
from pretext.tasks.corruption.clouds import (
    draw_directions,
    draw_half_turns,
    draw_rotations,
    draw_stretches,
    draw_turns,
    scale_into_unit_ball,
    turn_onto_principal_axes,
)
from spectral_ssl.ground.config import check_ranges, within
from spectral_ssl.ground.errors import UserError

# how maps get onto principal axes, and the ways that the signs of these leave
PRINCIPAL = {
    "principal": (turn_to_principal_frame, HALF_TURNS),
    "principal-upright": (turn_to_upright_frame, UPRIGHT_HALF_TURNS),
}


@dataclass(frozen=True, kw_only=True)
class ViewsConfig:
    """Settings of the task.

    Attributes
    ----------
    crop : float
        Largest share of the points that a half-space removes.
    points : int
        Points drawn of the rest, repeated where fewer are left; 0 for as many as the cloud has.
    stretch : float
        Largest logarithm of the factor by which an axis is stretched or shrunk.
    mirror : bool
        Whether x and y are mirrored, each with probability 1/2.
    turn : float
        Largest angle of the turn about the vertical, in radians; pi for any angle.
    pose : {"upright", "any", "principal", "principal-upright"}
        Turns about the vertical only; uniformly distributed rotations (``turn`` then does not matter); about the
        shortest of the object's own axes, onto which it is turned first; about the vertical, after the longer axis in
        the plane has been turned onto x.
    jitter : float
        Standard deviation of the noise of each coordinate, before the cloud is brought into the unit ball.
    """

    crop: float = field(default=0.3, metadata=within(0.0, 0.99))
    points: int = field(default=1024, metadata=within(0, 1_000_000))
    stretch: float = field(default=0.35, metadata=within(0.0, 3.0))
    mirror: bool = True
    turn: float = field(default=0.25, metadata=within(0.0, math.pi))
    pose: Literal["upright", "any", "principal", "principal-upright"] = "upright"
    jitter: float = field(default=0.0, metadata=within(0.0, 1.0))

    def __post_init__(self) -> None:
        check_ranges(self, "task")


def views_problem(basis: Basis, config: ViewsConfig) -> Problem:
    """Maps in, maps out. Raises UserError when the maps are not made from points."""
    if basis.kind not in ("zernike", "sh") or basis.sampling in ("quadrature", "solid"):
        got = f"maps of kind {basis.kind!r}, sampling {basis.sampling!r}"
        what_to_do = "prepare shapes with --keep-points and --basis zernike or sh"
        if basis.kind == "pixels":
            what_to_do = "take the task picture-views"
        raise UserError("the task views needs maps made from points", got, what_to_do)
    return Problem(condition=basis.shape, target=basis.shape, bounded=False)


def views(batch: Batch, config: ViewsConfig, generator: torch.Generator) -> Example:
    """Make two views of each object.

    Parameters
    ----------
    batch : Batch
        Maps (B, C, H, W) and their clouds (B, P, 3).
    config : ViewsConfig
        Settings.
    generator : torch.Generator
        The only source of randomness.

    Returns
    -------
    Example
        The maps of the two views, weight 1 wherever there is a coefficient.

    Raises
    ------
    UserError
        When the batch has no clouds.
    """
    if batch.points is None:
        raise UserError("the task views needs clouds", "maps alone", "prepare them with --keep-points")
    basis, threads = batch.standardise.basis, torch.get_num_threads()
    points = batch.points
    if config.pose in PRINCIPAL:
        upright = config.pose == "principal-upright"
        signs = draw_half_turns(len(points), generator, upright)  # (B, 3)
        points = turn_onto_principal_axes(points, upright) * signs[:, None].to(points.dtype)
    clouds = [alter_clouds(points, config, basis.reach, generator) for _ in range(2)]
    first, second = (batch.standardise(clouds_to_maps(cloud.numpy(), basis, threads=threads)) for cloud in clouds)
    return Example(first, second, batch.standardise.valid.expand_as(first).to(first.dtype))


def alter_clouds(clouds: Tensor, config: ViewsConfig, reach: float, generator: torch.Generator) -> Tensor:
    """One view of each cloud.

    Parameters
    ----------
    clouds : Tensor, shape (B, P, 3)
    config : ViewsConfig
        Settings.
    reach : float
        Of the basis, see ``data_prep.geometry.unit_ball``.
    generator : torch.Generator
        The only source of randomness.

    Returns
    -------
    Tensor, shape (B, Q, 3), of the clouds' dtype
        In the unit ball; Q is ``points``, or P.
    """
    count, held = clouds.shape[:2]
    removed = config.crop * rand(count, generator=generator)
    kept = select_remaining(clouds, draw_directions(count, generator), removed)
    drawn = sample_points(clouds, kept, config.points or held, generator)
    moved = drawn @ draw_linear_maps(count, config, generator).transpose(1, 2).to(drawn.dtype)
    if config.jitter:
        moved = moved + config.jitter * randn(*moved.shape, generator=generator).to(drawn.dtype)
    return scale_into_unit_ball(moved, reach)


def select_remaining(clouds: Tensor, directions: Tensor, removed: Tensor) -> Tensor:
    """Which points (B, P) stay when shares ``removed`` (B), those farthest along directions (B, 3), are taken away.

    As ``complete_shape.select_outside_half_space`` but for points that lie equally far, and without ranks: numpy sorts values
    many times as fast as either library sorts places.
    """
    count = clouds.shape[1]
    along = (clouds @ directions[:, :, None].to(clouds.dtype))[:, :, 0].contiguous()  # (B, P)
    stay = (count - (removed.double() * count).round()).clamp(min=1).long()
    farthest = torch.from_numpy(np.sort(along.numpy(), axis=1)).gather(1, stay[:, None] - 1)
    return along <= farthest


def sample_points(clouds: Tensor, kept: Tensor, points: int, generator: torch.Generator) -> Tensor:
    """So many of the kept points of each cloud at random, all of them again where they are too few.

    One permutation serves the whole batch: the points of different clouds have nothing to do with each other.

    Parameters
    ----------
    clouds : Tensor, shape (B, P, 3)
    kept : Tensor, shape (B, P), bool
        At least one of each cloud.
    points : int
        Number Q of points to draw.
    generator : torch.Generator
        Draws the permutation.

    Returns
    -------
    Tensor, shape (B, Q, 3)
    """
    order = torch.randperm(clouds.shape[1], generator=generator)
    kept = kept[:, order]
    rank = kept.cumsum(dim=1)
    # the places of the kept points in a row; those of the others go to a last column that nobody reads
    listed = torch.zeros(len(kept), clouds.shape[1] + 1, dtype=torch.int64)
    listed.scatter_(1, torch.where(kept, rank - 1, clouds.shape[1]), order.expand_as(kept))
    chosen = listed.gather(1, torch.arange(points) % rank[:, -1:])  # (B, Q)
    return clouds.gather(1, chosen[:, :, None].expand(-1, -1, 3))


def draw_linear_maps(count: int, config: ViewsConfig, generator: torch.Generator) -> Tensor:
    """Rotation times mirror times stretch of each object, (B, 3, 3) float64: points become ``points @ matrix.T``."""
    stretch = draw_stretches(count, config.stretch, config.mirror, generator)
    turn = draw_turns(count, config.turn, generator)
    if config.pose == "any":
        turn = draw_rotations(count, generator)
    return turn * stretch[:, None]


def principal_view(batch: Batch, config: ViewsConfig) -> Tensor:
    """The map as it is, or on the object's principal axes in one of the ways, (B, K, L+1, L+1) standardised."""
    if config.pose not in PRINCIPAL:
        return batch.maps
    standardise = batch.standardise
    framed, _ = PRINCIPAL[config.pose]
    return standardise(framed(standardise.undo(batch.maps).numpy(), standardise.basis))


def inference_views(maps: NDArray[np.float32], standardise: Standardiser, config: ViewsConfig) -> Iterator[Tensor]:
    """What features are taken from: the map, or the ways in which it stands on its principal axes.

    Parameters
    ----------
    maps : ndarray, shape (B, K, L+1, L+1), float32
        Not standardised.
    standardise : Standardiser
        Of the run.
    config : ViewsConfig
        Settings.

    Yields
    ------
    Tensor, shape (B, K, L+1, L+1)
        Standardised.
    """
    if config.pose not in PRINCIPAL:
        yield standardise(maps)
        return
    onto, ways = PRINCIPAL[config.pose]
    framed = onto(maps, standardise.basis)
    for signs in ways:
        yield standardise(apply_half_turn(framed, standardise.basis, signs))
