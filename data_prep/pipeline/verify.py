"""Verification of a map file: schema, digest, values and names, and some maps that are computed again.

``data_prep.pipeline.up_axis`` checks whether the objects stand upright.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_prep.geometry.unit_ball import BY_FORMAT, TURNS
from data_prep.maps.reader import MAKE_AGAIN, SCHEMA, MapFile, compute_content_digest, count_rows_at_once, open_maps
from data_prep.maps.row_checksums import find_changed_rows
from data_prep.pipeline.object_to_map import object_to_map
from data_prep.pipeline.shape_to_map import cloud_to_map
from data_prep.pipeline.up_axis import find_up_axis_warnings
from data_prep.source import Source, UpRule
from spectral_ssl.ground.errors import ObjectError, UserError
from spectral_ssl.ground.hdf5 import open_dataset, open_hdf5

# A map that is computed again from the raw object differs only by rounding, and only on another
# machine.
SAME = 1e-5
# Stored clouds are rounded to float16. Measured on the built-in shapes, this changes a map by up to
# 0.01 of its norm (Zernike, degree 15), 0.02 (degree 40) or 0.05 (shells, degree 40: points change
# shell). Two objects of one class differ by 0.5 and more.
SAME_FROM_HALF = 0.2
FINDING_OF_SOURCE = "source: "  # the start of findings about the raw data


def verify_maps(path: Path, source: Source | None = None, count: int = 8) -> list[str]:
    """Check a map file and list everything that is wrong with it.

    Parameters
    ----------
    path : Path
        Path of the file.
    source : Source, optional
        The data set of the file. If given, ``count`` objects are loaded and transformed again.
    count : int
        Number of maps to compute again; also from the stored clouds, if there are any.

    Returns
    -------
    list of str
        One line for each finding; empty for a valid file.
    """
    try:
        stored = open_maps(path)
        # A changed row must not end the other checks.
        opened = replace(stored, checksums={})
        findings = _check_names(opened)
        findings += _check_values(opened)
        findings += _check_rows(stored)
        if not findings:
            findings += find_up_axis_warnings(opened)
        rows = np.sort(np.random.default_rng(0).permutation(len(opened))[:count])
        if opened.has_points:
            findings += _check_points(opened, rows)
        if source is not None:
            findings += _check_source(opened, source, rows)
    except UserError as error:
        return [str(error)]
    return findings


def _check_names(opened: MapFile) -> list[str]:
    """Check the ids; ``open_maps`` has checked labels and splits."""
    findings = []
    if len(set(opened.ids)) != len(opened):
        findings.append(f"ids: {len(opened) - len(set(opened.ids))} of {len(opened)} occur more than once")
    both = set(opened.ids) & {identity for identity, _ in opened.failures}
    if both:
        findings.append(f"failures: {len(both)} failed objects have a map nevertheless, such as {min(both)}")
    return findings


def _check_rows(stored: MapFile) -> list[str]:
    """Compare all maps and clouds with their checksums, if the file has them."""
    findings = []
    with open_hdf5(stored.path, SCHEMA, MAKE_AGAIN) as file:
        for column, checksums in stored.checksums.items():
            values, changed = open_dataset(file, column, MAKE_AGAIN), []
            size = count_rows_at_once(values.shape[1:])
            try:
                for start in range(0, len(stored), size):
                    rows = slice(start, start + size)
                    changed += (start + find_changed_rows(column, values[rows], checksums[rows])).tolist()
            except (OSError, RuntimeError) as error:
                findings.append(f"{column}: cannot be read ({error})")
            if changed:
                first = stored.ids[changed[0]]
                findings.append(f"{column}: {len(changed)} of {len(stored)} have changed, such as that of {first}")
    return findings


def _check_values(opened: MapFile) -> list[str]:
    """Check digest, maps and statistics, in one pass over the file and one pass over the training rows."""
    findings = []
    not_finite = 0
    size = count_rows_at_once(opened.basis.shape)
    with open_hdf5(opened.path, SCHEMA, MAKE_AGAIN) as file:
        maps = open_dataset(file, "maps", MAKE_AGAIN)
        try:
            if compute_content_digest(file) != opened.digest:
                findings.append("digest: the content has changed since it was written; make the file again")
            for start in range(0, len(maps), size):
                block = maps[start : start + size]
                not_finite += int((~np.isfinite(block).all(axis=(1, 2, 3))).sum())
        except (OSError, RuntimeError) as error:
            return [*findings, f"maps: cannot be read ({error})"]
    if not_finite:
        findings.append(f"maps: {not_finite} of {len(opened)} hold values that are not finite")
    if not not_finite and opened.basis.kind != "pixels":
        findings += _check_statistics(opened)
    return findings


def _check_statistics(opened: MapFile) -> list[str]:
    """Check that training maps have mean 0 and standard deviation 1 or 0 after standardisation."""
    rows = opened.rows("train")
    if len(rows) == 0:
        rows = opened.rows()
    first = np.zeros(opened.basis.shape)
    second = np.zeros(opened.basis.shape)
    size = count_rows_at_once(opened.basis.shape)
    for start in range(0, len(rows), size):
        block = opened.read(rows[start : start + size]).astype(np.float64)
        block -= opened.mean
        block /= opened.std
        first += block.sum(axis=0)
        second += np.square(block, out=block).sum(axis=0)
    mean, square = first / len(rows), second / len(rows)
    # Where the std is 1 the value is constant, and only the rounding of float32 is left.
    constant = opened.std == 1
    wrong = (np.abs(mean) > 1e-2) | (np.abs(np.where(constant, 1.0, square) - 1) > 1e-2)
    return [f"mean and std: wrong for {int(wrong.sum())} coefficients"] if wrong.any() else []


def _check_points(opened: MapFile, rows: NDArray[np.int64]) -> list[str]:
    """Transform the stored clouds again and compare the maps."""
    findings = []
    maps, clouds = opened.read(rows), opened.read_points(rows)
    for row, stored, cloud in zip(rows, maps, clouds, strict=True):
        try:
            again = cloud_to_map(cloud, opened.basis)
        except ObjectError as error:
            findings.append(f"points: cloud of {opened.ids[row]}: {error}")
            continue
        difference = float(np.linalg.norm(again - stored) / np.linalg.norm(stored))
        if not difference < SAME_FROM_HALF:
            findings.append(f"points: the map of {opened.ids[row]} is not that of its cloud (off by {difference:.2g})")
    return findings


def _check_source(opened: MapFile, source: Source, rows: NDArray[np.int64]) -> list[str]:
    """Load and transform the raw objects again and compare the maps."""
    findings = []
    with open_hdf5(opened.path, SCHEMA, MAKE_AGAIN) as file:
        digest, stored_up = str(file.attrs.get("source_digest", "")), str(file.attrs.get("source_up", source.up))
    if digest != source.digest:
        findings.append(f"{FINDING_OF_SOURCE}its files are not those the maps were made from (names or sizes differ)")
    if tuple(source.classes) != opened.classes:
        findings.append(f"{FINDING_OF_SOURCE}other classes, or another order of them")
    rules: tuple[UpRule, ...] = (*TURNS, BY_FORMAT)
    up = next((rule for rule in rules if rule == stored_up), source.up)
    items = {item.id: item for item in source.items}
    maps = opened.read(rows)
    for row, stored in zip(rows, maps, strict=True):
        item = items.get(opened.ids[row])
        if item is None:
            findings.append(f"{FINDING_OF_SOURCE}has no object {opened.ids[row]}")
            continue
        if (item.label, item.split) != (int(opened.labels[row]), str(opened.splits[row])):
            findings.append(f"{FINDING_OF_SOURCE}another label or split for {item.id}")
        try:
            again, _ = object_to_map(item, opened.basis, up)
        except ObjectError as error:
            findings.append(f"{FINDING_OF_SOURCE}{item.id} cannot be used any more: {error}")
            continue
        except OSError as error:
            findings.append(f"{FINDING_OF_SOURCE}{item.id} cannot be read any more: {error.strerror or error}")
            continue
        difference = float(np.abs(again - stored).max())
        if not difference < SAME:
            findings.append(f"{FINDING_OF_SOURCE}the map of {item.id}, computed again, differs by {difference:.2g}")
    return findings
