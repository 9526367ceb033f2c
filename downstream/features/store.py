"""Read and write the feature file (HDF5).

==============  ===================================================================
/features       (N, D) float32
/ids, /split    (N,) strings
/labels         (N,) int64, -1 = none
/failures       (F,) of (id, reason), optional: the objects without features
attributes      schema_version, layer, pooling, checkpoint_digest, data_digest,
                config (TOML), basis (JSON), class_names (JSON), source, created_by;
                of ``embed`` also those of ``EMBEDDED``
==============  ===================================================================
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from pretext.tasks.codes.feature_codes import FEATURE_SCHEMA
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.files import atomic_path, reserve_room
from spectral_ssl.ground.hdf5 import (
    TEXTS_AT_ONCE,
    check_lengths,
    has_link,
    open_dataset,
    open_hdf5,
    read_attribute,
    read_name_list,
    read_schema,
    read_short_texts,
    read_texts,
)
from spectral_ssl.ground.provenance import created_by
from spectral_ssl.ground.terminal import write_facts, write_facts_as_html

SCHEMA = FEATURE_SCHEMA
MAKE_AGAIN = "spectral-ssl embed` or `spectral-ssl export"  # messages put it between backticks
# Space to reserve for the id, split and label of a row, and for the attributes.
BYTES_OF_A_ROW, BYTES_OF_A_FILE = 256, 1 << 20
PAIR = np.dtype([("id", h5py.string_dtype()), ("reason", h5py.string_dtype())])
COMPONENTS_NOTE = " principal components"  # The end of ``pooling`` in files of ``export --components``.


@dataclass(frozen=True)
class Features:
    """Features of a data set with N samples.

    Attributes
    ----------
    values : ndarray, shape (N, D), float32
        Features of the samples.
    ids : sequence of str
        Identity of each sample.
    labels : ndarray, shape (N,), int64
        Class of each sample; -1 for samples without a label.
    splits : ndarray, shape (N,), str
        Split of each sample.
    classes : tuple of str
        Class names in label order.
    about : dict of str to str
        Origin of the features: layer, pooling, checkpoint_digest, data_digest, config, basis,
        source; of ``embed`` also encoder, option, maps and folder.
    failures : tuple of (id, reason)
        The objects that could not be encoded.
    """

    values: NDArray[np.float32]
    ids: Sequence[str]
    labels: NDArray[np.int64]
    splits: NDArray[np.str_]
    classes: tuple[str, ...]
    about: dict[str, str]
    failures: tuple[tuple[str, str], ...] = ()

    def __repr__(self) -> str:
        return write_facts("Features", self._list_facts())

    def _repr_html_(self) -> str:
        return write_facts_as_html("Features", self._list_facts())

    def _list_facts(self) -> dict[str, object]:
        count, dimensions = self.values.shape
        named = {key: self.about[key] for key in ("source", "encoder", "layer", "pooling") if self.about.get(key)}
        return {"samples": count, "dimensions": dimensions, "classes": len(self.classes), **named}

    @property
    def has_components(self) -> bool:
        """Whether the features are principal components, whose scale says how much they count."""
        return self.about.get("pooling", "").endswith(COMPONENTS_NOTE)


ABOUT = ("layer", "pooling", "checkpoint_digest", "data_digest", "config", "basis", "source")
# Attributes of files of ``embed``: the name of the encoder; the option that loads it again, such as
# "--encoder universe-upright"; a JSON list of [path, digest] of the map files, which hold the shapes; and
# the folder below which the ids are paths, empty if there is none.
EMBEDDED = ("encoder", "option", "maps", "folder")


def is_feature_file(path: Path) -> bool:
    """Tell whether a file states that it is a feature file; False for a file that cannot be read."""
    try:
        with h5py.File(path, "r") as file:
            return read_schema(file) == SCHEMA
    except (OSError, RuntimeError):
        return False


def write_features(path: Path, features: Features, *, overwrite: bool = False) -> None:
    """Write a feature file atomically.

    Parameters
    ----------
    path : Path
        File to write.
    features : Features
        Features to write.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    UserError
        If the file exists and may not be overwritten, or cannot be written.

    Examples
    --------
    >>> import numpy as np
    >>> from downstream.features import Features, read_features, write_features
    >>> names = ("layer", "pooling", "checkpoint_digest", "data_digest", "config", "basis", "source")
    >>> features = Features(
    ...     values=np.ones((2, 3), np.float32), ids=["a", "b"], labels=np.array([0, -1]),
    ...     splits=np.array(["train", "test"]), classes=("box",), about=dict.fromkeys(names, ""),
    ... )
    >>> write_features(folder / "features.h5", features)
    >>> read_features(folder / "features.h5").values.shape
    (2, 3)
    """
    write_feature_blocks(path, features, [features.values], overwrite=overwrite)


def write_feature_blocks(
    path: Path, features: Features, blocks: Iterable[NDArray[np.float32]], *, overwrite: bool = False
) -> None:
    """Write a feature file atomically from blocks of values that are never all in memory.

    Parameters
    ----------
    path : Path
        File to write.
    features : Features
        Everything except the values; its own values are ignored.
    blocks : iterable of ndarray, shape (B, D), float32
        Values, at least one block. All blocks together have as many rows as there are ids.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    UserError
        If the file exists and may not be overwritten, or cannot be written. An existing file is
        left unchanged then.
    """
    rows, row = len(features.ids), 0
    try:
        with atomic_path(path, overwrite=overwrite) as temporary:
            with h5py.File(temporary, "w") as file:
                for block in blocks:
                    if not row:
                        # An HDF5 file cannot be closed safely after a failed write, so the space is
                        # reserved first.
                        reserve_room(temporary, rows * (4 * block.shape[1] + BYTES_OF_A_ROW) + BYTES_OF_A_FILE)
                        values = file.create_dataset("features", (rows, block.shape[1]), np.float32)
                    values[row : row + len(block)] = block
                    row += len(block)
                for name, texts in (("ids", features.ids), ("split", features.splits)):
                    column = file.create_dataset(name, (rows,), h5py.string_dtype())
                    for start in range(0, rows, TEXTS_AT_ONCE):
                        column[start : start + TEXTS_AT_ONCE] = list(texts[start : start + TEXTS_AT_ONCE])
                file.create_dataset("labels", data=features.labels)
                if features.failures:
                    file.create_dataset("failures", data=np.array(list(features.failures), PAIR))
                file.attrs.update(features.about)
                names = json.dumps(list(features.classes))
                file.attrs.update({"schema_version": SCHEMA, "class_names": names, "created_by": created_by()})
            with h5py.File(temporary, "r+"):
                pass  # HDF5 cuts off the reserved space that was not needed when it closes the file.
    except OSError as error:
        what_to_do = "free disk space there, or give another --out"
        raise UserError("the features cannot be written", f"{path} ({error.strerror or error})", what_to_do) from error


def read_features(path: Path) -> Features:
    """Read a feature file.

    Parameters
    ----------
    path : Path
        File written by ``spectral-ssl export`` or ``write_features``.

    Returns
    -------
    Features
        All features, in memory.

    Raises
    ------
    UserError
        If the file is missing, damaged or has another schema.

    Examples
    --------
    >>> from downstream.features import export_features, read_features
    >>> export_features(folder / "features.h5", run, maps)
    >>> len(read_features(folder / "features.h5").ids) == len(maps)
    True
    """
    with open_hdf5(path, SCHEMA, MAKE_AGAIN) as file:
        try:
            features = Features(
                values=open_dataset(file, "features", MAKE_AGAIN)[:],
                ids=read_texts(open_dataset(file, "ids", MAKE_AGAIN)),
                labels=open_dataset(file, "labels", MAKE_AGAIN)[:],
                splits=read_short_texts(open_dataset(file, "split", MAKE_AGAIN)),
                classes=read_name_list(file, "class_names"),
                about={
                    **{name: read_attribute(file, name) for name in ABOUT},
                    **{name: read_attribute(file, name) for name in EMBEDDED if name in file.attrs},
                },
                failures=_read_failures(file),
            )
        except (KeyError, TypeError, ValueError, OSError, RuntimeError) as error:
            raise UserError(
                "damaged feature file", f"{path} ({error})", f"make it again with `{MAKE_AGAIN}`"
            ) from error
    kinds = features.values.dtype.kind + features.labels.dtype.kind
    is_native = features.values.dtype.isnative and features.labels.dtype.isnative
    if kinds != "fi" or not is_native or features.values.ndim != 2 or features.labels.ndim != 1:
        got = f"features {features.values.shape}, types {features.values.dtype}, {features.labels.dtype} in {path}"
        raise UserError("feature file that contradicts itself", got, f"make it again with `{MAKE_AGAIN}`")
    if len({len(features.values), len(features.ids), len(features.labels), len(features.splits)}) != 1:
        raise UserError("inconsistent feature file", str(path), f"make it again with `{MAKE_AGAIN}`")
    return features


def _read_failures(file: h5py.File) -> tuple[tuple[str, str], ...]:
    """Read the objects without features; files of ``export`` have none."""
    if not has_link(file, "failures"):
        return ()
    column = open_dataset(file, "failures", MAKE_AGAIN)
    if column.dtype.names != PAIR.names:
        raise ValueError(f"{column.name} is no list of (id, reason)")
    check_lengths(column)
    return tuple((row["id"].decode(), row["reason"].decode()) for row in column[:])
