"""Transparency, depth and colour of images: every kind of file gives the values that people see."""

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageCms

from data_prep.readers.image import read_image
from data_prep.readers.images.opening import read_header
from data_prep.readers.images.rules import ImageRules
from data_prep.source import collect_notes
from spectral_ssl.ground.errors import ObjectError

BLACK, GREY = ImageRules("black"), ImageRules("grey")


def _png(path: Path, rows: list[bytes], width: int, depth: int, colour: int, **chunks: bytes) -> Path:
    """Write a PNG file by hand, because Pillow does not write all kinds."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, len(rows), depth, colour, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    extra = b"".join(chunk(name.encode(), data) for name, data in chunks.items())
    signature = b"\x89PNG\r\n\x1a\n"
    path.write_bytes(signature + chunk(b"IHDR", head) + extra + chunk(b"IDAT", pixels) + chunk(b"IEND", b""))
    return path


def _read(path: Path, rules: ImageRules | None = None) -> Any:
    """Read an image and check that its header announces the same shape."""
    image = read_image(path, rules or ImageRules())
    assert read_header(path).shape == image.shape
    return image


ALPHAS = {
    # half of the image is opaque, a quarter half transparent, a quarter fully transparent
    "RGBA": ([(200, 100, 0, 255), (200, 100, 0, 128), (200, 100, 0, 0), (200, 100, 0, 255)], (200, 100, 0)),
    "LA": ([(200, 255), (200, 128), (200, 0), (200, 255)], (200,)),
    "La": ([(200, 255), (100, 128), (0, 0), (200, 255)], (200,)),
    "RGBa": ([(200, 100, 0, 255), (100, 50, 0, 128), (0, 0, 0, 0), (200, 100, 0, 255)], (200, 100, 0)),
}


@pytest.mark.parametrize("rules", [ImageRules(), GREY, BLACK], ids=lambda rules: rules.ground)
@pytest.mark.parametrize("mode", ["RGBA", "LA", "La", "RGBa"])
@pytest.mark.parametrize("ending", [".png", ".tif", ".webp"])
def test_alpha_lies_on_the_ground(tmp_path: Path, mode: str, ending: str, rules: ImageRules) -> None:
    if (ending != ".tif" and mode.endswith("a")) or (ending == ".webp" and mode == "LA"):
        return  # These files do not exist.
    pixels, colour = ALPHAS[mode]
    image = Pillow.new(mode.replace("RGBa", "RGBA").replace("La", "LA"), (4, 1))
    if mode.endswith("a"):
        path = _premultiplied(tmp_path / f"a{ending}", pixels)
    else:
        image.putdata(pixels)
        path = tmp_path / f"a{ending}"
        image.save(path, **({"lossless": True, "exact": True} if ending == ".webp" else {}))
    level = {"white": 255, "grey": 128, "black": 0}[rules.ground]
    with collect_notes() as notes:
        result = _read(path, rules)
    assert notes == [f"transparent parts become {rules.ground}"]
    assert result.shape == (len(colour), 1, 4)
    half = [(value * 128 + level * 127) / 255 for value in colour]
    expected = np.array([colour, half, [level] * len(colour), colour]).T[:, None]
    np.testing.assert_allclose(result, expected, atol=1.01 if mode.endswith("a") else 0.51)


def _premultiplied(path: Path, pixels: list[tuple[int, ...]]) -> Path:
    """Write a TIFF file whose colours are multiplied by alpha already: the tag 338 is 1."""
    _tiff(path, np.array([pixels], np.uint8), "<", {338: (1,)}, photometric=1 if len(pixels[0]) == 2 else 2)
    return path


def test_opaque_alpha_changes_nothing(tmp_path: Path) -> None:
    colours = np.random.default_rng(0).integers(0, 256, (5, 7, 4), np.uint8)
    colours[..., 3] = 255
    Pillow.fromarray(colours).save(tmp_path / "a.png")
    with collect_notes() as notes:
        np.testing.assert_array_equal(_read(tmp_path / "a.png"), colours[..., :3].transpose(2, 0, 1))
    assert notes == []


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("transparent", [0, 1])
def test_one_transparent_grey_value(tmp_path: Path, depth: int, transparent: int) -> None:
    most = 2**depth - 1
    samples = [0, most, *(most // 3 * step for step in (1, 2, 1, 0, 3, 2))]
    bits = "".join(f"{value:0{depth}b}" for value in samples)
    row = int(bits, 2).to_bytes(len(bits) // 8, "big")
    value = samples[2] if transparent else most
    levels = [round(255 * sample / most) if sample != value else 128 for sample in samples]
    path = _png(tmp_path / "a.png", [row], 8, depth, 0, tRNS=struct.pack(">H", value))
    np.testing.assert_array_equal(_read(path, GREY)[0, 0], levels)


@pytest.mark.parametrize("depth", [8, 16])
def test_one_transparent_colour(tmp_path: Path, depth: int) -> None:
    scale = 257 if depth == 16 else 1
    colours = [(10, 20, 30), (40, 50, 60), (10, 20, 31)]
    letter = "H" if depth == 16 else "B"
    row = b"".join(struct.pack(f">3{letter}", *(scale * value for value in colour)) for colour in colours)
    transparent = struct.pack(">3H", *(scale * value for value in colours[0]))
    result = _read(_png(tmp_path / "a.png", [row], 3, depth, 2, tRNS=transparent))
    np.testing.assert_array_equal(result[:, 0].T, [(255, 255, 255), (40, 50, 60), (10, 20, 31)])


@pytest.mark.parametrize("alphas", [b"\0\xff\xff", b"\x80", b"\xff\0"])
def test_palettes_with_transparency(tmp_path: Path, alphas: bytes) -> None:
    palette = bytes((200, 0, 0, 0, 200, 0, 0, 0, 200))
    path = _png(tmp_path / "a.png", [bytes((0, 1, 2))], 3, 8, 3, PLTE=palette, tRNS=alphas)
    weights = [*alphas, 255, 255, 255][:3]
    expected = [
        [(value * weight + 255 * (255 - weight)) / 255 for value in palette[3 * at : 3 * at + 3]]
        for at, weight in enumerate(weights)
    ]
    np.testing.assert_allclose(_read(path)[:, 0].T, expected, atol=0.51)


def test_a_transparent_gif(tmp_path: Path) -> None:
    image = Pillow.new("P", (3, 1))
    image.putpalette([200, 0, 0, 0, 200, 0, 0, 0, 200])
    image.putdata([0, 1, 2])
    image.save(tmp_path / "a.gif", transparency=1)
    expected = [(200, 0, 0), (0, 0, 0), (0, 0, 200)]
    np.testing.assert_array_equal(_read(tmp_path / "a.gif", BLACK)[:, 0].T, expected)


def test_grey_with_alpha_of_sixteen_bits(tmp_path: Path) -> None:
    row = struct.pack(">6H", 0x8000, 0xFFFF, 0x4000, 0, 0x1000, 0xFFFF)
    result = _read(_png(tmp_path / "a.png", [row], 3, 16, 4))
    np.testing.assert_array_equal(result, [[[0x80, 255, 0x10]]])


def test_nothing_to_see_is_refused(tmp_path: Path) -> None:
    icon = np.full((6, 6, 4), 255, np.uint8)
    icon[0, :, 3] = 0
    Pillow.fromarray(icon).save(tmp_path / "icon.png")
    with pytest.raises(ObjectError, match="nothing is visible on a white ground: prep --ground chooses another"):
        read_image(tmp_path / "icon.png")
    assert read_image(tmp_path / "icon.png", BLACK).any()
    icon[..., 3] = 0
    Pillow.fromarray(icon).save(tmp_path / "icon.png")
    with pytest.raises(ObjectError, match="fully transparent"):
        read_image(tmp_path / "icon.png", BLACK)


# Deep images: what is saved, the mode and ending of the file, and the levels that are right.
RAMP = np.array([[0, 1, 127, 128, 129, 4095, 32768, 65407, 65535]], np.uint16)
LEVELS = np.round(RAMP / 257.0).astype(int)


@pytest.mark.parametrize("ending", [".png", ".tif", ".pgm", ".jp2"])
def test_sixteen_bits_have_one_scale(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    ramp = np.tile(RAMP, (8, 1))  # JPEG 2000 needs a few rows.
    if ending == ".pgm":
        path.write_bytes(b"P5 9 8 65535\n" + ramp.astype(">u2").tobytes())
    else:
        Pillow.fromarray(ramp).save(path)
    header = read_header(path)
    assert header.is_deep
    result = _read(path)
    assert (result == LEVELS).all()


def test_sixteen_bits_of_both_byte_orders(tmp_path: Path) -> None:
    for order in "<>":
        path = tmp_path / f"{'big' if order == '>' else 'little'}.tif"
        _tiff(path, RAMP.astype(f"{order}u2"), order)
        assert (_read(path) == LEVELS).all()
    # In a file with the photometric interpretation 0 zero is white.
    _tiff(tmp_path / "inverse.tif", RAMP.astype("<u2"), "<", photometric=0)
    assert (_read(tmp_path / "inverse.tif") == 255 - LEVELS).all()


def _tiff(
    path: Path, pixels: Any, order: str, tags: dict[int, tuple[int, ...]] | None = None, photometric: int = 1
) -> None:
    """Write an uncompressed TIFF file (H, W) or (H, W, samples) by hand, because Pillow does not write all kinds."""
    height, width, *samples = pixels.shape
    count = samples[0] if samples else 1
    data = pixels.tobytes()
    data += bytes(len(data) % 2)
    entries = {256: (width,), 257: (height,), 258: (8 * pixels.itemsize,) * count, 259: (1,), 262: (photometric,)}
    entries |= {273: (8,), 277: (count,), 278: (height,), 279: (len(data),)} | (tags or {})
    directory = struct.pack(f"{order}H", len(entries))
    for tag, values in sorted(entries.items()):
        packed = struct.pack(f"{order}{len(values)}H", *values)
        if len(packed) > 4:
            packed, data = struct.pack(f"{order}I", 8 + len(data)), data + packed
        directory += struct.pack(f"{order}HHI", tag, 3, len(values)) + packed.ljust(4, b"\0")
    mark = b"II*\0" if order == "<" else b"MM\0*"
    path.write_bytes(mark + struct.pack(f"{order}I", 8 + len(data)) + data + directory + bytes(4))


def test_full_scale_of_a_camera_with_twelve_bits(tmp_path: Path) -> None:
    values = np.array([[0, 2048, 4095]], np.uint16)
    Pillow.fromarray(values).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png").max() == 16
    np.testing.assert_array_equal(read_image(tmp_path / "a.png", ImageRules(full_scale=4095)), [[[0, 128, 255]]])
    with pytest.raises(ObjectError, match="values from 0 to 4095, and 1000 is white: prep --full-scale sets"):
        read_image(tmp_path / "a.png", ImageRules(full_scale=1000))
    # A TIFF file states that it has twelve bits.
    packed = np.frombuffer(bytes((0x00, 0x08, 0x00, 0xFF, 0xF0, 0x00)), np.uint8)[None]
    _tiff(tmp_path / "packed.tif", packed, "<", {258: (12,), 256: (4,)})
    np.testing.assert_array_equal(read_image(tmp_path / "packed.tif"), [[[0, 128, 255, 0]]])


def test_floats(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"

    def save(*values: float) -> Path:
        Pillow.fromarray(np.array([values], np.float32)).save(path)
        return path

    np.testing.assert_array_equal(_read(save(0, 0.25, 0.5, 1)), [[[0, 64, 128, 255]]])
    np.testing.assert_array_equal(read_image(save(0, 1 + 1e-7)), [[[0, 255]]])
    with pytest.raises(ObjectError, match="values from 0 to 255, and 1 is white: prep --full-scale sets"):
        read_image(save(0, 255))
    np.testing.assert_array_equal(read_image(path, ImageRules(full_scale=255)), [[[0, 255]]])
    for values, reason in (((-0.5, 1), "from -0.5 to 1: shift them"), ((0, np.nan), "not finite")):
        with pytest.raises(ObjectError, match=reason):
            read_image(save(*values))
    (tmp_path / "a.pfm").write_bytes(b"Pf\n2 1\n-1.0\n" + np.array([0, 1], "<f4").tobytes())
    np.testing.assert_array_equal(_read(tmp_path / "a.pfm"), [[[0, 255]]])


def test_thirty_two_bits_need_a_full_scale(tmp_path: Path) -> None:
    Pillow.fromarray(np.array([[0, 500, 1000]], np.int32)).save(tmp_path / "a.tif")
    with pytest.raises(ObjectError, match="32-bit values from 0 to 1000: prep --full-scale sets"):
        read_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif", ImageRules(full_scale=1000)), [[[0, 128, 255]]])


def test_signed_sixteen_bits_need_a_full_scale(tmp_path: Path) -> None:
    _tiff(tmp_path / "a.tif", np.array([[0, 500, 1000]], np.int16), "<", {339: (2,)})
    with pytest.raises(ObjectError, match="signed 16-bit values from 0 to 1000: prep --full-scale sets"):
        read_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif", ImageRules(full_scale=1000)), [[[0, 128, 255]]])


def test_signed_bytes_are_refused(tmp_path: Path) -> None:
    _tiff(tmp_path / "a.tif", np.array([[0, 255]], np.uint8), "<", {339: (2,)})
    with pytest.raises(ObjectError, match="signed 8-bit values"):
        read_image(tmp_path / "a.tif")


COLOURS = np.array([(200, 60, 50), (60, 180, 40), (50, 60, 200), (255, 255, 255), (0, 0, 0)], np.uint8)


@pytest.mark.parametrize(
    ("mode", "ending", "tolerance"),
    [
        ("CMYK", ".tif", 0),
        ("CMYK", ".jpg", 2),  # Pillow writes the inverted values of Adobe, as all programs do.
        ("YCbCr", ".tif", 4),
        ("LAB", ".tif", 8),
        ("P", ".png", 0),
        ("P", ".gif", 0),
        ("RGB", ".ppm", 0),
        ("RGB", ".tga", 0),
        ("RGB", ".jp2", 0),
        ("RGB", ".bmp", 0),
    ],
)
def test_colours(tmp_path: Path, mode: str, ending: str, tolerance: int) -> None:
    image = Pillow.fromarray(COLOURS[None].repeat(16, axis=0).repeat(16, axis=1))
    if mode == "LAB":
        profiles = (ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"))
        image = ImageCms.profileToProfile(image, *profiles, outputMode="LAB")
    else:
        image = image.convert(mode, palette=Pillow.Palette.ADAPTIVE)
    image.save(tmp_path / f"a{ending}", **({"quality": 100, "subsampling": 0} if ending == ".jpg" else {}))
    result = _read(tmp_path / f"a{ending}")
    np.testing.assert_allclose(result[:, 8, 8::16].T, COLOURS, atol=tolerance)


def test_one_bit_and_white_as_zero(tmp_path: Path) -> None:
    bits = np.array([[True, False, True]])
    Pillow.fromarray(bits).save(tmp_path / "a.png")
    np.testing.assert_array_equal(_read(tmp_path / "a.png"), [[[255, 0, 255]]])
    Pillow.fromarray(bits).save(tmp_path / "a.pbm")
    np.testing.assert_array_equal(_read(tmp_path / "a.pbm"), [[[255, 0, 255]]])
    _tiff(tmp_path / "a.tif", np.array([[0, 55, 255]], np.uint8), "<", photometric=0)
    np.testing.assert_array_equal(_read(tmp_path / "a.tif"), [[[255, 200, 0]]])


def _cmyk_profile() -> bytes:
    """Build a profile whose lightness L* is 100 for white paper and 50 for full cyan, and 0 for any other ink."""
    identity = bytes(range(256))
    matrix = struct.pack(">9i", *(65536 if at % 4 == 0 else 0 for at in range(9)))
    lightness = [128 if corner == 8 else 255 if corner == 0 else 0 for corner in range(16)]
    grid = b"".join(bytes((value, 128, 128)) for value in lightness)
    table = b"mft1" + bytes(4) + bytes((4, 3, 2, 0)) + matrix + 4 * identity + grid + 3 * identity
    tags = struct.pack(">I4sII", 1, b"A2B0", 144, len(table))
    white = struct.pack(">3i", 63190, 65536, 54061)  # D50
    head = struct.pack(">I4sI4s4s4s", 144 + len(table), b"none", 0x02400000, b"prtr", b"CMYK", b"Lab ")
    head += bytes(12) + b"acsp" + bytes(28) + white + bytes(48)
    return head[:128] + tags + table


def test_the_profile_of_cmyk_is_used(tmp_path: Path) -> None:
    image = Pillow.new("CMYK", (4, 4), (255, 0, 0, 0))
    image.save(tmp_path / "plain.tif")
    np.testing.assert_array_equal(read_image(tmp_path / "plain.tif")[:, 0, 0], [0, 255, 255])
    # By this profile cyan ink alone is a middle grey, L* = 50, which is 119 in sRGB.
    for name in ("profile.tif", "profile.jpg"):
        image.save(tmp_path / name, icc_profile=_cmyk_profile())
        np.testing.assert_allclose(read_image(tmp_path / name)[:, 0, 0], 119, atol=2)
    image.save(tmp_path / "damaged.tif", icc_profile=b"no profile")
    with pytest.raises(ObjectError, match="CMYK image whose colour profile cannot be used"):
        read_image(tmp_path / "damaged.tif")
