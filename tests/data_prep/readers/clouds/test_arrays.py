"""Arrays of every shape that people save: the right points, or a reason that says how to save them."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data_prep.readers.clouds.arrays import array_to_shape, parse_npy, parse_npz
from data_prep.source import collect_notes
from spectral_ssl.ground.errors import ObjectError

DRAW = np.random.default_rng(0)
POINTS = DRAW.normal(size=(60, 3)) * [1, 2, 4] + 5
NORMALS = DRAW.normal(size=(60, 3))
WIDE = np.hstack([POINTS, NORMALS])
BOX = np.array([[x, y, z] for x in (0.0, 1) for y in (0.0, 2) for z in (0.0, 4)])
BOX_FACES = np.array(
    [
        *([0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1]),
        *([2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3]),
    ]
)
SPACE = DRAW.uniform(-1, 1, (4000, 3))
DISTANCES = np.linalg.norm(SPACE, axis=1) - 0.5
INSIDE = DISTANCES < 0
GRID = np.linalg.norm(np.stack(np.meshgrid(*[np.linspace(-1, 1, 12)] * 3), axis=-1), axis=-1) - 0.6
XYZ = np.rec.fromarrays(POINTS.T, names="x,y,z")
OTHERS = np.rec.fromarrays([NORMALS[:, 0], POINTS[:, 2], POINTS[:, 1], POINTS[:, 0]], names="nx,Z,Y,X")
POSITION = np.zeros(60, [("normal", "f8", 3), ("position", "f4", 3)])
POSITION["position"] = POINTS


def _saved(save: Any, *arrays: Any, **named: Any) -> bytes:
    stream = io.BytesIO()
    save(stream, *arrays, **named)
    return stream.getvalue()


# array -> a word of its note, "" for arrays that are read literally
CLOUDS: dict[str, tuple[Any, str]] = {
    "(N, 3)": (POINTS, ""),
    "float16": (POINTS.astype("f2"), ""),
    "byte-swapped": (POINTS.astype(">f4"), ""),
    "Fortran order": (np.asfortranarray(POINTS), ""),
    "(N, 6)": (WIDE, "6 columns"),
    "(N, 4)": (np.column_stack([POINTS, DRAW.random(60)]), "4 columns"),
    "homogeneous": (np.column_stack([POINTS, np.ones(60)]), "4 columns"),
    "index first": (np.column_stack([np.arange(60), POINTS]), "counts the rows"),
    "(3, N)": (POINTS.T, "read transposed"),
    "(6, N)": (WIDE.T, "read transposed"),
    "(1, N, 3)": (POINTS[None], "read as one cloud"),
    "(1, 1, N, 3)": (POINTS[None, None], "read as"),
    "(N, 1, 3)": (POINTS[:, None], "read as one cloud"),
    "(N, 3, 1)": (POINTS[:, :, None], "read as one cloud"),
    "(1, 3, N)": (POINTS.T[None], "read as one cloud"),
    "(1, N, 6)": (WIDE[None], "read as one cloud"),
    "structured": (XYZ, ""),
    "structured, other order": (OTHERS, ""),
    "structured, positions": (POSITION, ""),
    "structured, 2D": (XYZ.reshape(6, 10), ""),
}


@pytest.mark.parametrize("name", CLOUDS)
def test_clouds(name: str) -> None:
    array, note = CLOUDS[name]
    with collect_notes() as notes:
        shape = parse_npy(_saved(np.save, array), Path("a.npy"))
    assert shape.points.dtype == np.float64
    np.testing.assert_allclose(shape.points, POINTS, rtol=1e-3)
    assert bool(notes) == bool(note)
    assert note in "".join(notes)


def test_integers_are_coordinates() -> None:
    table = DRAW.integers(-50, 50, (60, 3))
    np.testing.assert_array_equal(array_to_shape(table.astype(np.int16)).points, table)


REFUSED: dict[str, tuple[Any, str]] = {
    "(B, N, 3)": (np.stack([POINTS] * 4), "batch"),
    "(B, N, 6)": (np.stack([WIDE] * 4), "batch"),
    "(B, 3, N)": (np.stack([POINTS.T] * 4), "several clouds"),
    "(H, W, 3)": (DRAW.normal(size=(48, 64, 3)), "batch|map of points"),
    "image": (DRAW.integers(0, 256, (48, 64, 3), np.uint8), "image"),
    "image, channels first": (DRAW.integers(0, 256, (3, 48, 64), np.uint8), "image"),
    "(B, H, W, 3)": (DRAW.normal(size=(2, 48, 64, 3)), "batch"),
    "batch of grids": (np.stack([GRID < 0] * 2), "batch"),
    "pose": (np.eye(4), "few points"),
    "camera": (np.eye(3), "few points"),
    "pose of three rows": (np.eye(3, 4), "few points"),
    "seven points": (POINTS[:7], "few points"),
    "(N, 2)": (POINTS[:, :2], "2 columns"),
    "(N, 1)": (POINTS[:, :1], "1 columns"),
    "(N,)": (POINTS[:, 0], r"shape \(60,\)"),
    "(3 N,)": (POINTS.ravel(), r"shape \(180,\)"),
    "number": (np.array(3.0), r"shape \(\)"),
    "nothing": (np.zeros((0, 3)), "no points"),
    "(4, N)": (np.vstack([POINTS.T, np.ones(60)]), "transpose"),
    "features": (DRAW.normal(size=(60, 128)), "128 columns"),
    "depth map": (DRAW.random((48, 64)), "64 columns"),
    "complex": (POINTS.astype(complex), "complex128"),
    "bool": (POINTS > 0, "bool"),
    "dates": (np.zeros((60, 3), "M8[s]"), "datetime64"),
    "words": (np.full((60, 3), "a"), "real numbers"),
    "structured without x": (np.rec.fromarrays(POINTS.T, names="a,b,c"), "none are x, y, z"),
    "square matrix": (DRAW.normal(size=(10, 10)), "a matrix"),
    "rotations": (SPACE[:, [0, 1, 2, 2]] / np.linalg.norm(SPACE[:, [0, 1, 2, 2]], axis=1, keepdims=True), "rotations"),
    "trajectory": (np.column_stack([POINTS, np.tile([0.6, 0, 0.8, 0], (60, 1))]), "poses"),
    "occupancies": (np.column_stack([SPACE, INSIDE]), "query samples"),
    "signed distances": (np.column_stack([SPACE, DISTANCES]), "distance"),
    "unsigned distances": (np.column_stack([SPACE, np.abs(DISTANCES)]).astype("f4"), "distance"),
    "grid of signed distances": (GRID, "negative"),
    "grid of distances": (np.abs(GRID) * 3, "distances or densities"),
    "grid of distances up to 1": (np.abs(GRID) / np.abs(GRID).max(), "distances"),
    "grid of truncated distances": (np.minimum(np.abs(GRID) * 4, 1), "distances"),
    "grid without numbers": (np.full((6, 6, 6), np.nan), "finite"),
    "grid of negative integers": (np.where(GRID < 0, 1, -1), "negative"),
    "scan": (DRAW.integers(0, 256, (12, 12, 12), np.uint8), "a scan or densities"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_arrays_are_refused(name: str) -> None:
    array, reason = REFUSED[name]
    with pytest.raises(ObjectError, match=reason):
        parse_npy(_saved(np.save, array), Path("a.npy"))


def test_a_height_and_a_noisy_scalar_are_no_distances() -> None:
    for scalar in (INSIDE[:60], POINTS[:, 2], POINTS[:, 2] - POINTS[:, 2].min(), NORMALS[:, 0], 100 * POINTS[:, 0]):
        assert len(array_to_shape(np.column_stack([POINTS, scalar])).points) == 60


GRIDS: dict[str, tuple[Any, str]] = {
    "bool": (GRID < 0, ""),
    "0 and 1": ((GRID < 0).astype(float), ""),
    "0 and 255": ((GRID < 0).astype(np.uint8) * 255, ""),
    "occupancies": (1 / (1 + np.exp(40 * GRID)), ""),
    "occupancies, not finite outside": (np.where(GRID < 0, 1, np.where(GRID > 0.9, np.nan, 0.1)), "not finite"),
    "labels": (np.where(GRID < -0.3, 7, np.where(GRID < 0, 3, 0)), "3 labels"),
    "(1, X, Y, Z)": ((GRID < 0)[None], "read as"),
    "(X, Y, Z, 1)": ((GRID < 0)[..., None], "read as"),
    "(1, 1, X, Y, Z)": ((GRID < 0)[None, None], "read as"),
}


@pytest.mark.parametrize("name", GRIDS)
def test_grids(name: str) -> None:
    array, note = GRIDS[name]
    with collect_notes() as notes:
        shape = parse_npy(_saved(np.save, array), Path("a.npy"))
    np.testing.assert_array_equal(shape.points, np.argwhere(GRID < 0) + 0.5)
    assert bool(notes) == bool(note)
    assert note in "".join(notes)


NAMES = [
    *("points", "Points", "POS", "pc", "xyz", "pts", "cloud", "point_cloud", "pointcloud", "pcl", "coords", "coord"),
    *("verts", "v", "vertices", "surface_points"),
]


@pytest.mark.parametrize("name", NAMES)
def test_usual_names_of_clouds(name: str) -> None:
    data = _saved(np.savez, **{"normals": NORMALS, name: POINTS, "loc": np.zeros(3), "scale": 1.0, "label": 3})
    np.testing.assert_array_equal(parse_npz(data, Path("a.npz")).points, POINTS)


def test_other_archives() -> None:
    for named in (
        {"deep/er/points": POINTS, "deep/er/normals": NORMALS},
        {"whatever": POINTS},
        {"x": POINTS[:, 0], "y": POINTS[:, 1], "z": POINTS[:, 2], "t": np.arange(60)},
        {"data": POINTS, "label": np.zeros(1)},
        {"points": POINTS, "names": np.array([{}], object)},
        {"cloud": XYZ},
        {"points": POINTS, "indices": np.arange(180).reshape(60, 3) % 60},
        {"points": POINTS, "f": np.arange(60)[:, None]},
    ):
        np.testing.assert_array_equal(parse_npz(_saved(np.savez, **named), Path("a.npz")).points, POINTS)
    assert len(parse_npz(_saved(np.savez, vox=GRID < 0, label=1), Path("a.npz")).points) == (GRID < 0).sum()
    for named, note in (
        ({"vertices": POINTS, "faces": np.zeros((0, 3), int)}, "no faces"),
        ({"points": SPACE, "sdf": DISTANCES, "surface_points": POINTS}, "surface_points is read"),
    ):
        with collect_notes() as notes:
            np.testing.assert_array_equal(parse_npz(_saved(np.savez, **named), Path("a.npz")).points, POINTS)
        assert note in notes[0]
    with collect_notes() as notes:
        shape = parse_npz(_saved(np.savez, pc=POINTS, points=NORMALS), Path("a.npz"))
    np.testing.assert_array_equal(shape.points, NORMALS)
    assert notes == ["several arrays: points is read, pc are left out"]


@pytest.mark.parametrize(
    ("vertices", "faces"),
    [("v", "f"), ("V", "F"), ("vertices", "faces"), ("verts", "faces"), ("Vertices", "Triangles"), ("points", "tris")],
)
def test_vertices_and_faces_are_meshes(vertices: str, faces: str) -> None:
    for table, note in ((BOX_FACES, ""), (BOX_FACES + 1, "from 1"), (BOX_FACES.T, "transposed"), (BOX_FACES * 1.0, "")):
        with collect_notes() as notes:
            shape = parse_npz(_saved(np.savez, **{vertices: BOX.astype("f4"), faces: table}), Path("a.npz"))
        np.testing.assert_array_equal(shape.points, BOX)
        np.testing.assert_array_equal(shape.faces, BOX_FACES)
        assert note in "".join(notes)
        assert bool(note) == bool(notes)


QUADS = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]])
PADDED = np.vstack([QUADS[:3], np.column_stack([BOX_FACES[6:], np.full(6, -1)])])


@pytest.mark.parametrize(
    ("faces", "name"),
    [
        *((QUADS, "faces"), (QUADS + 1, "faces"), (PADDED, "faces"), (BOX_FACES, "indices")),
        *((BOX_FACES.ravel(), "faces"), (BOX_FACES[None], "faces")),
        *((np.insert(table, 0, table.shape[1], axis=1), "faces") for table in (BOX_FACES, QUADS)),
        (np.insert(BOX_FACES, 0, 3, axis=1).ravel(), "faces"),
    ],
)
def test_other_layouts_of_faces_cover_the_same_box(faces: np.ndarray, name: str) -> None:
    shape = parse_npz(_saved(np.savez, **{"vertices": BOX, name: faces}), Path("a.npz"))
    assert shape.faces is not None
    assert len(shape.faces) == len(BOX_FACES)
    first, second, third = (shape.points[shape.faces[:, corner]] for corner in range(3))
    areas = np.linalg.norm(np.cross(second - first, third - first), axis=1) / 2
    assert areas.sum() == pytest.approx(2 * (1 * 2 + 1 * 4 + 2 * 4))
    assert np.einsum("ij,ij->i", first, np.cross(second, third)).sum() / 6 == pytest.approx(8)


@pytest.mark.parametrize("name", ["faces.npy", "chair_faces.npy", "triangles_01.npy"])
def test_faces_without_vertices_are_no_cloud(name: str) -> None:
    with pytest.raises(ObjectError, match="not points"):
        parse_npy(_saved(np.save, BOX_FACES), Path(name))
    assert len(parse_npy(_saved(np.save, BOX_FACES), Path("voxels.npy")).points) == len(BOX_FACES)


@pytest.mark.parametrize("shape", [(32, 32, 1), (1, 40, 40), (4, 800, 9), (2, 300, 300)])
def test_images_and_tables_are_no_voxel_grids(shape: tuple[int, ...]) -> None:
    for array in (DRAW.random(shape), DRAW.random(shape) > 0.5):
        with pytest.raises(ObjectError, match=r"no object|too thin|a batch"):
            array_to_shape(array)


BAD_ARCHIVES: dict[str, tuple[dict[str, Any], str]] = {
    "occupancies": ({"points": SPACE, "occupancies": INSIDE, "loc": np.zeros(3), "scale": 1.0}, "occupancies"),
    "occupancies of another name": ({"points_iou": SPACE, "occupancies_iou": INSIDE}, "query points"),
    "values": ({"points": SPACE, "values": DISTANCES}, "distance"),
    "labels that are occupancies": ({"points": SPACE, "labels": INSIDE}, "query samples"),
    "sdf_values": ({"coords": SPACE, "sdf_values": DISTANCES}, "distance"),
    "packed occupancies": ({"points": SPACE, "occupancies": np.packbits(INSIDE)}, "query points"),
    "inside": ({"xyz": SPACE, "Inside": INSIDE}, "query points"),
    "signed distances": ({"points": SPACE, "sdf": DISTANCES}, "distance"),
    "a column of distances": ({"pos": SPACE, "sdf": DISTANCES[:, None]}, "distance"),
    "DeepSDF": (
        {
            "pos": np.column_stack([SPACE, DISTANCES])[~INSIDE],
            "neg": np.column_stack([SPACE, DISTANCES])[INSIDE],
        },
        "signed distance",
    ),
    "a table of distances": ({"sdf": np.column_stack([SPACE, DISTANCES])}, "distance"),
    "grid of distances": ({"sdf": np.abs(GRID)}, "distance"),
    "no names": ({"a": POINTS, "b": NORMALS}, "none has the name"),
    "vertices and faces without names": ({"arr_0": BOX, "arr_1": BOX_FACES}, "none has the name"),
    "batch": ({"data": np.stack([POINTS] * 4), "label": np.zeros(4)}, "batch"),
    "batch of any name": (
        {"X": np.stack([POINTS] * 4), "y": np.zeros(4)},
        r"array X of shape \(4, 60, 3\): a batch of 4 clouds.*one file a cloud",
    ),
    "batches": ({"X_train": np.stack([POINTS] * 4), "X_test": np.stack([POINTS] * 2)}, "a batch of 4 clouds"),
    "faces beyond the vertices": ({"v": BOX, "f": BOX_FACES + 2}, "does not exist"),
    "features": ({"v": BOX, "f": np.arange(8 * 32).reshape(8, 32)}, "a mesh needs"),
    "tetrahedra": ({"vertices": BOX, "tets": np.array([[0, 1, 2, 4]])}, "cells of a volume"),
    "two meshes": (
        {"a/vertices": BOX, "a/faces": BOX_FACES, "b/vertices": BOX + 3, "b/faces": BOX_FACES},
        "several meshes",
    ),
    "normals alone": ({"normals": NORMALS}, "normals, not points"),
    "pickled points": ({"points": np.array([{}], object)}, "Python objects"),
    "pickled faces": ({"vertices": BOX, "faces": np.array([{}], object)}, "Python objects"),
    "a sparse matrix": ({"data": np.ones(9), "indices": np.arange(9), "indptr": np.arange(10)}, r"shape \(9,\)"),
    "nothing": ({}, "no array"),
}


@pytest.mark.parametrize("name", BAD_ARCHIVES)
def test_other_archives_are_refused(name: str) -> None:
    named, reason = BAD_ARCHIVES[name]
    with pytest.raises(ObjectError, match=reason):
        parse_npz(_saved(np.savez, **named), Path("a.npz"))


def test_headers_of_version_3() -> None:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, POINTS.astype([("x", "f8")])[:, 0].reshape(-1), version=(3, 0))
    with pytest.raises(ObjectError, match="none are x, y, z"):
        parse_npy(stream.getvalue(), Path("a.npy"))
    stream = io.BytesIO()
    np.lib.format.write_array(stream, POINTS, version=(3, 0))
    np.testing.assert_array_equal(parse_npy(stream.getvalue(), Path("a.npy")).points, POINTS)
