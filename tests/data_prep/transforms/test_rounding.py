"""The stated bounds of rounding errors: a search for the worst clouds and directions stays below them.

Errors are largest where all points are together, because they do not average out, and near a pole,
where z is near 1: its rounding changes Y_l0 by l (l + 1) / 2 times as much.
"""

from collections.abc import Callable

import mpmath
import numpy as np
import pytest

from data_prep.basis import zernike_basis
from data_prep.transforms.shell_harmonics import shell_moments, spherical_harmonics
from data_prep.transforms.zernike import zernike_functions, zernike_moments

# From the docstrings: the bound is this, times (L + 1) (L + 20) and the largest value of a function.
OF_HARMONICS = {np.float32: 4e-8, np.float64: 7.5e-17}
OF_MOMENTS = {np.float32: 2.5e-8, np.float64: 4.7e-17}
GENERATIONS, KEPT = 4, 10


def largest_harmonic(degree: int) -> float:
    """Return the largest |Y_lm| up to a degree: Y_L0 at a pole."""
    return float(np.sqrt((2 * degree + 1) / (4 * np.pi)))


def largest_zernike(degree: int) -> float:
    """Return the largest |Z_nlm| on the sphere up to order n = degree."""
    return float(np.sqrt(2 * degree + 3)) * largest_harmonic(degree)


def draw_points(count: int, generator: np.random.Generator) -> np.ndarray:
    """Draw points (count, 3) of the ball, most near a pole and most near the sphere."""
    near = generator.random(count) < 0.8
    polar = np.where(near, 10 ** generator.uniform(-4, -1.5, count), np.arccos(generator.uniform(-1, 1, count)))
    polar = np.where(generator.random(count) < 0.5, polar, np.pi - polar)
    azimuth = np.where(
        generator.random(count) < 0.3,
        generator.integers(8, size=count) * np.pi / 4,
        generator.uniform(0, 2 * np.pi, count),
    )
    radius = np.where(generator.random(count) < 0.7, 1 - generator.random(count) * 1e-3, generator.random(count))
    ring = np.sin(polar)
    return np.stack([ring * np.cos(azimuth), ring * np.sin(azimuth), np.cos(polar)], axis=1) * radius[:, None]


def search_worst(measure: Callable[[np.ndarray], np.ndarray], count: int) -> float:
    """Search the point with the largest error, from random points and then from variations of the worst ones."""
    generator = np.random.default_rng(0)
    pool, errors = np.zeros((0, 3)), np.zeros(0)
    for generation in range(GENERATIONS):
        points = draw_points(count, generator)
        if generation:
            varied = count // 2
            parents = pool[generator.integers(len(pool), size=varied)]
            steps = generator.normal(size=(varied, 3)) * 10 ** generator.uniform(-7, -1, (varied, 1))
            points[:varied] = parents * (1 + steps)
            points[:varied] /= np.maximum(np.linalg.norm(points[:varied], axis=1, keepdims=True), 1)
        pool, errors = np.concatenate([pool, points]), np.concatenate([errors, measure(points)])
        worst = np.argsort(-errors)[:KEPT]
        pool, errors = pool[worst], errors[worst]
    return float(errors[0])


def measure_harmonics(points: np.ndarray, degree: int) -> np.ndarray:
    single = points.astype(np.float32)
    difference = spherical_harmonics(single, degree) - spherical_harmonics(single.astype(np.float64), degree)
    return np.abs(difference).max(axis=1) / largest_harmonic(degree)


def measure_shells(points: np.ndarray, degree: int) -> np.ndarray:
    clouds = points[:, None]
    difference = shell_moments(clouds, degree, 1) - shell_moments(clouds, degree, 1, dtype=np.float64)
    return np.abs(difference).max(axis=1) / largest_harmonic(degree)


def measure_zernike(points: np.ndarray, degree: int) -> np.ndarray:
    clouds = points[:, None]
    difference = zernike_moments(clouds, degree) - zernike_moments(clouds, degree, dtype=np.float64)
    return np.abs(difference).max(axis=1) / largest_zernike(degree)


@pytest.mark.parametrize("degree", [1, 20, 64, 100])
@pytest.mark.parametrize(
    ("measure", "factor", "values"),
    [
        (measure_harmonics, OF_HARMONICS[np.float32], 1e6),
        (measure_shells, OF_MOMENTS[np.float32], 1e6),
        (measure_zernike, OF_MOMENTS[np.float32], 3e6),
    ],
    ids=["spherical_harmonics", "shell_moments", "zernike_moments"],
)
def test_the_worst_single_point_is_within_the_bound(
    measure: Callable[[np.ndarray, int], np.ndarray], factor: float, values: float, degree: int
) -> None:
    coefficients = (degree + 1) ** 2 * (1 if measure is not measure_zernike else (degree + 6) / 6)
    count = int(np.clip(values / coefficients, 25, 300))
    worst = search_worst(lambda points: measure(points, degree), count)
    bound = factor * (degree + 1) * (degree + 20)
    assert worst < bound
    # The bound is not far from what the search finds, so a larger error would be noticed.
    assert degree < 20 or worst > bound / 4


@pytest.mark.parametrize("degree", [2, 20, 64])
@pytest.mark.parametrize("spread", [0.0, 1e-3, 0.03])
def test_clouds_of_points_close_together_are_within_the_bound(degree: int, spread: float) -> None:
    generator = np.random.default_rng(degree)
    centres = draw_points(6, generator)
    clouds = centres[:, None] + spread * generator.normal(size=(6, 700, 3))
    clouds /= np.maximum(np.linalg.norm(clouds, axis=2, keepdims=True), 1)
    weights = generator.normal(size=(6, 700))
    weights[:3] = np.abs(weights[:3])
    bound = OF_MOMENTS[np.float32] * (degree + 1) * (degree + 20) * np.abs(weights).sum(axis=1)
    single, double = (zernike_moments(clouds, degree, weights, dtype=dtype) for dtype in (np.float32, np.float64))
    assert (np.abs(single - double).max(axis=1) < bound * largest_zernike(degree)).all()
    single, double = (shell_moments(clouds, degree, 3, weights, dtype=dtype) for dtype in (np.float32, np.float64))
    assert (np.abs(single - double).max(axis=1) < bound * largest_harmonic(degree)).all()


def test_the_bound_of_a_rectangular_truncation_is_that_of_its_highest_order() -> None:
    points = draw_points(300, np.random.default_rng(3))[:, None]
    degree, radial = 15, 8
    order = degree + 2 * (radial - 1)
    single, double = (zernike_moments(points, degree, radial=radial, dtype=dtype) for dtype in (np.float32, np.float64))
    bound = OF_MOMENTS[np.float32] * (order + 1) * (order + 20) * largest_zernike(order)
    assert bound / 20 < np.abs(single - double).max() < bound


def exact_harmonics(direction: np.ndarray, degree: int) -> np.ndarray:
    """Compute all Y_lm of a direction with 30 digits, by the textbook recurrence of the orthonormal functions."""
    values = np.empty((degree + 1) ** 2)
    x, y, z = (mpmath.mpf(float(each)) for each in direction)
    length = mpmath.sqrt(x * x + y * y + z * z)
    x, y, z = x / length, y / length, z / length
    cosine, sine = mpmath.sqrt(1 / (4 * mpmath.pi)), mpmath.mpf(0)
    for m in range(degree + 1):
        if m:
            factor = mpmath.sqrt(3 if m == 1 else mpmath.mpf(2 * m + 1) / (2 * m))
            cosine, sine = factor * (cosine * x - sine * y), factor * (sine * x + cosine * y)
        below, current, gain_below = mpmath.mpf(0), mpmath.mpf(1), mpmath.mpf(1)
        for ell in range(m, degree + 1):
            if ell > m:
                gain = mpmath.sqrt(mpmath.mpf(4 * ell * ell - 1) / (ell * ell - m * m))
                below, current = current, gain * (z * current - below / gain_below)
                gain_below = gain
            values[ell * ell + ell + m] = cosine * current
            if m:
                values[ell * ell + ell - m] = sine * current
    return values


def test_double_precision_near_a_pole_is_within_the_bound() -> None:
    degree, order = 100, 12
    generator = np.random.default_rng(5)
    polar = np.array([2.4e-4, 1e-3, 0.009])
    azimuth = np.append(generator.uniform(0, 2 * np.pi, 2), 0.0)
    directions = np.stack([np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth), np.cos(polar)], axis=1)
    with mpmath.workdps(30):
        exact = np.stack([exact_harmonics(direction, degree) for direction in directions])
        radii = [0.5, 1 - 3e-6]
        radial = [
            [float(mpmath.sqrt(2 * order + 3) * mpmath.jacobi(order // 2, 0, 0.5, 2 * mpmath.mpf(r) ** 2 - 1))]
            for r in radii
        ]
    found = spherical_harmonics(directions, degree)
    worst = np.abs(found - exact).max() / largest_harmonic(degree)
    bound = OF_HARMONICS[np.float64] * (degree + 1) * (degree + 20)
    assert bound / 100 < worst < bound
    moments = shell_moments(directions[:, None] * 0.9, degree, 1, dtype=np.float64)
    assert np.abs(moments - exact).max() < OF_MOMENTS[np.float64] * (degree + 1) * (degree + 20) * largest_harmonic(
        degree
    )
    # The function Z_n00 is the radial factor times a constant.
    basis = zernike_basis(order)
    column = int(np.flatnonzero(np.abs(zernike_functions([[0.0, 0, 0]], basis))[0])[-1])
    values = zernike_functions([[0.0, 0.0, r] for r in radii], basis)[:, column]
    np.testing.assert_allclose(values, np.ravel(radial) / np.sqrt(4 * np.pi), atol=1e-13)
