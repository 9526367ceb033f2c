"""Header of a .ply file: its format, its elements with their properties, and the size that these announce."""

import re
from dataclasses import dataclass

from data_prep.readers.limits import check_words
from spectral_ssl.ground.errors import ObjectError

LONGEST_HEADER = 1 << 16  # bytes
END = re.compile(rb"(?:^|[\r\n])[ \t]*end_header[ \t]*(\r\n|\r|\n|$)", re.IGNORECASE)
FORMATS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
KINDS = {
    **dict.fromkeys(("char", "int8"), "i1"),
    **dict.fromkeys(("uchar", "uint8"), "u1"),
    **dict.fromkeys(("short", "int16"), "i2"),
    **dict.fromkeys(("ushort", "uint16"), "u2"),
    **dict.fromkeys(("int", "int32"), "i4"),
    **dict.fromkeys(("uint", "uint32"), "u4"),
    **dict.fromkeys(("float", "float32"), "f4"),
    **dict.fromkeys(("double", "float64"), "f8"),
    "int64": "i8",
    "uint64": "u8",
}


@dataclass(frozen=True)
class Property:
    """One value, or one list of values, of each row of an element.

    Attributes
    ----------
    name : str
        Name as in the file.
    kind : str
        numpy's code of the type of the value or of the values of the list, without byte order.
    count_kind : str
        The same for the length before a list; empty for a single value.
    """

    name: str
    kind: str
    count_kind: str = ""

    @property
    def fewest_bytes(self) -> int:
        """Smallest number of bytes of this property in a row of a binary file."""
        return int((self.count_kind or self.kind)[1:])


@dataclass(frozen=True)
class Element:
    """A table of the file: its name, its number of rows and the properties of each row, in their order."""

    name: str
    count: int
    properties: tuple[Property, ...] = ()

    @property
    def has_lists(self) -> bool:
        """Whether rows may differ in length."""
        return any(part.count_kind for part in self.properties)


@dataclass(frozen=True)
class Header:
    """What a header announces.

    Attributes
    ----------
    order : str
        Byte order, "<" or ">"; empty for a text.
    elements : tuple of Element
        The tables, in the order of the file.
    start : int
        Offset of the first byte after the header.
    """

    order: str
    elements: tuple[Element, ...]
    start: int


def parse_header(data: bytes) -> Header:
    r"""Parse the header of a .ply file, and check that the file is long enough for what it announces.

    Parameters
    ----------
    data : bytes
        Content of the whole file, without a byte order mark.

    Raises
    ------
    ObjectError
        When the header is damaged, or the file is too short.

    Examples
    --------
    >>> text = b"ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nend_header\n7\n"
    >>> header = parse_header(text)
    >>> header.elements[0].count, text[header.start :]
    (1, b'7\n')
    """
    if not re.match(rb"\s*ply\s", data[:80], re.IGNORECASE):
        raise ObjectError("not a .ply file: it does not begin with the word ply")
    end = END.search(data, 0, LONGEST_HEADER)
    if end is None:
        raise ObjectError("not a .ply file: its header has no end")
    # The body may begin with the byte of a line feed, so a file with old Mac line ends ends here.
    is_mac = re.match(rb"\s*ply[ \t]*\r(?!\n)", data[:80], re.IGNORECASE) is not None
    start = end.start(1) + 1 if is_mac and end.group(1) else end.end()
    order, elements = _parse_lines(data[: end.start()].decode("ascii", "replace").splitlines())
    header = Header(order, elements, start)
    _check_size(header, data)
    return header


def _parse_lines(lines: list[str]) -> tuple[str, tuple[Element, ...]]:
    """Parse the lines between the words ply and end_header: the byte order and the elements."""
    orders: list[str] = []
    elements: list[Element] = []
    for line in lines:
        words = line.split()
        if not words or words[0].lower() in ("ply", "comment", "obj_info"):
            continue
        try:
            match words[0].lower():
                case "format":
                    orders.append(FORMATS[words[1].lower()])
                case "element":
                    elements.append(Element(words[1], int(words[2])))
                case "property":
                    last = elements.pop()
                    elements.append(Element(last.name, last.count, (*last.properties, _parse_property(words[1:]))))
                case _:
                    raise ValueError
        except (IndexError, KeyError, ValueError):
            raise ObjectError(f"unreadable header of a .ply file: line {line.strip()[:60]!r}") from None
        if elements and elements[-1].count < 0:
            raise ObjectError(f"unreadable header of a .ply file: {elements[-1].count} rows of {elements[-1].name}")
    if len(set(orders)) != 1:
        raise ObjectError(f"unreadable header of a .ply file: {len(orders)} lines 'format', one is needed")
    return orders[0], tuple(elements)


def _parse_property(words: list[str]) -> Property:
    """Parse the words after ``property``: a type and a name, or ``list``, two types and a name."""
    if words[0].lower() == "list":
        count_kind, kind = KINDS[words[1].lower()], KINDS[words[2].lower()]
        if count_kind[0] == "f":
            raise ValueError("a length that is no integer")
        return Property("_".join(words[3:]) or words[3], kind, count_kind)
    return Property("_".join(words[1:]) or words[1], KINDS[words[0].lower()])


def _check_size(header: Header, data: bytes) -> None:
    """Refuse a file that is too short for its elements; a text, also one of too many words.

    Raises
    ------
    ObjectError
        When it is.
    """
    present = len(data) - header.start
    # In text a value takes at least a digit and a space. A list takes at least its length.
    needed = sum(
        element.count * sum(part.fewest_bytes if header.order else 2 for part in element.properties)
        for element in header.elements
    )
    if needed > present + (not header.order):  # The last line of a text may have no line end.
        counts = ", ".join(f"{element.count} {element.name}" for element in header.elements)
        raise ObjectError(f"truncated: {counts} announced, at least {needed} bytes; {present} bytes follow"[:300])
    if not header.order:
        check_words(data)
