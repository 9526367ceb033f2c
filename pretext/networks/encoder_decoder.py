"""The convolutional encoder H, generator G and latent optimiser Z, for maps of any size.

Shapes as in the first paper's context-encoder-like networks (cGML, section 3): strided 4x4 convolutions halve the map
until about 4x4 is left, a convolution over all of that gives a code, and from the code comes the bottleneck h
(width x 2^(levels-1) channels), which the generator turns back into a map. The latent z is tiled over the bottleneck
and joined to it.

Two deviations, for one reason (a sample's latent path must not depend on the batch it is in): group normalisation
stands in place of batch normalisation, and there is no dropout.

With ``skips`` each activation of H is added to the one of the same size in G (the paper's networks for colours and for
128 pixels): what is plain to see in the condition need not pass through the bottleneck.

Data without extent (maps of 1 x 1: the toy) goes through perceptrons of three layers instead, ``pretext.networks.pointwise``.

Letters in shapes: B batch, C channels of the map, S side lengths of the map, s those of the bottleneck, F channels of
the bottleneck, D dimensions of z.
"""

import math
from itertools import pairwise
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from pretext.data.batch import Problem
from pretext.data.standardise import Standardiser
from pretext.networks import basic_layers as onednn_linear
from pretext.networks.basic_layers import norm
from pretext.networks.grid_encoder import GridEncoder
from pretext.networks.pointwise import PerceptronEncoder, PerceptronGenerator, Prepared
from pretext.numerics import full_precision, in_full
from spectral_ssl.ground.errors import UserError

EncoderName = Literal["map", "grid"]

GRID = 20  # cells on a side, see pretext/networks/grid_encoder.py


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


class Encoder(nn.Module):
    """H: the map to the bottleneck h, (B, C, S, S) -> (B, F, s, s)."""

    def __init__(self, geometry: Geometry, code: int) -> None:
        super().__init__()
        self.geometry = geometry
        self.halve = nn.ModuleList(
            nn.Sequential(nn.Conv2d(before, after, 4, stride=2, padding=1), norm(after), nn.LeakyReLU(0.2))
            for before, after in pairwise((geometry.channels, *geometry.widths))
        )
        self.to_code = nn.Linear(geometry.bottleneck, code)
        self.from_code = nn.Linear(code, geometry.bottleneck)

    def forward(self, condition: Tensor) -> Tensor:
        """Bottleneck h, (B, F, s, s), of a batch of conditions (B, C, S, S)."""
        return self.with_skips(condition)[0]

    def features(self, condition: Tensor) -> Tensor:
        """What is handed out: the bottleneck, (B, F s s)."""
        bottleneck: Tensor = self(condition)
        return bottleneck.flatten(1)

    def with_skips(self, condition: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Bottleneck h, (B, F, s, s), and the activations before it, the smallest (B, F', 2s, 2s) first."""
        *stages, _, bottleneck = self.activations(condition).values()
        return bottleneck, tuple(stages[-2::-1])

    def activations(self, condition: Tensor) -> dict[str, Tensor]:
        """What it computes, by name: ``stage1`` .. (B, F', s', s') of the convolutions, ``code``, ``bottleneck``."""
        found: dict[str, Tensor] = {}
        activation = functional.pad(condition, self.geometry.padding)
        for number, halve in enumerate(self.halve):
            activation = found[f"stage{number + 1}"] = halve(activation)
        found["code"] = functional.leaky_relu(self.to_code(activation.flatten(1)), 0.2)  # (B, code)
        found["bottleneck"] = torch.relu(self.from_code(found["code"])).view_as(activation)
        return found


class GridBottleneck(nn.Module):
    """H for maps of Zernike moments: convolutions over the density in space, and a layer that gives h (B, F, s, s)."""

    def __init__(self, standardise: Standardiser, geometry: Geometry, width: int, code: int) -> None:
        super().__init__()
        self.geometry = geometry
        self.grid = GridEncoder(standardise, 0, GRID, width, code)
        self.from_code = nn.Linear(code, geometry.bottleneck)

    def forward(self, condition: Tensor) -> Tensor:
        """Bottleneck h, (B, F, s, s), of a batch of conditions (B, C, S, S)."""
        return self.activations(condition)["bottleneck"]

    def features(self, condition: Tensor) -> Tensor:
        """What is handed out: those of the grid, (B, D)."""
        return self.grid.features(condition)

    def activations(self, condition: Tensor) -> dict[str, Tensor]:
        """What it computes, by name: those of the grid, and ``bottleneck`` (B, F, s, s)."""
        found = self.grid.activations(condition)
        bottleneck = torch.relu(self.from_code(found["code"]))
        return {**found, "bottleneck": bottleneck.view(-1, self.geometry.widths[-1], *self.geometry.side)}

    def with_skips(self, condition: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Raises UserError: the grid has no activations of a map's size."""
        raise UserError("the grid encoder has no skips", "method.skips = true", "take method.skips=false")


class Generator(nn.Module):
    """G: bottleneck and latent to a map, (B, F, s, s), (B, D) -> (B, C, S, S).

    The first layer acts on h and z side by side. Being linear it is the sum of a layer on h and a layer on z, and kept
    as these two: ``prepare`` computes the part of h once, for all the latents tried on it.
    """

    def __init__(self, geometry: Geometry, latent: int, out_channels: int, bounded: bool, gain: float = 1.0) -> None:
        super().__init__()
        self.geometry = geometry
        self.bounded = bounded  # images are in [-1, 1]; standardised coefficients have no bound
        widths = geometry.widths[::-1]
        after_first = widths[1] if len(widths) > 1 else widths[0]
        self.first_h = nn.ConvTranspose2d(widths[0], after_first, 4, stride=2, padding=1)
        # a network without z (latent 0) answers each condition once
        self.first_z = nn.ConvTranspose2d(latent, after_first, 4, stride=2, padding=1, bias=False) if latent else None
        if self.first_z is not None:
            with torch.no_grad():
                self.first_z.weight *= gain
        self.first_norm = norm(after_first)
        self.grow = nn.ModuleList(
            nn.Sequential(nn.ConvTranspose2d(before, after, 4, stride=2, padding=1), norm(after), nn.ReLU())
            for before, after in pairwise(widths[1:])
        )
        if len(widths) > 1:
            self.last: nn.Module = nn.ConvTranspose2d(widths[-1], out_channels, 4, stride=2, padding=1)
        else:
            self.last = nn.Conv2d(after_first, out_channels, 3, padding=1)

    def prepare(self, bottleneck: Tensor, skips: tuple[Tensor, ...] = ()) -> Prepared:
        """The part that depends on the condition alone, of h (B, F, s, s) and H's activations (or none)."""
        # with the channels of a place side by side in memory all layers that follow take less time
        bottleneck, *skips_there = (part.contiguous(memory_format=torch.channels_last) for part in (bottleneck, *skips))
        return Prepared(self.first_h(bottleneck), tuple(skips_there))

    def from_prepared(self, prepared: Prepared, latent: Tensor) -> Tensor:
        """Maps (B, C, S, S) of prepared conditions and latents (B, D)."""
        joined = prepared.first
        if self.first_z is not None:
            tiled = latent[:, :, None, None].expand(-1, -1, *self.geometry.side)  # (B, D, s, s)
            joined = joined + self.first_z(tiled)  # (B, F', 2s, 2s)
        activation = torch.relu(self.first_norm(joined))
        for place, grow in enumerate([None, *self.grow]):
            if grow is not None:
                activation = grow(activation)
            if place < len(prepared.skips):
                activation = activation + prepared.skips[place]
        maps: Tensor = self.last(activation)[..., : self.geometry.height, : self.geometry.width]
        return torch.tanh(maps) if self.bounded else maps

    def forward(self, bottleneck: Tensor, latent: Tensor, skips: tuple[Tensor, ...] = ()) -> Tensor:
        """Maps (B, C, S, S) of bottlenecks h (B, F, s, s), latents z (B, D) and H's activations (or none)."""
        return self.from_prepared(self.prepare(bottleneck, skips), latent)


class LatentOptimiser(nn.Module):
    """Z: where the latent goes next and how far, (B, F, s, s), (B, D) -> r (B, D), rho (B).

    Two hidden layers; r is squashed into [-1, 1] in each dimension, rho is not negative.
    """

    def __init__(self, bottleneck: int, latent: int, hidden: int) -> None:
        super().__init__()
        self.first_h = nn.Linear(bottleneck, hidden)
        self.first_z = nn.Linear(latent, hidden, bias=False)
        self.second = nn.Linear(hidden, hidden)
        self.last = nn.Linear(hidden, latent + 1)

    def prepare(self, bottleneck: Tensor) -> Tensor:
        """The part of the first layer that depends on h alone, (B, F, s, s) -> (B, hidden)."""
        with full_precision(bottleneck):  # steps of a latent, and what noise changes, are small
            return onednn_linear.linear(in_full(bottleneck.flatten(1)), self.first_h)

    def from_prepared(self, prepared: Tensor, latent: Tensor) -> tuple[Tensor, Tensor]:
        """R (B, D) and rho (B) of prepared bottlenecks (B, hidden) and latents (B, D)."""
        with full_precision(prepared):
            hidden = functional.leaky_relu(prepared + self.first_z(latent), 0.2)
            out = self.last(functional.leaky_relu(self.second(hidden), 0.2))  # (B, D + 1)
        return torch.tanh(out[:, :-1]), functional.softplus(out[:, -1])

    def forward(self, bottleneck: Tensor, latent: Tensor) -> tuple[Tensor, Tensor]:
        """R (B, D) and rho (B) of bottlenecks h (B, F, s, s) and latents z (B, D)."""
        return self.from_prepared(self.prepare(bottleneck), latent)


def bottleneck_of(
    encoder: Encoder | PerceptronEncoder | GridBottleneck, condition: Tensor, skips: bool
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Bottleneck h (B, F, s, s) of conditions (B, C, S, S), and H's activations if skips are wanted."""
    if skips:
        return encoder.with_skips(condition)
    return encoder(condition), ()


def encoder_and_generator(
    problem: Problem, width: int, code: int, latent: int, gain: float = 1.0, encoder: EncoderName = "map"
) -> tuple[Encoder | PerceptronEncoder | GridBottleneck, Generator | PerceptronGenerator, int]:
    """H and G for a problem, and the number of values of h.

    Parameters
    ----------
    problem : Problem
        Shapes of condition and target; heights and widths of the two are the same.
    width : int
        Channels after the first halving.
    code : int
        Size of the code; for data without extent the width of all layers.
    latent : int
        Dimensions of z, 0 for a generator without.
    gain : float
        Factor on G's first weights of z.
    encoder : {"map", "grid"}
        H on the map as an image, or on the density that Zernike moments stand for.

    Raises
    ------
    UserError
        When the data is not for the grid.
    """
    if encoder == "grid" and (problem.standardise is None or problem.condition != problem.standardise.basis.shape):
        got = f"conditions of shape {problem.condition}"
        raise UserError("the grid encoder reads whole maps of Zernike moments", got, "take method.encoder=map")
    if problem.condition[1:] == (1, 1):
        perceptron = PerceptronEncoder(problem.condition[0], code)
        return perceptron, PerceptronGenerator(code, latent, problem.target[0], problem.bounded), code
    geometry = plan(problem.condition, width)
    generator = Generator(geometry, latent, problem.target[0], problem.bounded, gain)
    if encoder == "grid" and problem.standardise is not None:
        return GridBottleneck(problem.standardise, geometry, width, code), generator, geometry.bottleneck
    return Encoder(geometry, code), generator, geometry.bottleneck
