"""Shape completion: from the map of an object that lacks one side to the map of the whole object.

This task is from this project and in no paper. The missing side is not determined, so a condition
has several good completions. The points of an object must be stored with its map (``prep
--keep-points``). There are two kinds of parts:

* ``half-space``: a random share of the points is removed, those with the largest x . u for a random
  direction u.
* ``view``: the points remain that a distant depth camera sees from a random direction u. On a grid
  of square cells across u, these are the points at most ``depth`` behind the foremost point of
  their cell.

The map of the part is computed as ``prep`` computes that of any cloud, and standardised as the
whole maps are. Its masses sum to one, so it does not reveal how much is missing. It has the centre
and size of the whole object. With ``recentre`` the part alone is moved into the unit ball, as a
scan of an unknown object would be.

Letters in shapes: B batch, P points of a cloud, Q points drawn, C, H, W of the maps.
"""

import math
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from data_prep.basis import Basis
from data_prep.geometry.unit_ball import move_to_unit_ball
from data_prep.pipeline.shape_to_map import clouds_to_maps
from pretext.data.batch import Batch, Example, Problem
from pretext.randomness import rand
from pretext.tasks.corruption.clouds import alter_whole_clouds, draw_directions, require_clouds, require_point_maps
from spectral_ssl.ground.config import check_ranges, within
from spectral_ssl.ground.errors import ObjectError, UserError

DIAMETER = 2.0  # of the unit ball, which the grid of a view spans


@dataclass(frozen=True, kw_only=True)
class CompleteShapeConfig:
    """Settings of the task.

    Attributes
    ----------
    kind : {"half-space", "view"}
        The kind of part that remains.
    smallest, largest : float
        Limits of the share of the points that a half-space removes, which is drawn uniformly.
    cells : int
        Number of cells on a side of the grid of a view. Each cell should hold several points of a
        surface, or points behind it count as visible: 2048 points on a sphere of radius 0.8 leave 7
        for each of 12 x 12 cells in its centre.
    depth : float
        Largest distance of a visible point behind the foremost point of its cell, in radii of the
        unit ball. It should be about the side of a cell, so that slanted surfaces are not cut into
        stripes. Both sides of plates thinner than that are visible.
    points : int
        Number of points that the map of the part is computed from, drawn at random and repeated if
        fewer remain; 0 for all that remain.
    recentre : bool
        Whether the part is centred and scaled by itself.
    stretch : float
        Each object is first altered as a whole, and its map computed again, so that few objects
        give more varied features. Each axis is stretched by e^u, with u uniform in +-``stretch``.
    turn : float
        The stretched object is turned about the vertical by an angle uniform in +-``turn`` radians.
    mirror : bool
        Whether x and y are mirrored before that, each with probability 1/2.
    """

    kind: Literal["half-space", "view"] = "half-space"
    smallest: float = field(default=0.3, metadata=within(0.0, "largest"))
    largest: float = field(default=0.6, metadata=within(0.0, 0.99))
    cells: int = field(default=12, metadata=within(1, 1000))
    depth: float = field(default=0.2, metadata=within(0.0, 2.0))
    points: int = field(default=0, metadata=within(0, 1_000_000))
    recentre: bool = False
    stretch: float = field(default=0.0, metadata=within(0.0, 3.0))
    turn: float = field(default=0.0, metadata=within(0.0, math.pi))
    mirror: bool = False

    def __post_init__(self) -> None:
        check_ranges(self, "task")


def complete_shape_problem(basis: Basis, config: CompleteShapeConfig) -> Problem:
    """Build the problem from maps to maps.

    Raises
    ------
    UserError
        If the maps are not computed from points, or no points would be removed.
    """
    require_point_maps(basis, "complete-shape")
    if config.kind == "half-space" and config.largest == 0:
        raise UserError("no points would be removed from the shapes", "task.largest = 0", "raise task.largest")
    return Problem(condition=basis.shape, target=basis.shape, bounded=False)


def complete_shape(batch: Batch, config: CompleteShapeConfig, generator: torch.Generator) -> Example:
    """Remove a part of the points of each object and compute the map of the rest.

    Parameters
    ----------
    batch : Batch
        Whole maps (B, C, H, W) and their clouds (B, P, 3).
    config : CompleteShapeConfig
        Settings.
    generator : torch.Generator
        The only source of random numbers.

    Returns
    -------
    Example
        Maps of the parts, maps of the whole objects, weight 1 for every coefficient.

    Raises
    ------
    UserError
        If the batch has no clouds.
    """
    points = require_clouds(batch.points, "complete-shape")
    # points are stored as float16, and rounding may move a point near the sphere outside of it
    clouds = points / points.norm(dim=2, keepdim=True).clamp(min=1.0)
    basis, threads = batch.standardise.basis, torch.get_num_threads()
    target = batch.maps
    if not keeps_whole_shapes(config):
        clouds = alter_whole_clouds(
            clouds, generator, stretch=config.stretch, turn=config.turn, mirror=config.mirror, reach=basis.reach
        )
        target = batch.standardise(clouds_to_maps(clouds.numpy(), basis, threads=threads))
    directions = draw_directions(len(clouds), generator)
    if config.kind == "half-space":
        removed = config.smallest + (config.largest - config.smallest) * rand(len(clouds), generator=generator)
        selected = select_outside_half_space(clouds, directions, removed)
    else:
        selected = select_visible(clouds, directions, config.cells, config.depth)
    if config.points:
        clouds, selected = draw_selected(clouds, selected, config.points, generator)
    if config.recentre:
        clouds = recentre_clouds(clouds, selected, basis)
    weights = selected.double() / selected.sum(dim=1, keepdim=True)
    maps = clouds_to_maps(clouds.numpy(), basis, weights.numpy(), threads)
    valid = batch.standardise.valid.expand_as(target).to(target.dtype)
    return Example(batch.standardise(maps), target, valid)


def keeps_whole_shapes(config: CompleteShapeConfig) -> bool:
    """Tell whether the whole objects keep their maps; otherwise these are computed from the altered clouds."""
    return not (config.stretch or config.turn or config.mirror)


def select_outside_half_space(clouds: Tensor, directions: Tensor, removed: Tensor) -> Tensor:
    """Select the points that remain when those farthest along a direction are removed.

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
    along = (clouds @ directions[:, :, None])[:, :, 0]  # (B, P)
    order = along.argsort(dim=1, stable=True)  # stable: clouds may repeat points
    rank = torch.empty_like(order).scatter_(1, order, torch.arange(count).expand_as(order))
    remaining = (count - (removed.double() * count).round()).clamp(min=1)
    return rank < remaining[:, None]


def select_visible(clouds: Tensor, directions: Tensor, cells: int, depth: float) -> Tensor:
    """Select the points that a distant observer sees from a direction.

    Parameters
    ----------
    clouds : Tensor, shape (B, P, 3)
        Points in the unit ball.
    directions : Tensor, shape (B, 3)
        Unit vectors from the object to the observer.
    cells : int
        Number of cells on a side of the grid over the unit disc across the direction.
    depth : float
        Largest distance of a visible point behind the foremost point of its cell.

    Returns
    -------
    Tensor, shape (B, P), bool
        True for the visible points, at least one of each cloud.
    """
    right, up = _find_perpendicular_axes(directions)
    nearness = (clouds @ directions[:, :, None])[:, :, 0]  # (B, P)
    columns, rows = (
        ((clouds @ axis[:, :, None])[:, :, 0] + 1).mul(cells / DIAMETER).floor().clamp(0, cells - 1).long()
        for axis in (right, up)
    )
    cell = rows * cells + columns
    foremost = torch.full((len(clouds), cells * cells), -torch.inf)
    foremost = foremost.scatter_reduce(1, cell, nearness, "amax")
    return nearness >= foremost.gather(1, cell) - depth


def draw_selected(clouds: Tensor, selected: Tensor, points: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw a number of the selected points of each cloud, in random order.

    Points repeat if there are too few.

    Parameters
    ----------
    clouds : Tensor, shape (B, P, 3)
        Points of the objects.
    selected : Tensor, shape (B, P), bool
        The selected points, at least one of each cloud.
    points : int
        Number Q of points to draw.
    generator : torch.Generator
        The random number generator of the order.

    Returns
    -------
    clouds : Tensor, shape (B, Q, 3)
        The drawn points.
    selected : Tensor, shape (B, Q), bool
        True for all of them.
    """
    keys = rand(*selected.shape, generator=generator).masked_fill(~selected, 2.0)
    order = keys.argsort(dim=1, stable=True)  # selected points first
    positions = torch.arange(points) % selected.sum(dim=1, keepdim=True)  # (B, Q)
    rows = order.gather(1, positions)
    drawn = clouds.gather(1, rows[:, :, None].expand(-1, -1, 3))
    return drawn, torch.ones(drawn.shape[:2], dtype=torch.bool)


def recentre_clouds(clouds: Tensor, selected: Tensor, basis: Basis) -> Tensor:
    """Move the selected points of clouds into the unit ball, and all other points to the origin.

    A part whose points all coincide has no size; it does not move.

    Parameters
    ----------
    clouds : Tensor, shape (B, P, 3)
        Points of the objects.
    selected : Tensor, shape (B, P), bool
        The selected points, at least one of each cloud.
    basis : Basis
        Basis of the maps, which says what share of the points the unit ball must hold.

    Returns
    -------
    Tensor, shape (B, P, 3), float32
    """
    result = np.zeros(clouds.shape, np.float32)
    for cloud, mask, moved in zip(clouds.numpy(), selected.numpy(), result, strict=True):
        try:
            moved[mask] = move_to_unit_ball(cloud[mask], reach=basis.reach)
        except ObjectError:
            moved[mask] = cloud[mask]
    return torch.from_numpy(result)


def _find_perpendicular_axes(directions: Tensor) -> tuple[Tensor, Tensor]:
    """Find two unit vectors (B, 3) perpendicular to directions (B, 3) and to each other."""
    # the coordinate axis with the smallest component along a direction cannot be parallel to it
    axis = torch.nn.functional.one_hot(directions.abs().argmin(dim=1), 3).to(directions.dtype)
    right = torch.linalg.cross(axis, directions)
    right = right / right.norm(dim=1, keepdim=True)
    return right, torch.linalg.cross(directions, right)
