"""``prep``: raw data to a map file."""

from pathlib import Path

from data_prep.basis import Basis, harmonics_basis, zernike_basis
from data_prep.map_store import MapFile
from data_prep.pipeline import image_basis, prepare
from data_prep.sources import SOURCES, open_source
from data_prep.sources.item import Source
from spectral_ssl.ground.errors import UserError, unknown_name
from spectral_ssl.ground.progress import progress, say
from spectral_ssl.ground.workspace import Workspace

BASES = ("zernike", "sh")
FAILURES_SHOWN = 5


def prep(
    dataset: str = "shapes",
    *,
    root: str | Path | None = None,
    out: str | Path | None = None,
    basis: str = "zernike",
    degree: int | None = None,
    radial: int | None = None,
    points: int = 2048,
    up: str | None = None,
    keep_points: bool = False,
    workers: int | None = None,
    seed: int = 0,
    overwrite: bool = False,
    workspace: str | Path | None = None,
    scheduler: str | None = None,
) -> MapFile:
    """Turn raw data into a map file. When it was stopped, even by a kill, the same call goes on where it was.

    Parameters
    ----------
    dataset : str
        A name of ``spectral-ssl list datasets``, or ``folder:PATH``.
    root : path, optional
        Where the raw data lies; ``WS/raw/DATASET`` by default.
    out : path, optional
        The map file; ``WS/maps/DATASET-BASIS.h5`` by default.
    basis : {"zernike", "sh"}
        3D Zernike moments or spherical harmonics in shells; images are kept as pixels.
    degree : int, optional
        Highest degree: 20 for Zernike moments, 15 for spherical harmonics.
    radial : int, optional
        Radial channels: for Zernike moments this asks for the rectangular truncation, for harmonics the shells (8).
    points : int
        Points drawn from each object.
    up : str, optional
        The raw data's up axis, e.g. "+y", where it is not the source's own.
    keep_points : bool
        Store the sampled clouds beside the maps.
    workers : int, optional
        Processes; all cores by default (none for small sets), 0 for none. The file does not
        depend on it.
    seed : int
        Of the drawing of points.
    overwrite : bool
        Whether an existing file, or unfinished work on one with other parameters, may be replaced.
    workspace : path, optional
        See ``Workspace.find``.
    scheduler : str, optional
        Address of a Dask scheduler, e.g. "tcp://10.0.0.1:8786", whose workers do the work. They must see the raw
        data under the same paths. The file does not depend on it.

    Returns
    -------
    MapFile

    Raises
    ------
    UserError
        When data or options are not as they should be; nothing is written then.
    """
    place = Workspace.find(workspace)
    source = find_source(dataset, root, place)
    if source.note:
        say(source.note)
    meaning = _basis(source, basis, degree, radial, points, seed)
    name = dataset.partition(":")[2].rstrip("/").rpartition("/")[2] if ":" in dataset else dataset
    target = Path(out) if out else place.maps(name, meaning.kind)
    with progress("prep", len(source.items) + len(source.missing)) as advance:
        before = 0

        def show(done: int, total: int) -> None:
            nonlocal before
            advance(done - before)
            before = done

        maps = prepare(
            source,
            meaning,
            target,
            workers=workers,
            up=up,
            overwrite=overwrite,
            keep_points=keep_points,
            progress=show,
            scheduler=scheduler,
        )
    for identity, reason in maps.failures[:FAILURES_SHOWN]:
        say(f"not used: {identity}: {reason}")
    if len(maps.failures) > FAILURES_SHOWN:
        say(f"not used: {len(maps.failures) - FAILURES_SHOWN} more, see /failures in the file")
    return maps


def find_source(dataset: str, root: str | Path | None, place: Workspace) -> Source:
    """Open a data set where it lies: at ``root``, else in the workspace.

    Raises
    ------
    UserError
        When the name is unknown, or the data is not there.
    """
    if not dataset.startswith("folder:") and dataset not in SOURCES:
        raise unknown_name("dataset", dataset, [*SOURCES, "folder:PATH"])
    return open_source(dataset, Path(root) if root else place.raw(dataset))


def _basis(source: Source, kind: str, degree: int | None, radial: int | None, points: int, seed: int) -> Basis:
    if kind not in BASES:
        raise unknown_name("basis", kind, BASES)
    if not 4 <= points <= 1_000_000:
        raise UserError("number of points out of range", points, "give one from 4 to 1000000")
    if source.kind == "images":
        if degree is not None or radial is not None:
            raise UserError("images have no degree", f"--degree or --radial with {source.name!r}", "leave them out")
        return image_basis(source)
    if kind == "zernike":
        return zernike_basis(20 if degree is None else degree, radial, points, seed)
    return harmonics_basis(15 if degree is None else degree, 8 if radial is None else radial, points, seed)
