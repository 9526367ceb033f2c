"""Tables of a .ply file: the columns of its elements, from a text or from binary rows.

Rows with lists of one length are one call of numpy, in binary files and in texts. Only binary rows
whose lists differ in length are walked one by one, because each row begins where the last one ends.
"""

import re
import struct
import warnings
from array import array
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.readers.limits import MOST_CORNERS
from data_prep.readers.meshes.lines import show
from data_prep.readers.meshes.ply_header import Element, Header, Property
from data_prep.source import add_note
from spectral_ssl.ground.errors import ObjectError

MOST_WALKED = 1 << 24  # binary rows whose lists differ in length; each takes 0.3 microseconds and 16 bytes a list
PADDING = b" \t\r\n\0\x1a"  # Bytes that programs leave after the last row.
SPACES = np.isin(np.arange(256), np.frombuffer(b" \t\n\v\f\r", np.uint8))
LINE_ENDS = np.isin(np.arange(256), np.frombuffer(b"\n\r", np.uint8))
BLOCK = 1 << 24  # bytes of a text whose words are counted at once
# Microsoft's library writes NaN and infinity in this way.
ODD_NUMBERS = re.compile(rb"[-+]?(?:1\.#(?:QNAN|SNAN|IND|INF)\d*|nan\(\w*\))", re.IGNORECASE)

# Letters of the module struct for the types of the lengths of lists.
LENGTHS = {"i1": "b", "u1": "B", "i2": "h", "u2": "H", "i4": "i", "u4": "I", "i8": "q", "u8": "Q"}

Offsets = NDArray[np.int64]
Wanted = Mapping[int, Collection[int]]


@dataclass(frozen=True)
class Column:
    """Values of one property of all rows.

    Attributes
    ----------
    values : ndarray, shape (K,)
        Values of all rows, one row after the other, in the type of the file; float64 from a text.
        Integers of binary lists are converted to int64.
    sizes : ndarray, shape (rows,), int64, or None
        Number of values of each row; None for a property of one value.
    """

    values: NDArray[Any]
    sizes: Offsets | None = None


Columns = dict[tuple[int, int], Column]


def read_columns(data: bytes, header: Header, wanted: Wanted) -> Columns:
    """Read some properties of some elements of a .ply file; skip the others.

    Parameters
    ----------
    data : bytes
        Content of the whole file.
    header : Header
        Its header.
    wanted : mapping from int to collection of int
        Positions of properties, by the positions of their elements.

    Returns
    -------
    dict
        The column of each pair of an element's and a property's position in ``wanted``.

    Raises
    ------
    ObjectError
        When the file holds less than announced, or something else.
    """
    if not header.order:
        return _read_text(data, header, wanted)
    columns: Columns = {}
    start = header.start
    for number, element in enumerate(header.elements):
        if element.count and element.properties:
            read = _read_rows if element.has_lists else _read_plain_rows
            table, start = read(data, start, element, header.order, wanted.get(number, ()))
            columns.update({(number, place): column for place, column in table.items()})
        else:
            columns.update({(number, place): _empty(element.properties[place]) for place in wanted.get(number, ())})
    if data[start:].strip(PADDING):
        add_note(f"{len(data) - start} bytes after the last row: left out")
    return columns


def _empty(part: Property) -> Column:
    """Return the column of an element without rows."""
    return Column(np.empty(0, part.kind), np.empty(0, np.int64) if part.count_kind else None)


def _truncated(element: Element, present: int) -> ObjectError:
    """Return the error for an element that ends too early."""
    return ObjectError(f"truncated: {element.count} rows of {element.name!r} announced, {present} follow")


Table = dict[int, Column]


def _read_plain_rows(
    data: bytes, start: int, element: Element, order: str, wanted: Collection[int]
) -> tuple[Table, int]:
    """Read binary rows without lists; return the wanted columns, and the offset of the next element."""
    kind = np.dtype([(str(place), order + part.kind) for place, part in enumerate(element.properties)])
    if start + element.count * kind.itemsize > len(data):
        raise _truncated(element, (len(data) - start) // kind.itemsize)
    table = np.frombuffer(data, kind, element.count, start)
    return {place: Column(table[str(place)]) for place in wanted}, start + element.count * kind.itemsize


def _read_rows(data: bytes, start: int, element: Element, order: str, wanted: Collection[int]) -> tuple[Table, int]:
    """Read binary rows with lists; return the wanted columns, and the offset of the next element."""
    ends, sizes = _walk_rows(data, start, element, order, 1)
    lengths = iter(sizes[:, 0].tolist())
    fields: list[tuple[Any, ...]] = []
    for place, part in enumerate(element.properties):
        if part.count_kind:
            fields += [(f"length{place}", order + part.count_kind), (str(place), order + part.kind, (next(lengths),))]
        else:
            fields.append((str(place), order + part.kind))
    kind = np.dtype(fields)
    end = start + element.count * kind.itemsize
    if end <= len(data):
        table = np.frombuffer(data, kind, element.count, start)
        lists = [place for place, part in enumerate(element.properties) if part.count_kind]
        if all((table[f"length{place}"] == table[str(place)].shape[1]).all() for place in lists):
            _check_corners(sum(element.count + table[str(place)].size for place in lists if place in wanted))
            return {
                place: Column(_widen(table[str(place)]).ravel(), np.full(element.count, table[str(place)].shape[1]))
                if place in lists
                else Column(table[str(place)])
                for place in wanted
            }, end
    if element.count > MOST_WALKED:
        raise ObjectError(f"{element.count} rows of {element.name!r} with lists of several lengths: too many")
    ends, sizes = _walk_rows(data, start, element, order, element.count)
    return _gather_columns(data, ends, sizes, element, order, wanted), int(_row_ends(ends, element)[-1])


def _widen(values: NDArray[Any]) -> NDArray[Any]:
    """Convert integers to int64, and leave floats."""
    return values if values.dtype.kind == "f" else values.astype(np.int64)


def _check_corners(count: int) -> None:
    """Refuse lists that would not fit into memory as int64."""
    if count > MOST_CORNERS:
        raise ObjectError(f"lists of {count} values and lengths, more than {MOST_CORNERS}")


def _walk_rows(data: bytes, start: int, element: Element, order: str, count: int) -> tuple[Offsets, Offsets]:
    """Find where the first ``count`` binary rows and their lists lie.

    Returns
    -------
    ends : ndarray, shape (lists + 1, count), int64
        Offsets of the rows, then of the ends of their first lists, second lists and so on.
    sizes : ndarray, shape (lists, count), int64
        Number of values of the lists.
    """
    steps: list[tuple[int, Callable[..., Any], int, int]] = []
    skipped = 0
    for part in element.properties:
        if part.count_kind:
            length = struct.Struct(order + LENGTHS[part.count_kind])
            steps.append((skipped, length.unpack_from, length.size, int(part.kind[1:])))
            skipped = 0
        else:
            skipped += part.fewest_bytes
    ends, sizes = array("q"), array("q")
    offset = start
    for row in range(count):
        ends.append(offset)
        try:
            for skip, unpack, width, item in steps:
                (size,) = unpack(data, offset + skip)
                if size < 0:
                    raise ObjectError(f"row {row + 1} of {element.name!r} has a list of {size} values")
                offset += skip + width + size * item
                ends.append(offset)
                sizes.append(size)
        except struct.error:
            raise _truncated(element, row) from None
        offset += skipped
        if offset > len(data):
            raise _truncated(element, row)
    shape = (count, len(steps))
    return (
        np.frombuffer(ends, np.int64).reshape(count, len(steps) + 1).T,
        np.frombuffer(sizes, np.int64).reshape(shape).T,
    )


def _row_ends(ends: Offsets, element: Element) -> Offsets:
    """Return the offsets of the ends of rows: those of the last lists, and the values after them."""
    after = 0
    for part in element.properties:
        after = 0 if part.count_kind else after + part.fewest_bytes
    return ends[-1] + after


def _gather_columns(
    data: bytes, ends: Offsets, sizes: Offsets, element: Element, order: str, wanted: Collection[int]
) -> Table:
    """Collect the wanted columns of binary rows that lie at the offsets of ``_walk_rows``."""
    table: Table = {}
    number, after = 0, 0
    for place, part in enumerate(element.properties):
        kind = np.dtype(order + part.kind)
        if part.count_kind:
            if place in wanted:
                _check_corners(element.count + int(sizes[number].sum()))
                offsets = ends[number + 1] - sizes[number] * kind.itemsize
                values = _gather(data, _spread(offsets, sizes[number], kind.itemsize), kind)
                table[place] = Column(_widen(values), sizes[number])
            number, after = number + 1, 0
        else:
            if place in wanted:
                table[place] = Column(_gather(data, ends[number] + after, kind))
            after += kind.itemsize
    return table


def _spread(offsets: Offsets, sizes: Offsets, step: int) -> Offsets:
    """Return the offsets of the values of lists that begin at ``offsets``."""
    within = np.arange(int(sizes.sum())) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.repeat(offsets, sizes) + step * within


def _gather(data: bytes, offsets: Offsets, kind: np.dtype[Any]) -> NDArray[Any]:
    """Return the values of one type at any offsets: one view of the bytes for each remainder of the offsets."""
    values = np.empty(len(offsets), kind)
    for remainder in range(kind.itemsize):
        view = np.frombuffer(data, kind, max(len(data) - remainder, 0) // kind.itemsize, remainder)
        rows = np.flatnonzero(offsets % kind.itemsize == remainder)
        values[rows] = view[offsets[rows] // kind.itemsize]
    return values


def _read_text(data: bytes, header: Header, wanted: Wanted) -> Columns:
    """Read the wanted columns of a text: one row on each line, or the same words on other lines."""
    body = data[header.start :].rstrip(PADDING)
    lengths, ends = _count_words(body)
    rows = sum(element.count for element in header.elements if element.properties)
    is_longer = rows < len(lengths)
    try:
        # Lines after the last row may hold anything, so they are not parsed.
        values = _parse_numbers(body[: int(ends[rows - 1]) if rows else 0] if is_longer else body)
        columns = _split_words(values, lengths[:rows], header, wanted)
    except ObjectError as error:
        with suppress(ObjectError):
            values = _parse_numbers(body)
            guess = _guess_lengths(values, header)
            if guess is not None:
                columns = _split_words(values, guess, header, wanted)
                if all((column.sizes >= 3).all() for column in columns.values() if column.sizes is not None):
                    add_note(f"{rows} rows on {len(lengths)} lines: read in the order of the words")
                    return columns
        raise error from None
    if is_longer:
        more = len(lengths) - rows
        if lengths[rows] in lengths[:rows] and _holds_numbers(body[int(ends[rows - 1]) :]):
            raise ObjectError(f"{rows} rows announced, {more} more of numbers follow: correct the counts in the header")
        add_note(f"{more} lines after the last row: left out")
    return columns


def _count_words(body: bytes) -> tuple[Offsets, Offsets]:
    """Count the words of each line that is not blank; return also the offsets of the ends of these lines."""
    codes = np.frombuffer(body, np.uint8)
    words, ends = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for first in range(0, len(codes), BLOCK):
        part = codes[max(first - 1, 0) : first + BLOCK]
        is_space = SPACES[part]
        is_first = ~is_space
        is_first[1:] &= is_space[:-1]
        cut = min(first, 1)  # The byte before the block only says whether a word goes on.
        words.append(np.flatnonzero(is_first[cut:]) + first)
        ends.append(np.flatnonzero(LINE_ENDS[part[cut:]]) + first)
    starts = np.concatenate(words)
    line_ends = np.append(np.concatenate(ends), len(body))
    counts = np.diff(np.searchsorted(starts, line_ends), prepend=0)
    return counts[counts > 0], line_ends[counts > 0]


def _holds_numbers(text: bytes) -> bool:
    with suppress(ObjectError):
        return bool(len(_parse_numbers(text)))
    return False


def _parse_numbers(body: bytes) -> NDArray[np.float64]:
    """Parse a text of numbers.

    Raises
    ------
    ObjectError
        When it contains anything else. The error names the line.
    """
    for text in (body, ODD_NUMBERS.sub(b"nan", body) if b"#" in body or b"(" in body else body):
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # Older versions of numpy warn of text that is no number.
            try:
                return np.fromstring(text, np.float64, sep=" ") if text else np.empty(0)
            except (ValueError, DeprecationWarning):
                continue
    for number, line in enumerate(re.split(rb"\r\n|\r|\n", body), 1):
        for word in line.split():
            try:
                float(word)
            except ValueError:
                hint = "; write a decimal point, not a comma" if b"," in word else ""
                raise ObjectError(f"line {number} after the header: {show(word)} is not a number{hint}") from None
    raise ObjectError("an unreadable number")


def _split_words(values: NDArray[np.float64], lengths: Offsets, header: Header, wanted: Wanted) -> Columns:
    """Split the words of a text into the wanted columns, if its rows have these lengths.

    Raises
    ------
    ObjectError
        When a row has another length than its properties announce.
    """
    if len(values) != lengths.sum():
        raise ObjectError(f"{int(lengths.sum())} words after the header, but {len(values)} numbers")
    columns: Columns = {}
    line = 0
    starts = np.cumsum(lengths) - lengths
    for number, element in enumerate(header.elements):
        if not element.properties:
            continue
        rows = slice(line, line + element.count)
        cursor, row_ends = starts[rows].copy(), (starts + lengths)[rows]
        if len(cursor) < element.count:
            raise _truncated(element, len(cursor))
        is_bad = np.zeros(element.count, bool)
        for place, part in enumerate(element.properties):
            is_wanted = place in wanted.get(number, ())
            if part.count_kind:
                sizes, is_wrong = _read_sizes(values, cursor, row_ends)
                is_bad |= is_wrong
                if is_wanted and not is_bad.any():
                    columns[number, place] = Column(values[_spread(cursor + 1, sizes, 1)], sizes)
                cursor += 1 + sizes
            else:
                if is_wanted:
                    columns[number, place] = Column(values[np.minimum(cursor, len(values) - 1)])
                cursor += 1
        is_bad |= cursor != row_ends
        if is_bad.any():
            row = int(is_bad.argmax())
            raise ObjectError(
                f"row {row + 1} of {element.count} of {element.name!r} does not fit its line of {lengths[line + row]} "
                f"words: {len(lengths)} lines for {sum(each.count for each in header.elements)} rows announced"
            )
        line += element.count
    return columns


def _read_sizes(values: NDArray[np.float64], cursor: Offsets, row_ends: Offsets) -> tuple[Offsets, NDArray[np.bool_]]:
    """Read the lengths before lists; return them, 0 where they do not fit their row, and where they do not."""
    sizes = values[np.minimum(cursor, len(values) - 1)]
    fits = (sizes >= 0) & (sizes <= row_ends - cursor - 1) & (sizes == np.floor(sizes))
    return np.where(fits, sizes, 0).astype(np.int64), ~fits


def _guess_lengths(values: NDArray[np.float64], header: Header) -> Offsets | None:
    """Return the lengths of the rows that use up all words one after the other; None if there are no such rows."""
    words = values.tolist()
    lengths = array("q")
    cursor = 0
    for element in header.elements:
        if not element.has_lists:
            if element.properties:
                lengths.extend([len(element.properties)] * element.count)
                cursor += len(element.properties) * element.count
            continue
        for _ in range(element.count):
            start = cursor
            for part in element.properties:
                if part.count_kind:
                    if cursor >= len(words) or not (0 <= words[cursor] <= len(words) and words[cursor].is_integer()):
                        return None
                    cursor += int(words[cursor])
                cursor += 1
            lengths.append(cursor - start)
    return np.frombuffer(lengths, np.int64) if cursor == len(words) and lengths else None
