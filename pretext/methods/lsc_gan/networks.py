"""Generator and discriminator of SNGAN, with room for a code and for couples (Miyato et al., ICLR 2018, appendix B).

The discriminator is the paper's standard convolutional network: 3x3 convolutions and strided 4x4 ones in turn, the
channels doubling with each halving of the side, spectral normalisation in all layers. The generator goes the other way:
a layer to about 4x4, strided transposed 4x4 convolutions, a 3x3 one. For 64 and 128 pixels there are one and two
halvings more; maps of other sizes are zero-padded (``pretext.networks.encoder_decoder.plan``). With width 64 and 32 pixels the sizes
are the paper's. Group normalisation stands in place of batch normalisation in the generator, as in
``pretext.networks.encoder_decoder``: what is made of a code must not depend on the other codes of a batch.

Letters in shapes: B batch, C channels, S side lengths, s those after all halvings, F channels there, D values of a
code.
"""

import math
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from pretext.networks.basic_layers import build_norm
from pretext.networks.encoder_decoder import Geometry, plan

EMBEDDED_UNITS = 256  # units of what scales and shifts
LAYERS_A_HALVING = 4  # two convolutions and what follows each; one and what follows it stand before the first halving


def _widths(geometry: Geometry, width: int) -> tuple[int, ...]:
    """Channels at full side and after each halving."""
    return tuple(width * min(2**level, 8) for level in range(len(geometry.widths) + 1))


class CodeGenerator(nn.Module):
    """G: noise and code to a map, (B, Z), (B, D) -> (B, C, S, S).

    Parameters
    ----------
    shape : tuple of int
        (C, H, W) of the maps.
    width : int
        Channels at full side; they double with each halving, up to 8 times.
    latent : int
        Z, dimensions of the noise.
    code : int
        D, values of the code; 0 for none.
    bounded : bool
        Whether maps lie in [-1, 1].
    valid : Tensor, shape (C, H, W), bool, optional
        Cells that hold something; the others are 0.
    modulated : bool
        Whether noise and code also scale and shift the channels after each normalisation (a conditional normalisation
        as in Miyato and Koyama's generator, ICLR 2018), and not only enter below.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        width: int,
        latent: int,
        code: int,
        bounded: bool,
        valid: Tensor | None,
        modulated: bool = False,
    ) -> None:
        super().__init__()
        self.geometry = plan(shape, width)
        self.bounded = bounded
        self.valid = None if valid is None or bool(valid.all()) else valid
        widths = _widths(self.geometry, width)[::-1]
        # a code of many values shall not drown the noise
        self.code_scale = min(1.0, math.sqrt(latent / code)) if code else 1.0
        self.first = nn.Linear(latent + code, widths[0] * math.prod(self.geometry.side))
        self.first_norm = build_norm(widths[0])
        self.grow = nn.ModuleList(
            nn.Sequential(nn.ConvTranspose2d(before, after, 4, stride=2, padding=1), build_norm(after), nn.ReLU())
            for before, after in pairwise(widths)
        )
        self.last = nn.Conv2d(widths[-1], shape[0], 3, padding=1)
        self.embed: nn.Module | None = None
        if modulated:
            self.embed = nn.Sequential(nn.Linear(latent + code, EMBEDDED_UNITS), nn.ReLU())
            self.modulate = nn.ModuleList(nn.Linear(EMBEDDED_UNITS, 2 * channels) for channels in widths)

    def forward(self, noise: Tensor, code: Tensor) -> Tensor:
        """Maps (B, C, S, S) of noise (B, Z) and standardised codes (B, D)."""
        joined = torch.cat([noise, self.code_scale * code], dim=1)
        values = self.first_norm(self.first(joined).view(len(noise), -1, *self.geometry.side))
        embedded = self.embed(joined) if self.embed is not None else None
        values = torch.relu(self._modulated(values, embedded, 0))
        for stage, grow in enumerate(self.grow, start=1):
            convolve, normalise, activate = cast(nn.Sequential, grow)
            values = activate(self._modulated(normalise(convolve(values)), embedded, stage))
        maps: Tensor = self.last(values)[..., : self.geometry.height, : self.geometry.width]
        maps = torch.tanh(maps) if self.bounded else maps
        return maps if self.valid is None else maps * self.valid

    def _modulated(self, values: Tensor, embedded: Tensor | None, stage: int) -> Tensor:
        """Normalised values (B, F, s, s), scaled and shifted by what is embedded, (B, E)."""
        if embedded is None:
            return values
        scale, shift = self.modulate[stage](embedded)[:, :, None, None].chunk(2, dim=1)  # (B, F, 1, 1) each
        return values * (1 + scale) + shift


class SpectralDiscriminator(nn.Module):
    """D: logits (B,) that maps, or couples of maps side by side, (B, C, S, S), are what they should be.

    Parameters
    ----------
    shape : tuple of int
        (C, H, W) of what it sees; of couples twice the channels.
    width : int
        Channels at full side.
    code : int
        D, values of a code that it is told as well, by projection (Miyato and Koyama, ICLR 2018); 0 for none.
    """

    def __init__(self, shape: tuple[int, int, int], width: int, code: int = 0) -> None:
        super().__init__()
        self.geometry = plan(shape, width)
        widths = _widths(self.geometry, width)
        layers: list[nn.Module] = [spectral_norm(nn.Conv2d(shape[0], widths[0], 3, padding=1)), nn.LeakyReLU(0.1)]
        for before, after in pairwise(widths):
            layers += [spectral_norm(nn.Conv2d(before, before, 4, stride=2, padding=1)), nn.LeakyReLU(0.1)]
            layers += [spectral_norm(nn.Conv2d(before, after, 3, padding=1)), nn.LeakyReLU(0.1)]
        self.layers = nn.Sequential(*layers)
        self.last = spectral_norm(nn.Linear(widths[-1] * math.prod(self.geometry.side), 1))
        self.embed = spectral_norm(nn.Linear(code, widths[-1], bias=False)) if code else None

    def features(self, maps: Tensor) -> Tensor:
        """The last layer's activations (B, F, s, s) of what it sees (B, C, S, S)."""
        values: Tensor = self.layers(functional.pad(maps, self.geometry.padding))
        return values

    def activations(self, maps: Tensor) -> dict[str, Tensor]:
        """What it computes, by name: ``stage1`` at full side, then one after each halving, (B, F', s', s')."""
        values = functional.pad(maps, self.geometry.padding)
        found: dict[str, Tensor] = {}
        for place, layer in enumerate(self.layers):
            values = layer(values)
            if place % LAYERS_A_HALVING == 1:
                found[f"stage{place // LAYERS_A_HALVING + 1}"] = values
        return found

    def forward(self, maps: Tensor, code: Tensor | None = None) -> Tensor:
        """Logits (B,) of maps (B, C, S, S) and, if it was made for them, standardised codes (B, D)."""
        features = self.features(maps)
        logits: Tensor = self.last(features.flatten(1))[:, 0]
        if self.embed is not None and code is not None:
            logits = logits + (self.embed(code) * features.mean(dim=(2, 3))).sum(dim=1)
        return logits
