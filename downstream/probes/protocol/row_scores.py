"""The scores of one row of the table, with their intervals, as they are stored in JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from downstream.probes.intervals import Interval, compute_accuracy_interval
from downstream.probes.protocol.verdict import read_outcomes
from downstream.probes.sealed_labels import compute_class_accuracies

NAN = float("nan")
NOT_STORED = ("outcomes", "layer_scores")  # Fields of a row that are not in the JSON.


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
        Chosen regularisation for each fit: each seed, and in cross-validation each fold.
    cross_validation : tuple of float
        Cross-validated training accuracy of this regularisation for each fit.
    interval : tuple of float
        95 % interval of the mean for the number of scored samples.
    """

    mean: float
    std: float
    accuracies: tuple[float, ...]
    strengths: tuple[float, ...]
    cross_validation: tuple[float, ...]
    interval: Interval


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
    interval : tuple of float
        95 % interval of the mean for the number of scored samples.
    """

    labels: int
    mean: float
    std: float
    accuracies: tuple[float, ...]
    interval: Interval


@dataclass(frozen=True)
class FineTunedScores:
    """Test score of a network that was trained with labels.

    Attributes
    ----------
    accuracy : float
        Accuracy on the test split.
    learning_rate : float
        Learning rate, chosen inside the training split; in cross-validation the median over folds.
    epochs : int
        Number of epochs, chosen inside the training split; likewise.
    held_out : float
        Accuracy of this choice on the held-out part of the training split; likewise.
    interval : tuple of float
        95 % interval of the accuracy for the number of scored samples.
    """

    accuracy: float
    learning_rate: float
    epochs: int
    held_out: float
    interval: Interval


@dataclass(frozen=True)
class ProbeRow:
    """One row of the table. Scores that were not requested are NaN, empty or None.

    Attributes
    ----------
    features : str
        Name of the features.
    dimensions : int
        Number of features; the median over folds if it is chosen in each.
    mean : float
        Mean test accuracy of the linear probe over the seeds.
    std : float
        Sample standard deviation over the seeds; NaN for a single seed.
    interval : tuple of float
        95 % interval of the mean for the number of scored samples (Wilson); NaN without the linear
        probe.
    neighbours : float
        Test accuracy of the 10-nearest-neighbour probe: of the first seed, in cross-validation the
        mean over the repeats.
    neighbours_interval : tuple of float
        95 % interval of this accuracy; NaN likewise.
    accuracies : tuple of float
        Test accuracy of the linear probe for each seed.
    strengths : tuple of float
        Chosen C of the linear probe for each fit: each seed, and in cross-validation each fold.
    cross_validation : tuple of float
        Cross-validated training accuracy of this C for each fit.
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
    outcomes : dict of str to tuple of str
        For each probe, texts of "1" and "0": which scored samples are correct, for each seed. They
        are not in the JSON.
    layer_scores : tuple of dict
        Scores of the layers in each fold if one is chosen there; not in the JSON.
    """

    features: str
    dimensions: int
    mean: float
    std: float
    interval: Interval
    neighbours: float
    neighbours_interval: Interval
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
    outcomes: dict[str, tuple[str, ...]] = field(repr=False)
    layer_scores: tuple[dict[str, float], ...] = field(repr=False)


def make_row(name: str, scores: Mapping[str, Mapping[str, Any]], samples: int, *, cached: bool) -> ProbeRow:
    """Make a row of the table from the scores of ``score_row``.

    Parameters
    ----------
    name : str
        Name of the features.
    scores : mapping of str to mapping
        Scores by the names of the probes, computed now or earlier.
    samples : int
        Number of scored samples.
    cached : bool
        Whether all scores come from the cache.
    """
    linear = _summarise_fits(scores.get("linear")) or FittedScores(NAN, NAN, (), (), (), (NAN, NAN))
    neighbours, neighbours_interval = _summarise_outcomes(scores.get("neighbours", {}).get("outcomes", ()))
    confusion = np.array(scores.get("linear", {}).get("confusion", np.zeros((0, 0))), np.int64)
    retrieval = scores.get("retrieval", {})
    return ProbeRow(
        features=name,
        dimensions=int(np.median(next(iter(scores.values()))["dimensions"])),
        mean=linear.mean,
        std=linear.std,
        interval=linear.interval,
        neighbours=neighbours,
        neighbours_interval=neighbours_interval,
        accuracies=linear.accuracies,
        strengths=linear.strengths,
        cross_validation=linear.cross_validation,
        confusion=tuple(tuple(row) for row in confusion.tolist()),
        per_class=tuple(compute_class_accuracies(confusion).tolist()),
        svm=_summarise_fits(scores.get("svm")),
        layer=_summarise_fits(scores.get("layer")),
        few_shot=tuple(
            _summarise_draws(int(count), values, samples)
            for count, values in scores.get("few-shot", {}).get("accuracies", {}).items()
        ),
        retrieval=retrieval.get("mean_average_precision", NAN),
        retrieval_chance=retrieval.get("chance", NAN),
        fine_tune=_summarise_fine_tuning(scores.get("fine-tune", {})),
        cached=cached,
        outcomes={probe: tuple(each["outcomes"]) for probe, each in scores.items() if "outcomes" in each},
        layer_scores=tuple(next(iter(scores.values())).get("layers", ())),
    )


def _summarise_fits(scores: Mapping[str, Any] | None) -> FittedScores | None:
    """Compute mean, deviation and interval of the scores of a fitted probe; None if it was not requested."""
    if scores is None:
        return None
    outcomes = read_outcomes(scores["outcomes"])
    accuracies = tuple(outcomes.mean(axis=1).tolist())
    return FittedScores(
        *_compute_mean_and_deviation(accuracies),
        accuracies=accuracies,
        strengths=tuple(scores["strengths"]),
        cross_validation=tuple(scores["cross_validation"]),
        interval=compute_accuracy_interval(float(outcomes.mean()), outcomes.shape[1]),
    )


def _summarise_outcomes(outcomes: Sequence[str]) -> tuple[float, Interval]:
    """Compute the accuracy of outcomes and its interval; NaN if there are none."""
    if not outcomes:
        return NAN, (NAN, NAN)
    is_correct = read_outcomes(outcomes)
    accuracy = float(is_correct.mean())
    return accuracy, compute_accuracy_interval(accuracy, is_correct.shape[1])


def _summarise_draws(labels: int, accuracies: Sequence[float], samples: int) -> FewShotScores:
    """Compute mean, deviation and interval of the accuracies of draws."""
    mean, std = _compute_mean_and_deviation(accuracies)
    return FewShotScores(labels, mean, std, tuple(accuracies), compute_accuracy_interval(mean, samples))


def _summarise_fine_tuning(scores: Mapping[str, Any]) -> FineTunedScores | None:
    """Compute the scores of fine-tuning; None if there are none."""
    if "outcomes" not in scores:
        return None
    accuracy, interval = _summarise_outcomes(scores["outcomes"])
    rate, epochs, held_out = (float(np.median(scores[name])) for name in ("learning_rate", "epochs", "held_out"))
    return FineTunedScores(accuracy, rate, int(epochs), held_out, interval)


def _compute_mean_and_deviation(values: Sequence[float]) -> tuple[float, float]:
    """Compute mean and sample standard deviation, which is NaN for a single value."""
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else NAN
