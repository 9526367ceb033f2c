"""Corrupted images: some of the training images are spoilt, a part of the top half is hidden, recover it.

The first paper's first experiment on MNIST (cGML, section 5.1). Completing digits has one right answer; to give it
several, the top half of 20 % of the training images is overlapped with the top half of another random image, drawn
anew every time. Then a rectangle of random size in the top half is hidden. A network that finds the most probable mode
answers with the clean digit, one that averages shows a ghost of the other.

Overlapping adds the ink, clipped: with -1 no ink and 1 full ink, ``min(a + b + 1, 1)``. The poster of the same work
puts the other image's half in place of it (``overlap = "replace"``; one other image for all there, one for each here).
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from data_prep.basis import Basis
from pretext.data.batch import Batch, Example, Problem, need_pictures
from pretext.randomness import rand
from pretext.tasks.corruption.masks import random_blocks
from spectral_ssl.ground.config import check_range


@dataclass(frozen=True, kw_only=True)
class CorruptedConfig:
    """Settings of the task.

    Attributes
    ----------
    share : float
        Probability with which an image is spoilt; 0 gives plain completion of the clean image, as for testing.
    overlap : {"sum", "replace"}
        The ink of both halves, or the other's half in place of its own.
    seen : {"spoilt", "clean"}
        Whether the rest of a spoilt top half shows around the hidden rectangle (the paper spoils the data first and
        hides then), or the network sees the clean image there, so that nothing tells which answer is asked for.
    smallest, largest : float
        Limits of the rectangle's sides as fractions of the top half's (each side drawn uniformly).
    """

    share: float = 0.2
    overlap: Literal["sum", "replace"] = "sum"
    seen: Literal["spoilt", "clean"] = "spoilt"
    smallest: float = 0.4
    largest: float = 1.0

    def __post_init__(self) -> None:
        check_range("task.share", self.share, 0.0, 1.0)
        check_range("task.largest", self.largest, 0.0, 1.0)
        check_range("task.smallest", self.smallest, 0.0, self.largest)


def corrupted_problem(basis: Basis, config: CorruptedConfig) -> Problem:
    """Pictures in, pictures out. Raises UserError where there is no top half."""
    need_pictures("corrupted", basis, smallest_side=4)
    return Problem(condition=basis.shape, target=basis.shape, bounded=True, hole=True)


def corrupt_halves(batch: Batch, config: CorruptedConfig, generator: torch.Generator) -> Example:
    """Spoil some images, hide a part of all.

    Parameters
    ----------
    batch : Batch
        Clean images (B, C, H, W) in [-1, 1].
    config : CorruptedConfig
        Settings.
    generator : torch.Generator
        The only source of randomness.

    Returns
    -------
    Example
        Images with a rectangle of zeros in their top half, the images with some of them spoilt, weight 1 in the
        rectangle and 0 elsewhere.
    """
    images = batch.maps
    samples, _, height, width = images.shape
    half = height // 2
    chosen = rand(samples, 1, 1, 1, generator=generator) < config.share
    others = random_others(samples, generator)
    chosen = chosen & (others != torch.arange(samples))[:, None, None, None]  # the last batch may be a single image
    spoilt = overlap_halves(images, others, config.overlap)
    target = torch.where(chosen, spoilt, images)
    inside = torch.zeros(samples, 1, height, width, dtype=torch.bool)
    inside[:, :, :half] = random_blocks(samples, half, width, config.smallest, config.largest, generator)
    shown = target if config.seen == "spoilt" else images
    condition = torch.where(inside, 0.0, shown)
    return Example(condition, target, inside.expand_as(target).to(target.dtype))


def random_others(samples: int, generator: torch.Generator) -> Tensor:
    """For each sample the place of another one of the batch, (B,) int64; its own where it is alone."""
    away = 1 + (rand(samples, generator=generator) * (samples - 1)).floor().long()
    return (torch.arange(samples) + away) % samples


def overlap_halves(images: Tensor, others: Tensor, overlap: Literal["sum", "replace"]) -> Tensor:
    """Images (B, C, H, W) in [-1, 1] whose top half (H // 2 rows) is that of both, or of the other of places (B,)."""
    half = images.shape[2] // 2
    own, other = images[:, :, :half], images[others][:, :, :half]
    top = (own + other + 1).clamp(-1, 1) if overlap == "sum" else other
    return torch.cat([top, images[:, :, half:]], dim=2)
