"""The maps of one split, ready for training, and what any training data must offer."""

from dataclasses import replace
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data_prep.basis import Basis
from data_prep.maps.reader import MapFile
from pretext.data.batch import Batch
from pretext.data.standardise import Standardiser
from pretext.randomness import seeded_generator
from spectral_ssl.ground.errors import UserError

# Up to this size the maps are kept in memory. Larger splits are read batch by batch, one step
# ahead.
LARGEST_IN_MEMORY = 64 * 2**20


def check_same_basis(wanted: Basis, maps: MapFile) -> None:
    """Raise a UserError if a map file's basis differs from ``wanted`` in anything that changes its meaning."""
    conflicts = wanted.find_conflicts(maps.basis)
    if not conflicts:
        return
    got = f"{'; '.join(conflicts)} in {maps.path}"
    if wanted.kind == maps.basis.kind == "pixels":
        raise UserError("images of another kind than the run's", got, _advise_on_images(wanted, maps.basis))
    raise UserError("map file of another basis than the run's", got, "prepare the data with the run's own basis")


def _advise_on_images(wanted: Basis, other: Basis) -> str:
    """Say how images are prepared like those of a run: by the option for their size where the size alone differs."""
    channels, height, width = wanted.shape
    is_size_alone = other.shape[0] == channels and [*wanted.find_conflicts(replace(other, shape=wanted.shape))] == []
    if height == width and is_size_alone:
        return f"prepare them with `--size {height}`"
    return f"prepare images of {channels} channel{'s' * (channels != 1)}, {height} x {width} pixels, as the run's were"


class TrainingData(Protocol):
    """What the training loop uses of its data: of a split, or of an endless stream of new shapes.

    Attributes
    ----------
    standardise : Standardiser
        Basis and statistics of all batches.
    codes : Tensor or None
        Codes (N, D) of the samples, for tasks whose conditions are codes.
    """

    standardise: Standardiser
    codes: Tensor | None

    @property
    def reference(self) -> "TrainingSplit":
        """The samples that stay the same in all epochs, for monitoring."""
        ...

    def __len__(self) -> int:
        """Count the samples of an epoch."""
        ...

    def order(self, seed: int, epoch: int) -> Tensor:
        """List the positions (N,) of the samples of an epoch, in the order of training."""
        ...

    def batch(self, positions: Tensor) -> Batch:
        """Return the batch at positions (B,), with everything that is trained on."""
        ...

    def ids(self, positions: Tensor) -> list[str]:
        """List the names of the samples at positions (B,)."""
        ...


class TrainingSplit:
    """The maps of one split, returned in standardised batches.

    Parameters
    ----------
    maps : MapFile
        The map file.
    split : str or None
        Name of the split, None for all maps.
    with_points : bool
        Whether batches include the clouds.
    standardise : Standardiser, optional
        Basis and statistics with which maps are standardised; those of the map file by default.

    Attributes
    ----------
    codes : Tensor or None
        Codes (N, D) of the split's maps, for tasks whose conditions are codes.

    Raises
    ------
    UserError
        If the split is empty, if values are not finite, or if the clouds are wanted and not in the
        file.
    """

    codes: Tensor | None = None

    def __init__(
        self,
        maps: MapFile,
        split: str | None = "train",
        with_points: bool = False,
        standardise: Standardiser | None = None,
    ) -> None:
        self.maps = maps
        self.rows = maps.rows(split)
        self.standardise = standardise or Standardiser.of(maps)
        if not len(self.rows):
            raise UserError(f"no maps in split {split!r}", str(maps.path), "give another map file")
        self.with_points = with_points
        first_points = maps.read_points(self.rows[:1]) if with_points else np.empty((1, 0))
        size = 4 * len(self.rows) * (int(np.prod(maps.basis.shape)) + first_points.size)
        self._in_memory: Batch | None = None
        if size <= LARGEST_IN_MEMORY:
            self._in_memory = read_batch(maps, self.standardise, self.rows, with_points)
            if not bool(torch.isfinite(self._in_memory.maps).all()):
                raise UserError(
                    "maps that are not finite", str(maps.path), "run `spectral-ssl verify` on it and prepare it again"
                )

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def reference(self) -> "TrainingSplit":
        """The split itself."""
        return self

    def order(self, seed: int, epoch: int) -> Tensor:
        """List the positions (N,) of the samples in an order that follows from seed and epoch."""
        return torch.randperm(len(self), generator=seeded_generator(seed, "order", epoch))

    def batch(self, positions: Tensor) -> Batch:
        """Read the batch at positions (B,) of the split, with everything that is trained on."""
        return self.read_samples(positions)

    def read_samples(self, positions: Tensor) -> Batch:
        """Read the samples at positions (B,) of the split alone, without neighbours or codes."""
        if self._in_memory is None:
            return read_batch(self.maps, self.standardise, self.rows[positions.numpy()], self.with_points)
        points = self._in_memory.points[positions] if self._in_memory.points is not None else None
        return Batch(self._in_memory.maps[positions], self.standardise, points)

    def ids(self, positions: Tensor) -> list[str]:
        """List the names of the samples at positions (B,) of the split."""
        return [self.maps.ids[row] for row in self.rows[positions.numpy()]]


def read_batch(maps: MapFile, standardise: Standardiser, rows: NDArray[np.int64], with_points: bool) -> Batch:
    """Read rows of a map file, standardised, with their clouds if these are wanted."""
    points = torch.from_numpy(maps.read_points(rows)) if with_points else None
    return Batch(standardise(maps.read(rows)), standardise, points)
