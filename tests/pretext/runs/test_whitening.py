"""Whitened features: unit covariance by numpy, independence of scale and rotation, the file of an encoder."""

from pathlib import Path

import numpy as np
import pytest
import torch

import spectral_ssl
from data_prep.maps.reader import MapFile
from pretext.runs.load_encoder import load_encoder
from pretext.runs.whitening import fit_whitening
from spectral_ssl.ground.errors import UserError


def correlated(count: int = 400, rank: int = 5, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    mixing = generator.normal(size=(rank, 8)) * np.logspace(0, 2, 8)
    return (generator.normal(size=(count, rank)) @ mixing + 3).astype(np.float32)


def test_components_are_uncorrelated_with_unit_variance_and_no_more_than_the_rank() -> None:
    features = correlated()
    whitened = fit_whitening(features, 8)(torch.from_numpy(features)).numpy()
    assert whitened.shape == (400, 5)
    np.testing.assert_allclose(np.cov(whitened.T, ddof=0), np.eye(5), atol=2e-3)
    np.testing.assert_allclose(whitened.mean(axis=0), 0, atol=2e-3)


def test_the_first_components_explain_most_as_the_correlation_matrix_of_numpy() -> None:
    features = correlated(rank=8)
    whitened = fit_whitening(features, 3)(torch.from_numpy(features)).numpy()
    standard = (features - features.mean(0)) / features.std(0)
    values, vectors = np.linalg.eigh(np.corrcoef(features.T.astype(np.float64)))
    expected = standard @ vectors[:, ::-1][:, :3] / np.sqrt(values[::-1][:3])
    np.testing.assert_allclose(np.abs(whitened), np.abs(expected), rtol=1e-3, atol=1e-3)


def test_units_of_the_features_do_not_matter_and_constant_ones_are_left_out() -> None:
    features = correlated(rank=8)
    scaled = np.concatenate([features * np.float32(7), np.full((400, 1), 5, np.float32)], axis=1)
    plain, other = fit_whitening(features, 4), fit_whitening(scaled, 4)
    expected, got = plain(torch.from_numpy(features)), other(torch.from_numpy(scaled))
    torch.testing.assert_close(got, expected, atol=1e-3, rtol=1e-3)


def test_what_cannot_be_whitened_is_said() -> None:
    with pytest.raises(UserError, match="the same features for all samples"):
        fit_whitening(np.ones((5, 3), np.float32), 2)
    with pytest.raises(UserError, match="1 values"):
        fit_whitening(np.array([[0.0, np.nan], [1.0, 2.0]], np.float32), 2)


def test_an_encoder_keeps_its_whitening(random_maps: MapFile, tmp_path: Path) -> None:
    settings = ("width=4", "code=8", "projector=16", "grid=8")
    run = spectral_ssl.pretrain(
        random_maps, method="joint-embedding", epochs=1, settings=settings, out=tmp_path / "run", report=False
    )
    maps = random_maps
    whitened = run.whiten(maps.read(), 6)
    assert whitened.layers()["default"] == whitened.encode(maps).shape[1] == 6
    loaded = load_encoder(whitened.save(tmp_path / "encoder"))
    expected = whitened.encode(maps)
    np.testing.assert_allclose(loaded.encode(maps), expected, atol=0.03 * np.abs(expected).max())
    other = next(name for name in run.layers() if name != "default")
    np.testing.assert_array_equal(whitened.at_layer(other).encode(maps), run.at_layer(other).encode(maps))
