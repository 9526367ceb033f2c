"""Probe features with a few labels for each class.

A few labels of each class are drawn from the training split, several times. All training features
are used for standardisation, because it needs no labels. Each sample is then scaled to unit length
and classified by logistic regression with C = 1. There are too few labels to choose C by
cross-validation. Unit length and C = 1 are the protocol of Y. Tian et al., *Rethinking Few-Shot
Image Classification: a Good Embedding Is All You Need?*, ECCV 2020.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from downstream.features.standardise import scale_to_unit_length, standardise_features
from downstream.probes.cross_validation import check_training_split

LABELS_A_CLASS = (1, 5, 10, 20)
DRAWS = 10
FEW_SHOT_STRENGTH = 1.0
MOST_ITERATIONS = 300


@dataclass(frozen=True, eq=False)
class FewShotPrediction:
    """Predictions after one draw of labels.

    Attributes
    ----------
    labels : int
        Number of labels for each class.
    draw : int
        Number of the draw.
    chosen : ndarray, shape (classes * labels,), int64
        Training samples whose labels were used.
    predicted : ndarray, shape (T,), int64
        Predicted class of each test sample.
    """

    labels: int
    draw: int
    chosen: NDArray[np.int64]
    predicted: NDArray[np.int64]


def predict_from_few_labels(
    train: NDArray[np.float32], train_labels: NDArray[np.int64], test: NDArray[np.float32]
) -> Iterator[FewShotPrediction]:
    """Fit classifiers with few labels and predict the classes of the test split.

    Parameters
    ----------
    train, test : ndarray, shapes (N, D) and (T, D), float32
        Features of the training split and of the test split.
    train_labels : ndarray, shape (N,), int64
        Labels of the training split, not negative.

    Yields
    ------
    FewShotPrediction
        ``DRAWS`` draws for each number of labels that every class has. A draw depends only on the
        labels and its number, so it is the same for all features. A draw of fewer labels is a part
        of the same draw of more labels.

    Raises
    ------
    UserError
        If there are fewer than two classes, a class has fewer than two samples, or a feature is not
        finite.
    """
    smallest = check_training_split(train, train_labels)
    train_unit, test_unit = (scale_to_unit_length(features) for features in standardise_features(train, test))
    for count in (count for count in LABELS_A_CLASS if count <= smallest):
        for draw in range(DRAWS):
            chosen = draw_labels(train_labels, count, draw)
            predicted = predict_from_labels(train_unit[chosen], train_labels[chosen], test_unit)
            yield FewShotPrediction(count, draw, chosen, predicted)


def predict_from_labels(
    labelled: NDArray[np.float32], labels: NDArray[np.int64], others: NDArray[np.float32]
) -> NDArray[np.int64]:
    """Fit the classifier of the protocol to labelled samples, and predict the classes of others.

    Parameters
    ----------
    labelled, others : ndarray, shapes (N, D) and (T, D), float32
        Features of the labelled and of the other samples, standardised and scaled to unit length.
    labels : ndarray, shape (N,), int64
        Labels of at least two classes.

    Returns
    -------
    ndarray, shape (T,), int64
        Predicted class of each other sample.

    Examples
    --------
    >>> import numpy as np
    >>> from downstream.probes.few_shot import predict_from_labels
    >>> labelled = np.array([[1, 0], [0, 1]], np.float32)
    >>> predict_from_labels(labelled, np.array([3, 7]), np.array([[0.8, 0.6]], np.float32)).tolist()
    [3]
    """
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    model = LogisticRegression(C=FEW_SHOT_STRENGTH, max_iter=MOST_ITERATIONS)
    with threadpool_limits(1):  # The fits are small, as in the linear probe.
        model.fit(labelled, labels)
    predicted: NDArray[np.int64] = model.predict(others)
    return predicted


def draw_labels(labels: NDArray[np.int64], count: int, draw: int) -> NDArray[np.int64]:
    """Draw ``count`` samples of each class without replacement; return their rows (classes * count,)."""
    order = np.random.default_rng(draw).permutation(len(labels))
    return np.concatenate([order[labels[order] == each][:count] for each in np.unique(labels)])
