"""The normalisation of all convolutional networks here."""

import math

from torch import nn


def norm(channels: int) -> nn.GroupNorm:
    """Group normalisation, at most 8 groups of channels: each sample by itself, whatever batch it is in."""
    return nn.GroupNorm(math.gcd(8, channels), channels)
