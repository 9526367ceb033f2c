"""Find the map file that an argument means, and prepare it where it is missing."""

import time
from collections.abc import Callable
from pathlib import Path

from data_prep.basis import Basis
from data_prep.maps.reader import MapFile, open_maps
from data_prep.pipeline.work_folder import BEING_MADE
from data_prep.sources.catalogue import SOURCES
from pretext.runs.folder import find_run_data
from pretext.runs.origin import is_encoder
from pretext.runs.trained_run import TrainedRun
from spectral_ssl.ground.errors import NoRawData, UserError, unknown_name
from spectral_ssl.ground.files import expand_home
from spectral_ssl.ground.progress import say
from spectral_ssl.ground.workspace import Workspace
from spectral_ssl.planning.choose_maps import choose_maps
from spectral_ssl.planning.new_run.universe import UNIVERSE, find_reference, is_universe
from spectral_ssl.planning.prep_options import PrepOptions
from spectral_ssl.planning.prep_plan import default_out, maps_stem, prepare_dataset

SECONDS_BETWEEN_TRIES = 1.0


def find_maps(data: str | Path | MapFile | None, workspace: Workspace) -> MapFile:
    """Open a map file, by default the main one of the workspace (``spectral_ssl.planning.choose_maps``).

    Parameters
    ----------
    data : path or MapFile, optional
        The map file. If it is None and the workspace has none, the built-in shapes are prepared.
        "universe" is the reference file of the universe, prepared where it is missing.
    workspace : Workspace
        The workspace.

    Returns
    -------
    MapFile
        The map file.
    """
    if isinstance(data, MapFile):
        return data
    if is_universe(data):
        path = find_reference(workspace)
        if path.exists():
            return open_maps(path)
        say(f"the reference file of the universe is not prepared yet: preparing {path}")
        return wait_for_maps(lambda: prepare_dataset(PrepOptions(UNIVERSE, out=path, workspace=workspace.root)))
    maps = open_maps(data) if data else choose_maps(workspace)
    if maps is None:
        say("no map file yet: preparing the built-in shapes")
        return wait_for_maps(lambda: prepare_dataset(PrepOptions(workspace=workspace.root)))
    return maps


def wait_for_maps(prepare: Callable[[], MapFile]) -> MapFile:
    """Prepare a map file; while another process prepares the same file, wait for it.

    Parameters
    ----------
    prepare : callable
        Prepares the map file and returns it.

    Returns
    -------
    MapFile
        The map file.
    """
    is_announced = False
    while True:
        try:
            return prepare()
        except UserError as error:
            if error.what != BEING_MADE:
                raise
            if not is_announced:
                say(f"another process prepares {error.got}: waiting for it")
                is_announced = True
            time.sleep(SECONDS_BETWEEN_TRIES)


def open_target(target: str | Path | None, run: TrainedRun, workspace: Workspace) -> MapFile:
    """Open the map file that a probe's target means.

    Parameters
    ----------
    target : str or path, optional
        A map file, or the name of a data set, which is prepared with the run's basis where it is
        missing; the data of the run by default.
    run : TrainedRun
        The run that is probed.
    workspace : Workspace
        The workspace.

    Returns
    -------
    MapFile
        The map file.

    Raises
    ------
    UserError
        When there is no such file or data set, or its raw data is missing.
    """
    if target is None:
        return find_run_data(None, run.plan, "--target")
    name = str(target)
    if name.partition(":")[0] not in SOURCES and not expand_home(name).is_dir():
        if name.endswith(".h5"):
            return open_maps(name)
        raise unknown_name("target", name, [*SOURCES, "FILE.h5"])
    options = options_for_basis(name, run.basis, workspace)
    prepared = _find_prepared(options, run.basis, workspace)
    if prepared is not None:
        return prepared
    owner = "encoder" if is_encoder(run) else "run"
    say(f"{name} is not prepared yet: preparing it with the basis of the {owner}")
    try:
        return prepare_dataset(options)
    except NoRawData as error:
        # the advice of this error names options of `prep`, which the user did not call
        do = f"put it there, or a link to it; --root and --download are options of `spectral-ssl prep`: {error.do}"
        raise NoRawData(error.what, error.got, do) from error


def _find_prepared(options: PrepOptions, basis: Basis, workspace: Workspace) -> MapFile | None:
    """Find a map file of a data set with the meaning of a basis: under its default name, or with other options."""
    usual = default_out(options, workspace, basis.kind)
    if usual.exists():
        return open_maps(usual)
    stem = maps_stem(options.dataset)
    # Images of unchanged size will do if they have the size of the run's.
    for path in (workspace.maps(stem, basis.kind), *workspace.map_files()):
        if not path.exists() or not path.name.startswith(f"{stem}-"):
            continue
        maps = open_maps(path)
        is_of_set = maps.source.partition(":")[0] in SOURCES and maps_stem(maps.source) == stem
        if is_of_set and not basis.find_conflicts(maps.basis):
            say(f"target {options.dataset}: {path}")
            return maps
    return None


def options_for_basis(dataset: str, basis: Basis, workspace: Workspace) -> PrepOptions:
    """Return the options with which ``prep`` gives a data set the basis of another map file.

    Parameters
    ----------
    dataset : str
        The name of the data set.
    basis : Basis
        The basis that the maps must have.
    workspace : Workspace
        The workspace.

    Returns
    -------
    PrepOptions
        The options.
    """
    if basis.kind == "pixels":
        return PrepOptions(
            dataset,
            size=basis.shape[1],
            ground=basis.ground,
            full_scale=basis.full_scale,
            workspace=workspace.root,
        )
    if basis.kind == "radial":
        return PrepOptions(
            dataset,
            basis="sh",
            sphere="radial",
            degree=basis.degree,
            centre=basis.centre,
            reach=basis.reach,
            workspace=workspace.root,
        )
    return PrepOptions(
        dataset,
        basis=basis.kind,
        degree=basis.degree,
        radial=None if basis.truncation == "triangular" else basis.radial,
        points=basis.points,
        seed=basis.seed,
        sampling=basis.sampling,
        centre=basis.centre,
        reach=basis.reach,
        workspace=workspace.root,
    )
