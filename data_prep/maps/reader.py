"""Reader of the map file: all maps of a data set with ids, labels, splits, basis, statistics and failures, in HDF5.

``data_prep.maps.writer`` writes it.

======================  =======================================================================
/maps                   (N, C, H, W) float32, one sample per chunk, not compressed
/ids, /split            (N,) strings
/labels                 (N,) int64, -1 = none
/mean, /std             (C, H, W) float32, over the training split; std is 1 where a value is constant
/failures               (F,) of (id, reason): the failed objects
/notes                  (M,) of (id, note), optional: what a reader did not take literally
/points                 (N, P, 3) float16, optional: the clouds that became the maps
attributes              schema_version, basis (JSON), source, source_digest, source_up, class_names (JSON),
                        content_digest, created_by, method
======================  =======================================================================
"""

import math
import os
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from data_prep.basis import Basis
from data_prep.maps.row_checksums import find_changed_rows, read_row_checksums
from data_prep.maps.row_offsets import find_row_offsets
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.hdf5 import (
    Texts,
    check_lengths,
    has_link,
    open_dataset,
    open_hdf5,
    read_attribute,
    read_compact_texts,
    read_name_list,
    read_short_texts,
    read_texts,
)
from spectral_ssl.ground.terminal import write_facts_as_html

SCHEMA = "spectral-ssl maps 1"
MAKE_AGAIN = "spectral-ssl prep"
# kind and number of axes of each dataset; "points" may be missing
COLUMNS = {
    "maps": ("f", 4),
    "mean": ("f", 3),
    "std": ("f", 3),
    "labels": ("i", 1),
    "ids": ("text", 1),
    "split": ("text", 1),
    "points": ("f", 3),
}
ROWS_AT_ONCE = 1024
ROWS_OF_DIGEST = 512
BYTES_AT_ONCE = 32 << 20  # Limit of the maps in memory during a pass over a whole file.

# Two threads read the same file when a training reads its maps as they are needed. The lock within
# h5py does not always keep them apart (its issue 2920), so they wait for each other here.
_one_thread = threading.RLock()
if hasattr(os, "register_at_fork"):  # A child must not inherit the lock of a thread that it does not have.
    os.register_at_fork(
        before=_one_thread.acquire, after_in_parent=_one_thread.release, after_in_child=_one_thread.release
    )


def compute_content_digest(file: h5py.File) -> str:
    """Compute the SHA-256 of ids, labels, splits, basis and map values; equal digests mean equal data."""
    digest = sha256(str(file.attrs["basis"]).encode())
    for name in ("ids", "split"):
        digest.update("\0".join(read_texts(file[name])).encode())
    digest.update(file["labels"][:].tobytes())
    maps = file["maps"]
    rows = count_rows_at_once(maps.shape[1:], ROWS_OF_DIGEST)
    file.flush()  # A writer may hold the last rows in memory.
    # Rows of small maps are read three times faster without HDF5.
    offsets = find_row_offsets(maps) if maps.dtype == np.dtype("<f4") else None
    for start in range(0, len(maps), rows):
        stop = min(start + rows, len(maps))
        block = maps[start:stop] if offsets is None else offsets.read(np.arange(start, stop))
        digest.update(block.tobytes())
    return digest.hexdigest()


def count_rows_at_once(shape: tuple[int, ...], most: int = ROWS_AT_ONCE) -> int:
    """Count the maps of this shape that fit into ``BYTES_AT_ONCE``, between 1 and ``most``."""
    return max(1, min(most, BYTES_AT_ONCE // max(4 * math.prod(shape), 1)))


def build_fingerprint(
    basis: Basis, source: str, source_digest: str, classes: Sequence[str], up: str, has_points: bool
) -> dict[str, Any]:
    """Build the description of a map file's origin, by names for the user; equal descriptions mean equal maps."""
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
    """An open map file: everything except the maps is in memory, and ``read`` returns maps.

    Attributes
    ----------
    path : Path
        Path of the file.
    basis : Basis
        Meaning of the maps.
    source : str
        Name of the data set.
    classes : tuple of str
        Class names in label order.
    ids : sequence of str
        Id of each map's object.
    labels : ndarray, shape (N,), int64
        Label of each map; -1 for an object without a class.
    splits : ndarray, shape (N,), str
        Split of each map: "train", "val" or "test".
    mean, std : ndarray, shape (C, H, W), float32
        Statistics of the training split.
    failures : tuple of (id, reason)
        The failed objects, which have no map.
    notes : tuple of (id, note)
        What the readers did not take literally, such as rows of a cloud that they left out.
    digest : str
        The content digest.
    has_points : bool
        Whether the file stores the clouds with the maps.
    checksums : dict of ndarray, shape (N,), uint32
        Checksums of the rows of "maps" and "points"; none in files of earlier versions.
    fingerprint : dict
        Origin and parameters of the maps, see ``build_fingerprint``.

    Examples
    --------
    >>> maps.read(maps.rows("test")[:8]).shape
    (8, 1, 16, 16)
    >>> maps.ids[0], maps.classes[maps.labels[0]]
    ('stripes-00', 'upright')
    """

    path: Path
    basis: Basis
    source: str
    classes: tuple[str, ...]
    ids: Texts = field(repr=False)
    labels: NDArray[np.int64] = field(repr=False)
    splits: NDArray[np.str_] = field(repr=False)
    mean: NDArray[np.float32] = field(repr=False)
    std: NDArray[np.float32] = field(repr=False)
    failures: tuple[tuple[str, str], ...] = field(repr=False)
    notes: tuple[tuple[str, str], ...] = field(repr=False)
    digest: str
    has_points: bool
    checksums: dict[str, NDArray[np.uint32]] = field(repr=False)
    fingerprint: dict[str, Any] = field(repr=False)

    def __len__(self) -> int:
        return len(self.ids)

    def _repr_html_(self) -> str:
        counts = Counter(self.splits.tolist())
        facts: dict[str, object] = {
            "file": self.path,
            "data set": self.source,
            "maps": f"{len(self)} ({', '.join(f'{counts[split]} {split}' for split in sorted(counts))})",
            "basis": f"{self.basis.kind}, {' x '.join(map(str, self.basis.shape))}",
            "classes": len(self.classes),
            "clouds": "kept" if self.has_points else "none",
            "failed objects": len(self.failures),
        }
        return write_facts_as_html("Map file", facts)

    def rows(self, split: str | None = None) -> NDArray[np.int64]:
        """Return the row numbers of one split, or of all splits."""
        if split is None:
            return np.arange(len(self))
        return np.flatnonzero(self.splits == split)

    def read(self, rows: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
        """Read the maps of these rows (all by default), (B, C, H, W) float32, in the order of ``rows``.

        Raises
        ------
        UserError
            When the file is damaged, a map has changed since the file was made, or a value is NaN or
            infinite.
        """
        with _one_thread, open_hdf5(self.path, SCHEMA, MAKE_AGAIN) as file:
            maps = _read_rows(self._open_column(file, "maps"), rows)
        self.check_unchanged("maps", maps, rows)
        if not np.isfinite(maps).all():
            raise UserError("maps with values that are not finite", str(self.path), "run `spectral-ssl verify` on it")
        return maps

    def read_points(self, rows: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
        """Read the clouds of these rows (all by default), (B, P, 3) float32.

        Raises
        ------
        UserError
            When the file has no clouds.
        """
        if not self.has_points:
            raise UserError("the map file holds no points", str(self.path), "prepare it with --keep-points --overwrite")
        with _one_thread, open_hdf5(self.path, SCHEMA, MAKE_AGAIN) as file:
            points = _read_rows(self._open_column(file, "points"), rows)
        self.check_unchanged("points", points, rows)
        return points

    def _open_column(self, file: h5py.File, name: str) -> h5py.Dataset:
        """Open a column, unless another file has taken the place of the one that was opened first."""
        column = open_dataset(file, name, MAKE_AGAIN)
        if len(column) != len(self) or (name == "maps" and column.shape[1:] != self.basis.shape):
            got = f"{name} of shape {column.shape}, not {len(self)} of them, in {self.path}"
            raise UserError("the map file was replaced while it was in use", got, "repeat the command")
        return column

    def check_unchanged(self, column: str, values: NDArray[np.float32], rows: NDArray[np.int64] | None) -> None:
        """Raise a UserError if what was read of "maps" or "points" (B, ...) is not what was written at ``rows``."""
        if column not in self.checksums:
            return
        numbers = np.arange(len(values)) if rows is None else np.asarray(rows, np.int64)
        changed = find_changed_rows(column, values, self.checksums[column][numbers])
        if len(changed):
            first = self.ids[numbers[changed[0]]]
            got = f"{len(changed)} of {len(values)} {column} that were read, such as that of {first}, in {self.path}"
            advice = "copy the file again, or make it again with `spectral-ssl prep`"
            raise UserError("a map file that has changed since it was made", got, advice)


def _read_rows(column: h5py.Dataset, rows: NDArray[np.int64] | None) -> NDArray[np.float32]:
    wanted = np.arange(len(column)) if rows is None else rows
    order = np.unique(wanted)  # HDF5 accepts only rising row numbers.
    if len(order) and not 0 <= order[0] <= order[-1] < len(column):
        raise IndexError(f"rows {order[0]} to {order[-1]} of {len(column)}")
    offsets = find_row_offsets(column)
    if offsets is not None:
        values = offsets.read(order)
        return values if np.array_equal(order, wanted) else values[np.searchsorted(order, wanted)]
    values = np.empty((len(order), *column.shape[1:]), np.float32)
    # Each run of neighbours is read as one slice: fancy indexing in HDF5 takes several times
    # longer.
    for run in np.split(np.arange(len(order)), np.flatnonzero(np.diff(order) > 1) + 1):
        if len(run):
            values[run[0] : run[-1] + 1] = column[order[run[0]] : order[run[-1]] + 1]
    return values[np.searchsorted(order, wanted)]


def open_maps(path: Path | str) -> MapFile:
    """Open a map file and read everything except the maps.

    Parameters
    ----------
    path : Path
        Path of the file.

    Returns
    -------
    MapFile

    Raises
    ------
    UserError
        When the file is missing, damaged, of another schema, or inconsistent.

    Examples
    --------
    >>> from spectral_ssl import open_maps
    >>> opened = open_maps(maps.path)
    >>> opened.basis.kind, opened.basis.shape, len(opened)
    ('pixels', (1, 16, 16), 64)
    """
    path = Path(path)
    if path.is_dir() or str(path).startswith(("folder:", "pairs:", "pyg:")):
        raise UserError("raw data, not a map file", str(path), f"prepare it first: {MAKE_AGAIN} {path}")
    with open_hdf5(path, SCHEMA, MAKE_AGAIN) as file:
        try:
            basis = Basis.from_json(read_attribute(file, "basis"))
            _check_columns(file, path)
            maps = open_dataset(file, "maps", MAKE_AGAIN)
            failures = _read_pairs(open_dataset(file, "failures", MAKE_AGAIN), "reason")
            # Files of earlier versions have no notes.
            notes = _read_pairs(open_dataset(file, "notes", MAKE_AGAIN), "note") if has_link(file, "notes") else ()
            source, classes = read_attribute(file, "source"), read_name_list(file, "class_names")
            has_points = has_link(file, "points")
            opened = MapFile(
                path=path,
                basis=basis,
                source=source,
                classes=classes,
                ids=read_compact_texts(open_dataset(file, "ids", MAKE_AGAIN)),
                labels=open_dataset(file, "labels", MAKE_AGAIN)[:].astype(np.int64),
                splits=read_short_texts(open_dataset(file, "split", MAKE_AGAIN)),
                mean=open_dataset(file, "mean", MAKE_AGAIN)[:],
                std=open_dataset(file, "std", MAKE_AGAIN)[:],
                failures=failures,
                notes=notes,
                digest=read_attribute(file, "content_digest"),
                has_points=has_points,
                checksums=read_row_checksums(file, MAKE_AGAIN),
                fingerprint=build_fingerprint(
                    basis,
                    source,
                    read_attribute(file, "source_digest") if "source_digest" in file.attrs else "",
                    classes,
                    read_attribute(file, "source_up") if "source_up" in file.attrs else "",
                    has_points,
                ),
            )
            shape = maps.shape
        except (KeyError, IndexError, TypeError, ValueError, OSError, RuntimeError) as error:
            raise UserError("damaged map file", f"{path} ({error})", f"make it again with `{MAKE_AGAIN}`") from error
    rows = {len(opened.ids), len(opened.labels), len(opened.splits), shape[0], *map(len, opened.checksums.values())}
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
    wrong = _find_contradiction(opened)
    if wrong:
        raise UserError("map file that contradicts itself", f"{wrong} in {path}", f"make it again with `{MAKE_AGAIN}`")
    if not len(opened):
        raise UserError("empty map file", str(path), f"make it again with `{MAKE_AGAIN}`")
    return opened


def _check_columns(file: h5py.File, path: Path) -> None:
    """Raise a UserError if a dataset has another type or number of axes than those that we write."""
    names = [name for name in COLUMNS if name != "points" or has_link(file, name)]
    for name in names:
        column, (kind, axes) = open_dataset(file, name, MAKE_AGAIN), COLUMNS[name]
        is_text = h5py.check_string_dtype(column.dtype) is not None
        is_right = is_text if kind == "text" else column.dtype.kind == kind and column.dtype.isnative
        if not is_right or column.ndim != axes:
            got = f"{name!r} of type {column.dtype} and shape {column.shape} in {path}"
            raise UserError("map file that contradicts itself", got, f"make it again with `{MAKE_AGAIN}`")
    if "points" in names and (len(file["points"]) != len(file["maps"]) or file["points"].shape[2] != 3):
        got = f"clouds of shape {file['points'].shape} for {len(file['maps'])} maps in {path}"
        raise UserError("map file that contradicts itself", got, f"make it again with `{MAKE_AGAIN}`")


def _find_contradiction(maps: MapFile) -> str:
    """Return a description of the first invalid content of a file, or an empty string."""
    if len(maps) and not -1 <= maps.labels.min() <= maps.labels.max() < max(len(maps.classes), 1):
        return f"labels {maps.labels.min()} to {maps.labels.max()} for {len(maps.classes)} classes"
    if not set(np.unique(maps.splits)) <= {"train", "val", "test"}:
        return f"splits {sorted(set(maps.splits.tolist()))[:5]}"
    if not (np.isfinite(maps.mean).all() and np.isfinite(maps.std).all() and (maps.std > 0).all()):
        return "statistics that are not finite and positive"
    return ""


def _read_pairs(column: h5py.Dataset, meaning: str) -> tuple[tuple[str, str], ...]:
    """Read rows of an id and a text."""
    check_lengths(column)
    return tuple((_text(row["id"]), _text(row[meaning])) for row in column[:])


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
