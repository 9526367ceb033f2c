"""The convolutional encoder H, generator G and latent optimiser Z, for maps of any size.

The architecture follows the context-encoder-like networks of the first paper (cGML, section 3).
Strided 4x4 convolutions halve the map until about 4x4 is left. A layer over all of that gives a
code. A second layer turns the code into the bottleneck h (width x 2^(levels-1) channels), and the
generator turns h back into a map. The latent z is tiled over the bottleneck and joined to it. It may
also scale and shift the activations of every layer (``modulate``).

There are two deviations: group normalisation replaces batch normalisation, and there is no dropout.
The reason is the same for both: a sample's latent path must not depend on its batch.

With ``skips`` each activation of H is added to the activation of the same size in G (the paper's
networks for colours and for 128 pixels). Details that the condition shows then need not pass
through the bottleneck. ``residual`` is for spectral maps that are damaged in part: the condition itself
is added to the prediction, each value with a weight in (0, 1) that G computes.

Data without extent (maps of 1 x 1: the toy) uses perceptrons of three layers instead,
``pretext.networks.pointwise``.

Letters in shapes: B batch, C channels of the map, S side lengths of the map, s those of the
bottleneck, F channels of the bottleneck, D dimensions of z.
"""

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from pretext.data.batch import Problem
from pretext.networks import basic_layers
from pretext.networks.basic_layers import Geometry, build_norm, plan
from pretext.networks.grids.grid_bottleneck import GRID_NAMES, GridBottleneck
from pretext.networks.pointwise import PointwiseEncoder, PointwiseGenerator, Precomputed
from pretext.numerics import full_precision, to_full_precision
from spectral_ssl.ground.errors import UserError

BottleneckEncoderName = Literal["map", "grid", "pooled-grid"]


class Encoder(nn.Module):
    """The encoder H from a map to the bottleneck h, (B, C, S, S) -> (B, F, s, s).

    Parameters
    ----------
    geometry : Geometry
        Sizes of the map and of the activations (``plan``).
    code : int
        Size of the code.

    Examples
    --------
    >>> import torch
    >>> from pretext.networks import Encoder, plan
    >>> encoder = Encoder(plan((3, 32, 32), width=8), code=16)
    >>> encoder(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 32, 4, 4])
    """

    def __init__(self, geometry: Geometry, code: int) -> None:
        super().__init__()
        self.geometry = geometry
        self.halve = nn.ModuleList(
            nn.Sequential(nn.Conv2d(before, after, 4, stride=2, padding=1), build_norm(after), nn.LeakyReLU(0.2))
            for before, after in pairwise((geometry.channels, *geometry.widths))
        )
        self.to_code = nn.Linear(geometry.bottleneck, code)
        self.from_code = nn.Linear(code, geometry.bottleneck)

    def forward(self, condition: Tensor) -> Tensor:
        """Compute the bottleneck h, (B, F, s, s), of conditions (B, C, S, S)."""
        return self.with_skips(condition)[0]

    def features(self, condition: Tensor) -> Tensor:
        """Compute the features of conditions (B, C, S, S): the flattened bottleneck, (B, F s s)."""
        bottleneck: Tensor = self(condition)
        return bottleneck.flatten(1)

    def with_skips(self, condition: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Compute the bottleneck h, (B, F, s, s), and the activations before it.

        The smallest activation, (B, F', 2s, 2s), comes first.
        """
        *stages, _, bottleneck = self.activations(condition).values()
        return bottleneck, tuple(stages[-2::-1])

    def activations(self, condition: Tensor) -> dict[str, Tensor]:
        """Compute all layers by name: ``stage1`` .. (B, F', s', s'), ``code``, ``bottleneck``."""
        result: dict[str, Tensor] = {}
        activation = functional.pad(condition, self.geometry.padding)
        for number, halve in enumerate(self.halve):
            activation = result[f"stage{number + 1}"] = halve(activation)
        result["code"] = functional.leaky_relu(self.to_code(activation.flatten(1)), 0.2)  # (B, code)
        result["bottleneck"] = torch.relu(self.from_code(result["code"])).view_as(activation)
        return result


class Generator(nn.Module):
    """The generator G from bottleneck and latent to a map, (B, F, s, s), (B, D) -> (B, C, S, S).

    The first layer acts on h and z joined. It is linear, so it is stored as the sum of a layer on h
    and a layer on z. ``precompute`` computes the part of h once for all the latents that are tried
    on it.

    Parameters
    ----------
    geometry : Geometry
        Sizes of the map and of the activations (``plan``).
    latent : int
        Dimensions D of z; 0 for a generator that gives one map for each condition.
    out_channels : int
        Number C of channels of the map.
    bounded : bool
        Whether maps are squashed into [-1, 1], as images need.
    gain : float
        Factor on the initial weights of z.
    modulate : bool
        Whether z also scales and shifts the activations of every layer but the last (FiLM; Perez et
        al., AAAI 2018).
    residual : bool
        Whether the condition is added to the output. It must have the shape of the output, and be
        the last of the ``skips``.

    Examples
    --------
    >>> import torch
    >>> from pretext.networks import Generator, plan
    >>> generator = Generator(plan((3, 32, 32), width=8), latent=4, out_channels=3, bounded=True)
    >>> generator(torch.zeros(2, 32, 4, 4), torch.zeros(2, 4)).shape
    torch.Size([2, 3, 32, 32])
    """

    def __init__(
        self,
        geometry: Geometry,
        latent: int,
        out_channels: int,
        bounded: bool,
        gain: float = 1.0,
        *,
        modulate: bool = False,
        residual: bool = False,
    ) -> None:
        super().__init__()
        self.geometry = geometry
        self.bounded = bounded  # images are in [-1, 1]; standardised coefficients have no bound
        widths = geometry.widths[::-1]
        after_first = widths[1] if len(widths) > 1 else widths[0]
        self.first_h = nn.ConvTranspose2d(widths[0], after_first, 4, stride=2, padding=1)
        # a network without z (latent 0) gives one map for each condition
        self.first_z = nn.ConvTranspose2d(latent, after_first, 4, stride=2, padding=1, bias=False) if latent else None
        if self.first_z is not None:
            with torch.no_grad():
                self.first_z.weight *= gain
        self.first_norm = build_norm(after_first)
        self.grow = nn.ModuleList(
            nn.Sequential(nn.ConvTranspose2d(before, after, 4, stride=2, padding=1), build_norm(after), nn.ReLU())
            for before, after in pairwise(widths[1:])
        )
        self.modulate = nn.ModuleList(
            nn.Linear(latent, 2 * channels, bias=False)
            for channels in ((after_first, *widths[2:]) if modulate and latent else ())
        )
        last_channels = 2 * out_channels if residual else out_channels
        if len(widths) > 1:
            self.last: nn.Module = nn.ConvTranspose2d(widths[-1], last_channels, 4, stride=2, padding=1)
        else:
            self.last = nn.Conv2d(after_first, last_channels, 3, padding=1)
        # The weights of the condition begin at 0.88 everywhere.
        shape = (out_channels, geometry.height, geometry.width)
        self.around = nn.Parameter(torch.full(shape, 2.0)) if residual else None

    def precompute(self, bottleneck: Tensor, skips: tuple[Tensor, ...] = ()) -> Precomputed:
        """Compute the part that depends on the condition alone.

        It needs h (B, F, s, s), and H's activations and the condition if the generator uses them.
        """
        # all layers that follow are faster if the channels of a cell are adjacent in memory
        bottleneck, *last_skips = (part.contiguous(memory_format=torch.channels_last) for part in (bottleneck, *skips))
        return Precomputed(self.first_h(bottleneck), tuple(last_skips))

    def from_precomputed(self, precomputed: Precomputed, latent: Tensor) -> Tensor:
        """Compute maps (B, C, S, S) from the result of ``precompute`` and latents (B, D)."""
        skips = precomputed.skips if self.around is None else precomputed.skips[:-1]
        joined = precomputed.first
        if self.first_z is not None:
            tiled = latent[:, :, None, None].expand(-1, -1, *self.geometry.side)  # (B, D, s, s)
            joined = joined + self.first_z(tiled)  # (B, F', 2s, 2s)
        activation = self._activate(self.first_norm(joined), 0, latent)
        for stage, grow in enumerate([None, *self.grow]):
            if grow is not None:
                convolve, norm, _ = grow
                activation = self._activate(norm(convolve(activation)), stage, latent)
            if stage < len(skips):
                activation = activation + skips[stage]
        maps: Tensor = self.last(activation)[..., : self.geometry.height, : self.geometry.width]
        if self.around is not None:
            maps, weight = maps.chunk(2, dim=1)  # each (B, C, S, S)
            maps = maps + torch.sigmoid(self.around + weight) * precomputed.skips[-1]
        return torch.tanh(maps) if self.bounded else maps

    def _activate(self, normed: Tensor, stage: int, latent: Tensor) -> Tensor:
        """Scale and shift activations (B, F', H, W) by z (B, D), and cut them off below 0."""
        if self.modulate:
            scale, shift = self.modulate[stage](latent)[:, :, None, None].chunk(2, dim=1)  # each (B, F', 1, 1)
            normed = normed * (1 + scale) + shift
        return torch.relu(normed)

    def forward(self, bottleneck: Tensor, latent: Tensor, skips: tuple[Tensor, ...] = ()) -> Tensor:
        """Compute maps (B, C, S, S) from bottlenecks h (B, F, s, s) and latents z (B, D).

        H's activations are ``skips``, if the generator uses any.
        """
        return self.from_precomputed(self.precompute(bottleneck, skips), latent)


class LatentOptimiser(nn.Module):
    """The latent optimiser Z, (B, F, s, s), (B, D) -> (B, D), (B).

    It predicts the next latent r and the length rho of the step to it. It has two hidden layers.
    Each dimension of r lies in [-1, 1], and rho is not negative.

    Parameters
    ----------
    bottleneck : int
        Number of values F s s of h.
    latent : int
        Dimensions D of z.
    hidden : int
        Units of the hidden layers.

    Examples
    --------
    >>> import torch
    >>> from pretext.networks import LatentOptimiser
    >>> following, rho = LatentOptimiser(bottleneck=32, latent=4, hidden=16)(torch.zeros(2, 32), torch.zeros(2, 4))
    >>> following.shape, rho.shape
    (torch.Size([2, 4]), torch.Size([2]))
    """

    def __init__(self, bottleneck: int, latent: int, hidden: int) -> None:
        super().__init__()
        self.first_h = nn.Linear(bottleneck, hidden)
        self.first_z = nn.Linear(latent, hidden, bias=False)
        self.second = nn.Linear(hidden, hidden)
        self.last = nn.Linear(hidden, latent + 1)

    def precompute(self, bottleneck: Tensor) -> Tensor:
        """Compute the first layer's part that depends on h alone, (B, F, s, s) -> (B, hidden)."""
        with full_precision(bottleneck):  # the steps of a latent and the effects of noise are too small for 16 bits
            return basic_layers.apply_linear(to_full_precision(bottleneck.flatten(1)), self.first_h)

    def from_precomputed(self, precomputed: Tensor, latent: Tensor) -> tuple[Tensor, Tensor]:
        """Compute r (B, D) and rho (B) from the result of ``precompute`` and latents (B, D)."""
        with full_precision(precomputed):
            hidden = functional.leaky_relu(precomputed + self.first_z(latent), 0.2)
            out = self.last(functional.leaky_relu(self.second(hidden), 0.2))  # (B, D + 1)
        return torch.tanh(out[:, :-1]), functional.softplus(out[:, -1])

    def forward(self, bottleneck: Tensor, latent: Tensor) -> tuple[Tensor, Tensor]:
        """Compute r (B, D) and rho (B) from bottlenecks h (B, F, s, s) and latents z (B, D)."""
        return self.from_precomputed(self.precompute(bottleneck), latent)


def compute_bottleneck(
    encoder: Encoder | PointwiseEncoder | GridBottleneck, condition: Tensor, skips: bool, residual: bool = False
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Compute the bottleneck h (B, F, s, s) of conditions (B, C, S, S).

    A tuple follows of H's activations if ``skips`` is true, and of the condition if ``residual`` is.

    Examples
    --------
    >>> import torch
    >>> from pretext.networks import Encoder, compute_bottleneck, plan
    >>> encoder = Encoder(plan((3, 32, 32), width=8), code=16)
    >>> bottleneck, skips = compute_bottleneck(encoder, torch.zeros(2, 3, 32, 32), skips=True)
    >>> bottleneck.shape, [tuple(skip.shape) for skip in skips]
    (torch.Size([2, 32, 4, 4]), [(2, 16, 8, 8), (2, 8, 16, 16)])
    """
    around = (condition,) if residual else ()
    if skips:
        bottleneck, activations = encoder.with_skips(condition)
        return bottleneck, activations + around
    return encoder(condition), around


def build_encoder_and_generator(
    problem: Problem,
    width: int,
    code: int,
    latent: int,
    gain: float = 1.0,
    encoder: BottleneckEncoderName = "map",
    *,
    modulate: bool = False,
    residual: bool = False,
    width_limit: int = 8,
) -> tuple[Encoder | PointwiseEncoder | GridBottleneck, Generator | PointwiseGenerator, int]:
    """Build H and G for a problem.

    Parameters
    ----------
    problem : Problem
        Shapes of condition and target, which must have the same height and width.
    width : int
        Channels after the first halving.
    code : int
        Size of the code; for data without extent the width of all layers.
    latent : int
        Dimensions of z, 0 for a generator without z.
    gain : float
        Factor on the initial weights of z in G.
    encoder : {"map", "grid", "pooled-grid"}
        Whether H reads the map as an image, or the density that Zernike moments stand for; the last
        is deeper and has fewer parameters.
    modulate, residual : bool
        Ways of z and of the condition through G (``Generator``), for data with extent.
    width_limit : int
        Most channels of a layer, as a multiple of ``width``.

    Returns
    -------
    encoder : Encoder, PointwiseEncoder or GridBottleneck
    generator : Generator or PointwiseGenerator
    size : int
        Number of values of h.

    Raises
    ------
    UserError
        If the grid encoder cannot read such data, the condition cannot be added to the prediction, or z
        cannot modulate.

    Examples
    --------
    >>> import torch
    >>> from pretext.data import Problem
    >>> from pretext.networks import build_encoder_and_generator
    >>> images = Problem(condition=(1, 28, 28), target=(1, 28, 28), bounded=True)
    >>> encoder, generator, size = build_encoder_and_generator(images, width=8, code=16, latent=4)
    >>> generator(encoder(torch.zeros(2, 1, 28, 28)), torch.zeros(2, 4)).shape, size
    (torch.Size([2, 1, 28, 28]), 512)
    """
    if encoder in GRID_NAMES and (problem.standardise is None or problem.condition != problem.standardise.basis.shape):
        got = f"conditions of shape {problem.condition}"
        raise UserError(f"the {encoder} encoder reads whole maps of Zernike moments", got, "set method.encoder=map")
    has_extent = problem.condition[1:] != (1, 1)
    if residual and (problem.bounded or not has_extent or problem.condition != problem.target):
        kind = "images" if problem.bounded else "maps"
        got = f"{kind}: conditions of shape {problem.condition}, targets of {problem.target}"
        raise UserError("a residual path is for spectral maps of one shape", got, "set residual=false")
    if modulate and not has_extent:
        got = "data without extent"
        raise UserError("z modulates the layers of convolutions", got, "set modulate=false")
    if not has_extent:
        perceptron = PointwiseEncoder(problem.condition[0], code)
        return perceptron, PointwiseGenerator(code, latent, problem.target[0], problem.bounded), code
    geometry = plan(problem.condition, width, width_limit)
    generator = Generator(
        geometry,
        latent,
        problem.target[0],
        problem.bounded,
        gain,
        modulate=modulate,
        residual=residual,
    )
    if encoder != "map" and problem.standardise is not None:
        return GridBottleneck(encoder, problem.standardise, geometry, width, code), generator, geometry.bottleneck
    return Encoder(geometry, code), generator, geometry.bottleneck
