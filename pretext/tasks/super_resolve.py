"""Super-resolution: from a small picture to one with ``zoom`` times as many rows and columns.

MR-GAN (Lee, Ha and Kim, ICLR 2019, section 5 and appendix B.3) goes from 16 to 64 pixels a side. The small picture is
the mean over squares of zoom x zoom pixels. It is shown at the size of the large one, each of its pixels repeated zoom
x zoom times, so that every method can be asked; no more can be seen in it than in the small one. The error is that of
the whole picture.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from data_prep.basis import Basis
from pretext.data.batch import Batch, Example, Problem, need_pictures
from spectral_ssl.ground.errors import UserError


@dataclass(frozen=True, kw_only=True)
class SuperResolveConfig:
    """Settings of the task.

    Attributes
    ----------
    zoom : {2, 4, 8}
        How many times larger the answer is.
    """

    zoom: Literal[2, 4, 8] = 4


def super_resolve_problem(basis: Basis, config: SuperResolveConfig) -> Problem:
    """Pictures in, pictures out.

    Raises
    ------
    UserError
        When the data are no single pictures, or their sides are no multiples of ``zoom``, from 2 on.
    """
    need_pictures("super-resolve", basis, smallest_side=2 * config.zoom)
    _, height, width = basis.shape
    if height % config.zoom or width % config.zoom:
        got = f"{height} x {width} pixels"
        raise UserError(f"pictures that cannot be made {config.zoom} times smaller", got, "prepare them with --size 64")
    return Problem(condition=basis.shape, target=basis.shape, bounded=True, zoom=config.zoom)


def super_resolve(batch: Batch, config: SuperResolveConfig, generator: torch.Generator) -> Example:
    """Pictures (B, C, H, W) with less detail, the pictures themselves, weight 1. Nothing is drawn."""
    return Example(super_resolve_view(batch, config), batch.maps, torch.ones_like(batch.maps))


def super_resolve_view(batch: Batch, config: SuperResolveConfig) -> Tensor:
    """The pictures (B, C, H, W) with less detail: each square of zoom x zoom pixels is its mean."""
    small = functional.avg_pool2d(batch.maps, config.zoom)
    return small.repeat_interleave(config.zoom, dim=2).repeat_interleave(config.zoom, dim=3)
