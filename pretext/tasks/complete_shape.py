"""Completing shapes: the map of an object of which one side is missing in, the map of the whole object out.

This project's own task, in no paper: what lies on the side not seen is open, so that one condition has several good
answers. The points of an object are kept beside its map (``prep --keep-points``). Of these, one of two parts is left:

* ``half-space``: in a random direction u a random share of the points, those with the largest x . u, is removed;
* ``view``: what is seen from a random direction u, as a depth camera far away would: on a grid of square cells
  across u only points stay that are at most ``depth`` behind the foremost point of their cell.

The map of the part is made as ``prep`` makes that of any cloud (masses sum to one: how much is missing is not given
away), and standardised as the whole maps are. It stays in the frame of the whole object, its centre and size, unless
``recentre`` is set: then it is brought into the unit ball by itself, as a scan of an unknown object would be.
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
from pretext.tasks.corruption.clouds import draw_directions, draw_stretches, draw_turns, scale_into_unit_ball
from spectral_ssl.ground.config import check_ranges, within
from spectral_ssl.ground.errors import ObjectError, UserError

DIAMETER = 2.0  # of the unit ball, which the grid of a view spans


@dataclass(frozen=True, kw_only=True)
class CompleteShapeConfig:
    """Settings of the task.

    Attributes
    ----------
    kind : {"half-space", "view"}
        What is seen of an object.
    smallest, largest : float
        Limits of the share of the points that a half-space removes (drawn uniformly).
    cells : int
        Cells on a side of the grid of a view. Each should hold several points of a surface, or what lies behind it is
        seen through: 2048 points on a sphere of radius 0.8 leave 7 for each of 12 x 12 cells in its middle.
    depth : float
        How far behind the foremost point of a cell others are still seen, in radii of the unit ball; about the side of
        a cell, so that slanting surfaces are not cut into stripes. Plates thinner than that are seen on both sides.
    points : int
        Points of the seen part that its map is made from, drawn at random, repeated where fewer are left; 0 for all
        that are left.
    recentre : bool
        Whether the part gets a centre and a size of its own.
    stretch, turn : float
        Each object is first altered as a whole, its map made anew: each axis stretched by e^u, u uniform in
        +-``stretch``, then turned about the vertical by an angle uniform in +-``turn`` radians. For features: copies
        of few objects count as more objects.
    mirror : bool
        Whether x and y are mirrored beforehand, each with probability 1/2.
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
    """Maps in, maps out. Raises UserError when the maps are not made from points, or nothing is taken away."""
    if basis.kind not in ("zernike", "sh") or basis.sampling in ("quadrature", "solid"):
        got = f"maps of kind {basis.kind!r}, sampling {basis.sampling!r}"
        what_to_do = "prepare shapes with --keep-points and --basis zernike or sh"
        raise UserError("the task complete-shape needs maps made from points", got, what_to_do)
    if config.kind == "half-space" and config.largest == 0:
        raise UserError("nothing is taken away from the shapes", "task.largest = 0", "give the largest share removed")
    return Problem(condition=basis.shape, target=basis.shape, bounded=False)


def complete_shape(batch: Batch, config: CompleteShapeConfig, generator: torch.Generator) -> Example:
    """Take a part of the points of each object away and make the map of the rest.

    Parameters
    ----------
    batch : Batch
        Whole maps (B, C, H, W) and their clouds (B, P, 3).
    config : CompleteShapeConfig
        Settings.
    generator : torch.Generator
        The only source of randomness.

    Returns
    -------
    Example
        Maps of the parts, maps of the whole objects, weight 1 wherever there is a coefficient.

    Raises
    ------
    UserError
        When the batch has no clouds.
    """
    if batch.points is None:
        raise UserError("the task complete-shape needs clouds", "maps alone", "prepare them with --keep-points")
    # stored as float16, a point near the sphere may have been rounded to a place outside it
    clouds = batch.points / batch.points.norm(dim=2, keepdim=True).clamp(min=1.0)
    basis, threads = batch.standardise.basis, torch.get_num_threads()
    target = batch.maps
    if config.stretch or config.turn or config.mirror:
        moves = draw_turns(len(clouds), config.turn, generator)
        moves = moves * draw_stretches(len(clouds), config.stretch, config.mirror, generator)[:, None]
        clouds = scale_into_unit_ball(clouds @ moves.transpose(1, 2).to(clouds.dtype), basis.reach)
        target = batch.standardise(clouds_to_maps(clouds.numpy(), basis, threads=threads))
    directions = draw_directions(len(clouds), generator)
    if config.kind == "half-space":
        removed = config.smallest + (config.largest - config.smallest) * rand(len(clouds), generator=generator)
        kept = select_outside_half_space(clouds, directions, removed)
    else:
        kept = select_visible(clouds, directions, config.cells, config.depth)
    if config.points:
        clouds, kept = draw_selected(clouds, kept, config.points, generator)
    if config.recentre:
        clouds = recentre_clouds(clouds, kept, basis)
    weights = kept.double() / kept.sum(dim=1, keepdim=True)
    maps = clouds_to_maps(clouds.numpy(), basis, weights.numpy(), threads)
    valid = batch.standardise.valid.expand_as(target).to(target.dtype)
    return Example(batch.standardise(maps), target, valid)


def select_outside_half_space(clouds: Tensor, directions: Tensor, removed: Tensor) -> Tensor:
    """Which points stay when those farthest along a direction are removed.

    Parameters
    ----------
    clouds : Tensor, shape (B, P, 3)
    directions : Tensor, shape (B, 3)
    removed : Tensor, shape (B,)
        The share of the points to remove, rounded to points; at least one point stays.

    Returns
    -------
    Tensor, shape (B, P), bool
    """
    count = clouds.shape[1]
    along = (clouds @ directions[:, :, None])[:, :, 0]  # (B, P)
    order = along.argsort(dim=1, stable=True)  # stable: clouds may repeat points
    rank = torch.empty_like(order).scatter_(1, order, torch.arange(count).expand_as(order))
    stay = (count - (removed.double() * count).round()).clamp(min=1)
    return rank < stay[:, None]


def select_visible(clouds: Tensor, directions: Tensor, cells: int, depth: float) -> Tensor:
    """Which points an observer far away in a direction sees.

    Parameters
    ----------
    clouds : Tensor, shape (B, P, 3)
        In the unit ball.
    directions : Tensor, shape (B, 3)
        Unit vectors from the object to the observer.
    cells : int
        Cells on a side of the grid over the unit disc across the direction.
    depth : float
        How far behind the foremost point of a cell others are still seen.

    Returns
    -------
    Tensor, shape (B, P), bool
        At least one point of each cloud.
    """
    right, up = _across(directions)
    nearness = (clouds @ directions[:, :, None])[:, :, 0]  # (B, P)
    columns, rows = (
        ((clouds @ axis[:, :, None])[:, :, 0] + 1).mul(cells / DIAMETER).floor().clamp(0, cells - 1).long()
        for axis in (right, up)
    )
    cell = rows * cells + columns
    foremost = torch.full((len(clouds), cells * cells), -torch.inf)
    foremost = foremost.scatter_reduce(1, cell, nearness, "amax")
    return nearness >= foremost.gather(1, cell) - depth


def draw_selected(clouds: Tensor, kept: Tensor, points: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """So many of the kept points of each cloud, in random order, all of them again where they are too few.

    Parameters
    ----------
    clouds : Tensor, shape (B, P, 3)
    kept : Tensor, shape (B, P), bool
        At least one of each cloud.
    points : int
        Number Q of points to draw.
    generator : torch.Generator
        Draws the order.

    Returns
    -------
    clouds : Tensor, shape (B, Q, 3)
    kept : Tensor, shape (B, Q), bool
        True throughout.
    """
    keys = rand(*kept.shape, generator=generator).masked_fill(~kept, 2.0)
    order = keys.argsort(dim=1, stable=True)  # kept points first
    places = torch.arange(points) % kept.sum(dim=1, keepdim=True)  # (B, Q)
    chosen = order.gather(1, places)
    drawn = clouds.gather(1, chosen[:, :, None].expand(-1, -1, 3))
    return drawn, torch.ones(drawn.shape[:2], dtype=torch.bool)


def recentre_clouds(clouds: Tensor, kept: Tensor, basis: Basis) -> Tensor:
    """Clouds (B, P, 3) whose kept points fill the unit ball; the others lie at the origin.

    A part that is a single place has no size; it stays where it is.
    """
    moved = np.zeros(clouds.shape, np.float32)
    for cloud, keep, into in zip(clouds.numpy(), kept.numpy(), moved, strict=True):
        try:
            into[keep] = move_to_unit_ball(cloud[keep], reach=basis.reach)
        except ObjectError:
            into[keep] = cloud[keep]
    return torch.from_numpy(moved)


def _across(directions: Tensor) -> tuple[Tensor, Tensor]:
    """Two unit vectors (B, 3) at right angles to unit vectors (B, 3) and to each other."""
    # the axis least along the direction cannot be parallel to it
    axis = torch.nn.functional.one_hot(directions.abs().argmin(dim=1), 3).to(directions.dtype)
    right = torch.linalg.cross(axis, directions)
    right = right / right.norm(dim=1, keepdim=True)
    return right, torch.linalg.cross(directions, right)
