"""Denoising: a part of the map is hidden or noisy, and the network recovers the map.

Source: the first paper's pretext task for 3D shapes ("mask or add noise to a map portion", cGML,
section 5.4). Maps are standardised here. So a hidden value becomes 0, which is its mean over the
training set, and noise is in units of each coefficient's standard deviation.

The part is a rectangular block of cells, or a band of angular degrees l in all channels. It can
also be the whole map, with the noise of a sample of few points of the object
(``pretext.tasks.corruption.sampling_noise``).

Letters in shapes: B batch, C, H, W of the maps, L highest degree.
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
from pretext.tasks.corruption.masks import draw_blocks, draw_spans, hides_everything
from pretext.tasks.corruption.sampling_noise import estimate_sampling_noise, require_points
from spectral_ssl.ground.config import check_ranges, within
from spectral_ssl.ground.errors import UserError

LEAST_WEIGHT = 1e-3  # A block may cover empty cells only, and a sample's weights must not all be 0.


@dataclass(frozen=True, kw_only=True)
class DenoiseConfig:
    """Settings of the task.

    Attributes
    ----------
    kind : {"block", "band", "sampling-noise"}
        The kind of corruption; the last two need maps of coefficients.
    smallest, largest : float
        Limits of the block's height and width as fractions of the map's, where each side is drawn
        uniformly; or of the band's width as a fraction of all degrees.
    hidden_share : float
        Share of the samples whose block or band is hidden; noise is added to that of the others.
    noise : float
        Standard deviation of the noise in the block or band, in units of the standardised map.
    context_weight : float
        Weight of the values outside the block or band, at least 0.001 in use; inside the weight is 1.
    points : int
        Number of points of the sampling noise; 0 for the number that the maps were computed from.
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
    """Build the problem from maps to maps.

    Raises
    ------
    UserError
        If the maps lack the degrees of a band or the points of sampling noise, or the corruption
        would hide all values of all maps or change none.
    """
    if config.kind == "band" and basis.kind == "pixels":
        what_to_do = "take task.kind=block, or prepare shapes"
        raise UserError("a band of degrees needs maps of coefficients", "images", what_to_do)
    if config.kind == "sampling-noise":
        require_points(basis, config.points)
    if config.kind != "sampling-noise":
        sides = (basis.degree + 1,) if config.kind == "band" else basis.shape[1:]
        if hides_everything(config.smallest, sides) and config.hidden_share == 1:
            got = f"task.smallest = {config.smallest:g}"
            raise UserError("everything is hidden from the network", got, "lower it or hidden_share")
        if config.largest == 0 or (config.hidden_share == 0 and config.noise == 0):
            got = f"largest {config.largest:g}, hidden_share {config.hidden_share:g}, noise {config.noise:g}"
            raise UserError("nothing is hidden and no noise is added", got, "raise task.largest, hidden_share or noise")
    return Problem(condition=basis.shape, target=basis.shape, bounded=basis.kind == "pixels")


def denoise(batch: Batch, config: DenoiseConfig, generator: torch.Generator) -> Example:
    """Corrupt a batch of maps.

    Parameters
    ----------
    batch : Batch
        Clean maps (B, C, H, W); cells without a coefficient get weight 0.
    config : DenoiseConfig
        Settings.
    generator : torch.Generator
        The only source of random numbers.

    Returns
    -------
    Example
        The corrupted maps, the clean ones, and weights.
    """
    maps, valid = batch.maps, batch.standardise.valid
    samples, _, height, width = maps.shape
    if config.kind == "sampling-noise":
        return _add_sampling_noise(batch, config, generator)
    if config.kind == "band":
        inside = draw_bands(batch.standardise.basis, samples, config.smallest, config.largest, generator)
    else:
        inside = draw_blocks(samples, height, width, config.smallest, config.largest, generator)  # (B, 1, H, W)
    noise = randn(*maps.shape, generator=generator) * config.noise
    hide = rand(samples, 1, 1, 1, generator=generator) < config.hidden_share
    corrupted = torch.where(hide, torch.zeros_like(maps), maps + noise)
    condition = torch.where(inside, corrupted, maps) * valid
    weight = torch.where(inside, 1.0, max(config.context_weight, LEAST_WEIGHT)) * valid
    return Example(condition, maps, weight)


def draw_bands(basis: Basis, samples: int, smallest: float, largest: float, generator: torch.Generator) -> Tensor:
    """Draw a band of consecutive degrees l for each sample: (B, C, H, W) bool, True inside."""
    bands = draw_spans(samples, basis.degree + 1, smallest, largest, generator)  # (B, L + 1)
    ell = torch.from_numpy(find_degrees(basis))  # (C, H, W), -1 where there is no coefficient
    return bands[:, ell.clamp(min=0)] & (ell >= 0)


def _add_sampling_noise(batch: Batch, config: DenoiseConfig, generator: torch.Generator) -> Example:
    """Return maps with sampling noise, the clean maps, and weight 1 for every coefficient."""
    points = config.points or batch.standardise.basis.points
    level = estimate_sampling_noise(batch.standardise, points)
    noisy = batch.maps + level * randn(*batch.maps.shape, generator=generator)
    # standardised maps are clipped to the same range
    condition = noisy.clamp(-LARGEST_VALUE, LARGEST_VALUE)
    return Example(condition, batch.maps, batch.standardise.valid.expand_as(batch.maps).to(batch.maps.dtype))
