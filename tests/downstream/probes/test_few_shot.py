"""The few-shot probe: its draws of labels and its predictions."""

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from downstream.probes import few_shot
from downstream.probes.few_shot import draw_labels, predict_from_few_labels


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
    features, labels = load_iris(return_X_y=True)
    features = features.astype(np.float32)
    train, test = features[::2], features[1::2]
    predictions = list(predict_from_few_labels(train, labels[::2], test))
    assert [(prediction.labels, prediction.draw) for prediction in predictions] == [
        (n, d) for n in (1, 5, 10, 20) for d in range(3)
    ]
    mean, std = train.mean(axis=0), train.std(axis=0)
    unit = [(part - mean) / std for part in (train, test)]
    unit = [part / np.linalg.norm(part, axis=1, keepdims=True) for part in unit]
    for prediction in predictions:
        rows = prediction.chosen
        model = LogisticRegression(C=1.0, max_iter=300).fit(unit[0][rows], labels[::2][rows])
        assert (model.predict(unit[1]) == prediction.predicted).mean() > 0.98  # the same up to the solver's rounding
        assert prediction.predicted.shape == (75,)
    by_count = {
        n: np.mean([(a.predicted == labels[1::2]).mean() for a in predictions if a.labels == n]) for n in (1, 20)
    }
    assert by_count[20] > by_count[1]


def test_more_labels_than_the_smallest_class_has_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(few_shot, "DRAWS", 1)
    labels = np.repeat([0, 1], [30, 6])
    features = np.random.default_rng(0).normal(size=(36, 4)).astype(np.float32)
    assert [prediction.labels for prediction in predict_from_few_labels(features, labels, features)] == [1, 5]
