"""The codes of a data set: features from a feature file, matched to the maps by their ids.

Only ``/features`` and ``/ids`` of a feature file are read, never its labels. The one-hot labels of
label-conditioned baselines come from the map file.

Letters in shapes: N maps, M rows of a feature file, D values of a code.
"""

from dataclasses import replace
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.maps.reader import MapFile
from pretext.tasks.codes.from_code import LABELS, NONE, FromCodeConfig
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.hdf5 import open_dataset, open_hdf5, read_texts

FEATURE_SCHEMA = "spectral-ssl features 1"
MAKE_AGAIN = "spectral-ssl export"


def settle_codes(config: FromCodeConfig, maps: MapFile) -> FromCodeConfig:
    """Return the config with the dimensions and the digest of its features.

    Raises
    ------
    UserError
        For the reasons of ``find_codes``, or if all codes of the training split are equal.
    """
    if config.features == NONE:
        return replace(config, dimensions=0, features_digest="", extractor="")
    if config.features != LABELS:
        path = Path(config.features).resolve()
        config = replace(config, features=str(path), features_digest=_read(path, _stamp(path))[2])
    codes = find_codes(replace(config, dimensions=0), maps)
    training = codes[maps.rows("train")] if len(maps.rows("train")) else codes
    if (training == training[0]).all():
        got = f"{len(training)} equal rows in {config.features}"
        raise UserError("constant features", got, "give features that differ between samples")
    return replace(config, dimensions=codes.shape[1])


def find_codes(config: FromCodeConfig, maps: MapFile, rows: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
    """Return the codes of rows of a map file.

    Parameters
    ----------
    config : FromCodeConfig
        Settings, whose ``features`` are a file or ``labels``.
    maps : MapFile
        The map file.
    rows : ndarray, shape (N,), int64, optional
        Rows of the map file; by default all in their order.

    Returns
    -------
    ndarray, shape (N, D), float32

    Raises
    ------
    UserError
        If the feature file is missing, damaged, not finite, not that of the run, or lacks some of
        the rows. With ``labels``, if a map has no label or there is only one class.
    """
    if config.features == LABELS:
        return _encode_labels(maps) if rows is None else _encode_labels(maps)[rows]
    path = Path(config.features)
    values, row_of, digest = _read(path, _stamp(path))
    if config.features_digest and digest != config.features_digest:
        got = f"{path} with digest {digest[:12]}, not {config.features_digest[:12]}"
        raise UserError("features differ from those of the run", got, "restore the feature file of the training")
    ids = maps.ids if rows is None else [maps.ids[row] for row in rows]
    missing = [identity for identity in ids if identity not in row_of]
    if missing:
        got = f"{len(missing)} of {len(ids)} maps lack features, e.g. {missing[0]}; {path} has {len(values)}"
        raise UserError("features whose ids do not match the data", got, "export the features of this map file")
    codes = values[[row_of[identity] for identity in ids]]
    if config.dimensions not in (0, codes.shape[1]):
        got = f"{codes.shape[1]} dimensions, not {config.dimensions}"
        raise UserError("features differ from those of the run", got, "restore the feature file of the training")
    return codes


def find_codes_if_any(config: FromCodeConfig, maps: MapFile, rows: NDArray[np.int64]) -> NDArray[np.float32] | None:
    """Return the codes of rows as ``find_codes`` does, or None if the config uses none."""
    return None if config.features == NONE else find_codes(config, maps, rows)


def _encode_labels(maps: MapFile) -> NDArray[np.float32]:
    """Return one-hot labels (N, classes) of all maps.

    It raises a UserError if a map has no label or all labels are equal.
    """
    if (maps.labels < 0).any():
        got = f"{int((maps.labels < 0).sum())} maps without a label in {maps.path}"
        raise UserError("the task needs labels, and maps have none", got, "give features in place of labels")
    if len(np.unique(maps.labels)) < 2:
        raise UserError("a single class", f"all maps of {maps.path} have one label", "give data of several classes")
    return np.eye(len(maps.classes), dtype=np.float32)[maps.labels]


def _stamp(path: Path) -> tuple[int, int]:
    """Return size and time of a file, which change with its content; (0, 0) if there is no file."""
    return (path.stat().st_size, path.stat().st_mtime_ns) if path.is_file() else (0, 0)


@lru_cache(maxsize=1)  # blocks of one file are read one after the other
def _read(path: Path, stamp: tuple[int, int]) -> tuple[NDArray[np.float32], dict[str, int], str]:
    """Read features (M, D) and the row of each id, and compute a digest of both."""
    with open_hdf5(path, FEATURE_SCHEMA, MAKE_AGAIN) as file:
        try:
            values: NDArray[Any] = np.asarray(open_dataset(file, "features", MAKE_AGAIN)[:], np.float32)
            ids = read_texts(open_dataset(file, "ids", MAKE_AGAIN))
        except (KeyError, TypeError, ValueError, OSError, RuntimeError) as error:
            raise UserError("damaged feature file", f"{path} ({error})", f"make it again: `{MAKE_AGAIN}`") from error
    if values.ndim != 2 or len(values) != len(ids) or not values.shape[1]:
        got = f"features {values.shape}, {len(ids)} ids in {path}"
        raise UserError("inconsistent feature file", got, f"make it again with `{MAKE_AGAIN}`")
    if not np.isfinite(values).all():
        raise UserError("features that are not finite", str(path), "make them again, e.g. with a lower learning rate")
    digest = sha256("\0".join(ids).encode())
    digest.update(np.ascontiguousarray(values).tobytes())
    return values, {identity: row for row, identity in enumerate(ids)}, digest.hexdigest()
