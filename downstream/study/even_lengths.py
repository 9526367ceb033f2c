"""Responses of one length each kind, so that the number of bytes tells nothing about a trial.

A participant's browser shows the length of every response. Without padding the longer of two images
was often the real one, and an attention check was shorter than a trial.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from struct import pack
from typing import Any
from zlib import crc32

JSON_BYTES = 512  # more than any answer of the site needs
# a chunk that every decoder skips: its lower-case letters say ancillary, private and safe to copy (PNG, section 5.4)
PADDING = b"paDd"
BYTES_OF_A_CHUNK = 12  # length, name and checksum
END_CHUNK = 12  # bytes of IEND, the last chunk


class EvenImages:
    """PNG files that are read as if all of them had one length.

    Parameters
    ----------
    paths : iterable of Path
        All files that may be read.

    Attributes
    ----------
    size : int
        Bytes of each image that ``read`` returns.

    Raises
    ------
    OSError
        If a file is missing.
    """

    def __init__(self, paths: Iterable[Path]) -> None:
        self.size = max(path.stat().st_size for path in paths) + BYTES_OF_A_CHUNK

    def read(self, path: Path) -> bytes:
        """Read an image and lengthen it."""
        return lengthen_png(path.read_bytes(), self.size)


def lengthen_png(image: bytes, size: int) -> bytes:
    """Insert a chunk without meaning before the end of a PNG file.

    Parameters
    ----------
    image : bytes
        A PNG file.
    size : int
        Bytes of the result, at least 12 more than the image has.

    Raises
    ------
    ValueError
        If the image is too long.
    """
    empty = size - len(image) - BYTES_OF_A_CHUNK
    if empty < 0:
        raise ValueError(f"an image of {len(image)} bytes does not fit into {size}")
    content = PADDING + bytes(empty)
    chunk = pack(">I", empty) + content + pack(">I", crc32(content))
    return image[:-END_CHUNK] + chunk + image[-END_CHUNK:]


def write_even_json(value: dict[str, Any]) -> str:
    """Write a dict as JSON, with spaces up to a multiple of ``JSON_BYTES``.

    Examples
    --------
    >>> from downstream.study.even_lengths import write_even_json
    >>> len(write_even_json({})), len(write_even_json({"done": False, "place": 11}))
    (512, 512)
    """
    text = json.dumps(value)
    return text.ljust(-(-len(text) // JSON_BYTES) * JSON_BYTES)
