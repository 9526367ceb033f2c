"""Meshes, clouds and images that announce far more than they hold, or name other files, are refused before reading."""

import io
import json
import os
import struct
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

import spectral_ssl
from data_prep.readers import limits
from data_prep.readers.image import read_image
from data_prep.readers.shape import read_shape
from spectral_ssl.ground.errors import ObjectError

pytestmark = pytest.mark.usefixtures("little_memory")

TRIANGLE = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], "<f4").tobytes() + np.arange(3, dtype="<u4").tobytes()
VERTICES = {"bufferView": 0, "componentType": 5126, "count": 3, "type": "VEC3"}
CORNERS = {"bufferView": 1, "componentType": 5125, "count": 3, "type": "SCALAR"}
NOWHERE = {"componentType": 5126, "count": 10**7, "type": "MAT4"}
PRIMITIVE = {"attributes": {"POSITION": 0}, "indices": 1}
VIEWS = [{"buffer": 0, "byteOffset": 0, "byteLength": 36}, {"buffer": 0, "byteOffset": 36, "byteLength": 12}]
TREE: dict[str, Any] = {
    "asset": {"version": "2.0"},
    "scene": 0,
    "scenes": [{"nodes": [0]}],
    "nodes": [{"mesh": 0}],
    "meshes": [{"primitives": [PRIMITIVE]}],
    "accessors": [VERTICES, CORNERS],
    "bufferViews": VIEWS,
    "buffers": [{"byteLength": 48}],
}


def _glb(binary: bytes = TRIANGLE, **changed: Any) -> bytes:
    return _glb_of(json.dumps({**TREE, **changed}).encode(), binary)


def _glb_of(text: bytes, binary: bytes) -> bytes:
    text += b" " * (-len(text) % 4)
    binary += bytes(-len(binary) % 4)
    parts = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(binary), b"BIN\0") + binary
    return b"glTF" + struct.pack("<II", 2, 12 + len(parts)) + parts


def _large(count: int) -> list[dict[str, Any]]:
    return [{**VERTICES, "count": count}, {**CORNERS, "count": 3 * count}]


def _ply(header: str, body: bytes, kind: str = "binary_little_endian") -> bytes:
    return f"ply\nformat {kind} 1.0\n{header}\nend_header\n".encode() + body


POINT = "property float x\nproperty float y\nproperty float z"
FACE = "property list uchar int vertex_indices"
CORNER_TEXT = b"0 0 0\n1 0 0\n0 1 0\n"

MESHES = {
    "vertices.glb": (_glb(accessors=_large(10**9)), "announced"),
    "nowhere.glb": (_glb(accessors=[{**NOWHERE, "type": "VEC3"}, CORNERS]), "in no buffer"),
    "zeros.glb": (_glb(accessors=[VERTICES, CORNERS, *[NOWHERE] * 5000]), "announced"),
    "negative.glb": (_glb(accessors=_large(-(10**12))), "announced"),
    "copies.glb": (
        _glb(nodes=[{"mesh": 0}] * 20_000, scenes=[{"nodes": list(range(20_000))}], accessors=_large(5000)),
        "more than 67108864",
    ),
    "parts.glb": (
        _glb(meshes=[{"primitives": [PRIMITIVE] * 20_000}], accessors=_large(5000)),
        "more than 67108864",
    ),
    "chain.glb": (_glb(nodes=[{"children": [row + 1]} for row in range(50_000)]), "too many"),
    "deep.glb": (_glb_of(b"[" * 2_000_000, TRIANGLE), "unreadable"),
    "file.glb": (_glb(buffers=[{"byteLength": 48, "uri": "file:///etc/passwd"}]), "unreadable"),
    "net.glb": (_glb(buffers=[{"byteLength": 48, "uri": "http://127.0.0.1:9/x"}]), "unreadable"),
    "binary.ply": (_ply(f"element vertex 1000000000\n{POINT}\nelement face 10\n{FACE}", bytes(100)), "truncated"),
    "text.ply": (_ply(f"element vertex 1000000000\n{POINT}", b"0 0 0\n", "ascii"), "truncated"),
    "other.ply": (_ply(f"element vertex 3\n{POINT}\nelement x 4000000000\nproperty double a", TRIANGLE), "truncated"),
    "list.ply": (
        _ply(
            f"element vertex 3\n{POINT}\nelement face 1\nproperty list uint int vertex_indices",
            TRIANGLE[:36] + b"\xff\xff\xff\x7f" + TRIANGLE[36:],
        ),
        "truncated",
    ),
    "endless.ply": (b"ply\n" + b"comment\n" * 10_000, "header has no end"),
    "many.stl": (bytes(80) + struct.pack("<I", 4_000_000_000) + bytes(50), "truncated: 4000000000 triangles"),
    "many.off": (b"OFF\n1000000000 1000000000 0\n" + CORNER_TEXT, "truncated"),
    "index.off": (b"OFF\n3 1 0\n" + CORNER_TEXT + b"3 0 1 4294967295\n", "face names vertex 4294967295"),
    "corners.off": (b"OFF\n3 1 0\n" + CORNER_TEXT + b"2000000000 0 1 2\n", "a face of 2000000000 corners"),
    "nan.off": (b"OFF\n3 1 0\n0 0 nan\n1 0 0\n0 1 0\n3 0 1 2\n", "not finite"),
    "index.obj": (b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 999999999999\n", "line 4: a face names vertex 999999999999 of 3"),
    "nan.obj": (b"v 0 0 nan\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", "not finite"),
    "infinite.stl": (
        bytes(80) + b"\1\0\0\0" + np.array([0, 0, 0, 0, 0, np.inf, 1, 0, 0, 0, 1, 0], "<f4").tobytes() + b"\0\0",
        "not finite",
    ),
    "bomb.npy": (
        b"\x93NUMPY\x01\x00\x76\x00"
        + b"{'descr': '<f8', 'fortran_order': False, 'shape': (10000000000000, 3)}".ljust(118),
        "not a readable .npy",
    ),
    "later.npy": (
        b"\x93NUMPY\x03\x00\x76\x00\x00\x00"
        + b"{'descr': '<f8', 'fortran_order': False, 'shape': (10000000000000, 3)}".ljust(118),
        "not a readable .npy",
    ),
    "deep.npy": (
        b"\x93NUMPY\x01\x00\xf0\x7f" + (b"{'descr': '<f8', 'shape': " + b"(" * 9000).ljust(0x7FF0),
        "not a readable .npy",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MESHES)
def test_hostile_meshes_and_clouds(name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    content, reason = MESHES[name]
    (tmp_path / name).write_bytes(content)
    started = time.monotonic()
    with pytest.raises(ObjectError, match=reason):
        read_shape(tmp_path / name)
    assert time.monotonic() - started < 60  # not for ever
    assert not capfd.readouterr().err


def test_the_original_triangle_of_these_files_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.glb").write_bytes(_glb())
    shape = read_shape(tmp_path / "a.glb")
    assert shape.points.tolist() == [[0, 0, 0], [1, 0, 0], [0, 1, 0]]
    assert shape.faces is not None
    assert shape.faces.tolist() == [[0, 1, 2]]


def test_a_hundred_thousand_groups_take_no_time(tmp_path: Path) -> None:
    groups = b"".join(b"usemtl m%d\no x%d\nf 1 2 3\n" % (row, row) for row in range(100_000))
    (tmp_path / "a.obj").write_bytes(b"mtllib /etc/passwd\nv 0 0 0\nv 1 0 0\nv 0 1 0\n" + groups)
    shape = read_shape(tmp_path / "a.obj")
    assert shape.faces is not None
    assert len(shape.faces) == 100_000


def test_one_buffer_named_many_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixty names of one file are one file in memory; two files count as two."""
    for name in ("a.bin", "b.bin"):
        (tmp_path / name).write_bytes(TRIANGLE)
    tree = {
        **TREE,
        "accessors": [{**VERTICES, "bufferView": view} for view in range(60)] + [{**CORNERS, "bufferView": 60}],
        "bufferViews": [{"buffer": view, "byteLength": 36} for view in range(60)] + [VIEWS[1]],
        "meshes": [{"primitives": [{"attributes": {"POSITION": view}, "indices": 60} for view in range(60)]}],
        "buffers": [{"byteLength": 48, "uri": "a.bin"}] * 60,
    }
    (tmp_path / "a.gltf").write_text(json.dumps(tree))
    (tmp_path / "b.gltf").write_text(json.dumps({**tree, "buffers": [*tree["buffers"][1:], {"uri": "b.bin"}]}))
    monkeypatch.setattr(limits, "LARGEST_FILE", 95)
    assert len(read_shape(tmp_path / "a.gltf").points) == 180
    with pytest.raises(ObjectError, match="buffers of more than"):
        read_shape(tmp_path / "b.gltf")
    monkeypatch.setattr(limits, "MOST_BUFFERS", 59)
    with pytest.raises(ObjectError, match="60 buffers: too many"):
        read_shape(tmp_path / "a.gltf")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.obj", b"v 0 0 0\n" * 50),
        ("a.xyz", b"1 2 3 " * 50),
        ("a.off", b"OFF\n3 1 0\n" + CORNER_TEXT + b"3 0 1 2 9\n" + b"9 " * 100),
        ("a.stl", b"solid x\n" + b"facet normal 0 0 0\n" * 50),
        ("a.ply", _ply(f"element vertex 3\n{POINT}", b"0 0 0\n" * 50, "ascii")),
    ],
)
def test_texts_of_too_many_words(name: str, content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MOST_WORDS", 90)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ObjectError, match="words, more than 90"):
        read_shape(tmp_path / name)


def test_textures_are_neither_opened_nor_decoded(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    faces = b"3 0 1 2\n"
    header = f"comment TextureFile ../secret.png\nelement vertex 3\n{POINT}\nelement face 1\n{FACE}"
    (tmp_path / "a.ply").write_bytes(_ply(header, CORNER_TEXT + faces, "ascii"))
    assert len(read_shape(tmp_path / "a.ply").points) == 3
    texture = _png(60_000, 60_000)
    material = {"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}
    content = _glb(
        TRIANGLE + texture,
        images=[{"bufferView": 2, "mimeType": "image/png"}],
        textures=[{"source": 0}],
        materials=[material],
        meshes=[{"primitives": [{**PRIMITIVE, "material": 0}]}],
        bufferViews=[*VIEWS, {"buffer": 0, "byteOffset": 48, "byteLength": len(texture)}],
        buffers=[{"byteLength": 48 + len(texture)}],
    )
    (tmp_path / "a.glb").write_bytes(content)
    assert len(read_shape(tmp_path / "a.glb").points) == 3
    assert not capfd.readouterr().err


# images


def _png(width: int, height: int, *more: tuple[bytes, bytes]) -> bytes:
    def part(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = [(b"IHDR", head), *more, (b"IDAT", zlib.compress(b"x")), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(part(*each) for each in parts)


def _saved(kind: str, side: int = 16_000, **options: Any) -> bytes:
    stream = io.BytesIO()
    Pillow.new("1" if kind == "TIFF" else "L", (side, side)).save(stream, kind, **options)
    return stream.getvalue()


def _bmp(width: int, height: int) -> bytes:
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + head


IMAGES = {
    "bomb.png": (lambda: _png(16_000, 16_000), "16000x16000 pixels|decompression bomb"),
    "sides.png": (lambda: _png(2**31 - 1, 2**31 - 1), "more than|decompression bomb"),
    "wide.png": (lambda: _png(20_000, 1), "20000x1 pixels"),
    "bomb.bmp": (lambda: _bmp(16_000, 16_000), "16000x16000 pixels|decompression bomb"),
    "bomb.tif": (lambda: _saved("TIFF", compression="tiff_deflate"), "16000x16000 pixels|decompression bomb"),
    "words.png": (lambda: _png(8, 8, *[(b"zTXt", b"a\0\0" + zlib.compress(bytes(1 << 23)))] * 20), "unreadable"),
    "short.png": (lambda: _png(4000, 4000), "unreadable"),
    "empty.jpg": (lambda: b"", "an empty file"),
    # The formats do not match the names. Pillow would pass the first file to an external program.
    "script.png": (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", "cannot identify"),
    "icon.png": (lambda: b"\0\0\1\0\1\0\0\0\0\0\1\0\30\0\0\0\0\0\26\0\0\0", "cannot identify"),
}


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.filterwarnings("error")
def test_hostile_images(name: str, tmp_path: Path) -> None:
    make, reason = IMAGES[name]
    (tmp_path / name).write_bytes(make())
    with pytest.raises(ObjectError, match=reason):
        read_image(tmp_path / name)


@pytest.mark.parametrize("read", [read_image, read_shape])
def test_pipes_and_devices_are_not_opened(read: Any, tmp_path: Path) -> None:
    ending = ".png" if read is read_image else ".off"
    os.mkfifo(tmp_path / f"pipe{ending}")
    (tmp_path / f"zero{ending}").symlink_to("/dev/zero")
    (tmp_path / f"folder{ending}").mkdir()
    for name in ("pipe", "zero", "folder"):
        with pytest.raises(ObjectError):
            read(tmp_path / f"{name}{ending}")


def test_among_valid_objects_they_are_rows_of_failures(tmp_path: Path) -> None:
    folder = tmp_path / "raw"
    folder.mkdir()
    for name, (content, _) in MESHES.items():
        (folder / name).write_bytes(content)
    (folder / "far.off").write_bytes(b"OFF\n3 1 0\n0 0 0\n1e308 0 0\n0 -1e308 0\n3 0 1 2\n")
    (folder / "sound.glb").write_bytes(_glb())
    maps = spectral_ssl.prep(f"folder:{folder}", degree=4, points=64, workers=0, out=tmp_path / "a.h5")
    assert maps.ids == ("sound.glb",)
    assert {identity for identity, _ in maps.failures} == {*MESHES, "far.off"}
    assert all(reason and "\n" not in reason for _, reason in maps.failures)
