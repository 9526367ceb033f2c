"""The few-shot probe: how good features are when there are a few labels only.

Of each class a few labels of the training split are drawn, several times. Standardisation uses all training features,
for it needs no labels; each sample is then scaled to unit length, and logistic regression has C = 1: with so few labels
nothing could be chosen by cross-validation. Unit length and C = 1 are the rule of Y. Tian et al., *Rethinking Few-Shot
Image Classification: a Good Embedding Is All You Need?*, ECCV 2020.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from downstream.probes.classifiers.knn import standardised
from downstream.probes.cross_validation import check_training_split

LABELS_A_CLASS = (1, 5, 10, 20)
DRAWS = 10
FEW_SHOT_STRENGTH = 1.0
MOST_ITERATIONS = 300


@dataclass(frozen=True, eq=False)
class FewShotPrediction:
    """What was answered after one draw.

    Attributes
    ----------
    labels : int
        Labels drawn of each class.
    draw : int
        Number of the draw.
    chosen : ndarray, shape (classes * labels,), int64
        The training samples whose labels were used.
    predicted : ndarray, shape (T,), int64
        Class of each test sample.
    """

    labels: int
    draw: int
    chosen: NDArray[np.int64]
    predicted: NDArray[np.int64]


def predict_from_few_labels(
    train: NDArray[np.float32], train_labels: NDArray[np.int64], test: NDArray[np.float32]
) -> Iterator[FewShotPrediction]:
    """Learn from few labels and answer for the test split.

    Parameters
    ----------
    train, test : ndarray, shape (N, D) and (T, D), float32
        Features.
    train_labels : ndarray, shape (N,), int64
        Not negative.

    Yields
    ------
    FewShotPrediction
        For each number of labels that every class has, ``DRAWS`` draws. The draws are functions of the labels and the
        draw's number alone, so all features see the same ones; fewer labels are a part of the more of the same draw.

    Raises
    ------
    UserError
        When there are fewer than two classes, a class has fewer than two samples, or features are not finite.
    """
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    smallest = check_training_split(train, train_labels)
    known, asked = (_unit_length(features) for features in standardised(train, test))
    for count in (count for count in LABELS_A_CLASS if count <= smallest):
        for draw in range(DRAWS):
            chosen = draw_labels(train_labels, count, draw)
            model = LogisticRegression(C=FEW_SHOT_STRENGTH, max_iter=MOST_ITERATIONS)
            with threadpool_limits(1):  # as in the linear probe: the fits are small
                model.fit(known[chosen], train_labels[chosen])
            yield FewShotPrediction(count, draw, chosen, model.predict(asked))


def draw_labels(labels: NDArray[np.int64], count: int, draw: int) -> NDArray[np.int64]:
    """Rows (classes * count,) of ``count`` samples of each class, drawn without replacement."""
    order = np.random.default_rng(draw).permutation(len(labels))
    return np.concatenate([order[labels[order] == each][:count] for each in np.unique(labels)])


def _unit_length(values: NDArray[np.float32]) -> NDArray[np.float32]:
    length = np.linalg.norm(values, axis=1, keepdims=True)
    scaled: NDArray[np.float32] = (values / np.where(length > 0, length, 1)).astype(np.float32)
    return scaled
