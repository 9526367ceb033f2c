"""GLCIC's completion network with noise, and its two discriminators (Iizuka et al. 2017; MR-GAN, appendix B.4).

The generator sees the picture and where its hole is. Two convolutions of stride 2 make it smaller, dilated ones (2, 4,
8, 16) look far around without making it smaller still, transposed ones bring it back. Maps of noise are joined to the
inputs of three layers: the last convolution before the dilated ones, and the first two of these. What lies before is
computed once for K samples. Where the hole is follows from the condition: there it is exactly 0 in all channels, which
no grey level of 8 bits is (-1 + 2 v / 255 = 0 has no whole v).

The discriminators see the answer alone: one the whole picture, the other a part of half its sides around the hole; a
last layer judges by both. Group normalisation in place of batch normalisation. Letters in shapes: B batch, K samples, C
channels, S side lengths, F and s channels and side lengths between the convolutions of stride 2 and the dilated ones.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from pretext.networks.basic_layers import build_norm
from pretext.networks.discriminators import GlobalDiscriminator
from pretext.networks.latent_generator import add_shared, draw_noise, repeat
from spectral_ssl.ground.errors import UserError

STRIDE, SMALLEST_SIDE = 4, 16
DILATIONS = (2, 4, 8, 16)
NOISY_DILATIONS = 2
FEATURE_SIDE = 4


def _layer(before: int, after: int, side: int = 3, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """A convolution that keeps the size (but for the stride), normalisation, ReLU."""
    padding = dilation * (side - 1) // 2
    convolution = nn.Conv2d(before, after, side, stride=stride, padding=padding, dilation=dilation)
    return nn.Sequential(convolution, build_norm(after), nn.ReLU())


def _double(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(nn.ConvTranspose2d(before, after, 4, stride=2, padding=1), build_norm(after), nn.ReLU())


class DilatedGenerator(nn.Module):
    """Conditions (B, C, S, S) to K answers each, (B, K, C', S, S), without a bound.

    Parameters
    ----------
    shape : tuple of int
        (C, H, W) of the conditions; zero-padded to multiples of 4.
    out_channels : int
        C'.
    width : int
        Channels of the first layer; four times as many in the middle (GLCIC: 64).
    noise : int
        Channels of noise at each of the 3 places (MR-GAN: 32); 0 for a network that answers once.

    Raises
    ------
    UserError
        When a side is shorter than 16 pixels, four times the stride.
    """

    def __init__(self, shape: tuple[int, int, int], out_channels: int, width: int, noise: int) -> None:
        super().__init__()
        channels, self.height, self.length = shape
        need_side(self.height, self.length)
        self.noise = noise
        self.padding = (0, -self.length % STRIDE, 0, -self.height % STRIDE)
        middle = 4 * width
        self.before = nn.Sequential(
            _layer(channels + 1, width, side=5),
            _layer(width, 2 * width, stride=2),
            _layer(2 * width, 2 * width),
            _layer(2 * width, middle, stride=2),
            _layer(middle, middle),
        )
        # the convolution of the first noise in two parts: one sees what all samples share
        self.enter_shared = nn.Conv2d(middle, middle, 3, padding=1)
        self.enter_noise = nn.Conv2d(noise, middle, 3, padding=1, bias=False) if noise else None
        self.enter_rest = nn.Sequential(build_norm(middle), nn.ReLU())
        self.dilated = nn.ModuleList(
            _layer(middle + (noise if place < NOISY_DILATIONS else 0), middle, dilation=dilation)
            for place, dilation in enumerate(DILATIONS)
        )
        self.behind = nn.Sequential(
            _layer(middle, middle),
            _layer(middle, middle),
            _double(middle, 2 * width),
            _layer(2 * width, 2 * width),
            _double(2 * width, width),
            _layer(width, max(1, width // 2)),
            nn.Conv2d(max(1, width // 2), out_channels, 3, padding=1),
        )

    def _padded(self, condition: Tensor) -> Tensor:
        """Conditions and where their holes are, (B, C + 1, S, S), the sides multiples of the stride."""
        hole = (condition == 0).all(dim=1, keepdim=True).to(condition.dtype)  # (B, 1, S, S)
        padded = functional.pad(torch.cat([condition, hole], dim=1), self.padding)
        return padded.contiguous(memory_format=torch.channels_last)

    def _before(self, condition: Tensor) -> Tensor:
        before: Tensor = self.before(self._padded(condition))  # (B, F, s, s)
        return before

    def activations(self, condition: Tensor) -> dict[str, Tensor]:
        """What each convolution before the first noise gives, by name."""
        found, maps = {}, self._padded(condition)
        for number, layer in enumerate(self.before, 1):
            maps = layer(maps)
            found[f"stage{number}"] = maps
        return found

    def features(self, condition: Tensor) -> Tensor:
        """What the network knows before the first noise, averaged over 4 x 4 fields: (B, 16 F)."""
        return functional.adaptive_avg_pool2d(self._before(condition), FEATURE_SIDE).flatten(1)

    def forward(self, condition: Tensor, samples: int, generator: torch.Generator | None = None) -> Tensor:
        """K answers (B, K, C', S, S) to each condition (B, C, S, S); ``generator`` draws the noise."""
        before = self._before(condition)
        shared = self.enter_shared(before)
        if self.enter_noise is None:
            entered = repeat(shared, samples)
        else:
            entered = add_shared(self.enter_noise(draw_noise(before, samples, self.noise, generator)), shared)
        maps = self.enter_rest(entered)  # (B K, F, s, s)
        for place, dilated in enumerate(self.dilated):
            if place < NOISY_DILATIONS:
                maps = torch.cat([maps, draw_noise(maps, 1, self.noise, generator)], dim=1)
            maps = dilated(maps)
        answer: Tensor = self.behind(maps)[..., : self.height, : self.length]
        return answer.unflatten(0, (len(condition), samples))


def need_side(height: int, length: int) -> None:
    """Raise a UserError when pictures of such sides are too small for these networks."""
    if min(height, length) < SMALLEST_SIDE:
        what_to_do = f"prepare pictures of at least {SMALLEST_SIDE} pixels a side, or set method.base=latent"
        raise UserError(
            "pictures smaller than the completion network's stride", f"{height} x {length} pixels", what_to_do
        )


class GlobalLocalDiscriminator(nn.Module):
    """Logits (B, 1) that pictures (B, C, S, S) are real, by the whole and by a part around the hole.

    Parameters
    ----------
    shape : tuple of int
        (C, H, W) of the pictures.
    width : int
        Channels after the first halving.
    """

    def __init__(self, shape: tuple[int, int, int], width: int) -> None:
        super().__init__()
        need_side(*shape[1:])
        self.sides = (shape[1] // 2, shape[2] // 2)
        self.whole = GlobalDiscriminator(shape, width)
        self.part = GlobalDiscriminator((shape[0], *self.sides), width)

    def forward(self, pictures: Tensor, weight: Tensor) -> Tensor:
        """Logits (B, 1) of pictures and of weights (B, C, S, S), above 0 where the hole is.

        GLCIC joins 1024 values of each and has one layer over both; being linear it is the sum of two.
        """
        logits: Tensor = self.whole(pictures) + self.part(part_around(pictures, weight, self.sides))
        return logits


def part_around(pictures: Tensor, weight: Tensor, sides: tuple[int, int]) -> Tensor:
    """The part (B, C, h, w) of each picture (B, C, S, S) whose middle is that of the rectangle around its weights.

    It is moved as far as it must to lie within the picture.
    """
    inside = (weight > 0).any(dim=1)  # (B, S, S)
    places = []
    for axis, side, size in ((2, sides[0], inside.shape[1]), (1, sides[1], inside.shape[2])):
        line = inside.any(dim=axis)  # (B, S) along the other axis
        along = torch.arange(size)
        first = torch.where(line, along, size).amin(dim=1)
        last = torch.where(line, along, -1).amax(dim=1)
        start = ((first + last + 1 - side) // 2).clamp(0, size - side)
        places.append(start[:, None] + torch.arange(side))  # (B, h)
    rows, columns = places
    batch = torch.arange(len(pictures))[:, None, None]
    return pictures.movedim(1, -1)[batch, rows[:, :, None], columns[:, None, :]].movedim(-1, 1)
