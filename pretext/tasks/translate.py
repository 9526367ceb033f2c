"""Image-to-image translation: from one image of a pair to the other.

Source: the first paper (cGML, section 5.3.1), which goes from sketches to handbags and shoes, and
from maps to aerial photographs. A single task serves all data sets of pairs, in both directions.
The error is L1 over the whole image.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from data_prep.basis import Basis
from data_prep.layout import split_pair_channels
from pretext.data.batch import Batch, Example, Problem


@dataclass(frozen=True, kw_only=True)
class TranslateConfig:
    """Settings of the task.

    Attributes
    ----------
    direction : {"AtoB", "BtoA"}
        From the left image (A) to the right one (B), or back. The meaning of A and B depends on the
        data set: in facades the photograph is on the left (A), so "BtoA" makes photographs from
        labels.
    """

    direction: Literal["AtoB", "BtoA"] = "AtoB"


def translate_problem(basis: Basis, config: TranslateConfig) -> Problem:
    """Build the problem, or raise a UserError if the maps are no pairs."""
    split_pair_channels(basis, config.direction)
    side = (basis.shape[0] // 2, *basis.shape[1:])
    return Problem(condition=side, target=side, bounded=True)


def translate(batch: Batch, config: TranslateConfig, generator: torch.Generator) -> Example:
    """Split pairs (B, 2 C, H, W) into conditions and targets (B, C, H, W), weight 1."""
    condition, target = (batch.maps[:, side] for side in split_pair_channels(batch.standardise.basis, config.direction))
    return Example(condition, target, torch.ones_like(target))


def translate_view(batch: Batch, config: TranslateConfig) -> Tensor:
    """Return the images (B, C, H, W) that are the conditions."""
    condition, _ = split_pair_channels(batch.standardise.basis, config.direction)
    return batch.maps[:, condition]
