"""``verify``: is this file sound?"""

from pathlib import Path

import h5py

from data_prep.verify import verify_maps
from downstream.feature_store import SCHEMA as FEATURES_SCHEMA
from downstream.feature_store import read_features
from spectral_ssl.ground.errors import UserError


def verify(path: str | Path) -> list[str]:
    """Check a map file or a feature file.

    Parameters
    ----------
    path : path
        The file.

    Returns
    -------
    list of str
        What was found wrong; empty for a sound file.

    Raises
    ------
    UserError
        When it is no readable file of this toolkit at all.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError("no such file", str(path), "give the path of a map file or a feature file")
    if _schema(path) == FEATURES_SCHEMA:
        return _feature_findings(path)
    return verify_maps(path)


def _schema(path: Path) -> str:
    try:
        with h5py.File(path, "r") as file:
            return str(file.attrs.get("schema_version", ""))
    except OSError:
        return ""  # verify_maps says what is wrong with it


def _feature_findings(path: Path) -> list[str]:
    import numpy as np

    features = read_features(path)
    findings = []
    if not np.isfinite(features.values).all():
        findings.append("features that are not finite")
    if len(set(features.ids)) != len(features.ids):
        findings.append("ids that are not unique")
    if len(features.labels) and features.labels.max() >= len(features.classes):
        findings.append("labels beyond the class names")
    return findings
