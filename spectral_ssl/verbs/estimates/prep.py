"""``prep --dry-run``: what would be done, and how long it would take, measured on a few of the objects."""

import math
import shutil
import time
from pathlib import Path
from typing import Any

import joblib
import numpy as np

from data_prep.basis import Basis
from data_prep.geometry.unit_ball import TURNS
from data_prep.pipeline.prepare import TOO_FEW_FOR_WORKERS, object_to_map
from data_prep.pipeline.shape_to_map import refuse_unfit
from data_prep.pipeline.work_folder import folder_for
from data_prep.source import Source, Up
from data_prep.sources.catalogue import split_name
from data_prep.sources.download.fetch import DOWNLOADS
from data_prep.transforms import moment_sums as moments
from spectral_ssl.ground.errors import NoRawData, ObjectError, UserError, unknown_name
from spectral_ssl.ground.progress import quiet
from spectral_ssl.ground.workspace import Workspace
from spectral_ssl.verbs.prep import settle_prep

MEASURED = 24  # objects
MOST_SECONDS = 20.0  # of measuring
BYTES_BESIDE = 340  # an object's share of the tables of HDF5, its name and label, measured
WORKERS_START = 3.0  # seconds until worker processes have imported what they need


def estimate_prep(
    dataset: str = "shapes",
    *,
    workers: int | None = None,
    up: str | None = None,
    overwrite: bool = False,
    download: bool = False,
    scheduler: str | None = None,
    workspace: str | Path | None = None,
    **options: Any,
) -> dict[str, Any]:
    """What ``prep`` would do with the same arguments; nothing is fetched, and nothing is left behind.

    Parameters
    ----------
    dataset, workers, up, overwrite, download, scheduler, workspace, **options
        As for ``prep``.

    Returns
    -------
    dict
        ``dataset``, ``out``, ``exists`` (``prep`` would refuse, or replace with ``overwrite``), ``unfinished`` (work to
        go on with lies there), ``objects`` and ``splits``, ``shape`` of a map, ``basis``, ``keeps_points``,
        ``megabytes`` of the file and ``megabytes_free`` where it goes, ``workers``, ``measured`` (objects),
        ``seconds_each`` on one core, ``seconds`` in all, ``not_usable`` (of the measured).

    Raises
    ------
    UserError
        Where ``prep`` would refuse for its data or its options.
    """
    place = Workspace.find(workspace)
    try:
        source, basis, target, keep_points = settle_prep(dataset, place, **options)
    except NoRawData as error:
        key = split_name(dataset)[0]
        if download and key in DOWNLOADS:
            most = sum(file.most_bytes for file in DOWNLOADS[key]) / 1e6
            what_to_do = "leave out --dry-run; it can tell more once the data is there"
            raise UserError(f"{dataset} would be fetched first", f"at most {most:.0f} MB", what_to_do) from error
        raise
    count = len(source.items)
    if not count:
        raise UserError("nothing to prepare", f"{source.name!r} is empty", "look at --root")
    refuse_unfit(basis, keep_points)
    turn = next((axis for axis in TURNS if axis == (up or source.up)), None)
    if turn is None:
        raise unknown_name("up axis", str(up), TURNS)
    seconds, failed, measured = _measure(source, basis, turn)
    processes = joblib.cpu_count() if workers is None else max(1, workers)
    if workers is None and count < TOO_FEW_FOR_WORKERS:
        processes = 1
    start = WORKERS_START if processes > 1 else 0.0
    each = BYTES_BESIDE + 4 * math.prod(basis.shape) + (6 * basis.points if keep_points else 0)
    nearest = next(folder for folder in (target.parent, *target.resolve().parents) if folder.is_dir())
    return {
        "dataset": dataset,
        "out": str(target),
        "exists": target.exists() and not overwrite,
        "unfinished": folder_for(target).is_dir(),
        "objects": count,
        "splits": {split: sum(item.split == split for item in source.items) for split in ("train", "val", "test")},
        "shape": list(basis.shape),
        "basis": basis.kind,
        "keeps_points": keep_points,
        "megabytes": round(each * count / 1e6, 1),
        "megabytes_free": round(shutil.disk_usage(nearest).free / 1e6),
        "workers": scheduler or processes,
        "measured": measured,
        "not_usable": failed,
        "seconds_each": round(seconds, 5),
        "seconds": round(start + seconds * count / processes, 1),
    }


def _measure(source: Source, basis: Basis, up: Up) -> tuple[float, int, int]:
    """Seconds an object takes on one core; how many of those tried cannot be used, and how many were tried."""
    items = [source.items[place] for place in np.linspace(0, len(source.items) - 1, MEASURED + 1).astype(int)]
    if basis.kind != "pixels":
        with quiet():
            moments.precompile()
    failed = tried = 0
    started = time.monotonic()
    for item in dict.fromkeys(items):  # each once
        if tried == 1:
            started = time.monotonic()  # with the first object tables are made, once
        tried += 1
        try:
            object_to_map(item, basis, up)
        except ObjectError:
            failed += 1
        if time.monotonic() - started > MOST_SECONDS:
            break
    return (time.monotonic() - started) / max(tried - 1, 1), failed, tried
