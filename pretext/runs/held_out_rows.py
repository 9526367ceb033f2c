"""Rows of a map file on which a run is shown, and what captions say of them."""

import numpy as np
from numpy.typing import NDArray

from data_prep.maps.reader import MapFile


def select_held_out_rows(maps: MapFile, count: int) -> NDArray[np.int64]:
    """Select up to ``count`` rows spread over the test split, or over all maps if there is none."""
    rows = maps.rows("test") if len(maps.rows("test")) else maps.rows()
    # They are spread because consecutive rows of a file often belong to one class.
    return rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)]


def describe_rows(maps: MapFile, rows: NDArray[np.int64]) -> str:
    """Describe rows of a map file for a caption, with their number and their split.

    Parameters
    ----------
    maps : MapFile
        The map file.
    rows : ndarray, shape (N,), int64
        Rows of it.

    Returns
    -------
    str
        E.g. "6 images of the test split", or "9 objects of the training and the test split".
    """
    is_image = maps.basis.kind == "pixels"
    noun = "object" if not is_image else "image" if maps.basis.shape[1:] != (1, 1) else "sample"
    present = set(maps.splits[rows].tolist())
    names = {"train": "training", "val": "validation", "test": "test"}
    splits = [f"the {name}" for split, name in names.items() if split in present]
    return f"{len(rows)} {noun}{'s' * (len(rows) != 1)} of {' and '.join(splits)} split"
