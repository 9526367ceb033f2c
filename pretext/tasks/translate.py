"""Translation: from one picture of a pair to the other.

Image-to-image translation of the first paper (cGML, section 5.3.1): sketches to handbags and shoes, maps to views from
the air, and so on; one task for all data sets of pairs, in both directions. The error is L1 over the whole picture.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from data_prep.basis import Basis, split_pair_channels
from pretext.data.batch import Batch, Example, Problem


@dataclass(frozen=True, kw_only=True)
class TranslateConfig:
    """Settings of the task.

    Attributes
    ----------
    direction : {"AtoB", "BtoA"}
        From the left picture to the right one, or back. What A and B are depends on the data set: facades has the
        photograph on the left (A), so that "BtoA" makes photographs from labels.
    """

    direction: Literal["AtoB", "BtoA"] = "AtoB"


def translate_problem(basis: Basis, config: TranslateConfig) -> Problem:
    """One picture in, the other out. Raises UserError when the maps are no pairs."""
    split_pair_channels(basis, config.direction)
    side = (basis.shape[0] // 2, *basis.shape[1:])
    return Problem(condition=side, target=side, bounded=True)


def translate(batch: Batch, config: TranslateConfig, generator: torch.Generator) -> Example:
    """Take pairs (B, 2 C, H, W) apart: conditions and targets (B, C, H, W), weight 1. Nothing is drawn."""
    condition, target = (batch.maps[:, side] for side in split_pair_channels(batch.standardise.basis, config.direction))
    return Example(condition, target, torch.ones_like(target))


def translate_view(batch: Batch, config: TranslateConfig) -> Tensor:
    """The condition's pictures (B, C, H, W)."""
    condition, _ = split_pair_channels(batch.standardise.basis, config.direction)
    return batch.maps[:, condition]
