"""Principal axes read from coefficients are those of the points; the frame is the same for all poses of an object."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from data_prep.basis import harmonics_basis, pixel_basis, zernike_basis
from data_prep.layout import fold
from data_prep.transforms.principal_frame import (
    HALF_TURNS,
    UPRIGHT_HALF_TURNS,
    apply_half_turn,
    find_principal_axes,
    turn_to_principal_frame,
    turn_to_upright_frame,
)
from data_prep.transforms.shell_harmonics import shell_moments
from data_prep.transforms.zernike import zernike_moments
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
    axes = find_principal_axes(transform(points, ZERNIKE), ZERNIKE)
    np.testing.assert_allclose(axes @ axes.transpose(0, 2, 1), np.broadcast_to(np.eye(3), (4, 3, 3)), atol=1e-12)
    assert np.linalg.det(axes) == pytest.approx(np.ones(4))
    turned = points @ axes.transpose(0, 2, 1)
    moments = turned.transpose(0, 2, 1) @ turned / points.shape[1]
    spread = np.diagonal(moments, axis1=1, axis2=2)
    assert np.abs(moments - spread[:, None] * np.eye(3)).max() < 1e-12
    assert (np.diff(spread, axis=1) < 0).all()


@pytest.mark.parametrize("basis", [ZERNIKE, SHELLS])
@pytest.mark.parametrize("seed", [1, 2])
def test_all_poses_have_one_frame_up_to_the_signs_of_the_axes(basis, seed):
    points = clouds()
    first, second = (turn_to_principal_frame(transform(posed(points, s), basis), basis) for s in (seed, seed + 10))
    apart = np.stack(
        [np.abs(apply_half_turn(second, basis, signs) - first).max(axis=(1, 2, 3)) for signs in HALF_TURNS]
    )
    assert apart.min(axis=0).max() < 1e-10
    assert np.abs(first).max() > 0.1


@pytest.mark.parametrize("basis", [ZERNIKE, SHELLS])
def test_rotations_about_the_vertical_have_one_upright_frame_up_to_half_a_turn(basis):
    points = clouds() @ Rotation.from_euler("x", 0.3).as_matrix().T  # axes that are not the vertical
    turns = Rotation.from_euler("z", [[0.5], [2.0], [-1.0], [3.1]]).as_matrix()
    first, second = (
        turn_to_upright_frame(transform(each, basis), basis)
        for each in (points, np.einsum("npi,nji->npj", points, turns))
    )
    apart = np.stack(
        [np.abs(apply_half_turn(second, basis, signs) - first).max(axis=(1, 2, 3)) for signs in UPRIGHT_HALF_TURNS]
    )
    assert apart.min(axis=0).max() < 1e-12
    assert apart.max(axis=0).min() > 0.01
    if basis is ZERNIKE:  # the longer axis in the plane lies along x: Y(2, 2) is positive, Y(2, -2) is 0
        assert np.abs(first[:, 0, 1, 2]).max() < 1e-12
        assert (first[:, 0, 2, 2] > 0).all()


@pytest.mark.parametrize("basis", [ZERNIKE, SHELLS])
def test_half_turns_of_maps_are_those_of_the_points(basis):
    points = clouds()
    maps = transform(points, basis)
    for signs in HALF_TURNS:
        assert np.prod(signs) == 1
        np.testing.assert_allclose(apply_half_turn(maps, basis, signs), transform(points * signs, basis), atol=1e-13)


def test_images_and_maps_without_degree_two_are_refused():
    for basis in (pixel_basis(1, 8, 8), zernike_basis(1)):
        with pytest.raises(UserError, match="degree 2"):
            find_principal_axes(np.zeros((1, *basis.shape)), basis)
