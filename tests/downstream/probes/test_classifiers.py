"""The classifiers of the probes against scikit-learn, and the choice of their regularisation."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from downstream.probes.classifiers import logistic
from downstream.probes.classifiers.adam_layer import WEIGHT_DECAYS, fit_layer
from downstream.probes.classifiers.knn import predict_by_neighbours
from downstream.probes.classifiers.logistic import STRENGTHS, fit_logistic
from downstream.probes.classifiers.svm import SVM_STRENGTHS, fit_svm
from downstream.probes.cross_validation import FittedProbe, Predictor, choose_and_fit
from spectral_ssl.ground.errors import UserError


def iris() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    features, labels = load_iris(return_X_y=True)
    return features.astype(np.float32), labels.astype(np.int64)


def compute_accuracy(probe: FittedProbe, features: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    return float((probe.predict(features) == labels).mean())


def test_logistic_is_that_of_scikit_learn_at_the_chosen_strength() -> None:
    features, labels = load_iris(return_X_y=True)
    features = features.astype(np.float32)
    probe = fit_logistic(features[::2], labels[::2].astype(np.int64), seed=0)
    scaler = StandardScaler().fit(features[::2])
    model = LogisticRegression(C=probe.strength, max_iter=5000, tol=1e-8).fit(
        scaler.transform(features[::2]), labels[::2]
    )
    assert (probe.predict(features) == model.predict(scaler.transform(features))).all()
    assert compute_accuracy(probe, features[1::2], labels[1::2]) > 0.9
    assert probe.strength in STRENGTHS


def test_logistic_handles_two_classes_and_labels_with_gaps() -> None:
    generator = np.random.default_rng(0)
    labels = np.where(np.arange(60) % 2 == 0, 2, 7)
    features = (generator.normal(size=(60, 5)) + labels[:, None]).astype(np.float32)
    probe = fit_logistic(features, labels, seed=0)
    assert set(probe.predict(features)) == {2, 7}
    assert compute_accuracy(probe, features, labels) > 0.95


def test_logistic_regularisation_fits_the_data() -> None:
    generator = np.random.default_rng(0)
    labels = np.arange(120) % 2
    noisy = generator.normal(size=(120, 400)).astype(np.float32)
    noisy[:, 0] += labels * 1.5  # one useful direction among 400: weights must be kept small
    shared = generator.normal(size=(120, 1))
    # the classes differ in the small difference of two large numbers: weights must be large
    collinear = np.hstack([shared, shared + 0.02 * (2 * labels[:, None] - 1)]).astype(np.float32)
    assert fit_logistic(noisy, labels, 0).strength <= 0.01
    assert fit_logistic(collinear, labels, 0).strength >= 10


@pytest.mark.parametrize("field", ["features", "labels"])
def test_logistic_refuses_unusable_training_splits(field: str) -> None:
    features, labels = np.ones((10, 2), np.float32), np.arange(10) % 2
    if field == "features":
        features[0, 0] = np.nan
    else:
        labels = np.zeros(10, np.int64)
    with pytest.raises(UserError):
        fit_logistic(features, labels, 0)


def test_neighbour_probe_agrees_with_a_brute_force_vote() -> None:
    generator = np.random.default_rng(0)
    labels = np.arange(90) % 3
    centres = generator.normal(size=(3, 6))
    features = (centres[labels] + generator.normal(size=(90, 6))).astype(np.float32)
    train, test = features[:60], features[60:]
    mean, std = train.mean(axis=0), train.std(axis=0)
    unit = [(part - mean) / std / np.linalg.norm((part - mean) / std, axis=1, keepdims=True) for part in (train, test)]
    similarity = unit[1] @ unit[0].T
    right = 0
    for row, label in zip(similarity, labels[60:], strict=True):
        nearest = np.argsort(-row)[:7]
        votes = [((labels[nearest] == c).sum(), row[nearest][labels[nearest] == c].sum()) for c in range(3)]
        right += max(range(3), key=lambda c: votes[c]) == label
    assert (predict_by_neighbours(train, labels[:60], test, 7) == labels[60:]).mean() == pytest.approx(right / 30)


def test_svm_is_that_of_scikit_learn_at_the_chosen_strength() -> None:
    features, labels = iris()
    probe = fit_svm(features[::2], labels[::2], seed=0)
    scaler = StandardScaler().fit(features[::2])
    model = LinearSVC(C=probe.strength, random_state=0).fit(scaler.transform(features[::2]), labels[::2])
    assert (probe.predict(features) == model.predict(scaler.transform(features))).all()
    assert (probe.predict(features[1::2]) == labels[1::2]).mean() > 0.85
    assert probe.strength in SVM_STRENGTHS


@pytest.mark.parametrize("samples", [6, 60, 129, 150])
def test_few_samples_take_no_more_steps_of_the_single_layer(samples: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("downstream.probes.classifiers.adam_layer.FEWEST_STEPS", 40)
    monkeypatch.setattr("downstream.probes.classifiers.adam_layer.EPOCHS", 2)
    monkeypatch.setattr("downstream.probes.classifiers.adam_layer.WEIGHT_DECAYS", (0.1,))
    taken = []
    step = torch.optim.Adam.step

    def count_and_step(optimizer: torch.optim.Adam) -> object:
        taken.append(1)
        return step(optimizer)

    monkeypatch.setattr(torch.optim.Adam, "step", count_and_step)
    features, labels = iris()
    chosen = np.arange(samples) * (len(labels) - 1) // (samples - 1)
    fit_layer(features[chosen], labels[chosen], 0)
    folds = min(5, samples // 3)
    assert len(taken) == 40 * (folds + 1)  # each fold, and all samples


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
    offered = SVM_STRENGTHS if fit is fit_svm else WEIGHT_DECAYS[::2] + WEIGHT_DECAYS[-1:]  # both from strong to weak
    monkeypatch.setattr("downstream.probes.classifiers.adam_layer.WEIGHT_DECAYS", offered)
    monkeypatch.setattr("downstream.probes.cross_validation.FOLDS", 3)
    chosen = [fit(features, labels, 0) for features in (noisy, collinear)]
    assert offered.index(chosen[0].strength) < offered.index(chosen[1].strength)


def test_single_layer_agrees_with_logistic_regression(monkeypatch: pytest.MonkeyPatch) -> None:
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


@pytest.mark.parametrize(("samples", "dimensions", "classes"), [(58, 286, 2), (60, 20, 2), (58, 286, 3), (200, 30, 5)])
def test_fits_of_few_samples_are_those_of_scikit_learn(samples: int, dimensions: int, classes: int) -> None:
    generator = np.random.default_rng(0)
    labels = 3 * (np.arange(samples) % classes) + 1  # with gaps
    values = 0.3 * generator.normal(size=(3 * classes, dimensions))[labels] + generator.normal(
        size=(samples, dimensions)
    )
    standard = StandardScaler().fit_transform(values).astype(np.float32)
    strengths = (1e-3, 1e-1, 1.0)
    few, many = (list(fit(standard, labels, strengths)) for fit in (logistic._fit_few, logistic._fit_many))
    for strength, (weights, offsets, known), other in zip(strengths, few, many, strict=True):
        model = LogisticRegression(C=strength, tol=1e-10, max_iter=10_000).fit(standard.astype(float), labels)
        assert known.tolist() == model.classes_.tolist()
        assert (weights.shape, offsets.shape) == (model.coef_.shape, model.intercept_.shape)
        scale = np.abs(model.coef_).max()
        np.testing.assert_allclose(weights, model.coef_, atol=0.03 * scale)
        np.testing.assert_allclose(offsets, model.intercept_, atol=0.03 * max(scale, 1))
        assert np.abs(weights - model.coef_).max() < 2 * max(np.abs(other[0] - model.coef_).max(), 1e-3 * scale)


def test_the_search_ends_where_nothing_can_be_better() -> None:
    generator = np.random.default_rng(0)
    labels = np.arange(40) % 2
    values = (10 * labels[:, None] + generator.normal(size=(40, 3))).astype(np.float32)
    fitted = []

    def path(features: np.ndarray, classes: np.ndarray, strengths: tuple[float, ...]) -> Iterator[Predictor]:
        for strength, predict in zip(
            strengths, logistic.fit_regularisation_path(features, classes, strengths), strict=True
        ):
            fitted.append(strength)
            yield predict

    probe = choose_and_fit(path, (1e-2, 1.0, 100.0), values, labels, 0)
    assert (probe.strength, probe.cross_validation) == (1e-2, 1.0)
    assert set(fitted) == {1e-2}
    assert (probe.predict(values) == labels).all()
