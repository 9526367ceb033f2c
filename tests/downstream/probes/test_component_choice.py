"""The number of principal components, chosen inside the training split."""

import numpy as np
import pytest

from downstream.features.pca import compute_pca_features
from downstream.probes import component_choice
from downstream.probes.classifiers.logistic import fit_logistic
from downstream.probes.component_choice import choose_components


def few_maps(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Make 62 samples of two classes; deviations of the 40 values decrease from 1 to 0.01, as those of images do."""
    generator = np.random.default_rng(seed)
    labels = np.arange(62) % 2
    values = generator.normal(size=(62, 40)) * np.geomspace(1, 0.01, 40)
    values[:, :4] += 1.25 * (labels[:, None] - 0.5)
    return values.astype(np.float32), labels


def test_few_samples_get_few_components_and_a_high_score() -> None:
    train, test = np.arange(22), np.arange(22, 62)
    scores = []
    for seed in range(2):
        values, labels = few_maps(seed)
        components = compute_pca_features(values, train)
        assert components.shape[1] == 21
        count = choose_components(components[train], labels[train], seed)
        probes = [fit_logistic(components[train, :most], labels[train], seed) for most in (count, 21)]
        predicted = [probe.predict(components[test, :most]) for probe, most in zip(probes, (count, 21), strict=True)]
        scores.append([np.mean(each == labels[test]) for each in predicted])
    chosen, everything = np.mean(scores, axis=0)
    assert chosen > 0.9
    assert everything < 0.8  # All components have the same weight after standardisation.


@pytest.mark.parametrize("most_cross_validated", [10_000, 100], ids=["folds", "one fold of a large split"])
def test_a_class_in_many_components_gets_many(most_cross_validated: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(component_choice, "MOST_CROSS_VALIDATED", most_cross_validated)
    generator = np.random.default_rng(0)
    labels = np.arange(300) % 2
    values = generator.normal(size=(300, 20)) * np.geomspace(2, 1, 20)
    values += np.where(labels, 0.45, -0.45)[:, None] * np.linspace(0, 1, 20)
    assert choose_components(compute_pca_features(values.astype(np.float32), np.arange(300)), labels, 0) >= 16


def test_labels_that_cannot_be_cross_validated_keep_all_components() -> None:
    values, labels = few_maps()
    components = compute_pca_features(values, np.arange(30))
    labels = labels[:30]
    components = components[:30]
    assert choose_components(components, np.zeros(30, np.int64), 0) == 29
    assert choose_components(components, np.where(np.arange(30) == 3, 2, labels), 0) == 29
    assert choose_components(components[:, :1], labels, 0) == 1
