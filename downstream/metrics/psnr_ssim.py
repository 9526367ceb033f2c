"""Compute SSIM and PSNR of images with scikit-image.

Z. Wang et al., *Image quality assessment: from error visibility to structural similarity*, IEEE TIP
13, 2004.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from downstream.metrics.image_checks import check_image_pairs
from spectral_ssl.ground.errors import UserError

DATA_RANGE = 2.0  # Images are in [-1, 1].
WINDOW = 7
SMALLEST_WINDOW = 3


def structural_similarity(predictions: Any, truth: Any) -> NDArray[np.float64]:
    """Compute the mean structural similarity (SSIM) of each image with its truth.

    Parameters
    ----------
    predictions, truth : Tensor or ndarray, shape (N, C, H, W), floating
        Predicted and true images in [-1, 1]; C is 1 for grey images.

    Returns
    -------
    ndarray, shape (N,), float64
        SSIM from -1 to 1, the mean over positions and channels. It is 1 only for equal images.

    Raises
    ------
    UserError
        If the images have other shapes or ranges, or a side of less than 3 pixels.

    Notes
    -----
    SSIM = (2 a b + c1)(2 s_ab + c2) / ((a^2 + b^2 + c1)(s_aa + s_bb + c2)), with the
    means a, b and the sample covariances s in a square window of ``choose_window(H, W)`` pixels of
    equal weight, c1 = (0.01 R)^2, c2 = (0.03 R)^2 and R = 2. These are the defaults of
    scikit-image. The window of Wang et al. is a Gaussian of 11 pixels; values with that window
    cannot be compared. All values are computed in float64. The tests compare them with the formula
    to 1e-10.

    Examples
    --------
    >>> import numpy as np
    >>> from downstream.metrics import structural_similarity
    >>> images = np.random.default_rng(0).uniform(-1, 1, (2, 1, 16, 16))
    >>> structural_similarity(images, images).tolist()
    [1.0, 1.0]
    """
    from skimage.metrics import structural_similarity as similarity

    predicted, true = (part.numpy().astype(np.float64) for part in check_image_pairs(predictions, truth))
    side = choose_window(*predicted.shape[2:])
    values = [
        similarity(image, true_image, win_size=side, data_range=DATA_RANGE, channel_axis=0)
        for image, true_image in zip(predicted, true, strict=True)
    ]
    return np.asarray(values, np.float64)


def choose_window(height: int, width: int) -> int:
    """Choose the side of the window of SSIM: 7, or the largest odd number that fits into the image.

    Raises
    ------
    UserError
        If the image has a side of less than 3 pixels.
    """
    side = min(height, width)
    if side < SMALLEST_WINDOW:
        raise UserError(
            "images too small for SSIM", f"{height} x {width}", f"give at least {SMALLEST_WINDOW} pixels a side"
        )
    return min(WINDOW, side - 1 + side % 2)


def peak_signal_noise_ratio(predictions: Any, truth: Any) -> NDArray[np.float64]:
    """Compute the peak signal-to-noise ratio (PSNR) of each image in decibels.

    Parameters
    ----------
    predictions, truth : Tensor or ndarray, shape (N, C, H, W), floating
        Predicted and true images in [-1, 1].

    Returns
    -------
    ndarray, shape (N,), float64
        PSNR in dB, at least 0. It is infinite for an image that equals its truth. Report the median
        or the PSNR of the mean error then.

    Raises
    ------
    UserError
        If the images have other shapes or ranges.

    Notes
    -----
    10 log10(R^2 / mean squared error) with R = 2, computed in float64 by scikit-image. The tests
    compare it with the formula to a relative difference of 1e-12.

    Examples
    --------
    >>> import numpy as np
    >>> from downstream.metrics import peak_signal_noise_ratio
    >>> peak_signal_noise_ratio(np.full((1, 1, 4, 4), 0.2), np.zeros((1, 1, 4, 4))).round(6).tolist()
    [20.0]
    """
    from skimage.metrics import peak_signal_noise_ratio as ratio

    predicted, true = (part.numpy().astype(np.float64) for part in check_image_pairs(predictions, truth))
    with np.errstate(divide="ignore"):  # An error of 0 gives the infinite value that the docstring promises.
        values = [ratio(each, image, data_range=DATA_RANGE) for image, each in zip(predicted, true, strict=True)]
    return np.asarray(values, np.float64)
