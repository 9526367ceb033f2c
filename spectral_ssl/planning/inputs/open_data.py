"""Open the maps that an argument means: of files, of folders, of a data set, or of a map file."""

import os
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path

from data_prep.basis import Basis
from data_prep.maps.reader import MapFile, open_maps
from data_prep.pipeline.prepare import find_finished_maps, prepare_maps
from data_prep.pipeline.remarks import describe_failures, describe_notes
from data_prep.pipeline.shape_to_map import samples_points
from data_prep.pipeline.single_file import read_fitting_image
from data_prep.pipeline.source_records import digest_file_times
from data_prep.readers.image import ImageLoader
from data_prep.source import Item, Source
from data_prep.sources.catalogue import SOURCES
from data_prep.sources.folder.listed import open_listed
from data_prep.sources.folder.walk import name_folder
from data_prep.sources.groups import ask_about_up, describe_groups
from pretext.data.training_split import check_same_basis
from pretext.runs.folder import find_run_data
from pretext.runs.origin import is_encoder
from pretext.runs.trained_run import TrainedRun
from spectral_ssl.ground.errors import UserError, find_near_name
from spectral_ssl.ground.files import expand_home
from spectral_ssl.ground.progress import busy, progress, say
from spectral_ssl.ground.workspace import Workspace
from spectral_ssl.planning.find_data import open_target, wait_for_maps

SHOW_ALL = "`--json` lists all"
FALLBACK = "shapes"  # the built-in data set


def open_data(data: str | Path | MapFile | None, run: TrainedRun, workspace: Workspace) -> MapFile:
    """Open the maps that ``--data`` means.

    Parameters
    ----------
    data : path, name or MapFile, optional
        A map file; the folder of the user's files, or one file, which are prepared with the run's
        basis and stored in ``WS/cache``; or the name of a data set. By default the data of the run;
        for an encoder the newest map file of the workspace with its basis, or the built-in shapes.
    run : TrainedRun
        The run or the encoder.
    workspace : Workspace
        The workspace.

    Returns
    -------
    MapFile
        Maps with the basis of the run.

    Raises
    ------
    UserError
        When there is no such file, folder or data set, or its maps have another basis.
    """
    if data is None:
        return _find_default(run, workspace) if is_encoder(run) else find_run_data(None, run.plan)
    maps = data if isinstance(data, MapFile) else _open_path(Path(data), run, workspace)
    check_same_basis(run.basis, maps)
    return maps


def _open_path(path: Path, run: TrainedRun, workspace: Workspace) -> MapFile:
    """Open what a path or the name of a data set means."""
    check_path(path)
    if is_map_file(path):
        return open_maps(expand_home(path))
    if is_dataset(path):
        return open_target(str(path), run, workspace)
    return prepare_files([path], run.basis, workspace)


def is_map_file(path: Path) -> bool:
    """Tell whether a path names a file of this toolkit by its ending, not raw data."""
    return path.suffix.lower() in (".h5", ".hdf5") and not expand_home(path).is_dir()


def is_dataset(path: Path) -> bool:
    """Tell whether a path is the name of a data set, such as ``modelnet10`` or ``celeba:Male``."""
    return not expand_home(path).exists() and str(path).partition(":")[0] in SOURCES


def check_path(path: Path) -> None:
    """Raise a UserError unless a path exists or names a data set; it suggests the nearest name.

    Raises
    ------
    UserError
        If there is nothing of this name.
    """
    where = expand_home(path)
    if where.exists() or is_dataset(path):
        return
    if where.is_symlink():
        raise UserError("a broken link", str(path), "give another file")
    try:
        names = [each.name for each in where.parent.iterdir()]
    except OSError:
        names = []
    near = find_near_name(where.name, [*names, *SOURCES])
    hint = f"did you mean {str(path.with_name(near)) if near in names else near!r}? " if near else ""
    raise UserError("no such file, folder or data set", str(path), f"{hint}give another path")


def _find_default(run: TrainedRun, workspace: Workspace) -> MapFile:
    """Find the data for an encoder, which has none of its own."""
    for path in workspace.map_files():
        try:
            maps = open_maps(path)
        except UserError:  # `verify` names its fault.
            continue
        if not run.basis.find_conflicts(maps.basis):
            say(f"data: {path}, the newest map file with the basis of {run.name}; --data names another")
            return maps
    if run.basis.kind == "pixels":
        raise UserError("no data", f"the encoder {run.name} has none of its own", "give --data FOLDER or FILE.h5")
    say(f"data: the built-in {FALLBACK}; --data FOLDER names your own")
    return open_target(FALLBACK, run, workspace)


def prepare_files(
    paths: Sequence[Path], basis: Basis, workspace: Workspace, *, up: str | None = None, workers: int | None = None
) -> MapFile:
    """Prepare files and folders of the user with a basis; the map file stays in ``WS/cache`` for later calls.

    Parameters
    ----------
    paths : sequence of Path
        Files and folders, see ``data_prep.sources.folder.listed``.
    basis : Basis
        The basis of the maps.
    workspace : Workspace
        The workspace.
    up : str, optional
        The up axis of the files, +z by default.
    workers : int, optional
        The number of worker processes, see ``prepare_maps``.

    Returns
    -------
    MapFile
        The maps. A file of an earlier call is used if names, sizes and times of the files are the
        same.

    Raises
    ------
    UserError
        When no file can be used.
    """
    paths = [expand_home(path) for path in paths]
    is_image = basis.kind == "pixels"
    with busy("listing the files"):
        source = open_listed(paths, "images" if is_image else "shapes", name_paths(paths))
        # Maps in the cache are replaced without a word, so a new time counts as a new content.
        times = digest_file_times(source)
        digest = sha256(f"{source.digest} {times}".encode()).hexdigest()
        source = replace(source, digest=digest, items=_fit_loaders(source, basis))
    for line in (*filter(None, source.note.split("; ")), *describe_groups(source)):
        say(line)
    keep_points = samples_points(basis.kind, basis.sampling)
    out = _place_in_cache(paths, basis, workspace, up)
    maps = None
    try:
        maps = find_finished_maps(source, basis, out, up=up, keep_points=keep_points)
    except UserError:
        if not out.exists():  # The mistake is in the files or the options, not in an earlier result.
            raise
    if maps is not None:
        say(f"{len(maps)} objects were prepared before: {out}")
    else:
        maps = wait_for_maps(lambda: _prepare(source, basis, out, up, workers, keep_points))
    asked = [ask_about_up(source)] if up is None and not is_image else []
    for line in (*describe_failures(maps.failures, SHOW_ALL), *describe_notes(maps.notes, SHOW_ALL), *asked):
        if line:
            say(line)
    return maps


def _prepare(
    source: Source, basis: Basis, out: Path, up: str | None, workers: int | None, keep_points: bool
) -> MapFile:
    """Write the map file with a progress line."""
    # The compiled transforms are loaded by those who use them: the workers, or this process for few files.
    with progress("preparing", len(source.items) + len(source.missing)) as advance:
        finished = 0

        def show(done: int, total: int) -> None:
            nonlocal finished
            advance(done - finished)
            finished = done

        return prepare_maps(
            source,
            basis,
            out,
            workers=workers,
            up=up,
            overwrite=True,
            keep_points=keep_points,
            progress=show,
        )


def name_paths(paths: Sequence[Path]) -> str:
    """Compose a name for files and folders: that of the only one, or of the folder of all, or of the first.

    Some files of a folder have another name than the folder, because they are not all of it.

    Examples
    --------
    >>> from pathlib import Path
    >>> from spectral_ssl.planning.inputs.open_data import name_paths
    >>> name_paths([Path("parts/bolt.stl")]), name_paths([Path("parts/bolt.stl"), Path("parts/nut.stl")])
    ('bolt', 'parts-2-files')
    >>> name_paths([Path("parts/bolt.stl"), Path("more/nut.stl")])
    'bolt-and-1-more'
    """
    names = [name_folder(path) if expand_home(path).is_dir() else path.stem for path in paths]
    first = names[0].replace(":", "-")
    parents = {expand_home(path).absolute().parent for path in paths}
    is_of_one_folder = len(parents) == 1 and not any(expand_home(path).is_dir() for path in paths)
    if len(paths) == 1:
        return first
    if is_of_one_folder:
        return f"{next(iter(parents)).name or first}-{len(paths)}-files"
    return f"{first}-and-{len(paths) - 1}-more"


def _place_in_cache(paths: Sequence[Path], basis: Basis, workspace: Workspace, up: str | None) -> Path:
    """Return the path of the map file of these files, which differs for other bases and up axes."""
    whole = [os.path.normpath(path.absolute()) for path in paths]
    key = sha256("\0".join([*whole, basis.to_json(), str(up)]).encode(errors="replace")).hexdigest()[:12]
    return workspace.root / "cache" / "maps" / f"{name_paths(paths)[:100]}-{key}.h5"


def _fit_loaders(source: Source, basis: Basis) -> tuple[Item, ...]:
    """Let images be read with the channels and the size of the basis."""
    if basis.kind != "pixels":
        return source.items
    return tuple(
        replace(item, load=partial(read_fitting_image, item.load.path, basis))
        if isinstance(item.load, ImageLoader)
        else item
        for item in source.items
    )
