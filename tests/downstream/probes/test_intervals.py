"""Intervals of accuracies and of paired differences, against enumeration, likelihoods and simulation."""

from itertools import product
from math import comb

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import binomtest

from downstream.probes.intervals import compute_accuracy_interval, compute_difference_interval
from spectral_ssl.ground.errors import UserError

QUANTILE = 1.959963984540054


def test_the_interval_of_an_accuracy_is_that_of_wilson() -> None:
    for samples in (1, 2, 8, 30, 908):
        for correct in range(0, samples + 1, max(1, samples // 9)):
            for confidence in (0.9, 0.95, 0.99):
                right = binomtest(correct, samples).proportion_ci(confidence, method="wilson")
                interval = compute_accuracy_interval(correct / samples, samples, confidence)
                assert interval == pytest.approx((right.low, right.high), abs=1e-12)


def test_all_correct_samples_leave_doubt() -> None:
    low, high = compute_accuracy_interval(1.0, 8)
    assert (round(low, 2), high) == (0.68, 1.0)
    low, high = compute_accuracy_interval(0.0, 8)
    assert (low, round(high, 2)) == (0.0, 0.32)
    assert compute_difference_interval(0, 0, 8) == pytest.approx((-0.402, 0.402), abs=1e-3)


def score(first: int, second: int, samples: int, difference: float) -> float:
    """The score statistic of a difference, with a numerical maximum of the likelihood under it."""
    both = samples - first - second

    def cost(only_second: float) -> float:
        shares = np.array([only_second + difference, only_second, 1 - 2 * only_second - difference])
        counts = np.array([first, second, both])
        return -float((counts * np.log(np.maximum(shares, 1e-300))).sum())

    low, high = max(0.0, -difference), (1 - difference) / 2
    best = minimize_scalar(cost, bounds=(low, high), method="bounded", options={"xatol": 1e-12}).x
    deviation = np.sqrt(samples * (2 * best + difference * (1 - difference)))
    return float((abs(first - second - samples * difference) - 0.5) / deviation)


@pytest.mark.parametrize(("first", "second", "samples"), [(12, 2, 50), (5, 1, 20), (3, 4, 9), (90, 16, 908)])
def test_the_limits_of_a_difference_are_those_of_the_score_test(first: int, second: int, samples: int) -> None:
    for limit in compute_difference_interval(first, second, samples):
        assert score(first, second, samples, limit) == pytest.approx(QUANTILE, abs=1e-4)


def test_zero_is_excluded_where_the_test_of_mcnemar_rejects() -> None:
    for first, second in product(range(25), range(25)):
        low, high = compute_difference_interval(first, second, 60)
        rejects = first + second > 0 and (abs(first - second) - 0.5) / np.sqrt(first + second) > QUANTILE
        assert (low > 0 or high < 0) == rejects
        assert low <= (first - second) / 60 <= high
        assert compute_difference_interval(second, first, 60) == pytest.approx((-high, -low))


@pytest.mark.parametrize("samples", [8, 20])
def test_the_difference_is_covered_in_all_tables(samples: int) -> None:
    tables = [(first, second) for first in range(samples + 1) for second in range(samples + 1 - first)]
    intervals = np.array([compute_difference_interval(*table, samples) for table in tables])
    first, second = np.array(tables).T
    ways = np.array([comb(samples, one) * comb(samples - one, two) for one, two in tables], float)
    coverages = []
    for discordant in (0.05, 0.2, 0.5, 0.9):
        for difference in np.linspace(-0.95, 0.95, 20) * discordant:
            shares = (discordant + difference) / 2, (discordant - difference) / 2
            chance = ways * shares[0] ** first * shares[1] ** second * (1 - discordant) ** (samples - first - second)
            assert chance.sum() == pytest.approx(1)
            coverages.append(chance[(intervals[:, 0] <= difference) & (difference <= intervals[:, 1])].sum())
    assert min(coverages) > 0.95


def cross_validate(values: np.ndarray, labels: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """Tell which samples the nearest class mean of the other folds classifies correctly."""
    correct = np.empty(len(labels), bool)
    for fold in np.unique(folds):
        train, held_out = folds != fold, folds == fold
        means = np.stack([values[train & (labels == label)].mean(axis=0) for label in (0, 1)])
        distances = np.square(values[held_out, None] - means).sum(axis=2)
        correct[held_out] = distances.argmin(axis=1) == labels[held_out]
    return correct


def test_intervals_of_repeated_cross_validation_cover() -> None:
    generator = np.random.default_rng(0)
    samples, repeats, trials = 40, 3, 300
    labels = np.arange(samples) % 2

    def draw(count: int) -> list[np.ndarray]:
        """Two kinds of features that share 6 noisy columns and separate the classes equally well."""
        classes, shared = np.arange(count) % 2, generator.normal(size=(count, 6))
        own = [generator.normal(size=(count, 1)) + 0.7 * (2 * classes[:, None] - 1) for _ in range(2)]
        return [np.hstack([each, shared]) for each in own]

    accuracies = []
    for _ in range(200):  # of classifiers of as many samples as a training fold has
        values = np.vstack([draw(32)[0], draw(400)[0]])
        classes, folds = np.arange(432) % 2, (np.arange(432) >= 32).astype(int)
        means = np.stack([values[(folds == 0) & (classes == label)].mean(axis=0) for label in (0, 1)])
        predicted = np.square(values[32:, None] - means).sum(axis=2).argmin(axis=1)
        accuracies.append((predicted == classes[32:]).mean())
    truth = np.mean(accuracies)
    covered = np.zeros(2)
    for _ in range(trials):
        first, second = draw(samples)
        correct = np.zeros((2, repeats, samples), bool)
        for repeat in range(repeats):
            folds = np.empty(samples, int)
            for label in (0, 1):
                folds[generator.permutation(np.flatnonzero(labels == label))] = np.arange(samples // 2) % 5
            correct[:, repeat] = [cross_validate(each, labels, folds) for each in (first, second)]
        low, high = compute_accuracy_interval(float(correct[0].mean()), samples)
        only = [(one & ~two).sum() / repeats for one, two in (correct, correct[::-1])]
        below, above = compute_difference_interval(*only, samples)
        covered += low <= truth <= high, below <= 0 <= above
    # 95 % are nominal; 0.91 is three standard deviations of 300 trials below
    assert (covered / trials > 0.91).all(), covered / trials


@pytest.mark.parametrize(("accuracy", "samples"), [(0.5, 0), (-0.1, 5), (1.1, 5), (float("nan"), 5)])
def test_impossible_accuracies_are_refused(accuracy: float, samples: int) -> None:
    with pytest.raises(UserError, match="no interval of an accuracy"):
        compute_accuracy_interval(accuracy, samples)


@pytest.mark.parametrize(("first", "second", "samples"), [(0, 0, 0), (-1, 0, 5), (3, 3, 5)])
def test_impossible_counts_are_refused(first: float, second: float, samples: int) -> None:
    with pytest.raises(UserError, match="no interval of a difference"):
        compute_difference_interval(first, second, samples)
