"""Container of a glTF file: its table of contents, its buffers and the arrays in them."""

import base64
import json
import re
import struct
from pathlib import Path
from typing import Any
from urllib.parse import unquote, unquote_to_bytes

import numpy as np
from numpy.typing import NDArray

from data_prep.readers import limits
from data_prep.readers.meshes.gltf.decoders import decode_meshopt
from data_prep.source import add_note
from spectral_ssl.ground.errors import ObjectError

KINDS = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}
MESHOPT = ("EXT_meshopt_compression", "KHR_meshopt_compression")
LFS_POINTER = b"version https://git-lfs"
SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")  # One letter and a colon is a disk, and no such file exists here.

# A part of a file is a view of its bytes, because a copy would need as much memory again.
Bytes = bytes | memoryview


class GltfFile:
    """An open glTF file.

    Parameters
    ----------
    data : bytes
        Content of the whole .gltf or .glb file.
    folder : Path
        Folder of the file. Buffers are read from it and its sub-folders only.

    Attributes
    ----------
    tree : dict
        The table of contents.

    Raises
    ------
    ObjectError
        When the file is of version 1, truncated, or announces more than the limits.
    ValueError, TypeError, KeyError, AttributeError, RecursionError, struct.error
        When the table of contents is damaged.
    """

    def __init__(self, data: bytes, folder: Path) -> None:
        text, self._binary = _split_chunks(data) if data[:4] == b"glTF" else (data, None)
        contents = bytes(text)
        limits.check_json(contents)
        tree = json.loads(contents.decode("utf-8-sig"))
        if not isinstance(tree, dict):
            raise TypeError("the table of contents is no object")
        self.tree: dict[str, Any] = tree
        self._folder = folder
        self._buffers: dict[int, Bytes] = {}
        self._files: dict[Path, bytes] = {}
        self._views: dict[int, tuple[Bytes, int, int, int]] = {}
        version = str(tree.get("asset", {}).get("version", "2.0"))
        if not version.startswith("2."):
            raise ObjectError(f"glTF of version {version[:20]!r}: convert it to version 2.0")
        self._check_sizes()

    def _check_sizes(self) -> None:
        """Check that the file announces no more than the limits, before memory is allocated."""
        nodes, buffers = len(self.entries("nodes")), len(self.entries("buffers"))
        if nodes > limits.MOST_NODES or buffers > limits.MOST_BUFFERS:
            raise ObjectError(f"{nodes} nodes, {buffers} buffers: too many")
        sizes = [
            get_count(accessor, "count")
            * np.dtype(KINDS[accessor["componentType"]]).itemsize
            * WIDTHS[accessor["type"]]
            for accessor in self.entries("accessors")
        ]
        for view in self.entries("bufferViews"):
            packed = get_extension(view, *MESHOPT)
            if packed:
                sizes.append(get_count(packed, "count") * get_count(packed, "byteStride"))
        if sum(sizes) > limits.MOST_ACCESSOR_BYTES:
            raise ObjectError(f"arrays of {sum(sizes)} bytes announced, more than {limits.MOST_ACCESSOR_BYTES}")

    def entries(self, name: str) -> list[dict[str, Any]]:
        """Return one list of the table of contents; it is empty where the file has none."""
        content = self.tree.get(name, [])
        if not isinstance(content, list):
            raise TypeError(f"{name!r} is no list")
        return content

    def get(self, name: str, number: Any) -> dict[str, Any]:
        """Return one entry of a list of the table of contents.

        Raises
        ------
        ObjectError
            When there is no such entry.
        """
        entries = self.entries(name)
        if not isinstance(number, int) or not 0 <= number < len(entries):
            raise ObjectError(f"unreadable glTF file: it names {name}[{str(number)[:20]}], and has {len(entries)}")
        return entries[number]

    def read(self, number: Any, form: str) -> NDArray[Any]:
        """Read an array of numbers.

        Parameters
        ----------
        number : int
            Position in the list ``accessors``.
        form : str
            The needed type: "SCALAR", "VEC3", ...

        Returns
        -------
        ndarray, shape (count, components)
            Values in the type of the file; float64 if they are normalised integers.
        """
        accessor = self.get("accessors", number)
        if accessor["type"] != form:
            raise ObjectError(f"unreadable glTF file: accessors[{number}] has type {accessor['type']}, not {form}")
        kind, count = np.dtype(KINDS[accessor["componentType"]]), get_count(accessor, "count")
        shape = (count, WIDTHS[form])
        sparse = accessor.get("sparse")
        if "bufferView" in accessor:
            values = self._read_part(accessor, kind, shape)
        elif sparse:
            if count > limits.MOST_ZEROS:
                raise ObjectError(f"a sparse array of {count} elements without values, more than {limits.MOST_ZEROS}")
            values = np.zeros(shape, kind)
        else:
            raise ObjectError(f"unreadable glTF file: accessors[{number}] is an array that is in no buffer")
        if sparse:
            changes = get_count(sparse, "count")
            places = self._read_part(
                sparse["indices"], np.dtype(KINDS[sparse["indices"]["componentType"]]), (changes, 1)
            )
            if changes and (places.dtype.kind != "u" or places.max() >= count):
                raise ObjectError(f"unreadable glTF file: sparse accessors[{number}] names an element beyond {count}")
            values = values.copy()
            values[places[:, 0]] = self._read_part(sparse["values"], kind, (changes, WIDTHS[form]))
        return normalise(values) if accessor.get("normalized") else values

    def _read_part(self, part: dict[str, Any], kind: np.dtype[Any], shape: tuple[int, int]) -> NDArray[Any]:
        """Read an array (count, components) from the buffer view that a part of an accessor names."""
        data, start, length, stride = self._open_view(part["bufferView"])
        offset, size = get_count(part, "byteOffset", 0), kind.itemsize * shape[1]
        stride = stride or size
        if stride < size:
            raise ObjectError(f"unreadable glTF file: elements of {size} bytes are {stride} bytes apart")
        needed = offset + stride * (shape[0] - 1) + size if shape[0] else 0
        if needed > length:
            raise ObjectError(f"truncated: an array needs {needed} bytes, its part of the buffer has {length}")
        return np.ndarray(shape, kind, data, start + offset, (stride, kind.itemsize))

    def read_view(self, number: Any) -> bytes:
        """Read the bytes of a buffer view, such as those of a compressed mesh."""
        data, start, length, _ = self._open_view(number)
        return bytes(data[start : start + length])

    def _open_view(self, number: Any) -> tuple[Bytes, int, int, int]:
        """Return the bytes that hold a buffer view, its offset and its length in them, and its stride or 0."""
        view = self.get("bufferViews", number)
        if number not in self._views:
            packed = get_extension(view, *MESHOPT)
            is_filled = not get_extension(self.get("buffers", view["buffer"]), *MESHOPT).get("fallback")
            decoded = decode_meshopt(self._slice(packed), packed, is_needed=not is_filled) if packed else None
            if decoded is not None:
                self._views[number] = decoded, 0, len(decoded), get_count(packed, "byteStride")
            else:
                offset, length = get_count(view, "byteOffset", 0), get_count(view, "byteLength")
                data = self._open_buffer(view["buffer"])
                _check_slice(offset, length, data)
                self._views[number] = data, offset, length, get_count(view, "byteStride", 0)
        return self._views[number]

    def _slice(self, packed: dict[str, Any]) -> bytes:
        """Return the compressed bytes of a buffer view."""
        data = self._open_buffer(packed["buffer"])
        offset, length = get_count(packed, "byteOffset", 0), get_count(packed, "byteLength")
        _check_slice(offset, length, data)
        return bytes(data[offset : offset + length])

    def _open_buffer(self, number: Any) -> Bytes:
        """Return the content of a buffer: the binary chunk, a data URI, or a file of the same folder."""
        buffer = self.get("buffers", number)
        if number not in self._buffers:
            uri = buffer.get("uri")
            if uri is None and number == 0 and self._binary is not None:
                self._buffers[number] = self._binary
            elif uri is None:
                raise ObjectError(
                    f"unreadable glTF file: the bytes of buffers[{number}] (binary chunk BIN) are missing"
                )
            elif uri[:5].lower() == "data:":
                self._buffers[number] = _decode_uri(uri)
            else:
                self._buffers[number] = self._read_file(uri)
        return self._buffers[number]

    def _read_file(self, uri: str) -> bytes:
        """Read a file of the folder; a path out of the folder does not exist."""
        if SCHEME.match(uri):
            raise ObjectError(f"unreadable buffer {uri[:60]!r}: only files of the same folder are read")
        folder = self._folder.resolve()
        for name in (unquote(uri), uri, unquote(uri).replace("\\", "/")):
            path = (folder / name).resolve()
            if not path.is_relative_to(folder) or not path.is_file():
                continue
            if path not in self._files:
                size = path.stat().st_size + sum(map(len, self._files.values()))
                if size > limits.LARGEST_FILE:
                    raise ObjectError(f"buffers of more than {limits.LARGEST_FILE >> 20} MiB")
                self._files[path] = path.read_bytes()
                if self._files[path].startswith(LFS_POINTER):
                    raise ObjectError(f"its buffer {path.name[:80]!r} is a Git LFS pointer: run `git lfs pull`")
            return self._files[path]
        raise ObjectError(f"its buffer {unquote(uri)[:80]!r} is not in its folder: copy that file next to it")


def get_extension(entry: dict[str, Any], *names: str) -> dict[str, Any]:
    """Return the first of some extensions that an entry has, or an empty dict."""
    extensions = entry.get("extensions", {})
    return next((extensions[name] for name in names if name in extensions), {})


def get_count(entry: dict[str, Any], name: str, default: int | None = None) -> int:
    """Return an integer of an entry that may not be negative.

    Raises
    ------
    KeyError, TypeError, ObjectError
        When it is missing without a default, no integer, or negative.
    """
    value = entry[name] if default is None else entry.get(name, default)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name} {value!r} is no integer"[:80])
    if value < 0:
        raise ObjectError(f"unreadable glTF file: {name} {value} announced")
    return value


def normalise(values: NDArray[Any]) -> NDArray[Any]:
    """Return normalised integers as float64 between -1 and 1, as the specification defines it; leave floats alone."""
    if values.dtype.kind == "f":
        return values
    scaled: NDArray[np.float64] = values / float(np.iinfo(values.dtype).max)
    return np.maximum(scaled, -1.0)


def _check_slice(offset: int, length: int, data: Bytes) -> None:
    """Refuse a part that ends after the end of its buffer."""
    if offset + length > len(data):
        raise ObjectError(f"truncated: bytes {offset} to {offset + length} of a buffer of {len(data)} bytes announced")


def _decode_uri(uri: str) -> bytes:
    """Decode the bytes of a data URI of any media type."""
    head, comma, content = uri.partition(",")
    if not comma:
        raise ObjectError("unreadable glTF file: a data URI without a comma")
    raw = unquote_to_bytes(content)
    if not head.lower().endswith(";base64"):
        return raw
    letters = raw.translate(bytes.maketrans(b"-_", b"+/"), b" \t\r\n=")
    return base64.b64decode(letters + b"=" * (-len(letters) % 4), validate=True)


def _split_chunks(data: bytes) -> tuple[Bytes, Bytes | None]:
    """Split a .glb file into its table of contents and its binary chunk, None where it has none."""
    version, announced = struct.unpack_from("<II", data, 4)
    if version != 2:
        raise ObjectError(f"binary glTF of version {version}: convert it to version 2")
    chunks: dict[bytes, memoryview] = {}
    offset = 12
    while offset + 8 <= len(data) and (offset < announced or not chunks):
        length, kind = struct.unpack_from("<I4s", data, offset)
        offset += 8
        if offset + length > len(data):
            raise ObjectError(f"truncated: a chunk of {length} bytes announced, {len(data) - offset} follow")
        if not chunks and kind != b"JSON":
            raise ObjectError("unreadable glTF file: its first chunk is no table of contents (JSON)")
        chunks.setdefault(kind, memoryview(data)[offset : offset + length])
        offset += length
    if b"JSON" not in chunks:
        raise ObjectError("unreadable glTF file: truncated before its table of contents")
    if announced != len(data):
        add_note(f"the file announces {announced} bytes and has {len(data)}: its chunks are read")
    return chunks[b"JSON"], chunks.get(b"BIN\0")
