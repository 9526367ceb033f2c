"""The probe: its protocol, its baselines, and that test labels decide nothing."""

import inspect
from pathlib import Path

import numpy as np
import pytest
from conftest import write_random_maps
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

import spectral_ssl
from data_prep.basis import pixel_basis, zernike_basis
from data_prep.maps.reader import MapFile
from downstream.probes.classifiers.knn import neighbour_accuracy
from downstream.probes.classifiers.logistic import STRENGTHS, accuracy, fit_logistic, fit_regularisation_path
from downstream.probes.cross_validation import choose_and_fit, draw_stratified
from downstream.probes.table import split_labelled_rows, probe_run
from spectral_ssl.ground.errors import UserError

TINY = ("steps=2", "width=4", "code=8", "hidden=8")


def test_probe_is_scikit_learns_logistic_regression_at_the_chosen_strength() -> None:
    features, labels = load_iris(return_X_y=True)
    features = features.astype(np.float32)
    probe = fit_logistic(features[::2], labels[::2].astype(np.int64), seed=0)
    scaler = StandardScaler().fit(features[::2])
    model = LogisticRegression(C=probe.strength, max_iter=5000, tol=1e-8).fit(
        scaler.transform(features[::2]), labels[::2]
    )
    assert (probe.predict(features) == model.predict(scaler.transform(features))).all()
    assert accuracy(probe, features[1::2], labels[1::2]) > 0.9
    assert probe.strength in STRENGTHS


def test_probe_handles_two_classes_and_labels_with_gaps() -> None:
    generator = np.random.default_rng(0)
    labels = np.where(np.arange(60) % 2 == 0, 2, 7)
    features = (generator.normal(size=(60, 5)) + labels[:, None]).astype(np.float32)
    probe = fit_logistic(features, labels, seed=0)
    assert set(probe.predict(features)) == {2, 7}
    assert accuracy(probe, features, labels) > 0.95


def test_regularisation_is_chosen_for_the_data_at_hand() -> None:
    generator = np.random.default_rng(0)
    labels = np.arange(120) % 2
    noisy = generator.normal(size=(120, 400)).astype(np.float32)
    noisy[:, 0] += labels * 1.5  # one useful direction among 400: weights must be kept small
    shared = generator.normal(size=(120, 1))
    # the classes differ in the small difference of two large numbers: weights must be large
    collinear = np.hstack([shared, shared + 0.02 * (2 * labels[:, None] - 1)]).astype(np.float32)
    assert fit_logistic(noisy, labels, 0).strength <= 0.01
    assert fit_logistic(collinear, labels, 0).strength >= 10


def test_the_fit_cannot_see_test_data() -> None:
    assert set(inspect.signature(fit_logistic).parameters) == {"features", "labels", "seed"}


@pytest.mark.parametrize("field", ["features", "labels"])
def test_unusable_training_splits_are_refused(field: str) -> None:
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
    assert neighbour_accuracy(train, labels[:60], test, labels[60:], 7) == pytest.approx(right / 30)


def test_table_has_the_free_baselines_and_statistics_of_its_seeds(random_maps: MapFile, tmp_path: Path) -> None:
    run = spectral_ssl.pretrain(random_maps, epochs=1, settings=TINY, out=tmp_path / "run")
    table = probe_run(run, random_maps, seeds=(0, 1))
    assert [row.features for row in table.rows] == [
        "raw coefficients",
        "PCA",
        "rotation invariants",
        "ring norms",
        "untrained network",
        "trained network",
    ]
    for row in table.rows:
        assert len(row.accuracies) == 2
        assert row.mean == pytest.approx(np.mean(row.accuracies))
        assert row.std == pytest.approx(np.std(row.accuracies, ddof=1))
        assert row.standard_error == pytest.approx((row.mean * (1 - row.mean) / 24) ** 0.5)
        assert np.trace(row.confusion) == round(24 * row.accuracies[0])
        assert np.sum(row.confusion, axis=1).tolist() == [8, 8, 8]
        assert np.mean(row.per_class) == pytest.approx(row.accuracies[0])
    raw = table.rows[0]
    assert raw.dimensions == 9 * 10 * 11 // 6  # all coefficients of order 8
    assert raw.mean > 0.9  # the classes of these maps are far apart in raw coefficients
    assert (table.train, table.test, table.classes) == (48, 24, 3)


def test_images_have_pixels_for_a_baseline_and_no_invariants(tmp_path: Path) -> None:
    maps = write_random_maps(tmp_path / "images.h5", pixel_basis(1, 8, 8))
    run = spectral_ssl.pretrain(maps, epochs=1, settings=TINY, out=tmp_path / "run")
    names = [row.features for row in probe_run(run, maps, seeds=(0,)).rows]
    assert names == ["raw pixels", "PCA", "k-means patches", "untrained network", "trained network"]


def test_another_basis_is_refused(random_maps: MapFile, tmp_path: Path) -> None:
    run = spectral_ssl.pretrain(random_maps, epochs=1, settings=TINY, out=tmp_path / "run")
    other = write_random_maps(tmp_path / "other.h5", zernike_basis(6))
    with pytest.raises(UserError, match="another basis"):
        probe_run(run, other)
    with pytest.raises(UserError, match="another basis"):
        spectral_ssl.export(run, data=other)


def test_a_file_without_a_test_split_has_a_quarter_held_out(tmp_path: Path) -> None:
    maps = write_random_maps(tmp_path / "one.h5", zernike_basis(4), train=60, test=0)
    train, test, split = split_labelled_rows(maps)
    assert (len(train), len(test)) == (45, 15)
    assert not set(train) & set(test)
    assert np.bincount(maps.labels[test]).tolist() == [5, 5, 5]
    assert "held out" in split


def test_no_labels_is_a_clear_error(tmp_path: Path) -> None:
    maps = write_random_maps(tmp_path / "none.h5", zernike_basis(4), labelled=False)
    with pytest.raises(UserError, match="no labels"):
        split_labelled_rows(maps)


def test_of_many_samples_the_folds_are_a_part_drawn_by_class(monkeypatch: pytest.MonkeyPatch) -> None:
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
    assert accuracy(probe, features, labels) > 0.7
