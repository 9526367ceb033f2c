"""3D Zernike moments against quadrature, direct sums in scipy and high-precision values."""

import threading

import mpmath
import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import eval_jacobi, sph_harm_y

from data_prep import compiling
from data_prep.basis import zernike_basis
from data_prep.layout import list_indices
from data_prep.transforms import moment_sums as moments
from data_prep.transforms.recurrences import build_zernike_tables
from data_prep.transforms.zernike import zernike_functions, zernike_moments
from spectral_ssl.ground.errors import ObjectError, UserError


@pytest.fixture(scope="module", autouse=True)
def _compiled_once():
    moments.precompile(np.float32)
    moments.precompile(np.float64)


def clouds(objects, points, seed=0):
    generator = np.random.default_rng(seed)
    vectors = generator.normal(size=(objects, points, 3))
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    return vectors * generator.random((objects, points, 1)) ** (1 / 3)


def radial_function(n, ell, r):
    """Compute R_nl by the recurrence tables at an array of radii."""
    tables = build_zernike_tables(n, None)
    below, current = np.zeros_like(r), r**ell
    for k in range(1, (n - ell) // 2 + 1):
        a, b, c = tables.jacobi[ell, k]
        below, current = current, (a * (2 * r * r - 1) + b) * current - c * below
    return tables.radial_gain[ell, (n - ell) // 2] * current


def direct_sum(cloud, degree, weights):
    """Compute every moment separately from scipy's functions."""
    radius = np.linalg.norm(cloud, axis=1)
    polar, azimuth = np.arctan2(np.hypot(cloud[:, 0], cloud[:, 1]), cloud[:, 2]), np.arctan2(cloud[:, 1], cloud[:, 0])
    sums = []
    for k, ell, m in list_indices(zernike_basis(degree)):
        value = sph_harm_y(ell, abs(m), polar, azimuth) * (-1.0) ** m
        angular = value.real if m == 0 else np.sqrt(2) * (value.real if m > 0 else value.imag)
        radial = np.sqrt(2 * (ell + 2 * k) + 3) * radius**ell * eval_jacobi(k, 0, ell + 0.5, 2 * radius**2 - 1)
        sums.append(np.sum(weights * radial * angular))
    return np.array(sums)


def test_high_precision_radial_values():
    # mpmath with 40 digits
    expected = {
        (2, 0, 0.5): -2.3150323971815168,
        (20, 0, 0.25): -3.4427304248832912,
        (20, 10, 0.75): 2.0423695646123879,
        (40, 2, 0.125): -4.6813922494179015,
        (64, 20, 0.875): 1.1496019293939285,
        (100, 0, 0.0625): 1.169845975614839,
        (100, 50, 0.9375): 0.92392877365059671,
    }
    for (n, ell, r), value in expected.items():
        assert radial_function(n, ell, np.array(r)) == pytest.approx(value, rel=0, abs=1e-12), (n, ell, r)


def test_radial_recurrence_against_sixty_digits():
    radii = [0.0, 0.01, 0.3, 0.7, 0.99, 1.0]
    with mpmath.workdps(60):
        for n in (1, 8, 21, 40):
            for ell in range(n % 2, n + 1, 6):
                exact = [
                    float(
                        mpmath.sqrt(2 * n + 3)
                        * mpmath.mpf(r) ** ell
                        * mpmath.jacobi((n - ell) // 2, 0, ell + mpmath.mpf(1) / 2, 2 * mpmath.mpf(r) ** 2 - 1)
                    )
                    for r in radii
                ]
                assert np.abs(radial_function(n, ell, np.array(radii)) - exact).max() < 5e-13, (n, ell)


def test_radial_functions_are_orthonormal():
    nodes, weights = np.polynomial.legendre.leggauss(48)  # exact beyond degree 2 * 40 + 2
    radius, weights = (nodes + 1) / 2, weights / 2
    for ell in range(41):
        rows = np.stack([radial_function(n, ell, radius) for n in range(ell, 41, 2)])
        gram = (rows * weights * radius**2) @ rows.T
        assert np.abs(gram - np.eye(len(rows))).max() < 1e-12, ell


def test_functions_are_orthonormal_on_the_ball_and_parseval_holds():
    degree = 8
    basis = zernike_basis(degree)
    nodes, across = np.polynomial.legendre.leggauss(degree + 2)
    azimuth = 2 * np.pi * np.arange(2 * degree + 1) / (2 * degree + 1)
    r, z, phi = np.meshgrid((nodes + 1) / 2, nodes, azimuth, indexing="ij")
    ring = r * np.sqrt(1 - z**2)
    points = np.stack([ring * np.cos(phi), ring * np.sin(phi), r * z], axis=-1).reshape(-1, 3)
    mass = (r**2 * across[:, None, None] / 2 * across[None, :, None] * (2 * np.pi / (2 * degree + 1))).ravel()
    values = zernike_functions(points, basis)
    assert np.abs(values.T @ (mass[:, None] * values) - np.eye(values.shape[1])).max() < 5e-14
    # the moments of a band-limited density are its own coefficients, and keep its energy
    coefficients = np.random.default_rng(0).normal(size=values.shape[1])
    density = values @ coefficients
    found = zernike_moments(points[None], degree, mass * density, dtype=np.float64)[0]
    assert np.abs(found - coefficients).max() < 1e-13
    assert np.sum(found**2) == pytest.approx(np.sum(mass * density**2), rel=1e-13)


@pytest.mark.parametrize("degree", [1, 2, 9, 20])
def test_moments_are_the_direct_sum(degree):
    points = clouds(1, 333)
    points[0, :4] = [[0, 0, 0], [0, 0, 1], [0, 0, -1], [1e-12, 0, 0.5]]
    weights = np.random.default_rng(1).normal(size=333) / 333
    expected = direct_sum(points[0], degree, weights)
    found = zernike_moments(points, degree, weights, dtype=np.float64)
    assert found.shape == (1, (degree + 1) * (degree + 2) * (degree + 3) // 6)
    assert np.abs(found[0] - expected).max() < 2e-14


@pytest.mark.parametrize(("degree", "radial"), [(20, None), (65, None), (15, 8), (31, 16), (1, 1), (4, 3)])
def test_moments_are_the_mean_of_the_functions(degree, radial):
    points = clouds(2, 1500, seed=2)  # more than one block
    found = zernike_moments(points, degree, radial=radial, dtype=np.float64)
    for cloud, got in zip(points, found, strict=True):
        expected = zernike_functions(cloud, zernike_basis(degree, radial)).mean(axis=0)
        assert np.abs(got - expected).max() < 1e-12


@pytest.mark.parametrize(("degree", "radial"), [(20, None), (40, None), (64, None), (15, 8)])
def test_single_precision_is_within_a_millionth(degree, radial):
    points = clouds(2, 2048, seed=3)
    double = zernike_moments(points, degree, radial=radial, dtype=np.float64)
    single = zernike_moments(points, degree, radial=radial)
    assert (single.dtype, double.dtype) == (np.float32, np.float64)
    assert np.abs(single - double).max() < 1e-6


@pytest.mark.parametrize(("degree", "bound"), [(20, 4e-6), (64, 1e-5), (100, 2e-5)])
def test_single_precision_where_rounding_errors_do_not_average_out(degree, bound):
    points = clouds(6, 500, seed=3)
    points[0] *= [1, 1, 0.01]  # a sheet
    points[1] *= [0.01, 0.01, 1]  # a needle: long chains of tiny numbers
    points[2] *= 0.05  # all near the centre
    points[3] /= np.linalg.norm(points[3], axis=1, keepdims=True)  # all on the rim
    points[4] = points[4, :1]  # All points coincide.
    points[5] = [0.0, 0.0, 1.0]  # the worst: a pole on the rim
    double = zernike_moments(points, degree, dtype=np.float64)
    error = np.abs(zernike_moments(points, degree) - double).max(axis=1)
    assert (error < bound * np.abs(double).max(axis=1)).all()


def test_only_the_constant_at_the_centre():
    found = zernike_moments(np.zeros((1, 5, 3)), 6, dtype=np.float64)[0]
    for (k, ell, _), value in zip(list_indices(zernike_basis(6)), found, strict=True):
        # P_k(-1) = (-1)^k binom(k + 1/2, k) for l = 0
        expected = 0.0
        if ell == 0:
            expected = float((-1) ** k * mpmath.binomial(k + 0.5, k) * mpmath.sqrt((4 * k + 3) / (4 * mpmath.pi)))
        assert value == pytest.approx(expected, abs=1e-14)


def test_unit_mass_makes_the_first_moment_constant():
    assert zernike_moments(clouds(3, 50), 3, dtype=np.float64)[:, 0] == pytest.approx(
        np.sqrt(3 / (4 * np.pi)), abs=1e-15
    )


def test_order_of_points_and_splitting_of_weights_do_not_matter():
    points = clouds(1, 100)
    generator = np.random.default_rng(4)
    weights = generator.random(100)
    expected = zernike_moments(points, 12, weights, dtype=np.float64)
    shuffled = generator.permutation(100)
    assert (
        np.abs(zernike_moments(points[:, shuffled], 12, weights[shuffled], dtype=np.float64) - expected).max() < 1e-13
    )
    twice, share = np.concatenate([points, points], axis=1), generator.random(100)
    split = np.concatenate([weights * share, weights * (1 - share)])
    assert np.abs(zernike_moments(twice, 12, split, dtype=np.float64) - expected).max() < 1e-13


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 12), st.integers(1, 70), st.floats(-3, 3), st.floats(-3, 3), st.integers(0, 2**32 - 1))
def test_linear_in_the_weights(degree, count, first, second, seed):
    points = clouds(1, count, seed)
    one, two = np.random.default_rng(seed).normal(size=(2, count)) / count
    found = [zernike_moments(points, degree, mass, dtype=np.float64) for mass in (one, two, first * one + second * two)]
    assert np.abs(first * found[0] + second * found[1] - found[2]).max() < 1e-12


def test_tiny_weights_keep_their_digits():
    points, weights = clouds(1, 64), np.random.default_rng(5).random(64)
    expected = zernike_moments(points, 10, weights)
    assert np.array_equal(zernike_moments(points, 10, weights * 2.0**-90) * np.float32(2.0**90), expected)


@pytest.mark.parametrize("count", [1, 15, 16, 17, 511, 512, 513, 1025])
def test_incomplete_blocks(count):
    points = clouds(1, count, seed=6)
    expected = zernike_functions(points[0], zernike_basis(5)).mean(axis=0)
    assert np.abs(zernike_moments(points, 5, dtype=np.float64)[0] - expected).max() < 1e-14


def test_weights_of_each_object():
    points, weights = clouds(3, 40), np.random.default_rng(7).random((3, 40))
    together = zernike_moments(points, 7, weights)
    for number in range(3):
        assert np.array_equal(together[number], zernike_moments(points[[number]], 7, weights[number])[0])


def test_threads_do_not_change_the_result():
    points = clouds(7, 300)
    alone = zernike_moments(points, 20)
    for threads in (2, 3, 16):
        assert np.array_equal(zernike_moments(points, 20, threads=threads), alone)


def test_types_of_input_do_not_change_the_result():
    points = clouds(2, 60).astype(np.float32)
    expected = zernike_moments(points, 8)
    strided = np.zeros((2, 120, 4), np.float32)
    strided[:, ::2, :3] = points
    frozen = points.astype(np.float64)
    frozen.flags.writeable = False
    for same in (points.astype(np.float64), frozen, strided[:, ::2, :3], np.asfortranarray(points), points.tolist()):
        assert np.array_equal(zernike_moments(same, 8), expected)


def test_empty_clouds():
    assert zernike_moments(np.zeros((0, 10, 3)), 20).shape == (0, 1771)
    assert not zernike_moments(np.zeros((2, 0, 3)), 20).any()
    assert zernike_functions(np.zeros((0, 3)), zernike_basis(4)).shape == (0, 35)


def test_waits_for_another_process_that_compiles():
    entered = threading.Event()

    def wait_for_it():
        with compiling._hold_lock():
            entered.set()

    with compiling._hold_lock():  # Each call opens the file again, as another process would.
        waiting = threading.Thread(target=wait_for_it)
        waiting.start()
        assert not entered.wait(0.2)
    assert entered.wait(10)
    waiting.join()


def test_without_a_folder_for_compiled_code(monkeypatch, caplog):
    original = numba.njit

    def no_folder(*arguments, cache=False, **options):
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return original(*arguments, **options)

    monkeypatch.setattr(numba, "njit", no_folder)
    compiling._warn_of_missing_cache.cache_clear()
    doubled = compiling.compile_kernel(lambda value: 2 * value)
    assert doubled(21) == 42
    assert "no folder for compiled code" in caplog.text


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ([0, 0, 1.00001], "outside the unit ball"),
        ([0.8, 0.8, 0], "outside the unit ball"),
        ([np.nan, 0, 0], "not finite"),
        ([0, np.inf, 0], "not finite"),
    ],
)
def test_points_that_have_no_moments_are_refused(place, reason):
    points = clouds(3, 30)
    points[1, 17] = place
    with pytest.raises(ObjectError, match=f"object 1 .*{reason}"):
        zernike_moments(points, 4)
    with pytest.raises(ObjectError):
        zernike_functions(points[1], zernike_basis(4))


def test_rounding_beyond_the_ball_is_allowed():
    outside = np.array([[[0, 0, 1 + 9e-7]]])
    at_the_rim = zernike_moments([[[0, 0, 1.0]]], 20, dtype=np.float64)
    # the slope at the rim is about n^2 times the value
    assert (
        np.abs(zernike_moments(outside, 20, dtype=np.float64) - at_the_rim).max()
        < 400 * 9e-7 * np.abs(at_the_rim).max()
    )


@pytest.mark.parametrize(
    ("arguments", "options", "reason"),
    [
        ((np.zeros((4, 3)), 4), {}, "shape of a batch"),
        ((np.zeros((1, 4, 2)), 4), {}, "shape of a batch"),
        ((np.zeros((1, 4, 3), complex), 4), {}, "real numbers"),
        ((np.zeros((1, 4, 3)), 0), {}, "degree out of range"),
        ((np.zeros((1, 4, 3)), 101), {}, "degree out of range"),
        ((np.zeros((1, 4, 3)), 50), {"radial": 60}, "highest order"),
        ((np.zeros((1, 4, 3)), 4, np.ones(3)), {}, "shape of the weights"),
        ((np.zeros((1, 4, 3)), 4, [1, 1, 1, np.nan]), {}, "weights"),
        ((np.zeros((1, 4, 3)), 4), {"dtype": np.float16}, "precision"),
        ((np.zeros((1, 4, 3)), 4), {"threads": 0}, "threads"),
    ],
)
def test_mistakes_are_explained(arguments, options, reason):
    with pytest.raises(UserError, match=reason):
        zernike_moments(*arguments, **options)
