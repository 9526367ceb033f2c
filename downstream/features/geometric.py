"""Maps, clouds and features as a data set of torch-geometric, for graph and point networks outside of this package."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from data_prep.maps.reader import MapFile, open_maps
from downstream.features.store import Features, read_features
from pretext.data.torch_dataset import MapDataset
from spectral_ssl.ground.errors import UserError

if TYPE_CHECKING:
    from torch_geometric.data import InMemoryDataset


def to_pyg(
    maps: str | Path | MapFile,
    *,
    split: str | None = None,
    features: str | Path | Features | None = None,
    standardise: bool = True,
) -> "InMemoryDataset":
    """Make a data set of torch-geometric from the samples of a map file, in memory.

    Parameters
    ----------
    maps : path or MapFile
        The map file.
    split : str, optional
        "train", "val" or "test"; all of them by default.
    features : path or Features, optional
        Features to add, of ``export`` or ``embed``. They are matched by id.
    standardise : bool
        Whether maps are standardised by the file's own statistics, as in ``MapDataset``.

    Returns
    -------
    InMemoryDataset
        A ``Data`` for each sample, in the order of the file: ``map`` (1, C, H, W) float32, ``pos``
        (P, 3) float32 if the file has clouds, ``y`` (1,) int64 (-1 without a class), ``features``
        (1, D) float32 if features are given, and ``id``. A batch of a ``DataLoader`` has them joined
        along the first axis.

    Raises
    ------
    UserError
        If a file cannot be read, the split is empty, or a sample has no features.

    Examples
    --------
    >>> from torch_geometric.loader import DataLoader
    >>> from downstream.features import to_pyg
    >>> samples = to_pyg(maps, split="train")
    >>> next(iter(DataLoader(samples, batch_size=8))).map.shape
    torch.Size([8, 1, 16, 16])
    """
    # The import takes seconds, and the manual of features does not need it.
    from torch_geometric.data import Data, InMemoryDataset

    opened = maps if isinstance(maps, MapFile) else open_maps(maps)
    stored = MapDataset(opened, split, standardise=standardise, points=opened.has_points)
    ids = [opened.ids[row] for row in stored.rows]
    names = ("map", "pos", "y") if opened.has_points else ("map", "y")
    samples_of_file = [dict(zip(names, parts, strict=True)) for parts in stored.__getitems__([*range(len(ids))])]
    if features is not None:
        found = features if isinstance(features, Features) else read_features(Path(features))
        for sample, row in zip(samples_of_file, torch.from_numpy(_match(found, ids)), strict=True):
            sample["features"] = row[None]  # (1, D)
    samples = InMemoryDataset()
    samples.data, samples.slices = InMemoryDataset.collate(
        [
            Data(**{**sample, "map": sample["map"][None], "y": sample["y"][None], "id": identity})
            for identity, sample in zip(ids, samples_of_file, strict=True)
        ]
    )
    return samples


def _match(features: Features, ids: list[str]) -> NDArray[np.float32]:
    """Return the features (N, D) of samples by their ids."""
    places = {identity: place for place, identity in enumerate(features.ids)}
    missing = [identity for identity in ids if identity not in places]
    if missing:
        got = f"{len(missing)} of {len(ids)}, such as {missing[0]}"
        raise UserError("samples without features", got, "export features of this map file")
    return features.values[[places[identity] for identity in ids]]
