from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh

from data_prep.basis import harmonics_basis, zernike_basis
from data_prep.geometry.surface_quadrature import compute_surface_centroid, compute_surface_quadrature, count_nodes
from data_prep.geometry.surface_sampling import sample_surface
from data_prep.geometry.unit_ball import move_to_unit_ball
from data_prep.pipeline.prepare import prepare_maps
from data_prep.pipeline.shape_to_map import move_mesh_to_unit_ball, shape_to_map
from data_prep.source import Item, Shape, Source
from data_prep.sources.built_in.shapes import make_shape
from data_prep.transforms.zernike import zernike_moments
from spectral_ssl.ground.errors import ObjectError, UserError


def _mesh(made: trimesh.Trimesh) -> Shape:
    return Shape(np.asarray(made.vertices, np.float64), np.asarray(made.faces, np.int64))


@pytest.mark.parametrize("degree", [0, 1, 5, 12])
def test_exact_on_monomials_of_the_unit_triangle(degree: int) -> None:
    triangle = Shape(np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]]), np.array([[0, 1, 2]]))
    points, weights = compute_surface_quadrature(triangle, degree, tolerance=0)
    assert weights.sum() == pytest.approx(1)
    for i in range(degree + 1):
        j = degree - i
        # integral of x^i y^j over the triangle is i! j! / (i + j + 2)!, its area 1/2
        exact = 2 * float(_factorial(i) * _factorial(j)) / float(_factorial(degree + 2))
        assert weights @ (points[:, 0] ** i * points[:, 1] ** j) == pytest.approx(exact, rel=1e-13)


def _factorial(number: int) -> int:
    return 1 if number < 2 else number * _factorial(number - 1)


def test_no_sampling_noise() -> None:
    mesh = move_mesh_to_unit_ball(make_shape("chair/train-000"))
    points, weights = compute_surface_quadrature(mesh, 28, tolerance=0)
    reference = zernike_moments(points[None], 20, weights, dtype="float64")[0]
    exact = compute_surface_quadrature(mesh, 20, tolerance=0)
    np.testing.assert_allclose(zernike_moments(exact[0][None], 20, exact[1], dtype="float64")[0], reference, atol=1e-13)
    points, weights = compute_surface_quadrature(mesh, 20)
    assert len(points) < 0.2 * len(exact[0])
    errors = zernike_moments(points[None], 20, weights)[0] - reference
    drawn = zernike_moments(sample_surface(mesh, 2048, np.random.default_rng(0))[None], 20)[0] - reference
    assert np.abs(errors).max() < 1e-3
    assert np.square(errors).sum() < 1e-3 * np.square(drawn).sum()


def test_the_result_does_not_depend_on_the_triangulation() -> None:
    box = trimesh.creation.box((1.0, 0.7, 0.4))
    whole, finer = _mesh(box), _mesh(box.subdivide().subdivide())
    maps = [
        shape_to_map(shape, replace(zernike_basis(20), sampling="quadrature"), "+z", np.random.default_rng(0))[0]
        for shape in (whole, finer)
    ]
    np.testing.assert_allclose(maps[0], maps[1], atol=5e-4)


def test_thin_triangles_get_few_nodes_across() -> None:
    thin = Shape(np.array([[0.0, 0, 0], [0.9, 0, 0], [0.9, 0.001, 0]]), np.array([[0, 1, 2]]))
    points, _ = compute_surface_quadrature(thin, 20)
    assert 4 < len(points) < 12  # one across


def test_node_counts_grow_with_the_length_up_to_exactness() -> None:
    nodes = count_nodes(np.array([1e-9, 0.01, 0.1, 0.5, 1.0, 2.0]), 20, 1e-3)
    assert nodes[0] == 1
    assert (np.diff(nodes) >= 0).all()
    assert nodes.max() <= 11
    # The error bound holds on waves.
    for length, q in zip([0.01, 0.1, 0.5, 1.0], nodes[1:5], strict=True):
        x, weight = np.polynomial.legendre.leggauss(int(q))
        s = 20 * length / 2
        assert abs(weight @ np.cos(s * x) - 2 * np.sin(s) / s) <= 1e-3


def test_centroid_is_that_of_the_surface() -> None:
    box = _mesh(trimesh.creation.box((1.0, 2.0, 3.0)))
    # more corners on one side move the mean of the corners, not the centroid
    finer = Shape(np.concatenate([box.points, box.points[:1]]), np.concatenate([box.faces, box.faces[:0]]))
    np.testing.assert_allclose(
        compute_surface_centroid(Shape(finer.points + np.array([1, 2, 3]), finer.faces)), [1, 2, 3], atol=1e-15
    )
    cone = _mesh(trimesh.creation.cone(1.0, 2.0, sections=2000))
    slant, base = np.pi * np.sqrt(5), np.pi
    assert compute_surface_centroid(cone)[2] == pytest.approx(slant * 2 / 3 / (slant + base), rel=1e-4)


def test_degenerate_meshes() -> None:
    flat = Shape(np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0], [0, 1, 0]]), np.array([[0, 1, 2], [0, 1, 3], [1, 1, 1]]))
    points, weights = compute_surface_quadrature(flat, 4)
    assert np.isfinite(points).all()
    assert points.sum(axis=1).max() <= 1
    assert weights.sum() == pytest.approx(1)
    for faces in (np.zeros((0, 3), np.int64), np.array([[0, 1, 2]])):
        with pytest.raises(ObjectError):
            compute_surface_quadrature(Shape(flat.points, faces), 4)
    with pytest.raises(ObjectError, match="a cloud where a mesh"):
        move_mesh_to_unit_ball(Shape(flat.points))
    with pytest.raises(UserError):
        compute_surface_quadrature(flat, -1)


def test_unused_corners_do_not_count() -> None:
    box = _mesh(trimesh.creation.box((1.0, 1.0, 1.0)))
    stray = Shape(np.concatenate([box.points, [[50.0, 0, 0]]]), box.faces)
    mesh = move_mesh_to_unit_ball(stray)
    assert np.linalg.norm(mesh.points, axis=1) == pytest.approx(1 / 1.0001)


@pytest.mark.parametrize("sampling", ["quadrature", "farthest", "area"])
def test_sampling_methods_agree_up_to_their_noise(sampling: str) -> None:
    shape = make_shape("table/train-001")
    basis = replace(zernike_basis(6, points=1024), sampling=sampling)
    exact, none = shape_to_map(shape, replace(basis, sampling="quadrature"), "+y", np.random.default_rng(0))
    assert none is None
    values, cloud = shape_to_map(shape, basis, "+y", np.random.default_rng(0))
    assert (cloud is None) == (sampling == "quadrature")
    assert np.abs(values - exact).max() < (1e-7 if sampling == "quadrature" else 0.06)
    assert np.abs(values - shape_to_map(shape, basis, "+z", np.random.default_rng(0))[0]).max() > 0.2


def test_clouds_stay_clouds_under_quadrature() -> None:
    cloud = Shape(np.random.default_rng(0).normal(size=(64, 3)))
    basis = zernike_basis(4, points=64)
    for sampling in ("quadrature", "farthest"):
        values, cloud_of_map = shape_to_map(cloud, replace(basis, sampling=sampling), "+z", np.random.default_rng(0))
        np.testing.assert_array_equal(values, shape_to_map(cloud, basis, "+z", np.random.default_rng(0))[0])
        assert cloud_of_map is not None


def test_centre_and_reach() -> None:
    shape = make_shape("chair/train-002")
    basis = zernike_basis(6, points=512)
    area = shape_to_map(shape, replace(basis, centre="area"), "+z", np.random.default_rng(0))[0]
    mean = shape_to_map(shape, basis, "+z", np.random.default_rng(0))[0]
    assert 0 < np.abs(area - mean).max() < 0.05
    for sampling in ("area", "quadrature"):
        near = shape_to_map(shape, replace(basis, reach=0.9, sampling=sampling), "+z", np.random.default_rng(0))[0]
        assert np.abs(near - mean).max() > 0.05


def test_reach_ignores_a_stray_point() -> None:
    generator = np.random.default_rng(1)
    points = generator.normal(size=(2000, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    stray = np.concatenate([points, [[40.0, 0, 0]]])
    assert np.median(np.linalg.norm(move_to_unit_ball(stray), axis=1)) < 0.03
    robust = move_to_unit_ball(stray, reach=0.999)
    assert np.median(np.linalg.norm(robust, axis=1)) > 0.9
    assert np.linalg.norm(robust, axis=1).max() < 1
    assert len(robust) == 2001
    # weights count as copies
    weighted = move_to_unit_ball(points[:3], weights=np.array([1.0, 2, 1]))
    copies = move_to_unit_ball(points[[0, 1, 1, 2]])
    np.testing.assert_allclose(weighted, copies[[0, 1, 3]], atol=1e-6)
    with pytest.raises(UserError, match="reach"):
        move_to_unit_ball(points, reach=0)


def test_contradictory_settings_are_refused(tmp_path: Path) -> None:
    source = Source("few", "shapes", ("a",), (Item("x", 0, "train", lambda: make_shape("mug/train-000")),))
    with pytest.raises(UserError, match="without Zernike"):
        prepare_maps(source, replace(harmonics_basis(4, 2), sampling="quadrature"), tmp_path / "a.h5")
    with pytest.raises(UserError, match="keep-points"):
        prepare_maps(source, replace(zernike_basis(4), sampling="quadrature"), tmp_path / "a.h5", keep_points=True)
    made = prepare_maps(source, replace(zernike_basis(4), sampling="quadrature"), tmp_path / "a.h5", workers=0)
    assert made.basis.sampling == "quadrature"
    assert made.basis.find_conflicts(zernike_basis(4)) == []
    assert made.basis.find_conflicts(replace(zernike_basis(4), reach=0.99)) == ["reach 1.0 against 0.99"]
