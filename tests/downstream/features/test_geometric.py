"""Map files as data sets of torch-geometric: the values, labels and clouds of the file, and features by id."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch_geometric.data import InMemoryDataset
from torch_geometric.loader import DataLoader
from torch_geometric.nn import global_max_pool

import spectral_ssl
from data_prep.maps.reader import MapFile, open_maps
from downstream.features.store import ABOUT, Features, write_features
from pretext.data.standardise import Standardiser
from spectral_ssl.ground.errors import UserError


def make_features(maps: MapFile, seed: int = 0) -> Features:
    """Make features of noise, in another order than the maps."""
    order = np.random.default_rng(seed).permutation(len(maps))
    values = np.random.default_rng(seed + 1).normal(size=(len(maps), 5)).astype(np.float32)
    return Features(
        values=values[order], ids=[maps.ids[row] for row in order], labels=maps.labels[order],
        splits=maps.splits[order], classes=maps.classes, about=dict.fromkeys(ABOUT, ""),
    )  # fmt: skip


def test_batches_hold_what_the_file_holds(shapes_file: Path) -> None:
    maps = open_maps(shapes_file)
    rows = maps.rows("test")
    samples = spectral_ssl.to_pyg(maps.path, split="test")
    assert isinstance(samples, InMemoryDataset)
    assert len(samples) == len(rows)
    (batch,) = DataLoader(samples, batch_size=len(rows))
    assert torch.equal(batch.map, Standardiser.of(maps)(maps.read(rows)))
    np.testing.assert_array_equal(batch.pos.numpy(), maps.read_points(rows).reshape(-1, 3))
    np.testing.assert_array_equal(batch.y.numpy(), maps.labels[rows])
    assert list(batch.id) == [maps.ids[row] for row in rows]
    # a layer of torch-geometric takes the batch as it is
    assert global_max_pool(batch.pos, batch.batch).shape == (len(rows), 3)
    assert torch.equal(spectral_ssl.to_pyg(maps, standardise=False)[3].map[0], torch.from_numpy(maps.read()[3]))


def test_features_are_matched_by_id(random_maps: MapFile, tmp_path: Path) -> None:
    features = make_features(random_maps)
    write_features(tmp_path / "features.h5", features)
    expected = dict(zip(features.ids, features.values, strict=True))
    for given in (features, tmp_path / "features.h5"):
        for sample in spectral_ssl.to_pyg(random_maps, split="test", features=given):
            np.testing.assert_array_equal(sample.features[0].numpy(), expected[sample.id])
            assert "pos" not in sample
    fewer = replace(features, ids=features.ids[1:], values=features.values[1:])
    with pytest.raises(UserError, match=f"samples without features: got 1 of 72, such as {features.ids[0]}"):
        spectral_ssl.to_pyg(random_maps, features=fewer)
    with pytest.raises(UserError, match="no samples in split 'val'"):
        spectral_ssl.to_pyg(random_maps, split="val")


def test_what_torch_geometric_stores_can_be_prepared_again(shapes_file: Path, tmp_path: Path) -> None:
    (tmp_path / "processed").mkdir()
    samples = list(spectral_ssl.to_pyg(shapes_file, split="test"))
    InMemoryDataset.save(samples, str(tmp_path / "processed" / "data.pt"))
    again = spectral_ssl.prep(f"pyg:{tmp_path / 'processed'}", degree=4, points=64, out=tmp_path / "again.h5")
    assert len(again) == len(samples)
    assert again.failures == ()
