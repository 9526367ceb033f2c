"""Reader of clouds as text (.xyz, .pts, .txt, .asc): one point a line, in many dialects.

Numbers may be separated by blanks, tabs, commas or semicolons. A plain table is read by numpy's
parser. Any other text is read line by line: comments, header words and names of columns, counts of
points, decimal commas, molecules, damaged lines.
"""

import io
import re
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_prep.readers.clouds.column_names import UNIT, find_axes, refuse_names
from data_prep.readers.clouds.columns import choose_columns
from data_prep.readers.clouds.separators import decode_text, make_plain
from data_prep.readers.limits import check_words
from data_prep.source import Shape, add_note
from spectral_ssl.ground.errors import ObjectError

COMMENT_SIGNS = ("#", "//", "%", "!", ";")
NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$")
NOT_A_NUMBER = re.compile(r"[+-]?(?:nan|inf|infinity|null|none|na|n/a|-|nan\(ind\)|1\.#\w+)$", re.IGNORECASE)
LABEL = re.compile(r"[A-Za-z]{1,3}\d*$")  # A chemical symbol or the number of a point, such as C, Cl2 or P12.
COUNT = re.compile(
    r"(?:\d+ +(?:points?|vertices|rows|lines|pts)|(?:points?|vertices|count|number of points) *[:=]? *\d+)$", re.I
)
MOST_HEADER_LINES = 40
BYTES_OF_HEAD = 2048
MOST_BAD = 0.1  # Largest share of lines that may be left out.
# Scans as PTX begin with the numbers of columns and rows, the scanner's place and axes, and a matrix of 4 x 4.
PTX = re.compile(
    r"\s*\d+\s*\n\s*\d+[ \t]*\n(?:[ \t]*\S+(?:[ \t]+\S+){2}[ \t]*\n){0,4}(?:[ \t]*\S+(?:[ \t]+\S+){3}[ \t]*\n){4}"
)
PLAIN = re.compile(r"[0-9eE+\-. \t\n]*")


def parse_text(data: bytes, path: Path) -> Shape:
    """Parse a cloud from a text of one point a line.

    Parameters
    ----------
    data : bytes
        Content of the whole file: UTF-8, or UTF-16 with a byte order mark, with any line ends.
    path : Path
        Path of the file, which is not opened. Lines may begin with a word, such as a chemical
        symbol, unless it ends in .txt, because lists of names end so too.

    Returns
    -------
    Shape
        The columns named x, y and z, or the first three.

    Raises
    ------
    ObjectError
        When the text is no table of numbers with three columns, or can be read in two ways.
    """
    check_words(data.replace(b";", b" ") if b";" in data else data)
    text = decode_text(data)
    plain = _read_plain(text)
    if plain is not None:
        return choose_columns(plain)
    if PTX.match(text[:BYTES_OF_HEAD]):
        raise ObjectError("a PTX scan (columns, rows, a matrix), not a list of points: convert it to .xyz or .ply")
    text = make_plain(text)
    return _read_below_head(text) or _read_lines(
        [line.strip() for line in text.split("\n")], allow_labels=path.suffix.lower() != ".txt"
    )


def _read_below_head(text: str) -> Shape | None:
    """Read a plain table below lines of words, names, comments and a count; return None for any other text."""
    start = 0
    for _ in range(MOST_HEADER_LINES):
        end = text.find("\n", start) + 1
        if end == 0:
            return None
        words = text[start:end].split()
        if len(words) >= 3 and all(map(_is_number, words)):
            break
        start = end
    table = _read_plain(text[start:])
    if table is None:
        return None
    content = _sort_lines([line.strip() for line in text[:start].split("\n")])
    if content.rows:
        return None
    _check_words(content)
    _check_counts(content, len(table))
    return choose_columns(table, _fit_names(content, table.shape[1]))


def _read_plain(text: str) -> NDArray[np.float64] | None:
    """Read a table of numbers between blanks; return None for any other text."""
    if PLAIN.fullmatch(text) is None or not text.strip():
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            table = np.loadtxt(io.StringIO(text), ndmin=2, comments=None)
    except (ValueError, UserWarning):
        return None
    return table if table.shape[1] >= 3 else None


@dataclass
class _Lines:
    """What the lines of a text are.

    Attributes
    ----------
    rows : list of list of str
        The words of each line with numbers.
    names : list of str
        The last header or comment before the numbers that names the columns x, y and z.
    title : list of str
        The words of the last line before the numbers.
    shortest : int
        Number of columns before a list of any length that ends each row; 0 without such a list.
    counts : list of tuple of int
        (announced number of points, number of rows before it), for each line of a single integer.
    words : list of str
        The lines of words before the numbers.
    """

    rows: list[list[str]] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    title: list[str] = field(default_factory=list)
    shortest: int = 0
    counts: list[tuple[int, int]] = field(default_factory=list)
    words: list[str] = field(default_factory=list)


def _read_lines(lines: list[str], allow_labels: bool) -> Shape:
    """Read a cloud line by line.

    Raises
    ------
    ObjectError
        When the lines are no cloud.
    """
    content = _sort_lines(lines)
    _check_words(content)
    if not content.rows:
        if len(content.counts) > 1:
            raise ObjectError("not a table of points: one number a line, a cloud has three columns (x y z) or more")
        if content.words:
            raise ObjectError(f"not a table of numbers: words such as {content.words[0][:40]!r}")
        raise ObjectError("no points: a text without numbers")
    _check_counts(content, len(content.rows))
    rows = content.rows
    if content.shortest:
        rows = [row[: content.shortest] for row in rows]
    width = Counter(map(len, rows)).most_common(1)[0][0]
    labelled = allow_labels and sum(LABEL.match(row[0]) is not None for row in rows) > (1 - MOST_BAD) * len(rows)
    table = np.full((len(rows), max(width, 1)), np.nan)
    bad = 0
    for number, row in enumerate(rows):
        if len(row) != width:
            bad += 1
            continue
        table[number, int(labelled) :] = [_parse_number(word) for word in row[int(labelled) :]]
    if bad > MOST_BAD * len(rows):
        widths = ", ".join(f"{count} of {size} numbers" for size, count in Counter(map(len, rows)).most_common(4))
        raise ObjectError(f"not a table of numbers: lines of different lengths ({widths})")
    if bad:
        add_note(f"{bad} of {len(rows)} lines do not hold {width} numbers: left out")
        table = table[[len(row) == width for row in rows]]
    names = _fit_names(content, width)
    if labelled:
        add_note("a word at the beginning of each line, such as a chemical symbol: left out")
        table, names = table[:, 1:], names[1:] if names else None
    worded = [" ".join(row) for row in rows if any(not _is_number(word) for word in row[int(labelled) :][:3])]
    if names is None and len(worded) > MOST_BAD * len(rows):
        raise ObjectError(f"not a table of numbers: lines such as {worded[0][:40]!r}")
    return choose_columns(table, names)


def _fit_names(content: _Lines, width: int) -> list[str] | None:
    """Return the names of the columns, or None if there are none; refuse names of other columns."""
    names = content.names
    if not names:
        refuse_names(content.title, width)
        return None
    if len(names) == width or 0 < content.shortest <= width:
        return names
    if find_axes(names) == [0, 1, 2] and len(names) <= width:
        return None
    raise ObjectError(f"{len(names)} names of columns ({' '.join(names)[:60]}) for {width} columns: name each column")


def _check_words(content: _Lines) -> None:
    """Refuse a raster of heights in the format of ESRI."""
    if any(line.lower().startswith("ncols") for line in content.words):
        raise ObjectError("a grid of heights (ncols, nrows), not points: save it as x y z")


def _sort_lines(lines: list[str]) -> _Lines:
    """Tell rows of numbers, names of columns, counts and words apart."""
    content = _Lines()
    for number, line in enumerate(lines):
        if not line:
            continue
        if line.startswith(COMMENT_SIGNS):
            _keep_names(content, line)
            continue
        words = re.split(r"#|//", line, maxsplit=1)[0].split()
        numeric = sum(map(_is_number, words))
        first_row = not content.rows
        if len(words) == 1 and words[0].isdigit():
            content.counts.append((int(words[0]), len(content.rows)))
        elif first_row and numeric < 3 and not (numeric == len(words) and numeric > 0):
            # Words before the first point: names of columns, a title, or the comment of a molecule.
            if COUNT.match(line) and not content.counts:
                content.counts.append((int(re.findall(r"\d+", line)[0]), 0))
            else:
                content.words.append(line)
                _keep_names(content, line)
            if len(content.words) > MOST_HEADER_LINES:
                raise ObjectError(f"not a table of numbers: words such as {content.words[0][:40]!r}")
        elif first_row and content.counts and len(content.counts) == 1 and number == 1 and numeric < len(words) - 1:
            content.words.append(line)  # The second line of a molecule may hold numbers among its words.
        else:
            content.rows.append(words)
    return content


def _keep_names(content: _Lines, line: str) -> None:
    """Keep the words of a line before the first row as names of columns if x, y and z are among them."""
    if content.rows:
        return
    content.title = UNIT.sub("", line.lstrip("#/%!; \t")).split()
    if find_axes(content.title) is not None:
        lower = [word.lower() for word in content.title]
        # COLMAP ends each line with a track of any length.
        content.shortest = lower.index("track") if "track" in lower else 0
        content.names = content.title[: content.shortest or None]


def _check_counts(content: _Lines, rows: int) -> None:
    """Compare the announced numbers of points with the rows, for one or several scans in one file.

    Raises
    ------
    ObjectError
        When fewer or more points follow.
    """
    if not content.counts:
        return
    ends = [start for _, start in content.counts[1:]] + [rows]
    for (announced, start), end in zip(content.counts, ends, strict=True):
        if announced > end - start:
            raise ObjectError(f"truncated: {announced} points announced, {end - start} lines follow")
        if announced < end - start:
            raise ObjectError(f"{announced} points announced, {end - start} lines follow: correct the count")
    if len(content.counts) > 1:
        if all(LABEL.match(row[0]) for row in content.rows[:20]):
            raise ObjectError(f"{len(content.counts)} frames in one file: write one file a frame")
        add_note(f"{len(content.counts)} scans in one file: read as one cloud")


def _is_number(word: str) -> bool:
    """Return whether a word is a number, or says that a number is missing."""
    return NUMBER.match(word) is not None or NOT_A_NUMBER.match(word) is not None


def _parse_number(word: str) -> float:
    """Parse a number; return NaN for any other word."""
    return float(word) if NUMBER.match(word) else np.nan
