"""Spherical harmonics and shell moments against quadrature, scipy, pyshtools and 40-digit values."""

import numpy as np
import pytest
from scipy.special import sph_harm_y

from data_prep.transforms.shell_harmonics import shell_moments, spherical_harmonics
from spectral_ssl.ground.errors import ObjectError, UserError


def directions(count, seed=0):
    vectors = np.random.default_rng(seed).normal(size=(count, 3))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def clouds(objects, points, seed=0):
    generator = np.random.default_rng(seed)
    return (
        directions(objects * points, seed).reshape(objects, points, 3) * generator.random((objects, points, 1)) ** 0.5
    )


def scipy_harmonics(vectors, degree):
    """Compute each function from scipy's complex functions, without their Condon-Shortley phase."""
    polar = np.arctan2(np.hypot(vectors[:, 0], vectors[:, 1]), vectors[:, 2])
    azimuth = np.arctan2(vectors[:, 1], vectors[:, 0])
    columns = []
    for ell in range(degree + 1):
        for m in range(-ell, ell + 1):
            value = sph_harm_y(ell, abs(m), polar, azimuth) * (-1) ** m
            columns.append(value.real if m == 0 else np.sqrt(2) * (value.real if m > 0 else value.imag))
    return np.stack(columns, axis=1)


def test_high_precision_values():
    # mpmath with 40 digits, at the direction of (3/8, -1/2, 1/4)
    expected = {
        (1, 1): 0.27219362604590917,
        (2, -2): -0.45208900576223962,
        (7, 0): -0.091557096254982127,
        (20, -13): 0.091312532848297085,
        (64, 31): -0.26656626421560814,
        (100, -77): -0.46699920448939594,
    }
    values = spherical_harmonics([0.375, -0.5, 0.25], 100)
    for (ell, m), value in expected.items():
        assert values[ell * ell + ell + m] == pytest.approx(value, rel=0, abs=2e-14), (ell, m)


@pytest.mark.parametrize("degree", [0, 1, 16, 63])
def test_agrees_with_scipy(degree):
    vectors = np.concatenate([directions(40), [[0, 0, 1], [0, 0, -1], [1, 0, 0], [0, -1, 0], [1e-9, 0, 1]]])
    assert np.abs(spherical_harmonics(vectors, degree) - scipy_harmonics(vectors, degree)).max() < 1e-13


def test_agrees_with_pyshtools():
    import pyshtools

    generator = np.random.default_rng(1)
    degree = 12
    values = generator.normal(size=(degree + 1) ** 2)
    packed = np.zeros((2, degree + 1, degree + 1))
    for ell in range(degree + 1):
        packed[0, ell, : ell + 1] = values[ell * ell + ell : (ell + 1) ** 2]
        packed[1, ell, 1 : ell + 1] = values[ell * ell : ell * ell + ell][::-1]
    theirs = pyshtools.SHCoeffs.from_array(packed, normalization="ortho", csphase=1)
    vectors = directions(30, seed=2)
    expected = [
        theirs.expand(lat=np.degrees(np.arcsin(z)), lon=np.degrees(np.arctan2(y, x)) % 360) for x, y, z in vectors
    ]
    assert np.abs(spherical_harmonics(vectors, degree) @ values - np.ravel(expected)).max() < 1e-13


def test_orthonormal_by_quadrature():
    degree = 40
    z, weight = np.polynomial.legendre.leggauss(degree + 1)
    azimuth = 2 * np.pi * np.arange(2 * degree + 1) / (2 * degree + 1)
    ring = np.sqrt(1 - z**2)[:, None]
    grid = np.stack([ring * np.cos(azimuth), ring * np.sin(azimuth), np.broadcast_to(z[:, None], (41, 81))], axis=-1)
    values = spherical_harmonics(grid, degree).reshape(-1, (degree + 1) ** 2)
    masses = np.repeat(weight * 2 * np.pi / (2 * degree + 1), 2 * degree + 1)
    gram = values.T @ (masses[:, None] * values)
    assert np.abs(gram - np.eye(len(gram))).max() < 5e-13


def test_addition_theorem_up_to_degree_100():
    # sum over m of Y_lm(u)^2 = (2l + 1) / (4 pi) in every direction, poles included
    vectors = np.concatenate([directions(20, seed=3), [[0, 0, 1], [0, 0, -1]]])
    squares = spherical_harmonics(vectors, 100) ** 2
    for ell in range(101):
        total = squares[:, ell * ell : (ell + 1) ** 2].sum(axis=1) * 4 * np.pi / (2 * ell + 1)
        assert np.abs(total - 1).max() < 1e-13


def test_single_precision_stays_single():
    vectors = directions(500, seed=4)
    single = spherical_harmonics(vectors.astype(np.float32), 64)
    assert single.dtype == np.float32
    assert np.abs(single - spherical_harmonics(vectors.astype(np.float32).astype(float), 64)).max() < 1e-4


def test_length_of_a_direction_does_not_matter():
    vectors = directions(10)
    stretched = vectors * np.array([1e-3, 7.0])[:, None, None]
    assert np.abs(spherical_harmonics(stretched, 9) - spherical_harmonics(vectors, 9)).max() < 1e-14


@pytest.mark.parametrize(
    "bad", [[[0.0, 0, 0]], [[np.nan, 0, 1]], [[np.inf, 0, 1]], [[1.0, 2.0]], 3.0, [["a", "b", "c"]]]
)
def test_bad_directions_are_refused(bad):
    with pytest.raises(UserError, match="directions"):
        spherical_harmonics(bad, 3)


def test_no_directions():
    assert spherical_harmonics(np.zeros((0, 3)), 4).shape == (0, 25)
    assert spherical_harmonics(np.zeros((2, 0, 3), np.float32), 4).shape == (2, 0, 25)


@pytest.mark.parametrize(("degree", "shells"), [(1, 1), (15, 8), (62, 1), (63, 3)])
def test_shell_moments_are_the_direct_sum(degree, shells):
    points = clouds(2, 300)
    points[0, 0] = [0, 0, 1]  # a pole, in the last shell
    weights = np.random.default_rng(5).normal(size=(2, 300)) / 300
    shell = np.minimum((np.linalg.norm(points, axis=2) * shells).astype(int), shells - 1)
    expected = []
    for cloud, mass, where in zip(points, weights, shell, strict=True):
        values = scipy_harmonics(cloud, degree)
        expected.append(np.concatenate([(mass * (where == k)) @ values for k in range(shells)]))
    double = shell_moments(points, degree, shells, weights, dtype=np.float64)
    assert np.abs(double - expected).max() < 1e-14
    single = shell_moments(points, degree, shells, weights)
    assert single.dtype == np.float32
    assert np.abs(single - double).max() < 1e-6


def test_shells_are_closed_below_and_the_last_above():
    radii = np.array([0.25, 0.5, np.nextafter(0.5, 0), 1.0, 1.0 + 5e-7])
    moments = shell_moments(radii[:, None, None] * [[[1.0, 0, 0]]], 1, 4, dtype=np.float64)
    assert moments.reshape(5, 4, 4)[:, :, 0].astype(bool).argmax(axis=1).tolist() == [1, 2, 1, 3, 3]


def test_a_point_at_the_centre_has_all_directions():
    points = clouds(2, 20)
    points[0, 3] = 0
    weights = np.random.default_rng(6).random(20)
    got = shell_moments(points, 6, 2, weights, dtype=np.float64)
    expected = shell_moments(points, 6, 2, np.where(np.arange(20) == 3, 0, weights), dtype=np.float64)[0]
    expected[0] += weights[3] / np.sqrt(4 * np.pi)
    assert np.abs(got[0] - expected).max() < 1e-15
    assert np.array_equal(got[1], shell_moments(points[1:], 6, 2, weights, dtype=np.float64)[0])
    alone = shell_moments(np.zeros((1, 1, 3)), 6, 2, dtype=np.float64)[0]
    assert alone[0] == pytest.approx(1 / np.sqrt(4 * np.pi), abs=1e-15)
    assert not alone[1:].any()


def test_refusals():
    with pytest.raises(ObjectError, match=r"object 1 .* outside the unit ball \(radius 1.5\)"):
        shell_moments([[[0, 0, 0.5]], [[0, 0, 1.5]]], 3, 2)
    with pytest.raises(UserError, match="shape of the weights"):
        shell_moments(np.zeros((1, 4, 3)), 3, 2, np.ones(5))
    with pytest.raises(UserError, match="shells"):
        shell_moments(np.zeros((1, 4, 3)), 3, 0)


def test_threads_do_not_change_the_result():
    points = clouds(7, 200)
    assert np.array_equal(shell_moments(points, 15, 8), shell_moments(points, 15, 8, threads=3))
