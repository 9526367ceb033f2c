"""An alternate mode: a white mark stands in the hidden part of some targets, and nothing in the condition tells of it.

The first paper's second experiment on MNIST (cGML, section 5.1): a small white box on the top part of the target at
increasing rates; from a rate of about 0.3 on the method shall find both modes, with and without the box, from other
latents. Places are the poster's, in a frame of 32 pixels: rows 4:14 and columns 4:20 are hidden, the mark is a line in
rows 8:11 and columns 6:16. The paper does not say where its box is; ours is rows 6:12 and columns 9:15. Everything is
scaled to the size of the images.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from data_prep.basis import Basis
from pretext.data.batch import Batch, Example, Problem, need_pictures
from pretext.randomness import rand
from spectral_ssl.ground.config import check_range

Rectangle = tuple[int, int, int, int]  # first row, row after the last, first column, column after the last

FRAME = 32
HOLE: Rectangle = (4, 14, 4, 20)
MARKS: dict[str, Rectangle] = {"line": (8, 11, 6, 16), "box": (6, 12, 9, 15)}


@dataclass(frozen=True, kw_only=True)
class AlternateConfig:
    """Settings of the task.

    Attributes
    ----------
    rate : float
        Probability of the mark.
    mark : {"box", "line"}
        The paper's or the poster's.
    together : bool
        Whether the mark stands in all targets of a batch or in none (poster), or each is drawn by itself.
    """

    rate: float = 0.3
    mark: Literal["box", "line"] = "box"
    together: bool = False

    def __post_init__(self) -> None:
        check_range("task.rate", self.rate, 0.0, 1.0)


def alternate_problem(basis: Basis, config: AlternateConfig) -> Problem:
    """Pictures in, pictures out. Raises UserError where hole and mark would be less than a pixel."""
    need_pictures("alternate", basis, smallest_side=8)
    return Problem(condition=basis.shape, target=basis.shape, bounded=True, hole=True)


def alternate(batch: Batch, config: AlternateConfig, generator: torch.Generator) -> Example:
    """Hide a part of the images, and put the mark into some of the targets.

    Parameters
    ----------
    batch : Batch
        Clean images (B, C, H, W) in [-1, 1].
    config : AlternateConfig
        Settings.
    generator : torch.Generator
        The only source of randomness.

    Returns
    -------
    Example
        Images with zeros in the hole, the images with a white mark (1 in all channels) in some, weight 1 in the hole
        and 0 elsewhere.
    """
    images = batch.maps
    samples, _, height, width = images.shape
    hole, mark = rectangle(HOLE, height, width), rectangle(MARKS[config.mark], height, width)
    if config.together:  # one number for all, whoever works on the batch
        draws = torch.rand(1, 1, 1, 1, generator=generator)
    else:
        draws = rand(samples, 1, 1, 1, generator=generator)
    target = torch.where((draws < config.rate) & mark, 1.0, images)
    condition = torch.where(hole, 0.0, images)
    return Example(condition, target, hole.expand_as(target).to(target.dtype))


def rectangle(frame: Rectangle, height: int, width: int) -> Tensor:
    """A rectangle of the frame of 32 pixels in one of H x W: (1, 1, H, W) bool."""
    top, bottom, left, right = frame
    inside = torch.zeros(1, 1, height, width, dtype=torch.bool)
    rows = slice(round(top * height / FRAME), round(bottom * height / FRAME))
    columns = slice(round(left * width / FRAME), round(right * width / FRAME))
    inside[..., rows, columns] = True
    return inside
