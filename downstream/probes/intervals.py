"""Compute intervals of an accuracy, and of the difference of two classifiers on the same samples.

An accuracy of n independent samples has the score interval of E. B. Wilson (*Probable inference, the
law of succession, and statistical inference*, JASA 1927). It has a width also at 0 and 1, where the
binomial standard error is 0: 8 correct samples of 8 give .68 to 1.

Two classifiers are compared on the samples that only one of them classifies correctly. The interval
of the difference is the score interval of T. Tango (*Equivalence test and confidence interval for
the difference in proportions for the paired-sample design*, Statistics in Medicine 1998), with a
continuity correction of half a sample. Without the correction it excludes 0 exactly where McNemar's
test rejects at the same level. The correction makes it conservative for few samples: enumeration of
all tables of 5 to 50 samples gives coverages from .956 on (.95 is nominal), if at most 90 % of the
samples are classified differently. If nearly all are, the coverage can be .90. A difference in
either direction is claimed in at most 2.1 % of the cases where there is none (of 5 samples 3.1 %,
of fewer never).

Several seeds or repeats score the same samples again. The counts are then means over the repeats
and need not be integers. The intervals have the width of one repeat, so they are conservative: the
mean over repeats varies at most as much as a single one.

In cross-validation the samples of a fold share a classifier, and classifiers share training
samples. So the predictions are not independent. P. Bayle, A. Bayle, L. Janson, L. Mackey
(*Cross-validation confidence intervals for test error*, NeurIPS 2020) show that the mean over
samples is still asymptotically normal around the mean accuracy of the fitted classifiers, with the
variance of independent samples, if the classifier is stable. So both intervals use the number of
samples, never samples times repeats. Simulated with 20, 40 and 100 samples, 3 repeats of 5 folds
and ridge classifiers, 95 % intervals contain the accuracy of new training sets in 92 to 97 % and
the difference in 93 to 96 % of the cases. A normal interval (or bootstrap) of each sample's mean
over the repeats contains the difference in 83 to 92 % only, because it lacks the variation of the
training sets.
"""

from math import sqrt
from statistics import NormalDist

from spectral_ssl.ground.errors import UserError

CONFIDENCE = 0.95
Interval = tuple[float, float]
CONTINUITY = 0.5  # samples; differences of counts change by whole samples


def compute_accuracy_interval(accuracy: float, samples: int, confidence: float = CONFIDENCE) -> Interval:
    """Compute the Wilson interval of an accuracy.

    Parameters
    ----------
    accuracy : float
        Share of correct predictions, from 0 to 1; with several seeds the mean over them.
    samples : int
        Number of independent samples, at least 1.
    confidence : float
        Coverage of the interval, between 0 and 1.

    Returns
    -------
    tuple of float
        Lower and upper limit, from 0 to 1.

    Raises
    ------
    UserError
        If there are no samples, or the accuracy is not from 0 to 1.

    Examples
    --------
    >>> from downstream.probes.intervals import compute_accuracy_interval
    >>> [round(limit, 3) for limit in compute_accuracy_interval(1.0, 8)]
    [0.676, 1.0]
    """
    if samples < 1 or not 0 <= accuracy <= 1:
        got = f"an accuracy of {accuracy:g} on {samples} samples"
        raise UserError("no interval of an accuracy", got, "give a share from 0 to 1 and at least one sample")
    quantile = _find_quantile(confidence)
    scale = 1 + quantile**2 / samples
    centre = (accuracy + quantile**2 / (2 * samples)) / scale
    half = quantile * sqrt(accuracy * (1 - accuracy) / samples + quantile**2 / (4 * samples**2)) / scale
    # At 0 and 1 one limit equals the accuracy, but for rounding.
    return min(max(centre - half, 0.0), accuracy), max(min(centre + half, 1.0), accuracy)


def compute_difference_interval(
    only_first: float, only_second: float, samples: int, confidence: float = CONFIDENCE
) -> Interval:
    """Compute the interval of the difference of two accuracies on the same samples.

    Parameters
    ----------
    only_first, only_second : float
        Numbers of samples that only the first and only the second classifier classifies correctly;
        with several seeds the means over them. The difference of the accuracies is (only_first -
        only_second) / samples.
    samples : int
        Number of independent samples, at least 1.
    confidence : float
        Coverage of the interval, between 0 and 1.

    Returns
    -------
    tuple of float
        Lower and upper limit, from -1 to 1. A positive difference favours the first classifier.

    Raises
    ------
    UserError
        If there are no samples, or the counts are negative or exceed them.

    Notes
    -----
    The limits are the d for which |b - c - n d| - 1/2 = z sqrt(n (2 q + d (1 - d))), where b and c
    are the counts and q is the maximum-likelihood estimate of the probability of c if d is the true
    difference.

    Examples
    --------
    >>> from downstream.probes.intervals import compute_difference_interval
    >>> [round(limit, 3) for limit in compute_difference_interval(90, 16, 908)]
    [0.06, 0.105]
    >>> [round(limit, 3) for limit in compute_difference_interval(0, 0, 8)]
    [-0.402, 0.402]
    """
    if samples < 1 or min(only_first, only_second) < 0 or only_first + only_second > samples * (1 + 1e-9):
        got = f"{only_first:g} and {only_second:g} of {samples} samples"
        raise UserError("no interval of a difference", got, "give counts that are not negative and fit the samples")
    quantile = _find_quantile(confidence)
    upper = _find_upper_limit(only_first, only_second, samples, quantile)
    lower = -_find_upper_limit(only_second, only_first, samples, quantile)
    return lower, upper


def _find_upper_limit(first: float, second: float, samples: int, quantile: float) -> float:
    """Find the largest difference that the score test does not reject."""
    from scipy.optimize import brentq

    def compute_excess(difference: float) -> float:
        linear = (2 * samples - first + second) * difference - first - second
        root = sqrt(max(linear**2 + 8 * samples * second * difference * (1 - difference), 0.0))
        only_second = (root - linear) / (4 * samples)
        variance = samples * (2 * only_second + difference * (1 - difference))
        return samples * difference - (first - second) - CONTINUITY - quantile * sqrt(max(variance, 0.0))

    if compute_excess(1.0) <= 0:
        return 1.0
    return float(brentq(compute_excess, (first - second) / samples, 1.0, xtol=1e-12))


def _find_quantile(confidence: float) -> float:
    """Find the two-sided quantile of the normal distribution."""
    return NormalDist().inv_cdf((1 + confidence) / 2)
