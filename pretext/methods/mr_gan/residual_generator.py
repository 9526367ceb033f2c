"""SRGAN's residual generator with noise: MR-GAN's for super-resolution (Ledig et al. 2017; MR-GAN, appendix B.3).

A 9x9 convolution, 5 residual blocks and a convolution work on the small picture; pixel shuffling doubles it twice, and
a last 9x9 convolution gives the answer. Maps of noise are joined to the inputs of 7 convolutions: the first of each
block, the one after the blocks, and that of the first doubling. What lies before the first noise is computed once for K
samples.

The condition has the answer's size, each small pixel repeated ``zoom`` x ``zoom`` times (task super-resolve); the
network takes one of each. Group normalisation in place of batch normalisation. Letters in shapes: B batch, K samples, C
channels, S side lengths of the answer, s of the small picture, F channels.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from pretext.networks.basic_layers import build_norm
from pretext.networks.latent_generator import add_shared, draw_noise, repeat
from spectral_ssl.ground.errors import UserError

BLOCKS = 5
FEATURE_SIDE = 4  # the features are a mean over fields of this grid


class NoisyConvolution(nn.Module):
    """A 3x3 convolution on maps (B K, C, s, s) with noise of their size beside them."""

    def __init__(self, before: int, after: int, noise: int) -> None:
        super().__init__()
        self.noise = noise
        self.convolution = nn.Conv2d(before + noise, after, 3, padding=1)

    def forward(self, maps: Tensor, generator: torch.Generator | None) -> Tensor:
        """Maps (B K, C', s, s)."""
        answer: Tensor = self.convolution(torch.cat([maps, draw_noise(maps, 1, self.noise, generator)], dim=1))
        return answer


class ResidualBlock(nn.Module):
    """A noisy convolution, PReLU and a convolution, added to what came in."""

    def __init__(self, width: int, noise: int) -> None:
        super().__init__()
        self.first = NoisyConvolution(width, width, noise)
        self.rest = nn.Sequential(
            build_norm(width), nn.PReLU(), nn.Conv2d(width, width, 3, padding=1), build_norm(width)
        )

    def forward(self, maps: Tensor, generator: torch.Generator | None) -> Tensor:
        """Maps (B K, F, s, s)."""
        changed: Tensor = maps + self.rest(self.first(maps, generator))
        return changed


class ResidualGenerator(nn.Module):
    """Conditions (B, C, S, S) to K answers each, (B, K, C', S, S), without a bound.

    Parameters
    ----------
    shape : tuple of int
        (C, H, W) of the conditions.
    out_channels : int
        C'.
    width : int
        Channels F of all layers (SRGAN: 64).
    noise : int
        Channels of noise at each of the 7 places (MR-GAN: 16); 0 for a network that answers once.
    zoom : int
        How many times larger the answer is than the small picture, 4 for super-resolve.

    Raises
    ------
    UserError
        When ``zoom`` is no power of 2 from 2 on, or does not divide the sides.
    """

    def __init__(self, shape: tuple[int, int, int], out_channels: int, width: int, noise: int, zoom: int) -> None:
        super().__init__()
        if zoom < 2 or zoom & (zoom - 1):
            what_to_do = "take the task super-resolve, or another method.base"
            raise UserError("the residual generator makes pictures larger", f"pictures {zoom} times larger", what_to_do)
        if shape[1] % zoom or shape[2] % zoom:
            got = f"{shape[1]} x {shape[2]} pixels"
            raise UserError(
                "sides that the stride of the generator does not divide", got, f"prepare multiples of {zoom}"
            )
        self.zoom, self.noise = zoom, noise
        self.first = nn.Sequential(nn.Conv2d(shape[0], width, 9, padding=4), nn.PReLU())
        # the first block's first convolution in two parts: one sees what all samples share
        self.enter_shared = nn.Conv2d(width, width, 3, padding=1)
        self.enter_noise = nn.Conv2d(noise, width, 3, padding=1, bias=False) if noise else None
        self.enter_rest = nn.Sequential(
            build_norm(width), nn.PReLU(), nn.Conv2d(width, width, 3, padding=1), build_norm(width)
        )
        self.blocks = nn.ModuleList(ResidualBlock(width, noise) for _ in range(BLOCKS - 1))
        self.after = NoisyConvolution(width, width, noise)
        self.after_norm = build_norm(width)
        doublings = zoom.bit_length() - 1
        self.grow = nn.ModuleList(
            NoisyConvolution(width, 4 * width, noise if place == 0 else 0) for place in range(doublings)
        )
        self.grow_activation = nn.ModuleList(nn.PReLU() for _ in range(doublings))
        self.last = nn.Conv2d(width, out_channels, 9, padding=4)

    def _first(self, condition: Tensor) -> Tensor:
        small = condition[..., :: self.zoom, :: self.zoom].contiguous(memory_format=torch.channels_last)
        first: Tensor = self.first(small)  # (B, F, s, s)
        return first

    def activations(self, condition: Tensor) -> dict[str, Tensor]:
        """What the network knows before the first noise, by name: (B, F, s, s) each."""
        first = self._first(condition)
        return {"first": first, "block": first + self.enter_rest(self.enter_shared(first))}

    def features(self, condition: Tensor) -> Tensor:
        """What the network knows before the first noise, averaged over 4 x 4 fields: (B, 16 F)."""
        return functional.adaptive_avg_pool2d(self.activations(condition)["block"], FEATURE_SIDE).flatten(1)

    def forward(self, condition: Tensor, samples: int, generator: torch.Generator | None = None) -> Tensor:
        """K answers (B, K, C', S, S) to each condition (B, C, S, S); ``generator`` draws the noise."""
        first = self._first(condition)
        shared = self.enter_shared(first)
        if self.enter_noise is None:
            entered = repeat(shared, samples)
        else:
            entered = add_shared(self.enter_noise(draw_noise(first, samples, self.noise, generator)), shared)
        maps = add_shared(self.enter_rest(entered), first)  # (B K, F, s, s)
        for block in self.blocks:
            maps = block(maps, generator)
        maps = add_shared(self.after_norm(self.after(maps, generator)), first)
        for grow, activation in zip(self.grow, self.grow_activation, strict=True):
            maps = activation(functional.pixel_shuffle(grow(maps, generator), 2))
        answer: Tensor = self.last(maps)
        return answer.unflatten(0, (len(condition), samples))
