"""Checksums of single rows of a map file, so that a row that changed on the disk is noticed when it is read.

The content digest needs the whole file. A training that reads its maps as they are needed never has
it. A checksum is the CRC-32 of a row's bytes as they are in the file. It finds every change of one or
two bits and every change within 32 consecutive bits, and misses one of 4e9 others.
"""

from typing import Any
from zlib import crc32

import h5py
import numpy as np
from numpy.typing import NDArray

from spectral_ssl.ground.hdf5 import has_link, open_dataset

# column of the file: its checksums, and the type of its values in the file
CHECKSUMS: dict[str, tuple[str, np.dtype[Any]]] = {
    "maps": ("maps_crc32", np.dtype("<f4")),
    "points": ("points_crc32", np.dtype("<f2")),
}


def compute_row_checksums(column: str, rows: NDArray[Any]) -> NDArray[np.uint32]:
    """Compute the checksum of each row as it is stored.

    Parameters
    ----------
    column : {"maps", "points"}
        The column that the rows belong to, which says in what type they are stored.
    rows : ndarray, shape (B, ...)
        The rows; they are rounded to that type first.

    Returns
    -------
    ndarray, shape (B,), uint32

    Examples
    --------
    >>> compute_row_checksums("maps", np.zeros((1, 3), np.float32))
    array([2077607535], dtype=uint32)
    """
    stored = np.ascontiguousarray(rows, CHECKSUMS[column][1])
    return np.fromiter((crc32(row) for row in stored), np.uint32, len(stored))


def read_row_checksums(file: h5py.File, make_again: str) -> dict[str, NDArray[np.uint32]]:
    """Read the checksums of all columns that have them; files of earlier versions have none.

    Raises
    ------
    ValueError
        When a column of checksums has another type or more than one axis.
    """
    found = {}
    for column, (name, _) in CHECKSUMS.items():
        if has_link(file, name) and has_link(file, column):
            checksums = open_dataset(file, name, make_again)
            if checksums.ndim != 1 or checksums.dtype != np.uint32:
                raise ValueError(f"{name!r} of type {checksums.dtype} and shape {checksums.shape}")
            found[column] = checksums[:]
    return found


def find_changed_rows(column: str, values: NDArray[np.float32], checksums: NDArray[np.uint32]) -> NDArray[np.int64]:
    """Find the positions among rows (B, ...) of "maps" or "points" whose checksum is not the stored one (B,)."""
    return np.flatnonzero(compute_row_checksums(column, values) != checksums)
