"""LiDAR clouds, as laspy writes them: scale and offset, compression, damage, and a missing library."""

import io
import struct
from pathlib import Path

import laspy
import numpy as np
import pytest

from data_prep.readers.clouds import las
from data_prep.readers.clouds.las import parse_las
from data_prep.readers.shape import read_shape
from spectral_ssl.ground.errors import ObjectError

# Coordinates of a map projection: float32 would round them to half a metre.
POINTS = np.random.default_rng(0).uniform(0, [1, 2, 4], (500, 3)) + np.array([481_000, 5_455_000, 120])


def _written(compressed: bool) -> bytes:
    header = laspy.LasHeader(point_format=3, version="1.2")
    header.scales, header.offsets = np.full(3, 0.001), np.array([481_000.0, 5_455_000, 100])
    cloud = laspy.LasData(header)
    cloud.x, cloud.y, cloud.z = POINTS.T
    cloud.classification = np.arange(500) % 5
    stream = io.BytesIO()
    cloud.write(stream, do_compress=compressed)
    return stream.getvalue()


@pytest.mark.parametrize("suffix", [".las", ".LAZ"])
def test_scale_and_offset_are_applied(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(_written(suffix == ".LAZ"))
    shape = read_shape(path)
    np.testing.assert_allclose(shape.points, POINTS, rtol=0, atol=0.00051)
    assert (shape.faces, shape.notes) == (None, ())


def _announce(data: bytes, count: int) -> bytes:
    return data[:107] + struct.pack("<I", count) + data[111:]


def test_damaged_files(capfd: pytest.CaptureFixture[str]) -> None:
    data, path = _written(False), Path("a.las")
    for content, reason in (
        (data[: len(data) // 2], "truncated: 500 points announced"),
        (_announce(data, 4_000_000_000), "truncated: 4000000000 points announced"),
        (data[:100], r"unreadable \.las file: no header"),
        (data[:100] + b"\xff\xff\xff\xff" + data[104:], "truncated: 4294967295 records announced"),
        (b"LASF" + bytes(4000), r"unreadable \.las file"),
    ):
        with pytest.raises(ObjectError, match=reason):
            parse_las(content, path)
    draw, outcomes = np.random.default_rng(0), set()
    for number in range(300):
        changed = bytearray(data)
        for offset in draw.integers(0, 400 if number % 2 else len(data), 3):
            changed[offset] = int(draw.integers(0, 256))
        try:
            outcomes.add(len(parse_las(bytes(changed), path).points) > 0)
        except ObjectError:
            outcomes.add(False)
    assert outcomes == {True, False}
    assert not capfd.readouterr().err


def test_compressed_files_that_end_the_decompressor() -> None:
    data = _written(True)
    with pytest.raises(ObjectError, match=r"unreadable \.laz file: ValueError: 4000000000 points announced, more than"):
        parse_las(_announce(data, 4_000_000_000), Path("a.laz"))
    with pytest.raises(ObjectError, match=r"unreadable \.laz file"):
        parse_las(data[: len(data) // 2], Path("a.laz"))


def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(las, "find_spec", lambda name: None)
    with pytest.raises(ObjectError, match=r"\.laz files need laspy: pip install 'spectral-ssl\[las\]'"):
        parse_las(_written(False), Path("a.laz"))
