"""Denoising: a rectangular block of the map is hidden or noised, and the clean map is to be recovered.

The first paper's pretext task for 3D shapes ("mask or add noise to a map portion", cGML, section 5.4): maps are
standardised here, so a hidden value is set to 0, its mean over the training set, and noise is in units of each
coefficient's standard deviation.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from pretext.tasks.example import Batch, Example
from spectral_ssl.ground.config import check_range


@dataclass(frozen=True, kw_only=True)
class DenoiseConfig:
    """Settings of the task.

    Attributes
    ----------
    smallest, largest : float
        Limits of the block's height and width as fractions of the map's (each side drawn uniformly).
    hidden_share : float
        Share of the samples whose block is hidden; the others get noise there.
    noise : float
        Standard deviation of the noise, in units of the (standardised) map.
    context_weight : float
        Weight of the values outside the block; inside it is 1.
    """

    smallest: float = 0.3
    largest: float = 0.8
    hidden_share: float = 0.5
    noise: float = 1.0
    context_weight: float = 0.2

    def __post_init__(self) -> None:
        check_range("task.largest", self.largest, 0.0, 1.0)
        check_range("task.smallest", self.smallest, 0.0, self.largest)
        check_range("task.hidden_share", self.hidden_share, 0.0, 1.0)
        check_range("task.noise", self.noise, 0.0, 100.0)
        check_range("task.context_weight", self.context_weight, 0.0, 1.0)


def denoise(batch: Batch, config: DenoiseConfig, generator: torch.Generator) -> Example:
    """Corrupt a batch of maps.

    Parameters
    ----------
    batch : Batch
        Clean maps (B, C, H, W); cells that hold no coefficient have weight 0.
    config : DenoiseConfig
        Settings.
    generator : torch.Generator
        The only source of randomness.

    Returns
    -------
    Example
        The corrupted maps, the clean ones, and weights.
    """
    maps, valid = batch.maps, batch.standardise.valid
    samples, _, height, width = maps.shape
    inside = random_blocks(samples, height, width, config.smallest, config.largest, generator)  # (B, 1, H, W)
    noise = torch.randn(maps.shape, generator=generator) * config.noise
    hide = torch.rand(samples, 1, 1, 1, generator=generator) < config.hidden_share
    corrupted = torch.where(hide, torch.zeros_like(maps), maps + noise)
    condition = torch.where(inside, corrupted, maps) * valid
    # a block can lie wholly on empty cells; the context then still counts a little, so that no sample weighs nothing
    weight = torch.where(inside, 1.0, max(config.context_weight, 1e-3)) * valid
    return Example(condition, maps, weight)


def random_blocks(
    batch: int, height: int, width: int, smallest: float, largest: float, generator: torch.Generator
) -> Tensor:
    """One random rectangle a sample: (B, 1, H, W) bool, True inside; sides and place uniform, at least one cell."""

    def spans(length: int) -> Tensor:
        side = smallest + (largest - smallest) * torch.rand(batch, 1, generator=generator)
        cells = (side * length).round().clamp(1, length)
        start = (torch.rand(batch, 1, generator=generator) * (length - cells + 1)).floor()
        place = torch.arange(length)
        return (place >= start) & (place < start + cells)  # (B, length)

    rows, columns = spans(height), spans(width)
    return rows[:, None, :, None] & columns[:, None, None, :]
