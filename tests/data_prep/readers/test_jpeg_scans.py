"""JPEG files with many scans: refused before they are decoded; usual ones are read."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_prep import read_image
from data_prep.readers.images import jpeg_scans
from data_prep.readers.images.jpeg_scans import MOST_SCANS, count_scans
from spectral_ssl.ground.errors import ObjectError


def jpeg(kind: str = "JPEG", side: int = 64, **options: object) -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise).save(stream, kind, **options)
    return stream.getvalue()


def repeat_last_scan(data: bytes, times: int) -> bytes:
    """Send the last scan of a progressive file again and again; it refines what is there."""
    start, end = data.rindex(b"\xff\xda"), data.rindex(b"\xff\xd9")
    return data[:start] + data[start:end] * times + data[end:]


def test_scans_are_counted() -> None:
    assert count_scans(jpeg()) == 1
    assert count_scans(jpeg(restart_marker_blocks=1)) == 1
    progressive = jpeg(progressive=True)
    assert count_scans(progressive) == 10
    assert count_scans(repeat_last_scan(progressive, 300)) == 309
    # What stands in comments, in a thumbnail or behind the end is no scan of the image.
    comment = jpeg(comment=b"\xff\xda\x00\x02" * 500)
    assert count_scans(comment) == 1
    assert count_scans(comment + b"\xff\xda\x00\x02" * 500) == 1
    assert count_scans(b"\xff\xd8" + b"\xff" * 2_000_000) == 0  # fill bytes, each read once
    assert count_scans(b"\xff\xd8" + b"\xff" * 9 + b"\xda\x00\x02ab\xff\xd9") == 1
    for broken in (b"", b"\xff\xd8", b"\xff\xd8\xff", b"\xff\xd8\xff\xda", b"\xff\xd8" + b"\xff\xda\x00\x00" * 5):
        assert count_scans(broken) == broken.count(b"\xda")


@pytest.mark.parametrize("name", ["a.jpg", "a.mpo", "named.png"])
def test_files_with_many_scans_are_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    data = jpeg(progressive=True)
    path.write_bytes(data)
    assert read_image(path).shape == (3, 64, 64)
    path.write_bytes(repeat_last_scan(data, MOST_SCANS - 9))  # exactly as many as are allowed
    assert read_image(path).shape == (3, 64, 64)
    path.write_bytes(repeat_last_scan(data, 1190))
    with pytest.raises(ObjectError, match="1199 scans of 4096 pixels: save it without progression"):
        read_image(path)


def test_large_images_may_have_fewer_scans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg(progressive=True))
    monkeypatch.setattr(jpeg_scans, "MOST_DECODED", 10 * 4096)
    assert read_image(path).shape == (3, 64, 64)
    monkeypatch.setattr(jpeg_scans, "MOST_DECODED", 10 * 4096 - 1)
    with pytest.raises(ObjectError, match="10 scans"):
        read_image(path)
    path.write_bytes(jpeg())
    assert read_image(path).shape == (3, 64, 64)
    monkeypatch.setattr(jpeg_scans, "MOST_BYTES", 100)
    with pytest.raises(ObjectError, match="JPEG file of more than"):
        read_image(path)
