"""SSIM and PSNR against their formulas written out, and what their images may be."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from downstream.metrics.psnr_ssim import choose_window, peak_signal_noise_ratio, structural_similarity
from spectral_ssl.ground.errors import UserError


def similarity_by_the_formula(one: NDArray[np.float64], other: NDArray[np.float64], side: int) -> float:
    """Wang et al. (13) with square windows, over the windows that lie inside the image."""
    values = []
    for a, b in zip(one, other, strict=True):
        for row in range(a.shape[0] - side + 1):
            for column in range(a.shape[1] - side + 1):
                x, y = (part[row : row + side, column : column + side].ravel() for part in (a, b))
                (xx, xy), (_, yy) = np.cov(x, y)
                c1, c2 = 0.02**2, 0.06**2
                luminance = (2 * x.mean() * y.mean() + c1) / (x.mean() ** 2 + y.mean() ** 2 + c1)
                values.append(luminance * (2 * xy + c2) / (xx + yy + c2))
    return float(np.mean(values))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("shape", "side"), [((1, 16, 12), 7), ((3, 9, 9), 7), ((2, 6, 8), 5), ((1, 3, 3), 3)])
def test_ssim_and_psnr_are_their_formulas(shape: tuple[int, int, int], side: int, dtype: type) -> None:
    generator = np.random.default_rng(0)
    truth = uniform_filter(generator.uniform(-1, 1, (4, *shape)), 3).astype(dtype)
    predictions = np.clip(truth + generator.normal(0, 0.1, truth.shape), -1, 1).astype(dtype)
    wanted = [
        similarity_by_the_formula(one, other, side)
        for one, other in zip(predictions.astype(float), truth.astype(float), strict=True)
    ]
    np.testing.assert_allclose(structural_similarity(predictions, truth), wanted, rtol=0, atol=1e-10)
    error = np.square(predictions.astype(float) - truth.astype(float)).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(peak_signal_noise_ratio(predictions, truth), 10 * np.log10(4 / error), rtol=1e-12)


def test_equal_images_and_windows() -> None:
    images = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert structural_similarity(images, images).tolist() == [1, 1]
    assert peak_signal_noise_ratio(images, images).tolist() == [np.inf, np.inf]
    assert [choose_window(side, 40) for side in (3, 4, 5, 6, 7, 8, 40)] == [3, 3, 5, 5, 7, 7, 7]


def test_predictions_may_require_gradients() -> None:
    images = torch.zeros(1, 1, 8, 8, requires_grad=True)
    assert structural_similarity(images, images.tanh()).tolist() == [1]


def test_images_of_another_shape_or_range_are_refused() -> None:
    images = torch.zeros(2, 1, 8, 8)
    broken = {
        "shape": torch.zeros(2, 8, 8),
        "values": torch.full((2, 1, 8, 8), 255.0),
        "dtype": torch.zeros(2, 1, 8, 8, dtype=torch.uint8),
        "different shapes": torch.zeros(3, 1, 8, 8),
    }
    for message, other in broken.items():
        with pytest.raises(UserError, match=message):
            structural_similarity(images, other)
    spoilt = images.clone()
    spoilt[1, 0, 3, 3] = torch.nan
    with pytest.raises(UserError, match="values"):
        peak_signal_noise_ratio(images, spoilt)
    with pytest.raises(UserError, match="too small"):
        structural_similarity(images[..., :2], images[..., :2])
    with pytest.raises(UserError, match="shape"):
        structural_similarity(images[:0], images[:0])
