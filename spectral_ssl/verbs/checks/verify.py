"""``verify``: is this file sound?"""

from pathlib import Path

import h5py

from data_prep.maps.reader import MapFile, open_maps
from data_prep.pipeline.verify import verify_maps
from data_prep.source import Source
from data_prep.sources.catalogue import SOURCES
from data_prep.sources.pairs import select_side
from data_prep.transforms.radial_harmonics import require_embree
from downstream.features.store import SCHEMA as FEATURES_SCHEMA
from downstream.features.store import read_features
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.hdf5 import read_schema
from spectral_ssl.ground.progress import say
from spectral_ssl.ground.workspace import Workspace
from spectral_ssl.planning.prep_plan import find_source

OBJECTS = 8  # made again from the raw data


def verify(
    path: str | Path,
    *,
    dataset: str | None = None,
    root: str | Path | None = None,
    size: int | None = None,
    side: str | None = None,
    workspace: str | Path | None = None,
) -> list[str]:
    """Check a map file or a feature file.

    Some objects of a map file are made again from the raw data, if that is at hand: where ``dataset`` or ``root`` say,
    else that of the data set the file names, if it is built in or lies in the workspace. A line tells which it was.

    Parameters
    ----------
    path : path
        The file.
    dataset : str, optional
        The data set it was made from, as for ``prep``; by default the one that the file names.
    root : path, optional
        Where the raw data lies; ``WS/raw/DATASET`` by default.
    size : int, optional
        Pixels on a side to which images were brought; by default as in the file.
    side : {"A", "B"}, optional
        The side of paired images that was taken; by default as in the file.
    workspace : path, optional
        See ``Workspace.find``.

    Returns
    -------
    list of str
        What was found wrong; empty for a sound file.

    Raises
    ------
    UserError
        When it is no readable file of this toolkit at all, or the raw data that was named is not there.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError("no such file", str(path), "give the path of a map file or a feature file")
    named = dataset is not None or root is not None
    if _schema(path) == FEATURES_SCHEMA:
        if named:
            raise UserError("--dataset and --root are for map files", str(path), "leave them out")
        return _feature_findings(path)
    try:
        maps = open_maps(path)
    except UserError as error:
        return [str(error)]
    source = _source(maps, dataset, root, size, side, Workspace.find(workspace))
    if source is None or named:
        return verify_maps(path, source, OBJECTS)
    if not _fits(maps, source):
        say(f"no object was made again: the raw data of {source.name} at hand is not what the maps were made from")
        return verify_maps(path)
    say(f"{min(OBJECTS, len(maps))} objects are made again from the raw data of {source.name}")
    return verify_maps(path, source, OBJECTS)


def _source(
    maps: MapFile, dataset: str | None, root: str | Path | None, size: int | None, side: str | None, place: Workspace
) -> Source | None:
    """What a map file was made from, with the size and the side of its images; None when it is not at hand."""
    stem, _, own_side = maps.source.partition(" side ")
    key = stem.partition(":")[0]
    named = dataset is not None or root is not None
    if not named and (key not in SOURCES or (SOURCES[key].needs_root and not place.raw(key).is_dir())):
        say("no object was made again: say with --dataset or --root where the raw data lies")
        return None
    if dataset is None:  # of a path the file knows the last folder only
        dataset = f"{key}:{maps.classes[-1]}" if maps.classes and SOURCES[key].after_colon == "choice" else key
    height, width = maps.basis.shape[1:]
    square = maps.basis.kind == "pixels" and height == width
    try:
        if maps.basis.kind == "radial":
            require_embree()
        for pixels in (None, height) if size is None and square else (size,):
            source = find_source(dataset, root, place, pixels)
            if side or own_side:
                source = select_side(source, side or own_side)
            if _fits(maps, source):
                break
    except UserError as error:
        if named:
            raise
        say(f"no object was made again: {error}")
        return None
    return source


def _fits(maps: MapFile, source: Source) -> bool:
    return bool(source.digest[:16] == maps.fingerprint["digest of the source"])


def _schema(path: Path) -> str:
    try:
        with h5py.File(path, "r") as file:
            return read_schema(file)
    except (OSError, RuntimeError):
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
