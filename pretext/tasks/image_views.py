"""Two views of one picture: what a joint embedding shall find equal.

Each picture is altered twice, independently:

1. a rectangle of it is cut out and stretched to the whole frame (bilinear): its share of the area uniform in
   [``crop``, 1], the logarithm of its width over its height (relative to the picture's) uniform within log ``ratio``,
   its place uniform; what would be longer than the picture is cut off at its length;
2. it is mirrored left to right with probability 1/2;
3. with probability ``jittered`` its values v in [0, 1] are multiplied by a factor (brightness), drawn towards or away
   from the picture's mean lightness (contrast), their colours drawn towards or away from grey (saturation), and turned
   around the axis of greys (hue); factors are uniform in 1 +- the setting;
4. with probability ``grey`` only the lightness is left.

Steps 3 and 4 are one linear map of a picture's colours: in YUV (ITU-R BT.601) saturation scales the two colour
differences, hue turns them, grey makes them 0. Values are cut to [-1, 1] once, at the end.

The alterations are those of Chen et al., "A simple framework for contrastive learning of visual representations"
(ICML 2020), appendix A, but for the order (fixed here), the hue (turned in HSV there) and the blur, which they leave
out for small pictures too.

Letters in shapes: B batch, C colour channels (1 or 3; of others only brightness and contrast change), H, W.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from data_prep.basis import Basis
from pretext.data.batch import Batch, Example, Problem, need_pictures
from pretext.randomness import rand
from spectral_ssl.ground.config import check_range

# RGB to YUV, ITU-R BT.601: lightness Y = 0.299 R + 0.587 G + 0.114 B, U = 0.492 (B - Y), V = 0.877 (R - Y).
LIGHTNESS = (0.299, 0.587, 0.114)
TO_YUV = (
    LIGHTNESS,
    tuple(0.492 * (own - part) for own, part in zip((0.0, 0.0, 1.0), LIGHTNESS, strict=True)),
    tuple(0.877 * (own - part) for own, part in zip((1.0, 0.0, 0.0), LIGHTNESS, strict=True)),
)


@dataclass(frozen=True, kw_only=True)
class PictureViewsConfig:
    """Settings of the task.

    Attributes
    ----------
    side : int
        Pixels on a side of the views; 0 for those of the pictures. Smaller views cost less; features are taken from
        whole pictures.
    crop : float
        Smallest share of the area that is cut out; 1 for the whole picture.
    ratio : float
        Largest ratio of the sides of what is cut out, relative to the picture's own.
    mirror : bool
        Whether pictures are mirrored left to right, with probability 1/2.
    jittered : float
        Probability with which the four that follow are applied.
    brightness, contrast, saturation : float
        Largest deviation of the factors from 1.
    hue : float
        Largest turn of the colours, as a share of the full circle.
    grey : float
        Probability with which a picture loses its colours.
    """

    side: int = 0
    crop: float = 0.2
    ratio: float = 4 / 3
    mirror: bool = True
    jittered: float = 0.8
    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.2
    hue: float = 0.1
    grey: float = 0.2

    def __post_init__(self) -> None:
        check_range("task.side", self.side, 0, 4096)
        check_range("task.crop", self.crop, 0.01, 1.0)
        check_range("task.ratio", self.ratio, 1.0, 10.0)
        check_range("task.jittered", self.jittered, 0.0, 1.0)
        check_range("task.brightness", self.brightness, 0.0, 1.0)
        check_range("task.contrast", self.contrast, 0.0, 1.0)
        check_range("task.saturation", self.saturation, 0.0, 1.0)
        check_range("task.hue", self.hue, 0.0, 0.5)
        check_range("task.grey", self.grey, 0.0, 1.0)


def picture_views_problem(basis: Basis, config: PictureViewsConfig) -> Problem:
    """A view in, a view out. Raises UserError when the maps are no pictures."""
    need_pictures("picture-views", basis, other="views (for shapes prepared with --keep-points)")
    channels, height, width = basis.shape
    shape = (channels, config.side or height, config.side or width)
    return Problem(condition=shape, target=shape, bounded=True)


def picture_views(batch: Batch, config: PictureViewsConfig, generator: torch.Generator) -> Example:
    """Make two views of each picture.

    Parameters
    ----------
    batch : Batch
        Pictures (B, C, H, W) in [-1, 1].
    config : PictureViewsConfig
        Settings.
    generator : torch.Generator
        The only source of randomness.

    Returns
    -------
    Example
        The two views, weight 1 everywhere.
    """
    first, second = (one_view(batch.maps, config, generator) for _ in range(2))
    return Example(first, second, torch.ones_like(first))


def one_view(pictures: Tensor, config: PictureViewsConfig, generator: torch.Generator) -> Tensor:
    """One view of each picture, (B, C, H, W) in [-1, 1] -> (B, C, side, side)."""
    height, width = pictures.shape[2:]
    frames = random_frames(len(pictures), config, generator)
    size = [*pictures.shape[:2], config.side or height, config.side or width]
    grid = functional.affine_grid(frames, size, align_corners=False)
    # the frame ends inside the picture, but half a pixel at the border lies outside of the outermost centres
    cut = functional.grid_sample(pictures, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return recoloured(cut, config, generator).clamp_(-1, 1)


def random_frames(count: int, config: PictureViewsConfig, generator: torch.Generator) -> Tensor:
    """What is cut out of each picture: (B, 2, 3), from places in the view to those in the picture, all in [-1, 1]."""
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


def recoloured(pictures: Tensor, config: PictureViewsConfig, generator: torch.Generator) -> Tensor:
    """Pictures (B, C, H, W) in [-1, 1] with other brightness, contrast and colours; they may leave the range."""
    count, channels = pictures.shape[:2]
    draws = 2 * rand(count, 4, generator=generator) - 1
    chances = rand(count, 2, generator=generator)
    draws = draws * (chances[:, :1] < config.jittered)
    brightness, contrast, saturation = (
        1 + largest * draw
        for largest, draw in zip((config.brightness, config.contrast, config.saturation), draws.T[:3], strict=True)
    )
    if channels == 3:
        saturation = saturation * (chances[:, 1] >= config.grey)
        matrices = colour_matrices(saturation, 2 * math.pi * config.hue * draws[:, 3])  # (B, 3, 3)
        lightness = torch.tensor(LIGHTNESS)
    else:
        matrices = torch.eye(channels).expand(count, -1, -1)
        lightness = torch.full((channels,), 1 / channels)
    # with v = (x + 1) / 2: v' = M (m + c (b v - m)), m the mean lightness of b v; in x, where greys map to themselves:
    mean = pictures.mean(dim=(2, 3)) @ lightness  # (B,)
    middle = brightness * (mean + 1) - 1
    shift = middle + contrast * (brightness - 1 - middle)
    factors = (contrast * brightness)[:, None, None] * matrices
    flat = torch.baddbmm(shift[:, None, None].expand(-1, channels, 1), factors, pictures.flatten(2))
    return flat.view_as(pictures)


def colour_matrices(saturation: Tensor, angles: Tensor) -> Tensor:
    """Linear maps of RGB, (B, 3, 3), that scale colours by a factor (B) and turn them by angles (B), and keep greys."""
    turn = torch.zeros(len(angles), 3, 3)
    turn[:, 0, 0] = 1
    turn[:, 1, 1] = turn[:, 2, 2] = saturation * angles.cos()
    turn[:, 1, 2] = -saturation * angles.sin()
    turn[:, 2, 1] = saturation * angles.sin()
    to_yuv = torch.tensor(TO_YUV)
    return torch.linalg.inv(to_yuv) @ turn @ to_yuv
