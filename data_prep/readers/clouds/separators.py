"""Encodings, separators and decimal commas of texts of numbers: turn them to blanks and decimal points.

``1,5 2,0 3,1`` holds decimal commas, ``1,5,2`` separators. A text that can be read in both ways is
refused.
"""

import codecs
import re

from data_prep.readers.clouds.column_names import UNIT
from data_prep.source import add_note
from spectral_ssl.ground.errors import ObjectError

ENCODINGS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
INNER_COMMA = re.compile(r"(?<=\d),(?=\d)")
DECIMAL_POINT = re.compile(r"\d\.(?:\d|\s|,|;|$)|(?:^|[\s,;+-])\.\d")
THOUSANDS = re.compile(r"(?:^|\s)[+-]?\d{1,3}(?:,\d{3})+\.\d")
EXPONENT = re.compile(r"(?<=[\d.])[dD](?=[+-]?\d)")
COMMENT = re.compile(r"^[ \t]*(?:#|//|%|!|;).*$", re.MULTILINE)
MOST_HEADER_LINES = 40
COMMENT_OF_SEMICOLON = re.compile(r"^[ \t]*;", re.MULTILINE)
LAST_SEPARATOR = re.compile(r"[,;][ \t]*$", re.MULTILINE)
MISSING = re.compile(r"[,;][ \t]*[,;]|^[ \t]*[,;]", re.MULTILINE)
SAMPLE = 1 << 16  # Characters that show what the commas mean. Decimal points are searched in the whole text.
SIGNS = "#/%!; \t"  # These begin a comment.
SEPARATOR = re.compile(r"[,;|\t]+")
# A number in quotes, and brackets around rows and tables, as programs print their arrays.
QUOTED = re.compile(r'"([^"\s,;]*)"')
BRACKETS = re.compile(r"^[ \t]*[\[({][\[({ \t]*(?=[-+.\d])|(?<=[\d.])[ \t]*[\])}][\])};, \t]*$", re.MULTILINE)
SAVE_POINTS = "save the numbers with decimal points and blanks between them"


def decode_text(data: bytes) -> str:
    """Decode a text, and turn all line ends to line feeds.

    Raises
    ------
    ObjectError
        When the content is binary.
    """
    encoding = next((name for mark, name in ENCODINGS if data.startswith(mark)), "utf-8")
    if encoding != "utf-16" and b"\0" in data:
        raise ObjectError("not a table of numbers: a binary file")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding == "utf-16":
            raise ObjectError(f"not a table of numbers: {error}") from error
        text = data.decode("latin-1")  # Numbers are the same. Only words of a header can differ.
    return text.replace("\r\n", "\n").replace("\r", "\n")


def make_plain(text: str) -> str:
    """Turn separators to blanks and decimal commas to decimal points.

    Parameters
    ----------
    text : str
        Lines of numbers and words.

    Returns
    -------
    str
        The same lines with blanks between words. Missing numbers between two separators become
        "nan".

    Raises
    ------
    ObjectError
        When commas can be separators or decimal commas.

    Examples
    --------
    >>> from data_prep.readers.clouds.separators import make_plain
    >>> make_plain("1,5;2,25;-3"), make_plain("1.5,2.25,-3")
    ('1.5 2.25 -3', '1.5 2.25 -3')
    """
    text = _join_names(text).replace("|", ";")
    if '"' in text:
        text = QUOTED.sub(r"\1", text)
    if any(bracket in text for bracket in "([{"):
        text = BRACKETS.sub("", text)
    if ("d" in text or "D" in text) and EXPONENT.search(text):
        text = EXPONENT.sub("e", text)
    if "," in text and _has_decimal_commas(text):
        add_note("decimal commas are read as decimal points")
        text = INNER_COMMA.sub(".", text)
    if "," not in text and ";" not in text:
        return text
    if ";" not in text or not COMMENT_OF_SEMICOLON.search(text):
        text = LAST_SEPARATOR.sub("", text)  # A separator at the end of a line separates nothing.
        if not MISSING.search(text):
            return text.replace(",", " ").replace(";", " ")
    lines = []
    for line in text.split("\n"):
        if line.lstrip().startswith(";"):
            lines.append(line)
            continue
        for separator in (",", ";"):
            if separator in line:
                parts = [part.strip() for part in line.strip().split(separator)]
                while parts and not parts[-1]:
                    parts.pop()
                line = " ".join(part or "nan" for part in parts)
        lines.append(line)
    return "\n".join(lines)


def _join_names(text: str) -> str:
    """Join the words of each name in lines of names between separators: ``X [m],Y [m]`` becomes ``X Y``."""
    lines = text.split("\n", MOST_HEADER_LINES)
    for number, line in enumerate(lines[:MOST_HEADER_LINES]):
        if SEPARATOR.search(line) and not any(letter.isdigit() for letter in line):
            sign, names = line[: len(line) - len(line.lstrip(SIGNS))], line.lstrip(SIGNS).rstrip()
            parts = [UNIT.sub("", part).split() for part in SEPARATOR.split(names)]
            lines[number] = f"{sign} {' '.join('_'.join(words) or 'nan' for words in parts)}"
    return "\n".join(lines)


def _has_decimal_commas(text: str) -> bool:
    """Return whether the commas of a text are decimal commas.

    Raises
    ------
    ObjectError
        When they can be separators as well.
    """
    end = text.find("\n", SAMPLE) + 1 or len(text)
    lines = [line.strip() for line in COMMENT.sub("", text[:end]).split("\n")]
    rows = [line for line in lines if line and (line[0].isdigit() or line[0] in "+-." or INNER_COMMA.search(line))]
    numbers = "\n".join(rows)
    words = [line.replace(";", " ").split() for line in rows if INNER_COMMA.search(line)]
    if not words:
        return False
    named = _has_names(text, max(len(line.split(",")) for line in rows))
    if DECIMAL_POINT.search(numbers) or DECIMAL_POINT.search(text, end):
        singles = any(word.strip(",").count(",") == 1 for line in words if len(line) > 2 for word in line)
        if singles or ";" in numbers or (any(len(line) > 2 for line in words) and THOUSANDS.search(numbers)):
            raise ObjectError(f"commas and points in one number, such as 1,234.5 or 1.234,5: {SAVE_POINTS}")
        return False
    if ";" in numbers or all(len(line) > 2 for line in words):
        if any(INNER_COMMA.search(word) and word.count(",") > 1 for line in words for word in line):
            raise ObjectError(f"commas that can separate numbers or be decimal commas: {SAVE_POINTS}")
        return True
    if named or any(len(line) > 1 for line in words):
        if not named:
            raise ObjectError(f"commas and blanks that can both separate numbers: {SAVE_POINTS}")
        return False
    parts = max(len(line[0].split(",")) for line in words)
    if parts >= 6 and parts % 2 == 0:
        raise ObjectError(
            f"lines such as {words[0][0][:40]!r}: commas that separate numbers or decimal commas? {SAVE_POINTS}"
        )
    return False


def _has_names(text: str, columns: int) -> bool:
    """Return whether a line before the numbers names as many columns, separated by commas."""
    for line in text[:SAMPLE].split("\n")[:MOST_HEADER_LINES]:
        names = [name.strip() for name in line.strip("#/%! \t").split(",")]
        if len(names) == columns and all(name.strip("\"'")[:1].isalpha() for name in names):
            return True
    return False
