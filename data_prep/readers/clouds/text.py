"""Reader of clouds as text: columns of numbers (.xyz, .pts, .txt)."""

import io

import numpy as np
from numpy.typing import NDArray

from data_prep.readers.limits import check_words
from data_prep.source import Shape
from spectral_ssl.ground.errors import ObjectError


def parse_text(data: bytes, suffix: str) -> Shape:
    """Parse a cloud from the first three columns of a text.

    Raises
    ------
    ObjectError
        When the text is no table of numbers with three columns or more.
    """
    check_words(data)
    table = _read_text(data, suffix)
    if table.shape[1] < 3:
        raise ObjectError(f"not a table of points: shape {table.shape}, {table.dtype}")
    return Shape(table[:, :3])


def _read_text(data: bytes, suffix: str) -> NDArray[np.float64]:
    """Read columns of numbers, separated by white space or commas; a .pts file may begin with the number of points."""
    first, _, rest = data.partition(b"\n")
    if suffix == ".pts" and first.strip().isdigit():
        data = rest
    if not data.strip():
        raise ObjectError("no points")
    try:
        table = np.loadtxt(io.BytesIO(data.replace(b",", b" ")), ndmin=2, encoding="utf-8")
    except (ValueError, UnicodeDecodeError) as error:
        raise ObjectError(f"not a table of numbers: {error}") from error
    return np.asarray(table, np.float64)
