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
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from pretext.latent_codes import FEATURE_SCHEMA
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.files import atomic_path
from spectral_ssl.ground.hdf5 import attribute, dataset, name_list, open_hdf5, short_texts, texts
from spectral_ssl.ground.provenance import created_by

SCHEMA = FEATURE_SCHEMA
MAKE_AGAIN = "spectral-ssl export"


@dataclass(frozen=True)
class Features:
    """Features of a data set.

    Attributes
    ----------
    values : ndarray, shape (N, D), float32
    ids : tuple of str
    labels : ndarray, shape (N,), int64
        -1 where there is none.
    splits : ndarray, shape (N,), str
    classes : tuple of str
        Class names in label order.
    about : dict of str to str
        layer, pooling, checkpoint_digest, data_digest, config, basis, source.
    """

    values: NDArray[np.float32]
    ids: tuple[str, ...]
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
    with atomic_path(path, overwrite=overwrite) as temporary, h5py.File(temporary, "w") as file:
        text = h5py.string_dtype()
        file.create_dataset("features", data=features.values.astype(np.float32, copy=False))
        file.create_dataset("ids", data=list(features.ids), dtype=text)
        file.create_dataset("split", data=features.splits.tolist(), dtype=text)
        file.create_dataset("labels", data=features.labels)
        file.attrs.update(features.about)
        file.attrs.update(
            {"schema_version": SCHEMA, "class_names": json.dumps(list(features.classes)), "created_by": created_by()}
        )


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
