"""Writer of glTF files for tests, in the dialects that real programs write."""

import base64
import json
import struct
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

TYPES = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4", 16: "MAT4"}
CODES = {"i1": 5120, "u1": 5121, "i2": 5122, "u2": 5123, "u4": 5125, "f4": 5126}
SQUARE = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], np.float64)


class GltfWriter:
    """A glTF file that grows: a table of contents and one buffer."""

    def __init__(self) -> None:
        self.binary = b""
        self.tree: dict[str, Any] = {
            "asset": {"version": "2.0"}, "buffers": [], "bufferViews": [], "accessors": [], "meshes": [], "nodes": [],
            "scenes": [{"nodes": []}], "scene": 0,
        }  # fmt: skip

    def add(self, name: str, entry: dict[str, Any]) -> int:
        """Add an entry to a list of the table of contents; return its position."""
        self.tree.setdefault(name, []).append(entry)
        return len(self.tree[name]) - 1

    def add_view(self, content: bytes, **more: Any) -> int:
        """Add bytes as a buffer view."""
        self.binary += bytes(-len(self.binary) % 4)
        entry = {"buffer": 0, "byteOffset": len(self.binary), "byteLength": len(content), **more}
        self.binary += content
        return self.add("bufferViews", entry)

    def add_array(self, values: Any, kind: str, gap: int = 0, offset: int = 0, **more: Any) -> int:
        """Add an array as an accessor, with ``offset`` bytes before it and ``gap`` bytes between its elements."""
        table = np.asarray(values).astype("<" + kind)
        table = table.reshape(len(table), -1)
        rows = [row.tobytes() for row in table]
        stride = {"byteStride": table.itemsize * table.shape[1] + gap} if gap else {}
        view = self.add_view(b"\xaa" * offset + (b"\xbb" * gap).join(rows), **stride)
        start = {"byteOffset": offset} if offset else {}
        return self.add_accessor(len(table), kind, table.shape[1], bufferView=view, **start, **more)

    def add_accessor(self, count: int, kind: str, width: int, **more: Any) -> int:
        """Add an accessor."""
        entry = {"componentType": CODES[kind], "count": count, "type": TYPES[width], **more}
        return self.add("accessors", entry)

    def add_sparse(self, values: NDArray[Any], base: NDArray[Any] | None) -> int:
        """Add float32 values as a sparse accessor: where they differ from a base, or from zero."""
        rows = np.flatnonzero((values != (0 if base is None else base)).any(axis=1))
        changes = {
            "count": len(rows),
            "indices": {"bufferView": self.add_view(rows.astype("<u2").tobytes()), "componentType": 5123},
            "values": {"bufferView": self.add_view(values[rows].astype("<f4").tobytes())},
        }
        if base is None:
            return self.add_accessor(len(values), "f4", 3, sparse=changes)
        return self.add_array(base, "f4", sparse=changes)

    def add_mesh(self, *primitives: dict[str, Any], **node: Any) -> int:
        """Add a mesh, and a node of the scene that shows it; return the node."""
        mesh = self.add("meshes", {"primitives": list(primitives)})
        number = self.add("nodes", {"mesh": mesh, **node})
        self.tree["scenes"][0]["nodes"].append(number)
        return number

    def glb(self, *, chunks: bytes = b"", version: int = 2, length: int | None = None) -> bytes:
        """Return the binary form."""
        text = json.dumps({**self.tree, "buffers": self.tree["buffers"] or [{"byteLength": len(self.binary)}]}).encode()
        text += b" " * (-len(text) % 4)
        binary = self.binary + bytes(-len(self.binary) % 4)
        parts = struct.pack("<I4s", len(text), b"JSON") + text + chunks
        parts += struct.pack("<I4s", len(binary), b"BIN\0") + binary
        return b"glTF" + struct.pack("<II", version, 12 + len(parts) if length is None else length) + parts

    def gltf(self, folder: Path | None = None, name: str = "") -> bytes:
        """Return the text form with the buffer in a data URI, or in a file of a folder with a quoted name."""
        if folder is None:
            uri = "data:application/gltf-buffer;base64," + base64.b64encode(self.binary).decode()
        else:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(self.binary)
            uri = quote(name)
        return json.dumps({**self.tree, "buffers": [{"uri": uri, "byteLength": len(self.binary)}]}).encode()


def add_square(writer: GltfWriter, **more: Any) -> dict[str, Any]:
    """Add the arrays of a square of two triangles, and return its primitive."""
    indices = writer.add_array([0, 1, 2, 0, 2, 3], "u2")
    return {"attributes": {"POSITION": writer.add_array(SQUARE, "f4")}, "indices": indices, **more}
