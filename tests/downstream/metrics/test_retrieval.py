"""Retrieval against scikit-learn's average precision, with ties, in pieces, and without any flattery."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from downstream.metrics import retrieval
from downstream.metrics.prediction_scores import score_spectral_maps
from downstream.metrics.retrieval import score_class_retrieval, score_reconstruction_retrieval
from spectral_ssl.ground.errors import UserError


def similarity(queries: NDArray[np.float64], items: NDArray[np.float64], metric: str) -> NDArray[np.float64]:
    """Larger is nearer, in float64."""
    if metric == "l2":
        return -np.square(queries[:, None] - items[None]).sum(axis=2)
    unit = [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in (queries, items)]
    return unit[0] @ unit[1].T


@pytest.fixture(params=[2_000_000, 100])
def _pieces(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrieval, "CELLS_AT_ONCE", request.param)


@pytest.mark.usefixtures("_pieces")
@pytest.mark.parametrize("metric", ["l2", "cosine"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_reconstructions_find_their_objects_as_scikit_learn_counts(metric: str, dtype: type) -> None:
    generator = np.random.default_rng(0)
    clean = generator.normal(1, 1, (60, 2, 3, 3)).astype(dtype)
    predictions = (clean + generator.normal(0, 1.5, clean.shape)).astype(dtype)
    scores = similarity(predictions.reshape(60, -1).astype(float), clean.reshape(60, -1).astype(float), metric)
    wanted = [average_precision_score(np.arange(60) == row, scores[row]) for row in range(60)]
    result = score_reconstruction_retrieval(predictions, clean, metric)
    np.testing.assert_allclose(1 / result.ranks, wanted)
    assert result.mean_average_precision == pytest.approx(np.mean(wanted))
    assert result.recall_at_1 == pytest.approx(np.mean(scores.argmax(axis=1) == np.arange(60)))
    assert 0.1 < result.recall_at_1 < 0.9  # neither end would tell the metrics apart


@pytest.mark.usefixtures("_pieces")
@pytest.mark.parametrize("metric", ["l2", "cosine"])
def test_features_find_their_class_as_scikit_learn_counts(metric: str) -> None:
    generator = np.random.default_rng(0)
    labels = np.r_[np.arange(55) % 4, 9, -1, -1]  # one class of one object, two without a label
    # small whole numbers: many objects at exactly one distance
    features = generator.integers(0, 3, (58, 5)).astype(np.float32) + np.eye(10)[labels, :5].astype(np.float32)
    scores = similarity(*[features.astype(float)] * 2, metric).round(9)
    wanted = np.full(58, np.nan)
    for row in range(55):
        others = (np.arange(58) != row) & (labels >= 0)
        wanted[row] = average_precision_score(labels[others] == labels[row], scores[row, others])
    result = score_class_retrieval(features, labels, metric)
    assert len(np.unique(scores[0])) < 58
    np.testing.assert_allclose(result.average_precisions, wanted, rtol=1e-12)
    assert result.mean_average_precision == pytest.approx(np.nanmean(wanted), rel=1e-12)
    same = [(labels[labels >= 0] == label).sum() - 1 for label in labels[:55]]
    assert result.chance == pytest.approx(np.mean(same) / 55)


def test_perfect_and_useless_features() -> None:
    labels = np.arange(40) % 4
    assert score_class_retrieval(np.eye(4)[labels], labels).mean_average_precision == 1
    useless = score_class_retrieval(np.ones((40, 3)), labels)
    # all others are found at once: precision is the share of the class among them
    assert useless.mean_average_precision == pytest.approx(9 / 39)
    assert useless.chance == pytest.approx(9 / 39)
    noise = np.random.default_rng(0).normal(size=(400, 8))
    assert score_class_retrieval(noise, np.arange(400) % 4).mean_average_precision == pytest.approx(99 / 399, rel=0.1)


@pytest.mark.parametrize("metric", ["l2", "cosine"])
def test_the_same_object_twice_is_a_tie_wherever_it_stands(metric: str) -> None:
    generator = np.random.default_rng(0)
    clean = generator.normal(3, 1, (200, 1771))
    clean[150] = clean[3]
    result = score_reconstruction_retrieval(clean + generator.normal(0, 0.1, clean.shape), clean, metric)
    assert result.ranks[[3, 150]].tolist() == [2, 2]
    assert np.delete(result.ranks, [3, 150]).max() == 1
    assert result.recall_at_1 == pytest.approx(198 / 200)


def test_one_prediction_for_all_retrieves_almost_nothing() -> None:
    clean = np.random.default_rng(0).normal(size=(50, 12))
    one = np.broadcast_to(clean.mean(axis=0), clean.shape)
    ranks = score_reconstruction_retrieval(one, clean).ranks
    assert sorted(ranks) == list(range(1, 51))
    assert score_reconstruction_retrieval(one, one).ranks.tolist() == [50] * 50


def test_order_of_the_objects_decides_nothing() -> None:
    generator = np.random.default_rng(0)
    features, labels = generator.integers(0, 3, (80, 4)).astype(float), generator.integers(0, 3, 80)
    order = generator.permutation(80)
    one, other = (
        score_class_retrieval(features, labels, "l2"),
        score_class_retrieval(features[order], labels[order], "l2"),
    )
    np.testing.assert_allclose(other.average_precisions, one.average_precisions[order], rtol=1e-12)


def test_unusable_input_is_refused() -> None:
    rows = np.random.default_rng(0).normal(size=(6, 3))
    for broken in (rows[:5], rows[:, :2], rows[0], np.full((6, 3), np.nan)):
        with pytest.raises(UserError):
            score_reconstruction_retrieval(broken, rows)
    with pytest.raises(UserError, match="metric"):
        score_reconstruction_retrieval(rows, rows, "cosines")
    for labels in (np.zeros(5, int), np.arange(6), np.full(6, -1)):
        with pytest.raises(UserError):
            score_class_retrieval(rows, labels)


def test_the_best_of_several_predictions_finds_its_object() -> None:
    generator = torch.Generator().manual_seed(0)
    target = torch.randn(5, 1, 3, 3, generator=generator)
    valid = torch.ones(1, 3, 3, dtype=torch.bool)
    valid[0, 0, 0] = False
    # the first prediction is that of the next object, the second is right where it counts
    right = torch.where(valid, target, 99.0)
    predictions = torch.stack([target.roll(1, 0), right], dim=1)
    scores = score_spectral_maps(target, predictions, valid, generator)
    assert scores["recall at 1"] == 0
    assert scores["mAP of the best"] == 1
    alone = score_spectral_maps(target, predictions[:, :1], valid, generator)
    assert set(alone) == {"reconstruction mAP", "recall at 1"}
