"""Paired differences and their intervals, against scipy and simulated samples."""

import json

import numpy as np
import pytest
from scipy import stats

from downstream.metrics.paired_differences import compare_errors, compute_mean_interval, write_difference
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.files import replace_nan


def test_the_interval_is_that_of_scipy() -> None:
    values = np.random.default_rng(0).normal(size=17)
    mean, low, high = compute_mean_interval(values, 0.9)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.9)
    np.testing.assert_allclose((mean, low, high), (values.mean(), expected.low, expected.high), rtol=1e-12)


@pytest.mark.parametrize(("draw", "coverage"), [("normal", 0.95), ("exponential", 0.92)])
def test_the_interval_contains_the_mean_as_often_as_it_says(draw: str, coverage: float) -> None:
    samples = getattr(np.random.default_rng(1), draw)(size=(4000, 20))
    truth = {"normal": 0.0, "exponential": 1.0}[draw]
    hits = [low <= truth <= high for _, low, high in map(compute_mean_interval, samples)]
    assert np.mean(hits) == pytest.approx(coverage, abs=3 * (coverage * (1 - coverage) / 4000) ** 0.5)


def test_the_difference_of_hard_and_easy_inputs_is_narrow() -> None:
    generator = np.random.default_rng(2)
    difficulty = generator.uniform(1, 9, size=(100, 1))
    errors = {
        "ours": difficulty + generator.normal(scale=0.01, size=(100, 2)),
        "L1": difficulty + 0.1 + generator.normal(scale=0.01, size=(100, 2)),
    }
    (row,) = compare_errors(errors, ["L1"])
    assert (row["predictions"], row["reference"]) == ("ours", "L1")
    for column in ("error", "error of the best"):
        difference, low, high = row[column]
        assert low < -0.1 < high
        assert high - low < 0.01
        assert difference == pytest.approx(-0.1, abs=0.005)
    better = (errors["ours"] < errors["L1"]).mean(axis=0)
    assert (row["nearer"], row["best is nearer"]) == tuple(better)
    (other_way,) = compare_errors(errors, ["ours"])
    assert other_way["nearer"] == pytest.approx(1 - better[0])
    assert [(each["predictions"], each["reference"]) for each in compare_errors(errors, ["ours", "L1"])] == [
        ("L1", "ours"),
        ("ours", "L1"),
    ]


def test_bad_input_is_named() -> None:
    errors = {"ours": np.zeros((3, 2)), "L1": np.zeros((4, 2))}
    with pytest.raises(UserError, match=r"errors of different inputs: got 3 of ours, 4 of L1"):
        compare_errors(errors, ["L1"])
    with pytest.raises(UserError, match="no such method: got L2"):
        compare_errors(errors, ["L2"])
    with pytest.raises(UserError, match="no mean of nothing"):
        compute_mean_interval(np.zeros(0))
    assert np.isnan(compute_mean_interval(np.ones(1))[1:]).all()


def test_a_single_input_has_no_interval_also_in_stored_results() -> None:
    alone = compare_errors({"ours": np.ones((1, 2)), "L1": np.zeros((1, 2))}, ["L1"])[0]["error"]
    stored = json.loads(json.dumps(replace_nan(alone)))
    assert write_difference(alone) == write_difference(stored) == "+1.0000 (no interval)"
    assert write_difference(0.128) == "12.8%"
    assert write_difference(None) == write_difference(float("nan")) == "-"
    assert write_difference((1, 0.5, 1.5)) == "+1.0000 (+0.5000 to +1.5000)"
