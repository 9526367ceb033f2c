"""Super-resolution: from a small image to one with ``zoom`` times as many rows and columns.

MR-GAN (Lee, Ha and Kim, ICLR 2019, section 5 and appendix B.3) goes from 16 to 64 pixels a side. A
pixel of the small image is the mean over a square of zoom x zoom pixels. The condition repeats it
zoom x zoom times, so that condition and target have the same size and every method can be trained.
The condition has no more information than the small image. The error is that of the whole image.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from data_prep.basis import Basis
from pretext.data.batch import Batch, Example, Problem, require_images
from spectral_ssl.ground.errors import UserError


@dataclass(frozen=True, kw_only=True)
class SuperResolveConfig:
    """Settings of the task.

    Attributes
    ----------
    zoom : {2, 4, 8}
        Ratio of the sides of the large and the small image.
    """

    zoom: Literal[2, 4, 8] = 4


def super_resolve_problem(basis: Basis, config: SuperResolveConfig) -> Problem:
    """Build the problem from images to images.

    Raises
    ------
    UserError
        If the data are no single images, or a side is no multiple of ``zoom`` or less than twice
        ``zoom``.
    """
    require_images("super-resolve", basis, smallest_side=2 * config.zoom)
    _, height, width = basis.shape
    if height % config.zoom or width % config.zoom:
        got = f"{height} x {width} pixels"
        raise UserError(f"images that cannot be made {config.zoom} times smaller", got, "prepare them with --size 64")
    return Problem(condition=basis.shape, target=basis.shape, bounded=True, zoom=config.zoom)


def super_resolve(batch: Batch, config: SuperResolveConfig, generator: torch.Generator) -> Example:
    """Return images (B, C, H, W) with less detail, the images themselves and weight 1."""
    return Example(super_resolve_view(batch, config), batch.maps, torch.ones_like(batch.maps))


def super_resolve_view(batch: Batch, config: SuperResolveConfig) -> Tensor:
    """Replace each square of zoom x zoom pixels of images (B, C, H, W) by its mean."""
    small = functional.avg_pool2d(batch.maps, config.zoom)
    return small.repeat_interleave(config.zoom, dim=2).repeat_interleave(config.zoom, dim=3)
