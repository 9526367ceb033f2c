"""An alternate mode: the hidden part of some targets has a white mark.

The condition does not reveal which targets have it.

Source: the first paper's second experiment on MNIST (cGML, section 5.1). There a small white box is
added to the top part of targets at increasing rates. From a rate of about 0.3 on, different latents
should give both modes, with and without the box.

The positions are those of the poster, in a frame of 32 pixels: rows 4:14 and columns 4:20 are
hidden, and the mark is a line in rows 8:11 and columns 6:16. The paper does not give the position
of its box; here it is rows 6:12 and columns 9:15. Everything is scaled to the size of the images.
"""

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from data_prep.basis import Basis
from pretext.data.batch import Batch, Example, Problem, require_images
from pretext.randomness import rand
from spectral_ssl.ground.config import check_ranges, within

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
        The mark of the paper or that of the poster.
    together : bool
        Whether all targets of a batch have the mark or none has it (poster), or each target is
        drawn separately.
    """

    rate: float = field(default=0.3, metadata=within(0.0, 1.0))
    mark: Literal["box", "line"] = "box"
    together: bool = False

    def __post_init__(self) -> None:
        check_ranges(self, "task")


def alternate_problem(basis: Basis, config: AlternateConfig) -> Problem:
    """Build the problem, or raise a UserError if images are too small for hole and mark."""
    require_images("alternate", basis, smallest_side=8)
    return Problem(condition=basis.shape, target=basis.shape, bounded=True, hole=True)


def alternate(batch: Batch, config: AlternateConfig, generator: torch.Generator) -> Example:
    """Hide a part of the images, and add the mark to some of the targets.

    Parameters
    ----------
    batch : Batch
        Clean images (B, C, H, W) in [-1, 1].
    config : AlternateConfig
        Settings.
    generator : torch.Generator
        The only source of random numbers.

    Returns
    -------
    Example
        Images with zeros in the hole; the images, some with a white mark (1 in all channels);
        weight 1 in the hole and 0 elsewhere.
    """
    images = batch.maps
    samples, _, height, width = images.shape
    hole, mark = make_rectangle(HOLE, height, width), make_rectangle(MARKS[config.mark], height, width)
    if config.together:  # a single number for the whole batch, also if several processes share it
        draws = torch.rand(1, 1, 1, 1, generator=generator)
    else:
        draws = rand(samples, 1, 1, 1, generator=generator)
    target = torch.where((draws < config.rate) & mark, 1.0, images)
    condition = torch.where(hole, 0.0, images)
    return Example(condition, target, hole.expand_as(target).to(target.dtype))


def find_absent_mark(config: AlternateConfig, height: int, width: int) -> Tensor | None:
    """Return the mask (1, 1, H, W), bool, of the mark if no target has it, and None otherwise.

    Predictions can then be compared with the clean images.
    """
    return make_rectangle(MARKS[config.mark], height, width) if config.rate == 0 else None


def make_rectangle(frame: Rectangle, height: int, width: int) -> Tensor:
    """Return the mask (1, 1, H, W), bool, of a rectangle scaled from 32 pixels to H x W."""
    top, bottom, left, right = frame
    inside = torch.zeros(1, 1, height, width, dtype=torch.bool)
    rows = slice(round(top * height / FRAME), round(bottom * height / FRAME))
    columns = slice(round(left * width / FRAME), round(right * width / FRAME))
    inside[..., rows, columns] = True
    return inside
