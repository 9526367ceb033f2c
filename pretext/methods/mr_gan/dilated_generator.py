"""GLCIC's completion network with noise, and its two discriminators (Iizuka et al. 2017; MR-GAN, appendix B.4).

The generator takes the image and the mask of its hole. Two convolutions of stride 2 reduce the
resolution. Dilated convolutions (2, 4, 8, 16) enlarge the receptive field at that resolution.
Transposed convolutions restore the full size. Noise maps are concatenated to the inputs of three
layers: the last convolution before the dilated ones, and the first two dilated ones. Everything
before the first noise is computed once for K samples. The mask follows from the condition: inside
the hole all channels are exactly 0, which no 8-bit grey level is (-1 + 2 v / 255 = 0 has no integer
v).

The discriminators take the completed image alone. One takes the whole image, the other a crop of
half its sides around the hole; a linear layer joins them. Group normalisation replaces batch
normalisation. Letters in shapes: B batch, K samples, C channels, S side lengths, F and s channels
and side lengths between the convolutions of stride 2 and the dilated ones.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from pretext.networks.basic_layers import SMALLEST_GROUP, build_norm
from pretext.networks.latent_generator import add_shared, draw_noise, repeat
from spectral_ssl.ground.errors import UserError

STRIDE, SMALLEST_SIDE = 4, 16
DILATIONS = (2, 4, 8, 16)
NOISY_DILATIONS = 2
FEATURE_SIDE = 4
WHOLE_HALVINGS = 6  # of the discriminator of the whole image
BRANCH_FACTOR = 16


def _layer(
    before: int, after: int, side: int = 3, stride: int = 1, dilation: int = 1, pixels: int = SMALLEST_GROUP
) -> nn.Sequential:
    """Build a size-preserving convolution (up to the stride), normalisation and ReLU; ``pixels`` are its outputs."""
    padding = dilation * (side - 1) // 2
    convolution = nn.Conv2d(before, after, side, stride=stride, padding=padding, dilation=dilation)
    return nn.Sequential(convolution, build_norm(after, pixels=pixels), nn.ReLU())


def _double(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(nn.ConvTranspose2d(before, after, 4, stride=2, padding=1), build_norm(after), nn.ReLU())


class DilatedGenerator(nn.Module):
    """A generator from conditions (B, C, S, S) to K samples each, (B, K, C', S, S), unbounded.

    Parameters
    ----------
    shape : tuple of int
        Shape (C, H, W) of the conditions. Sides are zero-padded to multiples of 4.
    out_channels : int
        Number C' of output channels.
    width : int
        Channels of the first layer; the middle layers have four times as many (GLCIC: 64).
    noise : int
        Noise channels of each of the 3 layers (MR-GAN: 32); 0 makes a deterministic network.

    Raises
    ------
    UserError
        When a side is shorter than 16 pixels, four times the stride.
    """

    def __init__(self, shape: tuple[int, int, int], out_channels: int, width: int, noise: int) -> None:
        super().__init__()
        channels, self.height, self.length = shape
        require_side(self.height, self.length)
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
        # The first layer with noise is split in two: one part acts on what all samples share.
        self.enter_shared = nn.Conv2d(middle, middle, 3, padding=1)
        self.enter_noise = nn.Conv2d(noise, middle, 3, padding=1, bias=False) if noise else None
        self.enter_rest = nn.Sequential(build_norm(middle), nn.ReLU())
        self.dilated = nn.ModuleList(
            _layer(middle + (noise if level < NOISY_DILATIONS else 0), middle, dilation=dilation)
            for level, dilation in enumerate(DILATIONS)
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

    def _add_mask(self, condition: Tensor) -> Tensor:
        """Concatenate conditions and hole masks, (B, C + 1, S, S), padded to multiples of the stride."""
        hole = (condition == 0).all(dim=1, keepdim=True).to(condition.dtype)  # (B, 1, S, S)
        padded = functional.pad(torch.cat([condition, hole], dim=1), self.padding)
        return padded.contiguous(memory_format=torch.channels_last)

    def _before(self, condition: Tensor) -> Tensor:
        before: Tensor = self.before(self._add_mask(condition))  # (B, F, s, s)
        return before

    def activations(self, condition: Tensor) -> dict[str, Tensor]:
        """Return the output of each convolution before the first noise, by name."""
        outputs, maps = {}, self._add_mask(condition)
        for number, layer in enumerate(self.before, 1):
            maps = layer(maps)
            outputs[f"stage{number}"] = maps
        return outputs

    def features(self, condition: Tensor) -> Tensor:
        """Return the activation before the first noise, averaged over a 4 x 4 grid: (B, 16 F)."""
        return functional.adaptive_avg_pool2d(self._before(condition), FEATURE_SIDE).flatten(1)

    def forward(self, condition: Tensor, samples: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw K outputs (B, K, C', S, S) for each condition (B, C, S, S); ``generator`` draws the noise."""
        before = self._before(condition)
        shared = self.enter_shared(before)
        if self.enter_noise is None:
            entered = repeat(shared, samples)
        else:
            entered = add_shared(self.enter_noise(draw_noise(before, samples, self.noise, generator)), shared)
        maps = self.enter_rest(entered)  # (B K, F, s, s)
        for level, dilated in enumerate(self.dilated):
            if level < NOISY_DILATIONS:
                maps = torch.cat([maps, draw_noise(maps, 1, self.noise, generator)], dim=1)
            maps = dilated(maps)
        output: Tensor = self.behind(maps)[..., : self.height, : self.length]
        return output.unflatten(0, (len(condition), samples))


def require_side(height: int, length: int) -> None:
    """Raise a UserError if images of these sides are too small for the networks of this file."""
    if min(height, length) < SMALLEST_SIDE:
        what_to_do = f"prepare images of at least {SMALLEST_SIDE} pixels a side, or set method.base=latent"
        raise UserError(
            "images smaller than the completion network's stride", f"{height} x {length} pixels", what_to_do
        )


class GlobalLocalDiscriminator(nn.Module):
    """A discriminator of images (B, C, S, S) that sees the whole image and a crop around the hole.

    5x5 convolutions of stride 2, six for the image and five for the crop, and a linear layer give
    16 values for each channel of the first convolution (GLCIC: 1024 for 64). Another linear layer
    computes the logit from both.

    Parameters
    ----------
    shape : tuple of int
        Shape (C, H, W) of the images.
    width : int
        Channels after the first halving; they double with each further one, up to 8 times.
    """

    def __init__(self, shape: tuple[int, int, int], width: int) -> None:
        super().__init__()
        require_side(*shape[1:])
        self.sides = (shape[1] // 2, shape[2] // 2)
        self.whole = _build_branch(shape, width, WHOLE_HALVINGS)
        self.part = _build_branch((shape[0], *self.sides), width, WHOLE_HALVINGS - 1)
        self.last = nn.Linear(2 * BRANCH_FACTOR * width, 1)

    def forward(self, images: Tensor, weight: Tensor) -> Tensor:
        """Compute the logits (B, 1) of images, given weights (B, C, S, S) that are above 0 inside the hole."""
        crops = crop_around_hole(images, weight, self.sides)
        logits: Tensor = self.last(torch.cat([self.whole(images), self.part(crops)], dim=1))
        return logits


def _build_branch(shape: tuple[int, int, int], width: int, halvings: int) -> nn.Sequential:
    """Build one half of GLCIC's discriminator, from images (B, C, S, S) to values (B, 16 width)."""
    widths = [shape[0], *(width * min(2**level, 8) for level in range(halvings))]
    layers = []
    height, length = shape[1:]
    for before, after in pairwise(widths):
        height, length = -(-height // 2), -(-length // 2)
        layers.append(_layer(before, after, side=5, stride=2, pixels=height * length))
    last = nn.Linear(widths[-1] * height * length, BRANCH_FACTOR * width)
    return nn.Sequential(*layers, nn.Flatten(1), last)


def crop_around_hole(images: Tensor, weight: Tensor, sides: tuple[int, int]) -> Tensor:
    """Cut from each image (B, C, S, S) the crop (B, C, h, w) centred on the bounding box of its weights.

    A crop that would reach beyond the image is shifted inside.
    """
    inside = (weight > 0).any(dim=1)  # (B, S, S)
    indices = []
    for axis, side, size in ((2, sides[0], inside.shape[1]), (1, sides[1], inside.shape[2])):
        line = inside.any(dim=axis)  # (B, S) along the other axis
        along = torch.arange(size)
        first = torch.where(line, along, size).amin(dim=1)
        last = torch.where(line, along, -1).amax(dim=1)
        start = ((first + last + 1 - side) // 2).clamp(0, size - side)
        indices.append(start[:, None] + torch.arange(side))  # (B, h)
    rows, columns = indices
    batch = torch.arange(len(images))[:, None, None]
    return images.movedim(1, -1)[batch, rows[:, :, None], columns[:, None, :]].movedim(-1, 1)
