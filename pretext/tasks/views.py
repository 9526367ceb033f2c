"""Two views of one object, which a joint embedding maps to similar features.

The points of each object are altered twice, independently, and the maps of both clouds are computed
as by ``prep``:

1. the points in a random half-space are removed (their share is uniform up to ``crop``);
2. ``points`` of the remaining points are drawn;
3. each axis is stretched by e^u, u uniform in +-``stretch``; x and y are mirrored, each with
   probability 1/2;
4. the object is turned about the vertical by an angle uniform in +-``turn``, or rotated at random;
5. each point is moved by Gaussian noise of standard deviation ``jitter``;
6. the cloud is centred and scaled into the unit ball.

Condition and target are the two maps, standardised as the whole maps are. The alterations are
simple on points: on maps, a crop or an uneven stretch mixes coefficients of all degrees. A small
number of points also brings the sampling noise of real clouds.

With ``pose="principal"`` an object is first turned onto its principal axes. Their signs leave four
orientations open (``data_prep.transforms.principal_frame``); one of them is drawn and used for both
views. The longest axis of the object is then x and the shortest is z, about which step 4 turns.
Features are computed in all four orientations, and their mean and standard deviation are returned.
So neither training nor features depend on the original pose, up to rounding. With
``principal-upright`` the same holds for turns about the vertical, with two orientations.

Letters in shapes: B batch, P points of a cloud, Q points of a view, K radial channels, L highest
degree.
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
from data_prep.pipeline.shape_to_map import clouds_to_maps, samples_points
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
    require_clouds,
    scale_into_unit_ball,
    turn_onto_principal_axes,
)
from spectral_ssl.ground.config import check_ranges, within
from spectral_ssl.ground.errors import UserError

# functions that turn maps onto principal axes, and the orientations that the signs of the axes
# leave open
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
        Number of points drawn from the rest, repeated if fewer remain; 0 for the number of points
        of the cloud.
    stretch : float
        Largest absolute logarithm of the factor by which an axis is stretched.
    mirror : bool
        Whether x and y are mirrored, each with probability 1/2.
    turn : float
        Largest angle of the turn about the vertical in radians; pi for all angles.
    pose : {"upright", "any", "principal", "principal-upright"}
        "upright": the object is turned about the vertical. "any": it is rotated uniformly, and
        ``turn`` is ignored. "principal": it is first turned onto its principal axes, and then about
        the shortest of them. "principal-upright": its longer horizontal axis is first turned onto
        x, and then it is turned about the vertical.
    jitter : float
        Standard deviation of the noise of each coordinate, before the cloud is scaled into the unit
        ball.
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
    """Build the problem, or raise a UserError if the maps are not computed from points."""
    if not samples_points(basis.kind, basis.sampling):
        got = f"maps of kind {basis.kind!r}, sampling {basis.sampling!r}"
        what_to_do = "prepare shapes with --keep-points and --basis zernike or sh"
        if basis.kind == "pixels":
            what_to_do = "choose the task picture-views"
        raise UserError("the task views needs maps computed from points", got, what_to_do)
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
        The only source of random numbers.

    Returns
    -------
    Example
        The maps of the two views, weight 1 for every coefficient.

    Raises
    ------
    UserError
        If the batch has no clouds.
    """
    points = require_clouds(batch.points, "views")
    basis, threads = batch.standardise.basis, torch.get_num_threads()
    if config.pose in PRINCIPAL:
        upright = config.pose == "principal-upright"
        signs = draw_half_turns(len(points), generator, upright)  # (B, 3)
        points = turn_onto_principal_axes(points, upright) * signs[:, None].to(points.dtype)
    clouds = [alter_clouds(points, config, basis.reach, generator) for _ in range(2)]
    first, second = (batch.standardise(clouds_to_maps(cloud.numpy(), basis, threads=threads)) for cloud in clouds)
    return Example(first, second, batch.standardise.valid.expand_as(first).to(first.dtype))


def alter_clouds(clouds: Tensor, config: ViewsConfig, reach: float, generator: torch.Generator) -> Tensor:
    """Make a view of each cloud.

    Parameters
    ----------
    clouds : Tensor, shape (B, P, 3)
        Points of the objects.
    config : ViewsConfig
        Settings.
    reach : float
        Share of the points that the unit ball must hold, from the basis
        (``data_prep.geometry.unit_ball``).
    generator : torch.Generator
        The only source of random numbers.

    Returns
    -------
    Tensor, shape (B, Q, 3), of the clouds' dtype
        Points in the unit ball; Q is ``points``, or P if that is 0.
    """
    count, points = clouds.shape[:2]
    removed = config.crop * rand(count, generator=generator)
    remaining = select_remaining(clouds, draw_directions(count, generator), removed)
    drawn = sample_points(clouds, remaining, config.points or points, generator)
    moved = drawn @ draw_linear_maps(count, config, generator).transpose(1, 2).to(drawn.dtype)
    if config.jitter:
        moved = moved + config.jitter * randn(*moved.shape, generator=generator).to(drawn.dtype)
    return scale_into_unit_ball(moved, reach)


def select_remaining(clouds: Tensor, directions: Tensor, removed: Tensor) -> Tensor:
    """Select the points that remain when those farthest along a direction are removed.

    The result differs from that of ``complete_shape.select_outside_half_space`` only for points
    that lie equally far. This function sorts values and no ranks, because numpy's sort is many
    times as fast as the argsort of either library.

    Parameters
    ----------
    clouds : Tensor, shape (B, P, 3)
        Points of the objects.
    directions : Tensor, shape (B, 3)
        A direction for each object.
    removed : Tensor, shape (B,)
        The share of the points to remove, rounded to points; at least one point remains.

    Returns
    -------
    Tensor, shape (B, P), bool
        True for the points that remain.
    """
    count = clouds.shape[1]
    along = (clouds @ directions[:, :, None].to(clouds.dtype))[:, :, 0].contiguous()  # (B, P)
    remaining = (count - (removed.double() * count).round()).clamp(min=1).long()
    farthest = torch.from_numpy(np.sort(along.numpy(), axis=1)).gather(1, remaining[:, None] - 1)
    return along <= farthest


def sample_points(clouds: Tensor, selected: Tensor, points: int, generator: torch.Generator) -> Tensor:
    """Draw a number of the selected points of each cloud; points repeat if there are too few.

    A single permutation serves the whole batch, because the points of different clouds are
    unrelated.

    Parameters
    ----------
    clouds : Tensor, shape (B, P, 3)
        Points of the objects.
    selected : Tensor, shape (B, P), bool
        The selected points, at least one of each cloud.
    points : int
        Number Q of points to draw.
    generator : torch.Generator
        The random number generator of the permutation.

    Returns
    -------
    Tensor, shape (B, Q, 3)
        The drawn points.
    """
    order = torch.randperm(clouds.shape[1], generator=generator)
    selected = selected[:, order]
    rank = selected.cumsum(dim=1)
    # the rows of the selected points come first; those of all others go to an extra last column
    # that is never read
    rows = torch.zeros(len(selected), clouds.shape[1] + 1, dtype=torch.int64)
    rows.scatter_(1, torch.where(selected, rank - 1, clouds.shape[1]), order.expand_as(selected))
    drawn = rows.gather(1, torch.arange(points) % rank[:, -1:])  # (B, Q)
    return clouds.gather(1, drawn[:, :, None].expand(-1, -1, 3))


def draw_linear_maps(count: int, config: ViewsConfig, generator: torch.Generator) -> Tensor:
    """Draw rotation times mirror times stretch of each object, (B, 3, 3) float64.

    Points become ``points @ matrix.T``.
    """
    stretch = draw_stretches(count, config.stretch, config.mirror, generator)
    turn = draw_turns(count, config.turn, generator)
    if config.pose == "any":
        turn = draw_rotations(count, generator)
    return turn * stretch[:, None]


def principal_view(batch: Batch, config: ViewsConfig) -> Tensor:
    """Return the standardised maps, or those turned onto principal axes in one orientation."""
    if config.pose not in PRINCIPAL:
        return batch.maps
    standardise = batch.standardise
    turn_to_frame, _ = PRINCIPAL[config.pose]
    return standardise(turn_to_frame(standardise.undo(batch.maps).numpy(), standardise.basis))


def inference_views(maps: NDArray[np.float32], standardise: Standardiser, config: ViewsConfig) -> Iterator[Tensor]:
    """Yield the inputs for features: the maps, or the maps on principal axes in each orientation.

    Parameters
    ----------
    maps : ndarray, shape (B, K, L+1, L+1), float32
        Maps that are not standardised.
    standardise : Standardiser
        Basis and statistics of the run.
    config : ViewsConfig
        Settings.

    Yields
    ------
    Tensor, shape (B, K, L+1, L+1)
        Standardised maps.
    """
    if config.pose not in PRINCIPAL:
        yield standardise(maps)
        return
    turn_to_frame, orientations = PRINCIPAL[config.pose]
    turned = turn_to_frame(maps, standardise.basis)
    for signs in orientations:
        yield standardise(apply_half_turn(turned, standardise.basis, signs))
