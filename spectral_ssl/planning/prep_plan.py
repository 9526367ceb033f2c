"""Settle what ``prep`` does, and do it: find the raw data, choose the basis and the file, write the maps."""

import re
import time
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, cast

from data_prep.basis import Basis, Centre, Ground, Sampling, harmonics_basis, radial_basis, zernike_basis
from data_prep.maps.reader import MapFile
from data_prep.pipeline.checks.copies import find_copies
from data_prep.pipeline.image_survey import survey_images
from data_prep.pipeline.prepare import find_finished_maps, prepare_maps
from data_prep.pipeline.remarks import describe_failures, describe_notes, list_slow_choices
from data_prep.pipeline.shape_to_map import samples_points
from data_prep.readers.images.rules import ImageRules
from data_prep.source import Source
from data_prep.sources.catalogue import SOURCES, open_source, split_name
from data_prep.sources.folder.walk import name_folder
from data_prep.sources.groups import ask_about_up, describe_groups
from data_prep.sources.pairs import select_side
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.progress import SECONDS_BETWEEN_LINES, busy, progress, say
from spectral_ssl.ground.workspace import Workspace
from spectral_ssl.planning.prep_options import PrepOptions

DEFAULT_DEGREES = {"zernike": 20, "sh": 15, "radial": 63}
DEFAULT_SHELLS = 8
# Options that change the maps; with another value than the default they are part of a file's name.
NAMED_OPTIONS = (
    *("degree", "radial", "points", "up", "ground", "full_scale", "sampling", "centre", "reach", "keep_points", "seed"),
    *("split", "class_level", "count"),
)


@dataclass(frozen=True, kw_only=True)
class PrepPlan:
    """What ``prep`` does, settled to the last option.

    Attributes
    ----------
    source : Source
        The raw data.
    basis : Basis
        The basis of the maps.
    out : Path
        The map file.
    keep_points : bool
        Whether the point clouds are stored with the maps.
    remarks : tuple of str
        Lines for the user about the images of the raw data, such as their sizes.
    """

    source: Source
    basis: Basis
    out: Path
    keep_points: bool
    remarks: tuple[str, ...] = ()


def plan_prep(options: PrepOptions, workspace: Workspace) -> PrepPlan:
    """Settle what ``prep`` does. Nothing is fetched and nothing is written.

    Parameters
    ----------
    options : PrepOptions
        The options of the call.
    workspace : Workspace
        The workspace, for default paths.

    Returns
    -------
    PrepPlan
        The plan.

    Raises
    ------
    UserError
        When data or options are invalid, or do not fit each other.
    """
    source = find_source(
        options.dataset,
        options.root,
        workspace,
        options.size,
        split=options.split,
        class_level=options.class_level,
        count=options.count,
    )
    if options.side is not None:
        source = select_side(source, options.side)
    basis, remarks = _choose_basis(source, options)
    keep_points = samples_points(basis.kind, basis.sampling) if options.keep_points is None else options.keep_points
    out = Path(options.out) if options.out else default_out(options, workspace, basis.kind)
    return PrepPlan(source=source, basis=basis, out=out, keep_points=keep_points, remarks=remarks)


def prepare_dataset(options: PrepOptions) -> MapFile:
    """Write the map file that the options describe; see ``prep``.

    Parameters
    ----------
    options : PrepOptions
        The options of the call.

    Returns
    -------
    MapFile
        The finished map file.

    Raises
    ------
    UserError
        When data or options are invalid; nothing is written then.
    """
    workspace = Workspace.find(options.workspace)
    if options.download:
        _download(options, workspace)
    with busy(f"reading the list of files of {options.dataset}"):
        plan = plan_prep(options, workspace)
    for line in (*describe_plan(plan, options), *compare_files(plan, options)):
        say(line)
    maps = None
    if not options.overwrite:
        with busy("looking for an existing map file"):
            maps = find_finished_maps(plan.source, plan.basis, plan.out, up=options.up, keep_points=plan.keep_points)
    if maps is None:
        maps = _run(plan, options)
    else:
        say(f"nothing to do: {plan.out} holds these maps already")
    for line in (*describe_failures(maps.failures), *describe_notes(maps.notes), *ask_about_plan(plan, options)):
        say(line)
    return maps


def describe_plan(plan: PrepPlan, options: PrepOptions) -> list[str]:
    """List what the user must know before the work: the objects, their splits and classes, and slow choices.

    Parameters
    ----------
    plan : PrepPlan
        The plan.
    options : PrepOptions
        The options of the call.

    Returns
    -------
    list of str
        Lines for the user.
    """
    slow = list_slow_choices(plan.source, plan.basis, options.workers)
    return [*filter(None, plan.source.note.split("; ")), *describe_groups(plan.source), *plan.remarks, *slow]


def ask_about_plan(plan: PrepPlan, options: PrepOptions) -> list[str]:
    """Ask whether uncertain decisions about axes, splits and classes are right.

    Parameters
    ----------
    plan : PrepPlan
        The plan.
    options : PrepOptions
        The options of the call.

    Returns
    -------
    list of str
        Lines for the user; empty if nothing is uncertain.
    """
    lines = [ask_about_up(plan.source)] if options.up is None else []
    ask = "is that right? if not, give --split or --class-level"
    doubts = [f"unsure: {doubt}" for doubt in plan.source.doubts]
    lines += [f"{doubts[0]}; {ask}"] if len(doubts) == 1 else [*doubts, *([ask] if doubts else [])]
    return [line for line in lines if line]


def compare_files(plan: PrepPlan, options: PrepOptions) -> list[str]:
    """Compare the files of a folder of the user: copies leak between splits, or contradict each other.

    Parameters
    ----------
    plan : PrepPlan
        The plan.
    options : PrepOptions
        The options of the call.

    Returns
    -------
    list of str
        Lines for the user; empty without copies, and for data sets that are no folder of the user.
    """
    if SOURCES[split_name(options.dataset)[0]].after_colon != "path":
        return []
    with busy("comparing files"):
        return find_copies(plan.source)


def _run(plan: PrepPlan, options: PrepOptions) -> MapFile:
    """Write the map file with a progress line."""
    if plan.basis.kind != "pixels" and options.scheduler is None:
        with busy("loading the transforms"):
            from data_prep.transforms.moment_sums import precompile  # imports numba (0.2 s), which images do not need

            precompile()  # says itself when it compiles
    with progress("prep", len(plan.source.items) + len(plan.source.missing)) as advance:
        finished = 0

        def show(done: int, total: int) -> None:
            nonlocal finished
            advance(done - finished)
            finished = done

        return prepare_maps(
            plan.source,
            plan.basis,
            plan.out,
            workers=options.workers,
            up=options.up,
            overwrite=options.overwrite,
            keep_points=plan.keep_points,
            progress=show,
            scheduler=options.scheduler,
        )


def find_source(
    dataset: str,
    root: str | Path | None,
    workspace: Workspace,
    size: int | None = None,
    *,
    split: str | None = None,
    class_level: int | None = None,
    count: int | None = None,
) -> Source:
    """Open the raw data of a data set, at ``root`` or in the workspace.

    Raises
    ------
    UserError
        When the name is unknown, the data is missing, or there is a root for a data set without raw
        data.
    """
    key, rest = split_name(dataset)
    if root is not None and not SOURCES[key].needs_root:
        do = "leave it out; for your own files give the folder: prep FOLDER"
        raise UserError(f"{key!r} is built in, it has no raw data", f"--root {root}", do)
    if root is not None and rest and SOURCES[key].after_colon == "path":
        raise UserError("two folders of raw data", f"{dataset!r} and --root {root}", "give one of them")
    folder = _raw_folder(dataset, root, workspace)
    return open_source(dataset, folder, size, split=split, class_level=class_level, count=count)


def default_out(options: PrepOptions, workspace: Workspace, kind: str) -> Path:
    """Return the default path of a map file, ``WS/maps/DATASET[-SIDE][-SIZE]-KIND[-OPTION...].h5``.

    Every option that changes the maps is in the name, unless it has its default. So other options
    give another file.

    Parameters
    ----------
    options : PrepOptions
        The options of ``prep``.
    workspace : Workspace
        The workspace.
    kind : str
        The kind of the basis.

    Returns
    -------
    Path
        The path; nothing is written.

    Examples
    --------
    >>> from spectral_ssl import Workspace
    >>> from spectral_ssl.planning.prep_options import PrepOptions
    >>> from spectral_ssl.planning.prep_plan import default_out
    >>> default_out(PrepOptions("shapes", degree=8, seed=1), Workspace(folder), "zernike").name
    'shapes-zernike-degree8-seed1.h5'
    """
    parts = (maps_stem(options.dataset), options.side, options.size)
    stem = "-".join(str(part) for part in parts if part is not None)
    return workspace.maps(stem, "-".join([kind, *_name_options(options, kind)]))


def _name_options(options: PrepOptions, kind: str) -> list[str]:
    """Write each option that changes the maps and differs from its default as a part of a file name."""
    usual: dict[str, Any] = {each.name: each.default for each in fields(PrepOptions)}
    usual |= {
        "degree": DEFAULT_DEGREES.get(kind),
        "radial": DEFAULT_SHELLS if kind == "sh" else None,
        "sampling": "area",
        "keep_points": samples_points(kind, options.sampling or "area"),
        "split": "auto",
    }
    parts = []
    for name in NAMED_OPTIONS:
        value = getattr(options, name)
        if value is not None and value != usual[name]:
            parts.append(_name_option(name, value))
    return parts


def _name_option(name: str, value: Any) -> str:
    """Write an option and its value as a part of a file name."""
    if name == "keep_points":
        return "clouds" if value else "no-clouds"
    text = re.sub(r"^-", "minus-", str(value).lstrip("+")) if name == "up" else str(value)
    words = f"{name}{text}" if isinstance(value, int | float) else f"{name}-{text}"
    return re.sub(r"[^\w.-]+", "-", words.replace("_", "-"))


def maps_stem(dataset: str) -> str:
    """Return the name of a data set in file names: the set and the choice, or the last folder of a path."""
    key, rest = split_name(dataset)
    if SOURCES[key].after_colon == "path" and rest:
        return name_folder(Path(rest))
    return f"{key}-{rest}".replace("/", "-").replace("\\", "-") if rest else key  # a name, not a path


def _raw_folder(dataset: str, root: str | Path | None, workspace: Workspace) -> Path:
    """Return the folder of the raw data."""
    return Path(root) if root else workspace.raw(split_name(dataset)[0])


def _download(options: PrepOptions, workspace: Workspace) -> None:
    """Download the raw data unless it is complete already."""
    from data_prep.sources.download.catalogue import download  # imports pooch, which nothing else needs

    key, _ = split_name(options.dataset)
    folder = _raw_folder(options.dataset, options.root, workspace)
    try:
        open_source(options.dataset, folder)
        say(f"{options.dataset} is in {folder} already")
        return
    except UserError:
        pass  # the data is missing or incomplete
    last = time.monotonic()

    def show(name: str, done: int, total: int) -> None:
        nonlocal last
        if done == total or time.monotonic() - last > SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            say(f"{name}: {done / 2**20:.1f} of {f'{total / 2**20:.1f}' if total else '?'} MiB")

    download(key, folder, where=SOURCES[key].where, tell=say, progress=show)


def _choose_basis(source: Source, options: PrepOptions) -> tuple[Basis, tuple[str, ...]]:
    """Return the basis that the options describe, and remarks on the images of the source."""
    if source.kind == "images":
        if options.degree is not None or options.radial is not None or options.basis != "zernike":
            got = f"such options with {source.name!r}"
            raise UserError("images have no degree and no basis", got, "leave them out")
        survey = survey_images(source, ImageRules(cast(Ground, options.ground), options.full_scale))
        return survey.basis, survey.remarks
    if options.ground != "white" or options.full_scale is not None:
        got = f"--ground or --full-scale with {source.name!r}"
        raise UserError("only images have a ground and a full scale", got, "leave them out")
    basis = _radial_basis(options) if options.sphere == "radial" else _point_basis(options)
    if basis.kind == "radial" and options.sampling is not None:
        got = options.sampling
        raise UserError("--sampling with --sphere radial", got, "leave it out: no points are sampled")
    # the options have checked both names
    sampling, centre = cast(Sampling, options.sampling or "area"), cast(Centre, options.centre)
    return replace(basis, sampling=sampling, centre=centre, reach=options.reach), ()


def _radial_basis(options: PrepOptions) -> Basis:
    """Return the basis of the distance of the surface along rays."""
    if options.basis != "sh" or options.radial is not None:
        got = f"--basis {options.basis}" if options.basis != "sh" else "--radial"
        raise UserError("--sphere radial is a single map of spherical harmonics", got, "take --basis sh alone")
    return radial_basis(DEFAULT_DEGREES["radial"] if options.degree is None else options.degree)


def _point_basis(options: PrepOptions) -> Basis:
    """Return the basis of sampled points: Zernike moments, or spherical harmonics in shells."""
    degree = DEFAULT_DEGREES[options.basis] if options.degree is None else options.degree
    if options.basis == "zernike":
        return zernike_basis(degree, options.radial, options.points, options.seed)
    shells = DEFAULT_SHELLS if options.radial is None else options.radial
    return harmonics_basis(degree, shells, options.points, options.seed)
