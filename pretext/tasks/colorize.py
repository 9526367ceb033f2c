"""Colours: from the lightness of a picture to its two colour channels, in CIELAB.

The first paper's colorization (cGML, section 5.2): the condition is L, the answer is (a, b), and the error is::

    E = d(a) + d(b) + lambda (KL_a + KL_b),    KL_c = KL(softmax over pixels of blur(|c|) || uniform)

which keeps the answer from being grey nearly everywhere, because the few colourful pixels would dominate the softmax.
As in the research code blur is a Gaussian of 5 x 5 pixels with sigma 1, bounded below by 1e-4, and lambda = 0.5.
Differences, by choice: uniform is 1/N exactly (there: the softmax of a map freshly drawn from U(0, 1), which is that
plus noise), d is the weighted mean over both channels (there: sums), and c = a / 110 or b / 110, the network's own
scale.

Colours: sRGB with the transfer curve and primaries of IEC 61966-2-1, white D65 as the sum of the primaries, so that
greys have a = b = 0; CIELAB of CIE 15. Over all of sRGB |a| and |b| stay below 110.
"""

import math
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from data_prep.basis import Basis
from pretext.data.batch import Batch, Example, Problem, need_pictures
from spectral_ssl.ground.config import check_range

LARGEST_COLOUR = 110.0
BLUR_SIDE, BLUR_SIGMA, FLOOR = 5, 1.0, 1e-4
# linear sRGB to CIE XYZ, rows X, Y, Z (IEC 61966-2-1)
TO_XYZ = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))
# CIELAB's f(t) is the cube root above EDGE^3 and a straight line below
EDGE = 6 / 29


@dataclass(frozen=True, kw_only=True)
class ColorizeConfig:
    """Settings of the task.

    Attributes
    ----------
    uniform_weight : float
        lambda, weight of the terms that keep colour spread over the picture.
    """

    uniform_weight: float = 0.5

    def __post_init__(self) -> None:
        check_range("task.uniform_weight", self.uniform_weight, 0.0, 1e6)


def colorize_problem(basis: Basis, config: ColorizeConfig) -> Problem:
    """Lightness in, two colour channels out. Raises UserError when the data are no colour pictures."""
    need_pictures("colorize", basis, channels=3)
    _, height, width = basis.shape
    extra = partial(spread_error, weight=config.uniform_weight) if config.uniform_weight > 0 else None
    return Problem(condition=(1, height, width), target=(2, height, width), bounded=True, extra_error=extra)


def colorize(batch: Batch, config: ColorizeConfig, generator: torch.Generator) -> Example:
    """Take pictures (B, 3, H, W) in [-1, 1] apart: lightness (B, 1, H, W), colour (B, 2, H, W), weight 1.

    Nothing is drawn.
    """
    lab = rgb_to_lab(batch.maps)
    target = (lab[:, 1:] / LARGEST_COLOUR).clamp(-1, 1)
    return Example(_scaled_lightness(lab), target, torch.ones_like(target))


def lightness_view(batch: Batch, config: ColorizeConfig) -> Tensor:
    """The lightness (B, 1, H, W) in [-1, 1] of pictures (B, 3, H, W)."""
    return _scaled_lightness(rgb_to_lab(batch.maps))


def spread_error(answer: Tensor, example: Example, weight: float) -> Tensor:
    """``weight`` times KL_a + KL_b of each answer (B, 2, H, W), see above: (B,), at least 0."""
    size = (BLUR_SIDE - 1) // 2
    bell = torch.exp(-0.5 * (torch.arange(-size, size + 1, dtype=answer.dtype, device=answer.device) / BLUR_SIGMA) ** 2)
    bell = bell / bell.sum()
    kernel = (bell[:, None] * bell)[None, None]
    strength = functional.conv2d(answer.abs().flatten(0, 1)[:, None], kernel, padding=size)  # (2 B, 1, H, W)
    logarithm = strength.clamp(min=FLOOR).flatten(1).log_softmax(dim=1)  # (2 B, pixels)
    divergence = (logarithm.exp() * logarithm).sum(dim=1) + math.log(logarithm.shape[1])
    return weight * divergence.view(len(answer), 2).sum(dim=1)


def to_rgb(condition: Tensor, answer: Tensor) -> Tensor:
    """Pictures of lightness and colour as the task scales them, for looking at and for metrics.

    Parameters
    ----------
    condition : Tensor, shape (..., 1, H, W)
        Lightness in [-1, 1].
    answer : Tensor, shape (..., 2, H, W)
        Colour in [-1, 1].

    Returns
    -------
    Tensor, shape (..., 3, H, W)
        sRGB in [-1, 1]; colours that sRGB does not have are clipped channel by channel.
    """
    lightness, colour = 50 * (condition + 1), LARGEST_COLOUR * answer
    return lab_to_rgb(torch.cat([lightness, colour], dim=-3))


def coloured(condition: Tensor, answer: Tensor, config: ColorizeConfig) -> Tensor:
    """Answers as pictures: ``to_rgb`` of colours clamped to [-1, 1]."""
    return to_rgb(condition, answer.clamp(-1, 1))


def rgb_to_lab(pictures: Tensor) -> Tensor:
    """CIELAB (..., 3, H, W), L in 0..100, of sRGB pictures (..., 3, H, W) in [-1, 1]; computed in float64."""
    values = (pictures.double() + 1) / 2
    linear = torch.where(values <= 0.04045, values / 12.92, ((values.clamp(min=0) + 0.055) / 1.055) ** 2.4)
    matrix = torch.tensor(TO_XYZ, dtype=torch.float64)
    relative = torch.einsum("xc,...chw->...xhw", matrix / matrix.sum(dim=1, keepdim=True), linear)
    bent = torch.where(relative > EDGE**3, relative.clamp(min=0) ** (1 / 3), relative / (3 * EDGE**2) + 4 / 29)
    x, y, z = bent.unbind(dim=-3)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=-3).to(pictures.dtype)


def lab_to_rgb(lab: Tensor) -> Tensor:
    """The inverse of ``rgb_to_lab``, clipped to [-1, 1]."""
    lightness, a, b = lab.double().unbind(dim=-3)
    y = (lightness + 16) / 116
    bent = torch.stack([y + a / 500, y, y - b / 200], dim=-3)
    relative = torch.where(bent > EDGE, bent**3, 3 * EDGE**2 * (bent - 4 / 29))
    matrix = torch.tensor(TO_XYZ, dtype=torch.float64)
    inverse = torch.linalg.inv(matrix / matrix.sum(dim=1, keepdim=True))
    linear = torch.einsum("cx,...xhw->...chw", inverse, relative).clamp(0, 1)
    values = torch.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return (2 * values - 1).to(lab.dtype)


def _scaled_lightness(lab: Tensor) -> Tensor:
    return lab[:, :1] / 50 - 1
