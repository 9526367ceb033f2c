"""Cross-validation with a part of the samples."""

import numpy as np
import pytest

from downstream.probes.classifiers.logistic import STRENGTHS, fit_regularisation_path
from downstream.probes.cross_validation import choose_and_fit, draw_stratified


def test_folds_of_many_samples_are_a_stratified_part(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = np.repeat([0, 1, 2], [600, 300, 100])
    drawn = draw_stratified(labels, 100, 0)
    assert np.bincount(labels[drawn]).tolist() == [60, 30, 10]
    assert len(np.unique(drawn)) == 100
    assert not np.array_equal(drawn, draw_stratified(labels, 100, 1))
    assert np.array_equal(draw_stratified(labels, 1000, 0), np.arange(1000))
    assert np.array_equal(draw_stratified(np.repeat([0, 1], [990, 10]), 100, 0), np.arange(1000))  # too few of class 1
    generator = np.random.default_rng(0)
    features = (generator.normal(size=(1000, 30)) + labels[:, None]).astype(np.float32)
    sizes, offered = [], []

    def counted(values, classes, strengths):
        sizes.append(len(values))
        for strength in strengths:
            offered.append(strength)
            yield from fit_regularisation_path(values, classes, (strength,))

    monkeypatch.setattr("downstream.probes.cross_validation.MOST_CROSS_VALIDATED", 100)
    probe = choose_and_fit(counted, STRENGTHS, features, labels, 0)
    assert sizes == [80] * 5 + [1000]
    assert offered[-1] == probe.strength
    tried = sorted(set(offered))
    # two weaker ones beyond the best, no more
    assert STRENGTHS.index(tried[-1]) <= STRENGTHS.index(probe.strength) + 2
    assert (probe.predict(features) == labels).mean() > 0.7
