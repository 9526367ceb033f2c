"""A set of objects to search: their features, and the maps from which they can be drawn."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_prep.maps.reader import MapFile, open_maps
from data_prep.pipeline.single_file import SingleMap
from downstream.features.store import Features
from spectral_ssl.ground.errors import UserError


@dataclass(frozen=True, eq=False)
class SearchSet:
    """Objects to search.

    Attributes
    ----------
    path : Path
        The map file or the feature file, for messages.
    features : ndarray, shape (N, D), float32
        Features of the objects.
    ids : sequence of str
        Id of each object.
    labels : ndarray, shape (N,), int64
        Class of each object; -1 for objects without a label.
    splits : ndarray, shape (N,), str
        Split of each object.
    classes : tuple of str
        Class names in label order.
    parts : tuple of MapFile
        The map files of the objects, one after the other in the order of the rows; empty if they
        are gone.
    folder : Path or None
        The folder below which the ids are paths; None if they are not.
    """

    path: Path
    features: NDArray[np.float32] = field(repr=False)
    ids: Sequence[str] = field(repr=False)
    labels: NDArray[np.int64] = field(repr=False)
    splits: NDArray[np.str_] = field(repr=False)
    classes: tuple[str, ...]
    parts: tuple[MapFile, ...] = field(repr=False)
    folder: Path | None = None

    def list_rows(self, split: str | None) -> NDArray[np.int64]:
        """List the rows of a split, or of all; raise a UserError if there are none."""
        rows = np.arange(len(self.ids)) if split is None else np.flatnonzero(self.splits == split)
        if not len(rows):
            known = ", ".join(sorted(set(self.splits.tolist())))
            raise UserError(f"no samples in split {split!r}", str(self.path), f"give one of: {known}")
        return rows

    def name_class(self, row: int) -> str | None:
        """Return the name of an object's class; None without a label."""
        return self.classes[self.labels[row]] if self.labels[row] >= 0 else None

    def describe(self, row: int) -> dict[str, str | None]:
        """Return id, class and split of an object."""
        return {"id": self.ids[row], "class": self.name_class(row), "split": str(self.splits[row])}

    def read_object(self, row: int) -> SingleMap | None:
        """Read the map of one object, with its cloud if the file holds it; None if the maps are gone."""
        for maps in self.parts:
            if row < len(maps):
                rows = np.array([row])
                return SingleMap(maps.read(rows)[0], maps.read_points(rows)[0] if maps.has_points else None)
            row -= len(maps)
        return None


def search_maps(maps: MapFile, features: NDArray[np.float32]) -> SearchSet:
    """Make a set to search of a map file and the features (N, D) of its maps."""
    return SearchSet(maps.path, features, maps.ids, maps.labels, maps.splits, maps.classes, (maps,))


def search_features(path: Path, stored: Features) -> SearchSet:
    """Make a set to search of a feature file; its objects can be drawn if their map files are as they were.

    Parameters
    ----------
    path : Path
        The feature file.
    stored : Features
        Its content.

    Returns
    -------
    SearchSet
    """
    parts, folder = _open_parts(stored), stored.about.get("folder")
    is_whole = sum(map(len, parts)) == len(stored.ids)
    return SearchSet(
        path,
        stored.values,
        stored.ids,
        stored.labels,
        stored.splits,
        stored.classes,
        parts if is_whole else (),
        Path(folder) if folder else None,
    )


def _open_parts(stored: Features) -> tuple[MapFile, ...]:
    """Open the map files that a feature file names; none if one of them is gone or has changed."""
    try:
        named = json.loads(stored.about.get("maps", "[]"))
        opened = [(open_maps(Path(path)), digest) for path, digest in named]
    except (UserError, ValueError, TypeError, RecursionError):
        return ()
    return tuple(maps for maps, _ in opened) if all(maps.digest == digest for maps, digest in opened) else ()
