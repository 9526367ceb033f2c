"""What a .gltf or .glb file asks for, added up before anything of it is read.

Such a file is a table of contents that may name the same numbers many times over: a megabyte can ask for a hundred
million triangles, or for arrays that are in no buffer at all and would be made of zeros.
"""

import json
import struct
from typing import Any

MOST_NODES = 20_000  # a chain of so many takes trimesh some seconds
MOST_BUFFERS = 64
MOST_CORNERS = 1 << 26  # vertices and corners of faces in all parts, as often as the scene shows them
MOST_ACCESSOR_BYTES = 1 << 30
BYTES = {5120: 1, 5121: 1, 5122: 2, 5123: 2, 5125: 4, 5126: 4}
NUMBERS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}


def check_gltf(data: bytes) -> None:
    """Add up what a file asks for.

    Parameters
    ----------
    data : bytes
        Of the whole .gltf or .glb file.

    Raises
    ------
    ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError, struct.error
        When it asks for more than the limits above, or is damaged.
    """
    tree = json.loads(_contents(data))
    nodes, meshes, accessors = (tree.get(name, []) for name in ("nodes", "meshes", "accessors"))
    if len(nodes) > MOST_NODES or len(tree.get("buffers", [])) > MOST_BUFFERS:
        raise ValueError(f"{len(nodes)} nodes, {len(tree.get('buffers', []))} buffers: too many")
    sizes = [_bytes(accessor) for accessor in accessors]
    if sum(sizes) > MOST_ACCESSOR_BYTES or min(sizes, default=0) < 0:
        raise ValueError(f"arrays of {sum(sizes)} bytes announced")
    corners = [sum(_corners(primitive, accessors) for primitive in mesh["primitives"]) for mesh in meshes]
    shown = sum(corners) + sum(corners[node["mesh"]] for node in nodes if "mesh" in node)
    if shown > MOST_CORNERS:
        raise ValueError(f"{shown} vertices and corners of faces, more than {MOST_CORNERS}")


def _contents(data: bytes) -> bytes:
    """The table of contents: the first part of a .glb file, all of a .gltf file."""
    if data[:4] != b"glTF":
        return data
    length, kind = struct.unpack_from("<I4s", data, 12)
    if kind != b"JSON":
        raise ValueError("no table of contents")
    return data[20 : 20 + length]


def _bytes(accessor: dict[str, Any]) -> int:
    if "bufferView" not in accessor:
        raise ValueError("an array that is in no buffer")
    count = accessor["count"]
    if not isinstance(count, int):
        raise TypeError(f"a count of {count!r}"[:80])
    return count * BYTES[accessor["componentType"]] * NUMBERS[accessor["type"]]


def _corners(primitive: dict[str, Any], accessors: list[dict[str, Any]]) -> int:
    named = [primitive["attributes"]["POSITION"], *([primitive["indices"]] if "indices" in primitive else [])]
    return sum(int(accessors[place]["count"]) for place in named)
