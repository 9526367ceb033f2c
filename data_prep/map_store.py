"""The map file: all maps of a data set with their ids, labels, splits, basis, statistics and failures, in HDF5.

======================  =======================================================================
/maps                   (N, C, H, W) float32, one sample a chunk, not compressed
/ids, /split            (N,) strings
/labels                 (N,) int64, -1 = none
/mean, /std             (C, H, W) float32, over the training split; std is 1 where a value is constant
/failures               (F,) of (id, reason): the objects that could not be used
/points                 (N, P, 3) float16, optional: the clouds the maps were made from
attributes              schema_version, basis (JSON), source, source_digest, source_up, class_names (JSON),
                        content_digest, created_by
======================  =======================================================================
"""

import json
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np
from numpy.typing import NDArray

from data_prep.basis import Basis
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.hdf5 import dataset, open_hdf5, texts

SCHEMA = "spectral-ssl maps 1"
MAKE_AGAIN = "spectral-ssl prep"
ROWS_AT_ONCE = 1024
ROWS_OF_STATISTICS = 64  # few, so that their float64 copies stay small
# Room for what comes with the values: index of chunks, id, label, split of a row; attributes and statistics.
BYTES_OF_A_ROW, BYTES_OF_A_FILE = 512, 1 << 18
# Below this a coefficient counts as constant: float32 moments of a unit mass are uncertain by 4e-7 (data_prep.moments).
CONSTANT_BELOW = 1e-6


class MapWriter:
    """Writes one map file, batch by batch, in the order of the calls. Use it as a context manager on a temporary path.

    Parameters
    ----------
    path : Path
        A file that may be overwritten (see ``spectral_ssl.ground.files.atomic_path``).
    basis : Basis
        Meaning of the maps.
    source, source_digest, classes, created_by
        Provenance, stored as attributes.
    count : int
        The most rows that can come.
    keep_points : int
        Points per cloud to be stored beside the maps, 0 for none.
    source_up : str
        The up axis the source's files were turned from, "none" for images.

    Raises
    ------
    OSError
        When the disk has no room for so many rows, or another reason not to write. Room is reserved before anything
        is written, because an HDF5 file whose writing fails cannot be closed again without harm to the process.
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
    ) -> None:
        self._basis, self._path = basis, path
        self._failures: list[tuple[str, str]] = []
        self._rows = 0
        self._file = h5py.File(path, "w", libver=("earliest", "v110"))
        row_bytes = 4 * math.prod(basis.shape) + 6 * keep_points + BYTES_OF_A_ROW
        try:
            _reserve(path, (count + 2) * row_bytes + BYTES_OF_A_FILE)  # two for mean and std
        except OSError:
            self._file.close()
            raise
        row = (1, *basis.shape)
        self._maps = self._file.create_dataset(
            "maps", (count, *basis.shape), dtype="f4", chunks=row, maxshape=(count, *basis.shape), fillvalue=np.nan
        )
        text = h5py.string_dtype()
        self._ids = self._file.create_dataset("ids", (count,), dtype=text, maxshape=(None,), chunks=(ROWS_AT_ONCE,))
        self._split = self._file.create_dataset("split", (count,), dtype=text, maxshape=(None,), chunks=(ROWS_AT_ONCE,))
        self._labels = self._file.create_dataset(
            "labels", (count,), dtype="i8", maxshape=(None,), chunks=(ROWS_AT_ONCE,)
        )
        self._points = (
            self._file.create_dataset(
                "points",
                (count, keep_points, 3),
                dtype="f2",
                chunks=(1, keep_points, 3),
                maxshape=(count, keep_points, 3),
            )
            if keep_points
            else None
        )
        self._file.attrs.update(
            {
                "schema_version": SCHEMA,
                "basis": basis.to_json(),
                "source": source,
                "source_digest": source_digest,
                "class_names": json.dumps(list(classes)),
                "created_by": created_by,
                "source_up": source_up,
            }
        )

    def append(
        self,
        maps: NDArray[np.float32],
        ids: Sequence[str],
        labels: Sequence[int],
        splits: Sequence[str],
        points: NDArray[Any] | None = None,
    ) -> None:
        """Add a batch: maps (B, C, H, W) and as many ids, labels and splits; points (B, P, 3) if they are kept."""
        rows = slice(self._rows, self._rows + len(maps))
        self._maps[rows] = maps
        self._ids[rows] = list(ids)
        self._split[rows] = list(splits)
        self._labels[rows] = np.asarray(labels, np.int64)
        if self._points is not None:
            self._points[rows] = points
        self._rows = rows.stop

    def fail(self, identity: str, reason: str) -> None:
        """Record an object that could not be used."""
        self._failures.append((identity, reason))

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
                pass  # opened and closed, HDF5 cuts off what was reserved and not needed

    def _finish(self) -> None:
        for column in (self._maps, self._ids, self._split, self._labels, self._points):
            if column is not None:
                column.resize(self._rows, axis=0)
        pair = np.dtype([("id", h5py.string_dtype()), ("reason", h5py.string_dtype())])
        failures = self._file.create_dataset("failures", (len(self._failures),), dtype=pair)
        if self._failures:
            failures[:] = np.array(self._failures, dtype=pair)
        splits = np.array(self._split.asstr()[:]) if self._rows else np.array([], str)
        training = np.flatnonzero(splits == "train") if "train" in splits else np.arange(self._rows)
        mean, std = _statistics(self._maps, training, self._basis)
        self._file.create_dataset("mean", data=mean)
        self._file.create_dataset("std", data=std)
        self._file.attrs["content_digest"] = content_digest(self._file)


def _reserve(path: Path, size: int) -> None:
    """Make the file system set room aside, where it can."""
    if not hasattr(os, "posix_fallocate"):
        return
    handle = os.open(path, os.O_RDWR)
    try:
        os.posix_fallocate(handle, 0, size)
    finally:
        os.close(handle)


def _statistics(
    maps: h5py.Dataset, training: NDArray[np.int64], basis: Basis
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and standard deviation of each value over the training rows, (C, H, W) each, in two passes of float64."""
    if basis.kind == "pixels" or len(training) == 0:
        # images are in [-1, 1] already; their per-pixel statistics would say where the objects of this set lie
        return np.zeros(basis.shape, np.float32), np.ones(basis.shape, np.float32)
    blocks = np.split(training, range(ROWS_OF_STATISTICS, len(training), ROWS_OF_STATISTICS))
    mean = np.zeros(basis.shape)
    for rows in blocks:
        mean += _read_rows(maps, rows).sum(axis=0, dtype=np.float64)
    mean /= len(training)
    variance = np.zeros(basis.shape)
    for rows in blocks:
        variance += np.square(_read_rows(maps, rows) - mean).sum(axis=0)
    std = np.sqrt(variance / len(training))
    std[std < CONSTANT_BELOW] = 1.0
    return mean.astype(np.float32), std.astype(np.float32)


def content_digest(file: h5py.File) -> str:
    """SHA-256 over ids, labels, splits, basis and map values: two files with the same digest hold the same data."""
    digest = sha256(str(file.attrs["basis"]).encode())
    for name in ("ids", "split"):
        digest.update("\0".join(texts(file[name])).encode())
    digest.update(file["labels"][:].tobytes())
    maps = file["maps"]
    for start in range(0, len(maps), ROWS_OF_STATISTICS):
        digest.update(maps[start : start + ROWS_OF_STATISTICS].tobytes())
    return digest.hexdigest()


def fingerprint_of(
    basis: Basis, source: str, source_digest: str, classes: Sequence[str], up: str, has_points: bool
) -> dict[str, Any]:
    """What a map file tells of its origin, by names for the user: two files that agree in it hold the same maps."""
    return {
        "source": source,
        "digest of the source": source_digest[:16],
        "classes": list(classes),
        **{name: list(value) if isinstance(value, tuple) else value for name, value in asdict(basis).items()},
        "up axis of the source": up,
        "kept points": has_points,
    }


@dataclass(frozen=True, eq=False)
class MapFile:
    """An opened map file: everything but the maps in memory; ``read`` fetches those.

    Attributes
    ----------
    path : Path
        The file.
    basis : Basis
        Meaning of the maps.
    source : str
        Name of the data set.
    classes : tuple of str
        Class names in label order.
    ids : tuple of str
        One for each map.
    labels : ndarray, shape (N,), int64
        -1 where there is none.
    splits : ndarray, shape (N,), str
        "train", "val" or "test".
    mean, std : ndarray, shape (C, H, W), float32
        Over the training split.
    failures : tuple of (id, reason)
        Objects that could not be used.
    digest : str
        The content digest.
    has_points : bool
        Whether the clouds lie beside the maps.
    fingerprint : dict
        Where it comes from and how it was made, see ``fingerprint_of``.
    """

    path: Path
    basis: Basis
    source: str
    classes: tuple[str, ...]
    ids: tuple[str, ...] = field(repr=False)
    labels: NDArray[np.int64] = field(repr=False)
    splits: NDArray[np.str_] = field(repr=False)
    mean: NDArray[np.float32] = field(repr=False)
    std: NDArray[np.float32] = field(repr=False)
    failures: tuple[tuple[str, str], ...] = field(repr=False)
    digest: str
    has_points: bool
    fingerprint: dict[str, Any] = field(repr=False)

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, split: str | None = None) -> NDArray[np.int64]:
        """Row numbers of one split, or of all."""
        if split is None:
            return np.arange(len(self))
        return np.flatnonzero(self.splits == split)

    def read(self, rows: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
        """Maps of the given rows (all of them by default), (B, C, H, W) float32, in the order asked for.

        Raises
        ------
        UserError
            When the file is damaged, or a value is NaN or infinite.
        """
        with open_hdf5(self.path, SCHEMA, MAKE_AGAIN) as file:
            maps = _read_rows(dataset(file, "maps", MAKE_AGAIN), rows)
        if not np.isfinite(maps).all():
            raise UserError("maps that are not finite", str(self.path), "run `spectral-ssl verify` on it")
        return maps

    def read_points(self, rows: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
        """Clouds of the given rows, (B, P, 3) float32.

        Raises
        ------
        UserError
            When the file was made without them.
        """
        if not self.has_points:
            raise UserError("the map file holds no points", str(self.path), "prepare it with --keep-points")
        with open_hdf5(self.path, SCHEMA, MAKE_AGAIN) as file:
            return _read_rows(dataset(file, "points", MAKE_AGAIN), rows)


def _read_rows(column: h5py.Dataset, rows: NDArray[np.int64] | None) -> NDArray[np.float32]:
    if rows is None:
        return np.asarray(column[:], np.float32)
    order = np.unique(rows)  # HDF5 takes rising row numbers only
    found = np.empty((len(order), *column.shape[1:]), np.float32)
    # one slice per run of neighbours: fancy indexing in HDF5 costs several times more
    for run in np.split(np.arange(len(order)), np.flatnonzero(np.diff(order) > 1) + 1):
        if len(run):
            found[run[0] : run[-1] + 1] = column[order[run[0]] : order[run[-1]] + 1]
    return found[np.searchsorted(order, rows)]


def open_maps(path: Path | str) -> MapFile:
    """Open a map file and read everything but the maps.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    MapFile

    Raises
    ------
    UserError
        When the file is missing, damaged, of another schema, or inconsistent.
    """
    path = Path(path)
    with open_hdf5(path, SCHEMA, MAKE_AGAIN) as file:
        try:
            basis = Basis.from_json(str(file.attrs["basis"]))
            maps = dataset(file, "maps", MAKE_AGAIN)
            failures = dataset(file, "failures", MAKE_AGAIN)
            opened = MapFile(
                path=path,
                basis=basis,
                source=str(file.attrs["source"]),
                classes=tuple(json.loads(str(file.attrs["class_names"]))),
                ids=texts(dataset(file, "ids", MAKE_AGAIN)),
                labels=dataset(file, "labels", MAKE_AGAIN)[:],
                splits=np.array(texts(dataset(file, "split", MAKE_AGAIN)), dtype=str),
                mean=dataset(file, "mean", MAKE_AGAIN)[:],
                std=dataset(file, "std", MAKE_AGAIN)[:],
                failures=tuple((_text(row["id"]), _text(row["reason"])) for row in failures[:]),
                digest=str(file.attrs["content_digest"]),
                has_points="points" in file,
                fingerprint=fingerprint_of(
                    basis,
                    str(file.attrs["source"]),
                    str(file.attrs.get("source_digest", "")),
                    json.loads(str(file.attrs["class_names"])),
                    str(file.attrs.get("source_up", "")),
                    "points" in file,
                ),
            )
            shape = maps.shape
            kinds = {name: file[name].dtype.kind for name in ("maps", "mean", "std", "labels")}
        except (KeyError, IndexError, TypeError, ValueError, OSError, RuntimeError) as error:
            raise UserError("damaged map file", f"{path} ({error})", f"make it again with `{MAKE_AGAIN}`") from error
    rows = {len(opened.ids), len(opened.labels), len(opened.splits), shape[0]}
    if (
        len(rows) != 1
        or tuple(shape[1:]) != basis.shape
        or opened.mean.shape != basis.shape
        or opened.std.shape != basis.shape
    ):
        raise UserError(
            "inconsistent map file",
            f"maps {shape}, basis {basis.shape}, rows {sorted(rows)} in {path}",
            f"make it again with `{MAKE_AGAIN}`",
        )
    wrong = _contradiction(opened, kinds)
    if wrong:
        raise UserError("map file that contradicts itself", f"{wrong} in {path}", f"make it again with `{MAKE_AGAIN}`")
    if not len(opened):
        raise UserError("empty map file", str(path), f"make it again with `{MAKE_AGAIN}`")
    return opened


def _contradiction(maps: MapFile, kinds: dict[str, str]) -> str:
    """What a file says that cannot be, or nothing."""
    if kinds != {"maps": "f", "mean": "f", "std": "f", "labels": "i"}:
        return f"value types {kinds}"
    if len(maps) and not -1 <= maps.labels.min() <= maps.labels.max() < max(len(maps.classes), 1):
        return f"labels {maps.labels.min()} to {maps.labels.max()} for {len(maps.classes)} classes"
    if not set(np.unique(maps.splits)) <= {"train", "val", "test"}:
        return f"splits {sorted(set(maps.splits.tolist()))[:5]}"
    if not (np.isfinite(maps.mean).all() and np.isfinite(maps.std).all() and (maps.std > 0).all()):
        return "statistics that are not finite and positive"
    return ""


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
