"""The scores of one kind of features by the probes that were asked for.

Features that are random (the untrained network's) are drawn anew for every seed; for the others the seeds draw the
folds only. Probes that have nothing to draw use the features of the first seed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from downstream.probes.classifiers.adam_layer import BATCH, EPOCHS, RATE, WEIGHT_DECAYS, fit_layer
from downstream.probes.classifiers.knn import NEIGHBOURS, predict_by_neighbours, standardised
from downstream.probes.classifiers.logistic import STRENGTHS, fit_logistic
from downstream.probes.classifiers.svm import SVM_STRENGTHS, fit_svm
from downstream.probes.compared_features import FeatureRow
from downstream.probes.cross_validation import FOLDS, MOST_CROSS_VALIDATED, WORSE_IN_A_ROW, FittedProbe, check_finite
from downstream.probes.few_shot import DRAWS, FEW_SHOT_STRENGTH, LABELS_A_CLASS, predict_from_few_labels
from downstream.probes.fine_tune import BATCH as TUNING_BATCH
from downstream.probes.fine_tune import EPOCHS as TUNING_EPOCHS
from downstream.probes.fine_tune import HELD_OUT as TUNING_HELD_OUT
from downstream.probes.fine_tune import RATE_OF_LAYER, RATES
from downstream.probes.sealed_labels import SealedLabels, compute_class_accuracies
from spectral_ssl.ground.errors import UserError, unknown_name

# What each probe does, in words: for the table's JSON, and a part of the key of cached scores.
PROTOCOLS = {
    "linear": (
        f"linear: logistic regression, C of {STRENGTHS} by stratified {FOLDS}-fold cross-validation inside train (of "
        f"more than {MOST_CROSS_VALIDATED} training samples: on so many, drawn by class with the seed, until "
        f"{WORSE_IN_A_ROW} weaker C in a row were worse than the best)"
    ),
    "svm": f"svm: LinearSVC (squared hinge, one against the rest), C of {SVM_STRENGTHS} chosen likewise",
    "layer": (
        f"layer: one fully connected layer, Adam, {EPOCHS} epochs, batches of {BATCH}, rate {RATE}, weight decay of "
        f"{WEIGHT_DECAYS} chosen likewise"
    ),
    "neighbours": f"neighbours: cosine, k = {NEIGHBOURS}, faiss",
    "few-shot": (
        f"few-shot: {LABELS_A_CLASS} labels a class drawn from train, {DRAWS} draws; unit length, logistic regression, "
        f"C = {FEW_SHOT_STRENGTH:g}"
    ),
    "retrieval": "retrieval: mean average precision of classes among the test samples, cosine",
    "fine-tune": (
        f"fine-tune: upper reference: network and linear layer trained with labels, Adam, batches of "
        f"{TUNING_BATCH}, rate of {RATES} (linear layer {RATE_OF_LAYER}) and epochs of {TUNING_EPOCHS} chosen on "
        f"{TUNING_HELD_OUT:.0%} of train, then all of train; first seed"
    ),
}
PROBES = tuple(PROTOCOLS)
DEFAULT_PROBES = ("linear", "neighbours")
FITS: dict[str, Callable[[NDArray[np.float32], NDArray[np.int64], int], FittedProbe]] = {
    "linear": fit_logistic,
    "svm": fit_svm,
    "layer": fit_layer,
}


@dataclass(frozen=True, eq=False)
class Split:
    """What is known of the labelled maps.

    Attributes
    ----------
    train, test : ndarray, shape (N,) and (T,), int64
        Rows of the map file.
    labels : ndarray, shape (N,), int64
        Of the training split.
    sealed : SealedLabels
        Of the test split.
    classes : int
        Classes of a confusion matrix.
    """

    train: NDArray[np.int64]
    test: NDArray[np.int64]
    labels: NDArray[np.int64]
    sealed: SealedLabels
    classes: int


@dataclass(frozen=True)
class FittedScores:
    """Test scores of a probe that is fitted for each seed.

    Attributes
    ----------
    mean, std : float
        Over the seeds; the sample deviation, NaN for a single seed.
    accuracies, strengths, cross_validation : tuple of float
        For each seed: test accuracy, regularisation chosen, its cross-validated training accuracy.
    """

    mean: float
    std: float
    accuracies: tuple[float, ...]
    strengths: tuple[float, ...]
    cross_validation: tuple[float, ...]


@dataclass(frozen=True)
class FewShotScores:
    """Test scores after a number of labels a class.

    Attributes
    ----------
    labels : int
        Of each class.
    mean, std : float
        Over the draws of labels; the sample deviation.
    accuracies : tuple of float
        Of each draw.
    """

    labels: int
    mean: float
    std: float
    accuracies: tuple[float, ...]


@dataclass(frozen=True)
class FineTunedScores:
    """Test score of a network that was trained with labels.

    Attributes
    ----------
    accuracy : float
        On the test split.
    learning_rate, epochs : float, int
        As chosen inside the training split.
    held_out : float
        Accuracy of that choice there.
    """

    accuracy: float
    learning_rate: float
    epochs: int
    held_out: float


@dataclass(frozen=True)
class ProbeRow:
    """One line of the table; what was not asked for is NaN, empty or None.

    Attributes
    ----------
    features : str
        What was probed.
    dimensions : int
        Of the features.
    mean, std : float
        Test accuracy of the linear probe over the seeds; the sample deviation, NaN for a single seed.
    standard_error : float
        Binomial, from the size of the test split: sqrt(p (1 - p) / T).
    neighbours : float
        Test accuracy of the 10-nearest-neighbour probe (first seed).
    accuracies, strengths, cross_validation : tuple
        Of the linear probe for each seed: test accuracy, C chosen, its cross-validated training accuracy.
    confusion : tuple of tuple of int
        Of the linear probe (first seed): test samples of each class (row) by the answer (column).
    per_class : tuple of float
        Share of each class's test samples that the linear probe has right; NaN for a class without any.
    svm, layer : FittedScores or None
        Of the linear support vector machine and of the single layer.
    few_shot : tuple of FewShotScores
    retrieval, retrieval_chance : float
        Mean average precision of class retrieval, and what features without any meaning would get.
    fine_tune : FineTunedScores or None
        Of the network behind the features; None where there is none too.
    cached : bool
        Whether all of it was computed earlier.
    """

    features: str
    dimensions: int
    mean: float
    std: float
    standard_error: float
    neighbours: float
    accuracies: tuple[float, ...]
    strengths: tuple[float, ...]
    cross_validation: tuple[float, ...]
    confusion: tuple[tuple[int, ...], ...]
    per_class: tuple[float, ...]
    svm: FittedScores | None
    layer: FittedScores | None
    few_shot: tuple[FewShotScores, ...]
    retrieval: float
    retrieval_chance: float
    fine_tune: FineTunedScores | None
    cached: bool


def check_probes(probes: Sequence[str]) -> tuple[str, ...]:
    """The probes asked for, each once, in the table's order.

    Raises
    ------
    UserError
        When there is none, or one is unknown.
    """
    for name in probes:
        if name not in PROBES:
            raise unknown_name("probe", name, PROBES)
    if not probes:
        raise UserError("no probe asked for", "--probes without a name", f"choose of: {', '.join(PROBES)}")
    return tuple(name for name in PROBES if name in probes)


def score_row(
    row: FeatureRow, split: Split, seeds: tuple[int, ...], probes: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Make the features and score them.

    Parameters
    ----------
    row : FeatureRow
        What makes the features.
    split : Split
    seeds : tuple of int
    probes : sequence of str
        Names out of ``PROBES``.

    Returns
    -------
    dict of str to dict
        By the probes' names, what JSON can say; for ``make_row``.

    Raises
    ------
    UserError
        When there are too few training labels, or features are not finite.
    """
    found: dict[str, dict[str, Any]] = {}
    fitted = [probe for probe in probes if probe in FITS]
    used = seeds if fitted else seeds[:1]
    for place, seed in enumerate(used):
        if place == 0 or row.random:
            features = row.make(seed)
            check_finite(features)
            train, test = features[split.train], features[split.test]
        if place == 0:
            for probe in probes:
                found[probe] = {"dimensions": features.shape[1]}
                if probe not in FITS:
                    found[probe] |= (
                        _tuned(row, split, seed) if probe == "fine-tune" else _score_once(probe, train, test, split)
                    )
        for probe in fitted:
            fit = FITS[probe](train, split.labels, seed)
            predicted = fit.predict(test)
            scores = found[probe]
            scores.setdefault("accuracies", []).append(split.sealed.accuracy(predicted))
            scores.setdefault("strengths", []).append(fit.strength)
            scores.setdefault("cross_validation", []).append(fit.cross_validation)
            if probe == "linear" and place == 0:
                scores["confusion"] = split.sealed.confusion(predicted, split.classes).tolist()
    return found


def _score_once(probe: str, train: NDArray[np.float32], test: NDArray[np.float32], split: Split) -> dict[str, Any]:
    if probe == "neighbours":
        return {"accuracy": split.sealed.accuracy(predict_by_neighbours(train, split.labels, test))}
    if probe == "retrieval":
        score = split.sealed.retrieval(standardised(train, test)[1])
        return {"mean_average_precision": score.mean_average_precision, "chance": score.chance}
    accuracies: dict[str, list[float]] = {}  # by the number of labels; JSON has text for keys
    for answer in predict_from_few_labels(train, split.labels, test):
        accuracies.setdefault(str(answer.labels), []).append(split.sealed.accuracy(answer.predicted))
    return {"accuracies": accuracies}


def _tuned(row: FeatureRow, split: Split, seed: int) -> dict[str, Any]:
    if row.tune is None:
        return {}
    tuned = row.tune(split.train, split.labels, seed)
    return {
        "accuracy": split.sealed.accuracy(tuned.predict(split.test)),
        "learning_rate": tuned.learning_rate,
        "epochs": tuned.epochs,
        "held_out": tuned.held_out,
    }


def make_row(name: str, found: Mapping[str, Mapping[str, Any]], tested: int, *, cached: bool) -> ProbeRow:
    """The line of the table from what ``score_row`` found, now or earlier, for ``tested`` test samples."""
    linear = _fitted_scores(found.get("linear")) or FittedScores(float("nan"), float("nan"), (), (), ())
    confusion = np.array(found.get("linear", {}).get("confusion", np.zeros((0, 0))), np.int64)
    retrieval = found.get("retrieval", {})
    tuned = {key: value for key, value in found.get("fine-tune", {}).items() if key != "dimensions"}
    return ProbeRow(
        features=name,
        dimensions=int(next(iter(found.values()))["dimensions"]),
        mean=linear.mean,
        std=linear.std,
        standard_error=float(np.sqrt(linear.mean * (1 - linear.mean) / tested)),
        neighbours=found.get("neighbours", {}).get("accuracy", float("nan")),
        accuracies=linear.accuracies,
        strengths=linear.strengths,
        cross_validation=linear.cross_validation,
        confusion=tuple(tuple(row) for row in confusion.tolist()),
        per_class=tuple(compute_class_accuracies(confusion).tolist()),
        svm=_fitted_scores(found.get("svm")),
        layer=_fitted_scores(found.get("layer")),
        few_shot=tuple(
            FewShotScores(int(count), *_mean_and_deviation(values), tuple(values))
            for count, values in found.get("few-shot", {}).get("accuracies", {}).items()
        ),
        retrieval=retrieval.get("mean_average_precision", float("nan")),
        retrieval_chance=retrieval.get("chance", float("nan")),
        fine_tune=FineTunedScores(**tuned) if "accuracy" in tuned else None,
        cached=cached,
    )


def _fitted_scores(found: Mapping[str, Any] | None) -> FittedScores | None:
    if found is None:
        return None
    accuracies = found["accuracies"]
    return FittedScores(
        *_mean_and_deviation(accuracies),
        accuracies=tuple(accuracies),
        strengths=tuple(found["strengths"]),
        cross_validation=tuple(found["cross_validation"]),
    )


def _mean_and_deviation(values: Sequence[float]) -> tuple[float, float]:
    """Mean and sample deviation, the latter NaN for a single value."""
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")
