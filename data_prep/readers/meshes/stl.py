"""Reader of .stl files, binary and text: the triangles in the order of the file, without normals and colours."""

import codecs
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.readers import limits
from data_prep.readers.meshes.lines import (
    WIDE_MARKS,
    Words,
    clean_text,
    cut_words,
    find_words,
    pack_keywords,
    pack_word,
    parse_numbers,
    read_numbers,
    refuse_line,
    show,
    split_words,
)
from data_prep.readers.meshes.polygons import triangulate_polygons
from data_prep.source import Shape, add_note
from spectral_ssl.ground.errors import ObjectError

BLOCK = 1 << 22  # bytes of text per block, so that the arrays of one block stay small
HEADER = 84  # bytes, the last 4 of which are the number of triangles
RECORD = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
UNKNOWN_COUNTS = (0, 0xFFFFFFFF)  # Written by programs that do not know the number when they write the header.
MARKS = (codecs.BOM_UTF8, *(mark for mark, _ in WIDE_MARKS))
# A letter for each kind of line, so that a regular expression can check their order.
KINDS = {
    b"solid": b"S",
    b"endsolid": b"X",
    b"facet": b"F",
    b"outer": b"O",
    b"vertex": b"V",
    b"endloop": b"L",
    b"endfacet": b"E",
}
ORDER = re.compile(rb"(?:[SX]|FOV{3,}+LE)*+")
BEGIN = re.compile(rb"(?:F(?:O(?:V+L?)?)?)?")
TRIANGLE = b"FOVVVLE"
WORDS_OF_FACET = 21  # A line of a solid's name with as many words may hold a facet.
# The name of a solid goes to the end of its line. Only in a file of a single line a facet may follow it.
NAME = re.compile(rb"^([ \t]*(?:end[ \t]*)?solid)\b((?:(?!\bfacet[ \t]+normal\b)[^\n])*)", re.MULTILINE | re.IGNORECASE)
SPLIT_KEYWORD = re.compile(rb"\bend[ \t]+(?=(?:solid|facet|loop)\b)", re.IGNORECASE)
BEFORE_KEYWORD = re.compile(rb"[ \t](?=(?:facet|outer|vertex|endloop|endfacet|endsolid)\b)", re.IGNORECASE)


def parse_stl(data: bytes) -> Shape:
    """Parse the triangles of an STL file.

    Parameters
    ----------
    data : bytes
        Content of the whole file. A file that begins with the word "solid" may be binary too. The
        size of a binary file tells. A text may hold several solids, keywords in upper case, and
        facets of more than three vertices.

    Returns
    -------
    Shape
        Points (3 F, 3) float64, three for each triangle in the order of the file, and faces (F, 3)
        int64. Vertices at the same place are not merged.

    Raises
    ------
    ObjectError
        When the file is truncated, its numbers disagree, or it is not of this format.

    Examples
    --------
    >>> from data_prep.readers.meshes.stl import parse_stl
    >>> facet = b"facet normal 0 0 1 outer loop vertex 0 0 0 vertex 1 0 0 vertex 0 1 0 endloop endfacet"
    >>> parse_stl(b"solid " + facet + b" endsolid").points.tolist()
    [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    """
    announced = int.from_bytes(data[80:HEADER], "little") if len(data) >= HEADER else -1
    if len(data) != HEADER + RECORD.itemsize * announced and _is_text(data):
        text = data if data.startswith(MARKS) else data.rstrip(b"\0")
        if len(text) < len(data):
            add_note(f"{len(data) - len(text)} zero bytes at the end: left out")
        return _parse_text(clean_text(text, ".stl"))
    if len(data) < HEADER:
        raise ObjectError(
            f"unreadable .stl file: {len(data)} bytes, neither a text that begins with 'solid' nor binary"
        )
    if data.isascii() and b"\0" not in data:
        raise ObjectError("unreadable .stl file: a text that does not begin with 'solid'")
    return _parse_binary(data, announced)


def _is_text(data: bytes) -> bool:
    """Return whether the file is a text: a wide text with a mark, or "solid" or "facet" and zeros only at the end."""
    if data.startswith(MARKS):
        return True
    return data[:1024].lstrip()[:5].lower() in (b"solid", b"facet") and b"\0" not in data.rstrip(b"\0")


def _parse_binary(data: bytes, announced: int) -> Shape:
    """Parse records of 50 bytes; where their number is not the announced one, decide by the size of the file."""
    follow, left = divmod(len(data) - HEADER, RECORD.itemsize)
    records = np.frombuffer(data, RECORD, follow, HEADER)
    if announced != follow:
        if announced in UNKNOWN_COUNTS and left == 0:
            add_note(f"{follow} triangles by the size of the file; the header announces {announced}")
        elif announced > follow:
            raise ObjectError(f"truncated: {announced} triangles announced, {follow} follow in {len(data)} bytes")
        elif announced == 0:
            raise ObjectError(f"0 triangles announced, but {len(data) - HEADER} bytes follow; write the file again")
        elif left == 0 and _has_area(records[announced:]):
            _check_normals(records[announced:], announced, follow)
            add_note(f"{follow} triangles by the size of the file; the header announces {announced}")
        else:
            records = records[:announced]
    rest = len(data) - HEADER - len(records) * RECORD.itemsize
    if rest:
        add_note(f"{rest} bytes after the last triangle: left out")
    points = records["corners"].astype(np.float64).reshape(-1, 3)
    return Shape(points, np.arange(len(points)).reshape(-1, 3))


def _has_area(records: NDArray[Any]) -> bool:
    """Return whether a record has corners that differ; padding of equal bytes has none."""
    corners = records["corners"]
    return bool((corners != corners[:, :1]).any())


def _check_normals(records: NDArray[Any], announced: int, follow: int) -> None:
    """Refuse records after the announced ones that are no triangles: normals have a length of at most 1."""
    with np.errstate(invalid="ignore"):
        is_triangle = (np.abs(records["normal"]) <= 1.01).all() and np.isfinite(records["corners"]).all()
    if not is_triangle:
        raise ObjectError(f"{announced} triangles announced, but {follow} follow, and the last are no triangles")


def _parse_text(text: bytes) -> Shape:
    """Parse a text; a text that is not one keyword a line is brought into this form first."""
    kinds, points = _read_lines(text) or _read_words(text)
    if b"S" in kinds and not kinds.endswith(b"X"):
        raise ObjectError("truncated: the text ends without endsolid")
    if kinds.count(b"F") * 3 == len(points):
        return Shape(points, np.arange(len(points)).reshape(-1, 3))
    ends = np.flatnonzero(np.frombuffer(kinds.replace(b"S", b"").replace(b"X", b""), np.uint8) == ord("L"))
    sizes = np.diff(ends, prepend=-2) - 4  # The lines between two endloops, without the four other keywords
    return Shape(points, triangulate_polygons(points, np.arange(len(points)), sizes))


def _read_lines(text: bytes) -> tuple[bytes, NDArray[np.float64]] | None:
    """Read a text with one keyword a line: the kinds of its lines, and the vertices; return None for any other."""
    kinds, numbers = [], []
    first, num_words = 0, 0
    while first < len(text):
        last = text.find(b"\n", first + BLOCK) + 1 or len(text)
        words = split_words(text[first:last])
        num_words += len(words.starts)
        if num_words > limits.MOST_WORDS:
            raise ObjectError(f"a text of {num_words} words, more than {limits.MOST_WORDS}")
        kinds.append(_find_kinds(words))
        letters = np.frombuffer(kinds[-1], np.uint8)
        rows = np.flatnonzero(letters == ord("V"))
        has_long_name = (words.counts[(letters == ord("S")) | (letters == ord("X"))] >= WORDS_OF_FACET).any()
        if has_long_name or (words.counts[rows] != 4).any():
            return None
        part = parse_numbers(cut_words(words, find_words(words, rows)), 3 * len(rows), np.float64)
        if part is None:
            return None
        numbers.append(part)
        first = last
    if not _is_ordered(b"".join(kinds)):
        return None
    return b"".join(kinds), np.concatenate(numbers).reshape(-1, 3)


def _read_words(text: bytes) -> tuple[bytes, NDArray[np.float64]]:
    """Read a text with its keywords anywhere, or refuse it."""
    limits.check_words(text)
    # Replacing blanks by line ends keeps the offsets, but not the numbers of lines.
    lines = NAME.sub(lambda match: match[1] + b" " * len(match[2]), text)
    lines = SPLIT_KEYWORD.sub(lambda match: b" " * (len(match[0]) - 3) + b"end", lines)
    words = split_words(BEFORE_KEYWORD.sub(b"\n", lines))
    kinds = _find_kinds(words)
    _check_order(text, words, kinds)
    rows = np.flatnonzero(np.frombuffer(kinds, np.uint8) == ord("V"))
    indices = find_words(words, rows)
    return kinds, read_numbers(text, 0, words, indices, cut_words(words, indices)).reshape(-1, 3)


def _find_kinds(words: Words) -> bytes:
    """Return a letter of ``KINDS`` for each line with words, or ? for any other."""
    names = pack_keywords(words, np.arange(len(words.firsts)))
    kinds = np.full(len(names), ord("?"), np.uint8)
    for name, letter in KINDS.items():
        kinds[names == pack_word(name)] = ord(letter)
    return kinds.tobytes()


def _is_ordered(kinds: bytes) -> bool:
    """Return whether the lines follow each other as they should."""
    triangles = kinds.strip(b"SX")
    if triangles == TRIANGLE * (len(triangles) // len(TRIANGLE)):
        return True  # Nearly always, and ten times as fast as the regular expression
    return ORDER.fullmatch(kinds) is not None


def _check_order(text: bytes, words: Words, kinds: bytes) -> None:
    """Refuse lines in a wrong order, and vertices without three numbers."""
    match = ORDER.match(kinds)
    facet = match.end() if match else 0
    if facet < len(kinds):
        begin = BEGIN.match(kinds, facet)
        wrong = begin.end() if begin else facet  # The first line that differs from those of a facet
        if wrong >= len(kinds) - 1 and b"E" not in kinds[facet:]:
            raise ObjectError("truncated: the text ends within a facet, without endfacet and endsolid")
        word = int(words.firsts[wrong])
        what = "a facet of fewer than 3 vertices" if kinds[wrong : wrong + 1] == b"E" else show(words.get(word))
        refuse_line(text, int(words.starts[word]), f"{what} where STL has another word")
    is_short = (np.frombuffer(kinds, np.uint8) == ord("V")) & (words.counts != 4)
    if is_short.any():
        row = int(is_short.argmax())
        what = f"a vertex of {words.counts[row] - 1} numbers, which should be x y z"
        refuse_line(text, int(words.starts[words.firsts[row]]), what)
