"""Reader of LiDAR clouds (.las, and compressed .laz) by laspy, an optional library.

The decompressor ends its process for some damaged files, because it allocates what they announce.
So it runs in a process of its own.
"""

import io
import logging
import struct
import warnings
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_prep.readers.child import convert_in_child
from data_prep.readers.clouds.column_names import AXES
from data_prep.readers.clouds.columns import choose_columns
from data_prep.source import Shape
from spectral_ssl.ground.errors import ObjectError

INSTALL = "pip install 'spectral-ssl[las]'"
FORMAT, COMPRESSED = 104, 0x80  # Offset of the point format, and its bit that marks compressed points.
MOST_POINTS = 1 << 23  # of a compressed file; a point takes 24 bytes
PROGRAM = f"""
import laspy, numpy
with laspy.open(source) as reader:
    if reader.header.point_count > {MOST_POINTS}:
        raise ValueError(f"{{reader.header.point_count}} points announced, more than {MOST_POINTS}")
    points = reader.read_points(reader.header.point_count)
    if len(points) < reader.header.point_count:
        raise ValueError(f"truncated: {{reader.header.point_count}} points announced, {{len(points)}} follow")
    table = numpy.stack([numpy.asarray(points[axis], float) for axis in "xyz"], axis=1)
with open(target, "wb") as stream:
    numpy.save(stream, table)
"""
SIGNATURE = b"LASF"
SHORTEST_HEADER = 227  # bytes, of version 1.2
SHORTEST_RECORD, SHORTEST_LATE_RECORD = 54, 60  # bytes of the records before and after the points


def parse_las(data: bytes, path: Path) -> Shape:
    """Parse a .las or .laz file; ``path`` is not opened.

    Parameters
    ----------
    data : bytes
        Content of the whole file. The scale and the offset of its header are applied.
    path : Path
        Path of the file.

    Returns
    -------
    Shape
        A cloud of all points, in the units of the file.

    Raises
    ------
    ObjectError
        When the file is damaged or too large, or laspy is not installed.
    """
    if find_spec("laspy") is None:
        raise ObjectError(f"{path.suffix} files need laspy: {INSTALL}")
    _check_counts(data, path.suffix)
    if data[FORMAT] & COMPRESSED:
        if find_spec("lazrs") is None and find_spec("laszip") is None:
            raise ObjectError(f"compressed {path.suffix} files need lazrs: {INSTALL}")
        table = np.load(io.BytesIO(convert_in_child(PROGRAM, data, path.suffix.lower())), allow_pickle=False)
    else:
        table = _read_uncompressed(data, path.suffix)
    return choose_columns(table, AXES)


def _read_uncompressed(data: bytes, suffix: str) -> NDArray[np.float64]:
    """Read the points of a file that is not compressed, shape (N, 3)."""
    import laspy

    logging.getLogger("laspy").setLevel(logging.CRITICAL)  # It logs the errors that it raises too.
    try:
        with warnings.catch_warnings(), laspy.open(io.BytesIO(data)) as reader:
            warnings.simplefilter("ignore")
            count, size = reader.header.point_count, reader.header.point_format.size
            if count * size > len(data) - reader.header.offset_to_point_data:
                raise ObjectError(f"truncated: {count} points announced in a {suffix} file of {len(data)} bytes")
            points = reader.read_points(count)
            return np.stack([np.asarray(points[axis], np.float64) for axis in AXES], axis=1)
    except ObjectError:
        raise
    except Exception as error:  # Damaged files make laspy raise many types.
        raise ObjectError(f"unreadable {suffix} file: {type(error).__name__}: {str(error)[:120]}") from error


def _check_counts(data: bytes, suffix: str) -> None:
    """Check the number of records of a file, over which laspy loops.

    Raises
    ------
    ObjectError
        When the file cannot hold as many, or is no LAS file.
    """
    if data[:4] != SIGNATURE or len(data) < SHORTEST_HEADER:
        raise ObjectError(f"unreadable {suffix} file: no header of a LAS file")
    minor = data[25]
    start, records = struct.unpack_from("<II", data, 96)
    late = struct.unpack_from("<I", data, 243)[0] if minor >= 4 and len(data) >= 247 else 0
    if start > len(data) or SHORTEST_RECORD * records + SHORTEST_LATE_RECORD * late > len(data):
        raise ObjectError(f"truncated: {records + late} records announced in a {suffix} file of {len(data)} bytes")
