"""Score the features of one row with the requested probes.

Random features (of the untrained network) are computed anew for every seed. For other features the
seeds affect the folds only. Probes without randomness use the features of the first seed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from downstream.features.standardise import standardise_features
from downstream.probes.classifiers.adam_layer import BATCH, EPOCHS, RATE, WEIGHT_DECAYS, fit_layer
from downstream.probes.classifiers.knn import NEIGHBOURS, predict_by_neighbours
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

# Description of each probe, for the JSON file of the table and for the keys of cached scores.
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
    """Split of the labelled maps.

    Attributes
    ----------
    train, test : ndarray, shapes (N,) and (T,), int64
        Rows of the map file in the training split and in the test split.
    labels : ndarray, shape (N,), int64
        Labels of the training split.
    sealed : SealedLabels
        Labels of the test split.
    classes : int
        Number of classes in a confusion matrix.
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
    mean : float
        Mean test accuracy over the seeds.
    std : float
        Sample standard deviation over the seeds; NaN for a single seed.
    accuracies : tuple of float
        Test accuracy for each seed.
    strengths : tuple of float
        Chosen regularisation for each seed.
    cross_validation : tuple of float
        Cross-validated training accuracy of this regularisation for each seed.
    """

    mean: float
    std: float
    accuracies: tuple[float, ...]
    strengths: tuple[float, ...]
    cross_validation: tuple[float, ...]


@dataclass(frozen=True)
class FewShotScores:
    """Test scores with a few labels for each class.

    Attributes
    ----------
    labels : int
        Number of labels for each class.
    mean : float
        Mean test accuracy over the draws of labels.
    std : float
        Sample standard deviation over the draws.
    accuracies : tuple of float
        Test accuracy for each draw.
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
        Accuracy on the test split.
    learning_rate : float
        Learning rate, chosen inside the training split.
    epochs : int
        Number of epochs, chosen inside the training split.
    held_out : float
        Accuracy of this choice on the held-out part of the training split.
    """

    accuracy: float
    learning_rate: float
    epochs: int
    held_out: float


@dataclass(frozen=True)
class ProbeRow:
    """One row of the table. Scores that were not requested are NaN, empty or None.

    Attributes
    ----------
    features : str
        Name of the features.
    dimensions : int
        Number of features.
    mean : float
        Mean test accuracy of the linear probe over the seeds.
    std : float
        Sample standard deviation over the seeds; NaN for a single seed.
    standard_error : float
        Binomial standard error for T test samples, sqrt(p (1 - p) / T).
    neighbours : float
        Test accuracy of the 10-nearest-neighbour probe (first seed).
    accuracies : tuple of float
        Test accuracy of the linear probe for each seed.
    strengths : tuple of float
        Chosen C of the linear probe for each seed.
    cross_validation : tuple of float
        Cross-validated training accuracy of this C for each seed.
    confusion : tuple of tuple of int
        Confusion matrix of the linear probe (first seed): number of test samples by true class
        (row) and predicted class (column).
    per_class : tuple of float
        Share of each class's test samples that the linear probe classifies correctly; NaN for a
        class without test samples.
    svm : FittedScores or None
        Scores of the linear support vector machine.
    layer : FittedScores or None
        Scores of the single layer trained by Adam.
    few_shot : tuple of FewShotScores
        Scores of the few-shot probe for each number of labels.
    retrieval : float
        Mean average precision of class retrieval.
    retrieval_chance : float
        Mean average precision of random features.
    fine_tune : FineTunedScores or None
        Score of the fine-tuned network; None also for features without a network.
    cached : bool
        Whether all scores come from the cache.
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
    """Check the names of probes and return each once, in the order of the table.

    Raises
    ------
    UserError
        If there is no name, or a name is unknown.
    """
    for name in probes:
        if name not in PROBES:
            raise unknown_name("probe", name, PROBES)
    if not probes:
        raise UserError("no probe requested", "--probes without a name", f"choose one of: {', '.join(PROBES)}")
    return tuple(name for name in PROBES if name in probes)


def score_row(
    row: FeatureRow, split: Split, seeds: tuple[int, ...], probes: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Compute the features of a row and score them with the probes.

    Parameters
    ----------
    row : FeatureRow
        Features to score.
    split : Split
        Training split and test split.
    seeds : tuple of int
        Seeds of the fitted probes.
    probes : sequence of str
        Names of the probes, from ``PROBES``.

    Returns
    -------
    dict of str to dict
        Scores by the names of the probes, representable in JSON; for ``make_row``.

    Raises
    ------
    UserError
        If there are too few training labels, or a feature is not finite.
    """
    scores: dict[str, dict[str, Any]] = {}
    fitted = [probe for probe in probes if probe in FITS]
    for number, seed in enumerate(seeds if fitted else seeds[:1]):
        is_first = number == 0
        if is_first or row.is_random:
            features = row.make(seed)
            check_finite(features)
            if row.choose_count:
                features = features[:, : row.choose_count(features[split.train], split.labels, seed)]
            train, test = features[split.train], features[split.test]
        if is_first:
            for probe in probes:
                scores[probe] = {"dimensions": features.shape[1]}
                if probe == "fine-tune":
                    scores[probe] |= _score_fine_tuning(row, split, seed)
                elif probe not in FITS:
                    scores[probe] |= _score_once(probe, train, test, split)
        for probe in fitted:
            fit = FITS[probe](train, split.labels, seed)
            predicted = fit.predict(test)
            lists = scores[probe]
            lists.setdefault("accuracies", []).append(split.sealed.compute_accuracy(predicted))
            lists.setdefault("strengths", []).append(fit.strength)
            lists.setdefault("cross_validation", []).append(fit.cross_validation)
            if probe == "linear" and is_first:
                lists["confusion"] = split.sealed.compute_confusion(predicted, split.classes).tolist()
    return scores


def _score_once(probe: str, train: NDArray[np.float32], test: NDArray[np.float32], split: Split) -> dict[str, Any]:
    """Compute the scores of a probe that has no seed."""
    if probe == "neighbours":
        return {"accuracy": split.sealed.compute_accuracy(predict_by_neighbours(train, split.labels, test))}
    if probe == "retrieval":
        score = split.sealed.score_retrieval(standardise_features(train, test)[1])
        return {"mean_average_precision": score.mean_average_precision, "chance": score.chance}
    accuracies: dict[str, list[float]] = {}  # By the number of labels; keys of JSON are text.
    for prediction in predict_from_few_labels(train, split.labels, test):
        accuracy = split.sealed.compute_accuracy(prediction.predicted)
        accuracies.setdefault(str(prediction.labels), []).append(accuracy)
    return {"accuracies": accuracies}


def _score_fine_tuning(row: FeatureRow, split: Split, seed: int) -> dict[str, Any]:
    """Compute the score of the fine-tuned network; nothing for features without a network."""
    if row.tune is None:
        return {}
    tuned = row.tune(split.train, split.labels, seed)
    return {
        "accuracy": split.sealed.compute_accuracy(tuned.predict(split.test)),
        "learning_rate": tuned.learning_rate,
        "epochs": tuned.epochs,
        "held_out": tuned.held_out,
    }


def make_row(name: str, scores: Mapping[str, Mapping[str, Any]], tested: int, *, cached: bool) -> ProbeRow:
    """Make a row of the table from the scores of ``score_row``.

    Parameters
    ----------
    name : str
        Name of the features.
    scores : mapping of str to mapping
        Scores by the names of the probes, computed now or earlier.
    tested : int
        Number of test samples.
    cached : bool
        Whether all scores come from the cache.
    """
    linear = _summarise_fits(scores.get("linear")) or FittedScores(float("nan"), float("nan"), (), (), ())
    confusion = np.array(scores.get("linear", {}).get("confusion", np.zeros((0, 0))), np.int64)
    retrieval = scores.get("retrieval", {})
    tuned = {key: value for key, value in scores.get("fine-tune", {}).items() if key != "dimensions"}
    return ProbeRow(
        features=name,
        dimensions=int(next(iter(scores.values()))["dimensions"]),
        mean=linear.mean,
        std=linear.std,
        standard_error=float(np.sqrt(linear.mean * (1 - linear.mean) / tested)),
        neighbours=scores.get("neighbours", {}).get("accuracy", float("nan")),
        accuracies=linear.accuracies,
        strengths=linear.strengths,
        cross_validation=linear.cross_validation,
        confusion=tuple(tuple(row) for row in confusion.tolist()),
        per_class=tuple(compute_class_accuracies(confusion).tolist()),
        svm=_summarise_fits(scores.get("svm")),
        layer=_summarise_fits(scores.get("layer")),
        few_shot=tuple(
            FewShotScores(int(count), *_mean_and_deviation(values), tuple(values))
            for count, values in scores.get("few-shot", {}).get("accuracies", {}).items()
        ),
        retrieval=retrieval.get("mean_average_precision", float("nan")),
        retrieval_chance=retrieval.get("chance", float("nan")),
        fine_tune=FineTunedScores(**tuned) if "accuracy" in tuned else None,
        cached=cached,
    )


def _summarise_fits(scores: Mapping[str, Any] | None) -> FittedScores | None:
    """Compute mean and deviation of the scores of a fitted probe; None if it was not requested."""
    if scores is None:
        return None
    accuracies = scores["accuracies"]
    return FittedScores(
        *_mean_and_deviation(accuracies),
        accuracies=tuple(accuracies),
        strengths=tuple(scores["strengths"]),
        cross_validation=tuple(scores["cross_validation"]),
    )


def _mean_and_deviation(values: Sequence[float]) -> tuple[float, float]:
    """Compute mean and sample standard deviation, which is NaN for a single value."""
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")
