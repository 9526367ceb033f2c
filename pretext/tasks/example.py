"""One batch of a pretext task."""

from typing import NamedTuple

from torch import Tensor


class Example(NamedTuple):
    """What a task makes of a batch of clean maps.

    Attributes
    ----------
    condition : Tensor, shape (B, C, H, W)
        What the network sees.
    target : Tensor, shape (B, C', H, W)
        What it shall give.
    weight : Tensor, shape (B, C', H, W)
        How much each value of the target counts, >= 0; no sample is zero throughout.
    """

    condition: Tensor
    target: Tensor
    weight: Tensor
