"""Two views of one image, which a joint embedding maps to similar features.

Each image is altered twice, independently:

1. A rectangle is cut out and stretched to the whole frame (bilinear). Its share of the area is
   uniform in [``crop``, 1]. The logarithm of its aspect ratio, relative to the image's, is uniform
   within log ``ratio``. Its position is uniform. A side that would be longer than the image is
   reduced to the image's length.
2. With probability 1/2 the view is mirrored left to right.
3. With probability ``jittered`` four alterations follow. Values v in [0, 1] are multiplied by a
   factor (brightness). They are scaled about the image's mean lightness (contrast). Colours are
   scaled about grey (saturation), and rotated about the axis of greys (hue). Factors are uniform in
   1 +- the setting.
4. With probability ``grey`` only the lightness remains.

Steps 3 and 4 are one linear map of an image's colours: in YUV (ITU-R BT.601) saturation scales the
two colour differences, hue rotates them, and grey sets them to 0. Values are clipped to [-1, 1]
once, at the end.

The alterations are those of Chen et al., "A simple framework for contrastive learning of visual
representations" (ICML 2020), appendix A, with three differences: the order is fixed here, the hue
is rotated in YUV and not in HSV, and there is no blur. Chen et al. omit the blur for small images
too.

Letters in shapes: B batch, C colour channels (1 or 3; for others only brightness and contrast
change), H, W.
"""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional

from data_prep.basis import Basis
from pretext.data.batch import Batch, Example, Problem, require_images
from pretext.randomness import rand
from spectral_ssl.ground.config import check_ranges, within

# RGB to YUV, ITU-R BT.601: lightness Y = 0.299 R + 0.587 G + 0.114 B,
# U = 0.492 (B - Y), V = 0.877 (R - Y).
LIGHTNESS = (0.299, 0.587, 0.114)
TO_YUV = (
    LIGHTNESS,
    tuple(0.492 * (blue - part) for blue, part in zip((0.0, 0.0, 1.0), LIGHTNESS, strict=True)),
    tuple(0.877 * (red - part) for red, part in zip((1.0, 0.0, 0.0), LIGHTNESS, strict=True)),
)


@dataclass(frozen=True, kw_only=True)
class ImageViewsConfig:
    """Settings of the task.

    Attributes
    ----------
    side : int
        Pixels on a side of the views; 0 for the size of the images. Smaller views need less time.
        Features are computed from whole images.
    crop : float
        Smallest share of the area that is cut out; 1 for the whole image.
    ratio : float
        Largest aspect ratio of the rectangle, relative to the image's.
    mirror : bool
        Whether images are mirrored left to right with probability 1/2.
    jittered : float
        Probability that brightness, contrast, saturation and hue are altered.
    brightness, contrast, saturation : float
        Largest deviation of the factors from 1.
    hue : float
        Largest rotation of the colours, as a share of the full circle.
    grey : float
        Probability that an image loses its colours.
    """

    side: int = field(default=0, metadata=within(0, 4096))
    crop: float = field(default=0.2, metadata=within(0.01, 1.0))
    ratio: float = field(default=4 / 3, metadata=within(1.0, 10.0))
    mirror: bool = True
    jittered: float = field(default=0.8, metadata=within(0.0, 1.0))
    brightness: float = field(default=0.4, metadata=within(0.0, 1.0))
    contrast: float = field(default=0.4, metadata=within(0.0, 1.0))
    saturation: float = field(default=0.2, metadata=within(0.0, 1.0))
    hue: float = field(default=0.1, metadata=within(0.0, 0.5))
    grey: float = field(default=0.2, metadata=within(0.0, 1.0))

    def __post_init__(self) -> None:
        check_ranges(self, "task")


def image_views_problem(basis: Basis, config: ImageViewsConfig) -> Problem:
    """Build the problem, or raise a UserError if the maps are no images."""
    require_images("picture-views", basis, other="views (for shapes prepared with --keep-points)")
    channels, height, width = basis.shape
    shape = (channels, config.side or height, config.side or width)
    return Problem(condition=shape, target=shape, bounded=True)


def image_views(batch: Batch, config: ImageViewsConfig, generator: torch.Generator) -> Example:
    """Make two views of each image.

    Parameters
    ----------
    batch : Batch
        Images (B, C, H, W) in [-1, 1].
    config : ImageViewsConfig
        Settings.
    generator : torch.Generator
        The only source of random numbers.

    Returns
    -------
    Example
        The two views, weight 1 everywhere.
    """
    first, second = (make_view(batch.maps, config, generator) for _ in range(2))
    return Example(first, second, torch.ones_like(first))


def make_view(images: Tensor, config: ImageViewsConfig, generator: torch.Generator) -> Tensor:
    """Make a view of each image, (B, C, H, W) in [-1, 1] -> (B, C, side, side)."""
    height, width = images.shape[2:]
    frames = draw_frames(len(images), config, generator)
    size = [*images.shape[:2], config.side or height, config.side or width]
    grid = functional.affine_grid(frames, size, align_corners=False)
    # the frame lies inside the image, but half a pixel at the border lies outside of the outermost
    # pixel centres
    cut = functional.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return recolour(cut, config, generator).clamp_(-1, 1)


def draw_frames(count: int, config: ImageViewsConfig, generator: torch.Generator) -> Tensor:
    """Draw the rectangle cut out of each image.

    The result is affine maps (B, 2, 3) from positions in the view to those in the image, all in
    [-1, 1].
    """
    uniform = rand(count, 5, generator=generator)
    area = config.crop + (1 - config.crop) * uniform[:, 0]
    stretch = (math.log(config.ratio) * (2 * uniform[:, 1] - 1)).exp()
    lengths = torch.stack([(area * stretch).sqrt(), (area / stretch).sqrt()], dim=1).clamp(max=1)  # width, height
    centres = (1 - lengths) * (2 * uniform[:, 2:4] - 1)
    frames = torch.zeros(count, 2, 3)
    frames[:, 0, 0] = (
        torch.where(uniform[:, 4] < 0.5, -lengths[:, 0], lengths[:, 0]) if config.mirror else lengths[:, 0]
    )
    frames[:, 1, 1] = lengths[:, 1]
    frames[:, :, 2] = centres
    return frames


def recolour(images: Tensor, config: ImageViewsConfig, generator: torch.Generator) -> Tensor:
    """Alter brightness, contrast and colours of images (B, C, H, W) in [-1, 1].

    The result may exceed the range.
    """
    count, channels = images.shape[:2]
    draws = 2 * rand(count, 4, generator=generator) - 1
    chances = rand(count, 2, generator=generator)
    draws = draws * (chances[:, :1] < config.jittered)
    brightness, contrast, saturation = (
        1 + largest * draw
        for largest, draw in zip((config.brightness, config.contrast, config.saturation), draws.T[:3], strict=True)
    )
    if channels == 3:
        saturation = saturation * (chances[:, 1] >= config.grey)
        matrices = build_colour_matrices(saturation, 2 * math.pi * config.hue * draws[:, 3])  # (B, 3, 3)
        lightness = torch.tensor(LIGHTNESS)
    else:
        matrices = torch.eye(channels).expand(count, -1, -1)
        lightness = torch.full((channels,), 1 / channels)
    # v = (x + 1) / 2 becomes v' = M (m + c (b v - m)), m being the mean lightness of b v. M maps
    # greys to themselves, so in x this is:
    mean = images.mean(dim=(2, 3)) @ lightness  # (B,)
    middle = brightness * (mean + 1) - 1
    shift = middle + contrast * (brightness - 1 - middle)
    factors = (contrast * brightness)[:, None, None] * matrices
    flat = torch.baddbmm(shift[:, None, None].expand(-1, channels, 1), factors, images.flatten(2))
    return flat.view_as(images)


def build_colour_matrices(saturation: Tensor, angles: Tensor) -> Tensor:
    """Build linear maps of RGB, (B, 3, 3), that do not change greys.

    They scale colours by factors (B) and rotate them by angles (B).
    """
    turn = torch.zeros(len(angles), 3, 3)
    turn[:, 0, 0] = 1
    turn[:, 1, 1] = turn[:, 2, 2] = saturation * angles.cos()
    turn[:, 1, 2] = -saturation * angles.sin()
    turn[:, 2, 1] = saturation * angles.sin()
    to_yuv = torch.tensor(TO_YUV)
    return torch.linalg.inv(to_yuv) @ turn @ to_yuv
