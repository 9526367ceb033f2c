"""Voxel grids, compared with trimesh's .binvox writer."""

import io
from pathlib import Path

import numpy as np
import pytest
import trimesh

from data_prep.readers.clouds.voxels import find_voxel_centres, parse_binvox
from data_prep.readers.shape import read_shape
from data_prep.sources.catalogue import open_source
from spectral_ssl.ground.errors import ObjectError


def _grid() -> np.ndarray:
    return np.random.default_rng(0).random((6, 6, 6)) < 0.3


def _binvox(dim: str = "2 2 2", body: bytes = b"\1\4\0\4", more: str = "translate 0 0 0\nscale 1\n") -> bytes:
    return f"#binvox 1\ndim {dim}\n{more}data\n".encode() + body


def _sorted(points: np.ndarray) -> np.ndarray:
    return points[np.lexsort(points.T)]


def test_binvox_against_trimesh() -> None:
    transform = trimesh.transformations.scale_and_translate(0.5, (-1, 2, 3))
    written = trimesh.exchange.binvox.export_binvox(trimesh.voxel.VoxelGrid(_grid(), transform=transform))
    ours = parse_binvox(written)
    theirs = trimesh.exchange.binvox.load_binvox(io.BytesIO(written))
    assert len(ours) == _grid().sum() == len(theirs.points)
    # trimesh places voxels at the corners of the format's unit cube, i / (dim - 1); the format's author says the
    # centres are at (i + 0.5) / dim: the same up to scale and offset on each axis
    ours, theirs = _sorted(ours), _sorted(np.asarray(theirs.points))
    for axis in range(3):
        slope, offset = np.polyfit(theirs[:, axis], ours[:, axis], 1)
        assert slope > 0.5
        np.testing.assert_allclose(slope * theirs[:, axis] + offset, ours[:, axis], atol=1e-9)


def test_binvox_axes_and_units() -> None:
    # y runs fastest, then z, then x: here x = 1, z = 0, y = 1
    points = parse_binvox(_binvox(body=b"\0\5\1\1\0\2", more="translate 10 20 30\nscale 4\n"))
    np.testing.assert_allclose(points, [[10 + 0.75 * 4, 20 + 0.75 * 4, 30 + 0.25 * 4]])
    assert len(parse_binvox(_binvox(more=""))) == 4
    comments = "# of a program\nscale 4 # metres\n#dim 9 9 9\ntranslate 10 20 30\n"
    np.testing.assert_allclose(parse_binvox(_binvox(body=b"\0\5\1\1\0\2", more=comments)), points)
    old = _binvox(body=b"\0\5\1\1\0\2", more=comments).replace(b"\n", b"\r")
    np.testing.assert_allclose(parse_binvox(old), points)
    assert len(parse_binvox(_binvox("1 2 4"))) == 4


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no header"),
        (b"#binvox 1\ndim 2 2 2\n", "no header"),
        (_binvox("2 2"), "unreadable header"),
        (_binvox("2 2 two"), "unreadable header"),
        (_binvox(more="scale nan\n"), "unreadable header"),
        (_binvox(more="translate 1 2\n"), "unreadable header"),
        (_binvox("0 2 2"), "a grid of"),
        (_binvox("-2 -2 2"), "a grid of"),
        (_binvox("100000 100000 100000"), "a grid of"),
        (_binvox(body=b"\1\4\0\3"), "7 voxels of 8"),
        (_binvox(body=b"\1\4\0\5"), "9 voxels of 8"),
        (_binvox(body=b""), "0 voxels of 8"),
        (_binvox(body=b"\1\4\0"), "4 voxels of 8"),
        (_binvox(body=b"\2\4\0\4"), "other than 0 and 1"),
        (_binvox(body=b"\0\4\0\4"), "empty voxel grid"),
    ],
)
def test_damaged_binvox(data: bytes, reason: str) -> None:
    with pytest.raises(ObjectError, match=reason):
        parse_binvox(data)


def test_arrays() -> None:
    grid = np.zeros((3, 4, 5), bool)
    grid[2, 0, 4] = True
    np.testing.assert_array_equal(find_voxel_centres(grid), [[2.5, 0.5, 4.5]])
    np.testing.assert_array_equal(find_voxel_centres(grid.astype(np.uint8) * 255), [[2.5, 0.5, 4.5]])
    np.testing.assert_array_equal(find_voxel_centres(np.where(grid, 0.9, 0.4)), [[2.5, 0.5, 4.5]])
    with pytest.raises(ObjectError, match="an empty voxel grid"):
        find_voxel_centres(np.zeros((2, 2, 2), bool))
    with pytest.raises(ObjectError, match="not a voxel grid"):
        find_voxel_centres(np.zeros((2, 2, 2), complex))
    with pytest.raises(ObjectError, match="occupied voxels, more than"):
        find_voxel_centres(np.ones((256, 256, 65), bool))


def test_folder_of_voxel_grids(tmp_path: Path) -> None:
    for split in ("train", "test"):
        for class_name in ("chair", "table"):
            (tmp_path / split / class_name).mkdir(parents=True)
    np.savez_compressed(tmp_path / "train" / "chair" / "1.npz", voxels=_grid())
    np.savez(tmp_path / "train" / "table" / "2.npz", _grid().astype(np.uint8))
    (tmp_path / "train" / "table" / "2.npz").rename(tmp_path / "train" / "table" / "2.NPZ")
    np.save(tmp_path / "test" / "chair" / "3.npy", _grid())
    (tmp_path / "test" / "table" / "4.BinVox").write_bytes(_binvox())
    np.savez(tmp_path / "test" / "table" / "5.npz", np.zeros((4, 4, 4), bool))
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "__MACOSX" / "._1.npz").write_bytes(b"\0")
    source = open_source(f"folder:{tmp_path}")
    assert source.classes == ("chair", "table")
    assert len(source.items) == 5
    empty = "test/table/5.npz"
    loaded = {item.id: item.load() for item in source.items if item.id != empty}
    for name in ("train/chair/1.npz", "train/table/2.NPZ", "test/chair/3.npy"):
        np.testing.assert_array_equal(loaded[name].points, find_voxel_centres(_grid()))
    assert len(loaded["test/table/4.BinVox"].points) == 4
    with pytest.raises(ObjectError, match="an empty voxel grid"):
        read_shape(tmp_path / empty)


def test_npy_that_announces_more_than_it_has(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((4, 3)))
    data = (tmp_path / "a.npy").read_bytes()
    assert b"(4, 3)" in data
    (tmp_path / "a.npy").write_bytes(data.replace(b"(4, 3)", b"(9999999999, 3)", 1))
    with pytest.raises(ObjectError, match=r"not a readable \.npy"):
        read_shape(tmp_path / "a.npy")
