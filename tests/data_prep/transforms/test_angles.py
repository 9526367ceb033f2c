"""The compiled angles agree with numpy's to the last digits, at the axes and the seams too."""

import itertools

import numpy as np
from numpy.typing import NDArray

from data_prep.transforms.kernels.angles import compute_angles


def _compute(cloud: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64], tuple[int, int]]:
    angles, radii = np.full((len(cloud), 2), np.nan), np.full(len(cloud), np.nan)
    counts = compute_angles(cloud.reshape(-1), angles.reshape(-1), radii, 1.0)
    return angles, radii, counts


def _expected(cloud: NDArray[np.float64]) -> NDArray[np.float64]:
    x, y, z = cloud.T
    return np.stack([np.arctan2(np.hypot(x, y), z), np.where(y < 0, 2 * np.pi, 0) + np.arctan2(y, x)], axis=1)


def test_random_points_of_all_sizes() -> None:
    generator = np.random.default_rng(0)
    cloud = generator.normal(size=(100_001, 3)) * 10.0 ** generator.integers(-30, 1, (100_001, 3))
    angles, radii, counts = _compute(cloud)
    np.testing.assert_allclose(angles, _expected(cloud), rtol=1e-15, atol=1e-15)
    np.testing.assert_allclose(radii, np.linalg.norm(cloud, axis=1), rtol=1e-15)
    assert counts == (0, (radii > 1).sum())
    assert angles.min() >= 0
    assert angles[:, 0].max() <= np.pi
    assert angles[:, 1].max() <= 2 * np.pi


def test_axes_diagonals_and_seams() -> None:
    values = (0.0, -0.0, 0.5, -0.5, 0.5 * np.tan(np.pi / 8), -0.5 * np.tan(np.pi / 8), 1e-200, -1e-200)
    cloud = np.array(list(itertools.product(values, repeat=3)))
    cloud = cloud[np.linalg.norm(cloud, axis=1) > 0.1]
    angles, _, _ = _compute(cloud)
    # For y = -0 numpy distinguishes -pi and pi; here a direction has one azimuth.
    np.testing.assert_allclose(angles, _expected(cloud + 0.0), rtol=1e-15, atol=1e-15)


def test_the_centre_and_what_is_not_finite() -> None:
    angles, radii, counts = _compute(np.zeros((3, 3)))
    assert not angles.any()
    assert not radii.any()
    assert counts == (3, 0)
    assert _compute(np.zeros((0, 3)))[2] == (0, 0)
    _, radii, counts = _compute(np.array([[0.0, 0, 0], [np.nan, 0, 0], [0, -np.inf, 0]]))
    assert counts == (1, 2)
    assert np.isnan(radii[1])
    assert np.isinf(radii[2])
