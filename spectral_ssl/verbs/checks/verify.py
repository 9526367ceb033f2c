"""``verify``: check that a file is sound."""

from contextlib import suppress
from itertools import product
from pathlib import Path

import h5py

from data_prep.maps.reader import MapFile, open_maps
from data_prep.pipeline.verify import FINDING_OF_SOURCE, verify_maps
from data_prep.source import Source
from data_prep.sources.catalogue import SOURCES, split_name
from data_prep.sources.pairs import select_side
from data_prep.transforms.radial_harmonics import require_embree
from downstream.features.store import is_feature_file, read_features
from spectral_ssl.ground.errors import NoRawData, UserError
from spectral_ssl.ground.hdf5 import read_schema
from spectral_ssl.ground.progress import say
from spectral_ssl.ground.workspace import Workspace
from spectral_ssl.planning.prep_plan import find_source

OBJECTS = 8  # maps that are made again from the raw data
OWN = "spectral-ssl"  # begins the schema of all files of this toolkit
MOST_LEVELS = 5  # levels of classes of a folder that are tried


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

    Some maps are made again from the raw data if it is available. ``dataset`` and ``root`` tell
    where it is; by default it is the raw data of the data set that the file names, if it is built
    in or in the workspace. A line tells which raw data was used.

    Parameters
    ----------
    path : path
        The map file or feature file.
    dataset : str, optional
        The data set of the maps, as for ``prep``; by default the one that the file names.
    root : path, optional
        The folder of the raw data; ``WS/raw/DATASET`` by default.
    size : int, optional
        The side in pixels to which images were scaled; by default as in the file.
    side : {"A", "B"}, optional
        The side of paired images that was used; by default as in the file.
    workspace : path, optional
        The workspace folder, see ``Workspace.find``.

    Returns
    -------
    list of str
        The faults; empty for a sound file.

    Raises
    ------
    UserError
        When the file is not a readable file of this toolkit, or the given raw data is missing.

    Examples
    --------
    >>> import spectral_ssl
    >>> spectral_ssl.verify(maps.path)
    []
    """
    path = Path(path)
    if not path.is_file():
        raise UserError("no such file", str(path), "give the path of a map file or a feature file")
    has_source_option = dataset is not None or root is not None
    if is_feature_file(path):
        if has_source_option:
            raise UserError("--dataset and --root are for map files", str(path), "leave them out")
        return _feature_findings(path)
    _require_kind(path)
    try:
        maps = open_maps(path)
    except UserError as error:
        return [str(error)]
    source = _source(maps, dataset, root, size, side, Workspace.find(workspace))
    if source is None:
        return verify_maps(path)
    if not has_source_option and not _fits(maps, source):
        say(f"no map was made again: the raw data of {source.name} is not the data of the maps")
        return verify_maps(path)
    findings = verify_maps(path, source, OBJECTS)
    count = min(OBJECTS, len(maps))
    what = f"{count} object{'s' * (count != 1)} of {source.name}"
    is_equal = not any(finding.startswith(FINDING_OF_SOURCE) for finding in findings)
    if is_equal:
        say(f"{what} made again from the raw data: the maps are equal")
    else:
        say(f"{what} made again from the raw data: not equal, see the findings")
    return findings


def _require_kind(path: Path) -> None:
    """Raise a UserError for a file of another kind, which may be sound; a damaged HDF5 file passes."""
    do = "give a file that prep, embed or export wrote as HDF5"
    if path.suffix.lower() not in (".h5", ".hdf5") and not h5py.is_hdf5(path):
        raise UserError("not an HDF5 file of maps or features", str(path), do)
    with suppress(OSError, RuntimeError), h5py.File(path, "r") as file:
        schema = read_schema(file)
        if schema.startswith(OWN) and not schema.startswith(f"{OWN} maps"):
            raise UserError("neither a map file nor a feature file", f"{path}, which holds {schema!r}", do)


def _source(
    maps: MapFile,
    dataset: str | None,
    root: str | Path | None,
    size: int | None,
    side: str | None,
    workspace: Workspace,
) -> Source | None:
    """Open the raw data of a map file, with the size and the side of its images; None if it is not available."""
    stem, _, file_side = maps.source.partition(" side ")
    key = stem.partition(":")[0]
    has_source_option = dataset is not None or root is not None
    if not has_source_option and (key not in SOURCES or (SOURCES[key].needs_root and not workspace.raw(key).is_dir())):
        say("no map was made again: give the raw data with --dataset or --root")
        return None
    if dataset is None:  # the file holds only the last folder of a path
        dataset = f"{key}:{maps.classes[-1]}" if maps.classes and SOURCES[key].after_colon == "choice" else key
    height, width = maps.basis.shape[1:]
    square = maps.basis.kind == "pixels" and height == width
    try:
        if maps.basis.kind == "radial":
            require_embree()
        for pixels in (None, height) if size is None and square else (size,):
            source = _find_source(maps, dataset, root, workspace, pixels)
            if side or file_side:
                source = select_side(source, side or file_side)
            if _fits(maps, source):
                break
    except UserError as error:
        if has_source_option:
            raise
        say(f"no map was made again: {error}")
        return None
    return source


def _find_source(
    maps: MapFile, dataset: str, root: str | Path | None, workspace: Workspace, pixels: int | None
) -> Source:
    """Open raw data; of a user's folder with the splits and classes of the map file, whose options it does not hold."""
    problem: UserError | None = None
    usual: Source | None = None
    try:
        # The universe has as many shapes as are asked for.
        count = len(maps) + len(maps.failures) if split_name(dataset)[0] == "universe" else None
        usual = find_source(dataset, root, workspace, pixels, count=count)
    except NoRawData:
        raise
    except UserError as error:
        problem = error
    may_differ = usual is None or {item.id for item in usual.items}.issuperset(maps.ids)
    if split_name(dataset)[0] == "folder" and may_differ and not (usual and _fits(maps, usual)):
        for split, level in product((None, "none"), (None, *range(MOST_LEVELS))):
            with suppress(UserError):
                source = find_source(dataset, root, workspace, pixels, split=split, class_level=level)
                if _fits(maps, source):
                    return source
    if usual is None:
        raise problem or UserError("no raw data", dataset, "check --dataset and --root")
    return usual


def _fits(maps: MapFile, source: Source) -> bool:
    """Tell whether raw data is the data of a map file, by its digest."""
    return bool(source.digest[:16] == maps.fingerprint["digest of the source"])


def _feature_findings(path: Path) -> list[str]:
    """Check a feature file."""
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
