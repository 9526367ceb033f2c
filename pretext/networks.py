"""The convolutional encoder H, generator G and latent optimiser Z, for maps of any size.

Shapes as in the first paper's context-encoder-like networks (cGML, section 3): strided 4x4 convolutions halve the map
until about 4x4 is left, a convolution over all of that gives a code, and from the code comes the bottleneck h
(width x 2^(levels-1) channels), which the generator turns back into a map. The latent z is tiled over the bottleneck
and joined to it.

Two deviations, for one reason (a sample's latent path must not depend on the batch it is in): group normalisation
stands in place of batch normalisation, and there is no dropout.

Letters in shapes: B batch, C channels of the map, S side lengths of the map, s those of the bottleneck, F channels of
the bottleneck, D dimensions of z.
"""

import math
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional


class Geometry(NamedTuple):
    """How a map of some size goes through the networks.

    Attributes
    ----------
    channels, height, width : int
        Of the map.
    widths : tuple of int
        Channels after each halving.
    side : (int, int)
        Height and width of the bottleneck; the map is zero-padded to side x 2^levels.
    """

    channels: int
    height: int
    width: int
    widths: tuple[int, ...]
    side: tuple[int, int]

    @property
    def padding(self) -> tuple[int, int, int, int]:
        """(left, right, top, bottom) padding of the map."""
        factor = 2 ** len(self.widths)
        return (0, self.side[1] * factor - self.width, 0, self.side[0] * factor - self.height)

    @property
    def bottleneck(self) -> int:
        """Number of values of h."""
        return self.widths[-1] * self.side[0] * self.side[1]


def plan(shape: tuple[int, int, int], width: int) -> Geometry:
    """Number of halvings and widths for a map: log2(side) - 2 halvings, so that about 4x4 is left; at least one.

    Parameters
    ----------
    shape : tuple of int
        (C, H, W) of the map.
    width : int
        Channels after the first halving; they double with each further one, up to 8 times.
    """
    channels, height, length = shape
    levels = max(1, round(math.log2(min(height, length)) - 2))
    factor = 2**levels
    widths = tuple(width * min(2**level, 8) for level in range(levels))
    return Geometry(channels, height, length, widths, (math.ceil(height / factor), math.ceil(length / factor)))


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(math.gcd(8, channels), channels)


class Encoder(nn.Module):
    """H: the map to the bottleneck h, (B, C, S, S) -> (B, F, s, s)."""

    def __init__(self, geometry: Geometry, code: int) -> None:
        super().__init__()
        self.geometry = geometry
        layers: list[nn.Module] = []
        for before, after in pairwise((geometry.channels, *geometry.widths)):
            layers += [nn.Conv2d(before, after, 4, stride=2, padding=1), _norm(after), nn.LeakyReLU(0.2)]
        self.halve = nn.Sequential(*layers)
        self.to_code = nn.Linear(geometry.bottleneck, code)
        self.from_code = nn.Linear(code, geometry.bottleneck)

    def forward(self, condition: Tensor) -> Tensor:
        """Bottleneck h, (B, F, s, s), of a batch of conditions (B, C, S, S)."""
        halved = self.halve(functional.pad(condition, self.geometry.padding))  # (B, F, s, s)
        code = functional.leaky_relu(self.to_code(halved.flatten(1)), 0.2)  # (B, code)
        return torch.relu(self.from_code(code)).view_as(halved)


class Generator(nn.Module):
    """G: bottleneck and latent to a map, (B, F, s, s), (B, D) -> (B, C, S, S).

    The first layer acts on h and z side by side. Being linear it is the sum of a layer on h and a layer on z, and kept
    as these two: ``prepare`` computes the part of h once, for all the latents tried on it.
    """

    def __init__(self, geometry: Geometry, latent: int, out_channels: int, bounded: bool) -> None:
        super().__init__()
        self.geometry = geometry
        self.bounded = bounded  # images are in [-1, 1]; standardised coefficients have no bound
        widths = geometry.widths[::-1]
        after_first = widths[1] if len(widths) > 1 else widths[0]
        self.first_h = nn.ConvTranspose2d(widths[0], after_first, 4, stride=2, padding=1)
        self.first_z = nn.ConvTranspose2d(latent, after_first, 4, stride=2, padding=1, bias=False)
        self.first_norm = _norm(after_first)
        layers: list[nn.Module] = []
        for before, after in pairwise(widths[1:]):
            layers += [nn.ConvTranspose2d(before, after, 4, stride=2, padding=1), _norm(after), nn.ReLU()]
        if len(widths) > 1:
            layers += [nn.ConvTranspose2d(widths[-1], out_channels, 4, stride=2, padding=1)]
        else:
            layers += [nn.Conv2d(after_first, out_channels, 3, padding=1)]
        self.grow = nn.Sequential(*layers)

    def prepare(self, bottleneck: Tensor) -> Tensor:
        """The part of the first layer that depends on h alone, (B, F, s, s) -> (B, F', 2s, 2s)."""
        prepared: Tensor = self.first_h(bottleneck)
        return prepared

    def from_prepared(self, prepared: Tensor, latent: Tensor) -> Tensor:
        """Maps (B, C, S, S) of prepared bottlenecks (B, F', 2s, 2s) and latents (B, D)."""
        tiled = latent[:, :, None, None].expand(-1, -1, *self.geometry.side)  # (B, D, s, s)
        seed = torch.relu(self.first_norm(prepared + self.first_z(tiled)))  # (B, F', 2s, 2s)
        maps: Tensor = self.grow(seed)[..., : self.geometry.height, : self.geometry.width]
        return torch.tanh(maps) if self.bounded else maps

    def forward(self, bottleneck: Tensor, latent: Tensor) -> Tensor:
        """Maps (B, C, S, S) of bottlenecks h (B, F, s, s) and latents z (B, D)."""
        return self.from_prepared(self.prepare(bottleneck), latent)


class LatentOptimiser(nn.Module):
    """Z: where the latent goes next and how far, (B, F, s, s), (B, D) -> r (B, D), rho (B).

    Two hidden layers; r is squashed into [-1, 1] in each dimension, rho is not negative.
    """

    def __init__(self, geometry: Geometry, latent: int, hidden: int) -> None:
        super().__init__()
        self.first_h = nn.Linear(geometry.bottleneck, hidden)
        self.first_z = nn.Linear(latent, hidden, bias=False)
        self.second = nn.Linear(hidden, hidden)
        self.last = nn.Linear(hidden, latent + 1)

    def prepare(self, bottleneck: Tensor) -> Tensor:
        """The part of the first layer that depends on h alone, (B, F, s, s) -> (B, hidden)."""
        prepared: Tensor = self.first_h(bottleneck.flatten(1))
        return prepared

    def from_prepared(self, prepared: Tensor, latent: Tensor) -> tuple[Tensor, Tensor]:
        """R (B, D) and rho (B) of prepared bottlenecks (B, hidden) and latents (B, D)."""
        hidden = functional.leaky_relu(prepared + self.first_z(latent), 0.2)
        out = self.last(functional.leaky_relu(self.second(hidden), 0.2))  # (B, D + 1)
        return torch.tanh(out[:, :-1]), functional.softplus(out[:, -1])

    def forward(self, bottleneck: Tensor, latent: Tensor) -> tuple[Tensor, Tensor]:
        """R (B, D) and rho (B) of bottlenecks h (B, F, s, s) and latents z (B, D)."""
        return self.from_prepared(self.prepare(bottleneck), latent)
