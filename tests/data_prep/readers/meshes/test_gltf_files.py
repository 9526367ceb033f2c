"""The reader of glTF files: buffers, chunks, limits, and files that are refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gltf_files import SQUARE, GltfWriter, add_square

from data_prep.readers import limits
from data_prep.readers.meshes.gltf.scene import parse_gltf
from data_prep.source import collect_notes
from spectral_ssl.ground.errors import ObjectError

NOWHERE = Path("/nonexistent")


@pytest.mark.parametrize("name", ["parts.bin", "my parts.bin", "a/b/parts%20.bin", "größe.bin", "a\\b.bin"])
def test_names_of_buffers(name: str, tmp_path: Path) -> None:
    """Names are read in percent code, as the specification says, and as they stand."""
    writer = GltfWriter()
    writer.add_mesh(add_square(writer))
    assert len(parse_gltf(writer.gltf(tmp_path, name), tmp_path).points) == 4
    tree = json.loads(writer.gltf(tmp_path, name))
    tree["buffers"][0]["uri"] = name
    assert len(parse_gltf(json.dumps(tree).encode(), tmp_path).points) == 4


def test_no_buffer_outside_the_folder_is_read(tmp_path: Path) -> None:
    writer = GltfWriter()
    writer.add_mesh(add_square(writer))
    inside = tmp_path / "inside"
    inside.mkdir()
    data = writer.gltf(tmp_path, "secret.bin")
    (inside / "link.bin").symlink_to(tmp_path / "secret.bin")
    for uri in ("../secret.bin", "%2e%2e/secret.bin", str(tmp_path / "secret.bin"), "link.bin", "missing.bin", "."):
        tree = json.loads(data)
        tree["buffers"][0]["uri"] = uri
        with pytest.raises(ObjectError, match="is not in its folder"):
            parse_gltf(json.dumps(tree).encode(), inside)
    for uri in ("http://127.0.0.1:9/a.bin", f"file://{tmp_path}/secret.bin"):
        tree["buffers"][0]["uri"] = uri
        with pytest.raises(ObjectError, match="only files of the same folder"):
            parse_gltf(json.dumps(tree).encode(), inside)


def test_a_buffer_that_is_a_pointer(tmp_path: Path) -> None:
    writer = GltfWriter()
    writer.add_mesh(add_square(writer))
    data = writer.gltf(tmp_path, "a.bin")
    (tmp_path / "a.bin").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n")
    with pytest.raises(ObjectError, match=r"'a\.bin' is a Git LFS pointer"):
        parse_gltf(data, tmp_path)


@pytest.mark.parametrize(
    "uri", ["data:,%00%00%00%00", "data:text/plain,aaaa", "data:;base64,YWFhYQ", "DATA:a/b;x=1;BASE64,YWFh%0AYQ=="]
)
def test_data_uris_of_any_kind(uri: str) -> None:
    writer = GltfWriter()
    writer.add_mesh(add_square(writer))
    tree = json.loads(writer.gltf())
    tree["buffers"].append({"uri": uri, "byteLength": 4})
    tree["bufferViews"].append({"buffer": 1, "byteLength": 4})
    tree["accessors"][tree["meshes"][0]["primitives"][0]["indices"]] = {
        "bufferView": len(tree["bufferViews"]) - 1, "componentType": 5121, "count": 3, "type": "SCALAR",
    }  # fmt: skip
    if "," in uri and "%00" in uri:
        shape = parse_gltf(json.dumps(tree).encode(), NOWHERE)
        assert shape.faces is not None
        assert shape.faces.tolist() == [[0, 0, 0]]
    else:
        with pytest.raises(ObjectError, match="names vertex 97 of 4"):
            parse_gltf(json.dumps(tree).encode(), NOWHERE)


def test_chunks_of_binary_files() -> None:
    writer = GltfWriter()
    writer.add_mesh(add_square(writer))
    assert len(parse_gltf(writer.glb(chunks=b"\4\0\0\0XTRAabcd"), NOWHERE).points) == 4
    data = writer.glb()
    for length in (len(data) - 40, len(data) + 40):
        with collect_notes() as notes:
            assert len(parse_gltf(writer.glb(length=length), NOWHERE).points) == 4
        assert notes == [f"the file announces {length} bytes and has {len(data)}: its chunks are read"]
    with collect_notes() as notes:
        parse_gltf(data + b"\n\n", NOWHERE)
    assert notes == [f"the file announces {len(data)} bytes and has {len(data) + 2}: its chunks are read"]
    with pytest.raises(ObjectError, match=r"truncated: a chunk of \d+ bytes announced"):
        parse_gltf(data[:-10], NOWHERE)
    with pytest.raises(ObjectError, match="binary glTF of version 1"):
        parse_gltf(writer.glb(version=1), NOWHERE)
    with pytest.raises(ObjectError, match="truncated before its table"):
        parse_gltf(data[:12], NOWHERE)
    with pytest.raises(ObjectError, match=r"buffers\[0\] \(binary chunk BIN\) are missing"):
        parse_gltf(data[: data.index(b"BIN\0") - 4], NOWHERE)


def _refused(change: Any, **more: Any) -> str:
    """Return the reason why a changed file is refused."""
    writer = GltfWriter()
    writer.add_mesh(add_square(writer, **more))
    change(writer.tree)
    with pytest.raises(ObjectError) as caught:
        parse_gltf(writer.glb(), NOWHERE)
    return str(caught.value)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda tree: tree.update(extensionsRequired=["ACME_cubes"]), "requires the glTF extension 'ACME_cubes'"),
        (lambda tree: tree["asset"].update(version="1.0"), "version '1.0'"),
        (lambda tree: tree["nodes"].extend([{"children": [0]}, {"children": [0]}]), "two parents"),
        (lambda tree: tree["nodes"][0].update(children=[0]), "above themselves"),
        (lambda tree: tree["nodes"][0].update(children=[7]), "names nodes"),
        (lambda tree: tree["nodes"][0].update(mesh=1), "names meshes"),
        (lambda tree: tree["nodes"][0].update(rotation=[1, 0, 0]), "rotation of 3 numbers"),
        (lambda tree: tree["scenes"][0].update(nodes=[]), "no faces: the scene shows no mesh"),
        (lambda tree: tree["accessors"][0].update(count=5000), "truncated: an array needs"),
        (lambda tree: tree["accessors"][0].update(count=-1), "count -1 announced"),
        (lambda tree: tree["accessors"][0].update(type="VEC3"), "has type VEC3, not SCALAR"),
        (lambda tree: tree["accessors"][0].update(componentType=5122), "not unsigned"),
        (lambda tree: tree["accessors"][1].update(componentType=5124), "unreadable glTF file: KeyError"),
        (lambda tree: tree["accessors"][1].pop("bufferView"), "in no buffer"),
        (lambda tree: tree["bufferViews"][1].update(byteStride=8), "elements of 12 bytes are 8 bytes apart"),
        (lambda tree: tree["bufferViews"][1].update(byteOffset=10**9), "truncated: bytes"),
        (lambda tree: tree["meshes"][0]["primitives"][0].update(mode=7), "mode 7"),
        (lambda tree: tree["meshes"][0]["primitives"][0].update(mode=1), "edges"),
        (lambda tree: tree["meshes"][0]["primitives"][0].update(extensions={"KHR_gaussian_splatting": {}}), "splat"),
        (lambda tree: tree.update(nodes={"a": 1}), "unreadable glTF file: TypeError"),
    ],
)  # fmt: skip
def test_refusals(change: Any, reason: str) -> None:
    assert reason in _refused(change)


def test_harmless_extensions_are_read() -> None:
    writer = GltfWriter()
    writer.add_mesh(add_square(writer))
    writer.tree["extensionsRequired"] = [
        "KHR_texture_transform",
        "KHR_materials_unlit",
        "EXT_texture_webp",
        "KHR_texture_basisu",
    ]
    writer.tree["extensionsUsed"] = ["ACME_cubes"]
    assert len(parse_gltf(writer.glb(), NOWHERE).points) == 4


def test_sparse_places_are_checked() -> None:
    writer = GltfWriter()
    primitive = add_square(writer)
    primitive["attributes"]["POSITION"] = writer.add_sparse(SQUARE, None)
    writer.tree["accessors"][-1]["count"] = 2
    writer.add_mesh(primitive)
    with pytest.raises(ObjectError, match="names an element beyond 2"):
        parse_gltf(writer.glb(), NOWHERE)


def test_amounts_that_a_small_file_can_announce_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Instances and sparse arrays of zeros need no bytes in the file."""
    writer = GltfWriter()
    places = writer.add_sparse(np.ones((3, 3)), None)
    extension = {"EXT_mesh_gpu_instancing": {"attributes": {"TRANSLATION": places}}}
    writer.add_mesh(add_square(writer), extensions=extension)
    assert len(parse_gltf(writer.glb(), NOWHERE).points) == 12
    for name, reason in (
        ("MOST_ZEROS", "a sparse array of 3 elements"),
        ("MOST_INSTANCES", "3 instances of a mesh"),
        ("MOST_CORNERS", "30 vertices and corners of faces"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(limits, name, {"MOST_CORNERS": 29}.get(name, 2))
            with pytest.raises(ObjectError, match=f"{reason}.*, more than"):
                parse_gltf(writer.glb(), NOWHERE)
    # Two morph targets and the positions are three arrays; with three instances 12 x 3 + 18 numbers.
    target = {"POSITION": writer.tree["meshes"][0]["primitives"][0]["attributes"]["POSITION"]}
    writer.tree["meshes"][0]["primitives"][0]["targets"] = [target, target]
    monkeypatch.setattr(limits, "MOST_CORNERS", 53)
    with pytest.raises(ObjectError, match="54 vertices and corners of faces, more than"):
        parse_gltf(writer.glb(), NOWHERE)


def test_a_table_of_contents_of_many_small_parts_is_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    for filler in (b"{},", b"[],", b"1,"):
        text = b'{"extras": [' + filler * (limits.MOST_JSON_PARTS // 2 + (filler == b"1,") * 2**21) + b"1]}"
        with pytest.raises(ObjectError, match=r"table of contents of .* parts, more than"):
            parse_gltf(text, NOWHERE)
    writer = GltfWriter()
    writer.add_mesh(add_square(writer))
    monkeypatch.setattr(limits, "MOST_JSON_PARTS", 300)  # a small scene stays far below the limit
    assert len(parse_gltf(writer.glb(), NOWHERE).points) == 4
    with pytest.raises(ObjectError, match="more than 300"):
        parse_gltf(b'{"asset": [' + b"[]," * 160 + b"1]}", NOWHERE)
