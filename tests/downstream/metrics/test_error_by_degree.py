"""Errors by degree against a plain loop over the coefficients, and against noise of a known size."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from data_prep.basis import Basis, harmonics_basis, pixel_basis, radial_basis, zernike_basis
from data_prep.layout import fold, list_indices
from downstream.figures.error_by_degree import draw_degree_errors
from downstream.metrics.error_by_degree import compute_degree_errors
from spectral_ssl.ground.errors import UserError

BASES = [zernike_basis(7), zernike_basis(5, radial=3), harmonics_basis(4, 2), radial_basis(6)]


def random_maps(basis: Basis, count: int, seed: int, size: float = 1.0) -> NDArray[np.float64]:
    generator = np.random.default_rng(seed)
    return fold(generator.normal(0, size, (count, len(list_indices(basis)))), basis)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("basis", BASES, ids=lambda basis: f"{basis.kind}-{basis.truncation}")
def test_errors_are_those_of_a_plain_loop(basis: Basis, dtype: type) -> None:
    truth, predictions, second = (random_maps(basis, 5, seed).astype(dtype) for seed in range(3))
    sums: dict[int, list[list[float]]] = {}
    for k, ell, m in list_indices(basis):
        row, column = (ell, m) if m >= 0 else (-m - 1, ell)
        for item in range(5):
            true = float(truth[item, k, row, column])
            mean = float(truth[:, k, row, column].astype(float).mean())
            entry = [
                float(predictions[item, k, row, column]) - true,
                float(second[item, k, row, column]) - true,
                true - mean,
            ]
            sums.setdefault(ell, []).append(entry)
    wanted = np.array([np.sqrt(np.square(sums[ell]).mean(axis=0)) for ell in sorted(sums)])
    result = compute_degree_errors(truth, predictions, basis, second)
    assert result.noise is not None
    np.testing.assert_allclose(np.stack([result.error, result.noise, result.spread], axis=1), wanted, rtol=1e-12)
    np.testing.assert_allclose(result.relative, wanted[:, 0] / wanted[:, 2], rtol=1e-12)
    assert result.degrees.tolist() == sorted(sums)
    assert result.coefficients.tolist() == [len(sums[ell]) // 5 for ell in sorted(sums)]
    assert compute_degree_errors(truth, predictions, basis).noise is None


def test_noise_floor_is_the_error_of_a_prediction_without_noise() -> None:
    basis = zernike_basis(8)
    exact = random_maps(basis, 400, 0)
    truth, second = (exact + random_maps(basis, 400, seed, size=0.01) for seed in (1, 2))
    result = compute_degree_errors(truth, exact, basis, second)
    assert result.noise is not None
    assert result.floor is not None
    np.testing.assert_allclose(result.floor, result.error, rtol=0.1)
    np.testing.assert_allclose(result.noise, 0.01 * 2**0.5, rtol=0.1)
    np.testing.assert_allclose(result.relative, 0.01, rtol=0.1)


def test_always_predicting_the_mean_has_relative_error_one() -> None:
    basis = harmonics_basis(5, 2)
    truth = random_maps(basis, 30, 0)
    truth[:, :, 0, 0] = 0.3  # equal in all objects, as the mass is
    relative = compute_degree_errors(truth, np.broadcast_to(truth.mean(axis=0), truth.shape), basis).relative
    assert np.isnan(relative[0])
    np.testing.assert_allclose(relative[1:], 1, rtol=1e-12)


def test_unusable_maps_are_refused() -> None:
    basis = zernike_basis(4)
    maps = random_maps(basis, 3, 0)
    for broken in (maps[:2], maps[0], maps[:0], maps[:, :1], maps * np.nan):
        with pytest.raises(UserError):
            compute_degree_errors(maps, broken, basis)
        with pytest.raises(UserError):
            compute_degree_errors(maps, maps, basis, broken)
    images = np.zeros((2, 1, 4, 4))
    with pytest.raises(UserError, match="images"):
        compute_degree_errors(images, images, pixel_basis(1, 4, 4))


def test_curves_are_drawn(tmp_path: Path) -> None:
    basis = zernike_basis(6)
    truth, predictions, second = (random_maps(basis, 4, seed) for seed in range(3))
    path = tmp_path / "degrees.png"
    without = compute_degree_errors(truth, predictions, basis)
    draw_degree_errors(path, {"one": without})
    fewer = (np.asarray(Image.open(path).convert("L")) < 250).sum()
    draw_degree_errors(path, {"one": compute_degree_errors(truth, predictions, basis, second), "two": without})
    image = np.asarray(Image.open(path).convert("L"))
    assert (image < 250).sum() > fewer  # two more curves, and their names
    with pytest.raises(UserError, match="to draw"):
        draw_degree_errors(path, {})
    with pytest.raises(UserError, match="exists"):
        draw_degree_errors(path, {"one": without}, overwrite=False)
