"""Write features as HDF5, as NPZ (NumPy) or as Parquet (tables).

All formats have the same columns: id, label (-1 for none), class, split, features. The attributes
of the HDF5 file are stored as JSON under the name ``about``.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np

from downstream.features.store import Features, write_features
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.files import atomic_path
from spectral_ssl.ground.provenance import created_by

FeatureFormat = Literal["hdf5", "npz", "parquet"]
ENDINGS: dict[FeatureFormat, str] = {"hdf5": ".h5", "npz": ".npz", "parquet": ".parquet"}
OTHER_ENDINGS = {".hdf5": ".h5"}
Format = TypeVar("Format", bound=str)


def choose_format(out: str | Path | None, kind: Format | None, endings: Mapping[Format, str], usual: Format) -> Format:
    """Choose the format of a file from the format that was given, or from the ending of the file.

    Parameters
    ----------
    out : path or None
        The file to write; None for the usual file of the format.
    kind : str or None
        The format that was given.
    endings : mapping of str to str
        Format -> ending.
    usual : str
        The format without ``kind``, of a file without an ending.

    Returns
    -------
    str
        The format.

    Raises
    ------
    UserError
        If the ending belongs to another format, or to none and no format is given.

    Examples
    --------
    >>> from downstream.features.formats import ENDINGS, choose_format
    >>> choose_format("features.npz", None, ENDINGS, "hdf5"), choose_format(None, "parquet", ENDINGS, "hdf5")
    ('npz', 'parquet')
    """
    ending = Path(out).suffix.lower() if out is not None else ""
    ending = OTHER_ENDINGS.get(ending, ending)
    found = next((each for each, usual_ending in endings.items() if usual_ending == ending), None)
    if found is None and ending and kind is None:
        known = ", ".join(endings.values())
        raise UserError("--out with an unknown ending", str(out), f"end it with one of {known}, or give --format")
    if found is not None and kind not in (None, found):
        do = f"leave --format out, or end the file with {endings.get(kind, 'no ending')}" if kind else ""
        raise UserError("--format and the ending of --out contradict each other", f"{kind} and {out}", do)
    return kind or found or usual


def write_features_as(path: Path, features: Features, kind: FeatureFormat, *, overwrite: bool = False) -> None:
    """Write features atomically in one of the formats.

    Parameters
    ----------
    path : Path
        File to write.
    features : Features
        N samples with D features each.
    kind : {"hdf5", "npz", "parquet"}
        Format of the file.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    UserError
        If the file exists and may not be replaced, cannot be written, or pyarrow is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from downstream.features import extract_features, write_features_as
    >>> write_features_as(folder / "features.npz", extract_features(run, maps), "npz")
    >>> len(np.load(folder / "features.npz")["features"]) == len(maps)
    True
    """
    if kind == "hdf5":
        write_features(path, features, overwrite=overwrite)
    elif kind == "npz":
        _write_npz(path, features, overwrite)
    else:
        _write_parquet(path, features, overwrite)


def import_pyarrow() -> Any:
    """Import the library that writes Parquet; raise a UserError if it is not installed."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        what_to_do = "pip install 'spectral-ssl[parquet]', or use --format npz"
        raise UserError("Parquet needs pyarrow", "not installed", what_to_do) from error
    return pyarrow


def _write_npz(path: Path, features: Features, overwrite: bool) -> None:
    """Write features as arrays of NumPy."""
    columns: dict[str, Any] = {
        "features": features.values.astype(np.float32, copy=False),
        "id": np.array(features.ids, dtype=str),
        "label": features.labels,
        "class_names": np.array(features.classes, dtype=str),
        "split": features.splits,
        "about": np.array(_describe(features)),
        # Rows of an id and a reason.
        "failures": np.array(features.failures, dtype=str).reshape(-1, 2),
    }
    # Arrays of objects are avoided, because NumPy opens them only if pickles are allowed.
    with atomic_path(path, overwrite=overwrite) as temporary, temporary.open("wb") as stream:
        np.savez(stream, **columns)


def _write_parquet(path: Path, features: Features, overwrite: bool) -> None:
    """Write features as a table."""
    arrow = import_pyarrow()
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
    ).replace_schema_metadata({"spectral-ssl": _describe(features)})
    with atomic_path(path, overwrite=overwrite) as temporary:
        arrow.parquet.write_table(table, temporary)


def _describe(features: Features) -> str:
    """Return the attributes of the HDF5 file as JSON."""
    about: dict[str, Any] = {**features.about, "class_names": list(features.classes), "created_by": created_by()}
    if features.failures:
        about["failures"] = [list(pair) for pair in features.failures]
    return json.dumps(about, sort_keys=True)
