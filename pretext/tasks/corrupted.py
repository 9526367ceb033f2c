"""Corrupted images: some are corrupted, and a part of the top half of all is hidden.

Source: the first paper's first experiment on MNIST (cGML, section 5.1). The completion of a digit
has one solution. To make several possible, the top half of 20 % of the training images is
overlapped with that of another random image, drawn anew each time. Then a rectangle of random size
in the top half is hidden. A network that finds the most probable mode predicts the clean digit. A
network that averages adds a faint copy of other digits.

Overlapping adds the ink and clips it: with -1 no ink and 1 full ink, ``min(a + b + 1, 1)``. The
poster of the same work replaces the half by that of the other image (``overlap = "replace"``).
There the other image is the same for all; here it differs from sample to sample.
"""

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from data_prep.basis import Basis
from pretext.data.batch import Batch, Example, Problem, require_images
from pretext.randomness import rand
from pretext.tasks.corruption.masks import draw_blocks
from spectral_ssl.ground.config import check_ranges, within

WRONG_TARGETS = 20  # with which each prediction is compared


@dataclass(frozen=True, kw_only=True)
class CorruptedConfig:
    """Settings of the task.

    Attributes
    ----------
    share : float
        Probability that an image is corrupted; 0 gives completion of the clean image, as in tests.
    overlap : {"sum", "replace"}
        Whether the ink of both halves is added, or the other image's half replaces the original
        one.
    seen : {"spoilt", "clean"}
        The condition around the hidden rectangle: the corrupted image (the paper corrupts the data
        before it hides parts), or the clean image, so that the condition does not reveal which
        target is used.
    smallest, largest : float
        Limits of the rectangle's sides as fractions of the top half's sides; each side is drawn
        uniformly.
    """

    share: float = field(default=0.2, metadata=within(0.0, 1.0))
    overlap: Literal["sum", "replace"] = "sum"
    seen: Literal["spoilt", "clean"] = "spoilt"
    smallest: float = field(default=0.4, metadata=within(0.0, "largest"))
    largest: float = field(default=1.0, metadata=within(0.0, 1.0))

    def __post_init__(self) -> None:
        check_ranges(self, "task")


def corrupted_problem(basis: Basis, config: CorruptedConfig) -> Problem:
    """Build the problem, or raise a UserError if images are too small to have a top half."""
    require_images("corrupted", basis, smallest_side=4)
    return Problem(condition=basis.shape, target=basis.shape, bounded=True, hole=True)


def corrupt_halves(batch: Batch, config: CorruptedConfig, generator: torch.Generator) -> Example:
    """Corrupt some images, and hide a part of all images.

    Parameters
    ----------
    batch : Batch
        Clean images (B, C, H, W) in [-1, 1].
    config : CorruptedConfig
        Settings.
    generator : torch.Generator
        The only source of random numbers.

    Returns
    -------
    Example
        Images with a rectangle of zeros in their top half; the images, some of them corrupted;
        weight 1 in the rectangle and 0 elsewhere.
    """
    images = batch.maps
    samples, _, height, width = images.shape
    half = height // 2
    is_corrupted = rand(samples, 1, 1, 1, generator=generator) < config.share
    others = draw_others(samples, generator)
    # the last batch may be a single image, which has no other
    is_corrupted = is_corrupted & (others != torch.arange(samples))[:, None, None, None]
    target = torch.where(is_corrupted, overlap_halves(images, others, config.overlap), images)
    inside = torch.zeros(samples, 1, height, width, dtype=torch.bool)
    inside[:, :, :half] = draw_blocks(samples, half, width, config.smallest, config.largest, generator)
    condition = torch.where(inside, 0.0, target if config.seen == "spoilt" else images)
    return Example(condition, target, inside.expand_as(target).to(target.dtype))


def list_wrong_targets(example: Example, config: CorruptedConfig) -> Tensor | None:
    """Overlap clean targets with those of others, so that predictions can be compared with both.

    Parameters
    ----------
    example : Example
        N clean targets (N, C, H, W).
    config : CorruptedConfig
        Settings.

    Returns
    -------
    Tensor, shape (N, J, C, H, W), or None
        J = 20 corrupted targets of each, or N - 1 if those are fewer; None if the targets of the
        config are not all clean or there is just one.
    """
    count = min(WRONG_TARGETS, len(example.target) - 1)
    if config.share or not count:
        return None
    rows = torch.arange(len(example.target))
    others = ((rows + 1 + step) % len(rows) for step in range(count))
    return torch.stack([overlap_halves(example.target, other, config.overlap) for other in others], dim=1)


def draw_others(samples: int, generator: torch.Generator) -> Tensor:
    """Draw for each sample the row of another one, (B,) int64; 0 for a batch of one sample."""
    offset = 1 + (rand(samples, generator=generator) * (samples - 1)).floor().long()
    return (torch.arange(samples) + offset) % samples


def overlap_halves(images: Tensor, others: Tensor, overlap: Literal["sum", "replace"]) -> Tensor:
    """Overlap the top half of each image with that of another, or replace it.

    Parameters
    ----------
    images : Tensor, shape (B, C, H, W)
        Images in [-1, 1]; the top half is H // 2 rows.
    others : Tensor, shape (B,), int64
        For each image the row of the other image.
    overlap : {"sum", "replace"}
        Whether the ink of both halves is added, or the other image's half replaces the original
        one.

    Returns
    -------
    Tensor, shape (B, C, H, W)
    """
    half = images.shape[2] // 2
    original, other = images[:, :, :half], images[others][:, :, :half]
    top = (original + other + 1).clamp(-1, 1) if overlap == "sum" else other
    return torch.cat([top, images[:, :, half:]], dim=2)
