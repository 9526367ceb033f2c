"""The support vector machine, the single layer and the few-shot probe."""

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from downstream.probes import few_shot
from downstream.probes.classifiers.adam_layer import WEIGHT_DECAYS, fit_layer
from downstream.probes.classifiers.logistic import fit_logistic
from downstream.probes.classifiers.svm import SVM_STRENGTHS, fit_svm
from downstream.probes.few_shot import draw_labels, predict_from_few_labels
from spectral_ssl.ground.errors import UserError


def iris() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    features, labels = load_iris(return_X_y=True)
    return features.astype(np.float32), labels.astype(np.int64)


def test_svm_is_scikit_learns_at_the_chosen_strength() -> None:
    features, labels = iris()
    probe = fit_svm(features[::2], labels[::2], seed=0)
    scaler = StandardScaler().fit(features[::2])
    model = LinearSVC(C=probe.strength, random_state=0).fit(scaler.transform(features[::2]), labels[::2])
    assert (probe.predict(features) == model.predict(scaler.transform(features))).all()
    assert (probe.predict(features[1::2]) == labels[1::2]).mean() > 0.85
    assert probe.strength in SVM_STRENGTHS


@pytest.mark.parametrize("fit", [fit_svm, fit_layer])
def test_two_classes_and_labels_with_gaps(fit: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("downstream.probes.classifiers.adam_layer.FEWEST_STEPS", 100)
    generator = np.random.default_rng(0)
    labels = np.where(np.arange(60) % 2 == 0, 2, 7)
    features = (generator.normal(size=(60, 5)) + labels[:, None]).astype(np.float32)
    probe = fit(features, labels, seed=0)
    assert set(probe.predict(features)) == {2, 7}
    assert (probe.predict(features) == labels).mean() > 0.95


@pytest.mark.parametrize("fit", [fit_svm, fit_layer])
def test_regularisation_is_chosen_for_the_data_at_hand(fit: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("downstream.probes.classifiers.adam_layer.FEWEST_STEPS", 300)
    generator = np.random.default_rng(0)
    labels = np.arange(120) % 2
    noisy = generator.normal(size=(120, 400)).astype(np.float32)
    noisy[:, 0] += labels * 1.5  # one useful direction among 400: weights must be kept small
    shared = generator.normal(size=(120, 1))
    # the classes differ in the small difference of two large numbers: weights must be large
    collinear = np.hstack([shared, shared + 0.05 * (2 * labels[:, None] - 1)]).astype(np.float32)
    chosen = [fit(features, labels, 0) for features in (noisy, collinear)]
    offered = SVM_STRENGTHS if fit is fit_svm else WEIGHT_DECAYS  # both from strong to weak
    assert offered.index(chosen[0].strength) < offered.index(chosen[1].strength)


def test_single_layer_finds_what_logistic_regression_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("downstream.probes.classifiers.adam_layer.FEWEST_STEPS", 200)
    monkeypatch.setattr("downstream.probes.classifiers.adam_layer.WEIGHT_DECAYS", (0.1, 0.01))
    generator = np.random.default_rng(0)
    labels = np.arange(600) % 4
    features = (generator.normal(size=(4, 20))[labels] + 1.5 * generator.normal(size=(600, 20))).astype(np.float32)
    layer, logistic = (fit(features[:400], labels[:400], 0) for fit in (fit_layer, fit_logistic))
    agreement = (layer.predict(features[400:]) == logistic.predict(features[400:])).mean()
    assert agreement > 0.9
    assert layer.cross_validation == pytest.approx(logistic.cross_validation, abs=0.04)
    again = fit_layer(features[:400], labels[:400], 0)
    assert (again.predict(features) == layer.predict(features)).all()


@pytest.mark.parametrize("fit", [fit_svm, fit_layer])
def test_unusable_training_splits_are_refused(fit: object) -> None:
    with pytest.raises(UserError, match="finite"):
        fit(np.full((10, 2), np.nan, np.float32), np.arange(10) % 2, 0)
    with pytest.raises(UserError, match="classes"):
        fit(np.ones((10, 2), np.float32), np.zeros(10, np.int64), 0)


def test_draws_hold_as_many_of_each_class_and_fewer_lie_within_more() -> None:
    labels = np.random.default_rng(0).permutation(np.repeat([0, 3, 5], [30, 40, 25]))
    drawn = {(count, draw): draw_labels(labels, count, draw) for count in (1, 5, 20) for draw in (0, 1)}
    for (count, _), rows in drawn.items():
        assert len(set(rows.tolist())) == 3 * count
        assert np.unique(labels[rows], return_counts=True)[1].tolist() == [count] * 3
    assert set(drawn[1, 0]) < set(drawn[5, 0]) < set(drawn[20, 0])
    assert set(drawn[20, 0]) != set(drawn[20, 1])


def test_few_shot_learns_from_the_labels_drawn_and_from_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(few_shot, "DRAWS", 3)
    features, labels = iris()
    train, test = features[::2], features[1::2]
    answers = list(predict_from_few_labels(train, labels[::2], test))
    assert [(answer.labels, answer.draw) for answer in answers] == [(n, d) for n in (1, 5, 10, 20) for d in range(3)]
    mean, std = train.mean(axis=0), train.std(axis=0)
    unit = [(part - mean) / std for part in (train, test)]
    unit = [part / np.linalg.norm(part, axis=1, keepdims=True) for part in unit]
    for answer in answers:
        rows = answer.chosen
        model = LogisticRegression(C=1.0, max_iter=300).fit(unit[0][rows], labels[::2][rows])
        assert (model.predict(unit[1]) == answer.predicted).mean() > 0.98  # the same up to the solver's rounding
        assert answer.predicted.shape == (75,)
    by_count = {n: np.mean([(a.predicted == labels[1::2]).mean() for a in answers if a.labels == n]) for n in (1, 20)}
    assert by_count[20] > by_count[1]


def test_more_labels_than_the_smallest_class_has_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(few_shot, "DRAWS", 1)
    labels = np.repeat([0, 1], [30, 6])
    features = np.random.default_rng(0).normal(size=(36, 4)).astype(np.float32)
    assert [answer.labels for answer in predict_from_few_labels(features, labels, features)] == [1, 5]
