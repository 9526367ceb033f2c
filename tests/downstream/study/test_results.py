"""Which participants and answers are excluded and why, the scores from the others, the figure and the page."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest
from study_client import open_store, write_study

from downstream.study.answers import HIDDEN, Measured
from downstream.study.design import REAL, SPOILT, StudyConfig, Trial
from downstream.study.figure import draw_results
from downstream.study.folder import Study, open_study
from downstream.study.results import study_results
from downstream.study.results_page import write_results_page
from spectral_ssl.ground.errors import UserError


def play(study: Study, deciders: list, hidden: tuple[int, ...] = (), stop: int = 10_000) -> None:
    """Let each participant answer; pages of ``hidden`` ones are hidden in every second trial; the last one stops."""
    clock = [0.0]
    store = open_store(study, clock=lambda: clock[0])
    for person, decide in enumerate(deciders):
        number = store.find(store.join())
        assert number is not None
        showing = store.current(number)
        while showing is not None:
            store.begin(number, showing.name)
            clock[0] += study.config.exposure
            away = person in hidden and showing.position % 2 == 0
            measured = Measured(1000 * study.config.exposure, 16.7, 500.0, away)
            if person == len(deciders) - 1 and showing.position == stop:
                break
            showing = store.answer(number, showing.name, decide(showing.trial), measured)
    store.close()


def knows(trial: Trial) -> int:
    if len(trial.shown) == 1:
        return 0 if trial.shown == (REAL,) else 1
    return trial.shown.index(REAL if REAL in trial.shown else "1")


def fooled_by_the_first(trial: Trial) -> int:
    return trial.shown.index("0") if "0" in trial.shown else knows(trial)


def left(trial: Trial) -> int:
    return 0


@pytest.fixture
def turing(tmp_path: Path) -> Study:
    return write_study(tmp_path / "study", StudyConfig(kind="turing", trials=30, checks=4))


def test_rates_reasons_and_agreement(turing: Study) -> None:
    play(turing, [knows, knows, knows, fooled_by_the_first, left, knows, knows], hidden=(5,), stop=9)
    results = study_results(turing)
    assert (results["participants"], results["finished"]) == (7, 6)
    assert results["answers"] == 6 * 34 + 9
    # three of the four included participants never err; each saw each method ten times
    assert [row["answers"] for row in results["scores"]] == [40, 40, 40]
    first, second, third = results["scores"]
    assert first["fooling"]["value"] == 10 / 40
    assert (first["fooling"]["low"], first["fooling"]["high"]) == (0.0, 0.75)  # none of four, three of four
    assert second["fooling"] == third["fooling"]
    assert second["fooling"]["value"] == second["fooling"]["low"] == 0  # none of four participants
    assert second["fooling"]["high"] == pytest.approx(binomtest(0, 4).proportion_ci(method="wilson").high)
    reasons = {each["participant"]: each["reasons"] for each in results["excluded"]}
    assert reasons.keys() == {4, 5, 6}
    assert reasons[4] == ["passed 2 of 4 attention checks", "always the same button"]
    valid = sum(not trial.check for position, trial in enumerate(open_plan(turing, 5)) if position % 2)
    assert reasons[5] == ([f"valid answers to {valid} of 30 trials"] if valid < 15 else reasons[5])
    (reason,) = reasons[6]
    assert reason.startswith("valid answers to ")
    assert reason.endswith(" of 30 trials")
    assert results["answers_left_out"] == {HIDDEN: 17}
    # participants 0 and 3 saw the same pairs, 1 and 2 others: 30 pairs have two ratings. These differ for the ten pairs
    # with the first method. In 50 ratings "real" was picked, in ten the method
    assert results["agreement"]["items"] == 30
    assert results["agreement"]["krippendorff_alpha"] == pytest.approx(1 - (60 - 1) * 10 / (50 * 10))
    everyone = results["scores_of_everyone"]
    assert everyone[0]["answers"] > 40
    assert results["response_seconds"] == 0.5


def open_plan(study: Study, participant: int) -> list[Trial]:
    store = open_store(study)
    plan = store.plan(participant)
    store.close()
    return plan


def test_preferences_add_up(tmp_path: Path) -> None:
    study = write_study(tmp_path / "study", StudyConfig(kind="psychophysical", trials=30, checks=4))
    play(study, [knows] * 3 + [fooled_by_the_first])
    results = study_results(study)
    assert [row["preference"]["value"] for row in results["scores"]] == [0.25, 0.75, 0.0]
    assert results["scores"][0]["chance"] == pytest.approx(1 / 3)
    assert results["excluded"] == []
    assert results["agreement"]["items"] == 30


def test_an_oracle_gives_realism_zero_and_a_coin_one(tmp_path: Path) -> None:
    study = write_study(tmp_path / "study", StudyConfig(kind="realism", trials=24, checks=4))
    generator = np.random.default_rng(1)
    play(study, [knows] * 4)
    assert [row["realism"]["value"] for row in study_results(study)["scores"]] == [0, 0, 0]
    other = write_study(tmp_path / "other", StudyConfig(kind="realism", trials=120, checks=0))
    play(other, [lambda trial: int(generator.integers(2))] * 5)
    for row in study_results(other)["scores"]:
        assert row["realism"]["value"] == pytest.approx(1, abs=0.2)  # three standard errors
        assert row["fooling"]["value"] == pytest.approx(0.5, abs=0.15)


def test_a_participant_who_takes_noise_for_real_is_excluded(tmp_path: Path) -> None:
    study = write_study(tmp_path / "study", StudyConfig(kind="realism", trials=12, checks=4))
    play(study, [knows, lambda trial: 0 if trial.shown == (SPOILT,) else knows(trial)])
    (excluded,) = study_results(study)["excluded"]
    assert excluded == {"participant": 1, "reasons": ["passed 0 of 4 attention checks"]}


def test_results_without_any_included_participant(tmp_path: Path, turing: Study) -> None:
    with pytest.raises(UserError, match="no answers yet"):
        study_results(turing)
    play(turing, [left])
    results = study_results(turing)
    assert [row["fooling"] for row in results["scores"]] == [None, None, None]
    draw_results(tmp_path / "empty.png", results)
    write_results_page(tmp_path / "empty.html", results, tmp_path / "empty.png")


def test_figure_and_page_hold_the_numbers(tmp_path: Path, turing: Study) -> None:
    play(turing, [knows, knows, fooled_by_the_first])
    results = study_results(turing) | {"data": "<script>alert(1)</script>", "note": "scripted, not people"}
    draw_results(tmp_path / "results.png", results)
    write_results_page(tmp_path / "results.html", results, tmp_path / "results.png")
    page = (tmp_path / "results.html").read_text()
    assert "0.333 [0.000, 1.000]" in page
    assert "scripted, not people" in page
    assert "&lt;script&gt;" in page
    assert "<script" not in page
    assert "method-2" in page
    assert "http" not in page.replace("http-equiv", "")


def test_a_study_is_read_as_it_was_written(turing: Study) -> None:
    found = open_study(turing.folder)
    assert found.config == turing.config
    assert list(found.methods) == list(turing.methods)
    assert found.rows == turing.rows
    (turing.folder / "study.json").write_text("{}")
    with pytest.raises(UserError, match="unreadable study"):
        open_study(turing.folder)
    with pytest.raises(UserError, match="study create"):
        open_study(turing.folder / "images")
