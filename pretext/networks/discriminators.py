"""Discriminators of the adversarial methods. Their losses are in ``pretext.losses.adversarial``.

* ``GlobalDiscriminator`` classifies a whole map: strided 4x4 convolutions down to about 4x4, and a
  linear layer over all of that (Radford et al. 2016, DCGAN; Pathak et al. 2016).
* ``PatchDiscriminator`` classifies every patch of 70 x 70 pixels: three 4x4 convolutions of stride 2
  and two of stride 1. Its input is usually the condition with a prediction, side by side in
  channels (Isola et al. 2017).
* ``TwoScaleDiscriminator`` is a pair of them, one of which sees the map at half its size (Zhu et al.
  2017, BicycleGAN).
* ``PointDiscriminator`` replaces both for data without extent (maps of 1 x 1): a perceptron of
  three layers.

Group normalisation replaces batch and instance normalisation, as in
``pretext.networks.encoder_decoder``. The first layer has none. Otherwise layers and numbers of
parameters are those of the authors' public code, at their width of 64.

Letters in shapes: B batch, C channels, S side lengths, P patches.
"""

import math
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

from pretext.networks.basic_layers import build_norm, plan

PATCH_HALVINGS = 3
PATCH_SIDE = 4  # of the kernels
SMALLEST_SIDE = 3  # two 4x4 convolutions of stride 1 leave one value of it


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

    Maps of less than 23 values a side have fewer convolutions of stride 2, and the smallest ones
    3x3 kernels in the last two layers.

    Parameters
    ----------
    shape : tuple of int
        (C, H, W) of the maps.
    width : int
        Channels after the first halving; they double with each further layer, up to 8 times.
    affine : bool
        Whether normalisations have weights, as in pix2pix. Then their convolutions have no bias.
        BicycleGAN has it the other way round.

    Examples
    --------
    >>> import torch
    >>> from pretext.networks import PatchDiscriminator
    >>> PatchDiscriminator((3, 64, 64), width=8)(torch.zeros(2, 3, 64, 64)).shape  # 6 x 6 patches
    torch.Size([2, 36])
    """

    def __init__(self, shape: tuple[int, int, int], width: int, affine: bool = True) -> None:
        super().__init__()
        halvings = min(PATCH_HALVINGS, len(plan(shape, width).widths))
        sides = [-(-side // 2**halvings) for side in shape[1:]]  # after the layers of stride 2
        self.padding = (0, (sides[1] << halvings) - shape[2], 0, (sides[0] << halvings) - shape[1])
        kernel = PATCH_SIDE if min(sides) >= SMALLEST_SIDE else PATCH_SIDE - 1
        widths = [width * 2**level for level in range(halvings + 1)]
        layers: list[nn.Module] = [nn.Conv2d(shape[0], width, PATCH_SIDE, stride=2, padding=1), nn.LeakyReLU(0.2)]
        for level, (before, after) in enumerate(pairwise(widths), 1):
            side, stride = (PATCH_SIDE, 2) if level < halvings else (kernel, 1)
            shrink = side - 3 if stride == 1 else 0  # by a 4x4 kernel of stride 1
            values = math.prod((each << max(0, halvings - level - 1)) - shrink for each in sides)
            layers += [nn.Conv2d(before, after, side, stride=stride, padding=1, bias=not affine)]
            layers += [build_norm(after, affine, pixels=values), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, kernel, padding=1))

    def forward(self, maps: Tensor) -> Tensor:
        """Compute the logits (B, P) of maps (B, C, S, S)."""
        logits: Tensor = self.layers(functional.pad(maps, self.padding)).flatten(1)
        return logits


class TwoScaleDiscriminator(nn.Module):
    """Classifies the patches of maps (B, C, S, S), and those of the maps at half their size.

    The second discriminator has half the width. Means of three by three values halve the map.

    Parameters
    ----------
    shape : tuple of int
        (C, H, W) of the maps.
    width : int
        Channels after the first halving, of the first discriminator.

    Examples
    --------
    >>> import torch
    >>> from pretext.networks import TwoScaleDiscriminator
    >>> whole, halved = TwoScaleDiscriminator((3, 64, 64), width=8)(torch.zeros(2, 3, 64, 64))
    >>> whole.shape, halved.shape
    (torch.Size([2, 36]), torch.Size([2, 4]))
    """

    def __init__(self, shape: tuple[int, int, int], width: int) -> None:
        super().__init__()
        channels, height, length = shape
        self.whole = PatchDiscriminator(shape, width, affine=False)
        half = (channels, (height + 1) // 2, (length + 1) // 2)
        self.halved = PatchDiscriminator(half, max(1, width // 2), affine=False)

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Compute the logits (B, P) of maps (B, C, S, S), and those at half the size."""
        halved = functional.avg_pool2d(maps, 3, stride=2, padding=1, count_include_pad=False)
        return self.whole(maps), self.halved(halved)


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
