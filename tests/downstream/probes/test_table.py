"""The table of the probe: its rows, its statistics, and the split of the labelled maps."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import write_random_maps

import spectral_ssl
from data_prep.basis import pixel_basis, zernike_basis
from data_prep.maps.reader import MapFile
from downstream.features.pca import compute_pca_features
from downstream.probes.compared_features import list_feature_rows
from downstream.probes.intervals import compute_accuracy_interval
from downstream.probes.protocol.splits import plan_evaluation
from downstream.probes.rows import score_row
from downstream.probes.sealed_labels import SealedLabels
from downstream.probes.table import probe_run
from spectral_ssl.ground.errors import UserError

TINY = ("steps=2", "width=4", "code=8", "hidden=8")
pytestmark = pytest.mark.usefixtures("quick_probes")


def test_table_has_the_training_free_baselines_and_statistics_of_its_seeds(
    random_maps: MapFile, tmp_path: Path
) -> None:
    run = spectral_ssl.pretrain(random_maps, epochs=1, settings=TINY, out=tmp_path / "run")
    table = probe_run(run, random_maps, seeds=2, split="own")
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
        assert row.interval == pytest.approx(compute_accuracy_interval(row.mean, 24))
        assert row.interval[0] < row.mean <= row.interval[1]
        assert row.neighbours_interval == pytest.approx(compute_accuracy_interval(row.neighbours, 24))
        assert np.trace(row.confusion) == round(24 * row.accuracies[0])
        assert np.sum(row.confusion, axis=1).tolist() == [8, 8, 8]
        assert np.mean(row.per_class) == pytest.approx(row.accuracies[0])
    raw = table.rows[0]
    assert raw.dimensions == 9 * 10 * 11 // 6  # all coefficients of order 8
    assert raw.mean > 0.9  # the classes of these maps are far apart in raw coefficients
    assert (table.train, table.test, table.classes) == (48, 24, 3)


def test_images_have_pixels_for_a_baseline_and_no_invariants(tmp_path: Path) -> None:
    maps = write_random_maps(tmp_path / "images.h5", pixel_basis(1, 8, 8))
    run = spectral_ssl.pretrain(maps, method="cgml", epochs=1, settings=TINY, out=tmp_path / "run")
    names = [row.features for row in probe_run(run, maps, seeds=1).rows]
    assert names == ["raw pixels", "PCA", "k-means patches", "untrained network", "trained network"]


def test_another_basis_is_refused(random_maps: MapFile, tmp_path: Path) -> None:
    run = spectral_ssl.pretrain(random_maps, epochs=1, settings=TINY, out=tmp_path / "run")
    other = write_random_maps(tmp_path / "other.h5", zernike_basis(6))
    with pytest.raises(UserError, match="another basis"):
        probe_run(run, other)
    with pytest.raises(UserError, match="another basis"):
        spectral_ssl.export(run, data=other)


def test_small_sets_are_cross_validated_with_all_samples(random_maps: MapFile, tmp_path: Path) -> None:
    run = spectral_ssl.pretrain(random_maps, epochs=1, settings=TINY, out=tmp_path / "run")
    table = probe_run(run, random_maps, probes=("linear", "svm", "neighbours", "few-shot", "retrieval"))
    assert (table.folds, table.seeds, table.test, table.train) == (2, (0, 1), 72, 36)
    assert "2-fold cross-validation" in table.split
    assert "pretraining saw 48 of these 72 maps, without labels" in table.split
    for row in table.rows:
        assert len(row.accuracies) == 2  # repeats
        assert len(row.strengths) == len(row.cross_validation) == 4  # folds of all repeats
        assert np.sum(row.confusion, axis=1).tolist() == [24, 24, 24]
        assert np.trace(row.confusion) == round(72 * row.accuracies[0])
        assert [len(outcomes) for outcomes in row.outcomes["neighbours"]] == [72, 72]
        assert row.interval == pytest.approx(compute_accuracy_interval(row.mean, 72))
        assert [each.labels for each in row.few_shot] == [1, 5, 10]  # a training fold has 12 of each class
        assert 0 < row.retrieval <= 1
    assert [verdict.probe for verdict in table.verdicts] == ["linear", "svm", "neighbours"]
    names = [row.features for row in table.rows[:5]]
    for verdict in table.verdicts:
        assert verdict.baseline in names
        assert verdict.samples == 72
    assert table.as_dict()["verdict"] == f"linear probe: {table.verdicts[0].sentence}"
    assert not {"outcomes", "layer_scores"} & set(table.as_dict()["rows"][0])


def test_no_fold_sees_its_own_labels(random_maps: MapFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Labels of a held-out fold that change, in its envelope only, change no prediction of it."""
    run = spectral_ssl.pretrain(random_maps, epochs=1, settings=TINY, out=tmp_path / "run")
    predicted: list[list[np.ndarray]] = []
    original = SealedLabels.mark_correct

    def spy(self: SealedLabels, predictions: np.ndarray) -> np.ndarray:
        predicted[-1].append(predictions)
        return original(self, predictions)

    monkeypatch.setattr(SealedLabels, "mark_correct", spy)
    evaluation = plan_evaluation(random_maps, "cross-validation", 1)
    wrong = [
        replace(split, sealed=SealedLabels((random_maps.labels[split.test] + 1) % 3)) for split in evaluation.rounds[0]
    ]
    rows = list_feature_rows(run, random_maps, evaluation.learnt_on)
    for each in (evaluation, replace(evaluation, rounds=(tuple(wrong),))):
        predicted.append([])
        scores = [score_row(row, each, ("linear", "neighbours", "few-shot"))["linear"]["outcomes"] for row in rows]
        assert all(len(outcomes[0]) == 72 for outcomes in scores)
    assert len(predicted[0]) == len(predicted[1]) == len(rows) * 2 * (1 + 1 + 3 * 2)
    assert all(np.array_equal(one, two) for one, two in zip(*predicted, strict=True))


def test_components_and_their_number_are_fitted_in_each_fold(
    random_maps: MapFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = spectral_ssl.pretrain(random_maps, epochs=0, settings=TINY, out=tmp_path / "run")
    evaluation = plan_evaluation(random_maps, "cross-validation", 1)
    pca = next(row for row in list_feature_rows(run, random_maps, evaluation.learnt_on) if row.name == "PCA")
    fitted, chosen = [], []

    def fit(values: np.ndarray, train: np.ndarray) -> np.ndarray:
        fitted.append(train.tolist())
        return compute_pca_features(values, train)

    def choose(features: np.ndarray, labels: np.ndarray, seed: int) -> int:
        chosen.append(len(labels))
        assert len(features) == len(labels)
        return 2

    score_row(replace(pca, fit=fit, choose_count=choose), evaluation, ("neighbours",))
    assert fitted == [split.train.tolist() for split in evaluation.rounds[0]]
    assert chosen == [36, 36]
