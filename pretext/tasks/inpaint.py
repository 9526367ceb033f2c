"""Inpainting: a part of a picture is hidden and to be painted in.

Image completion of the first paper (cGML, section 5.3): training on squares of random size at random places, evaluation
at fixed shares of the area (``share``, e.g. 0.1, 0.15, 0.25); the fixed square in the middle and irregular masks are
named there too. The error counts in the hole only; the research code also has a variant with 0.2 in the hole and 1.0 in
a ring of 5 pixels around it (``hole_weight = 0.2``, ``border_weight = 1.0``).
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from data_prep.basis import Basis
from pretext.data.batch import Batch, Example, Problem, need_pictures
from pretext.randomness import rand
from pretext.tasks.corruption.masks import border_ring, centre_square, random_squares, random_strokes, square_sides
from spectral_ssl.ground.config import check_range
from spectral_ssl.ground.errors import UserError

LEAST, MOST = 1e-4, 0.99


@dataclass(frozen=True, kw_only=True)
class InpaintConfig:
    """Settings of the task.

    Attributes
    ----------
    mask : {"squares", "centre", "irregular"}
        Squares at random places, one in the middle, or strokes of a wandering pen.
    smallest, largest : float
        Limits of the hidden share of the area, drawn uniformly; a square in the middle takes ``largest``.
    share : float
        The hidden share of the area where it shall be the same for all, as for evaluation; 0 to draw it.
    hole_weight, border_weight : float
        Weight of the values in the hole and in the ring around it; elsewhere it is 0.
    border : int
        Width of the ring in pixels.
    """

    mask: Literal["squares", "centre", "irregular"] = "squares"
    smallest: float = 0.1
    largest: float = 0.4
    share: float = 0.0
    hole_weight: float = 1.0
    border_weight: float = 0.0
    border: int = 5

    def __post_init__(self) -> None:
        # a mask that covers everything or nothing leaves nothing to go by, or nothing to do
        check_range("task.largest", self.largest, LEAST, MOST)
        check_range("task.smallest", self.smallest, LEAST, self.largest)
        if self.share != 0:
            check_range("task.share", self.share, LEAST, MOST)
        check_range("task.hole_weight", self.hole_weight, 1e-3, 100.0)
        check_range("task.border_weight", self.border_weight, 0.0, 100.0)
        check_range("task.border", self.border, 0, 1000)

    @property
    def shares(self) -> tuple[float, float]:
        """Limits of the hidden share of the area."""
        if self.share:
            return self.share, self.share
        return (self.largest, self.largest) if self.mask == "centre" else (self.smallest, self.largest)


def inpaint_problem(basis: Basis, config: InpaintConfig) -> Problem:
    """Pictures in, pictures out.

    Raises
    ------
    UserError
        When the data are no single pictures, or at their size a mask would cover everything or nothing.
    """
    need_pictures("inpaint", basis)
    _, height, width = basis.shape
    for share in config.shares:
        if config.mask == "irregular":
            hidden = round(share * height * width)
        else:
            rows, columns = square_sides(height, width, share)
            hidden = rows * columns
        if not 0 < hidden < height * width:
            what = "everything" if hidden else "nothing"
            got = f"a share of {share:g} of {height} x {width} pixels"
            raise UserError(f"the mask would cover {what}", got, "set task.share, task.smallest or task.largest")
    return Problem(condition=basis.shape, target=basis.shape, bounded=True, hole=True)


def inpaint(batch: Batch, config: InpaintConfig, generator: torch.Generator) -> Example:
    """Hide a part of each picture.

    Parameters
    ----------
    batch : Batch
        Pictures (B, C, H, W) in [-1, 1].
    config : InpaintConfig
        Settings.
    generator : torch.Generator
        The only source of randomness.

    Returns
    -------
    Example
        Pictures with zeros (grey) in the hole, the whole pictures, and weights.
    """
    pictures = batch.maps
    inside = hidden_parts(pictures, config, generator)
    weight = config.hole_weight * inside.to(pictures.dtype)
    if config.border_weight > 0 and config.border > 0:
        weight = weight + config.border_weight * border_ring(inside, config.border)
    condition = torch.where(inside, 0.0, pictures)
    return Example(condition, pictures, weight.expand_as(pictures))


def hidden_parts(pictures: Tensor, config: InpaintConfig, generator: torch.Generator) -> Tensor:
    """The holes of a batch of pictures (B, C, H, W): (B, 1, H, W) bool."""
    samples, _, height, width = pictures.shape
    low, high = config.shares
    if config.mask == "centre":
        return centre_square(height, width, high).expand(samples, -1, -1, -1)
    shares = low + (high - low) * rand(samples, generator=generator)
    draw = random_squares if config.mask == "squares" else random_strokes
    return draw(samples, height, width, shares, generator)
