"""Reader of the Object File Format (.off): counts, vertices and polygons as text.

Reading takes most of the time of preparing meshes. So numpy's number parser reads the common file
in two calls: one triangle per line and nothing else on the line. Any other file is read line by
line.
"""

import re
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.readers.limits import check_words
from spectral_ssl.ground.errors import ObjectError

# The keyword and the rest of its line. "OFF490 518 0" without a space is common in ModelNet40. The
# letters before OFF announce more numbers on each vertex line (ST texture, C colour, N normal),
# after the coordinates.
HEADER = re.compile(rb"\s*(?:ST)?C?N?OFF(?!\w*[A-Za-z])[ \t]*([^\n]*)(?:\n|$)")
COMMENT = re.compile(rb"#[^\n]*")
SHORTEST_VERTEX = 6  # bytes of "0 0 0\n"
SHORTEST_FACE = 2  # bytes of "0\n"

Mesh = tuple[NDArray[np.float64], NDArray[np.int64]]


def parse_off(data: bytes) -> Mesh:
    """Parse the vertices and triangles of an OFF file.

    Parameters
    ----------
    data : bytes
        Content of the whole file. The parser skips comments, normals or colours after the
        coordinates of a vertex, and colours after the corners of a polygon. It accepts Windows line
        ends.

    Returns
    -------
    vertices : ndarray, shape (N, 3), float64
    faces : ndarray, shape (F, 3), int64
        A polygon with more than three corners becomes a fan of triangles from its first corner. A
        polygon with fewer corners is dropped.

    Raises
    ------
    ObjectError
        When the file is truncated, is not of this format, or a face names a vertex that does not
        exist.
    """
    if b"#" in data:
        data = COMMENT.sub(b"", data)
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    header = HEADER.match(data)
    if header is None:
        raise ObjectError("not an OFF file: it does not begin with the word OFF and counts")
    counts, start = header.group(1).split(), header.end()
    while not counts and start < len(data):  # The counts may be on a later line, after empty lines.
        line, _, _ = data[start : start + 4096].partition(b"\n")
        counts, start = line.split(), start + len(line) + 1
    num_vertices, num_faces = _parse_counts(counts, len(data) - start)
    vertices, faces = _read_plain(data[start:], num_vertices, num_faces) or _read_lines(
        data[start:], num_vertices, num_faces
    )
    if not np.isfinite(vertices).all():
        raise ObjectError("a vertex is not finite")
    if len(faces) and (faces.min() < 0 or faces.max() >= num_vertices):
        raise ObjectError(f"a face names vertex {faces.min() if faces.min() < 0 else faces.max()} of {num_vertices}")
    return vertices, faces


def _parse_counts(words: list[bytes], bytes_left: int) -> tuple[int, int]:
    """Parse the numbers of vertices and faces; refuse numbers that the rest of the file cannot hold."""
    try:
        num_vertices, num_faces = int(words[0]), int(words[1])
    except (IndexError, ValueError):
        raise ObjectError(f"unreadable counts {b' '.join(words)[:40]!r}") from None
    if num_vertices < 0 or num_faces < 0:
        raise ObjectError(f"negative counts {num_vertices} {num_faces}")
    # The last line may have no line end.
    if SHORTEST_VERTEX * num_vertices + SHORTEST_FACE * num_faces > bytes_left + 1:
        raise ObjectError(
            f"truncated: {num_vertices} vertices and {num_faces} faces announced, {bytes_left} bytes follow"
        )
    return num_vertices, num_faces


def _read_plain(body: bytes, num_vertices: int, num_faces: int) -> Mesh | None:
    """Read a file with three numbers per vertex line and ``3 a b c`` per face line; return None for other files."""
    ends = np.flatnonzero(np.frombuffer(body, np.uint8) == ord("\n"))
    if num_vertices == 0 or len(ends) < num_vertices:
        return None
    cut = int(ends[num_vertices - 1]) + 1
    vertices = _numbers(body[:cut], np.float64)
    faces = _numbers(body[cut:], np.int64)
    if vertices is None or faces is None or vertices.size != 3 * num_vertices or faces.size != 4 * num_faces:
        return None
    table = faces.reshape(num_faces, 4)
    if (table[:, 0] != 3).any():
        return None
    return vertices.reshape(num_vertices, 3), np.ascontiguousarray(table[:, 1:])


def _numbers(text: bytes, dtype: type) -> NDArray[Any] | None:
    """Parse a text of numbers; return None if it contains anything else."""
    if not text.strip():
        return np.empty(0, dtype)
    with warnings.catch_warnings():
        # For unreadable text numpy gives a deprecation warning or, in newer versions, raises an
        # error.
        warnings.simplefilter("error")
        try:
            return np.fromstring(text, dtype, sep=" ")
        except (ValueError, DeprecationWarning):
            return None


def _read_lines(body: bytes, num_vertices: int, num_faces: int) -> Mesh:
    """Read any file of this format line by line."""
    check_words(body)
    lines = [words for line in body.split(b"\n") if (words := line.split())]
    if len(lines) < num_vertices + num_faces:
        raise ObjectError(
            f"truncated: {num_vertices} vertices and {num_faces} faces announced, {len(lines)} lines follow"
        )
    try:
        vertices = np.array([[float(word) for word in words[:3]] for words in lines[:num_vertices]], np.float64)
        triangles: list[tuple[int, int, int]] = []
        for words in lines[num_vertices : num_vertices + num_faces]:
            count = int(words[0])
            if not 0 <= count < len(words):
                raise ObjectError(f"a face of {count} corners on a line with {len(words) - 1}")
            corners = [int(word) for word in words[1 : count + 1]]
            triangles += [(corners[0], corners[i], corners[i + 1]) for i in range(1, count - 1)]
        faces = np.array(triangles, np.int64).reshape(-1, 3)
    except (ValueError, OverflowError) as error:
        raise ObjectError(f"unreadable number: {error}") from None
    if vertices.shape != (num_vertices, 3):
        raise ObjectError("a vertex without three coordinates")
    return vertices, faces
