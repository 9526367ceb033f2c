"""Principal axes read from coefficients are those of the points; the frame is the same for all poses of an object."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from data_prep.basis import harmonics_basis, pixel_basis, zernike_basis
from data_prep.harmonics import shell_moments
from data_prep.layout import fold
from data_prep.principal_frame import cube_operators, cube_rotations, principal_axes, to_principal_frame
from data_prep.rotation import rotate
from data_prep.zernike import zernike_moments
from spectral_ssl.ground.errors import UserError

ZERNIKE, SHELLS = zernike_basis(8), harmonics_basis(6, 2)


def clouds(objects=4, points=300):
    """Boxes of unequal sides, their points around the origin, in the unit ball."""
    generator = np.random.default_rng(0)
    made = generator.uniform(-0.55, 0.55, (objects, points, 3)) * np.array([1.0, 0.6, 0.3])
    return made - made.mean(axis=1, keepdims=True)


def transform(points, basis):
    if basis.kind == "sh":
        return fold(shell_moments(points, basis.degree, basis.radial, dtype=np.float64), basis)
    return fold(zernike_moments(points, basis.degree, dtype=np.float64), basis)


def posed(points, seed):
    return np.einsum("npi,nji->npj", points, Rotation.random(len(points), random_state=seed).as_matrix())


def test_axes_of_zernike_maps_make_the_second_moments_diagonal_and_ordered():
    points = posed(clouds(), 1)
    axes = principal_axes(transform(points, ZERNIKE), ZERNIKE)
    np.testing.assert_allclose(axes @ axes.transpose(0, 2, 1), np.broadcast_to(np.eye(3), (4, 3, 3)), atol=1e-12)
    assert np.linalg.det(axes) == pytest.approx(np.ones(4))
    turned = points @ axes.transpose(0, 2, 1)
    moments = turned.transpose(0, 2, 1) @ turned / points.shape[1]
    spread = np.diagonal(moments, axis1=1, axis2=2)
    assert np.abs(moments - spread[:, None] * np.eye(3)).max() < 1e-12
    assert (np.diff(spread, axis=1) < 0).all()


@pytest.mark.parametrize("basis", [ZERNIKE, SHELLS])
@pytest.mark.parametrize("seed", [1, 2])
def test_all_poses_have_one_frame_but_for_the_signs_of_the_axes(basis, seed):
    points = clouds()
    first, second = (to_principal_frame(transform(posed(points, s), basis), basis) for s in (seed, seed + 10))
    # turns by pi about an axis are four of the cube's rotations: of one of them the two agree
    turns = [m for m in cube_rotations() if np.count_nonzero(m) == 3 and np.array_equal(np.abs(m), np.eye(3))]
    assert len(turns) == 4
    apart = np.stack([np.abs(rotate(second, basis, turn) - first).max(axis=(1, 2, 3)) for turn in turns])
    assert apart.min(axis=0).max() < 1e-10
    assert np.abs(first).max() > 0.1


def test_the_cubes_rotations_are_a_group_of_24():
    matrices = cube_rotations()
    assert matrices.shape == (24, 3, 3)
    assert np.array_equal(matrices[0], np.eye(3))
    assert np.linalg.det(matrices) == pytest.approx(np.ones(24))
    known = {matrix.tobytes() for matrix in matrices + 0.0}
    assert len(known) == 24
    assert {(a @ b + 0.0).tobytes() for a in matrices for b in matrices} == known


@pytest.mark.parametrize("basis", [ZERNIKE, SHELLS])
def test_operators_turn_maps_as_points_are_turned(basis):
    points = clouds()
    flat = transform(points, basis).reshape(len(points), basis.shape[0], -1)
    for operator, matrix in zip(cube_operators(basis.degree), cube_rotations(), strict=True):
        expected = transform(points @ matrix.T, basis)
        np.testing.assert_allclose((flat @ operator).reshape(expected.shape), expected, atol=2e-5)


def test_images_and_maps_without_degree_two_are_refused():
    for basis in (pixel_basis(1, 8, 8), zernike_basis(1)):
        with pytest.raises(UserError, match="degree 2"):
            principal_axes(np.zeros((1, *basis.shape)), basis)
