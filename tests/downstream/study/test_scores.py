"""The scores agree with numbers computed by hand, or published."""

import numpy as np
import pytest
from scipy.stats import binomtest

from downstream.study.scores import krippendorff_alpha, rate, realism_score


def counts(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def test_rates_by_hand() -> None:
    found = rate(counts(3, 6, 0), counts(10, 10, 4))
    assert found is not None
    assert found.value == pytest.approx(9 / 24)
    assert found.low is not None
    # the extremes of resampling: three times the worst participant, three times the best
    assert 0 <= found.low <= 9 / 24 <= found.high <= 0.6  # type: ignore[operator]
    assert rate(counts(0, 0), counts(0, 0)) is None


def test_no_interval_from_two_participants() -> None:
    found = rate(counts(1, 2), counts(4, 4))
    assert found is not None
    assert (found.value, found.low, found.high) == (3 / 8, None, None)


def test_rates_of_none_and_all_have_an_interval_of_the_participants() -> None:
    for share in (0, 1):
        found = rate(counts(*[5 * share] * 8), counts(*[5] * 8))
        assert found is not None
        right = binomtest(8 * share, 8).proportion_ci(method="wilson")
        assert (found.value, found.low, found.high) == pytest.approx((share, right.low, right.high))


def test_the_interval_is_that_of_exact_resampling() -> None:
    # two of three participants always hit: resampled means are k/3 with k ~ Binomial(3, 2/3): P(0) = 1/27 > 2.5 %
    found = rate(counts(5, 5, 0), counts(5, 5, 5))
    assert found is not None
    assert (found.low, found.high) == (0.0, 1.0)
    # 40 participants, half of them: about normal, 1.96 * sqrt(1/4 / 40) = 0.155
    found = rate(np.repeat(counts(1, 0), 20), np.ones(40, np.int64))
    assert found is not None
    assert found.low == pytest.approx(0.5 - 0.155, abs=0.026)  # steps of 1/40
    assert found.high == pytest.approx(0.5 + 0.155, abs=0.026)


def test_the_interval_covers_the_true_rate_as_often_as_it_says() -> None:
    generator = np.random.default_rng(0)
    covered = 0
    for number in range(200):
        own = generator.beta(3, 2, 25)  # participants differ; their mean rate is 0.6
        trials = np.full(25, 20)
        found = rate(generator.binomial(trials, own), trials, seed=number)
        assert found is not None
        covered += found.low <= 0.6 <= found.high  # type: ignore[operator]
    assert 0.88 <= covered / 200 <= 0.99


def test_realism_by_hand() -> None:
    # 8 of 10 fakes detected, 2 of 10 real images called fake: P = 8/10, R = 8/10, F = 0.8, score 0.4
    (found,) = [realism_score(counts(8), counts(10), counts(2), counts(10))]
    assert found is not None
    assert found.value == pytest.approx(0.4)
    # the F-measure averaged over participants: F = 0.8, 1 and 2 * 0.5 / 1.5 = 2/3 (half detected, no false alarm)
    found = realism_score(counts(8, 10, 5), counts(10, 10, 10), counts(2, 0, 0), counts(10, 10, 10))
    assert found is not None
    assert found.value == pytest.approx(2 - 2 * (0.8 + 1 + 2 / 3) / 3)


@pytest.mark.parametrize(
    ("hits", "alarms", "score"), [(1.0, 0.0, 0.0), (0.5, 0.5, 1.0), (0.0, 0.0, 2.0), (1.0, 1.0, 2 / 3)]
)
def test_realism_of_known_participants(hits: float, alarms: float, score: float) -> None:
    """Check people who are never wrong, guess, or always say "real" or "fake", for two shares of fakes."""
    for fakes, reals in ((10, 10), (10, 30)):
        found = realism_score(
            counts(int(hits * fakes)), counts(fakes), counts(int(alarms * reals)), counts(reals)
        )  # fmt: skip
        assert found is not None
        assert found.value == pytest.approx(score)


def test_realism_is_the_f_measure_of_scikit_learn() -> None:
    from sklearn.metrics import f1_score

    generator = np.random.default_rng(1)
    for _ in range(20):
        called_fake = generator.integers(0, 2, 40)
        is_fake = np.repeat([0, 1], 20)
        found = realism_score(
            counts(called_fake[is_fake == 1].sum()), counts(20), counts(called_fake[is_fake == 0].sum()), counts(20)
        )
        assert found is not None
        assert found.value == pytest.approx(2 - 2 * f1_score(is_fake, called_fake))


def test_realism_needs_both() -> None:
    assert realism_score(counts(1), counts(2), counts(0), counts(0)) is None


# Four observers, twelve units (Krippendorff 2011, section C): nominal alpha 0.743
OBSERVERS = [
    [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
    [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
]


def test_alpha_of_the_published_example() -> None:
    units = {unit: [row[unit] for row in OBSERVERS if row[unit] is not None] for unit in range(12)}
    assert krippendorff_alpha(units) == pytest.approx(0.743, abs=5e-4)


def test_alpha_by_hand() -> None:
    # two observers, ten units (section A of the same)
    one, other = [0, 1, 0, 0, 0, 0, 0, 0, 1, 0], [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]
    # 4 units in disagreement, 14 zeros and 6 ones: alpha = 1 - (20 - 1) * 4 / (14 * 6) = 0.095
    assert krippendorff_alpha(dict(enumerate(zip(one, other, strict=True)))) == pytest.approx(1 - 19 * 4 / 84)


def test_alpha_at_its_limits() -> None:
    assert krippendorff_alpha({0: ["a", "a"], 1: ["b", "b", "b"]}) == 1
    assert krippendorff_alpha({0: ["a", "a"], 1: ["a", "a"]}) is None  # one category: chance agrees too
    assert krippendorff_alpha({0: ["a"], 1: ["b"]}) is None
    generator = np.random.default_rng(0)
    random = {unit: generator.integers(0, 2, 6).tolist() for unit in range(2000)}
    assert krippendorff_alpha(random) == pytest.approx(0, abs=0.03)
