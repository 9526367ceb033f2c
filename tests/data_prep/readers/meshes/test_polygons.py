"""Polygons become triangles that cover them exactly: areas against the shoelace formula, points against winding."""

import time

import numpy as np
import pytest
from numpy.typing import NDArray

from data_prep.readers.meshes.polygons import triangulate_polygons
from spectral_ssl.ground.errors import ObjectError
from tests.random_meshes import make_random_mesh

L_SHAPE = [(0, 0), (4, 0), (4, 1), (1, 1), (1, 3), (0, 3)]
ARROW = [(0, 0), (2, 2), (0, 1), (-2, 2)]
COMB = [(0, 0), (13, 0), *((x, 5 if x % 2 else 1) for x in range(12, 0, -1)), (0, 5)]
# A square with a square hole: the edge from (0, 0) to (1, 1) is walked in both directions.
BRIDGED = [(0, 0), (4, 0), (4, 4), (0, 4), (0, 0), (1, 1), (1, 3), (3, 3), (3, 1), (1, 1)]
STRAIGHT = [(0, 0), (1, 0), (2, 0), (2, 2), (1, 1), (0, 2), (0, 1)]
REPEATED = [(0, 0), (0, 0), (4, 0), (4, 0), (1, 1), (0, 4), (0, 4), (0, 0)]
STAIRS = [(0, 0), (4, 0), (4, 4), (3, 4), (3, 3), (2, 3), (2, 2), (1, 2), (1, 1), (0, 1)]


def _spiral(turns: int) -> list[tuple[float, float]]:
    angle = np.linspace(0, 2 * np.pi * turns, 24 * turns)
    outer, inner = (
        np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1) for radius in (1 + angle, 0.5 + angle)
    )
    return [tuple(map(float, row)) for row in np.concatenate([outer, inner[::-1]])]


OUTLINES = {
    "L": L_SHAPE,
    "arrow": ARROW,
    "comb": COMB,
    "bridged hole": BRIDGED,
    "straight": STRAIGHT,
    "repeated": REPEATED,
    "stairs": STAIRS,
    "spiral": _spiral(5),
}


def _shoelace(outline: NDArray[np.float64]) -> float:
    x, y = outline.T
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def _areas(points: NDArray[np.float64], faces: NDArray[np.int64]) -> NDArray[np.float64]:
    """Compute the vector area of each triangle."""
    return np.asarray(
        np.cross(points[faces[:, 1]] - points[faces[:, 0]], points[faces[:, 2]] - points[faces[:, 0]]) / 2
    )


def _cut(points: NDArray[np.float64]) -> NDArray[np.int64]:
    return triangulate_polygons(points, np.arange(len(points)), np.array([len(points)]))


@pytest.mark.parametrize("name", OUTLINES)
def test_every_first_corner_and_both_orientations_keep_the_area(name: str) -> None:
    outline = np.array(OUTLINES[name], np.float64)
    expected = _shoelace(outline)
    for direction in (1, -1):
        for shift in range(len(outline)):
            flat = np.roll(outline[::direction], shift, axis=0)
            points = np.column_stack([flat, np.full(len(flat), 7.0)])
            areas = _areas(points, _cut(points))[:, 2]
            # All triangles turn as the outline does, and none overlaps: the sum of absolute areas is the area.
            assert areas.sum() == pytest.approx(direction * expected, rel=1e-9)
            assert np.abs(areas).sum() == pytest.approx(abs(expected), rel=1e-5)


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_random_stars_in_random_planes(scale: float) -> None:
    generator = np.random.default_rng(3)
    points, sizes, expected = [], [], []
    for _ in range(300):
        size = int(generator.integers(4, 40))
        angles = (np.arange(size) + generator.uniform(0, 0.9, size)) * 2 * np.pi / size
        radii = generator.uniform(0.1, 1, size)
        outline = np.roll(np.stack([radii * np.cos(angles), radii * np.sin(angles)], 1), generator.integers(size), 0)
        basis, _ = np.linalg.qr(generator.normal(size=(3, 2)))
        noise = generator.normal(size=(size, 3)) * 1e-6  # not quite planar, as with rounded coordinates
        points.append((outline @ basis.T + generator.normal(size=3) + noise) * scale)
        sizes.append(size)
        expected.append(_shoelace(outline) * scale**2)
    counts = np.array(sizes)
    table = np.concatenate(points)
    faces = triangulate_polygons(table, np.arange(len(table)), counts)
    # The order of the polygons is kept: their labels never decrease along the triangles.
    owners = np.repeat(np.arange(300), counts)[faces]
    assert (owners == owners[:, :1]).all()
    assert (np.diff(owners[:, 0]) >= 0).all()
    sums = np.bincount(owners[:, 0], np.linalg.norm(_areas(table, faces), axis=1))
    np.testing.assert_allclose(sums, expected, rtol=1e-3)


def test_a_concave_polygon_is_covered_without_its_notch() -> None:
    outline = np.array(_spiral(3))
    points = np.column_stack([outline, np.zeros(len(outline))])
    corners = points[_cut(points)][:, :, :2]
    centres = corners.mean(axis=1)
    # The centre of each triangle has winding number 1 in the outline.
    rays = outline[None] - centres[:, None]
    following = np.roll(rays, -1, axis=1)
    turns = np.arctan2(
        rays[..., 0] * following[..., 1] - rays[..., 1] * following[..., 0], (rays * following).sum(axis=-1)
    ).sum(axis=1)
    np.testing.assert_allclose(np.abs(turns), 2 * np.pi, rtol=1e-9)


def test_polygons_seen_from_the_first_corner_are_fans_from_it() -> None:
    mesh = make_random_mesh(5, largest=9, num_polygons=200, is_convex=True)
    corners = np.concatenate([np.array(polygon) for polygon in mesh.polygons])
    sizes = np.array([len(polygon) for polygon in mesh.polygons])
    fans = [[p[0], p[i], p[i + 1]] for p in mesh.polygons for i in range(1, len(p) - 1)]
    assert triangulate_polygons(mesh.points, corners, sizes).tolist() == fans
    # Corners on a straight line, and an arrow from its notch, keep all their triangles.
    square = np.array([[0, 0, 0], [0.1, 0.1, 0], [0.3, 0.3, 0], [1, 1, 0], [0, 1, 0]])
    assert _cut(square).tolist() == [[0, 1, 2], [0, 2, 3], [0, 3, 4]]


def test_random_meshes_keep_their_area_and_small_polygons_are_dropped() -> None:
    for seed in range(20):
        mesh = make_random_mesh(seed, largest=12, num_polygons=40)
        polygons = [(), (0,), *mesh.polygons, (1, 2)]
        sizes = np.array([len(polygon) for polygon in polygons])
        corners = np.array([corner for polygon in polygons for corner in polygon])
        faces = triangulate_polygons(mesh.points, corners, sizes)
        assert np.linalg.norm(_areas(mesh.points, faces), axis=1).sum() == pytest.approx(mesh.area, rel=1e-9)
    assert triangulate_polygons(mesh.points, np.arange(0), np.arange(0)).shape == (0, 3)


def test_an_outline_that_crosses_itself_becomes_a_fan() -> None:
    bow_tie = np.array([[0.0, 0, 0], [1, 1, 0], [1, 0, 0], [0, 1, 0]])
    pentagram = np.array([[np.sin(turn), np.cos(turn), 0] for turn in np.arange(5) * 4 * np.pi / 5])
    assert _cut(bow_tie).tolist() == [[0, 1, 2], [0, 2, 3]]
    assert _cut(pentagram).tolist() == [[0, 1, 2], [0, 2, 3], [0, 3, 4]]
    line = np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0], [1, 0, 0]])
    assert _cut(line).tolist() == [[0, 1, 2], [0, 2, 3]]


def test_a_skew_quad_is_cut_in_its_mean_plane() -> None:
    # The arrow's notch is out of the plane of the other corners by a tenth of its size.
    skew = np.array([[0, 0, 0], [2, 2, 0], [0, 1, 0.2], [-2, 2, 0.0]])
    rolled = np.roll(skew, -1, axis=0)
    assert _cut(skew).tolist() == [[0, 1, 2], [0, 2, 3]]
    assert np.linalg.norm(_areas(rolled, _cut(rolled)), axis=1).sum() < 2.2  # The other diagonal gives 6.


def test_many_quads_are_cut_at_once_and_hostile_outlines_are_refused() -> None:
    count = 100_000
    quads = np.tile(np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0.9, 0.1, 0]]), (count, 1)) + np.repeat(
        np.arange(count), 4
    ).reshape(-1, 1)
    started = time.process_time()
    faces = triangulate_polygons(quads, np.arange(4 * count), np.full(count, 4))
    assert time.process_time() - started < 4  # A loop in Python over 100,000 polygons takes longer.
    assert (faces.reshape(-1, 6) % 4 == [1, 2, 3, 1, 3, 0]).all()
    crossing = np.column_stack([np.random.default_rng(0).random((120_000, 2)), np.zeros(120_000)])
    with pytest.raises(ObjectError, match="concave polygons of up to 120000 corners"):
        _cut(crossing)
