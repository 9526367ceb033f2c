"""U-Net with noise in the middle: MR-GAN's generator for translation (Isola et al. 2017; MR-GAN, appendix B.2).

4x4 convolutions of stride 2 halve the picture until its shorter side is 1 (at most 8 times); as many transposed ones
double it, each acting on the one before and on the activation of its own size, side by side. Maps of noise are joined
to the inputs of the three innermost transposed ones (1x1, 2x2 and 4x4), and nowhere else, so that noise decides about
large things. All that lies before them is computed once for K samples, and so are the parts of the transposed
convolutions that act on activations of the first half (``pretext.networks.latent_generator``).

Group normalisation in place of batch normalisation, as everywhere here, and no dropout. Letters in shapes: B batch,
K samples, C channels, S side lengths, F and s channels and side lengths of the innermost activation.
"""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from pretext.networks.basic_layers import build_norm
from pretext.networks.latent_generator import add_shared, draw_noise, repeat
from spectral_ssl.ground.errors import UserError

NOISY = 3  # innermost levels that are given noise
MOST_HALVINGS = 8


class UNet(nn.Module):
    """Conditions (B, C, S, S) to K answers each, (B, K, C', S, S), without a bound.

    Parameters
    ----------
    shape : tuple of int
        (C, H, W) of the conditions; the sides are zero-padded to whole multiples of the stride.
    out_channels : int
        C'.
    width : int
        Channels after the first halving; they double with each further one, up to 8 times.
    noise : int
        Channels of noise at each of the three levels; 0 for a network that answers once.

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
            what_to_do = f"prepare pictures of at least {smallest} pixels a side, or set method.base=latent"
            raise UserError("pictures smaller than the U-Net's stride", f"{height} x {length} pixels", what_to_do)
        self.noise, self.height, self.length = noise, height, length
        levels = min(MOST_HALVINGS, int(math.log2(min(height, length))))
        factor = 2**levels
        self.padding = (0, -length % factor, 0, -height % factor)
        widths = [width * min(2**level, 8) for level in range(levels)]
        self.halve = nn.ModuleList(
            nn.Conv2d(before, after, 4, stride=2, padding=1) for before, after in pairwise([channels, *widths])
        )
        # none after the first, as in pix2pix, and none on the last, where a map may have no extent
        self.halve_norm = nn.ModuleList(build_norm(width) for width in widths[1:-1])
        after = [out_channels, *widths[:-1]]  # channels that each level gives
        self.of_skip = nn.ModuleList(
            nn.ConvTranspose2d(skip, out, 4, stride=2, padding=1) for skip, out in zip(widths, after, strict=True)
        )
        innermost = levels - 1
        own = [
            (widths[level] if level < innermost else 0) + (noise if level > innermost - NOISY else 0)
            for level in range(levels)
        ]
        self.of_own = nn.ModuleList(
            nn.ConvTranspose2d(count, out, 4, stride=2, padding=1, bias=False) if count else nn.Identity()
            for count, out in zip(own, after, strict=True)
        )
        self.double_norm = nn.ModuleList(build_norm(out) for out in after[1:])

    def activations(self, condition: Tensor) -> dict[str, Tensor]:
        """What each halving gives, by name, the innermost last."""
        return {f"stage{level}": found for level, found in enumerate(self._activations(condition), 1)}

    def _activations(self, condition: Tensor) -> list[Tensor]:
        """Activations of all levels, (B, F, s, s) the last."""
        padded = functional.pad(condition, self.padding).contiguous(memory_format=torch.channels_last)
        found = [self.halve[0](padded)]
        for level, halve in enumerate(self.halve[1:]):
            activation = halve(functional.leaky_relu(found[-1], 0.2))
            if level < len(self.halve_norm):
                activation = self.halve_norm[level](activation)
            found.append(activation)
        return found

    def features(self, condition: Tensor) -> Tensor:
        """The innermost activation, (B, F s s)."""
        return self._activations(condition)[-1].flatten(1)

    def forward(self, condition: Tensor, samples: int, generator: torch.Generator | None = None) -> Tensor:
        """K answers (B, K, C', S, S) to each condition (B, C, S, S); ``generator`` draws the noise."""
        activations = self._activations(condition)
        innermost = len(activations) - 1
        own: Tensor | None = None  # (B K, C', s, s)
        for level in range(innermost, -1, -1):
            skip = torch.relu(activations[level])
            parts = [] if own is None else [torch.relu(own)]
            if self.noise and level > innermost - NOISY:
                parts.append(draw_noise(skip, samples, self.noise, generator))
            shared = self.of_skip[level](skip)
            joined = torch.cat(parts, dim=1) if parts else None
            own = repeat(shared, samples) if joined is None else add_shared(self.of_own[level](joined), shared)
            if level:
                own = self.double_norm[level - 1](own)
        assert own is not None
        return own[..., : self.height, : self.length].unflatten(0, (len(condition), samples))
