"""Discriminators of the adversarial methods. Their losses are in ``pretext.losses.adversarial``.

* ``GlobalDiscriminator`` classifies a whole map: strided 4x4 convolutions down to about 4x4, and a
  linear layer over all of that (Radford et al. 2016, DCGAN; Pathak et al. 2016).
* ``PatchDiscriminator`` classifies every patch of a map: at most three strided 4x4 convolutions and
  a 3x3 one. Its input is usually the condition with a prediction, side by side in channels (Isola
  et al. 2017).
* ``PointDiscriminator`` replaces both for data without extent (maps of 1 x 1): a perceptron of
  three layers.

Group normalisation replaces batch normalisation, as in ``pretext.networks.encoder_decoder``. The
first layer has none.

Letters in shapes: B batch, C channels, S side lengths, P patches.
"""

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

from pretext.networks.basic_layers import build_norm, plan

PATCH_HALVINGS = 3


def _build_halvings(channels: tuple[int, ...]) -> nn.Sequential:
    """Build strided convolutions, given the numbers of channels before, between and after them."""
    layers: list[nn.Module] = []
    for number, (before, after) in enumerate(pairwise(channels)):
        layers += [nn.Conv2d(before, after, 4, stride=2, padding=1)]
        layers += [build_norm(after)] if number else []
        layers += [nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers)


class GlobalDiscriminator(nn.Module):
    """Classifies maps (B, C, S, S) as real or generated, with one logit each.

    Parameters
    ----------
    shape : tuple of int
        (C, H, W) of the maps.
    width : int
        Channels after the first halving; they double with each further one, up to 8 times.

    Examples
    --------
    >>> import torch
    >>> from pretext.networks import GlobalDiscriminator
    >>> GlobalDiscriminator((3, 32, 32), width=8)(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 1])
    """

    def __init__(self, shape: tuple[int, int, int], width: int) -> None:
        super().__init__()
        self.geometry = plan(shape, width)
        self.halve = _build_halvings((shape[0], *self.geometry.widths))
        self.last = nn.Linear(self.geometry.bottleneck, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """Compute the logits (B, 1) of maps (B, C, S, S)."""
        logits: Tensor = self.last(self.halve(functional.pad(maps, self.geometry.padding)).flatten(1))
        return logits


class PatchDiscriminator(nn.Module):
    """Classifies every patch of maps (B, C, S, S) as real or generated, with one logit each.

    Parameters
    ----------
    shape : tuple of int
        (C, H, W) of the maps.
    width : int
        Channels after the first halving; they double with each further one, up to 8 times.

    Examples
    --------
    >>> import torch
    >>> from pretext.networks import PatchDiscriminator
    >>> PatchDiscriminator((3, 32, 32), width=8)(torch.zeros(2, 3, 32, 32)).shape  # 4 x 4 patches
    torch.Size([2, 16])
    """

    def __init__(self, shape: tuple[int, int, int], width: int) -> None:
        super().__init__()
        self.geometry = plan(shape, width)
        widths = self.geometry.widths[:PATCH_HALVINGS]
        self.halve = _build_halvings((shape[0], *widths))
        self.last = nn.Conv2d(widths[-1], 1, 3, padding=1)

    def forward(self, maps: Tensor) -> Tensor:
        """Compute the logits (B, P) of maps (B, C, S, S)."""
        logits: Tensor = self.last(self.halve(functional.pad(maps, self.geometry.padding))).flatten(1)
        return logits


class PointDiscriminator(nn.Module):
    """Classifies values (B, C, 1, 1) as real or generated, with one logit each.

    Parameters
    ----------
    channels : int
        Number C of values.
    width : int
        Units of the two hidden layers.

    Examples
    --------
    >>> import torch
    >>> from pretext.networks import PointDiscriminator
    >>> PointDiscriminator(channels=2, width=16)(torch.zeros(5, 2, 1, 1)).shape
    torch.Size([5, 1])
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(channels, width), nn.LeakyReLU(0.2), nn.Linear(width, width), nn.LeakyReLU(0.2),
            nn.Linear(width, 1),
        )  # fmt: skip

    def forward(self, maps: Tensor) -> Tensor:
        """Compute the logits (B, 1) of values (B, C, 1, 1)."""
        logits: Tensor = self.layers(maps.flatten(1))
        return logits
