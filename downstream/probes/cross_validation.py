"""How a probe's regularisation is chosen: stratified cross-validation inside the training split.

Protocol (design, section 6): standardise on the training split; choose the regularisation by stratified
cross-validation inside the training split; fit once on all of it; score the test split once. Nothing here has an
argument that could carry test data.

Where the training split is large the folds are made of a part of it, drawn by class, and the offers end when two weaker
ones in a row did worse than the best: the choice would hardly differ, the time would be tenfold.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spectral_ssl.ground.errors import UserError

FOLDS = 5
MOST_CROSS_VALIDATED = 10_000  # training samples from which the regularisation is chosen
WORSE_IN_A_ROW = 2  # weaker offers after which no more are tried, where there are more samples than that

Predictor = Callable[[NDArray[np.float32]], NDArray[np.int64]]
# features (N, D), labels (N,), strengths from strong to weak regularisation -> a predictor for each
RegularisationPath = Callable[
    [NDArray[np.float32], NDArray[np.int64], tuple[float, ...]],
    Iterator[Predictor],
]


@dataclass(frozen=True)
class FittedProbe:
    """A probe ready to be scored.

    Attributes
    ----------
    predict : callable
        Features (N, D) to labels (N,).
    strength : float
        The regularisation chosen.
    cross_validation : float
        Mean accuracy of that regularisation over the folds.
    """

    predict: Predictor
    strength: float
    cross_validation: float


def choose_and_fit(
    path: RegularisationPath,
    strengths: tuple[float, ...],
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    seed: int,
) -> FittedProbe:
    """Choose a regularisation on the training split and fit on all of it.

    Parameters
    ----------
    path : callable
        Fits a predictor for each strength.
    strengths : tuple of float
        What is offered, from strong to weak regularisation; of equals the strongest regularisation is chosen.
    features : ndarray, shape (N, D), float32
        Of the training split.
    labels : ndarray, shape (N,), int64
        Of the training split.
    seed : int
        Draws the folds.

    Returns
    -------
    FittedProbe

    Raises
    ------
    UserError
        When there are fewer than two classes, a class has fewer than two samples, or features are not finite.
    """
    from sklearn.model_selection import StratifiedKFold

    smallest = check_training_split(features, labels)
    drawn = draw_stratified(labels, MOST_CROSS_VALIDATED, seed)
    splitter = StratifiedKFold(min(FOLDS, smallest), shuffle=True, random_state=seed)
    folds = [(drawn[train], drawn[held_out]) for train, held_out in splitter.split(drawn, labels[drawn])]
    paths = [path(features[train], labels[train], strengths) for train, _ in folds]
    hits: list[float] = []
    for predictors in zip(*paths, strict=True):  # each path's fits of one strength
        shares = [
            (predict(features[held_out]) == labels[held_out]).mean()
            for predict, (_, held_out) in zip(predictors, folds, strict=True)
        ]
        hits.append(float(np.mean(shares)))
        if len(drawn) < len(labels) and len(hits) - 1 - int(np.argmax(hits)) >= WORSE_IN_A_ROW:
            break
    best = int(np.argmax(hits))
    # fits start where the one before ended; where there are many samples the best one alone is fitted on all of them
    *_, final = path(features, labels, strengths[best if len(drawn) < len(labels) else 0 : best + 1])
    return FittedProbe(final, strengths[best], hits[best])


def draw_stratified(labels: NDArray[np.int64], most: int, seed: int) -> NDArray[np.int64]:
    """Places of all samples, or of ``most`` drawn at random with the classes' shares kept, in order.

    Classes too small for their share to be two samples can make that impossible; then all are given.
    """
    from sklearn.model_selection import train_test_split

    everything = np.arange(len(labels))
    counts = np.bincount(labels)
    if len(labels) <= most or (counts[counts > 0] * most // len(labels)).min() < FOLDS:
        return everything
    drawn, _ = train_test_split(everything, train_size=most, random_state=seed, stratify=labels)
    return np.sort(drawn)


def check_training_split(features: NDArray[np.float32], labels: NDArray[np.int64]) -> int:
    """Size of the smallest class, after the checks of ``choose_and_fit``."""
    counts = np.bincount(labels)
    counts = counts[counts > 0]
    if len(counts) < 2:
        raise UserError("too few classes to probe", f"{len(counts)} in the training split", "give a target with labels")
    if counts.min() < 2:
        raise UserError(
            "too few labels to cross-validate", "a class with one training sample", "give at least 2 a class"
        )
    check_finite(features)
    return int(counts.min())


def check_finite(features: NDArray[np.float32]) -> None:
    """Raise a UserError when a feature is NaN or infinite."""
    if not np.isfinite(features).all():
        raise UserError("features that are not finite", "NaN or infinity", "train again with a lower learning rate")


def make_linear_predictor(
    scaler: Any, coefficients: NDArray[Any], offsets: NDArray[Any], classes: NDArray[np.int64]
) -> Predictor:
    """The predictor of a linear model of standardised features, as scikit-learn stores it.

    Parameters
    ----------
    scaler : StandardScaler
        Fitted on the training features.
    coefficients : ndarray, shape (classes, D), or (1, D) for two classes
    offsets : ndarray, shape (classes,), or (1,) for two classes
    classes : ndarray, shape (classes,), int64
    """

    def predict(features: NDArray[np.float32]) -> NDArray[np.int64]:
        scores = scaler.transform(features) @ coefficients.T + offsets
        best = (scores[:, 0] > 0).astype(int) if len(coefficients) == 1 else scores.argmax(axis=1)
        found: NDArray[np.int64] = classes[best]
        return found

    return predict
