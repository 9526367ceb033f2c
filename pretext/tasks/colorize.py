"""Colorization: from the lightness of an image to its two colour channels, in CIELAB.

Source: the first paper's colorization (cGML, section 5.2). The condition is L, the target is (a,
b), and the error is::

    E = d(a) + d(b) + lambda (KL_a + KL_b)
    KL_c = KL(softmax over pixels of blur(|c|) || uniform)

The KL terms prevent predictions that are grey nearly everywhere: in these the few colourful pixels
dominate the softmax. As in the research code, blur is a Gaussian of 5 x 5 pixels with sigma 1,
bounded below by 1e-4, and lambda = 0.5. There are three deliberate differences:

* uniform is exactly 1/N; the research code takes the softmax of a new map from U(0, 1), which is
  1/N plus noise;
* d is the weighted mean over both channels; the research code takes sums;
* c = a / 110 or b / 110, the scale of the network's output.

Colours are sRGB with the transfer curve and primaries of IEC 61966-2-1, and CIELAB of CIE 15. White
D65 is the sum of the primaries, so that greys have a = b = 0. Over all of sRGB |a| and |b| are
below 110.

Letters in shapes: B batch, H, W of the images.
"""

import math
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from data_prep.basis import Basis
from pretext.data.batch import Batch, Example, Problem, require_images
from spectral_ssl.ground.config import check_ranges, within

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
        The weight lambda of the terms that keep colour spread over the image.
    """

    uniform_weight: float = field(default=0.5, metadata=within(0.0, 1e6))

    def __post_init__(self) -> None:
        check_ranges(self, "task")


def colorize_problem(basis: Basis, config: ColorizeConfig) -> Problem:
    """Build the problem, or raise a UserError if the data are no colour images."""
    require_images("colorize", basis, channels=3)
    _, height, width = basis.shape
    extra = partial(compute_spread_error, weight=config.uniform_weight) if config.uniform_weight > 0 else None
    return Problem(condition=(1, height, width), target=(2, height, width), bounded=True, extra_error=extra)


def colorize(batch: Batch, config: ColorizeConfig, generator: torch.Generator) -> Example:
    """Split images (B, 3, H, W) into lightness (B, 1, H, W) and colour (B, 2, H, W), weight 1.

    The task needs no random numbers.
    """
    lab = rgb_to_lab(batch.maps)
    target = (lab[:, 1:] / LARGEST_COLOUR).clamp(-1, 1)
    return Example(_scale_lightness(lab), target, torch.ones_like(target))


def lightness_view(batch: Batch, config: ColorizeConfig) -> Tensor:
    """Compute the lightness (B, 1, H, W) in [-1, 1] of images (B, 3, H, W)."""
    return _scale_lightness(rgb_to_lab(batch.maps))


def compute_spread_error(prediction: Tensor, example: Example, weight: float) -> Tensor:
    """Compute ``weight`` times KL_a + KL_b of each prediction (B, 2, H, W): (B,), at least 0."""
    size = (BLUR_SIDE - 1) // 2
    positions = torch.arange(-size, size + 1, dtype=prediction.dtype, device=prediction.device)
    bell = torch.exp(-0.5 * (positions / BLUR_SIGMA) ** 2)
    bell = bell / bell.sum()
    kernel = (bell[:, None] * bell)[None, None]
    strength = functional.conv2d(prediction.abs().flatten(0, 1)[:, None], kernel, padding=size)  # (2 B, 1, H, W)
    logarithm = strength.clamp(min=FLOOR).flatten(1).log_softmax(dim=1)  # (2 B, pixels)
    divergence = (logarithm.exp() * logarithm).sum(dim=1) + math.log(logarithm.shape[1])
    return weight * divergence.view(len(prediction), 2).sum(dim=1)


def to_rgb(condition: Tensor, prediction: Tensor) -> Tensor:
    """Convert lightness and colour, scaled as by the task, to sRGB images for display and metrics.

    Parameters
    ----------
    condition : Tensor, shape (..., 1, H, W)
        Lightness in [-1, 1].
    prediction : Tensor, shape (..., 2, H, W)
        Colour in [-1, 1].

    Returns
    -------
    Tensor, shape (..., 3, H, W)
        sRGB in [-1, 1]; colours outside sRGB are clipped channel by channel.
    """
    lightness, colour = 50 * (condition + 1), LARGEST_COLOUR * prediction
    return lab_to_rgb(torch.cat([lightness, colour], dim=-3))


def to_colour_image(condition: Tensor, prediction: Tensor, config: ColorizeConfig) -> Tensor:
    """Convert predictions to images: ``to_rgb`` of the colours clamped to [-1, 1]."""
    return to_rgb(condition, prediction.clamp(-1, 1))


def rgb_to_lab(images: Tensor) -> Tensor:
    """Convert sRGB images (..., 3, H, W) in [-1, 1] to CIELAB (..., 3, H, W), L in 0..100.

    The arithmetic is in float64.
    """
    values = (images.double() + 1) / 2
    linear = torch.where(values <= 0.04045, values / 12.92, ((values.clamp(min=0) + 0.055) / 1.055) ** 2.4)
    matrix = torch.tensor(TO_XYZ, dtype=torch.float64)
    relative = torch.einsum("xc,...chw->...xhw", matrix / matrix.sum(dim=1, keepdim=True), linear)
    bent = torch.where(relative > EDGE**3, relative.clamp(min=0) ** (1 / 3), relative / (3 * EDGE**2) + 4 / 29)
    x, y, z = bent.unbind(dim=-3)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=-3).to(images.dtype)


def lab_to_rgb(lab: Tensor) -> Tensor:
    """Convert CIELAB (..., 3, H, W) to sRGB images, clipped to [-1, 1]."""
    lightness, a, b = lab.double().unbind(dim=-3)
    y = (lightness + 16) / 116
    bent = torch.stack([y + a / 500, y, y - b / 200], dim=-3)
    relative = torch.where(bent > EDGE, bent**3, 3 * EDGE**2 * (bent - 4 / 29))
    matrix = torch.tensor(TO_XYZ, dtype=torch.float64)
    inverse = torch.linalg.inv(matrix / matrix.sum(dim=1, keepdim=True))
    linear = torch.einsum("cx,...xhw->...chw", inverse, relative).clamp(0, 1)
    values = torch.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return (2 * values - 1).to(lab.dtype)


def _scale_lightness(lab: Tensor) -> Tensor:
    """Return the lightness (B, 1, H, W) of CIELAB images, scaled from 0..100 to [-1, 1]."""
    return lab[:, :1] / 50 - 1
