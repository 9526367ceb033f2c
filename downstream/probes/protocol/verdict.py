"""Compare the trained network with the best training-free baseline, and say in one sentence what is shown.

The best baseline is the one with the highest test score. This choice favours the baselines, so a
verdict "better" is conservative. A verdict "worse" is not, because the best of several equally good
baselines looks better than it is. It therefore needs an interval with Bonferroni's correction for
the number of baselines.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from downstream.probes.intervals import CONFIDENCE, Interval, compute_difference_interval

Outcome = Literal["better", "not shown", "worse"]
# Probes whose scores are shares of correct predictions, in the order in which they are headlines.
COMPARED = {"linear": "linear probe", "svm": "linear SVM", "layer": "single layer", "neighbours": "10 neighbours"}


@dataclass(frozen=True)
class Verdict:
    """What a probe shows about the trained network.

    Attributes
    ----------
    probe : str
        Name of the probe.
    baseline : str
        Name of the training-free baseline with the highest score.
    baselines : int
        Number of baselines from which it was chosen.
    outcome : {"better", "not shown", "worse"}
        "better": the interval of the difference is above 0. "worse": it is below 0, also with
        Bonferroni's correction for the number of baselines.
    samples : int
        Number of scored samples.
    accuracy, baseline_accuracy : float
        Shares of correct predictions, means over the seeds.
    difference : float
        Accuracy of the trained network minus that of the baseline.
    interval : tuple of float
        95 % interval of the difference.
    only_trained, only_baseline : float
        Numbers of samples that only the trained network and only the baseline classifies correctly,
        means over the seeds.
    sentence : str
        Verdict as a sentence without subject, for example "better than the best training-free
        baseline (PCA) by 8.1 points (6.0 to 10.2)".
    """

    probe: str
    baseline: str
    baselines: int
    outcome: Outcome
    samples: int
    accuracy: float
    baseline_accuracy: float
    difference: float
    interval: Interval
    only_trained: float
    only_baseline: float
    sentence: str


def compare_with_baselines(
    probe: str, trained: Sequence[str], baselines: Mapping[str, Sequence[str]], *, is_cross_validated: bool = False
) -> Verdict:
    """Compare the trained network with the best baseline on the same samples.

    Parameters
    ----------
    probe : str
        Name of the probe.
    trained : sequence of str
        Outcomes of the trained network for each seed: a text with "1" for each correct prediction
        and "0" for each wrong one.
    baselines : mapping of str to sequence of str
        Outcomes of each baseline, with the same samples and seeds.
    is_cross_validated : bool
        Whether the outcomes come from cross-validation.

    Returns
    -------
    Verdict
        Comparison with the baseline of the highest mean. Of equally good baselines it is the one
        with the lowest lower limit of the difference, so that "better" holds for each of them.

    Examples
    --------
    >>> from downstream.probes.protocol.verdict import compare_with_baselines
    >>> verdict = compare_with_baselines("linear", ["11111111"], {"PCA": ["11111111"], "raw": ["01111111"]})
    >>> verdict.sentence
    'no difference shown with 8 test samples: +0.0 points (-40.2 to +40.2) to the best training-free baseline (PCA)'
    """
    first = read_outcomes(trained)
    samples = first.shape[1]
    means = {each: read_outcomes(baselines[each]).mean() for each in baselines}
    counts = {
        each: _count_discordant(first, read_outcomes(baselines[each]))
        for each, mean in means.items()
        if mean == max(means.values())
    }
    intervals = {each: compute_difference_interval(*counts[each], samples) for each in counts}
    name = min(intervals, key=lambda each: intervals[each][0])  # the first one of equals
    (only_first, only_second), interval = counts[name], intervals[name]
    corrected = compute_difference_interval(only_first, only_second, samples, 1 - (1 - CONFIDENCE) / len(baselines))
    outcome: Outcome = "better" if interval[0] > 0 else "worse" if corrected[1] < 0 else "not shown"
    difference = float(first.mean() - means[name])
    sentence = _write_sentence(outcome, name, difference, interval, samples, is_cross_validated)
    if outcome == "not shown" and interval[1] < 0:
        sentence += f", which the best of {len(baselines)} equal baselines can reach by chance"
    return Verdict(
        probe=probe,
        baseline=name,
        baselines=len(baselines),
        outcome=outcome,
        samples=samples,
        accuracy=float(first.mean()),
        baseline_accuracy=float(means[name]),
        difference=difference,
        interval=interval,
        only_trained=only_first,
        only_baseline=only_second,
        sentence=sentence,
    )


def read_outcomes(outcomes: Sequence[str]) -> NDArray[np.bool_]:
    """Read outcomes, texts of "0" and "1", as an array (seeds, samples), bool."""
    return np.array([np.frombuffer(each.encode(), np.uint8) == ord("1") for each in outcomes])


def write_outcomes(is_correct: NDArray[np.bool_]) -> str:
    """Write outcomes (samples,), bool, as a text of "0" and "1"."""
    return (is_correct.astype(np.uint8) + ord("0")).tobytes().decode()


def _count_discordant(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> tuple[float, float]:
    """Count the samples that only the first and only the second of two classifiers has right: means over the seeds."""
    return float((first & ~second).sum(axis=1).mean()), float((second & ~first).sum(axis=1).mean())


def _write_sentence(
    outcome: Outcome, baseline: str, difference: float, interval: Interval, samples: int, is_cross_validated: bool
) -> str:
    """Write the verdict as a sentence without subject; differences are in points (percent of the samples)."""
    low, high = (100 * limit for limit in interval)
    best = f"the best training-free baseline ({baseline})"
    if outcome == "better":
        return f"better than {best} by {100 * difference:.1f} points ({low:.1f} to {high:.1f})"
    if outcome == "worse":
        return f"worse than {best} by {-100 * difference:.1f} points ({-high:.1f} to {-low:.1f})"
    kind = "cross-validated" if is_cross_validated else "test"
    counted = f"{samples} {kind} sample{'s' * (samples != 1)}"
    # Adding 0 turns -0.0 into 0.0.
    limits = f"{low:+.1f} to {high:+.1f}"
    return f"no difference shown with {counted}: {round(100 * difference, 1) + 0:+.1f} points ({limits}) to {best}"
