"""``prep``: raw data to a map file."""

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from data_prep.basis import Basis, Centre, Sampling, harmonics_basis, radial_basis, zernike_basis
from data_prep.maps.reader import MapFile
from data_prep.pipeline.prepare import image_basis, prepare
from data_prep.source import Source
from data_prep.sources.catalogue import SOURCES, open_source, split_name
from data_prep.sources.pairs import one_side
from spectral_ssl.ground.errors import UserError, unknown_name
from spectral_ssl.ground.progress import SECONDS_BETWEEN_LINES, progress, say
from spectral_ssl.ground.workspace import Workspace
from spectral_ssl.planning.defaults import prep_hints

BASES = ("zernike", "sh")
SPHERES = ("shells", "radial")
SAMPLINGS: tuple[Sampling, ...] = ("area", "farthest", "quadrature", "solid")
CENTRES: tuple[Centre, ...] = ("mean", "area")
FAILURES_SHOWN = 5


def prep(
    dataset: str = "shapes",
    *,
    root: str | Path | None = None,
    download: bool = False,
    out: str | Path | None = None,
    basis: str = "zernike",
    degree: int | None = None,
    radial: int | None = None,
    sphere: str = "shells",
    points: int = 2048,
    up: str | None = None,
    size: int | None = None,
    side: str | None = None,
    sampling: str | None = None,
    centre: str = "mean",
    reach: float = 1.0,
    keep_points: bool | None = None,
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
        A name of ``spectral-ssl list datasets``; ``folder:PATH`` or ``pairs:PATH`` for one's own files;
        ``celeba:ATTRIBUTE`` for a choice of classes.
    root : path, optional
        Where the raw data lies; ``WS/raw/DATASET`` by default.
    download : bool
        Fetch the raw data first if it is not there, for sets that may be fetched (modelnet10, cifar10, mnist, facades).
    out : path, optional
        The map file; ``WS/maps/DATASET[-SIDE][-SIZE]-BASIS.h5`` by default.
    basis : {"zernike", "sh"}
        3D Zernike moments or spherical harmonics in shells; images are kept as pixels.
    degree : int, optional
        Highest degree: 20 for Zernike moments, 15 for spherical harmonics in shells, 63 for those of the distance.
    radial : int, optional
        Radial channels: for Zernike moments this asks for the rectangular truncation, for harmonics the shells (8).
    sphere : {"shells", "radial"}
        What spherical harmonics describe: the points in radial shells, or the distance of a mesh's surface from its
        centre along rays (needs embreex).
    points : int
        Points drawn from each object.
    up : str, optional
        The raw data's up axis, e.g. "+y", where it is not the source's own.
    size : int, optional
        Pixels on a side to which images are brought (the middle square, scaled); as they are by default.
    side : {"A", "B"}, optional
        Of paired images only the left or the right one, as a data set of single images.
    sampling : {"area", "farthest", "quadrature", "solid"}, optional
        How meshes become points: stratified by area (the default), farthest points, or exact quadrature of the surface
        or of the solid inside a closed mesh (the last two for Zernike moments only). Clouds are taken as they are.
    centre : {"mean", "area"}
        What comes to lie at the origin: the mean of the points, or the exact centroid of a mesh's surface.
    reach : float
        Part of the points that the unit ball holds; those beyond are drawn in to its surface.
    keep_points : bool, optional
        Store the sampled clouds beside the maps, 6 bytes a point; by default wherever clouds are drawn. Tasks that
        alter points need them (views, complete-shape).
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
    if download:
        _fetch(dataset, root, place)
    source, meaning, target, keep = settle_prep(
        dataset, place, root=root, out=out, basis=basis, degree=degree, radial=radial, sphere=sphere, points=points,
        size=size, side=side, sampling=sampling, centre=centre, reach=reach, keep_points=keep_points, seed=seed,
    )  # fmt: skip
    for line in (source.note, *prep_hints(source, meaning, workers)):
        if line:
            say(line)
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
            keep_points=keep,
            progress=show,
            scheduler=scheduler,
        )
    for identity, reason in maps.failures[:FAILURES_SHOWN]:
        say(f"not used: {identity}: {reason}")
    if len(maps.failures) > FAILURES_SHOWN:
        say(f"not used: {len(maps.failures) - FAILURES_SHOWN} more, see /failures in the file")
    return maps


def settle_prep(
    dataset: str,
    place: Workspace,
    *,
    root: str | Path | None = None,
    out: str | Path | None = None,
    basis: str = "zernike",
    degree: int | None = None,
    radial: int | None = None,
    sphere: str = "shells",
    points: int = 2048,
    size: int | None = None,
    side: str | None = None,
    sampling: str | None = None,
    centre: str = "mean",
    reach: float = 1.0,
    keep_points: bool | None = None,
    seed: int = 0,
) -> tuple[Source, Basis, Path, bool]:
    """What ``prep`` is to do, see there: the source, the basis, the file to write, whether clouds are kept.

    Raises
    ------
    UserError
        When data or options are not as they should be.
    """
    source = find_source(dataset, root, place, size)
    if side is not None:
        source = one_side(source, side)
    meaning = _placed(_basis(source, basis, sphere, degree, radial, points, seed), sampling, centre, reach)
    if keep_points is None:
        keep_points = meaning.kind in ("zernike", "sh") and meaning.sampling not in ("quadrature", "solid")
    target = Path(out) if out else default_out(dataset, place, meaning.kind, {"size": size, "side": side})
    return source, meaning, target, keep_points


def find_source(dataset: str, root: str | Path | None, place: Workspace, size: int | None = None) -> Source:
    """Open a data set where it lies: at ``root``, else in the workspace.

    Raises
    ------
    UserError
        When the name is unknown, or the data is not there.
    """
    return open_source(dataset, Path(root) if root else place.raw(split_name(dataset)[0]), size)


def _fetch(dataset: str, root: str | Path | None, place: Workspace) -> None:
    """Download the raw data unless it is there already."""
    from data_prep.sources.download.fetch import download  # pooch is for this only

    key, _ = split_name(dataset)
    folder = Path(root) if root else place.raw(key)
    try:
        open_source(dataset, folder)
        say(f"{dataset} is in {folder} already")
        return
    except UserError:
        pass  # not there, or not all of it
    last = time.monotonic()

    def show(name: str, done: int, total: int) -> None:
        nonlocal last
        if done == total or time.monotonic() - last > SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            say(f"{name}: {done / 2**20:.1f} of {f'{total / 2**20:.1f}' if total else '?'} MiB")

    download(key, folder, where=SOURCES[key].where, tell=say, progress=show)


def default_out(dataset: str, place: Workspace, kind: str, options: Mapping[str, Any]) -> Path:
    """``WS/maps/DATASET[-SIDE][-SIZE]-KIND.h5``: where a map file lies when ``prep`` is not told otherwise."""
    stem = maps_stem(dataset)
    for option in ("side", "size"):
        if options.get(option) is not None:
            stem += f"-{options[option]}"
    return place.maps(stem, kind)


def maps_stem(dataset: str) -> str:
    """What the map file is called after: the set and the choice, or the last folder of a path."""
    key, rest = split_name(dataset)
    if SOURCES[key].after_colon == "path" and rest:
        return Path(rest).expanduser().resolve().name
    return f"{key}-{rest}".replace("/", "-").replace("\\", "-") if rest else key  # a name, not a path


def _placed(basis: Basis, sampling: str | None, centre: str, reach: float) -> Basis:
    """The basis with the ways of sampling and placing; images have none."""
    if basis.kind == "pixels":
        return basis
    if basis.kind == "radial" and sampling is not None:
        raise UserError("--sampling with --sphere radial", sampling, "leave it out: no points are drawn")
    way: Sampling | None = next((way for way in SAMPLINGS if way == (sampling or "area")), None)
    if way is None:
        raise unknown_name("sampling", str(sampling), SAMPLINGS)
    middle: Centre | None = next((middle for middle in CENTRES if middle == centre), None)
    if middle is None:
        raise unknown_name("centre", centre, CENTRES)
    if not 0.5 <= reach <= 1:
        raise UserError("reach out of range", reach, "give one from 0.5 to 1")
    return replace(basis, sampling=way, centre=middle, reach=reach)


def _basis(
    source: Source, kind: str, sphere: str, degree: int | None, radial: int | None, points: int, seed: int
) -> Basis:
    if kind not in BASES:
        raise unknown_name("basis", kind, BASES)
    if not 4 <= points <= 1_000_000:
        raise UserError("number of points out of range", points, "give one from 4 to 1000000")
    if source.kind == "images":
        if degree is not None or radial is not None or kind != BASES[0]:
            raise UserError(
                "images have no degree and no basis", f"such options with {source.name!r}", "leave them out"
            )
        return image_basis(source)
    if sphere not in SPHERES:
        raise unknown_name("sphere", sphere, SPHERES)
    if sphere == "radial":
        if kind != "sh" or radial is not None:
            given = f"--basis {kind}" if kind != "sh" else "--radial"
            raise UserError("--sphere radial is a single map of spherical harmonics", given, "take --basis sh alone")
        return radial_basis(63 if degree is None else degree)
    if kind == "zernike":
        return zernike_basis(20 if degree is None else degree, radial, points, seed)
    return harmonics_basis(15 if degree is None else degree, 8 if radial is None else radial, points, seed)
