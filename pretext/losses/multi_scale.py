"""Errors of images at several scales and of their structure, which are added to the mean absolute error.

An absolute error of single pixels is smallest for a grey average. The errors here also count how far
whole areas of a prediction are from the target, or whether it varies like the target.

The Laplacian pyramid (Burt and Adelson, 1983) splits an image into bands of one octave each::

    L_j = g_j - up(g_{j+1}),    g_{j+1} = every second pixel of blur(g_j),    g_0 = image

and the last g_J is kept as it is. Their summed absolute values, with 4^j for the smaller number of
pixels, are the error Lap1 of Bojanowski et al., "Optimizing the latent space of generative
networks" (ICML 2018)::

    Lap1(y, t) = sum_j 4^j |L_j(w (y - t))|_1 / |w|_1

The pyramid is linear, so the weighted difference is split and not both images. SSIM (Wang et al.,
2004) compares means, variances and the covariance in Gaussian windows around each pixel::

    SSIM = (2 m_y m_t + c1) (2 s_yt + c2) / ((m_y^2 + m_t^2 + c1) (s_y^2 + s_t^2 + c2))

The means must be those of intensities, which are not negative. So m is the mean of the values plus
1, which are in [0, 2]. SSIM is in [-1, 1], and the error is -log((1 + SSIM) / 2), which has a
gradient where a prediction varies against its target.

Letters in shapes: B batch, C channels, H and W side lengths.
"""

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

from pretext.numerics import full_precision

LEAST_SIDE = 8  # of an image that is split into two bands at least
LAST_SIDE = 4  # The pyramid ends at this side length.
BINOMIAL = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)
WINDOW, WINDOW_WIDTH = 11, 1.5  # side length of SSIM's windows and their standard deviation, in pixels
C1, C2 = (0.01 * 2) ** 2, (0.03 * 2) ** 2  # Wang et al. for values in a range of 2
SMALLEST = 1e-4  # (1 + SSIM) / 2, below which the logarithm is cut off


def laplacian_error(difference: Tensor, weight: Tensor) -> Tensor:
    """Compute Lap1, the absolute error of the bands of a Laplacian pyramid, of each sample.

    Parameters
    ----------
    difference : Tensor, shape (B, C, H, W)
        Predictions minus targets; H and W are at least 8.
    weight : Tensor, shape (B, C, H, W)
        Weights, at least 0; no sample's may all be 0.

    Returns
    -------
    Tensor, shape (B,)
        At least the error of the coarsest band, and 0 only where the weighted difference is.

    Examples
    --------
    A constant difference is in the last band alone, so that its error is the absolute error:

    >>> import torch
    >>> from pretext.losses import laplacian_error
    >>> laplacian_error(torch.full((1, 1, 16, 16), -0.5), torch.ones(1, 1, 16, 16))
    tensor([0.5000])
    """
    pixels = difference.shape[-2] * difference.shape[-1]
    total = torch.zeros(len(difference), device=difference.device, dtype=difference.dtype)
    for band in laplacian_bands(difference * weight):
        total = total + band.abs().flatten(1).sum(dim=1) * (pixels / (band.shape[-2] * band.shape[-1]))
    return total / weight.flatten(1).sum(dim=1)


def laplacian_bands(image: Tensor) -> list[Tensor]:
    """Split images into the bands of a Laplacian pyramid.

    Parameters
    ----------
    image : Tensor, shape (B, C, H, W)
        Images. An image of less than 8 pixels a side has one band, itself.

    Returns
    -------
    list of Tensor
        The bands L_0 (B, C, H, W), L_1 (B, C, H/2, W/2), and so on; sides are rounded up.

    Examples
    --------
    >>> import torch
    >>> from pretext.losses import laplacian_bands
    >>> [band.shape[-1] for band in laplacian_bands(torch.zeros(1, 1, 32, 32))]
    [32, 16, 8, 4]
    """
    bands = []
    while min(image.shape[-2:]) >= 2 * LAST_SIDE:
        smaller = _blur(image, BINOMIAL)[..., ::2, ::2]
        larger = torch.zeros_like(image)
        larger[..., ::2, ::2] = 4 * smaller  # Three of four pixels are 0 before the blur.
        bands.append(image - _blur(larger, BINOMIAL))
        image = smaller
    return [*bands, image]


def structure_error(prediction: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Compute -log((1 + SSIM) / 2); SSIM is averaged over a sample's weighted values before.

    Parameters
    ----------
    prediction, target : Tensor, shape (B, C, H, W)
        Images with values from -1 to 1; H and W are at least 8.
    weight : Tensor, shape (B, C, H, W)
        Weights. Where one is 0, the prediction does not count and the windows see the target.

    Returns
    -------
    Tensor, shape (B,)
        0 for equal images, log 2 where nothing is alike, and at most 9.3 where a prediction varies
        against its target.

    Examples
    --------
    >>> import torch
    >>> from pretext.losses import structure_error
    >>> image, ones = torch.linspace(-1, 1, 256).view(1, 1, 16, 16), torch.ones(1, 1, 16, 16)
    >>> structure_error(image, image, ones).abs() < 1e-6
    tensor([True])
    >>> structure_error(torch.zeros_like(image), image, ones) < structure_error(-image, image, ones)
    tensor([True])
    """
    prediction = torch.where(weight > 0, prediction, target)
    window = _window(prediction)
    prediction, target = prediction + 1, target + 1
    mean, mean_target = _blur(prediction, window), _blur(target, window)
    variance = _blur(prediction.square(), window) - mean.square()
    variance_target = _blur(target.square(), window) - mean_target.square()
    covariance = _blur(prediction * target, window) - mean * mean_target
    similarity = (2 * mean * mean_target + C1) * (2 * covariance + C2)
    similarity = similarity / ((mean.square() + mean_target.square() + C1) * (variance + variance_target + C2))
    average = (similarity * weight).flatten(1).sum(dim=1) / weight.flatten(1).sum(dim=1)  # (B,)
    return -((1 + average) / 2).clamp_min(SMALLEST).log()


def _window(image: Tensor) -> tuple[float, ...]:
    """Compute the weights of a Gaussian window, which is smaller than usual for the smallest images."""
    side = min(WINDOW, 2 * ((min(image.shape[-2:]) - 1) // 2) + 1)
    weights = torch.exp(-(torch.arange(side, dtype=torch.float64) - side // 2).square() / (2 * WINDOW_WIDTH**2))
    return tuple((weights / weights.sum()).tolist())


def _blur(image: Tensor, weights: tuple[float, ...]) -> Tensor:
    """Average images (B, C, H, W) along both axes with symmetric weights; the border is mirrored.

    Two matrix products are several times faster than a sum of shifted images, and than a convolution
    of each channel by itself.
    """
    # A GPU may be told to multiply float32 with 10 bits, too few for a variance.
    dtype = torch.float64 if image.is_cuda else image.dtype
    rows, columns = (_averaging_matrix(side, weights, dtype, image.device) for side in image.shape[-2:])
    with full_precision(image):
        return (rows @ image.to(dtype) @ columns.T).to(image.dtype)


@lru_cache(maxsize=64)
@torch.inference_mode(False)  # or no gradient could pass it, if the first call is within inference
def _averaging_matrix(side: int, weights: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Build the matrix (side, side) that averages the values of a line with their neighbours, mirrored at the ends."""
    half = len(weights) // 2
    line = torch.eye(side, dtype=torch.float64)[:, None]  # every column is a line with one value
    mirrored = functional.pad(line, (half, half), mode="reflect")[:, 0]  # (side, side + 2 half)
    windows = mirrored.unfold(1, len(weights), 1)  # (side, side, weights)
    return (windows @ torch.tensor(weights, dtype=torch.float64)).T.to(device, dtype)
