"""``prep --dry-run``: tell what ``prep`` would do and how long it would take, measured on a few objects."""

import math
import shutil
import time
from typing import Any

import joblib
import numpy as np

from data_prep.basis import Basis
from data_prep.geometry.unit_ball import parse_up
from data_prep.pipeline.object_to_map import object_to_map
from data_prep.pipeline.prepare import TOO_FEW_FOR_WORKERS, find_finished_maps
from data_prep.pipeline.shape_to_map import check_settings
from data_prep.pipeline.work_folder import get_work_folder
from data_prep.source import Source, UpRule
from data_prep.sources.catalogue import split_name
from data_prep.sources.download.catalogue import DOWNLOADS
from data_prep.transforms import moment_sums as moments
from spectral_ssl.ground.errors import NoRawData, ObjectError, UserError
from spectral_ssl.ground.progress import busy, quiet, say
from spectral_ssl.ground.workspace import Workspace
from spectral_ssl.planning.options import takes_options
from spectral_ssl.planning.prep_options import PrepOptions
from spectral_ssl.planning.prep_plan import PrepPlan, ask_about_plan, compare_files, describe_plan, plan_prep

MEASURED = 24  # objects
MOST_SECONDS = 20.0  # for measuring
BYTES_OF_TABLES = 340  # of HDF5 tables, name and label of an object, measured
WORKERS_START = 3.0  # seconds until worker processes have finished their imports


@takes_options(PrepOptions)
def estimate_prep(options: PrepOptions) -> dict[str, Any]:
    """Tell what ``prep`` would do with the same arguments. Nothing is fetched, and nothing is left behind.

    Returns
    -------
    dict
        ``dataset``, ``out``, ``exists`` (``prep`` would refuse), ``finished`` (the file holds these
        maps: ``prep`` would do nothing), ``unfinished`` (there is unfinished work to resume),
        ``objects`` and ``splits``, ``shape`` of a map, ``basis``, ``keeps_points``, ``megabytes`` of
        the file and ``megabytes_free`` on its disk, ``workers``, ``measured`` (objects),
        ``seconds_each`` on one core, ``seconds`` in all, ``not_usable`` (failed objects among the
        measured).

    Raises
    ------
    UserError
        Where ``prep`` would refuse its data or its options.

    Examples
    --------
    >>> import spectral_ssl
    >>> estimate = spectral_ssl.estimate_prep("digits")
    >>> estimate["objects"], estimate["shape"]
    (1797, [1, 8, 8])
    """
    plan = _plan(options)
    source, basis = plan.source, plan.basis
    count = len(source.items)
    if not count:
        raise UserError("nothing to prepare", f"{source.name!r} is empty", "check --root")
    check_settings(basis, plan.keep_points)
    for line in (*describe_plan(plan, options), *compare_files(plan, options), *ask_about_plan(plan, options)):
        say(line)
    is_finished, is_other = _look_for_file(plan, options)
    seconds, failed, measured = _measure(source, basis, parse_up(options.up or source.up))
    processes = joblib.cpu_count() if options.workers is None else max(1, options.workers)
    if options.workers is None and count < TOO_FEW_FOR_WORKERS:
        processes = 1
    start = WORKERS_START if processes > 1 else 0.0
    each = BYTES_OF_TABLES + 4 * math.prod(basis.shape) + (6 * basis.points if plan.keep_points else 0)
    nearest = next(folder for folder in (plan.out.parent, *plan.out.resolve().parents) if folder.is_dir())
    return {
        "dataset": options.dataset,
        "out": str(plan.out),
        "exists": is_other,
        "finished": is_finished,
        "unfinished": get_work_folder(plan.out).is_dir(),
        "objects": count,
        "splits": {split: sum(item.split == split for item in source.items) for split in ("train", "val", "test")},
        "shape": list(basis.shape),
        "basis": basis.kind,
        "keeps_points": plan.keep_points,
        "megabytes": round(each * count / 1e6, 1),
        "megabytes_free": round(shutil.disk_usage(nearest).free / 1e6),
        "workers": options.scheduler or processes,
        "measured": measured,
        "not_usable": failed,
        "seconds_each": round(seconds, 5),
        "seconds": round(start + seconds * count / processes, 1),
    }


def _look_for_file(plan: PrepPlan, options: PrepOptions) -> tuple[bool, bool]:
    """Tell whether the file holds these maps already, and whether it holds others, so that ``prep`` would refuse."""
    if options.overwrite:
        return False, False
    try:
        maps = find_finished_maps(plan.source, plan.basis, plan.out, up=options.up, keep_points=plan.keep_points)
    except UserError:
        return False, plan.out.exists()
    return maps is not None, False


def _plan(options: PrepOptions) -> PrepPlan:
    """Settle what ``prep`` does; raise a UserError if it would fetch the raw data first."""
    try:
        with busy(f"reading the list of files of {options.dataset}"):
            return plan_prep(options, Workspace.find(options.workspace))
    except NoRawData as error:
        key = split_name(options.dataset)[0]
        if not options.download or key not in DOWNLOADS:
            raise
        most = sum(file.most_bytes for file in DOWNLOADS[key]) / 1e6
        what_to_do = "leave out --dry-run; a dry run needs the raw data"
        raise UserError(f"{options.dataset} would be fetched first", f"at most {most:.0f} MB", what_to_do) from error


def _measure(source: Source, basis: Basis, up: UpRule) -> tuple[float, int, int]:
    """Measure the seconds for an object on one core; return also how many objects failed, and how many were tried."""
    items = [source.items[index] for index in np.linspace(0, len(source.items) - 1, MEASURED + 1).astype(int)]
    if basis.kind != "pixels":
        with busy("loading the transforms (compiled once on a machine, 15 s)"), quiet():
            moments.precompile()
    failed = tried = 0
    started = time.monotonic()
    for item in dict.fromkeys(items):  # each once
        if tried == 1:
            started = time.monotonic()  # the first object also builds tables, once
        tried += 1
        try:
            object_to_map(item, basis, up)
        except ObjectError:
            failed += 1
        if time.monotonic() - started > MOST_SECONDS:
            break
    return (time.monotonic() - started) / max(tried - 1, 1), failed, tried
