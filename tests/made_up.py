"""Batches of made-up pictures for the tests of the tasks."""

import torch

from data_prep.basis import pixel_basis
from pretext.data.batch import Batch
from pretext.data.standardise import Standardiser


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(samples: int, channels: int, size: int, *, paired: bool = False, seed: int = 9) -> Batch:
    """Pictures of noise in [-1, 1], as a map file of them would be handed out."""
    maps = 2 * torch.rand(samples, channels, size, size, generator=seeded(seed)) - 1
    basis = pixel_basis(channels, size, size, paired=paired)
    return Batch(maps, Standardiser.from_statistics(basis, torch.zeros(basis.shape), torch.ones(basis.shape)))
