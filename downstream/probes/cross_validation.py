"""Choose the regularisation of a probe by stratified cross-validation inside the training split.

Protocol: standardise on the training split, choose the regularisation by stratified
cross-validation inside the training split, fit once on all of it, and score the test split once. No
function of this module has an argument for test data.

With a large training split the folds are a stratified part of it. The search then ends after two
weaker regularisations in a row were worse than the best. A full search would take about ten times
as long, and the choice would hardly differ.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spectral_ssl.ground.errors import UserError

FOLDS = 5
MOST_CROSS_VALIDATED = 10_000  # Training samples with which the regularisation is chosen.
WORSE_IN_A_ROW = 2  # With more samples than that, the search ends after so many worse strengths.

Predictor = Callable[[NDArray[np.float32]], NDArray[np.int64]]
# Function of features (N, D), labels (N,) and strengths, from strong to weak regularisation. It
# yields a predictor for each strength.
RegularisationPath = Callable[
    [NDArray[np.float32], NDArray[np.int64], tuple[float, ...]],
    Iterator[Predictor],
]


@dataclass(frozen=True)
class FittedProbe:
    """A fitted probe.

    Attributes
    ----------
    predict : callable
        Function of features (N, D) that returns labels (N,).
    strength : float
        Chosen regularisation.
    cross_validation : float
        Mean accuracy of this regularisation over the folds.
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
        Function that fits a predictor for each strength.
    strengths : tuple of float
        Strengths to try, from strong to weak regularisation. Among equally good strengths the
        strongest regularisation is chosen.
    features : ndarray, shape (N, D), float32
        Features of the training split.
    labels : ndarray, shape (N,), int64
        Labels of the training split.
    seed : int
        Seed of the folds.

    Returns
    -------
    FittedProbe
        Probe with the chosen strength.

    Raises
    ------
    UserError
        If there are fewer than two classes, a class has fewer than two samples, or a feature is not
        finite.
    """
    from sklearn.model_selection import StratifiedKFold

    smallest = check_training_split(features, labels)
    drawn = draw_stratified(labels, MOST_CROSS_VALIDATED, seed)
    is_large = len(drawn) < len(labels)
    splitter = StratifiedKFold(min(FOLDS, smallest), shuffle=True, random_state=seed)
    folds = [(drawn[train], drawn[held_out]) for train, held_out in splitter.split(drawn, labels[drawn])]
    paths = [path(features[train], labels[train], strengths) for train, _ in folds]
    accuracies: list[float] = []
    for predictors in zip(*paths, strict=True):  # The fits of all folds with one strength.
        shares = [
            (predict(features[held_out]) == labels[held_out]).mean()
            for predict, (_, held_out) in zip(predictors, folds, strict=True)
        ]
        accuracies.append(float(np.mean(shares)))
        if accuracies[-1] == 1:  # No weaker regularisation can be chosen.
            break
        if is_large and len(accuracies) - 1 - int(np.argmax(accuracies)) >= WORSE_IN_A_ROW:
            break
    best = int(np.argmax(accuracies))
    # Each fit starts from the result of the one before. With many samples only the best strength is
    # fitted on all of them.
    *_, final = path(features, labels, strengths[best if is_large else 0 : best + 1])
    return FittedProbe(final, strengths[best], accuracies[best])


def draw_stratified(labels: NDArray[np.int64], most: int, seed: int) -> NDArray[np.int64]:
    """Draw at most ``most`` samples at random with the shares of the classes, and return their rows in order.

    All rows are returned if there are no more samples, or if a class would have fewer samples than
    there are folds.
    """
    from sklearn.model_selection import train_test_split

    everything = np.arange(len(labels))
    counts = np.bincount(labels)
    if len(labels) <= most or (counts[counts > 0] * most // len(labels)).min() < FOLDS:
        return everything
    drawn, _ = train_test_split(everything, train_size=most, random_state=seed, stratify=labels)
    return np.sort(drawn)


def check_training_split(features: NDArray[np.float32], labels: NDArray[np.int64]) -> int:
    """Check the training split as ``choose_and_fit`` requires, and return the size of the smallest class."""
    counts = np.bincount(labels)
    counts = counts[counts > 0]
    if len(counts) < 2:
        raise UserError("too few classes to probe", f"{len(counts)} in the training split", "give a target with labels")
    if counts.min() < 2:
        raise UserError(
            "too few labels to cross-validate", "a class with one training sample", "give at least 2 for each class"
        )
    check_finite(features)
    return int(counts.min())


def check_finite(features: NDArray[np.float32]) -> None:
    """Raise a UserError if a feature is NaN or infinite."""
    if not np.isfinite(features).all():
        raise UserError("features that are not finite", "NaN or infinity", "train again with a lower learning rate")


def make_linear_predictor(
    scaler: Any, coefficients: NDArray[Any], offsets: NDArray[Any], classes: NDArray[np.int64]
) -> Predictor:
    """Make the predictor of a linear model of standardised features, as scikit-learn stores it.

    Parameters
    ----------
    scaler : StandardScaler
        Scaler fitted on the training features.
    coefficients : ndarray, shape (classes, D), or (1, D) for two classes
        Weights of the model.
    offsets : ndarray, shape (classes,), or (1,) for two classes
        Intercepts of the model.
    classes : ndarray, shape (classes,), int64
        Label of each class.
    """

    def predict(features: NDArray[np.float32]) -> NDArray[np.int64]:
        scores = scaler.transform(features) @ coefficients.T + offsets
        best = (scores[:, 0] > 0).astype(int) if len(coefficients) == 1 else scores.argmax(axis=1)
        predicted: NDArray[np.int64] = classes[best]
        return predicted

    return predict
