"""Images that are read: upright, the first of several frames, whole or not at all; and their scaling."""

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageFile, features

from data_prep.readers.image import ImageLoader, read_image
from data_prep.readers.images.opening import IMAGE_SUFFIXES, read_header
from data_prep.readers.images.resize import resize_square, resize_to_cover
from data_prep.source import collect_notes
from spectral_ssl.ground.errors import ObjectError

# Four pixels wide, two high; every corner differs, so that each of the eight orientations is another image.
UPRIGHT = np.zeros((32, 64, 3), np.uint8)
UPRIGHT[:16, :32], UPRIGHT[:16, 32:], UPRIGHT[16:, :32], UPRIGHT[16:, 32:] = (
    *((220, 40, 40), (40, 200, 40)),
    *((40, 40, 220), (230, 230, 230)),
)
# What a camera stores for an upright scene, by orientation: the inverse of the turn that the number asks for.
STORED = {
    1: lambda image: image,
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.transpose(1, 0, 2),
    6: lambda image: np.rot90(image, 1),
    7: lambda image: image[::-1, ::-1].transpose(1, 0, 2),
    8: lambda image: np.rot90(image, -1),
}


def _save(path: Path, pixels: Any, **more: Any) -> Path:
    Pillow.fromarray(np.ascontiguousarray(pixels)).save(path, **more)
    return path


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("ending", [".jpg", ".png", ".tif", ".webp", ".avif", ".mpo"])
def test_images_are_turned_as_their_orientation_says(tmp_path: Path, ending: str, orientation: int) -> None:
    if ending == ".avif" and not features.check("avif"):
        pytest.skip("this Pillow has no decoder for AVIF")
    exif = Pillow.Exif()
    exif[274] = orientation
    path = _save(tmp_path / f"a{ending}", STORED[orientation](UPRIGHT), exif=exif, **_best(ending))
    image = read_image(path)
    assert read_header(path).shape == image.shape == (3, 32, 64)
    corners = image[:, 8::16, 16::32].transpose(1, 2, 0)
    np.testing.assert_allclose(corners, UPRIGHT[8::16, 16::32], atol=0 if ending in (".png", ".tif", ".webp") else 6)


def _best(ending: str) -> dict[str, Any]:
    """Return the options of Pillow that keep colours."""
    if ending == ".mpo":
        return {"save_all": True, "append_images": [Pillow.new("RGB", (8, 8), "red")], "quality": 95}
    return {".jpg": {"quality": 95}, ".webp": {"lossless": True}, ".avif": {"quality": 95}}.get(ending, {})


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGBA", "P", "I;16", "F", "CMYK"])
@pytest.mark.parametrize("compression", ["raw", "tiff_lzw"])
def test_tiff_files_of_all_modes_are_turned(tmp_path: Path, mode: str, orientation: int, compression: str) -> None:
    generator = np.random.default_rng(0)
    upright = generator.integers(0, 256, (7, 12, {"LA": 2, "RGBA": 4, "CMYK": 4}.get(mode, 1)), np.uint8)
    upright[..., -1] |= 1 if upright.shape[2] > 1 else 0  # Nothing is fully transparent.
    scaled = {"I;16": upright.astype(np.uint16) * 257, "F": upright / np.float32(255), "1": upright > 127}
    exif = Pillow.Exif()
    exif[274] = orientation
    images = {}
    for name, turn in (("stored", STORED[orientation]), ("upright", STORED[1])):
        pixels = np.ascontiguousarray(turn(scaled.get(mode, upright)).squeeze())
        kind = None if mode in scaled else {"P": "L"}.get(mode, mode)
        image = Pillow.frombytes(kind, pixels.shape[1::-1], pixels.tobytes()) if kind else Pillow.fromarray(pixels)
        image = image.convert("P") if mode == "P" else image
        path = tmp_path / f"{name}.tif"
        image.save(path, compression=compression, **({"exif": exif} if name == "stored" else {}))
        images[name] = read_image(path)
        assert read_header(path).shape == images[name].shape
    np.testing.assert_array_equal(images["stored"], images["upright"])
    assert np.ptp(images["upright"]) > 100


def test_deep_images_are_turned_too(tmp_path: Path) -> None:
    exif = Pillow.Exif()
    exif[274] = 6
    _save(tmp_path / "a.png", np.array([[0, 65535], [0, 0], [0, 0]], np.uint16), exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), [[[0, 0, 0], [0, 0, 255]]])


def test_orientation_in_xmp_and_damaged_exif(tmp_path: Path) -> None:
    from PIL.PngImagePlugin import PngInfo

    words = PngInfo()
    words.add_itxt("XML:com.adobe.xmp", '<x:xmpmeta tiff:Orientation="6"/>')
    path = _save(tmp_path / "a.png", STORED[6](UPRIGHT), pnginfo=words)
    assert read_header(path).shape == (3, 32, 64)
    np.testing.assert_array_equal(read_image(path).transpose(1, 2, 0), UPRIGHT)
    # Damaged EXIF data says nothing about the pixels.
    path = _save(tmp_path / "b.png", UPRIGHT, exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert read_header(path).shape == (3, 32, 64)
    np.testing.assert_array_equal(read_image(path).transpose(1, 2, 0), UPRIGHT)


@pytest.mark.parametrize("ending", [".gif", ".png", ".apng", ".webp", ".tif", ".mpo", ".avif"])
def test_the_first_of_several_frames_is_read(tmp_path: Path, ending: str) -> None:
    if ending == ".avif" and not features.check("avif"):
        pytest.skip("this Pillow has no decoder for AVIF")
    second = Pillow.new("RGB", (16, 16) if ending == ".tif" else (32, 32), "blue")  # of a TIFF file a small preview
    form = {".apng": "PNG"}.get(ending)
    path = tmp_path / f"a{ending}"
    Pillow.new("RGB", (32, 32), (250, 0, 0)).save(path, format=form, save_all=True, append_images=[second])
    with collect_notes() as notes:
        image = read_image(path)
    assert notes == ["the first of several frames or images in the file is read"]
    assert image.shape == (3, 32, 32)
    np.testing.assert_allclose(image[:, 16, 16], [250, 0, 0], atol=4)


def test_a_stack_of_pages_is_refused(tmp_path: Path) -> None:
    pages = [Pillow.new("L", (8, 8), level) for level in (0, 100, 200)]
    pages[0].save(tmp_path / "stack.tif", save_all=True, append_images=pages[1:])
    for read in (read_image, read_header):
        with pytest.raises(ObjectError, match="several pages of one size"):
            read(tmp_path / "stack.tif")


@pytest.mark.parametrize("ending", [".jpg", ".png", ".gif", ".tif", ".webp", ".bmp", ".ppm", ".tga", ".jp2", ".avif"])
@pytest.mark.parametrize("share", [0.3, 0.7, 0.99])
def test_truncated_images_are_refused(tmp_path: Path, ending: str, share: float) -> None:
    if ending == ".avif" and not features.check("avif"):
        pytest.skip("this Pillow has no decoder for AVIF")
    noise = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    whole = _save(tmp_path / f"whole{ending}", noise).read_bytes()
    (tmp_path / f"a{ending}").write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ObjectError, match="unreadable image"):
        read_image(tmp_path / f"a{ending}")


def test_truncated_images_are_refused_whatever_pillow_was_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    whole = _save(tmp_path / "whole.jpg", noise).read_bytes()
    (tmp_path / "a.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ObjectError, match="image file is truncated"):
        read_image(tmp_path / "a.jpg")
    assert ImageFile.LOAD_TRUNCATED_IMAGES  # The setting is that of the program again.


FORMATS = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".JPG", ".JFIF", ".png"),  # the content decides, not the name
    "PNG": (".png", ".apng", ".Png", ".jpg"),
    "TIFF": (".tif", ".tiff", ".TIF"),
    "PPM": (".ppm", ".pnm"),
    "TGA": (".tga", ".TGA"),
    "JPEG2000": (".jp2", ".j2k", ".jpx"),
    "MPO": (".mpo", ".jpg"),
    "WEBP": (".webp",),
    "BMP": (".bmp",),
    "GIF": (".gif",),
    "AVIF": (".avif",),
}


def test_all_endings_are_read(tmp_path: Path) -> None:
    read = set()
    for form, endings in FORMATS.items():
        if form == "AVIF" and not features.check("avif"):
            continue
        stream = io.BytesIO()
        Pillow.fromarray(UPRIGHT).save(stream, form)
        for ending in endings:
            path = tmp_path / f"a{ending}"
            path.write_bytes(stream.getvalue())
            assert read_image(path).shape == read_header(path).shape == (3, 32, 64), (form, ending)
            read.add(ending)
    assert {".png", ".jpe", ".jfif", ".mpo", ".tga", ".ppm", ".jp2"} <= read
    assert read <= {*IMAGE_SUFFIXES, *(ending for ending in read if ending != ending.lower())}


def test_a_missing_decoder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.avif").write_bytes(b"\0\0\0\x1cftypavif" + bytes(40))
    monkeypatch.setattr(features, "check", lambda feature: False)
    with pytest.raises(ObjectError, match="the installed Pillow has no decoder for AVIF"):
        read_image(tmp_path / "a.avif")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 12\n", "Git LFS pointer"),
        (b"<!DOCTYPE html><html></html>", "a web page"),
        (b"", "an empty file"),
        (bytes(500), "only zero bytes"),
        (b"8BPS\0\1" + bytes(60), "a Photoshop file: convert"),
        (b"\0\0\0\x18ftypheic" + bytes(60), "a HEIC photograph: convert"),
        (b"<?xml version='1.0'?>\n<svg xmlns='x'></svg>", "an SVG file: convert"),
        (b"II*\0\xff\xff\xff\xff", "a damaged TIFF file, or one whose pixels Pillow does not read"),
        (b"any words", "unreadable image: cannot identify"),
    ],
)
def test_files_that_are_no_images_are_named(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(ObjectError, match=reason):
        read_image(tmp_path / "a.jpg")


def _make_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


@pytest.mark.parametrize(
    "chunk",
    [
        _make_chunk(b"eXIf", b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"),
        _make_chunk(b"iTXt", b'XML:com.adobe.xmp\0\0\0\0\0<rdf tiff:Orientation="6"/>'),
    ],
)
def test_headers_know_an_orientation_behind_the_pixels_of_a_png(tmp_path: Path, chunk: bytes) -> None:
    pixels = np.arange(15, dtype=np.uint8).reshape(3, 5)
    stream = io.BytesIO()
    Pillow.fromarray(pixels).save(stream, "PNG")
    data = stream.getvalue()
    end = data.index(b"IEND") - 4
    (tmp_path / "a.png").write_bytes(data[:end] + chunk + data[end:])
    np.testing.assert_array_equal(read_image(tmp_path / "a.png")[0], np.rot90(pixels, -1))
    assert read_header(tmp_path / "a.png").shape == (1, 5, 3)


def test_a_fourth_byte_of_zeros_in_a_tga_is_no_alpha(tmp_path: Path) -> None:
    pixels = np.array([[[9, 8, 7, 0], [3, 2, 1, 0]]], np.uint8)
    head = struct.pack("<BBBHHBHHHHBB", 0, 0, 2, 0, 0, 0, 0, 0, 2, 1, 32, 0)
    (tmp_path / "a.tga").write_bytes(head + pixels.tobytes())
    np.testing.assert_array_equal(read_image(tmp_path / "a.tga").transpose(1, 2, 0), [[[7, 8, 9], [1, 2, 3]]])


def test_deep_planes_of_a_tiff_are_refused(tmp_path: Path) -> None:
    planes = np.arange(18, dtype="<u2").reshape(3, 2, 3) * 3000
    tags = [(256, 3), (257, 2), (258, None), (259, 1), (262, 2), (273, None), (277, 3), (278, 2), (279, None), (284, 2)]
    arrays = {258: struct.pack("<3H", 16, 16, 16), 279: struct.pack("<3H", 12, 12, 12)}
    start = 8 + 2 + 12 * len(tags) + 4
    arrays[273] = struct.pack("<3H", *(start + 18 + 12 * plane for plane in range(3)))
    entries, offset = b"", start
    for tag, value in tags:
        if value is None:
            entries += struct.pack("<HHII", tag, 3, 3, offset)
            offset += 6
        else:
            entries += struct.pack("<HHIHH", tag, 3, 1, value, 0)
    values = b"".join(arrays[tag] for tag, value in tags if value is None)
    head = struct.pack("<2sHIH", b"II", 42, 8, len(tags))
    (tmp_path / "a.tif").write_bytes(head + entries + bytes(4) + values + planes.tobytes())
    with pytest.raises(ObjectError, match="separate planes"):
        read_image(tmp_path / "a.tif")


def test_only_its_ending_makes_a_tga(tmp_path: Path) -> None:
    # A TGA file has no signature, so other data may look like one.
    data = struct.pack("<BBBHHBHHHHBB", 0, 0, 2, 0, 0, 0, 0, 0, 1, 1, 24, 0) + b"abc"
    (tmp_path / "a.tga").write_bytes(data)
    assert read_image(tmp_path / "a.tga").shape == (3, 1, 1)
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(ObjectError, match="cannot identify"):
        read_image(tmp_path / "a.png")


def test_resize_square_crops_the_middle_and_averages() -> None:
    image = np.arange(4 * 12, dtype=np.uint8).reshape(1, 4, 12)
    middle = image[0, :, 4:8]
    np.testing.assert_array_equal(resize_square(image, 4)[0], middle)
    expected = middle.reshape(2, 2, 2, 2).mean(axis=(1, 3))
    assert np.abs(resize_square(image, 2)[0] - expected).max() <= 0.5
    assert resize_square(np.repeat(image, 6, axis=0), 8).shape == (6, 8, 8)
    # a white square grows and shrinks without ringing
    white = np.full((3, 7, 7), 255, np.uint8)
    assert (resize_square(white, 5) == 255).all()
    assert (resize_square(white, 16) == 255).all()


def test_resize_to_cover_keeps_proportions() -> None:
    image = np.zeros((1, 8, 12), np.uint8)
    image[:, :, 2:10] = np.repeat(np.arange(4, dtype=np.uint8) * 50, 2)
    # 8 x 12 pixels cover 4 x 4 with the middle 8 x 8, whose columns have pairs of equal values.
    np.testing.assert_array_equal(resize_to_cover(image, 4, 4), np.tile(np.array([0, 50, 100, 150]), (1, 4, 1)))
    assert resize_to_cover(image, 4, 8).shape == (1, 4, 8)
    assert resize_to_cover(np.ones((1, 1, 500), np.uint8), 64, 64).min() == 1  # no empty rectangle of a thin image


def test_loaders_know_their_shape_without_pixels(tmp_path: Path) -> None:
    path = _save(tmp_path / "a.png", UPRIGHT)
    for loader in (ImageLoader(path), ImageLoader(path, size=8), ImageLoader(path, cut=_cut, size=8)):
        assert loader.read_header().shape == loader().shape
    assert ImageLoader(tmp_path / "gone.png", shape=(3, 4, 4)).read_header().shape == (3, 4, 4)


def _cut(image: Any) -> Any:
    return image[:1, :, :20]
