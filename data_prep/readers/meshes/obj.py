"""Reader of Wavefront .obj files: polygons or a cloud, without materials, normals and texture coordinates.

numpy handles the lines of a block of the text at once. A line that it cannot parse is parsed again
by itself, for a message that names the line.
"""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from data_prep.readers import limits
from data_prep.readers.meshes.lines import (
    MOST_DIGITS,
    Offsets,
    Words,
    blank_comments,
    clean_text,
    cut_lines,
    find_words,
    pack_keywords,
    pack_word,
    parse_integers,
    read_numbers,
    refuse_line,
    show,
    split_words,
    unpack_word,
)
from data_prep.readers.meshes.polygons import triangulate_polygons
from data_prep.source import Shape, add_note
from spectral_ssl.ground.errors import ObjectError

BLOCK = 1 << 22  # bytes of text per block, so that the arrays of one block stay small
# The first bytes of object files of compilers for Windows (COFF) and Unix (ELF).
COMPILED = (b"\x4c\x01", b"\x64\x86", b"\x64\xaa", b"\0\0\xff\xff", b"\x7fELF")
# Names may end in a backslash, such as a Windows path. This does not continue their line.
NAMES = re.compile(rb"^[ \t]*(?:usemtl|mtllib|usemap|maplib|[gos])[ \t][^\n]*", re.MULTILINE)
CONTINUATION = re.compile(rb"\\[ \t]*\n")
CORNER = re.compile(rb"[+-]?\d+(?:/.*)?", re.DOTALL)
LINES, SURFACES, CURVES, CALLS = (b"l",), (b"surf", b"bzp", b"bsp"), (b"curv", b"cdc", b"cdp"), (b"call", b"csh")
# Statements without effect on the points: groups, materials, display, and parts of curves and surfaces.
WITHOUT_EFFECT = b"""
    vn vt vp p g s o mg usemtl mtllib usemap maplib lod bevel c_interp d_interp shadow_obj trace_obj ctech stech cstype
    deg bmat step parm trim hole scrv sp end con curv2 res newmtl ka kd ks ke ni ns d tr tf illum""".split()
KNOWN = np.array([pack_word(word) for word in (*WITHOUT_EFFECT, *LINES, *SURFACES, *CURVES, *CALLS)], np.uint64)
UNKNOWN = b"?"
NUMBER_SIGNS = np.frombuffer(b"+-.0123456789", np.uint8)
VERTEX_SIZES = (3, 4, 6, 7)  # x y z, with a weight for curves, with a colour, with a colour and its alpha


@dataclass(frozen=True)
class _Block:
    """Vertices and polygons of one block of lines.

    ``corners`` (K,) count from 0; ``lines`` (P,) holds the offset of each polygon in the file.
    """

    points: NDArray[np.float64]
    corners: Offsets
    sizes: Offsets
    lines: Offsets


def parse_obj(data: bytes) -> Shape:
    r"""Parse the vertices and polygons of a Wavefront OBJ file.

    Parameters
    ----------
    data : bytes
        Content of the whole file. Keywords may be in upper case. Spaces, tabs, comments and
        continued lines may be anywhere. Negative indices count back from the last vertex above
        their line. The weight or colour after the coordinates of a vertex is skipped.

    Returns
    -------
    Shape
        Points (N, 3) float64 in the order of the file. Faces (F, 3) int64 in the order of the file;
        polygons are cut by ``triangulate_polygons``. A file with vertices only is a cloud.

    Raises
    ------
    ObjectError
        When a line is damaged, an index names no vertex, or the file holds only lines, curves, or
        surfaces that are not polygons. The message names the line.

    Examples
    --------
    >>> from data_prep.readers.meshes.obj import parse_obj
    >>> shape = parse_obj(b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1/1 2/2 -1/3  # a triangle\n")
    >>> shape.faces.tolist()
    [[0, 1, 2]]
    """
    if data.startswith(COMPILED) and b"\0" in data[:64]:
        raise ObjectError("an object file of a compiler, not a Wavefront .obj mesh")
    text = _join_lines(blank_comments(clean_text(data, ".obj")))
    others: dict[bytes, int] = {}
    blocks: list[_Block] = []
    first, num_vertices, num_words = 0, 0, 0
    while first < len(text):
        last = text.find(b"\n", first + BLOCK) + 1 or len(text)
        block = _parse_block(text, first, last, num_vertices, others)
        num_vertices += len(block.points)
        num_words += 4 * len(block.points) + len(block.sizes) + len(block.corners)
        if num_words > limits.MOST_WORDS:  # Normals and texture coordinates take no memory.
            raise ObjectError(f"a text of {num_words} words, more than {limits.MOST_WORDS}")
        blocks.append(block)
        first = last
    points = np.concatenate([block.points for block in blocks]) if blocks else np.empty((0, 3))
    sizes = np.concatenate([block.sizes for block in blocks]) if blocks else np.empty(0, np.int64)
    _check_others(others, len(points), len(sizes))
    if len(sizes) == 0:
        add_note("no faces: read as a cloud of the vertices")  # A mesh that was cut looks the same.
        return Shape(points)
    _check_corners(text, blocks, len(points))
    corners = np.concatenate([block.corners for block in blocks])
    return Shape(points, triangulate_polygons(points, corners, sizes))


def _join_lines(text: bytes) -> bytes:
    """Replace the line ends after a backslash by vertical tabs, which are blanks that number_line counts."""
    if b"\\" not in text or not CONTINUATION.search(text):
        return text
    text = NAMES.sub(lambda match: b" " * len(match.group()), text)
    return CONTINUATION.sub(lambda match: b" " * (len(match.group()) - 1) + b"\v", text)


def _parse_block(text: bytes, first: int, last: int, num_vertices: int, others: dict[bytes, int]) -> _Block:
    """Parse the lines from ``first`` to ``last``; count the other statements in ``others``."""
    words = split_words(text[first:last])
    if len(words.firsts) == 0:
        return _Block(np.empty((0, 3)), *(np.empty(0, np.int64) for _ in range(3)))
    starts = words.starts[words.firsts]
    lengths = words.ends[words.firsts] - starts
    letters = words.text[starts] | 32  # Lower case
    seconds = words.text[np.minimum(starts + 1, len(words.text) - 1)] | 32
    is_vertex = (lengths == 1) & (letters == ord("v"))
    # "fo" is the name of a face in old files.
    is_face = (letters == ord("f")) & ((lengths == 1) | ((lengths == 2) & (seconds == ord("o"))))
    is_normal = (lengths == 2) & (letters == ord("v")) & ((seconds == ord("n")) | (seconds == ord("t")))
    _count_others(text, first, words, np.flatnonzero(~(is_vertex | is_face | is_normal)), others)
    before = (num_vertices + np.cumsum(is_vertex))[is_face]
    points = _parse_vertices(text, first, words, np.flatnonzero(is_vertex))
    corners, sizes = _parse_faces(text, first, words, np.flatnonzero(is_face), before)
    return _Block(points, corners, sizes, first + starts[is_face])


def _count_others(text: bytes, first: int, words: Words, rows: Offsets, others: dict[bytes, int]) -> None:
    """Count the statements that are neither vertices nor faces, by their first 8 letters in lower case."""
    starts = words.starts[words.firsts[rows]]
    names, counts = np.unique(pack_keywords(words, rows), return_counts=True)
    if np.isin(names & np.uint64(255), NUMBER_SIGNS).any():
        index = int(np.isin(words.text[starts], NUMBER_SIGNS).argmax())
        word = show(words.get(int(words.firsts[rows[index]])))
        refuse_line(text, first + int(starts[index]), f"begins with {word}, not with a keyword such as v or f")
    is_known = np.isin(names, KNOWN)
    for number, count in zip(names[is_known].tolist(), counts[is_known].tolist(), strict=True):
        name = unpack_word(number)
        others[name] = others.get(name, 0) + count
    others[UNKNOWN] = others.get(UNKNOWN, 0) + int(counts[~is_known].sum())


def _check_others(others: dict[bytes, int], num_vertices: int, num_faces: int) -> None:
    """Refuse a file whose surface is not, or not only, made of polygons; note what is left out."""
    for names, what in ((SURFACES, "free-form surfaces"), (CALLS, "calls of other files")):
        if any(name in others for name in names):
            raise ObjectError(f"{what}, which are not read; convert the file to polygons")
    num_lines = sum(others.get(name, 0) for name in LINES)
    num_curves = sum(others.get(name, 0) for name in CURVES)
    if num_faces == 0 and (num_lines or num_curves):
        what = f"{num_lines} lines (edges)" if num_lines else f"{num_curves} curves"
        raise ObjectError(f"{what} and no faces: no surface to sample; give faces, or only vertices for a cloud")
    if num_vertices == 0:
        raise ObjectError("no vertices: no line begins with v" if num_faces == 0 else "no vertices for the faces")
    for number, what in ((num_lines, "lines (edges)"), (num_curves, "curves")):
        if number:
            add_note(f"{number} {what} next to the faces: left out")
    if others.get(UNKNOWN):
        add_note(f"{others[UNKNOWN]} statements that OBJ does not define: left out")


def _parse_vertices(text: bytes, first: int, words: Words, rows: Offsets) -> NDArray[np.float64]:
    """Parse the coordinates on the lines of vertices, shape (n, 3)."""
    sizes = words.counts[rows] - 1
    wrong = np.flatnonzero(~np.isin(sizes, VERTEX_SIZES))
    if len(wrong):
        offset = first + int(words.starts[words.firsts[rows[wrong[0]]]])
        refuse_line(text, offset, f"a vertex of {sizes[wrong[0]]} numbers, which should be 3 to 7: x y z and a colour")
    numbers = read_numbers(text, first, words, find_words(words, rows), cut_lines(words, rows))
    if len(sizes) and (sizes == sizes[0]).all():
        return np.ascontiguousarray(numbers.reshape(len(rows), -1)[:, :3])
    return np.asarray(numbers[(np.cumsum(sizes) - sizes)[:, None] + np.arange(3)], np.float64)


def _parse_faces(
    text: bytes, first: int, words: Words, rows: Offsets, before: Offsets
) -> tuple[NDArray[np.int64], Offsets]:
    """Parse the corners of faces, counted from 0, and the number of corners of each.

    ``before`` (n,) is the number of vertices above each of the lines ``rows`` (n,).
    """
    sizes = words.counts[rows] - 1
    # A face of one or two corners is legal nonsense, except where the file was cut.
    has_last = len(rows) > 0 and rows[-1] == len(words.firsts) - 1
    if has_last and first + words.ends[-1] == len(text) and sizes[-1] < 3:
        refuse_line(text, len(text), f"truncated: a face of {sizes[-1]} corners at the end of the file")
    corner_words = find_words(words, rows)
    numbers = parse_integers(words, corner_words, stop=b"/")
    if numbers is None or not numbers.all():
        for word in corner_words.tolist():
            name = words.get(word)
            if not CORNER.fullmatch(name):
                refuse_line(text, first + int(words.starts[word]), f"unreadable corner {show(name)} of a face")
            digits = name.split(b"/")[0].lstrip(b"+-")
            if len(digits) > MOST_DIGITS:
                refuse_line(
                    text, first + int(words.starts[word]), f"a face names vertex {show(name)}, which is not there"
                )
            if not digits.strip(b"0"):
                refuse_line(text, first + int(words.starts[word]), "index 0 of a face; the first vertex is 1 in OBJ")
    assert numbers is not None
    if len(numbers) and numbers.min() < 0:
        corners = np.where(numbers > 0, numbers - 1, np.repeat(before, sizes) + numbers)
        if corners.min() < 0:
            row = int(np.searchsorted(np.cumsum(sizes), corners.argmin(), side="right"))
            offset = first + int(words.starts[words.firsts[rows[row]]])
            refuse_line(
                text, offset, f"a face names vertex {numbers[corners.argmin()]}, but {before[row]} are above it"
            )
        return corners, sizes
    return numbers - 1, sizes


def _check_corners(text: bytes, blocks: list[_Block], num_vertices: int) -> None:
    """Refuse a corner beyond the vertices; a face may name vertices below it, so this check comes last."""
    for block in blocks:
        if len(block.corners) and (largest := int(block.corners.max())) >= num_vertices:
            row = int(np.searchsorted(np.cumsum(block.sizes), block.corners.argmax(), side="right"))
            refuse_line(text, int(block.lines[row]), f"a face names vertex {largest + 1} of {num_vertices}")
