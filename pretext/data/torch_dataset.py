"""Map files as data sets of torch: for whoever trains on maps with code of their own."""

import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from data_prep.maps.reader import MAKE_AGAIN, MapFile, open_maps
from pretext.data.standardise import Standardiser
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.hdf5 import open_dataset


class MapDataset(Dataset[tuple[Tensor, ...]]):
    """The maps of a file, or of one split of it, each with its label.

    Parameters
    ----------
    maps : path or MapFile
        The map file.
    split : str, optional
        "train", "val" or "test"; all of them by default.
    standardise : bool
        Whether maps come standardised by the file's own statistics, as networks here are trained on, or as they lie in
        the file.
    points : bool
        Whether each sample's cloud comes along.

    Attributes
    ----------
    maps : MapFile
    rows : ndarray, shape (N,), int64
        The rows of the file, in its order.

    Raises
    ------
    UserError
        When the split is empty, or the clouds are wanted and not in the file.

    Notes
    -----
    A sample is ``(map, label)``, or ``(map, points, label)``: map (C, H, W) float32, points (P, 3) float32, label an
    int64 scalar, -1 for none. The file is opened on the first read of each process and never shared between them, so
    that any number of workers of a ``DataLoader`` will do, forked or spawned; a batch is read at once.
    """

    def __init__(
        self, maps: str | Path | MapFile, split: str | None = None, *, standardise: bool = True, points: bool = False
    ) -> None:
        self.maps = maps if isinstance(maps, MapFile) else open_maps(maps)
        self.rows = self.maps.rows(split)
        if not len(self.rows):
            found = f"{self.maps.path} with {sorted(set(self.maps.splits.tolist()))}"
            raise UserError(f"no samples in split {split!r}", found, "give another split")
        if points and not self.maps.has_points:
            found = str(self.maps.path)
            raise UserError("the map file holds no points", found, "prepare it with --keep-points --overwrite")
        self.points = points
        self.standardise = Standardiser.of(self.maps) if standardise else None
        self._file: h5py.File | None = None
        self._process = 0

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, place: int) -> tuple[Tensor, ...]:
        """The sample at a place; from the end where it is negative."""
        if not -len(self) <= place < len(self):
            raise IndexError(f"place {place} of {len(self)} samples")
        return self.__getitems__([place])[0]

    def __getitems__(self, places: list[int]) -> list[tuple[Tensor, ...]]:
        """Several samples at once; a ``DataLoader`` asks for its batches in this way."""
        rows = self.rows[np.asarray(places, np.int64)]
        read = self._read("maps", rows)
        found = torch.from_numpy(read) if self.standardise is None else self.standardise(read)
        labels = torch.from_numpy(self.maps.labels[rows])
        if not self.points:
            return list(zip(found, labels, strict=True))
        return list(zip(found, torch.from_numpy(self._read("points", rows)), labels, strict=True))

    def _read(self, name: str, rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Rows of a column as float32, in the order asked for."""
        if self._file is None or self._process != os.getpid():  # a file opened before a fork must not be used after it
            self._file, self._process = h5py.File(self.maps.path, "r"), os.getpid()
        order, places = np.unique(rows, return_inverse=True)  # HDF5 takes rising row numbers only
        return np.asarray(open_dataset(self._file, name, MAKE_AGAIN)[order], np.float32)[places]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_file": None}
