"""Compressed glTF files: decoded where the packages are installed, refused by name where they are not."""

import builtins
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gltf_files import GltfWriter
from random_meshes import make_random_mesh

from data_prep.readers.meshes.gltf.decoders import decode_draco
from data_prep.readers.meshes.gltf.scene import parse_gltf
from spectral_ssl.ground.errors import ObjectError

NOWHERE = Path("/nonexistent")
MESH = make_random_mesh(5, largest=3)
FACES = np.array(MESH.polygons)
TRIANGLES = np.sort(MESH.points[FACES].reshape(-1, 9), axis=0)


def _encode_draco(**options: Any) -> bytes:
    encoder = pytest.importorskip("DracoPy")
    return bytes(encoder.encode(MESH.points, FACES.astype(np.uint32), quantization_bits=24, **options))


def _draco_file(packed: bytes, *, has_copy: bool = False, **counts: int) -> GltfWriter:
    """A file with one mesh that is compressed by Draco, with or without a plain copy."""
    writer = GltfWriter()
    if has_copy:
        position, indices = writer.add_array(MESH.points, "f4"), writer.add_array(FACES.ravel(), "u2")
    else:
        position = writer.add_accessor(counts.get("vertices", len(MESH.points)), "f4", 3)
        indices = writer.add_accessor(counts.get("corners", FACES.size), "u2", 1)
    extension = {"bufferView": writer.add_view(packed), "attributes": {"POSITION": 0}}
    writer.add_mesh(
        {
            "attributes": {"POSITION": position},
            "indices": indices,
            "extensions": {"KHR_draco_mesh_compression": extension},
        }
    )
    writer.tree["extensionsUsed"] = ["KHR_draco_mesh_compression"]
    if not has_copy:
        writer.tree["extensionsRequired"] = ["KHR_draco_mesh_compression"]
    return writer


def _check_triangles(points: np.ndarray, faces: np.ndarray | None, atol: float) -> None:
    """Compare the triangles, whose order and corners the encoder may rotate."""
    assert faces is not None
    result, expected = points[faces], MESH.points[FACES]
    assert len(result) == len(expected)
    for triangle in expected:
        rotations = np.stack([np.roll(result, shift, axis=1) for shift in range(3)])
        assert np.abs(rotations - triangle).max(axis=(2, 3)).min() < atol


@pytest.mark.parametrize(
    "options", [{}, {"preserve_order": True}, {"compression_level": 10}, {"create_metadata": True}]
)
def test_draco(options: dict[str, Any]) -> None:
    packed = _encode_draco(**options)
    shape = parse_gltf(_draco_file(packed).glb(), NOWHERE)
    _check_triangles(shape.points, shape.faces, 1e-4)
    strip = _draco_file(packed, corners=len(FACES) + 2)
    strip.tree["meshes"][0]["primitives"][0]["mode"] = 5  # The file announces a strip; Draco stores triangles.
    shape = parse_gltf(strip.glb(), NOWHERE)
    _check_triangles(shape.points, shape.faces, 1e-4)


def test_draco_with_names_of_attributes() -> None:
    """Metadata stand before the counts in the header."""
    packed = _encode_draco(generic_attributes={"a name": np.ones((len(MESH.points), 2), np.float32)})
    attributes = pytest.importorskip("DracoPy").decode(packed).attributes
    (number,) = (part["unique_id"] for part in attributes if part["attribute_type"] == 0)
    writer = _draco_file(packed)
    extensions = writer.tree["meshes"][0]["primitives"][0]["extensions"]
    extensions["KHR_draco_mesh_compression"]["attributes"]["POSITION"] = number
    shape = parse_gltf(writer.glb(), NOWHERE)
    _check_triangles(shape.points, shape.faces, 1e-4)


@pytest.mark.parametrize("options", [{}, {"preserve_order": True}])
def test_a_draco_mesh_larger_than_announced_is_not_decoded(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = _encode_draco(**options)
    monkeypatch.setattr("DracoPy.decode", lambda data: pytest.fail("was decoded"))
    for counts in ({"vertices": 10}, {"corners": 3 * len(FACES) - 3}):
        with pytest.raises(ObjectError, match=rf"{len(FACES)} triangles, the file announces"):
            parse_gltf(_draco_file(packed, **counts).glb(), NOWHERE)


def test_damaged_draco_meshes_are_refused() -> None:
    """Damaged meshes end in an ObjectError or in some mesh, never in a crash of the process."""
    draw = np.random.default_rng(0)
    reasons: list[str] = []
    for options in ({}, {"preserve_order": True}):
        packed = np.frombuffer(_encode_draco(**options), np.uint8)
        for _ in range(150):
            changed = packed.copy()
            changed[draw.integers(11, len(packed), 2)] = draw.integers(0, 256, 2)
            try:
                decode_draco(changed.tobytes(), len(MESH.points), FACES.size)
            except ObjectError as error:
                reasons.append(str(error))
        with pytest.raises(ObjectError, match="unreadable Draco mesh"):
            decode_draco(packed.tobytes()[: len(packed) // 2], len(MESH.points), FACES.size)
        with pytest.raises(ObjectError, match=r"version 1\.3: glTF uses version 2.2"):
            decode_draco(b"DRACO\1\3" + packed.tobytes()[7:], len(MESH.points), FACES.size)
    assert all("Draco" in reason for reason in reasons)
    assert 10 < len(reasons) < 290
    with pytest.raises(ObjectError, match="truncated header"):
        decode_draco(b"DRACO\2\2\1\1\0\0\0\x80\x80", 1, 3)
    with pytest.raises(ObjectError, match="more than 8 levels"):
        decode_draco(b"DRACO\2\2\1\1\0\x80\0" + b"\0\1\0" * 20, 1, 3)
    with pytest.raises(ObjectError, match="does not begin as one"):
        decode_draco(bytes(20), 1, 3)


def _meshopt_file(*, has_copy: bool = False, kind: str = "plain") -> GltfWriter:
    """A file whose positions and indices are compressed by meshopt."""
    package = pytest.importorskip("meshoptimizer")
    writer = GltfWriter()
    count, stride = len(MESH.points), 12
    options: dict[str, Any] = {}
    if kind == "exponential":  # mantissa of 24 bits, exponent of 8 bits
        values = ((np.round(MESH.points * 64).astype(np.int64) & 0xFFFFFF) | (250 << 24)).astype("<u4")
        options["filter"] = "EXPONENTIAL"
    elif kind == "integers":
        values, stride = np.zeros((count, 4), "<i2"), 8
        values[:, :3] = np.round(MESH.points * 64)
    else:
        values = MESH.points.astype("<f4")
    packed = [package.encode_vertex_buffer(np.ascontiguousarray(values), count, stride)]
    if kind == "sequence":
        packed.append(package.encode_index_sequence(FACES.ravel().astype(np.uint32), FACES.size, count))
    else:
        packed.append(package.encode_index_buffer(FACES.ravel().astype(np.uint32), FACES.size, count))
    plain = [values.tobytes(), FACES.astype("<u2").tobytes()]
    modes = ["ATTRIBUTES", "INDICES" if kind == "sequence" else "TRIANGLES"]
    places = [writer.add_view(bytes(part)) for part in packed]
    for place, copy, mode, size in zip(places, plain, modes, (stride, 2), strict=True):
        entry = {**writer.tree["bufferViews"][place], "mode": mode, "byteStride": size, "count": len(copy) // size}
        stand_in = (
            {**writer.tree["bufferViews"][writer.add_view(copy)]}
            if has_copy
            else {"buffer": 1, "byteOffset": 0, "byteLength": len(copy)}
        )
        entry.update(options if mode == "ATTRIBUTES" else {})
        if size > 2:
            stand_in["byteStride"] = size
        writer.tree["bufferViews"][place] = {**stand_in, "extensions": {"EXT_meshopt_compression": entry}}
    code = {"integers": "i2"}.get(kind, "f4")
    position = writer.add_accessor(count, code, 3, bufferView=places[0])
    indices = writer.add_accessor(FACES.size, "u2", 1, bufferView=places[1])
    scale = {"scale": [1 / 64] * 3} if kind == "integers" else {}
    writer.add_mesh({"attributes": {"POSITION": position}, "indices": indices}, **scale)
    writer.tree["buffers"] = [{"byteLength": len(writer.binary)}]
    writer.tree["extensionsUsed"] = ["EXT_meshopt_compression"]
    if not has_copy:
        writer.tree["buffers"].append(
            {"byteLength": 10**6, "extensions": {"EXT_meshopt_compression": {"fallback": True}}}
        )
        writer.tree["extensionsRequired"] = ["EXT_meshopt_compression"]
    return writer


@pytest.mark.parametrize("kind", ["plain", "integers", "exponential", "sequence"])
def test_meshopt(kind: str) -> None:
    shape = parse_gltf(_meshopt_file(kind=kind).glb(), NOWHERE)
    _check_triangles(shape.points, shape.faces, 1e-12)


def test_quaternions_of_instances_are_filtered() -> None:
    """The filter stores three components of a quaternion and the place of the largest one."""
    package = pytest.importorskip("meshoptimizer")
    writer = GltfWriter()
    stored = np.array([[0, 0, 0, 32767 & ~3 | 3], [0, 0, 32767, 32767 & ~3 | 3]], "<i2")  # identity, z by a right angle
    packed = package.encode_vertex_buffer(stored, 2, 8)
    view = writer.add_view(bytes(packed))
    entry = {
        **writer.tree["bufferViews"][view],
        "mode": "ATTRIBUTES",
        "filter": "QUATERNION",
        "byteStride": 8,
        "count": 2,
    }
    writer.tree["bufferViews"][view]["extensions"] = {"KHR_meshopt_compression": entry}
    rotation = writer.add_accessor(2, "i2", 4, bufferView=view, normalized=True)
    position, indices = writer.add_array([[0, 0, 0], [1, 0, 0], [0, 2, 0]], "f4"), writer.add_array([0, 1, 2], "u2")
    instances = {"EXT_mesh_gpu_instancing": {"attributes": {"ROTATION": rotation}}}
    writer.add_mesh({"attributes": {"POSITION": position}, "indices": indices}, extensions=instances)
    expected = [[0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, 0], [0, 1, 0], [-2, 0, 0]]
    np.testing.assert_allclose(parse_gltf(writer.glb(), NOWHERE).points, expected, atol=2e-4)


def test_damaged_meshopt_buffers_are_refused() -> None:
    draw = np.random.default_rng(0)
    reasons: list[str] = []
    for _ in range(100):
        writer = _meshopt_file()
        changed = bytearray(writer.binary)
        changed[int(draw.integers(0, len(changed)))] ^= 1 << int(draw.integers(0, 8))
        writer.binary = bytes(changed)
        try:
            parse_gltf(writer.glb(), NOWHERE)
        except ObjectError as error:
            reasons.append(str(error))
    assert reasons
    assert all("meshopt" in reason or "vertex" in reason for reason in reasons)
    for change in ({"mode": "ELSE"}, {"byteStride": 7}, {"filter": "ELSE"}, {"filter": "OCTAHEDRAL"}, {"count": 9}):
        writer = _meshopt_file()
        writer.tree["bufferViews"][0]["extensions"]["EXT_meshopt_compression"].update(change)
        with pytest.raises(ObjectError, match=r"meshopt|truncated"):
            parse_gltf(writer.glb(), NOWHERE)


def _hide(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    """Make a package look as if it were not installed."""
    original = builtins.__import__

    def load(name: str, *more: Any) -> Any:
        if name == package:
            raise ImportError(name)
        return original(name, *more)

    monkeypatch.delitem(sys.modules, package, raising=False)
    monkeypatch.setattr(builtins, "__import__", load)


def test_missing_decoders_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a decoder the plain copy of a file is read; without a copy the message says what to install."""
    packed = _encode_draco()
    files = [_draco_file(packed), _meshopt_file()]
    copies = [_draco_file(packed, has_copy=True), _meshopt_file(has_copy=True)]
    _hide(monkeypatch, "DracoPy")
    with pytest.raises(ObjectError, match=r"compressed by Draco.*pip install 'spectral-ssl\[draco\]'"):
        parse_gltf(files[0].glb(), NOWHERE)
    _hide(monkeypatch, "meshoptimizer")
    with pytest.raises(ObjectError, match=r"compressed by meshopt.*pip install 'spectral-ssl\[meshopt\]'"):
        parse_gltf(files[1].glb(), NOWHERE)
    for writer in copies:
        shape = parse_gltf(writer.glb(), NOWHERE)
        np.testing.assert_array_equal(shape.points, MESH.points)
        np.testing.assert_array_equal(shape.faces, FACES)
