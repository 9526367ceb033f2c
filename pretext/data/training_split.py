"""The maps of one split, held ready for training."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data_prep.basis import Basis
from data_prep.maps.reader import MapFile
from pretext.data.batch import Batch
from pretext.data.standardise import Standardiser
from spectral_ssl.ground.errors import UserError

# Up to this size the maps are held in memory; above it each batch is read when it is needed, one step ahead.
LARGEST_IN_MEMORY = 64 * 2**20


def check_same_basis(wanted: Basis, maps: MapFile) -> None:
    """Raise a UserError when a map file's basis differs from ``wanted`` in anything that changes its meaning."""
    conflicts = wanted.find_conflicts(maps.basis)
    if conflicts:
        raise UserError(
            "map file of another basis than the run's",
            f"{'; '.join(conflicts)} in {maps.path}",
            "prepare the data with the run's own basis",
        )


class TrainingSplit:
    """The maps of one split, handed out in standardised batches.

    Parameters
    ----------
    maps : MapFile
        Where they come from.
    split : str or None
        Which of them, None for all.
    with_points : bool
        Whether batches bring the clouds along.

    Raises
    ------
    UserError
        When the split is empty, values are not finite, or the clouds are wanted and not in the file.
    """

    codes: Tensor | None = None  # of splits with codes, see ``pretext.tasks.codes``

    def __init__(self, maps: MapFile, split: str | None = "train", with_points: bool = False) -> None:
        self.maps = maps
        self.rows = maps.rows(split)
        self.standardise = Standardiser.of(maps)
        if not len(self.rows):
            raise UserError(f"no maps in split {split!r}", str(maps.path), "give another map file")
        self.with_points = with_points
        first_points = maps.read_points(self.rows[:1]) if with_points else np.empty((1, 0))
        size = 4 * len(self.rows) * (int(np.prod(maps.basis.shape)) + first_points.size)
        self._held: Batch | None = None
        if size <= LARGEST_IN_MEMORY:
            self._held = read_batch(maps, self.standardise, self.rows, with_points)
            if not bool(torch.isfinite(self._held.maps).all()):
                raise UserError(
                    "maps that are not finite", str(maps.path), "run `spectral-ssl verify` on it and prepare it again"
                )

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, places: Tensor) -> Batch:
        """The batch at places (B,) of the split, as it is trained on."""
        return self.alone(places)

    def alone(self, places: Tensor) -> Batch:
        """The samples at places (B,) of the split and nothing beside them."""
        if self._held is None:
            return read_batch(self.maps, self.standardise, self.rows[places.numpy()], self.with_points)
        points = self._held.points[places] if self._held.points is not None else None
        return Batch(self._held.maps[places], self.standardise, points)

    def ids(self, places: Tensor) -> list[str]:
        """Names of the samples at places (B,) of the split."""
        return [self.maps.ids[row] for row in self.rows[places.numpy()]]


def read_batch(maps: MapFile, standardise: Standardiser, rows: NDArray[np.int64], with_points: bool) -> Batch:
    """The given rows of a map file, standardised, with their clouds if they are wanted."""
    points = torch.from_numpy(maps.read_points(rows)) if with_points else None
    return Batch(standardise(maps.read(rows)), standardise, points)
