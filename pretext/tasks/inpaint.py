"""Inpainting: a part of an image is hidden, and the network predicts it.

Source: the image completion of the first paper (cGML, section 5.3). It trains on squares of random
size and position, and evaluates at fixed shares of the area (``share``, e.g. 0.1, 0.15, 0.25). It
also names a fixed square in the centre and irregular masks. The error counts in the hole only. The
research code has a variant with weight 0.2 in the hole and 1.0 in a ring of 5 pixels around it
(``hole_weight = 0.2``, ``border_weight = 1.0``).

Letters in shapes: B batch, C channels, H, W of the images.
"""

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from data_prep.basis import Basis
from pretext.data.batch import Batch, Example, Problem, require_images
from pretext.randomness import rand
from pretext.tasks.corruption.masks import (
    compute_square_sides,
    draw_squares,
    draw_strokes,
    make_border_ring,
    make_centre_square,
)
from spectral_ssl.ground.config import check_ranges, within
from spectral_ssl.ground.errors import UserError

# A mask over everything leaves no context, and an empty mask leaves nothing to complete.
LEAST, MOST = 1e-4, 0.99


@dataclass(frozen=True, kw_only=True)
class InpaintConfig:
    """Settings of the task.

    Attributes
    ----------
    mask : {"squares", "centre", "irregular"}
        A square at a random position, a square in the centre, or strokes of a pen that moves at
        random.
    smallest, largest : float
        Limits of the hidden share of the area, which is drawn uniformly; a square in the centre
        uses ``largest``.
    share : float
        A hidden share of the area that is the same for all images, as in evaluation; 0 to draw it.
    hole_weight, border_weight : float
        Weights of the values in the hole and in the ring around it; elsewhere the weight is 0.
    border : int
        Width of the ring in pixels.
    """

    mask: Literal["squares", "centre", "irregular"] = "squares"
    smallest: float = field(default=0.1, metadata=within(LEAST, "largest"))
    largest: float = field(default=0.4, metadata=within(LEAST, MOST))
    share: float = field(default=0.0, metadata=within(LEAST, MOST, or_zero=True))
    hole_weight: float = field(default=1.0, metadata=within(1e-3, 100.0))
    border_weight: float = field(default=0.0, metadata=within(0.0, 100.0))
    border: int = field(default=5, metadata=within(0, 1000))

    def __post_init__(self) -> None:
        check_ranges(self, "task")

    @property
    def shares(self) -> tuple[float, float]:
        """The limits of the hidden share of the area."""
        if self.share:
            return self.share, self.share
        return (self.largest, self.largest) if self.mask == "centre" else (self.smallest, self.largest)


def inpaint_problem(basis: Basis, config: InpaintConfig) -> Problem:
    """Build the problem from images to images.

    Raises
    ------
    UserError
        If the data are no single images, or a mask would cover all pixels or none.
    """
    require_images("inpaint", basis)
    _, height, width = basis.shape
    for share in config.shares:
        if config.mask == "irregular":
            hidden = round(share * height * width)
        else:
            rows, columns = compute_square_sides(height, width, share)
            hidden = rows * columns
        if not 0 < hidden < height * width:
            extent = "everything" if hidden else "nothing"
            got = f"a share of {share:g} of {height} x {width} pixels"
            raise UserError(f"the mask would cover {extent}", got, "set task.share, task.smallest or task.largest")
    return Problem(condition=basis.shape, target=basis.shape, bounded=True, hole=True)


def inpaint(batch: Batch, config: InpaintConfig, generator: torch.Generator) -> Example:
    """Hide a part of each image.

    Parameters
    ----------
    batch : Batch
        Images (B, C, H, W) in [-1, 1].
    config : InpaintConfig
        Settings.
    generator : torch.Generator
        The only source of random numbers.

    Returns
    -------
    Example
        Images with zeros (grey) in the hole, the whole images, and weights.
    """
    images = batch.maps
    inside = draw_masks(images, config, generator)
    weight = config.hole_weight * inside.to(images.dtype)
    if config.border_weight > 0 and config.border > 0:
        weight = weight + config.border_weight * make_border_ring(inside, config.border)
    condition = torch.where(inside, 0.0, images)
    return Example(condition, images, weight.expand_as(images))


def draw_masks(images: Tensor, config: InpaintConfig, generator: torch.Generator) -> Tensor:
    """Draw the holes of images (B, C, H, W): (B, 1, H, W) bool, True inside."""
    samples, _, height, width = images.shape
    low, high = config.shares
    if config.mask == "centre":
        return make_centre_square(height, width, high).expand(samples, -1, -1, -1)
    shares = low + (high - low) * rand(samples, generator=generator)
    draw = draw_squares if config.mask == "squares" else draw_strokes
    return draw(samples, height, width, shares, generator)
