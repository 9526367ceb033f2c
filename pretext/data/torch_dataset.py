"""Map files as torch data sets, for training code outside of this package."""

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
from spectral_ssl.ground.hdf5 import explain_open_error, open_dataset


class MapDataset(Dataset[tuple[Tensor, ...]]):
    """The maps of a file, or of one split of it, each with its label.

    Parameters
    ----------
    maps : path or MapFile
        The map file.
    split : str, optional
        "train", "val" or "test"; all of them by default.
    standardise : bool
        Whether maps are standardised by the file's own statistics, as networks in this package need
        them, or returned as stored in the file.
    points : bool
        Whether each sample includes its cloud.

    Attributes
    ----------
    maps : MapFile
        The map file.
    rows : ndarray, shape (N,), int64
        The rows of the file, in its order.

    Raises
    ------
    UserError
        If the split is empty, or if the clouds are wanted and not in the file.

    Notes
    -----
    A sample is ``(map, label)``, or ``(map, points, label)``: map (C, H, W) float32, points (P, 3)
    float32, label an int64 scalar, -1 for none. Each process opens the file on its first read, and
    processes never share it. A ``DataLoader`` may therefore have any number of workers, forked or
    spawned. A batch is read at once.

    Examples
    --------
    >>> from torch.utils.data import DataLoader
    >>> from pretext.data import MapDataset
    >>> batch, labels = next(iter(DataLoader(MapDataset(maps, split="train"), batch_size=8)))
    >>> batch.shape, labels.shape
    (torch.Size([8, 1, 16, 16]), torch.Size([8]))
    """

    def __init__(
        self, maps: str | Path | MapFile, split: str | None = None, *, standardise: bool = True, points: bool = False
    ) -> None:
        self.maps = maps if isinstance(maps, MapFile) else open_maps(maps)
        self.rows = self.maps.rows(split)
        if not len(self.rows):
            got = f"{self.maps.path} with {sorted(set(self.maps.splits.tolist()))}"
            raise UserError(f"no samples in split {split!r}", got, "give another split")
        if points and not self.maps.has_points:
            got = str(self.maps.path)
            raise UserError("the map file holds no points", got, "prepare it with --keep-points --overwrite")
        self.points = points
        self.standardise = Standardiser.of(self.maps) if standardise else None
        self._file: h5py.File | None = None
        self._process = 0

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, position: int) -> tuple[Tensor, ...]:
        """Read the sample at a position; a negative position counts from the end."""
        if not -len(self) <= position < len(self):
            raise IndexError(f"position {position} of {len(self)} samples")
        return self.__getitems__([position])[0]

    def __getitems__(self, positions: list[int]) -> list[tuple[Tensor, ...]]:
        """Read several samples at once; a ``DataLoader`` reads its batches in this way."""
        rows = self.rows[np.asarray(positions, np.int64)]
        stored = self._read("maps", rows)
        maps = torch.from_numpy(stored) if self.standardise is None else self.standardise(stored)
        labels = torch.from_numpy(self.maps.labels[rows])
        if not self.points:
            return list(zip(maps, labels, strict=True))
        return list(zip(maps, torch.from_numpy(self._read("points", rows)), labels, strict=True))

    def _read(self, name: str, rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Read rows of a column as float32, in the order of ``rows``."""
        if self._file is None or self._process != os.getpid():  # a file opened before a fork must not be used after it
            try:
                self._file, self._process = h5py.File(self.maps.path, "r"), os.getpid()
            except (OSError, RuntimeError) as error:
                raise explain_open_error(self.maps.path, error, f"make it again with `{MAKE_AGAIN}`") from error
        order, inverse = np.unique(rows, return_inverse=True)  # HDF5 reads rows in rising order only
        values = np.asarray(open_dataset(self._file, name, MAKE_AGAIN)[order], np.float32)
        self.maps.check_unchanged(name, values, order)
        return values[inverse]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_file": None}
