import sys
from pathlib import Path

import numpy as np
import pytest
import trimesh

from data_prep.basis import radial_basis
from data_prep.layout import fold
from data_prep.pipeline.prepare import prepare_maps
from data_prep.pipeline.shape_to_map import move_mesh_to_unit_ball, shape_to_map
from data_prep.source import Item, Shape, Source
from data_prep.sources.built_in.shapes import make_shape
from data_prep.transforms import rotation
from data_prep.transforms.inverse import radii
from data_prep.transforms.radial_harmonics import build_grid_directions, cast_rays, compute_radial_map, transform_grid
from data_prep.transforms.shell_harmonics import spherical_harmonics
from spectral_ssl.ground.errors import ObjectError, UserError


def _embree() -> None:
    pytest.importorskip("embreex.rtcore_scene", reason="the embree extra is not installed")


def _mesh(made: trimesh.Trimesh) -> Shape:
    return Shape(np.asarray(made.vertices, np.float64), np.asarray(made.faces, np.int64))


def test_first_harmonic_stays_in_degree_one() -> None:
    # the golden test of the grid: transposed, with rows as azimuths, only 67 % of the energy stays
    directions = build_grid_directions(15)
    for number in range(3):
        energy = np.square(transform_grid(directions[..., number]))
        assert energy[1:4].sum() / energy.sum() == pytest.approx(1, abs=1e-14)
        assert energy[[3, 1, 2][number]] == pytest.approx(4 * np.pi / 3)  # x is m = 1, y m = -1, z m = 0
    transposed = np.square(transform_grid(directions[..., 2].T))
    assert transposed[1:4].sum() / transposed.sum() < 0.7


@pytest.mark.parametrize("degree", [1, 15, 63])
def test_functions_of_the_degree_transform_exactly(degree: int) -> None:
    coefficients = np.random.default_rng(0).normal(size=(degree + 1) ** 2)
    directions = build_grid_directions(degree)
    values = spherical_harmonics(directions, degree) @ coefficients
    np.testing.assert_allclose(transform_grid(values), coefficients, atol=1e-12)
    basis = radial_basis(degree)
    again = radii(fold(transform_grid(values), basis), basis, directions.reshape(-1, 3))
    np.testing.assert_allclose(again, values.ravel(), atol=1e-11)


def test_the_grid_has_the_north_pole_and_not_the_south_pole() -> None:
    directions = build_grid_directions(3)
    assert directions.shape == (8, 8, 3)
    np.testing.assert_allclose(directions[0], np.broadcast_to([0, 0, 1], (8, 3)), atol=1e-15)
    assert directions[..., 2].min() > -1 + 1e-3
    np.testing.assert_allclose(directions[4, 2], [0, 1, 0], atol=1e-15)  # theta = phi = pi / 2
    with pytest.raises(UserError, match="shape of the grid"):
        transform_grid(np.zeros((8, 7)))


def test_without_embree_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "embreex.rtcore_scene", None)
    source = Source("few", "shapes", ("a",), (Item("x", 0, "train", lambda: make_shape("mug/train-000")),))
    with pytest.raises(UserError, match=r"spectral-ssl\[embree\]"):
        prepare_maps(source, radial_basis(7), tmp_path / "a.h5")
    with pytest.raises(UserError, match="embreex"):
        cast_rays(_mesh(trimesh.creation.box()), np.eye(3))
    assert not (tmp_path / "a.h5").exists()


def test_cube_exactly() -> None:
    _embree()
    directions = build_grid_directions(31).reshape(-1, 3)
    box = _mesh(trimesh.creation.box((1.0, 0.8, 0.6)))
    distances, hit = cast_rays(box, directions)
    assert hit.all()
    expected = 1 / (np.abs(directions) / [0.5, 0.4, 0.3]).max(axis=1)
    np.testing.assert_allclose(distances, expected, atol=2e-6)  # at edges the neighbour's plane may be taken
    assert np.median(np.abs(distances - expected)) < 1e-14


def test_sphere() -> None:
    _embree()
    sphere = _mesh(trimesh.creation.icosphere(6))
    values = compute_radial_map(Shape(0.8 * sphere.points, sphere.faces), radial_basis(31))
    assert values[0, 0, 0] == pytest.approx(0.8 * np.sqrt(4 * np.pi), rel=2e-4)
    values[0, 0, 0] = 0
    assert np.abs(values).max() < 1e-3


def test_the_farthest_hit_on_the_right_side() -> None:
    _embree()
    inner = trimesh.creation.box((0.2, 0.2, 0.2))
    outer = trimesh.creation.box((0.1, 0.4, 0.4))
    outer.apply_translation([0.6, 0, 0])
    distances, hit = cast_rays(_mesh(inner + outer), np.array([[1.0, 0, 0], [-1, 0, 0], [0, 0.6, 0.8]]))
    np.testing.assert_allclose(distances, [0.65, 0.1, 0.125], atol=1e-12)
    alone, missed = cast_rays(_mesh(outer), np.array([[1.0, 0, 0], [-1, 0, 0], [0, 0, 1]]))
    np.testing.assert_allclose(alone, [0.65, 0, 0], atol=1e-12)
    assert missed.tolist() == [True, False, False]
    assert hit.all()


def test_turned_mesh_gives_turned_coefficients() -> None:
    _embree()
    basis = radial_basis(24)
    sphere = _mesh(trimesh.creation.icosphere(5))
    points = sphere.points * [0.9, 0.6, 0.4] * (1 + 0.1 * sphere.points[:, :1])
    turn = np.array([[0.36, 0.48, -0.8], [-0.8, 0.6, 0.0], [0.48, 0.64, 0.6]])
    before, after = (
        compute_radial_map(Shape(positions, sphere.faces), basis) for positions in (points, points @ turn.T)
    )
    np.testing.assert_allclose(rotation.rotate(before, basis, turn), after, atol=2e-3)
    assert np.abs(before - after).max() > 0.1
    cosine, sine = np.cos(0.5), np.sin(0.5)
    about = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
    turned = compute_radial_map(Shape(points @ about.T, sphere.faces), basis)
    np.testing.assert_allclose(rotation.rotate_about_vertical(before, basis, 0.5), turned, atol=2e-3)


def test_whole_objects(tmp_path: Path) -> None:
    _embree()
    shape = make_shape("mug/train-000")
    basis = radial_basis()
    values, cloud = shape_to_map(shape, basis, "+z", np.random.default_rng(0))
    assert values.shape == (1, 64, 64)
    assert cloud is None
    _, hit = cast_rays(move_mesh_to_unit_ball(shape), build_grid_directions(63).reshape(-1, 3))
    assert 0.7 < hit.mean() < 0.8  # the mug is open
    with pytest.raises(ObjectError, match="mesh"):
        shape_to_map(Shape(shape.points), basis, "+z", np.random.default_rng(0))
    with pytest.raises(ObjectError, match="outside the unit ball"):
        cast_rays(Shape(shape.points * 9, shape.faces), np.eye(3))
    source = Source("few", "shapes", ("a",), (Item("x", 0, "train", lambda: shape),))
    np.testing.assert_array_equal(prepare_maps(source, basis, tmp_path / "a.h5", workers=0).read()[0], values)
    with pytest.raises(UserError, match="keep-points"):
        prepare_maps(source, basis, tmp_path / "b.h5", keep_points=True)
