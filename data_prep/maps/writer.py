"""Writer of a map file, batch by batch. ``data_prep.maps.reader`` describes the format."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np
from numpy.typing import NDArray

from data_prep.basis import Basis
from data_prep.maps.reader import ROWS_AT_ONCE, SCHEMA, compute_content_digest
from data_prep.maps.row_checksums import CHECKSUMS, compute_row_checksums
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.files import reserve_room
from spectral_ssl.ground.hdf5 import MOST_ATTRIBUTE_BYTES

# Disk space in addition to the values: per row for the chunk index, id, label and split; per file
# for attributes and statistics.
BYTES_OF_A_ROW, BYTES_OF_A_FILE = 512, 1 << 18
# Below this a coefficient counts as constant: float32 moments of a unit mass have an error of 4e-7.
CONSTANT_BELOW = 1e-6


class MapWriter:
    """Writer of one map file, batch by batch, in the order of the calls.

    Use it as a context manager on a temporary path.

    Parameters
    ----------
    path : Path
        A file that may be overwritten (see ``spectral_ssl.ground.files.atomic_path``).
    basis : Basis
        Meaning of the maps.
    source, source_digest, classes, created_by
        Provenance, stored as attributes.
    count : int
        Maximum number of rows.
    keep_points : int
        Number of points per cloud to store with the maps; 0 for none.
    source_up : str
        The axis that points up in the source's files, "by-format" if that depends on the format of
        each file; "none" for images.
    method : int
        Number of the code that made the maps; it changes if the same objects get other maps.

    Raises
    ------
    OSError
        When the disk has no space for so many rows, or cannot be written. The space is reserved
        before writing, because an HDF5 file cannot be closed safely after a failed write.
    """

    def __init__(
        self,
        path: Path,
        basis: Basis,
        *,
        source: str,
        source_digest: str,
        classes: Sequence[str],
        count: int,
        created_by: str,
        keep_points: int = 0,
        source_up: str = "",
        method: int = 1,
    ) -> None:
        self._basis, self._path, class_names = basis, path, _encode_class_names(classes)
        self._failures: list[tuple[str, str]] = []
        self._notes: list[tuple[str, str]] = []
        self._ids: list[str] = []
        self._labels: list[int] = []
        self._splits: list[str] = []
        self._checksums: dict[str, list[NDArray[np.uint32]]] = {"maps": [], "points": []}
        self._training, self._others = _Sums(basis.shape), _Sums(basis.shape)
        self._file = h5py.File(path, "w", libver=("earliest", "v110"))
        row_bytes = 4 * math.prod(basis.shape) + 6 * keep_points + BYTES_OF_A_ROW
        try:
            reserve_room(path, (count + 2) * row_bytes + BYTES_OF_A_FILE)  # two for mean and std
        except OSError:
            self._file.close()
            raise
        self._maps = self._file.create_dataset(
            "maps",
            (count, *basis.shape),
            dtype="f4",
            chunks=(1, *basis.shape),
            maxshape=(count, *basis.shape),
            fillvalue=np.nan,
        )
        self._points = self._create_points(count, keep_points) if keep_points else None
        self._file.attrs.update(
            {
                "schema_version": SCHEMA,
                "basis": basis.to_json(),
                "source": source,
                "source_digest": source_digest,
                "class_names": class_names,
                "created_by": created_by,
                "source_up": source_up,
                "method": method,
            }
        )

    def _create_points(self, count: int, points: int) -> h5py.Dataset:
        shape = (count, points, 3)
        return self._file.create_dataset("points", shape, "f2", chunks=(1, points, 3), maxshape=shape)

    def append(
        self,
        maps: NDArray[np.float32],
        ids: Sequence[str],
        labels: Sequence[int],
        splits: Sequence[str],
        points: NDArray[Any] | None = None,
    ) -> None:
        """Add a batch: maps (B, C, H, W) and as many ids, labels and splits; points (B, P, 3) if they are stored."""
        rows = slice(len(self._ids), len(self._ids) + len(maps))
        self._maps[rows] = maps
        self._checksums["maps"].append(compute_row_checksums("maps", maps))
        if self._points is not None:
            assert points is not None
            self._points[rows] = points
            self._checksums["points"].append(compute_row_checksums("points", points))
        self._ids += ids
        self._labels += labels
        self._splits += splits
        if self._basis.kind != "pixels":
            training = np.array(splits) == "train"
            self._training.add(maps[training])
            self._others.add(maps[~training])

    def fail(self, identity: str, reason: str) -> None:
        """Record a failed object."""
        self._failures.append((identity, reason))

    def note(self, identity: str, text: str) -> None:
        """Record what the reader of an object did not take literally."""
        self._notes.append((identity, text))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._file.close()
        if kind is None:
            with h5py.File(self._path, "r+"):
                pass  # When the file is opened and closed again, HDF5 cuts off the unused reserved space.

    def _finish(self) -> None:
        rows = len(self._ids)
        for column in (self._maps, self._points):
            if column is not None:
                column.resize(rows, axis=0)
        text = h5py.string_dtype()
        options = {"maxshape": (None,), "chunks": (ROWS_AT_ONCE,)}
        self._file.create_dataset("ids", (rows,), dtype=text, data=self._ids or None, **options)
        self._file.create_dataset("split", (rows,), dtype=text, data=self._splits or None, **options)
        self._file.create_dataset("labels", data=np.array(self._labels, np.int64), **options)
        for name, checksums in self._checksums.items():
            if checksums:
                self._file.create_dataset(CHECKSUMS[name][0], data=np.concatenate(checksums), **options)
        for name, meaning, pairs in (("failures", "reason", self._failures), ("notes", "note", self._notes)):
            pair = np.dtype([("id", text), (meaning, text)])
            column = self._file.create_dataset(name, (len(pairs),), dtype=pair)
            if pairs:
                column[:] = np.array(pairs, dtype=pair)
        mean, std = (self._training if "train" in self._splits else self._others).compute_mean_and_std()
        self._file.create_dataset("mean", data=mean)
        self._file.create_dataset("std", data=std)
        self._file.attrs["content_digest"] = compute_content_digest(self._file)


class _Sums:
    """Running sums for the mean and standard deviation of each value, so that no row is read again.

    The sums are of differences from the first row and their squares. The first row lies within a
    few standard deviations of the mean, so no significant digits are lost.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._shape = shape
        self._count = 0
        self._origin = np.zeros(shape)
        self._first, self._second = np.zeros(shape), np.zeros(shape)

    def add(self, maps: NDArray[np.float32]) -> None:
        """Add maps (B, C, H, W) to the sums."""
        if len(maps) == 0:
            return
        if self._count == 0:
            self._origin = maps[0].astype(np.float64)
        differences = maps - self._origin
        self._first += differences.sum(axis=0)
        self._second += np.square(differences, out=differences).sum(axis=0)
        self._count += len(maps)

    def compute_mean_and_std(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Compute mean and standard deviation, (C, H, W) each; 0 and 1 without maps.

        The standard deviation is 1 where a value is constant. The writer never adds images: they
        are in [-1, 1] already, and their statistics would reveal the position of this set's
        objects.
        """
        if self._count == 0:
            return np.zeros(self._shape, np.float32), np.ones(self._shape, np.float32)
        offset = self._first / self._count
        std = np.sqrt(np.maximum(self._second / self._count - offset**2, 0))
        std[std < CONSTANT_BELOW] = 1.0
        return (self._origin + offset).astype(np.float32), std.astype(np.float32)


def _encode_class_names(classes: Sequence[str]) -> str:
    """Encode the names of the classes as JSON; raise a UserError if the reader would refuse their length."""
    class_names = json.dumps(list(classes))
    if len(class_names.encode()) > MOST_ATTRIBUTE_BYTES:
        got = f"{len(classes)} classes, {len(class_names)} characters"
        raise UserError("the names of the classes are too long", got, "give --class-level 0, or shorter names")
    return class_names
