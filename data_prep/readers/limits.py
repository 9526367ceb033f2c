"""Checks of the size that a file announces, before a reader allocates memory: glTF, PLY, text, compressed HDF5.

A glTF file is a table of contents that may name the same numbers many times. A megabyte can
announce a hundred million triangles, or arrays that are in no buffer and would be filled with
zeros.
"""

import json
import math
import struct
import zlib
from pathlib import Path
from typing import Any

import h5py

from spectral_ssl.ground.errors import ObjectError

LARGEST_FILE = 256 << 20  # bytes; the largest ModelNet mesh has 200 MB
MOST_NODES = 20_000  # trimesh needs some seconds for a chain of this length.
MOST_BUFFERS = 64
MOST_CORNERS = 1 << 26  # vertices and corners of faces in all parts, counted once per appearance in the scene
MOST_ACCESSOR_BYTES = 1 << 30
COMPONENT_BYTES = {5120: 1, 5121: 1, 5122: 2, 5123: 2, 5125: 4, 5126: 4}
NUMBERS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}


def check_gltf(data: bytes) -> None:
    """Check that a glTF file announces no more than the limits of this module.

    Parameters
    ----------
    data : bytes
        Content of the whole .gltf or .glb file.

    Raises
    ------
    ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError, struct.error
        When the file announces more, or is damaged.
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
    """Return the table of contents: the first part of a .glb file, all of a .gltf file."""
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
    return count * COMPONENT_BYTES[accessor["componentType"]] * NUMBERS[accessor["type"]]


def _corners(primitive: dict[str, Any], accessors: list[dict[str, Any]]) -> int:
    used = [primitive["attributes"]["POSITION"], *([primitive["indices"]] if "indices" in primitive else [])]
    return sum(int(accessors[number]["count"]) for number in used)


LONGEST_HEADER = 1 << 16
PROPERTY_BYTES = {
    **dict.fromkeys(("char", "uchar", "int8", "uint8"), 1),
    **dict.fromkeys(("short", "ushort", "int16", "uint16"), 2),
    **dict.fromkeys(("int", "uint", "float", "int32", "uint32", "float32"), 4),
    **dict.fromkeys(("double", "float64", "int64", "uint64"), 8),
}


def check_ply(data: bytes) -> None:
    """Check that a .ply file is long enough for the elements that its header announces.

    Parameters
    ----------
    data : bytes
        Content of the whole file.

    Raises
    ------
    ObjectError
        When the file is too short, or the header is damaged.
    """
    head, end, body = data.partition(b"end_header")
    if not end or len(head) > LONGEST_HEADER:
        raise ObjectError("not a .ply file: its header has no end")
    text, needed, count = False, 0, 0
    for line in head.splitlines():
        words = line.decode("ascii", "replace").split()
        try:
            if words[:1] == ["format"]:
                text = words[1] == "ascii"
            elif words[:1] == ["element"]:
                count = int(words[2])
                if count < 0:
                    raise ValueError(f"{count} elements")
            elif words[:1] == ["property"]:
                # In text a value takes at least a digit and a space. A list takes at least its
                # length.
                needed += count * (2 if text else PROPERTY_BYTES[words[2] if words[1] == "list" else words[1]])
        except (IndexError, KeyError, ValueError) as error:
            raise ObjectError(f"unreadable header of a .ply file: {error}") from None
    if needed > len(body) + 1:  # The last line may have no line end.
        raise ObjectError(f"truncated: at least {needed} bytes announced, {len(body)} follow")
    if text:
        check_words(body)


MOST_WORDS = 1 << 24  # Measured: a reader needs up to 130 bytes per word, 2 GiB for this number.


def check_words(data: bytes) -> None:
    """Check that a text has at most ``MOST_WORDS`` words.

    Raises
    ------
    ObjectError
        When it has more, counted by the spaces, commas and line ends between words.
    """
    gaps = sum(data.count(sign) for sign in (b" ", b"\t", b"\n", b",", b"\r"))
    if gaps > MOST_WORDS:
        raise ObjectError(f"a text of {gaps} words, more than {MOST_WORDS}")


MOST_BYTES_OF_A_CHUNK = 256 << 20


def check_chunks(column: h5py.Dataset) -> None:
    """Check that each compressed chunk unpacks to its announced size; HDF5 itself would allocate any size.

    Raises
    ------
    ValueError
        When a chunk has another size, or values were never written.
    """
    filters = column.id.get_create_plist()
    names = [filters.get_filter(number)[0] for number in range(filters.get_nfilters())]
    if names[-1:] != [h5py.h5z.FILTER_DEFLATE] or any(name != h5py.h5z.FILTER_SHUFFLE for name in names[:-1]):
        if names or column.id.get_storage_size() < column.size * column.dtype.itemsize:
            raise ValueError(f"{column.name}: values are missing, or compressed by another method than gzip")
        return
    size = math.prod(column.chunks) * column.dtype.itemsize
    if size > MOST_BYTES_OF_A_CHUNK or column.id.get_num_chunks() != math.prod(
        math.ceil(side / part) for side, part in zip(column.shape, column.chunks, strict=True)
    ):
        raise ValueError(f"{column.name}: chunks of {size} bytes, or missing chunks")

    def check(chunk: Any) -> None:
        if chunk.filter_mask:
            return
        with Path(column.file.filename).open("rb") as stream:
            stream.seek(chunk.byte_offset)
            packed = stream.read(chunk.size)
        unpacker = zlib.decompressobj()
        if len(unpacker.decompress(packed, size + 1)) != size or not unpacker.eof:
            raise ValueError(f"{column.name}: a chunk that does not unpack to {size} bytes")

    column.id.chunk_iter(check)
