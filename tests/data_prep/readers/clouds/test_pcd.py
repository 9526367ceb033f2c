"""Files of the Point Cloud Library, as pypcd4 writes them and as its own programs do."""

import io
import struct
from pathlib import Path

import numpy as np
import pypcd4
import pytest

from data_prep.readers.clouds.pcd import parse_pcd
from data_prep.readers.shape import read_shape
from data_prep.source import Shape
from spectral_ssl.ground.errors import ObjectError

POINTS = np.random.default_rng(0).normal(size=(500, 3)).astype(np.float32)
COLOURS = np.zeros(500, np.float32)


def _written(encoding: str) -> bytes:
    stream = io.BytesIO()
    cloud = pypcd4.PointCloud.from_points(
        np.column_stack([COLOURS, POINTS[:, ::-1]]), ("intensity", "z", "y", "x"), (np.float32,) * 4
    )
    cloud.save(stream, encoding=pypcd4.Encoding(encoding))
    return stream.getvalue()


def _header(data: str, fields: str = "x y z", more: str = "", points: int = 9) -> bytes:
    count = len(fields.split())
    return (
        f"# .PCD v0.7 - Point Cloud Data file format\nVERSION 0.7\nFIELDS {fields}\nSIZE {'4 ' * count}\n"
        f"TYPE {'F ' * count}\nWIDTH {points}\nHEIGHT 1\n{more}POINTS {points}\nDATA {data}\n"
    ).encode()


def _parse(data: bytes) -> Shape:
    return parse_pcd(data, Path("a.pcd"))


@pytest.mark.parametrize("encoding", ["ascii", "binary", "binary_compressed"])
def test_against_pypcd4(encoding: str, tmp_path: Path) -> None:
    (tmp_path / "a.PCD").write_bytes(_written(encoding))
    shape = read_shape(tmp_path / "a.PCD")
    np.testing.assert_allclose(shape.points, POINTS, rtol=1e-6)
    assert (shape.faces, shape.notes) == (None, ())


def test_wide_fields_padding_and_doubles() -> None:
    layout = np.dtype(
        [("normal", "<f4", 3), ("_", "u1", 4), ("x", "<f8"), ("label", "<u2"), ("y", "<f4"), ("z", "<i2")]
    )
    table = np.zeros(9, layout)
    table["x"], table["y"], table["z"] = np.arange(9), 2 * np.arange(9), -np.arange(9)
    head = "VERSION .7\nFIELDS normal _ X label Y Z\nSIZE 4 1 8 2 4 2\nTYPE F U F U F I\nCOUNT 3 4 1 1 1 1\n"
    data = f"{head}WIDTH 9\nHEIGHT 1\nVIEWPOINT 0 0 0 1 0 0 0\nDATA binary\r\n".encode() + table.tobytes()
    np.testing.assert_array_equal(_parse(data).points, np.outer(np.arange(9), [1, 2, -1]))


def test_organised_clouds_lose_positions_without_a_point(tmp_path: Path) -> None:
    table = POINTS[:12].copy()
    table[::3] = np.nan
    content = _header("binary", points=12).replace(b"WIDTH 12\nHEIGHT 1", b"WIDTH 4\nHEIGHT 3") + table.tobytes()
    (tmp_path / "a.pcd").write_bytes(content)
    shape = read_shape(tmp_path / "a.pcd")
    np.testing.assert_array_equal(shape.points, table[~np.isnan(table[:, 0])])
    assert shape.notes == ("4 of 12 positions of an organised cloud hold no point: left out",)
    (tmp_path / "a.pcd").write_bytes(_header("binary", points=12) + table.tobytes())
    with pytest.raises(ObjectError, match="4 of 12 points are not finite"):
        read_shape(tmp_path / "a.pcd")


def test_a_turned_viewpoint_is_noted(tmp_path: Path) -> None:
    data = _header("binary", more="VIEWPOINT 1 2 3 0.7071 0.7071 0 0\n") + POINTS[:9].tobytes()
    (tmp_path / "a.pcd").write_bytes(data)
    assert read_shape(tmp_path / "a.pcd").notes == ("the rotation of the viewpoint is not applied",)


GOOD = POINTS[:9].tobytes()
BAD = {
    "no data": (b"VERSION 0.7\nFIELDS x y z\n", "no line DATA"),
    "no x": (_header("binary", "a y z") + GOOD, "no fields x, y and z"),
    "short": (_header("binary") + GOOD[:-1], "truncated: 9 points announced, 107 bytes follow"),
    "short text": (_header("ascii") + b"1 2 3\n" * 8, "truncated: 9 points announced, 8 follow"),
    "no points": (_header("ascii", points=0) + b"\n", "no points"),
    "no text": (_header("ascii") + b"\n", "truncated: 9 points announced, none follow"),
    "long text": (_header("ascii") + b"1 2 3\n" * 10, "9 points announced, 10 follow"),
    "words": (_header("ascii") + b"1 2 x\n" * 9, "unreadable"),
    "huge": (_header("binary", points=10**12) + GOOD, "1000000000000 points of 12 bytes announced"),
    "negative": (_header("binary", points=-9) + GOOD, "-9 points"),
    "sizes": (_header("binary").replace(b"SIZE 4 4 4", b"SIZE 4 4") + GOOD, "of different lengths"),
    "type": (_header("binary").replace(b"TYPE F", b"TYPE Q") + GOOD, "unreadable"),
    "kind": (_header("zipped") + GOOD, "unknown DATA 'zipped'"),
    "few": (_header("binary", points=7) + GOOD, "only 7 rows"),
    "packed size": (_header("binary_compressed") + struct.pack("<II", 4, 99) + b"\0\1\2\3", "4 bytes for 99 announced"),
    "packed": (_header("binary_compressed") + struct.pack("<II", 4, 108) + b"\xff\xff\xff\xff", "does not unpack"),
    "packed short": (_header("binary_compressed") + struct.pack("<II", 4, 108) + b"\2abc", "does not unpack"),
    "no sizes": (_header("binary_compressed") + b"\0", "unreadable"),
}


@pytest.mark.parametrize("name", BAD)
def test_damaged_files(name: str) -> None:
    content, reason = BAD[name]
    with pytest.raises(ObjectError, match=reason):
        _parse(content)


def test_mutated_compressed_files_are_read_or_refused() -> None:
    data = _written("binary_compressed")
    draw = np.random.default_rng(0)
    outcomes = set()
    for _ in range(200):
        changed = bytearray(data)
        for offset in draw.integers(0, len(data), 3):
            changed[offset] = int(draw.integers(0, 256))
        try:
            outcomes.add(_parse(bytes(changed)).points.shape)
        except ObjectError:
            outcomes.add(())
    assert outcomes == {(500, 3), ()}
