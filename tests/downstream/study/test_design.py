"""Schedules: balanced, shuffled for each participant, nothing twice."""

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
def test_every_row_once_and_in_another_order_for_each(kind: str, methods: int, trials: int, checks: int) -> None:
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
def test_side_by_side_each_method_stands_everywhere_equally_often(trials: int) -> None:
    for participant in range(6):
        plan = shown(schedule(StudyConfig(kind="psychophysical", trials=trials), 3, participant))
        assert all(sorted(trial.shown) == ["0", "1", "2"] for trial in plan)
        for place in range(3):
            assert even(Counter(trial.shown[place] for trial in plan)), place


@pytest.mark.parametrize("trials", [60, 41])
def test_pairs_have_each_method_and_each_side_equally_often(trials: int) -> None:
    judged: Counter[object] = Counter()
    for participant in range(3):
        plan = shown(schedule(StudyConfig(kind="turing", trials=trials), 3, participant))
        made = [next(source for source in trial.shown if source != REAL) for trial in plan]
        assert all(REAL in trial.shown for trial in plan)
        assert even(Counter(made))
        assert even(Counter(trial.shown.index(REAL) for trial in plan))
        for method in "012":
            sides = [trial.shown.index(REAL) for trial, each in zip(plan, made, strict=True) if each == method]
            assert even(Counter(sides))
        judged.update((trial.row, each) for trial, each in zip(plan, made, strict=True))
    # a round of three participants: each row was judged of each method once
    assert len(judged) == 3 * trials
    assert set(judged.values()) == {1}


def test_single_images_are_half_real_and_go_round() -> None:
    judged: Counter[object] = Counter()
    for participant in range(6):
        plan = shown(schedule(StudyConfig(kind="realism", trials=60), 3, participant))
        counts = Counter(trial.shown for trial in plan)
        assert counts == {(REAL,): 30, ("0",): 10, ("1",): 10, ("2",): 10}
        judged.update((trial.row, trial.shown) for trial in plan)
    for row in range(60):
        assert judged[(row, (REAL,))] == 3
        assert [judged[(row, (method,))] for method in "012"] == [1, 1, 1]


@pytest.mark.parametrize("kind", KINDS)
def test_checks_have_the_form_of_trials(kind: str) -> None:
    plan = schedule(StudyConfig(kind=kind, trials=12, checks=6), 3, 0)
    width = {len(trial.shown) for trial in plan}
    assert len(width) == 1, "a check would be known by the number of its images"
    for trial in plan:
        if trial.check:
            assert SPOILT in trial.shown
            assert trial.shown.count(REAL) == (kind != "realism")
    sides = Counter(trial.shown.index(REAL) for trial in plan if trial.check) if kind != "realism" else Counter()
    assert not sides or even(sides)


def test_checks_stand_anywhere() -> None:
    places = [
        place
        for participant in range(40)
        for place, trial in enumerate(schedule(StudyConfig(trials=10, checks=2), 1, participant))
        if trial.check
    ]
    assert set(places) == set(range(12))
    assert abs(np.mean(places) - 5.5) < 1.2


def test_settings_that_make_no_study_are_refused() -> None:
    for wrong in ({"kind": "guess"}, {"trials": 0}, {"checks": -1}, {"exposure": 0.0}, {"exposure": float("nan")}):
        with pytest.raises(UserError):
            StudyConfig(**wrong)
    for kind, methods in (("psychophysical", 1), ("psychophysical", 5), ("turing", 0), ("realism", 9)):
        with pytest.raises(UserError, match="--from"):
            schedule(StudyConfig(kind=kind), methods, 0)
