"""Standardised features: constant ones and rounding noise stay 0."""

import numpy as np
import pytest

from downstream.features.standardise import (
    clear_rounding_noise,
    fit_scaler,
    scale_to_unit_length,
    standardise_features,
)
from downstream.probes.classifiers.knn import predict_by_neighbours
from downstream.probes.classifiers.logistic import fit_logistic


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("level", [1e-20, 5.0, -3e4])
def test_a_feature_that_varies_by_rounding_only_becomes_zero(dtype: type, level: float) -> None:
    generator = np.random.default_rng(0)
    signal = generator.normal(3, 1e-3, size=50)
    spacing = np.spacing(dtype(abs(level)))
    noise = dtype(level) + generator.integers(-1, 2, 50).astype(dtype) * spacing
    values = np.stack([signal, noise, generator.normal(0, 1e-20, 50)], axis=1).astype(dtype)
    scaler = fit_scaler(values)
    standard = scaler.transform(values)
    # A small feature is no noise, if it varies by more than its own rounding.
    is_noise = np.array([False, True, False])
    np.testing.assert_array_equal(standard[:, is_noise], 0)
    np.testing.assert_allclose(standard[:, ~is_noise].std(axis=0)[[0, -1]], 1, rtol=1e-4)
    np.testing.assert_array_equal(np.isinf(scaler.scale_), is_noise)


def test_statistics_are_those_of_all_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).normal(1e3, 1, (70, 3)).astype(np.float32)
    monkeypatch.setattr("downstream.features.standardise.VALUES_AT_ONCE", 30)
    train, test = standardise_features(values, values[:5] + 1)
    wanted = values.astype(np.float64)
    np.testing.assert_allclose(train, (wanted - wanted.mean(axis=0)) / wanted.std(axis=0), atol=2e-4)
    np.testing.assert_allclose(test, train[:5] + 1 / wanted.std(axis=0), atol=2e-4)


def test_noise_of_a_transform_is_cleared_by_the_training_rows_alone() -> None:
    generator = np.random.default_rng(0)
    features = generator.normal(size=(40, 4)).astype(np.float32)
    features[:, 1] *= 1e-8
    features[30:, 2] = 0
    cleared = clear_rounding_noise(features, np.arange(30))
    np.testing.assert_array_equal(cleared[:, [0, 2, 3]], features[:, [0, 2, 3]])
    np.testing.assert_array_equal(cleared[:, 1], 0)
    without_noise = features[:, [0, 2]]
    assert clear_rounding_noise(without_noise, np.arange(30)) is without_noise


def test_classifiers_do_not_learn_from_rounding_noise() -> None:
    generator = np.random.default_rng(1)
    labels = np.arange(60) % 2
    signal = (labels + generator.normal(0, 0.05, 60))[:, None]
    noise = 7 + generator.integers(-1, 2, (60, 200)) * np.spacing(np.float32(7))
    features = np.concatenate([signal, noise], axis=1).astype(np.float32)
    train, test = np.arange(40), np.arange(40, 60)
    predicted = predict_by_neighbours(features[train], labels[train], features[test])
    np.testing.assert_array_equal(predicted, labels[test])
    probe = fit_logistic(features[train], labels[train], 0)
    np.testing.assert_array_equal(probe.predict(features[test]), labels[test])


def test_lengths_of_extreme_features_are_one() -> None:
    features = np.array([[3e-30, 4e-30], [3e30, 4e30], [0, 0]], np.float32)
    np.testing.assert_allclose(scale_to_unit_length(features), [[0.6, 0.8], [0.6, 0.8], [0, 0]], rtol=1e-6)
