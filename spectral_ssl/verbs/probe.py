"""``probe``: an honest score for a run's features."""

import json
from pathlib import Path
from typing import Any

from data_prep.basis import Basis
from data_prep.map_store import MapFile, open_maps
from data_prep.sources import SOURCES
from downstream.probe import probe_run
from pretext.runs import TrainedRun, load_run
from spectral_ssl.ground.errors import UserError, unknown_name
from spectral_ssl.ground.files import write_text
from spectral_ssl.ground.progress import say
from spectral_ssl.ground.provenance import environment
from spectral_ssl.ground.workspace import Workspace
from spectral_ssl.verbs.prep import prep


def probe(
    target: str | Path | MapFile | None = None,
    *,
    run: str | Path | TrainedRun | None = None,
    seeds: int = 3,
    workspace: str | Path | None = None,
) -> dict[str, Any]:
    """Probe a run's features, and everything that costs nothing beside them, on a labelled target.

    Parameters
    ----------
    target : str, path or MapFile, optional
        A data set's name (prepared with the run's own basis where it is not yet), or a map file; the data the run was
        trained on by default.
    run : path or TrainedRun, optional
        The latest run by default.
    seeds : int
        Seeds 0 .. seeds - 1 of the protocol.
    workspace : path, optional
        See ``Workspace.find``.

    Returns
    -------
    dict
        The table and its circumstances, as written to ``RUN/probe-TARGET.json``.

    Raises
    ------
    UserError
        When run or target are missing, do not fit each other, or hold too few labels.
    """
    if not 1 <= seeds <= 100:
        raise UserError("number of seeds out of range", seeds, "give one from 1 to 100")
    place = Workspace.find(workspace)
    trained = run if isinstance(run, TrainedRun) else load_run(run or place.latest_run())
    maps = target if isinstance(target, MapFile) else open_target(target, trained, place)
    table = probe_run(trained, maps, tuple(range(seeds))).as_dict()
    result = {
        **table,
        "maps": maps.path.name,
        "maps_digest": maps.digest,
        "unusable_objects": len(maps.failures),
        "checkpoint_digest": trained.checkpoint_digest,
        "environment": environment(),
    }
    path = trained.folder / f"probe-{maps.path.stem if maps.source.startswith('folder:') else maps.source}.json"
    write_text(path, json.dumps(result, indent=1) + "\n")
    return {**result, "path": str(path)}


def open_target(target: str | Path | None, run: TrainedRun, place: Workspace) -> MapFile:
    """The map file a target means: a path, or a data set's name.

    Raises
    ------
    UserError
        When there is no such file or data set, or its raw data is not there.
    """
    if target is None:
        return open_maps(place.root / "maps" / run.plan.data)
    if Path(target).suffix == ".h5" or Path(target).is_file():
        return open_maps(target)
    name = str(target)
    if name not in SOURCES:
        raise unknown_name("target", name, [*SOURCES, "a map file (.h5)"])
    path = place.maps(name, run.basis.kind)
    if path.exists():
        return open_maps(path)
    say(f"{name} is not prepared yet: preparing it with the run's basis")
    return _prep_like(name, run.basis, place)


def _prep_like(name: str, basis: Basis, place: Workspace) -> MapFile:
    if basis.kind == "pixels":
        return prep(name, workspace=place.root)
    radial = None if basis.truncation == "triangular" else basis.radial
    return prep(
        name,
        basis=basis.kind,
        degree=basis.degree,
        radial=radial,
        points=basis.points,
        seed=basis.seed,
        workspace=place.root,
    )
