from dataclasses import replace

import numpy as np
import pytest
import trimesh
from numpy.typing import NDArray

from data_prep.basis import zernike_basis
from data_prep.geometry.solid_quadrature import compute_solid_centroid, compute_solid_quadrature
from data_prep.layout import list_indices, unfold
from data_prep.pipeline.shape_to_map import shape_to_map
from data_prep.source import Shape
from data_prep.transforms.zernike import zernike_functions, zernike_moments
from spectral_ssl.ground.errors import ObjectError

SOLID = replace(zernike_basis(12), sampling="solid")


def _mesh(made: trimesh.Trimesh) -> Shape:
    return Shape(np.asarray(made.vertices, np.float64), np.asarray(made.faces, np.int64))


def _moments(mesh: Shape, degree: int, tolerance: float = 0) -> NDArray[np.float64]:
    points, weights = compute_solid_quadrature(mesh, degree, tolerance=tolerance)
    return zernike_moments(points[None], degree, weights, dtype="float64")[0]


@pytest.mark.parametrize("offset", [(0, 0, 0), (0.3, -0.2, 0.1)])
def test_box(offset: tuple[float, float, float]) -> None:
    sides = np.array([0.7, 0.5, 0.4])
    box = _mesh(trimesh.creation.box(sides))
    nodes, weights = np.polynomial.legendre.leggauss(10)
    grid = np.stack(np.meshgrid(nodes, nodes, nodes, indexing="ij"), axis=-1).reshape(-1, 3)
    mass = np.einsum("i,j,k->ijk", weights, weights, weights).ravel() / 8
    direct = mass @ zernike_functions(grid * sides / 2 + offset, zernike_basis(12))
    moved = Shape(box.points + np.array(offset), box.faces)
    np.testing.assert_allclose(_moments(moved, 12), direct, atol=1e-14)
    np.testing.assert_allclose(_moments(moved, 12, 1e-3), direct, atol=1e-3)
    inside_out = Shape(moved.points, moved.faces[:, ::-1])
    np.testing.assert_allclose(_moments(inside_out, 12), direct, atol=1e-14)
    np.testing.assert_allclose(
        compute_solid_centroid(Shape(moved.points + 100, box.faces)), 100 + np.array(offset), rtol=1e-14
    )


def test_ball() -> None:
    ball = _mesh(trimesh.creation.icosphere(5))
    values = _moments(Shape(0.8 * ball.points, ball.faces), 8)
    k, ell, _ = list_indices(zernike_basis(8)).T
    assert np.abs(values[ell > 0]).max() < 2e-3
    # Omega_k00 = sqrt(1 / 4 pi) / V 4 pi integral of R_2k,0 r^2 dr = the radial function's mean over the ball
    nodes, weights = np.polynomial.legendre.leggauss(20)
    radius = 0.4 * (nodes + 1)
    mass = 3 / 0.8**3 * 0.4 * weights * radius**2
    nodes = radius[:, None] * np.array([0.0, 0, 1])
    expected = mass @ zernike_functions(nodes, zernike_basis(8))[:, ell == 0]
    np.testing.assert_allclose(values[ell == 0], expected, atol=5e-3)
    assert np.abs(expected).min() > 0.01
    assert k[ell == 0].tolist() == [0, 1, 2, 3, 4]


def test_ellipsoid_second_moments() -> None:
    half_axes = np.array([0.9, 0.5, 0.3])
    ball = _mesh(trimesh.creation.icosphere(5))
    points, weights = compute_solid_quadrature(Shape(ball.points * half_axes, ball.faces), 4, tolerance=0)
    np.testing.assert_allclose(weights @ points**2, half_axes**2 / 5, rtol=3e-3)
    np.testing.assert_allclose(weights @ points, 0, atol=1e-14)
    assert weights @ (points[:, 0] * points[:, 1]) == pytest.approx(0, abs=1e-14)
    assert weights.sum() == pytest.approx(1)


def test_a_cavity_is_empty() -> None:
    outer, inner = trimesh.creation.box((1.0, 1.0, 1.0)), trimesh.creation.box((0.5, 0.5, 0.5))
    inner.invert()
    points, weights = compute_solid_quadrature(_mesh(outer + inner), 2, tolerance=0)
    assert weights @ points[:, 0] ** 2 == pytest.approx((1 / 12 - 0.125 * 0.25 / 12) / 0.875)


def test_open_or_inconsistent_meshes_are_refused() -> None:
    box = _mesh(trimesh.creation.box((1.0, 1.0, 1.0)))
    turned = box.faces.copy()
    turned[0] = turned[0, ::-1]
    flat = np.concatenate([box.faces[:2], box.faces[:2, ::-1]])
    for faces in (box.faces[1:], turned, flat, np.zeros((0, 3), np.int64)):
        with pytest.raises(ObjectError):
            shape_to_map(Shape(box.points, faces), SOLID, "+z", np.random.default_rng(0))
        with pytest.raises(ObjectError):
            compute_solid_quadrature(Shape(box.points / 2, faces), 4)
    with pytest.raises(ObjectError):
        shape_to_map(Shape(box.points), SOLID, "+z", np.random.default_rng(0))


def test_maps_of_solids() -> None:
    cone = trimesh.creation.cone(0.5, 1.0)
    separate = trimesh.Trimesh(
        cone.triangles.reshape(-1, 3), np.arange(3 * len(cone.faces)).reshape(-1, 3), process=False
    )
    maps = [shape_to_map(_mesh(mesh), SOLID, "+z", np.random.default_rng(0))[0] for mesh in (cone, separate)]
    np.testing.assert_allclose(maps[0], maps[1], atol=1e-6)  # Corners at the same position count as one.
    assert np.abs(unfold(maps[0], SOLID)[1:4]).max() < 1e-6  # the centre of mass is at the origin
    assert SOLID.find_conflicts(zernike_basis(12)) == ["sampling solid against area"]
    surface = shape_to_map(_mesh(cone), replace(SOLID, sampling="quadrature"), "+z", np.random.default_rng(0))[0]
    assert np.abs(surface - maps[0]).max() > 0.05
