"""Denoising: a part of the map is hidden or noised, and the clean map is to be recovered.

The first paper's pretext task for 3D shapes ("mask or add noise to a map portion", cGML, section 5.4): maps are
standardised here, so a hidden value is set to 0, its mean over the training set, and noise is in units of each
coefficient's standard deviation.

The part is a rectangular block of cells, a band of angular degrees l in all channels, or the whole map with the noise
that seeing the object through few points would give it (``pretext.tasks.corruption.sampling_noise``).
"""

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from data_prep.basis import Basis
from data_prep.layout import find_degrees
from pretext.data.batch import Batch, Example, Problem
from pretext.data.standardise import LARGEST_VALUE
from pretext.randomness import rand, randn
from pretext.tasks.corruption.masks import draw_blocks, draw_spans
from pretext.tasks.corruption.sampling_noise import estimate_sampling_noise, require_points
from spectral_ssl.ground.config import check_ranges, within
from spectral_ssl.ground.errors import UserError


@dataclass(frozen=True, kw_only=True)
class DenoiseConfig:
    """Settings of the task.

    Attributes
    ----------
    kind : {"block", "band", "sampling-noise"}
        What is corrupted; the last two need maps of coefficients.
    smallest, largest : float
        Limits of the block's height and width as fractions of the map's (each side drawn uniformly), or of the band's
        width as a fraction of all degrees.
    hidden_share : float
        Share of the samples whose block or band is hidden; the others get noise there.
    noise : float
        Standard deviation of the noise in block or band, in units of the (standardised) map.
    context_weight : float
        Weight of the values outside the block or band; inside it is 1.
    points : int
        Sampling noise is that of so many points; 0 for as many as the maps were made from.
    """

    kind: Literal["block", "band", "sampling-noise"] = "block"
    smallest: float = field(default=0.3, metadata=within(0.0, "largest"))
    largest: float = field(default=0.8, metadata=within(0.0, 1.0))
    hidden_share: float = field(default=0.5, metadata=within(0.0, 1.0))
    noise: float = field(default=1.0, metadata=within(0.0, 100.0))
    context_weight: float = field(default=0.2, metadata=within(0.0, 1.0))
    points: int = field(default=0, metadata=within(0, 1_000_000_000))

    def __post_init__(self) -> None:
        check_ranges(self, "task")


def denoise_problem(basis: Basis, config: DenoiseConfig) -> Problem:
    """Maps in, maps out.

    Raises
    ------
    UserError
        When a band or sampling noise is asked for and the maps have no degrees or come from no points, or the damage
        covers every value of every map or leaves all of them as they are.
    """
    if config.kind == "band" and basis.kind == "pixels":
        what_to_do = "take task.kind=block, or prepare shapes"
        raise UserError("a band of degrees needs maps of coefficients", "pictures", what_to_do)
    if config.kind == "sampling-noise":
        require_points(basis, config.points)
    if config.kind != "sampling-noise":
        if config.smallest == 1 and config.hidden_share == 1:
            raise UserError("everything is hidden from the network", "task.smallest = 1", "lower it or hidden_share")
        if config.largest == 0 or (config.hidden_share == 0 and config.noise == 0):
            got = f"largest {config.largest:g}, hidden_share {config.hidden_share:g}, noise {config.noise:g}"
            raise UserError("nothing is hidden or noised", got, "raise task.largest, hidden_share or noise")
    return Problem(condition=basis.shape, target=basis.shape, bounded=basis.kind == "pixels")


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
    if config.kind == "sampling-noise":
        return _noised(batch, config, generator)
    if config.kind == "band":
        inside = draw_bands(batch.standardise.basis, samples, config.smallest, config.largest, generator)
    else:
        inside = draw_blocks(samples, height, width, config.smallest, config.largest, generator)  # (B, 1, H, W)
    noise = randn(*maps.shape, generator=generator) * config.noise
    hide = rand(samples, 1, 1, 1, generator=generator) < config.hidden_share
    corrupted = torch.where(hide, torch.zeros_like(maps), maps + noise)
    condition = torch.where(inside, corrupted, maps) * valid
    # a block can lie wholly on empty cells; the context then still counts a little, so that no sample weighs nothing
    weight = torch.where(inside, 1.0, max(config.context_weight, 1e-3)) * valid
    return Example(condition, maps, weight)


def draw_bands(basis: Basis, samples: int, smallest: float, largest: float, generator: torch.Generator) -> Tensor:
    """One random band of neighbouring degrees l a sample: (B, C, H, W) bool, True where its coefficients are."""
    chosen = draw_spans(samples, basis.degree + 1, smallest, largest, generator)  # (B, L + 1)
    ell = torch.from_numpy(find_degrees(basis))  # (C, H, W), -1 where there is no coefficient
    return chosen[:, ell.clamp(min=0)] & (ell >= 0)


def _noised(batch: Batch, config: DenoiseConfig, generator: torch.Generator) -> Example:
    """Maps as from fewer points, the clean maps, and weight 1 wherever there is a coefficient."""
    points = config.points or batch.standardise.basis.points
    level = estimate_sampling_noise(batch.standardise, points)
    noised = batch.maps + level * randn(*batch.maps.shape, generator=generator)
    # as standardised maps themselves are clipped
    condition = noised.clamp(-LARGEST_VALUE, LARGEST_VALUE)
    return Example(condition, batch.maps, batch.standardise.valid.expand_as(batch.maps).to(batch.maps.dtype))
