"""An endless stream of new shapes of the universe: training data that no file holds.

Each epoch has ``fresh`` shapes that no other epoch has. The shape at position p of the stream is the
shape with index n + p of ``data_prep.sources.universe``, where n is the number of objects of the
reference file. So no shape of that file, whose statistics standardise all maps, is trained on. A
shape depends on its index and the seed alone. A resumed run therefore trains on the same shapes as
an uninterrupted one, and so does any number of processes. Each process makes only the shapes of its
own rows of a batch, one step ahead (``pretext.training.prefetch``).

Letters in shapes: B batch, P points of a cloud, C, H, W of the maps.
"""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data_prep.geometry.unit_ball import move_to_unit_ball
from data_prep.pipeline.shape_to_map import clouds_to_maps
from data_prep.sources.universe import universe_clouds
from data_prep.sources.universe.source import open_source
from pretext.data.batch import Batch
from pretext.data.training_split import TrainingSplit
from spectral_ssl.ground.errors import UserError


class UniverseStream:
    """New shapes in every epoch, returned in standardised batches (``pretext.data.training_split.TrainingData``).

    Parameters
    ----------
    reference : TrainingSplit
        Maps of the universe from a file. They give basis, statistics, and the samples for monitoring.
    fresh : int
        Number of shapes of an epoch.
    seed : int
        Seed of the shapes.
    with_maps : bool
        Whether the maps of the whole shapes are computed. Otherwise ``Batch.maps`` has shape (B, 0),
        for tasks that read the clouds alone.

    Raises
    ------
    UserError
        If the maps are of another version of the universe: new shapes would not resemble them.
    """

    codes: Tensor | None = None

    def __init__(self, reference: TrainingSplit, fresh: int, seed: int, *, with_maps: bool = True) -> None:
        found = reference.maps.fingerprint["digest of the source"]
        if found != open_source(Path(), count=1).digest[: len(found)] or not found:
            got = f"{reference.maps.path}, this version makes other shapes"
            raise UserError("maps of another version of the universe", got, "prepare the file again with --overwrite")
        self._reference = reference
        self.standardise = reference.standardise
        self.fresh, self.seed, self.with_maps = fresh, seed, with_maps
        self.first = len(reference.maps) + len(reference.maps.failures)

    def __len__(self) -> int:
        return self.fresh

    @property
    def reference(self) -> TrainingSplit:
        """The maps of the file, which stay the same in all epochs."""
        return self._reference

    def order(self, seed: int, epoch: int) -> Tensor:
        """List the positions (N,) of the shapes of an epoch, which follow one another: they are random as they are."""
        return torch.arange(epoch * self.fresh, (epoch + 1) * self.fresh)

    def batch(self, positions: Tensor) -> Batch:
        """Make the shapes at positions (B,) of the stream: their clouds (B, P, 3), and their maps if these are read."""
        basis, threads = self.standardise.basis, torch.get_num_threads()
        clouds = self._make_clouds(self._indices(positions), threads)
        if self.with_maps:
            maps = self.standardise(clouds_to_maps(clouds, basis, threads=threads))
        else:
            maps = torch.empty(len(clouds), 0)
        return Batch(maps, self.standardise, torch.from_numpy(clouds))

    def ids(self, positions: Tensor) -> list[str]:
        """List the names of the shapes at positions (B,) of the stream, as ``prep`` names them."""
        return [f"universe-{index:07d}" for index in self._indices(positions).tolist()]

    def _indices(self, positions: Tensor) -> NDArray[np.int64]:
        """Return the indices (B,) in the universe of the shapes at positions (B,) of the stream."""
        return np.asarray(self.first + positions.numpy(), np.int64)

    def _make_clouds(self, indices: NDArray[np.int64], threads: int) -> NDArray[np.float32]:
        """Make the clouds (B, P, 3) of shapes, in the unit ball as the basis defines it."""
        basis = self.standardise.basis
        clouds = universe_clouds(indices, seed=self.seed, points=basis.points, threads=threads)
        if basis.reach != 1:
            return np.stack([move_to_unit_ball(cloud, reach=basis.reach) for cloud in clouds])
        return clouds
