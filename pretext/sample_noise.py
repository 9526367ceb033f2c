"""Noise for K samples of each condition, and adding to them what they have in common.

A layer that acts on [what all samples share, what is each sample's own] is linear, so it is the sum of a layer on the
one and a layer on the other; the first is computed once for all K. Letters in shapes: B batch, K samples, C channels.
"""

import torch
from torch import Tensor

from pretext.drawing import randn


def draw_noise(like: Tensor, samples: int, channels: int, generator: torch.Generator | None) -> Tensor:
    """Standard normal maps (B K, channels, H, W) beside maps (B, C, H, W), another one for each sample.

    Without channels nothing is drawn and no generator is needed.
    """
    shape = (len(like) * samples, channels, *like.shape[2:])
    if not channels:
        return like.new_empty(shape)
    # beside maps of this memory format, which the convolutions take less time on
    return randn(*shape, generator=generator).contiguous(memory_format=torch.channels_last)


def add_shared(own: Tensor, shared: Tensor) -> Tensor:
    """Each sample's own part (B K, C, H, W) and what the samples of a condition share (B, C, H, W): (B K, C, H, W)."""
    return (own.unflatten(0, (len(shared), -1)) + shared[:, None]).flatten(0, 1)


def repeat(shared: Tensor, samples: int) -> Tensor:
    """What the samples share (B, C, H, W), once for each of them: (B K, C, H, W)."""
    return shared.repeat_interleave(samples, dim=0) if samples > 1 else shared
