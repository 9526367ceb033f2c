"""SRGAN's residual generator with noise, and its discriminator (Ledig et al. 2017; MR-GAN, appendix B.3).

A 9x9 convolution, 5 residual blocks and a convolution act on the small image. Pixel shuffling
doubles its size twice, and a last 9x9 convolution gives the output. Noise maps are concatenated to
the inputs of 7 convolutions: the first of each block, the one after the blocks, and that of the
first doubling. Everything before the first noise is computed once for K samples.

The condition has the output's size, with each small pixel repeated ``zoom`` x ``zoom`` times (task
super-resolve). The network takes one pixel of each such square.

The discriminator takes the enlarged image alone, as MR-GAN's code has it: eight 3x3 convolutions,
every second of which has a stride of 2, a mean over the image and two linear layers. Group
normalisation replaces batch normalisation. Letters in shapes: B batch, K samples, C channels, S side
lengths of the output, s of the small image, F channels.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from pretext.networks.basic_layers import build_norm
from pretext.networks.latent_generator import add_shared, draw_noise, repeat
from spectral_ssl.ground.errors import UserError

BLOCKS = 5
FEATURE_SIDE = 4  # features are averaged over a grid of this side


class NoisyConvolution(nn.Module):
    """A 3x3 convolution on maps (B K, C, s, s) concatenated with noise maps of the same size."""

    def __init__(self, before: int, after: int, noise: int) -> None:
        super().__init__()
        self.noise = noise
        self.convolution = nn.Conv2d(before + noise, after, 3, padding=1)

    def forward(self, maps: Tensor, generator: torch.Generator | None) -> Tensor:
        """Convolve maps and noise to (B K, C', s, s)."""
        output: Tensor = self.convolution(torch.cat([maps, draw_noise(maps, 1, self.noise, generator)], dim=1))
        return output


class ResidualBlock(nn.Module):
    """A residual block: convolution with noise, PReLU, convolution, and a skip connection."""

    def __init__(self, width: int, noise: int) -> None:
        super().__init__()
        self.first = NoisyConvolution(width, width, noise)
        self.rest = nn.Sequential(
            build_norm(width), nn.PReLU(), nn.Conv2d(width, width, 3, padding=1), build_norm(width)
        )

    def forward(self, maps: Tensor, generator: torch.Generator | None) -> Tensor:
        """Apply the block to maps (B K, F, s, s); the shape stays."""
        output: Tensor = maps + self.rest(self.first(maps, generator))
        return output


class ResidualGenerator(nn.Module):
    """A generator from conditions (B, C, S, S) to K samples each, (B, K, C', S, S), unbounded.

    Parameters
    ----------
    shape : tuple of int
        Shape (C, H, W) of the conditions.
    out_channels : int
        Number C' of output channels.
    width : int
        Channels F of all layers (SRGAN: 64).
    noise : int
        Noise channels of each of the 7 layers (MR-GAN: 16); 0 makes a deterministic network.
    zoom : int
        Side of the output divided by the side of the small image; 4 for super-resolve.

    Raises
    ------
    UserError
        If ``zoom`` is not a power of 2 of at least 2, or does not divide the sides.
    """

    def __init__(self, shape: tuple[int, int, int], out_channels: int, width: int, noise: int, zoom: int) -> None:
        super().__init__()
        if zoom < 2 or zoom & (zoom - 1):
            what_to_do = "take the task super-resolve, or another method.base"
            raise UserError("the residual generator enlarges images", f"images {zoom} times larger", what_to_do)
        if shape[1] % zoom or shape[2] % zoom:
            got = f"{shape[1]} x {shape[2]} pixels"
            raise UserError(
                "sides that the stride of the generator does not divide", got, f"prepare multiples of {zoom}"
            )
        self.zoom, self.noise = zoom, noise
        self.first = nn.Sequential(nn.Conv2d(shape[0], width, 9, padding=4), nn.PReLU())
        # The first block's first convolution is split in two: one part acts on what all samples
        # share.
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
            NoisyConvolution(width, 4 * width, noise if level == 0 else 0) for level in range(doublings)
        )
        self.grow_activation = nn.ModuleList(nn.PReLU() for _ in range(doublings))
        self.last = nn.Conv2d(width, out_channels, 9, padding=4)

    def _first(self, condition: Tensor) -> Tensor:
        small = condition[..., :: self.zoom, :: self.zoom].contiguous(memory_format=torch.channels_last)
        first: Tensor = self.first(small)  # (B, F, s, s)
        return first

    def activations(self, condition: Tensor) -> dict[str, Tensor]:
        """Return the activations before the first noise by name, each (B, F, s, s)."""
        first = self._first(condition)
        return {"first": first, "block": first + self.enter_rest(self.enter_shared(first))}

    def features(self, condition: Tensor) -> Tensor:
        """Return the activation before the first noise, averaged over a 4 x 4 grid: (B, 16 F)."""
        return functional.adaptive_avg_pool2d(self.activations(condition)["block"], FEATURE_SIDE).flatten(1)

    def forward(self, condition: Tensor, samples: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw K outputs (B, K, C', S, S) for each condition (B, C, S, S); ``generator`` draws the noise."""
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
        output: Tensor = self.last(maps)
        return output.unflatten(0, (len(condition), samples))


class EnlargementDiscriminator(nn.Module):
    """Classifies images (B, C, S, S) as real or generated, with one logit each.

    Parameters
    ----------
    channels : int
        Number C of channels.
    width : int
        Channels of the first convolution (SRGAN: 64); they double with each halving but the last.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1), nn.LeakyReLU(0.2)]
        before = width
        for level in range(4):
            for stride in (1, 2) if level else (2,):
                after = width * 2**level
                layers += [nn.Conv2d(before, after, 3, stride=stride, padding=1), build_norm(after), nn.LeakyReLU(0.2)]
                before = after
        self.convolve = nn.Sequential(*layers)
        self.classify = nn.Sequential(nn.Linear(before, 2 * before), nn.LeakyReLU(0.2), nn.Linear(2 * before, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Compute the logits (B, 1) of images (B, C, S, S)."""
        logits: Tensor = self.classify(self.convolve(images).mean(dim=(2, 3)))
        return logits
