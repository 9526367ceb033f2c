"""Transforming coefficients is the same as transforming the moved points."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from data_prep.basis import harmonics_basis, pixel_basis, zernike_basis
from data_prep.layout import fold
from data_prep.transforms import rotation
from data_prep.transforms.shell_harmonics import shell_moments
from data_prep.transforms.zernike import zernike_moments
from spectral_ssl.ground.errors import UserError

BASES = [zernike_basis(1), zernike_basis(20), zernike_basis(15, 4), zernike_basis(60), harmonics_basis(12, 3)]


def clouds(objects, points, seed=0):
    vectors = np.random.default_rng(seed).uniform(-1, 1, size=(objects, points, 3))
    return vectors / np.sqrt(3)


def transform(points, basis):
    if basis.kind == "sh":
        return fold(shell_moments(points, basis.degree, basis.radial, dtype=np.float64), basis)
    radial = None if basis.truncation == "triangular" else basis.radial
    return fold(zernike_moments(points, basis.degree, radial=radial, dtype=np.float64), basis)


@pytest.mark.parametrize("basis", BASES)
def test_about_the_vertical(basis):
    points, angles = clouds(3, 50), np.array([0.4, -2.0, 100.0])
    turned = np.stack(
        [cloud @ Rotation.from_euler("z", a).as_matrix().T for cloud, a in zip(points, angles, strict=True)]
    )
    maps = transform(points, basis)
    got = rotation.rotate_about_vertical(maps, basis, angles)
    assert np.abs(got - transform(turned, basis)).max() < 5e-14
    assert np.abs(got - maps).max() > 0.01
    assert rotation.rotate_about_vertical(maps.astype(np.float32), basis, angles).dtype == np.float32


def test_one_angle_for_all_and_a_grid_of_angles():
    basis = zernike_basis(6)
    maps = transform(clouds(6, 20), basis)
    one = rotation.rotate_about_vertical(maps, basis, 0.7)
    each = rotation.rotate_about_vertical(maps.reshape(2, 3, *basis.shape), basis, np.full((2, 3), 0.7))
    assert np.array_equal(one, each.reshape(one.shape))
    with pytest.raises(UserError, match="angles"):
        rotation.rotate_about_vertical(maps, basis, np.zeros(5))


@pytest.mark.parametrize("basis", BASES)
@pytest.mark.parametrize("seed", [0, 1])
def test_any_rotation(basis, seed):
    matrix = Rotation.random(random_state=seed).as_matrix()
    points = clouds(2, 50)
    maps = transform(points, basis)
    got = rotation.rotate(maps, basis, matrix)
    assert np.abs(got - transform(points @ matrix.T, basis)).max() < 5e-14
    assert np.abs(got - maps).max() > 0.01


@pytest.mark.parametrize(
    "matrix",
    [
        np.eye(3),
        np.diag([1.0, -1, -1]),
        np.diag([-1.0, -1, 1]),
        Rotation.from_euler("z", 1.0).as_matrix(),
        Rotation.from_euler("zyz", [1.0, 1e-11, 0.5]).as_matrix(),
        Rotation.from_euler("zyz", [1.0, np.pi - 1e-11, 0.5]).as_matrix(),
        np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]]),
    ],
    ids=["none", "about x", "half turn", "vertical", "nearly vertical", "nearly upside down", "axes"],
)
def test_degenerate_angles(matrix):
    basis = zernike_basis(20)
    points = clouds(1, 50)
    got = rotation.rotate(transform(points, basis), basis, matrix)
    assert np.abs(got - transform(points @ matrix.T, basis)).max() < 5e-14


@pytest.mark.parametrize("basis", BASES)
@pytest.mark.parametrize("axis", ["x", "y", "z"])
def test_mirrors(basis, axis):
    points = clouds(2, 50)
    signs = np.where(np.array(list("xyz")) == axis, -1, 1)
    maps = transform(points, basis)
    got = rotation.mirror(maps, basis, axis)
    assert np.abs(got - transform(points * signs, basis)).max() < 1e-15
    assert np.abs(got - maps).max() > 0.01
    assert np.array_equal(rotation.mirror(got, basis, axis), maps)


def test_three_mirrors_are_the_point_reflection():
    basis = zernike_basis(9)
    points = clouds(1, 30)
    maps = transform(points, basis)
    for axis in ("x", "y", "z"):
        maps = rotation.mirror(maps, basis, axis)
    assert np.abs(maps - transform(-points, basis)).max() < 1e-15


@pytest.mark.parametrize("matrix", [np.diag([1.0, 1, -1]), 2 * np.eye(3), np.eye(2), np.full((3, 3), np.nan)])
def test_only_rotations_are_rotations(matrix):
    basis = zernike_basis(2)
    with pytest.raises(UserError, match="rotation matrix"):
        rotation.rotate(np.zeros(basis.shape), basis, matrix)


def test_refusals():
    with pytest.raises(UserError, match="axis"):
        rotation.mirror(np.zeros((2, 3, 3)), zernike_basis(2), "w")
    with pytest.raises(UserError, match="shape of the maps"):
        rotation.mirror(np.zeros((2, 3, 4)), zernike_basis(2), "x")
    with pytest.raises(UserError, match="images"):
        rotation.rotate(np.zeros((1, 3, 3)), pixel_basis(1, 3, 3), np.eye(3))
