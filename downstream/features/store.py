"""The feature file (HDF5).

==============  ===================================================================
/features       (N, D) float32
/ids, /split    (N,) strings
/labels         (N,) int64, -1 = none
attributes      schema_version, layer, pooling, checkpoint_digest, data_digest,
                config (TOML), basis (JSON), class_names (JSON), source, created_by
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
from spectral_ssl.ground.hdf5 import TEXTS_AT_ONCE, attribute, dataset, name_list, open_hdf5, short_texts, texts
from spectral_ssl.ground.provenance import created_by

SCHEMA = FEATURE_SCHEMA
MAKE_AGAIN = "spectral-ssl export"
# Room for the id, split and label of a row; for attributes.
BYTES_OF_A_ROW, BYTES_OF_A_FILE = 256, 1 << 20


@dataclass(frozen=True)
class Features:
    """Features of a data set.

    Attributes
    ----------
    values : ndarray, shape (N, D), float32
    ids : sequence of str
    labels : ndarray, shape (N,), int64
        -1 where there is none.
    splits : ndarray, shape (N,), str
    classes : tuple of str
        Class names in label order.
    about : dict of str to str
        layer, pooling, checkpoint_digest, data_digest, config, basis, source.
    """

    values: NDArray[np.float32]
    ids: Sequence[str]
    labels: NDArray[np.int64]
    splits: NDArray[np.str_]
    classes: tuple[str, ...]
    about: dict[str, str]


ABOUT = ("layer", "pooling", "checkpoint_digest", "data_digest", "config", "basis", "source")


def write_features(path: Path, features: Features, *, overwrite: bool = False) -> None:
    """Write a feature file, atomically.

    Raises
    ------
    UserError
        When it exists and may not be overwritten, or cannot be written.
    """
    write_feature_blocks(path, features, [features.values], overwrite=overwrite)


def write_feature_blocks(
    path: Path, features: Features, blocks: Iterable[NDArray[np.float32]], *, overwrite: bool = False
) -> None:
    """Write a feature file, atomically, whose values come block by block and are never all in memory.

    Parameters
    ----------
    path : Path
        The file.
    features : Features
        All the rest; its own values are not looked at.
    blocks : iterable of ndarray, shape (B, D), float32
        As many rows in all as there are ids; at least one block.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    UserError
        When it exists and may not be overwritten, or cannot be written; an existing file stays as it is then.
    """
    rows, row = len(features.ids), 0
    try:
        with atomic_path(path, overwrite=overwrite) as temporary:
            with h5py.File(temporary, "w") as file:
                for block in blocks:
                    if not row:
                        # a file of HDF5 whose writing fails cannot be closed without harm: room is made sure of first
                        reserve_room(temporary, rows * (4 * block.shape[1] + BYTES_OF_A_ROW) + BYTES_OF_A_FILE)
                        values = file.create_dataset("features", (rows, block.shape[1]), np.float32)
                    values[row : row + len(block)] = block
                    row += len(block)
                for name, texts in (("ids", features.ids), ("split", features.splits)):
                    column = file.create_dataset(name, (rows,), h5py.string_dtype())
                    for start in range(0, rows, TEXTS_AT_ONCE):
                        column[start : start + TEXTS_AT_ONCE] = list(texts[start : start + TEXTS_AT_ONCE])
                file.create_dataset("labels", data=features.labels)
                file.attrs.update(features.about)
                names = json.dumps(list(features.classes))
                file.attrs.update({"schema_version": SCHEMA, "class_names": names, "created_by": created_by()})
            with h5py.File(temporary, "r+"):
                pass  # opened and closed, HDF5 cuts off what was reserved and not needed
    except OSError as error:
        what_to_do = "make room there, or give another --out"
        raise UserError("the features cannot be written", f"{path} ({error.strerror or error})", what_to_do) from error


def read_features(path: Path) -> Features:
    """Read a feature file.

    Raises
    ------
    UserError
        When it is missing, damaged or of another schema.
    """
    with open_hdf5(path, SCHEMA, MAKE_AGAIN) as file:
        try:
            features = Features(
                values=dataset(file, "features", MAKE_AGAIN)[:],
                ids=texts(dataset(file, "ids", MAKE_AGAIN)),
                labels=dataset(file, "labels", MAKE_AGAIN)[:],
                splits=short_texts(dataset(file, "split", MAKE_AGAIN)),
                classes=name_list(file, "class_names"),
                about={name: attribute(file, name) for name in ABOUT},
            )
        except (KeyError, TypeError, ValueError, OSError, RuntimeError) as error:
            raise UserError(
                "damaged feature file", f"{path} ({error})", f"make it again with `{MAKE_AGAIN}`"
            ) from error
    kinds = features.values.dtype.kind + features.labels.dtype.kind
    if kinds != "fi" or features.values.ndim != 2 or features.labels.ndim != 1:
        got = f"features {features.values.shape} and labels of types {kinds} in {path}"
        raise UserError("feature file that contradicts itself", got, f"make it again with `{MAKE_AGAIN}`")
    if len({len(features.values), len(features.ids), len(features.labels), len(features.splits)}) != 1:
        raise UserError("inconsistent feature file", str(path), f"make it again with `{MAKE_AGAIN}`")
    return features
