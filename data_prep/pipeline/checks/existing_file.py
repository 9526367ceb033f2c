"""Comparison of an existing map file with the one that ``prepare_maps`` would write, in words for the user."""

from pathlib import Path
from typing import Any

from data_prep.maps.reader import MAKE_AGAIN, SCHEMA, MapFile, open_maps
from data_prep.pipeline.source_records import list_paths
from data_prep.pipeline.work_folder import Fingerprint, describe_differences
from data_prep.source import Source
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.hdf5 import open_hdf5

# Raise this number with any change of the code that changes an object's map. Then neither a file nor
# unfinished work of older code counts as the same maps.
METHOD = 2
FIRST_METHOD = 1  # of map files that do not state it
OF_SOURCE = ("source", "digest of the source", "classes")  # entries of a fingerprint that depend on the source


def find_same_maps(out: Path, wanted: Fingerprint, source: Source) -> MapFile | None:
    """Open an existing map file if it holds exactly the wanted maps.

    Parameters
    ----------
    out : Path
        Path of the file.
    wanted : mapping
        The fingerprint of the wanted file.
    source : Source
        The data set of the wanted file.

    Returns
    -------
    MapFile or None
        The opened file; None if there is no file.

    Raises
    ------
    UserError
        When the file is no map file, or holds other maps; the error names the difference.
    """
    if not out.exists():
        return None
    try:
        existing = open_maps(out)
    except UserError as error:
        content = f"{out}, which is no readable map file ({error.what})"
        raise UserError("output exists already", content, "choose another --out or add --overwrite") from error
    parts = [*_list_parameters(existing, wanted), *_list_changes(existing, wanted, source)]
    if parts:
        got = f"{out} with other maps: {'; '.join(parts)}"
        raise UserError("output exists already", got, "add --overwrite to make it again, or choose another --out")
    return existing


def _list_parameters(existing: MapFile, wanted: Fingerprint) -> list[str]:
    """Describe parameters that differ, as in "degree 8 against 20": those of the file, then the wanted ones."""
    names = [name for name in wanted if name in existing.fingerprint and name not in OF_SOURCE]
    parts = describe_differences(existing.fingerprint, {name: wanted[name] for name in names})
    with open_hdf5(existing.path, SCHEMA, MAKE_AGAIN) as file:
        method: Any = file.attrs.get("method", FIRST_METHOD)
        version = file.attrs.get("created_by", "an earlier version")
    changed = [f"written by {version} when it made other maps of the same files"] if method != METHOD else []
    return [*([parts] if parts else []), *changed]


def _list_changes(existing: MapFile, wanted: Fingerprint, source: Source) -> list[str]:
    """Describe how the objects of the source differ from those of the file."""
    if existing.source != wanted["source"]:
        return [f"it is of {existing.source}, not {wanted['source']}"]
    if all(existing.fingerprint.get(name) == wanted[name] for name in OF_SOURCE):
        return _list_newer_files(existing, source)
    before = {*existing.ids, *(identity for identity, _ in existing.failures)}
    now = {item.id for item in source.items} | {identity for identity, _ in source.missing}
    parts = []
    for what, names in (("added", now - before), ("gone", before - now)):
        if names:
            parts.append(f"{len(names)} object{'s' * (len(names) > 1)} {what} since (such as {min(names)})")
    groups = dict(zip(existing.ids, zip(existing.labels, existing.splits, strict=True), strict=True))
    moved = [
        item.id for item in source.items if item.id in groups and _is_moved(item, groups[item.id], existing, source)
    ]
    if moved:
        parts.append(f"another class or split for {len(moved)} (such as {moved[0]})")
    return parts or ["files of other sizes since"]


def _is_moved(item: Any, group: tuple[Any, Any], existing: MapFile, source: Source) -> bool:
    """Return whether an object has another split or class than in the file."""
    label, split = group
    before = existing.classes[label] if label >= 0 else None
    now = source.classes[item.label] if item.label >= 0 else None
    return bool(split != item.split or before != now)


def _list_newer_files(existing: MapFile, source: Source) -> list[str]:
    """Describe files that were written after the map file: they may have changed and kept their size."""
    written = existing.path.stat().st_mtime_ns
    newer = []
    for path in {path for item in source.items for path in list_paths(item.load)}:
        try:
            if path.stat().st_mtime_ns > written:
                newer.append(path)
        except OSError:  # The object of this file will be a failed object.
            continue
    if not newer:
        return []
    return [f"{len(newer)} file{'s' * (len(newer) > 1)} written since (such as {min(newer).name})"]
