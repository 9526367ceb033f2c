"""Map files as torch data sets: they return the file's values, in any number of processes and after pickling."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import write_random_maps
from torch.utils.data import DataLoader

import spectral_ssl
from data_prep.basis import zernike_basis
from data_prep.maps.reader import MapFile
from pretext.data.standardise import Standardiser
from spectral_ssl.ground.errors import UserError


def test_samples_equal_those_of_the_file(random_maps: MapFile) -> None:
    samples = spectral_ssl.MapDataset(random_maps.path, "test", standardise=False)
    assert len(samples) == 24
    rows = random_maps.rows("test")
    values, label = samples[3]
    np.testing.assert_array_equal(values.numpy(), random_maps.read(rows[3:4])[0])
    assert label == random_maps.labels[rows[3]]
    assert torch.equal(samples[-1][0], samples[23][0])
    with pytest.raises(IndexError):
        samples[24]
    assert len(list(samples)) == 24  # iteration by index ends


def test_standardised_samples_equal_the_inputs_of_networks(random_maps: MapFile) -> None:
    values, _ = spectral_ssl.MapDataset(random_maps)[7]
    assert torch.equal(values, Standardiser.of(random_maps)(random_maps.read(np.array([7])))[0])


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_returns_all_samples_with_any_number_of_workers(random_maps: MapFile, workers: int) -> None:
    samples = spectral_ssl.MapDataset(random_maps, standardise=False)
    samples[0]  # opened here, before the workers are forked
    loader = DataLoader(samples, batch_size=16, shuffle=True, num_workers=workers, generator=torch.Generator())
    values, labels = (torch.cat(parts) for parts in zip(*loader, strict=True))
    assert values.shape == (72, *random_maps.basis.shape)
    wanted = torch.from_numpy(random_maps.read())
    assert not torch.equal(values, wanted), "the order must be random"
    # They are the same maps with the same labels, in another order.
    pairs = {(row.numpy().tobytes(), int(label)) for row, label in zip(values, labels, strict=True)}
    rows = zip(wanted.numpy(), random_maps.labels, strict=True)
    assert pairs == {(row.tobytes(), int(label)) for row, label in rows}


def test_a_data_set_can_be_pickled_after_a_read(random_maps: MapFile) -> None:
    samples = spectral_ssl.MapDataset(random_maps)
    first = samples[0]
    again = pickle.loads(pickle.dumps(samples))
    assert torch.equal(again[0][0], first[0])


def test_samples_can_include_points(tmp_path: Path) -> None:
    maps = spectral_ssl.prep("shapes", degree=3, points=16, out=tmp_path / "maps.h5")
    values, points, label = spectral_ssl.MapDataset(maps, "train", points=True)[5]
    assert values.shape == maps.basis.shape
    np.testing.assert_array_equal(points.numpy(), maps.read_points(maps.rows("train")[5:6])[0])
    assert label.dtype == torch.int64


def test_mistakes_raise_user_errors(tmp_path: Path, random_maps: MapFile) -> None:
    with pytest.raises(UserError, match="no samples in split 'val'"):
        spectral_ssl.MapDataset(random_maps, "val")
    with pytest.raises(UserError, match="holds no points"):
        spectral_ssl.MapDataset(random_maps, points=True)
    write_random_maps(tmp_path / "a.h5", zernike_basis(3))
    with pytest.raises(UserError, match="no such file"):
        spectral_ssl.MapDataset(tmp_path / "b.h5")
