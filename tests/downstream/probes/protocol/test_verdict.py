"""The verdict: what is said of the trained network and of the best baseline."""

import numpy as np
import pytest

from downstream.probes.intervals import compute_difference_interval
from downstream.probes.protocol.verdict import compare_with_baselines, read_outcomes, write_outcomes


def outcomes(samples: int, correct: int, first: int = 0) -> str:
    """Outcomes of which ``correct`` are right, from sample ``first`` on."""
    return "".join("1" if first <= row < first + correct else "0" for row in range(samples))


def test_outcomes_are_texts() -> None:
    values = np.array([True, False, True])
    assert write_outcomes(values) == "101"
    assert read_outcomes(["101", "010"]).tolist() == [[True, False, True], [False, True, False]]


def test_a_shown_difference_is_better_than_the_best_baseline() -> None:
    baselines = {"raw": [outcomes(1000, 500)], "PCA": [outcomes(1000, 819)]}
    verdict = compare_with_baselines("linear", [outcomes(1000, 900)], baselines)
    assert (verdict.outcome, verdict.baseline, verdict.baselines, verdict.samples) == ("better", "PCA", 2, 1000)
    assert (verdict.only_trained, verdict.only_baseline) == (81, 0)
    assert verdict.difference == pytest.approx(0.081)
    assert verdict.interval == compute_difference_interval(81, 0, 1000)
    low, high = (100 * limit for limit in verdict.interval)
    assert verdict.sentence == (
        f"better than the best training-free baseline (PCA) by 8.1 points ({low:.1f} to {high:.1f})"
    )


def test_eight_of_eight_show_nothing() -> None:
    verdict = compare_with_baselines("linear", ["1" * 8], {"PCA": ["1" * 7 + "0"]})
    assert verdict.outcome == "not shown"
    assert verdict.sentence.startswith("no difference shown with 8 test samples: +12.5 points (-")
    assert verdict.sentence.endswith("to the best training-free baseline (PCA)")
    verdict = compare_with_baselines("linear", ["1"], {"PCA": ["1"]}, is_cross_validated=True)
    assert verdict.sentence.startswith(
        "no difference shown with 1 cross-validated sample: +0.0 points (-94.5 to +94.5)"
    )


def test_worse_needs_the_correction_for_the_choice_of_the_best() -> None:
    # 14 of 20 discordant samples: the interval excludes 0, that of five baselines does not
    trained, best = "1" * 80 + "0" * 15 + "1" * 5, "1" * 80 + "1" * 15 + "0" * 5
    alone = compare_with_baselines("linear", [trained], {"PCA": [best]})
    assert alone.outcome == "worse"
    low, high = (-100 * limit for limit in alone.interval[::-1])
    assert (
        alone.sentence == f"worse than the best training-free baseline (PCA) by 10.0 points ({low:.1f} to {high:.1f})"
    )
    others = {f"other {number}": ["1" * 50 + "0" * 50] for number in range(4)}
    among = compare_with_baselines("linear", [trained], {"PCA": [best], **others})
    assert among.interval == alone.interval
    assert among.outcome == "not shown"
    assert among.sentence.endswith("which the best of 5 equal baselines can reach by chance")


def test_seeds_are_paired_and_counts_are_means() -> None:
    trained = ["1100", "1110"]
    verdict = compare_with_baselines("linear", trained, {"a": ["1000", "0111"], "b": ["1000", "0000"]})
    assert verdict.baseline == "a"
    assert (verdict.only_trained, verdict.only_baseline) == (1, 0.5)  # (1 + 1) / 2 and (0 + 1) / 2
    assert verdict.difference == pytest.approx((5 - 4) / 8)
    assert verdict.interval == compute_difference_interval(1, 0.5, 4)


@pytest.mark.parametrize("names", [("A", "B"), ("B", "A")])
def test_better_holds_for_each_of_equally_good_baselines(names: tuple[str, str]) -> None:
    """The order of the rows makes no verdict: 10 of 10 discordant samples would show a difference, 25 of 40 do not."""
    trained = outcomes(100, 60)
    texts = {"A": outcomes(100, 50), "B": "0" * 15 + "1" * 35 + "0" * 25 + "1" * 15 + "0" * 10}
    assert compare_with_baselines("linear", [trained], {"A": [texts["A"]]}).outcome == "better"
    verdict = compare_with_baselines("linear", [trained], {name: [texts[name]] for name in names})
    assert (verdict.outcome, verdict.baseline, verdict.baselines) == ("not shown", "B", 2)
    assert (verdict.only_trained, verdict.only_baseline, verdict.baseline_accuracy) == (25, 15, 0.5)


def test_the_best_of_equal_baselines_seldom_makes_a_verdict_by_chance() -> None:
    generator = np.random.default_rng(0)
    outcomes_found = []
    for _ in range(400):
        scores = generator.random((6, 100)) < 0.8
        texts = [write_outcomes(each) for each in scores]
        verdict = compare_with_baselines("linear", texts[:1], {str(row): [texts[row]] for row in range(1, 6)})
        outcomes_found.append(verdict.outcome)
    assert outcomes_found.count("better") / 400 < 0.025
    assert outcomes_found.count("worse") / 400 < 0.045  # 0.025 and three standard deviations of 400 trials
