"""Schedules are balanced, shuffled for each participant, and show no row twice."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from downstream.study.design import KINDS, REAL, SPOILT, StudyConfig, Trial, schedule
from spectral_ssl.ground.errors import UserError


def shown(trials: list[Trial]) -> list[Trial]:
    return [trial for trial in trials if not trial.check]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("methods", "trials", "checks"), [(3, 60, 6), (2, 7, 3), (4, 41, 4)])
def test_every_row_is_shown_once_in_an_order_of_its_own(kind: str, methods: int, trials: int, checks: int) -> None:
    config = StudyConfig(kind=kind, trials=trials, checks=checks)
    orders = []
    for participant in range(5):
        plan = schedule(config, methods, participant)
        assert len(plan) == trials + checks
        assert sorted(trial.row for trial in shown(plan)) == list(range(trials))
        assert sorted(trial.row for trial in plan if trial.check) == list(range(checks))
        assert plan == schedule(config, methods, participant)
        orders.append([(trial.row, trial.check) for trial in plan])
    assert all(one != other for one, other in pairwise(orders))
    other = StudyConfig(kind=kind, trials=trials, checks=checks, seed=1)
    assert schedule(other, methods, 0) != schedule(config, methods, 0)


def even(counts: Counter[object]) -> bool:
    return max(counts.values()) - min(counts.values()) <= 1


@pytest.mark.parametrize("trials", [60, 41])
def test_each_method_has_each_position_equally_often(trials: int) -> None:
    for participant in range(6):
        plan = shown(schedule(StudyConfig(kind="psychophysical", trials=trials), 3, participant))
        assert all(sorted(trial.shown) == ["0", "1", "2"] for trial in plan)
        for position in range(3):
            assert even(Counter(trial.shown[position] for trial in plan)), position


@pytest.mark.parametrize("trials", [60, 41])
def test_pairs_have_each_method_and_each_side_equally_often(trials: int) -> None:
    rated: Counter[object] = Counter()
    for participant in range(3):
        plan = shown(schedule(StudyConfig(kind="turing", trials=trials), 3, participant))
        made = [next(source for source in trial.shown if source != REAL) for trial in plan]
        assert all(REAL in trial.shown for trial in plan)
        assert even(Counter(made))
        assert even(Counter(trial.shown.index(REAL) for trial in plan))
        for method in "012":
            sides = [trial.shown.index(REAL) for trial, each in zip(plan, made, strict=True) if each == method]
            assert even(Counter(sides))
        rated.update((trial.row, each) for trial, each in zip(plan, made, strict=True))
    # a rotation of three participants shows each row once for each method
    assert len(rated) == 3 * trials
    assert set(rated.values()) == {1}


def test_half_of_single_images_are_real_and_methods_rotate() -> None:
    rated: Counter[object] = Counter()
    for participant in range(6):
        plan = shown(schedule(StudyConfig(kind="realism", trials=60), 3, participant))
        counts = Counter(trial.shown for trial in plan)
        assert counts == {(REAL,): 30, ("0",): 10, ("1",): 10, ("2",): 10}
        rated.update((trial.row, trial.shown) for trial in plan)
    for row in range(60):
        assert rated[(row, (REAL,))] == 3
        assert [rated[(row, (method,))] for method in "012"] == [1, 1, 1]


@pytest.mark.parametrize("kind", KINDS)
def test_checks_have_the_form_of_trials(kind: str) -> None:
    plan = schedule(StudyConfig(kind=kind, trials=12, checks=6), 3, 0)
    width = {len(trial.shown) for trial in plan}
    assert len(width) == 1, "the number of its images would reveal a check"
    for trial in plan:
        if trial.check:
            assert SPOILT in trial.shown
            assert trial.shown.count(REAL) == (kind != "realism")
    sides = Counter(trial.shown.index(REAL) for trial in plan if trial.check) if kind != "realism" else Counter()
    assert not sides or even(sides)


def test_checks_have_random_positions() -> None:
    positions = [
        position
        for participant in range(40)
        for position, trial in enumerate(schedule(StudyConfig(trials=10, checks=2), 1, participant))
        if trial.check
    ]
    assert set(positions) == set(range(12))
    assert abs(np.mean(positions) - 5.5) < 1.2


def test_impossible_settings_are_refused() -> None:
    for wrong in ({"kind": "guess"}, {"trials": 0}, {"checks": -1}, {"exposure": 0.0}, {"exposure": float("nan")}):
        with pytest.raises(UserError):
            StudyConfig(**wrong)
    for kind, methods in (("psychophysical", 1), ("psychophysical", 5), ("turing", 0), ("realism", 9)):
        with pytest.raises(UserError, match="--from"):
            schedule(StudyConfig(kind=kind), methods, 0)
