"""The codes of a data set: features out of a feature file, matched to the maps by their ids.

Of the feature file only ``/features`` and ``/ids`` are read: the labels in it are never touched. One-hot labels, for
baselines that are given them, come from the map file.
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
from spectral_ssl.ground.hdf5 import dataset, open_hdf5, texts

FEATURE_SCHEMA = "spectral-ssl features 1"
MAKE_AGAIN = "spectral-ssl export"


def settle_codes(config: FromCodeConfig, maps: MapFile) -> FromCodeConfig:
    """The config with what its features turn out to be: dimensions and digest.

    Raises
    ------
    UserError
        As ``find_codes``; and when all codes of the training split are the same.
    """
    if config.features == NONE:
        return replace(config, dimensions=0, features_digest="", extractor="")
    if config.features != LABELS:
        path = Path(config.features).resolve()
        config = replace(config, features=str(path), features_digest=_read(path, _stamp(path))[2])
    codes = find_codes(replace(config, dimensions=0), maps)
    training = codes[maps.rows("train")] if len(maps.rows("train")) else codes
    if (training == training[0]).all():
        got = f"{len(training)} times the same in {config.features}"
        raise UserError("constant features", got, "they say nothing of the data; give other features")
    return replace(config, dimensions=codes.shape[1])


def find_codes(config: FromCodeConfig, maps: MapFile, rows: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
    """Codes (N, D) float32 of the given rows of a map file, of all in its order by default.

    Parameters
    ----------
    config : FromCodeConfig
        Where features are set to a file or to ``labels``.
    maps : MapFile
    rows : ndarray, shape (N,), int64, optional

    Returns
    -------
    ndarray, shape (N, D), float32

    Raises
    ------
    UserError
        When the feature file is missing, damaged, not finite or another one than the run's, or lacks some of the rows;
        with ``labels``, when maps have none or there is but one class.
    """
    if config.features == LABELS:
        return _one_hot(maps) if rows is None else _one_hot(maps)[rows]
    path = Path(config.features)
    values, place, digest = _read(path, _stamp(path))
    if config.features_digest and digest != config.features_digest:
        got = f"{path} with digest {digest[:12]}, not {config.features_digest[:12]}"
        raise UserError("other features than the run's", got, "put the file back that it was trained with")
    ids = maps.ids if rows is None else [maps.ids[row] for row in rows]
    missing = [identity for identity in ids if identity not in place]
    if missing:
        got = f"{len(missing)} of {len(ids)} maps lack features, e.g. {missing[0]}; {path} has {len(values)}"
        raise UserError("features whose ids do not match the data", got, "export the features of this very map file")
    codes = values[[place[identity] for identity in ids]]
    if config.dimensions not in (0, codes.shape[1]):
        got = f"{codes.shape[1]} dimensions, not {config.dimensions}"
        raise UserError("other features than the run's", got, "put the file back that it was trained with")
    return codes


def _one_hot(maps: MapFile) -> NDArray[np.float32]:
    if (maps.labels < 0).any():
        got = f"{int((maps.labels < 0).sum())} maps without a label in {maps.path}"
        raise UserError("labels wanted where there are none", got, "give features in place of labels")
    if len(np.unique(maps.labels)) < 2:
        raise UserError("a single class", f"all maps of {maps.path} have one label", "give data of several classes")
    return np.eye(len(maps.classes), dtype=np.float32)[maps.labels]


def _stamp(path: Path) -> tuple[int, int]:
    """What changes with a file's content: its size and time; (0, 0) where there is none."""
    return (path.stat().st_size, path.stat().st_mtime_ns) if path.is_file() else (0, 0)


@lru_cache(maxsize=1)  # blocks of one file are asked for one after the other
def _read(path: Path, stamp: tuple[int, int]) -> tuple[NDArray[np.float32], dict[str, int], str]:
    """Values (M, D), the row of each id, and a digest of both."""
    with open_hdf5(path, FEATURE_SCHEMA, MAKE_AGAIN) as file:
        try:
            values: NDArray[Any] = np.asarray(dataset(file, "features", MAKE_AGAIN)[:], np.float32)
            ids = texts(dataset(file, "ids", MAKE_AGAIN))
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
