"""Lines, words and numbers of text files of meshes, found by numpy instead of a loop over lines.

All steps keep the length of the text. So an offset in the clean text is an offset in the file, and
an error can name its line.
"""

import codecs
import re
import warnings
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from spectral_ssl.ground.errors import ObjectError

NUMBER = re.compile(rb"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eEdD][+-]?\d+)?|[+-]?(?:nan|inf|infinity)", re.IGNORECASE)
DECIMAL_COMMA = re.compile(rb"[+-]?\d*,\d+(?:[eE][+-]?\d+)?")
FORTRAN = bytes.maketrans(b"dD", b"ee")  # 1d5 is 1e5 in Fortran.
MANY_COMMENTS = 10_000  # With more, numpy needs less time and a tenth of the memory of a regular expression.
COMMENT = re.compile(rb"#[^\n]*")
WIDE_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
MOST_DIGITS = 12  # No index of a file below the size limit has more.
LOWER_CASE = np.uint64(0x2020202020202020)
LETTERS = np.array([(1 << 8 * count) - 1 for count in range(9)], np.uint64)  # Masks of the first 0 to 8 letters

Offsets = NDArray[np.int64]


def clean_text(data: bytes, suffix: str) -> bytes:
    r"""Return the text with ``\n`` at the end of each line, and without a byte order mark.

    Parameters
    ----------
    data : bytes
        Content of the whole file: ASCII, UTF-8, or UTF-16 and UTF-32 with a byte order mark.
    suffix : str
        Ending of the file, for the message.

    Returns
    -------
    bytes
        Text of the same lines. A mark or a removed sign becomes a space.

    Raises
    ------
    ObjectError
        When the file is not a text.
    """
    if data.startswith(codecs.BOM_UTF8):
        data = b"   " + data[3:]
    else:
        for mark, encoding in WIDE_MARKS:
            if data.startswith(mark):
                data = data.decode(encoding, "replace").encode("utf-8", "replace")
                break
    if b"\0" in data:
        raise ObjectError(f"binary data in a {suffix} file, which should be a text")
    if b"\r" in data:
        data = data.replace(b"\r\n", b" \n").replace(b"\r", b"\n")
    return data


def blank_comments(data: bytes) -> bytes:
    """Replace comments, from a ``#`` to the end of its line, by spaces."""
    count = data.count(b"#")
    if count < MANY_COMMENTS:
        return COMMENT.sub(lambda match: b" " * len(match.group()), data) if count else data
    text = np.frombuffer(data, np.uint8).copy()
    signs, line_ends = np.flatnonzero(text == ord("#")), np.flatnonzero(text == ord("\n"))
    ends = np.append(line_ends, len(text))[np.searchsorted(line_ends, signs)]
    is_first = np.diff(ends, prepend=-1) > 0  # of several signs on a line
    marks = np.zeros(len(text) + 1, np.int8)
    marks[signs[is_first]] = 1
    marks[ends[is_first]] = -1
    text[np.cumsum(marks[:-1], dtype=np.int8).view(np.bool_)] = ord(" ")
    return text.tobytes()


def refuse_line(text: bytes, offset: int, reason: str) -> NoReturn:
    """Raise an ObjectError that names the line of an offset, from 1; a joined line end is a vertical tab."""
    line = text.count(b"\n", 0, offset) + text.count(b"\v", 0, offset) + 1
    raise ObjectError(f"line {line}: {reason}")


@dataclass(frozen=True)
class Words:
    """Words of a text, and its lines that hold words.

    Attributes
    ----------
    text : ndarray, shape (B,), uint8
        The bytes.
    starts, ends : ndarray, shape (W,), int64
        Offsets of the first byte of each word, and of the byte after its last.
    firsts : ndarray, shape (L,), int64
        Index of the first word of each line. Lines without words are left out.
    """

    text: NDArray[np.uint8]
    starts: Offsets
    ends: Offsets
    firsts: Offsets

    @property
    def counts(self) -> Offsets:
        """Number of words of each line, shape (L,), int64."""
        return np.diff(self.firsts, append=len(self.starts))

    def get(self, index: int) -> bytes:
        """Return one word."""
        return self.text[self.starts[index] : self.ends[index]].tobytes()


def split_words(data: bytes) -> Words:
    """Find the words of a text, separated by spaces, tabs, line ends and other control characters."""
    text = np.frombuffer(data, np.uint8)
    is_blank = np.empty(len(text) + 2, np.bool_)
    is_blank[0] = is_blank[-1] = True
    np.less_equal(text, ord(" "), out=is_blank[1:-1])
    changes = np.flatnonzero(is_blank[1:] != is_blank[:-1])
    starts, ends = changes[::2], changes[1::2]
    firsts = np.searchsorted(starts, np.flatnonzero(text == ord("\n")))
    firsts = np.concatenate([np.zeros(1, np.int64), firsts])
    is_new = np.append(firsts[1:] > firsts[:-1], firsts[-1] < len(starts))
    return Words(text, starts, ends, firsts[is_new])


def parse_numbers(text: bytes, count: int, dtype: type) -> NDArray[Any] | None:
    """Parse a text of ``count`` words that are numbers; return None if a word is anything else."""
    if count == 0:
        return np.empty(0, dtype)
    with warnings.catch_warnings():
        # For unreadable text numpy gives a deprecation warning or, in newer versions, raises an
        # error.
        warnings.simplefilter("error")
        try:
            values: NDArray[Any] = np.fromstring(text, dtype, sep=" ")
        except (ValueError, DeprecationWarning):
            return None
    # "1-2" and "1.5.2" are two numbers for numpy.
    return values if len(values) == count else None


def parse_number(word: bytes) -> float:
    """Parse one number, also with the exponents of Fortran such as 1d5.

    Raises
    ------
    ObjectError
        When the word is not a number.
    """
    if NUMBER.fullmatch(word):
        return float(word.lower().replace(b"d", b"e"))
    if DECIMAL_COMMA.fullmatch(word):
        raise ObjectError(f"{show(word)} has a decimal comma; write a decimal point")
    if b"," in word:
        raise ObjectError(f"{show(word)} has a comma; separate numbers by spaces")
    raise ObjectError(f"unreadable number {show(word)}")


def show(word: bytes) -> str:
    """Format a word of a file for a message."""
    return repr(word[:40].decode("utf-8", "replace"))


def pack_keywords(words: Words, rows: Offsets) -> NDArray[np.uint64]:
    """Return the first 8 letters of the first words of some lines as numbers, shape (n,), see ``pack_word``."""
    starts = words.starts[words.firsts[rows]]
    lengths = words.ends[words.firsts[rows]] - starts
    # A view of 8 bytes from each offset makes this one step, where a step per letter takes 8.
    text = np.append(words.text, np.zeros(8, np.uint8))
    letters: NDArray[np.uint64] = np.ndarray((len(words.text) + 1,), "<u8", text.data, strides=(1,))[starts]
    return np.asarray((letters | LOWER_CASE) & LETTERS[np.minimum(lengths, 8)], np.uint64)


def pack_word(word: bytes) -> int:
    """Return the first 8 letters of a word in lower case as a number, the first letter in its lowest byte."""
    return int.from_bytes(bytes(letter | 32 for letter in word[:8]), "little")


def unpack_word(number: int) -> bytes:
    """Return the letters of a number of ``pack_word``."""
    return number.to_bytes(8, "little").rstrip(b"\0")


def cut_lines(words: Words, rows: Offsets) -> bytes:
    """Return the bytes of some lines without their first words, with a blank after each word."""
    if len(rows) == 0:
        return b""
    if rows[-1] - rows[0] + 1 != len(rows):
        return cut_words(words, find_words(words, rows))
    # Nearly always the lines follow each other, and blanking their first words is faster.
    firsts = words.firsts[rows]
    origin, end = int(words.starts[firsts[0]]), int(words.ends[firsts[-1] + words.counts[rows[-1]] - 1])
    text = words.text[origin:end].copy()
    for letter in range(int((words.ends[firsts] - words.starts[firsts]).max())):
        text[np.minimum(words.starts[firsts] + letter, words.ends[firsts] - 1) - origin] = ord(" ")
    return text.tobytes()


def find_words(words: Words, rows: Offsets) -> Offsets:
    """Find the indices of the words of some lines, without their first words."""
    is_inside = np.zeros(len(words.firsts), np.bool_)
    is_inside[rows] = True
    is_word = np.repeat(is_inside, words.counts)
    is_word[words.firsts] = False
    return np.flatnonzero(is_word)


def read_numbers(text: bytes, first: int, words: Words, indices: Offsets, part: bytes) -> NDArray[np.float64]:
    """Parse words that are numbers.

    Parameters
    ----------
    text : bytes
        The whole text, for messages.
    first : int
        Offset in the text of the first byte of ``words.text``.
    words : Words
        The words of a part of the text.
    indices : ndarray, shape (K,), int64
        Indices of the words.
    part : bytes
        The bytes of these words, separated by blanks.

    Returns
    -------
    ndarray, shape (K,), float64
        One number for each word.

    Raises
    ------
    ObjectError
        When a word is not a number.
    """
    numbers = parse_numbers(part, len(indices), np.float64)
    if numbers is None:
        numbers = parse_numbers(part.translate(FORTRAN), len(indices), np.float64)
    if numbers is not None:
        return numbers
    numbers = np.empty(len(indices))
    for place, index in enumerate(indices.tolist()):
        try:
            numbers[place] = parse_number(words.get(index))
        except ObjectError as error:
            refuse_line(text, first + int(words.starts[index]), str(error))
    return numbers


def parse_integers(words: Words, indices: Offsets, stop: bytes = b" ") -> Offsets | None:
    """Parse words that are integers up to a stop, such as 7, -7 and 7/1 with the stop "/"; return None if one is not.

    The loop runs over digits, not over words. It is six times as fast as numpy's parser of numbers,
    which needs the slashes blanked first.
    """
    starts = words.starts[indices]
    text = np.append(words.text, np.zeros(MOST_DIGITS + 2, np.uint8))
    is_negative = text[starts] == ord("-")
    starts = starts + (is_negative | (text[starts] == ord("+")))
    values = np.zeros(len(starts), np.int64)
    is_open = np.ones(len(starts), np.bool_)
    for position in range(MOST_DIGITS + 1):
        signs = text[starts + position]
        digits = signs - np.uint8(ord("0"))  # Signs below "0" wrap around to above 9.
        is_digit = digits < 10
        is_end = (signs <= ord(" ")) | (signs == ord(stop))
        if (is_open & ~is_digit & ~is_end).any() or (position == 0 and not is_digit.all()):
            return None
        is_open &= is_digit
        if not is_open.any():
            return np.where(is_negative, -values, values)
        values = np.where(is_open, values * 10 + digits, values)
    return None


def cut_words(words: Words, indices: Offsets) -> bytes:
    """Return the bytes of some words in ascending order, with a blank after each."""
    if len(indices) == 0:
        return b""
    origin, end = int(words.starts[indices[0]]), int(words.ends[indices[-1]])
    if indices[-1] - indices[0] + 1 == len(indices):
        return words.text[origin:end].tobytes()
    marks = np.zeros(end - origin + 2, np.int8)
    marks[words.starts[indices] - origin] = 1
    marks[words.ends[indices] + 1 - origin] -= 1
    is_inside = np.cumsum(marks[: end - origin], dtype=np.int8).view(np.bool_)
    return words.text[origin:end][is_inside].tobytes()
