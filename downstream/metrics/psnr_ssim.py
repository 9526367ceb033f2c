"""SSIM and PSNR of each image, by scikit-image.

Z. Wang et al., *Image quality assessment: from error visibility to structural similarity*, IEEE TIP 13, 2004.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from downstream.metrics.image_checks import check_image_pairs
from spectral_ssl.ground.errors import UserError

DATA_RANGE = 2.0  # images lie in [-1, 1]
WINDOW = 7
SMALLEST_WINDOW = 3


def structural_similarity(answers: Any, truth: Any) -> NDArray[np.float64]:
    """Mean structural similarity (SSIM) of each answer with its truth.

    Parameters
    ----------
    answers, truth : Tensor or ndarray, shape (N, C, H, W), floating
        In [-1, 1]; C is 1 for grey images. Computed in float64.

    Returns
    -------
    ndarray, shape (N,), float64
        At most 1, which only equal images have; the mean over places and channels.

    Raises
    ------
    UserError
        On images of other shapes or ranges, or less than 3 pixels wide or high.

    Notes
    -----
    SSIM = (2 a b + c1)(2 s_ab + c2) / ((a^2 + b^2 + c1)(s_aa + s_bb + c2)) with the means a, b and sample covariances s
    in a square window of ``window(H, W)`` pixels of equal weight, c1 = (0.01 R)^2, c2 = (0.03 R)^2, R = 2: the defaults
    of scikit-image. Wang's own window is a Gaussian of 11 pixels: numbers made with it are not comparable.
    """
    from skimage.metrics import structural_similarity as similarity

    one, other = (part.numpy().astype(np.float64) for part in check_image_pairs(answers, truth))
    side = window(*one.shape[2:])
    values = [
        similarity(image, true, win_size=side, data_range=DATA_RANGE, channel_axis=0)
        for image, true in zip(one, other, strict=True)
    ]
    return np.asarray(values, np.float64)


def window(height: int, width: int) -> int:
    """Side of the window of SSIM: 7, or the largest odd number that fits into a smaller image.

    Raises
    ------
    UserError
        When none from 3 on fits.
    """
    side = min(height, width)
    if side < SMALLEST_WINDOW:
        raise UserError("images too small for SSIM", f"{height} x {width}", f"give {SMALLEST_WINDOW} pixels a side")
    return min(WINDOW, side - 1 + side % 2)


def peak_signal_noise_ratio(answers: Any, truth: Any) -> NDArray[np.float64]:
    """PSNR of each answer in decibels, 10 log10(R^2 / mean squared error) with R = 2.

    Parameters
    ----------
    answers, truth : Tensor or ndarray, shape (N, C, H, W), floating
        In [-1, 1]. Computed in float64.

    Returns
    -------
    ndarray, shape (N,), float64
        Infinite for an answer that equals its truth: then give the median, or the PSNR of the mean error.

    Raises
    ------
    UserError
        On images of other shapes or ranges.
    """
    from skimage.metrics import peak_signal_noise_ratio as ratio

    one, other = (part.numpy().astype(np.float64) for part in check_image_pairs(answers, truth))
    with np.errstate(divide="ignore"):  # no error, hence infinite: documented above
        values = [ratio(true, image, data_range=DATA_RANGE) for image, true in zip(one, other, strict=True)]
    return np.asarray(values, np.float64)
