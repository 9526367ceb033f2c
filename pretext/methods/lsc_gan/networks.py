"""Generator and discriminator of SNGAN, extended by a code and by pairs (Miyato et al., ICLR 2018, appendix B).

The discriminator is the paper's standard convolutional network. 3x3 convolutions and strided 4x4
convolutions alternate, the channels double with each halving of the side, and all layers have
spectral normalisation. The generator is its mirror image: a linear layer to about 4x4, strided
transposed 4x4 convolutions, a 3x3 convolution. Maps of 64 and 128 pixels have one and two halvings
more. Maps of other sizes are zero-padded (``pretext.networks.basic_layers.plan``). With width 64
and 32 pixels the sizes are the paper's. The generator has group normalisation instead of batch
normalisation, so that a sample does not depend on the other codes of its batch.

Letters in shapes: B batch, C channels, S side lengths, s side lengths after all halvings, F
channels there, D values of a code.
"""

import math
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from pretext.networks.basic_layers import Geometry, build_norm, plan

EMBEDDED_UNITS = 256  # units of the layer that predicts scales and shifts
LAYERS_A_HALVING = 4  # two convolutions with their activations; before the first halving there is one such pair


def _widths(geometry: Geometry, width: int) -> tuple[int, ...]:
    """Compute the channels at full side and after each halving."""
    return tuple(width * min(2**level, 8) for level in range(len(geometry.widths) + 1))


class CodeGenerator(nn.Module):
    """The generator G from noise (B, Z) and codes (B, D) to maps (B, C, S, S).

    Parameters
    ----------
    shape : tuple of int
        Shape (C, H, W) of the maps.
    width : int
        Channels at full side. They double with each halving, up to 8 times.
    latent : int
        Dimensions Z of the noise.
    code : int
        Number D of values of the code; 0 for none.
    bounded : bool
        Whether maps lie in [-1, 1].
    valid : Tensor, shape (C, H, W), bool, optional
        Cells that hold a coefficient; the other cells of the output are 0.
    modulated : bool
        Whether noise and code also scale and shift the channels after each normalisation
        (conditional normalisation as in Miyato and Koyama's generator, ICLR 2018), in addition to
        the first layer.
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
        # Without this scale a code of many values would dominate the noise.
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
        """Generate maps (B, C, S, S) from noise (B, Z) and standardised codes (B, D)."""
        joined = torch.cat([noise, self.code_scale * code], dim=1)
        values = self.first_norm(self.first(joined).view(len(noise), -1, *self.geometry.side))
        embedded = self.embed(joined) if self.embed is not None else None
        values = torch.relu(self._modulate(values, embedded, 0))
        for stage, grow in enumerate(self.grow, start=1):
            convolve, normalise, activate = cast(nn.Sequential, grow)
            values = activate(self._modulate(normalise(convolve(values)), embedded, stage))
        maps: Tensor = self.last(values)[..., : self.geometry.height, : self.geometry.width]
        maps = torch.tanh(maps) if self.bounded else maps
        return maps if self.valid is None else maps * self.valid

    def _modulate(self, values: Tensor, embedded: Tensor | None, stage: int) -> Tensor:
        """Scale and shift normalised values (B, F, s, s) by the embedding (B, E) of noise and code."""
        if embedded is None:
            return values
        scale, shift = self.modulate[stage](embedded)[:, :, None, None].chunk(2, dim=1)  # (B, F, 1, 1) each
        return values * (1 + scale) + shift


class SpectralDiscriminator(nn.Module):
    """The discriminator D: logits (B,) that maps, or pairs of maps stacked by channels, (B, C, S, S), are real.

    Parameters
    ----------
    shape : tuple of int
        Shape (C, H, W) of the input; a pair of maps has twice the channels of one.
    width : int
        Channels at full side.
    code : int
        Number of values of a code that conditions D by projection (Miyato and Koyama, ICLR 2018); 0
        for none.
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
        """Compute the last layer's activations (B, F, s, s) of the input (B, C, S, S)."""
        values: Tensor = self.layers(functional.pad(maps, self.geometry.padding))
        return values

    def activations(self, maps: Tensor) -> dict[str, Tensor]:
        """Return activations (B, F', s', s') by name: ``stage1`` at full side, then one after each halving."""
        values = functional.pad(maps, self.geometry.padding)
        stages: dict[str, Tensor] = {}
        for number, layer in enumerate(self.layers):
            values = layer(values)
            if number % LAYERS_A_HALVING == 1:
                stages[f"stage{number // LAYERS_A_HALVING + 1}"] = values
        return stages

    def forward(self, maps: Tensor, code: Tensor | None = None) -> Tensor:
        """Compute logits (B,) of maps (B, C, S, S) and, if D is conditional, of standardised codes (B, D)."""
        features = self.features(maps)
        logits: Tensor = self.last(features.flatten(1))[:, 0]
        if self.embed is not None and code is not None:
            logits = logits + (self.embed(code) * features.mean(dim=(2, 3))).sum(dim=1)
        return logits
