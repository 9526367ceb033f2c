"""Features by denoising: a part of the map of an altered object is hidden.

The task ``denoise`` hides a part of stored maps, which a network learns by heart if they are few.
Here each object is altered as a cloud first, so that no map occurs twice:

1. each axis is stretched by e^u, u uniform in +-``stretch``; x and y are mirrored, each with
   probability 1/2; the object is turned about the vertical by an angle uniform in +-``turn``. The
   map of all its points is the target.
2. ``points`` of the points are drawn. Their map has the sampling noise of a sparser cloud.
3. A block of cells of that map, or a band of its degrees, becomes 0, which is the mean of each
   standardised coefficient over the stored objects. This is the condition.

The alterations are in no paper. Step 3 is the cGML paper's pretext task for 3D shapes (section 5.4).

Letters in shapes: B batch, P points of a cloud, C, H, W of the maps.
"""

import math
from dataclasses import dataclass, field
from typing import Literal

import torch

from data_prep.basis import Basis
from data_prep.pipeline.shape_to_map import clouds_to_maps
from pretext.data.batch import Batch, Example, Problem
from pretext.tasks.complete_shape import draw_selected
from pretext.tasks.corruption.clouds import alter_whole_clouds, require_clouds, require_point_maps
from pretext.tasks.corruption.masks import draw_blocks, hides_everything
from pretext.tasks.denoise import LEAST_WEIGHT, draw_bands
from spectral_ssl.ground.config import check_ranges, within
from spectral_ssl.ground.errors import UserError


@dataclass(frozen=True, kw_only=True)
class MaskShapeConfig:
    """Settings of the task.

    Attributes
    ----------
    kind : {"block", "band"}
        What is hidden: a rectangle of the map's cells in all channels, or consecutive degrees l.
    smallest, largest : float
        Limits of the block's height and width as fractions of the map's, where each side is drawn
        uniformly; or of the band's width as a fraction of all degrees.
    context_weight : float
        Weight of the values outside the block or band, at least 0.001 in use; inside the weight is 1.
    points : int
        Number of points that the condition is computed from, repeated if there are fewer; 0 for all.
    stretch : float
        Largest absolute logarithm of the factor by which an axis is stretched.
    turn : float
        Largest angle of the turn about the vertical in radians; pi for all angles.
    mirror : bool
        Whether x and y are mirrored, each with probability 1/2.
    """

    kind: Literal["block", "band"] = "block"
    smallest: float = field(default=0.3, metadata=within(0.0, "largest"))
    largest: float = field(default=0.8, metadata=within(0.0, 1.0))
    context_weight: float = field(default=0.2, metadata=within(0.0, 1.0))
    points: int = field(default=1024, metadata=within(0, 1_000_000))
    stretch: float = field(default=0.35, metadata=within(0.0, 3.0))
    turn: float = field(default=0.25, metadata=within(0.0, math.pi))
    mirror: bool = True

    def __post_init__(self) -> None:
        check_ranges(self, "task")


def mask_shape_problem(basis: Basis, config: MaskShapeConfig) -> Problem:
    """Build the problem from maps to maps.

    Raises
    ------
    UserError
        If the maps are not computed from points, or everything or nothing would be hidden.
    """
    require_point_maps(basis, "mask-shape")
    sides = (basis.degree + 1,) if config.kind == "band" else basis.shape[1:]
    if hides_everything(config.smallest, sides):
        raise UserError("everything is hidden from the network", f"task.smallest = {config.smallest:g}", "lower it")
    if config.largest == 0:
        raise UserError("nothing is hidden", "task.largest = 0", "raise it")
    return Problem(condition=basis.shape, target=basis.shape, bounded=False)


def mask_shape(batch: Batch, config: MaskShapeConfig, generator: torch.Generator) -> Example:
    """Alter the objects of a batch and hide a part of their maps.

    Parameters
    ----------
    batch : Batch
        Clouds (B, P, 3); the maps are not read.
    config : MaskShapeConfig
        Settings.
    generator : torch.Generator
        The only source of random numbers.

    Returns
    -------
    Example
        The maps with a hidden part, those of the whole altered objects, and weights, which are 0 in
        cells without a coefficient.

    Raises
    ------
    UserError
        If the batch has no clouds.
    """
    points = require_clouds(batch.points, "mask-shape")
    basis, valid, threads = batch.standardise.basis, batch.standardise.valid, torch.get_num_threads()
    clouds = alter_whole_clouds(
        points, generator, stretch=config.stretch, turn=config.turn, mirror=config.mirror, reach=basis.reach
    )
    target = batch.standardise(clouds_to_maps(clouds.numpy(), basis, threads=threads))  # (B, C, H, W)
    visible = target
    if config.points:
        everything = torch.ones(clouds.shape[:2], dtype=torch.bool)
        drawn, _ = draw_selected(clouds, everything, config.points, generator)
        visible = batch.standardise(clouds_to_maps(drawn.numpy(), basis, threads=threads))
    samples, _, height, width = target.shape
    if config.kind == "band":
        inside = draw_bands(basis, samples, config.smallest, config.largest, generator)  # (B, C, H, W)
    else:
        inside = draw_blocks(samples, height, width, config.smallest, config.largest, generator)  # (B, 1, H, W)
    condition = visible.masked_fill(inside, 0.0) * valid
    weight = torch.where(inside, 1.0, max(config.context_weight, LEAST_WEIGHT)) * valid
    return Example(condition, target, weight.expand_as(target))
