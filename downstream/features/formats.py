"""Features in formats other than our own HDF5: NPZ for numpy, Parquet for tables.

The same columns everywhere: id, label (-1 for none), class, split, features; and beside them what the HDF5 file's
attributes say (``about``), as JSON.
"""

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np

from downstream.features.store import Features, write_features
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.files import atomic_path
from spectral_ssl.ground.provenance import created_by

FeatureFormat = Literal["hdf5", "npz", "parquet"]
ENDINGS: dict[FeatureFormat, str] = {"hdf5": ".h5", "npz": ".npz", "parquet": ".parquet"}


def write_features_as(path: Path, features: Features, kind: FeatureFormat, *, overwrite: bool = False) -> None:
    """Write features in a format, atomically.

    Parameters
    ----------
    path : Path
        The file.
    features : Features
        What to write.
    kind : {"hdf5", "npz", "parquet"}
        The format.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    UserError
        When it exists and may not be replaced, cannot be written, or the library for it is not installed.
    """
    if kind == "hdf5":
        write_features(path, features, overwrite=overwrite)
    elif kind == "npz":
        _write_npz(path, features, overwrite)
    else:
        _write_parquet(path, features, overwrite)


def need_pyarrow() -> Any:
    """The library that writes Parquet. Raises UserError when it is not installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        what_to_do = "pip install 'spectral-ssl[parquet]', or take --format npz"
        raise UserError("Parquet needs pyarrow", "not installed", what_to_do) from error
    return pyarrow


def _write_npz(path: Path, features: Features, overwrite: bool) -> None:
    columns: dict[str, Any] = {
        "features": features.values.astype(np.float32, copy=False),
        "id": np.array(features.ids, dtype=str),
        "label": features.labels,
        "class_names": np.array(features.classes, dtype=str),
        "split": features.splits,
        "about": np.array(_about(features)),
    }
    # no array of objects: such a file could be opened with pickles allowed only
    with atomic_path(path, overwrite=overwrite) as temporary, temporary.open("wb") as stream:
        np.savez(stream, **columns)


def _write_parquet(path: Path, features: Features, overwrite: bool) -> None:
    arrow = need_pyarrow()
    values = np.ascontiguousarray(features.values, np.float32)
    names = [features.classes[label] if label >= 0 else None for label in features.labels]
    table = arrow.table(
        {
            "id": arrow.array(features.ids, arrow.string()),
            "label": arrow.array(features.labels, arrow.int64()),
            "class": arrow.array(names, arrow.string()),
            "split": arrow.array(features.splits.tolist(), arrow.string()),
            "features": arrow.FixedSizeListArray.from_arrays(arrow.array(values.reshape(-1)), values.shape[1]),
        }
    ).replace_schema_metadata({"spectral-ssl": _about(features)})
    with atomic_path(path, overwrite=overwrite) as temporary:
        arrow.parquet.write_table(table, temporary)


def _about(features: Features) -> str:
    about = {**features.about, "class_names": list(features.classes), "created_by": created_by()}
    return json.dumps(about, sort_keys=True)
