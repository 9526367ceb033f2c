"""Reader of the Object File Format (.off): counts, vertices and polygons as text.

Reading takes most of the time of preparing meshes. So numpy's number parser reads the common file
in two calls: one triangle per line and nothing else on the line. Any other file is split into
words. A line of words is a vertex or a polygon, unless the numbers of words say otherwise.
"""

import re
import warnings
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.readers.limits import check_words
from data_prep.readers.meshes.lines import (
    NUMBER,
    Offsets,
    Words,
    blank_comments,
    clean_text,
    cut_words,
    parse_integers,
    read_numbers,
    refuse_line,
    show,
    split_words,
)
from data_prep.readers.meshes.polygons import triangulate_polygons
from data_prep.source import add_note
from spectral_ssl.ground.errors import ObjectError

# The keyword. "OFF490 518 0" without a space is common in ModelNet40. The letters before OFF
# announce more numbers of each vertex after its coordinates (ST texture, C colour, N normal), a
# fourth coordinate (4), or a number of dimensions before the counts (n).
HEADER = re.compile(rb"\s*((?:ST|C|N)*)(4?)(n?)(?:OFF|off|Off)(?!\w*[A-Za-z])")
BINARY = re.compile(rb"\s*(?:ST|C|N)*4?n?OFF[ \t]+BINARY\b")
# Files may begin with the counts, without the keyword.
BARE_COUNTS = re.compile(rb"\s*\d+[ \t]+\d+(?:[ \t]+\d+)?[ \t]*\n")
# Nearly all files begin so. What follows is read by numpy before anything else is searched for in the text.
PLAIN_HEAD = re.compile(rb"OFF[ \t]*\n?[ \t]*(\d{1,18})[ \t]+(\d{1,18})[ \t]+\d{1,18}[ \t]*\n")
COUNTS = re.compile(rb"\s*(\S+)(?:(\s+)(\S+)(?:([ \t]+)(\S+))?)?")
EDGES = re.compile(rb"[ \t]*\n\s*\d+[ \t]*\n")
LINE_END = re.compile(rb"[ \t]*\n?")
INTEGER = re.compile(rb"[+-]?\d{1,18}")
EXTRA = {b"ST": (2,), b"C": (4, 3), b"N": (3,)}  # numbers after the coordinates; colours have alpha by specification
SHORTEST_VERTEX = 6  # bytes of "0 0 0\n"
SHORTEST_FACE = 2  # bytes of "0\n"
BLOCK = 1 << 18  # bytes in which line ends are counted at once

Mesh = tuple[NDArray[np.float64], NDArray[np.int64]]


@dataclass(frozen=True)
class _Counts:
    """Announced numbers of a file: vertices, faces, coordinates of a vertex; possible numbers of words of a vertex."""

    vertices: int
    faces: int
    coordinates: int
    words: tuple[int, ...]


def parse_off(data: bytes) -> Mesh:
    """Parse the vertices and triangles of an OFF file.

    Parameters
    ----------
    data : bytes
        Content of the whole file. The parser skips comments, normals or colours after the
        coordinates of a vertex, and colours after the corners of a polygon. The line ends may be
        anywhere, and of any system. A fourth, homogeneous coordinate (4OFF) divides the others.

    Returns
    -------
    vertices : ndarray, shape (N, 3), float64
    faces : ndarray, shape (F, 3), int64
        Polygons with more than three corners are cut by ``triangulate_polygons``. A polygon with
        fewer corners is dropped.

    Raises
    ------
    ObjectError
        When the file is truncated, holds more than it announces, is not of this format, or a face
        names a vertex that does not exist.
    """
    head = PLAIN_HEAD.match(data)
    mesh = _read_plain(data, head.end(), int(head[1]), int(head[2])) if head else None
    vertices, faces = mesh or _read_dialects(data, is_plain=head is None)
    if not np.isfinite(vertices).all() and not np.isfinite(vertices[faces]).all():
        raise ObjectError("a vertex is not finite")
    return vertices, faces


def _read_dialects(data: bytes, *, is_plain: bool) -> Mesh:
    """Read any file of this format; ``is_plain`` says whether the text may be plain as it stands."""
    if BINARY.match(data):
        raise ObjectError("binary OFF, which is not read; save it as a text, or as .ply")
    original = data
    data = blank_comments(clean_text(data, ".off"))
    header = HEADER.match(data)
    if header is None and BARE_COUNTS.match(data) is None:
        raise ObjectError("not an OFF file: it does not begin with the word OFF and counts")
    start = header.end() if header else 0
    coordinates = 3
    extras: list[tuple[int, ...]] = [(0,)]
    if header:
        extras += [EXTRA[name] for name in re.findall(rb"ST|C|N", header[1])]
        coordinates, start = _read_coordinates(data, start, has_weight=bool(header[2]), has_number=bool(header[3]))
    words = tuple(coordinates + sum(numbers) for numbers in product(*extras))
    num_vertices, num_faces, starts = _read_counts(data, start)
    counts = _Counts(num_vertices, num_faces, coordinates, words)
    is_plain = coordinates == 3 and (is_plain or data is not original)
    mesh = _read_plain(data, starts[0], num_vertices, num_faces) if is_plain else None
    return mesh or _read_words(data, starts, counts)


def _read_coordinates(data: bytes, start: int, *, has_weight: bool, has_number: bool) -> tuple[int, int]:
    """Return the number of coordinates of a vertex, and the offset of the counts."""
    if has_number:
        number = re.compile(rb"\s*(\S+)").match(data, start)
        if number is None or number[1] != b"3":
            raise ObjectError(f"nOFF of {show(number[1] if number else b'')} dimensions, which should be 3")
        start = number.end()
    return 3 + has_weight, start


def _read_counts(data: bytes, start: int) -> tuple[int, int, tuple[int, ...]]:
    """Parse the counts; return the numbers of vertices and faces and the possible offsets of the first vertex."""
    match = COUNTS.match(data, start)
    words = [word for word in match.group(1, 3) if word is not None] if match else []
    if match is None or len(words) < 2:
        raise ObjectError(f"unreadable counts {show(b' '.join(words))}")
    num_vertices, num_faces = _parse_counts(words, len(data) - match.end(3))
    starts = [match.end(3)]
    if match[5] is not None:
        line, _, _ = data[match.start(5) : match.start(5) + 4096].partition(b"\n")
        if len(line.split()) == 1:  # Without the number of edges this would be the line of the counts.
            starts = [match.end(5)]
        elif match[5].isdigit():
            starts.insert(0, match.end(5))
    elif b"\n" in match[2] and (edges := EDGES.match(data, match.end(3))):
        starts.insert(0, edges.end())
    return num_vertices, num_faces, tuple(_skip_line_end(data, offset) for offset in starts)


def _skip_line_end(data: bytes, offset: int) -> int:
    """Return the offset after blanks and one line end."""
    match = LINE_END.match(data, offset)
    return match.end() if match else offset


def _parse_counts(words: list[bytes], bytes_left: int) -> tuple[int, int]:
    """Parse the numbers of vertices and faces; refuse numbers that the rest of the file cannot hold."""
    if not all(INTEGER.fullmatch(word) for word in words):
        raise ObjectError(f"unreadable counts {show(b' '.join(words))}")
    num_vertices, num_faces = int(words[0]), int(words[1])
    if num_vertices < 0 or num_faces < 0:
        raise ObjectError(f"negative counts {num_vertices} {num_faces}")
    # The last line may have no line end.
    if SHORTEST_VERTEX * num_vertices + SHORTEST_FACE * num_faces > bytes_left + 1:
        raise ObjectError(
            f"truncated: {num_vertices} vertices and {num_faces} faces announced, {bytes_left} bytes follow"
        )
    return num_vertices, num_faces


def _read_plain(data: bytes, start: int, num_vertices: int, num_faces: int) -> Mesh | None:
    """Read a file with three numbers per vertex line and ``3 a b c`` per face line; return None for other files."""
    cut = _find_line_end(data, start, num_vertices)
    if cut is None or num_faces == 0:
        return None
    vertices = _numbers(data[start:cut], np.float64)
    faces = None if vertices is None or vertices.size != 3 * num_vertices else _numbers(data[cut:], np.int64)
    if vertices is None or faces is None or faces.size != 4 * num_faces:
        return None
    table = faces.reshape(num_faces, 4)
    if (table[:, 0] != 3).any():
        return None
    triangles = np.ascontiguousarray(table[:, 1:])
    _check_corners(triangles, num_vertices)
    return vertices.reshape(num_vertices, 3), triangles


def _find_line_end(data: bytes, start: int, count: int) -> int | None:
    """Return the offset after ``count`` lines that begin at ``start``; None if there are fewer, or for no lines."""
    text = np.frombuffer(data, np.uint8)
    for first in range(start, len(text), BLOCK):
        is_end = text[first : first + BLOCK] == ord("\n")
        here = int(np.count_nonzero(is_end))
        if 0 < count <= here:
            return first + int(np.flatnonzero(is_end)[count - 1]) + 1
        count -= here
    return None


def _numbers(text: bytes, dtype: type) -> NDArray[Any] | None:
    """Parse a text of numbers; return None if it contains anything else."""
    with warnings.catch_warnings():
        # For unreadable text numpy gives a deprecation warning or, in newer versions, raises an
        # error.
        warnings.simplefilter("error")
        try:
            return np.fromstring(text, dtype, sep=" ")
        except (ValueError, DeprecationWarning):
            return None


def _check_corners(corners: NDArray[np.int64], num_vertices: int) -> None:
    """Refuse corners that name no vertex."""
    if corners.size and (corners.min() < 0 or corners.max() >= num_vertices):
        raise ObjectError(
            f"a face names vertex {corners.min() if corners.min() < 0 else corners.max()} of {num_vertices}"
        )


def _read_words(data: bytes, starts: tuple[int, ...], counts: _Counts) -> Mesh:
    """Read any file of this format by its words: by lines, or else in the first way that fits the whole file.

    The ways by specification come first: three counts before two, colours with alpha before colours
    without.
    """
    if counts.vertices == 0:
        return np.empty((0, 3)), np.empty((0, 3), np.int64)
    refusals: list[ObjectError] = []
    for start in starts:
        text = re.sub(rb"[^\n]", b" ", data[:start]) + data[start:]  # Lines keep their numbers.
        check_words(text)
        words = split_words(text)
        has_lines = len(words.firsts) >= counts.vertices + counts.faces
        ways = [(True, counts.coordinates)] if has_lines else []
        ways += [(False, size) for size in counts.words if len(words.starts) >= counts.vertices * size + counts.faces]
        for is_by_lines, size in ways:
            try:
                return _read_one_way(text, words, counts, size, is_by_lines=is_by_lines)
            except ObjectError as error:
                refusals.append(error)
        refusals.append(
            ObjectError(
                f"truncated: {counts.vertices} vertices and {counts.faces} faces announced, "
                f"{len(words.firsts)} lines follow"
            )
        )
    raise refusals[0]


def _read_one_way(text: bytes, words: Words, counts: _Counts, size: int, *, is_by_lines: bool) -> Mesh:
    """Read vertices that are the beginnings of lines, or that have ``size`` words each without regard to lines."""
    if is_by_lines:
        firsts, sizes = words.firsts[: counts.vertices], words.counts[: counts.vertices]
        if sizes.min() < size:
            line = int(words.starts[firsts[sizes.argmin()]])
            refuse_line(text, line, f"a vertex without {size} coordinates")
        after = int(firsts[-1] + sizes[-1])
    else:
        firsts, after = np.arange(counts.vertices) * size, counts.vertices * size
    corners, sizes = _read_faces(text, words, after, counts.faces)
    _check_corners(corners, counts.vertices)
    vertices = (firsts[:, None] + np.arange(counts.coordinates)).ravel()
    numbers = read_numbers(text, 0, words, vertices, cut_words(words, vertices))
    points = _divide(numbers.reshape(counts.vertices, -1))
    return points, triangulate_polygons(points, corners, sizes)


def _divide(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Divide coordinates by their weight, if they have one."""
    if points.shape[1] == 3:
        return points
    if not (points[:, 3] > 0).all():
        raise ObjectError("4OFF with a fourth coordinate that is not positive: not a homogeneous coordinate")
    return np.asarray(points[:, :3] / points[:, 3:], np.float64)


def _read_faces(text: bytes, words: Words, first: int, num_faces: int) -> tuple[NDArray[np.int64], Offsets]:
    """Read the corners of all faces, and their numbers; ``first`` is the first word."""
    row = int(np.searchsorted(words.firsts, first))
    num_lines = len(words.firsts) - row
    if first < len(words.starts) and (num_lines == 0 or words.firsts[row] != first):
        return _read_chain(words, first, num_faces)
    try:
        sizes, starts = _find_face_lines(text, words, row, num_faces)
    except ObjectError as error:
        try:
            return _read_chain(words, first, num_faces)
        except ObjectError:
            raise error from None
    indices = np.repeat(starts - (np.cumsum(sizes) - sizes), sizes) + np.arange(int(sizes.sum()))
    corners = parse_integers(words, indices)
    if corners is None:
        bad = next(index for index in indices.tolist() if not INTEGER.fullmatch(words.get(index)))
        refuse_line(text, int(words.starts[bad]), f"unreadable number {show(words.get(bad))} of a vertex")
    return corners, sizes


def _find_face_lines(text: bytes, words: Words, row: int, num_faces: int) -> tuple[Offsets, Offsets]:
    """Find faces that begin on lines of their own: their numbers of corners, and the words of their first corners."""
    firsts, counts = words.firsts[row:], words.counts[row:]
    if len(firsts) < num_faces:
        raise ObjectError(f"truncated: {num_faces} faces announced, {len(firsts)} lines follow the vertices")
    sizes = parse_integers(words, firsts[:num_faces])
    if sizes is not None and (sizes >= 0).all() and (counts[:num_faces] > sizes).all():
        _check_rest(text, words, row + num_faces, num_faces)
        return sizes, firsts[:num_faces] + 1
    is_wrapped = len(firsts) > num_faces  # Otherwise no line is left for the rest of a face.
    lengths, starts = np.empty(num_faces, np.int64), np.empty(num_faces, np.int64)
    line = 0
    for face in range(num_faces):
        if line == len(firsts):
            raise ObjectError(f"truncated: {num_faces} faces announced, {face} follow")
        word = int(firsts[line])
        name = words.get(word)
        if not INTEGER.fullmatch(name):
            refuse_line(text, int(words.starts[word]), f"unreadable number {show(name)} of corners")
        size, follow = int(name), int(counts[line]) - 1
        line += 1
        while is_wrapped and follow < size and line < len(firsts):
            follow += int(counts[line])
            line += 1
        if not 0 <= size <= follow:
            refuse_line(text, int(words.starts[word]), f"a face of {size} corners, but {follow} numbers follow")
        lengths[face], starts[face] = size, word + 1
    _check_rest(text, words, row + line, num_faces)
    return lengths, starts


def _check_rest(text: bytes, words: Words, row: int, num_faces: int) -> None:
    """Refuse numbers after the announced faces; note other lines."""
    if row < len(words.firsts):
        word = int(words.firsts[row])
        if NUMBER.fullmatch(words.get(word)):
            refuse_line(text, int(words.starts[word]), f"numbers after the last of {num_faces} announced faces")
        add_note(f"{len(words.firsts) - row} lines after the last face: left out")


def _read_chain(words: Words, first: int, num_faces: int) -> tuple[NDArray[np.int64], Offsets]:
    """Read faces that follow each other without regard to lines, so without colours, up to the end of the file."""
    numbers = parse_integers(words, np.arange(first, len(words.starts)))
    if numbers is None:
        raise ObjectError("a word that is no index among faces that share lines")
    heads: list[int] = []
    values, place = numbers.tolist(), 0
    for _ in range(num_faces):
        if place >= len(values):
            raise ObjectError(f"truncated: {num_faces} faces announced, {len(heads)} follow")
        if values[place] < 3:  # Hardly a face: this is not how the file is meant.
            raise ObjectError(f"a face of {values[place]} corners among faces that share lines")
        heads.append(place)
        place += values[place] + 1
    if place != len(values):
        what = "truncated: " if place > len(values) else ""
        raise ObjectError(f"{what}{num_faces} faces take {place} numbers, but {len(values)} follow the vertices")
    is_corner = np.ones(len(values), np.bool_)
    is_corner[heads] = False
    return numbers[is_corner], numbers[heads]
