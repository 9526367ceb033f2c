"""U-Net with noise in the middle: MR-GAN's generator for translation (Isola et al. 2017; MR-GAN, appendix B.2).

4x4 convolutions of stride 2 halve the image until its shorter side is 1 (at most 8 times). As many
transposed convolutions double it again. Each of these takes two inputs: the output of the layer
before it, and the encoder's activation of the same size. Noise maps are concatenated to the inputs
of the three innermost transposed convolutions (1x1, 2x2 and 4x4) and nowhere else, so that noise
determines coarse structure. The encoder half is computed once for K samples. So are the parts of
the transposed convolutions that act on encoder activations (``pretext.networks.latent_generator``).

Group normalisation replaces batch normalisation, as in all networks here; there is no dropout.
Letters in shapes: B batch, K samples, C channels, S side lengths, F and s channels and side lengths
of the innermost activation.
"""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from pretext.networks.basic_layers import build_norm
from pretext.networks.latent_generator import add_shared, draw_noise, repeat
from spectral_ssl.ground.errors import UserError

NOISY = 3  # number of innermost levels with noise
MOST_HALVINGS = 8


class UNet(nn.Module):
    """A generator from conditions (B, C, S, S) to K samples each, (B, K, C', S, S), unbounded.

    Parameters
    ----------
    shape : tuple of int
        Shape (C, H, W) of the conditions. Sides are zero-padded to multiples of the stride.
    out_channels : int
        Number C' of output channels.
    width : int
        Channels after the first halving. They double with each further halving, up to 8 times.
    noise : int
        Noise channels at each of the three levels; 0 makes a deterministic network.

    Raises
    ------
    UserError
        When a side is shorter than 8 pixels, the stride of three halvings.
    """

    def __init__(self, shape: tuple[int, int, int], out_channels: int, width: int, noise: int) -> None:
        super().__init__()
        channels, height, length = shape
        smallest = 2**NOISY
        if min(height, length) < smallest:
            what_to_do = f"prepare images of at least {smallest} pixels a side, or set method.base=latent"
            raise UserError("images smaller than the U-Net's stride", f"{height} x {length} pixels", what_to_do)
        self.noise, self.height, self.length = noise, height, length
        levels = min(MOST_HALVINGS, int(math.log2(min(height, length))))
        factor = 2**levels
        self.padding = (0, -length % factor, 0, -height % factor)
        widths = [width * min(2**level, 8) for level in range(levels)]
        self.halve = nn.ModuleList(
            nn.Conv2d(before, after, 4, stride=2, padding=1) for before, after in pairwise([channels, *widths])
        )
        # The first halving has no normalisation, as in pix2pix. Nor has the last, because its maps
        # may be 1x1.
        self.halve_norm = nn.ModuleList(build_norm(width) for width in widths[1:-1])
        after = [out_channels, *widths[:-1]]  # output channels of each level
        self.of_skip = nn.ModuleList(
            nn.ConvTranspose2d(skip, out, 4, stride=2, padding=1) for skip, out in zip(widths, after, strict=True)
        )
        innermost = levels - 1
        decoder_channels = [
            (widths[level] if level < innermost else 0) + (noise if level > innermost - NOISY else 0)
            for level in range(levels)
        ]
        self.of_own = nn.ModuleList(
            nn.ConvTranspose2d(count, out, 4, stride=2, padding=1, bias=False) if count else nn.Identity()
            for count, out in zip(decoder_channels, after, strict=True)
        )
        self.double_norm = nn.ModuleList(build_norm(out) for out in after[1:])

    def activations(self, condition: Tensor) -> dict[str, Tensor]:
        """Return the output of each halving by name, the innermost last."""
        return {f"stage{level}": output for level, output in enumerate(self._activations(condition), 1)}

    def _activations(self, condition: Tensor) -> list[Tensor]:
        """Compute the activations of all levels; the last has shape (B, F, s, s)."""
        padded = functional.pad(condition, self.padding).contiguous(memory_format=torch.channels_last)
        activations = [self.halve[0](padded)]
        for level, halve in enumerate(self.halve[1:]):
            activation = halve(functional.leaky_relu(activations[-1], 0.2))
            if level < len(self.halve_norm):
                activation = self.halve_norm[level](activation)
            activations.append(activation)
        return activations

    def features(self, condition: Tensor) -> Tensor:
        """Return the innermost activation, flattened to (B, F s s)."""
        return self._activations(condition)[-1].flatten(1)

    def forward(self, condition: Tensor, samples: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw K outputs (B, K, C', S, S) for each condition (B, C, S, S); ``generator`` draws the noise."""
        activations = self._activations(condition)
        innermost = len(activations) - 1
        decoded: Tensor | None = None  # (B K, C', s, s)
        for level in range(innermost, -1, -1):
            skip = torch.relu(activations[level])
            parts = [] if decoded is None else [torch.relu(decoded)]
            if self.noise and level > innermost - NOISY:
                parts.append(draw_noise(skip, samples, self.noise, generator))
            shared = self.of_skip[level](skip)
            joined = torch.cat(parts, dim=1) if parts else None
            decoded = repeat(shared, samples) if joined is None else add_shared(self.of_own[level](joined), shared)
            if level:
                decoded = self.double_norm[level - 1](decoded)
        assert decoded is not None
        return decoded[..., : self.height, : self.length].unflatten(0, (len(condition), samples))
