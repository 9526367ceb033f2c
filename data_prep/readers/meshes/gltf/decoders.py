"""Decoders of compressed glTF buffers by optional packages: Draco by DracoPy, meshopt by meshoptimizer."""

import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spectral_ssl.ground.errors import ObjectError

DEEPEST = 8  # levels of metadata in a Draco file
FILTERS = {
    "OCTAHEDRAL": "decode_filter_oct",
    "QUATERNION": "decode_filter_quat",
    "EXPONENTIAL": "decode_filter_exp",
}


def decode_meshopt(packed: bytes, entry: dict[str, Any], is_needed: bool) -> bytes | None:
    """Decode a buffer view that is compressed by meshopt.

    Parameters
    ----------
    packed : bytes
        The compressed bytes.
    entry : dict
        Content of the extension ``EXT_meshopt_compression`` of the buffer view. Its size was
        checked.
    is_needed : bool
        Whether the file has no plain copy of this buffer view.

    Returns
    -------
    bytes or None
        The decoded bytes; None if the decoder is not installed and the file has a plain copy.

    Raises
    ------
    ObjectError
        When the bytes are damaged, or the decoder is needed and not installed.
    """
    try:
        import meshoptimizer
    except ImportError:
        if is_needed:
            raise ObjectError(
                "compressed by meshopt, whose decoder is not installed: pip install 'spectral-ssl[meshopt]'"
            ) from None
        return None
    count, stride, mode = entry["count"], entry["byteStride"], entry["mode"]
    name = entry.get("filter", "NONE")
    try:
        if mode == "ATTRIBUTES":
            decoded = meshoptimizer.decode_vertex_buffer(count, stride, packed, dtype=np.dtype((np.void, stride)))
            if name != "NONE":
                decoded = _apply_filter(meshoptimizer, decoded, count, stride, name)
            return bytes(decoded.tobytes())
        if stride not in (2, 4) or name != "NONE":
            raise ValueError(f"indices of {stride} bytes with filter {name}")
        decode = {
            "TRIANGLES": meshoptimizer.decode_index_buffer,
            "INDICES": meshoptimizer.decode_index_sequence,
        }[mode]
        # The package decodes to four bytes an index whatever the file has.
        return bytes(decode(count, 4, packed).astype(f"<u{stride}").tobytes())
    except (ValueError, RuntimeError, KeyError, TypeError) as error:
        raise ObjectError(f"unreadable meshopt buffer: {type(error).__name__}: {str(error)[:80]}") from error


def _apply_filter(meshoptimizer: Any, decoded: NDArray[Any], count: int, stride: int, name: str) -> NDArray[Any]:
    """Apply the filter of a buffer view to its decoded elements."""
    fits = {"OCTAHEDRAL": stride in (4, 8), "QUATERNION": stride == 8, "EXPONENTIAL": stride % 4 == 0}
    if not fits.get(name):
        raise ValueError(f"filter {name} with elements of {stride} bytes")
    filtered: NDArray[Any] = getattr(meshoptimizer, FILTERS[name])(decoded, count, stride)
    return filtered


def has_draco() -> bool:
    """Return whether the decoder of Draco is installed."""
    try:
        import DracoPy  # noqa: F401
    except ImportError:
        return False
    return True


def decode_draco(packed: bytes, num_points: int, num_corners: int) -> tuple[dict[int, NDArray[Any]], NDArray[np.int64]]:
    """Decode a mesh that is compressed by Draco.

    Parameters
    ----------
    packed : bytes
        The compressed mesh.
    num_points, num_corners : int
        Number of vertices and of corners of triangles that the glTF file announces.

    Returns
    -------
    attributes : dict
        Arrays (N, components) of the vertices by their identifiers.
    faces : ndarray, shape (F, 3), int64

    Raises
    ------
    ObjectError
        When the decoder is not installed, or the mesh is damaged or larger than announced.
    """
    try:
        import DracoPy
    except ImportError:
        raise ObjectError(
            "compressed by Draco, whose decoder is not installed: pip install 'spectral-ssl[draco]'"
        ) from None
    try:
        counts = _read_draco_counts(packed)
    except (struct.error, IndexError):
        raise ObjectError("unreadable Draco mesh: truncated header") from None
    if counts[0] > num_points or 3 * counts[1] > num_corners:
        raise ObjectError(
            f"unreadable Draco mesh: {counts[0]} vertices and {counts[1]} triangles, the file announces {num_points} "
            f"and {num_corners // 3}"
        )
    try:
        mesh = DracoPy.decode(packed)
        attributes = {int(part["unique_id"]): np.asarray(part["data"]) for part in mesh.attributes}
        faces = np.asarray(mesh.faces).astype(np.int64).reshape(-1, 3)
    except Exception as error:  # The package raises types of its own, and MemoryError from C++.
        raise ObjectError(f"unreadable Draco mesh: {type(error).__name__}: {str(error)[:80]}") from error
    return attributes, faces


def _read_draco_counts(packed: bytes) -> tuple[int, int]:
    """Read the numbers of vertices and faces from the header of a Draco mesh, before the decoder allocates for them."""
    magic, major, minor, kind, method, flags = struct.unpack_from("<5sBBBBH", packed)
    if magic != b"DRACO" or kind != 1 or method > 1:
        raise ObjectError("unreadable Draco mesh: it does not begin as one")
    if (major, minor) != (2, 2):
        raise ObjectError(f"Draco of version {major}.{minor}: glTF uses version 2.2")
    body = iter(packed[11:])
    try:
        if flags & 0x8000:
            for _ in range(_read_varint(body)):
                _read_varint(body)
                _skip_metadata(body, 0)
            _skip_metadata(body, 0)
        if method == 1:  # The edge breaker begins with the type of its traversal.
            next(body)
            points = _read_varint(body)
            return points, _read_varint(body)
        faces = _read_varint(body)
        return _read_varint(body), faces
    except StopIteration:
        raise ObjectError("unreadable Draco mesh: truncated header") from None


def _read_varint(body: Iterator[int]) -> int:
    """Read an integer of seven bits a byte, the lowest first."""
    value = 0
    for place in range(10):
        byte = next(body)
        value |= (byte & 127) << 7 * place
        if byte < 128:
            return value
    raise ObjectError("unreadable Draco mesh: an endless integer")


def _skip_metadata(body: Iterator[int], depth: int) -> None:
    """Skip named values and named groups of them."""
    if depth > DEEPEST:
        raise ObjectError(f"unreadable Draco mesh: metadata of more than {DEEPEST} levels")
    for _ in range(_read_varint(body)):
        _skip_bytes(body, next(body))
        _skip_bytes(body, _read_varint(body))
    for _ in range(_read_varint(body)):
        _skip_bytes(body, next(body))
        _skip_metadata(body, depth + 1)


def _skip_bytes(body: Iterator[int], count: int) -> None:
    """Skip some bytes."""
    for _ in range(count):
        next(body)
