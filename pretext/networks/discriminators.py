"""Discriminators of the adversarial baselines, and what they and their generator minimise.

* ``GlobalDiscriminator`` sees an answer alone and judges it whole: strided 4x4 convolutions down to about 4x4 and a
  layer over all of that (Radford et al. 2016, DCGAN; Pathak et al. 2016).
* ``PatchDiscriminator`` sees condition and answer side by side and judges every neighbourhood: at most three strided
  4x4 convolutions and a 3x3 one (Isola et al. 2017).
* ``PointDiscriminator`` is both for data without extent (maps of 1 x 1): a perceptron of three layers.

Group normalisation stands in place of batch normalisation, as in ``pretext.networks.encoder_decoder``, none after the first layer.

The adversarial loss is the binary cross-entropy of logits, the generator's in its non-saturating form. Values of no
weight (cells that hold no coefficient, or what a task leaves as it was) are shown as the target has them, so that the
judgement rests on what counts.

Letters in shapes: B batch, C channels, S side lengths, P patches.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from pretext.data.batch import Example
from pretext.networks.basic_layers import norm
from pretext.networks.encoder_decoder import plan
from pretext.numerics import in_full

PATCH_HALVINGS = 3


def _halvings(channels: tuple[int, ...]) -> nn.Sequential:
    """Strided convolutions with these numbers of channels before, between and after them."""
    layers: list[nn.Module] = []
    for place, (before, after) in enumerate(pairwise(channels)):
        layers += [nn.Conv2d(before, after, 4, stride=2, padding=1)]
        layers += [norm(after)] if place else []
        layers += [nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers)


class GlobalDiscriminator(nn.Module):
    """Logits (B, 1) that maps (B, C, S, S) are real.

    Parameters
    ----------
    shape : tuple of int
        (C, H, W) of the maps.
    width : int
        Channels after the first halving; they double with each further one, up to 8 times.
    """

    def __init__(self, shape: tuple[int, int, int], width: int) -> None:
        super().__init__()
        self.geometry = plan(shape, width)
        self.halve = _halvings((shape[0], *self.geometry.widths))
        self.last = nn.Linear(self.geometry.bottleneck, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """Logits (B, 1)."""
        logits: Tensor = self.last(self.halve(functional.pad(maps, self.geometry.padding)).flatten(1))
        return logits


class PatchDiscriminator(nn.Module):
    """Logits (B, P) that patches of maps are real; the parameters are those of ``GlobalDiscriminator``."""

    def __init__(self, shape: tuple[int, int, int], width: int) -> None:
        super().__init__()
        self.geometry = plan(shape, width)
        widths = self.geometry.widths[:PATCH_HALVINGS]
        self.halve = _halvings((shape[0], *widths))
        self.last = nn.Conv2d(widths[-1], 1, 3, padding=1)

    def forward(self, maps: Tensor) -> Tensor:
        """Logits (B, P)."""
        logits: Tensor = self.last(self.halve(functional.pad(maps, self.geometry.padding))).flatten(1)
        return logits


class PointDiscriminator(nn.Module):
    """Logits (B, 1) that values (B, C, 1, 1) are real."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(channels, width), nn.LeakyReLU(0.2), nn.Linear(width, width), nn.LeakyReLU(0.2),
            nn.Linear(width, 1),
        )  # fmt: skip

    def forward(self, maps: Tensor) -> Tensor:
        """Logits (B, 1)."""
        logits: Tensor = self.layers(maps.flatten(1))
        return logits


def shown(answer: Tensor, example: Example) -> Tensor:
    """What the discriminator sees of answers (B, C, S, S): the target's own values where the weight is 0."""
    return torch.where(example.weight > 0, answer, example.target)


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Mean cross-entropy of judging logits (B, P) of targets and of answers; halved, being of two terms."""
    return (functional.softplus(-in_full(real)).mean() + functional.softplus(in_full(fake)).mean()) / 2


def generator_loss(fake: Tensor) -> Tensor:
    """Non-saturating loss of the generator: mean -log sigmoid of the logits (B, P) of its answers."""
    return functional.softplus(-in_full(fake)).mean()
