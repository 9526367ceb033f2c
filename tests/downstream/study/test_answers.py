"""The store takes each answer once, in order, from the right participant, and stores no personal data."""

import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from study_client import open_store, write_study

from downstream.study.answers import (
    BUSY_SECONDS,
    HIDDEN,
    TOO_LONG,
    TOO_SHORT,
    TWICE,
    AnswerStore,
    Busy,
    Measured,
    Refused,
    normalise_code,
    read_answers,
)
from downstream.study.design import StudyConfig
from downstream.study.folder import Study
from spectral_ssl.ground.errors import UserError

WELL = Measured(exposure=1000.0, frame=16.7, response=300.0, hidden=False)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return write_study(tmp_path / "study", StudyConfig(trials=6, checks=2))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(study: Study, clock: Clock) -> AnswerStore:
    return open_store(study, clock=clock, most=3)


def join(store: AnswerStore) -> int:
    number = store.find(store.join())
    assert number is not None
    return number


def see(store: AnswerStore, clock: Clock, participant: int) -> str:
    showing = store.current(participant)
    assert showing is not None
    store.begin(participant, showing.name)
    clock.now += 1.0
    return showing.name


def stored(store: AnswerStore, study: Study) -> int:
    return sum(len(answers) for _, _, answers in read_answers(study.answers))


def test_a_participant_answers_each_trial_once(store: AnswerStore, study: Study, clock: Clock) -> None:
    participant = join(store)
    for position in range(8):
        name = see(store, clock, participant)
        following = store.answer(participant, name, position % 2, WELL)
        assert stored(store, study) == position + 1  # on the disk before the next trial is returned
        assert (following is None) == (position == 7)
    ((number, scheduled, answers),) = read_answers(study.answers)
    assert (number, scheduled) == (0, 8)
    assert [answer.choice for answer in answers] == [0, 1] * 4
    assert [answer.trial for answer in answers] == store.plan(0)
    with pytest.raises(Refused):
        store.answer(participant, name, 0, WELL)


def test_an_answer_is_taken_once_in_order_and_from_its_participant(
    store: AnswerStore, study: Study, clock: Clock
) -> None:
    one, other = join(store), join(store)
    first = store.current(one)
    assert first is not None
    with pytest.raises(Refused, match="never shown"):
        store.answer(one, first.name, 0, WELL)
    name = see(store, clock, one)
    for wrong in ("", "x" * 22, see(store, clock, other)):
        with pytest.raises(Refused):
            store.answer(one, wrong, 0, WELL)
    with pytest.raises(Refused, match="choice"):
        store.answer(one, name, 2, WELL)
    with pytest.raises(Refused):
        store.answer(other, name, 0, WELL)
    store.answer(one, name, 0, WELL)
    with pytest.raises(Refused):  # replayed
        store.answer(one, name, 1, WELL)
    with pytest.raises(Refused):  # shown again after it was answered
        store.begin(one, name)
    with pytest.raises(Refused):
        store.showing(one, name)
    ((_, _, answers), (_, _, none)) = read_answers(study.answers)
    assert [answer.choice for answer in answers] == [0]
    assert none == []


def test_answers_before_the_images_were_seen_are_refused(store: AnswerStore, study: Study, clock: Clock) -> None:
    participant = join(store)
    showing = store.current(participant)
    assert showing is not None
    store.begin(participant, showing.name)
    clock.now += 0.5
    with pytest.raises(Refused, match="before the images were seen"):
        store.answer(participant, showing.name, 0, WELL)
    assert stored(store, study) == 0


@pytest.mark.parametrize(
    ("measured", "marks"),
    [
        (WELL, ()),
        (Measured(1017.0, 16.7, 300, False), ()),
        (Measured(1019.0, 16.7, 300, False), (TOO_LONG,)),
        (Measured(980.0, 16.7, 300, False), (TOO_SHORT,)),
        (Measured(1000.0, 16.7, 300, True), (HIDDEN,)),
        (Measured(1200.0, 1e5, 300, False), (TOO_LONG,)),  # a frame of a hundred seconds is no excuse
        (Measured(0.0, 0.0, 300, True), (HIDDEN, TOO_SHORT)),
    ],
)
def test_wrong_exposures_are_marked(
    store: AnswerStore, study: Study, clock: Clock, measured: Measured, marks: tuple[str, ...]
) -> None:
    participant = join(store)
    store.answer(participant, see(store, clock, participant), 0, measured)
    ((_, _, (answer,)),) = read_answers(study.answers)
    assert answer.marks == marks


def test_a_second_look_after_a_reload_is_marked(store: AnswerStore, study: Study, clock: Clock) -> None:
    participant = join(store)
    first = store.current(participant)
    again = store.current(participant)
    assert first == again  # not shown yet: reloading changes nothing
    name = see(store, clock, participant)
    with pytest.raises(Refused, match="already"):
        store.showing(participant, name)  # its images can no longer be fetched
    second = see(store, clock, participant)
    assert second != name
    store.answer(participant, second, 0, WELL)
    ((_, _, (answer,)),) = read_answers(study.answers)
    assert answer.marks == (TWICE,)


def test_no_personal_data_are_stored(store: AnswerStore, study: Study, clock: Clock) -> None:
    code = store.join()
    with sqlite3.connect(study.answers) as connection:
        dump = "\n".join(connection.iterdump())
        columns = {
            table: [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            for table in ("participants", "showings", "answers")
        }
    assert code not in dump
    assert columns == {
        "participants": ["number", "code_hash", "joined", "schedule"],
        "showings": ["name", "participant", "place", "begun"],
        "answers": ["participant", "place", "choice", "exposure", "frame", "response", "marks", "answered"],
    }


def test_codes_are_long_different_and_forgiving(store: AnswerStore) -> None:
    codes = [store.join() for _ in range(3)]
    assert len(set(codes)) == 3
    assert {len(code) for code in codes} == {16}
    assert [store.find(code) for code in codes] == [0, 1, 2]
    assert store.find(f" {codes[1][:4].lower()}-{codes[1][4:]} ") == 1
    assert normalise_code("o0iL-1") == "00111"
    assert store.find("") is None
    assert store.find(codes[0][:-1]) is None
    with pytest.raises(Refused, match="full"):
        store.join()


def test_a_stored_schedule_does_not_change(study: Study, store: AnswerStore, clock: Clock) -> None:
    """Check this with a server of a later version, which would make another schedule."""
    participant = join(store)
    showing = store.current(participant)
    store.close()
    later = AnswerStore(study.answers, 1.0, lambda number: [], clock=clock)
    assert later.current(participant) == showing
    later.close()


def test_the_time_of_day_decides_nothing(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(study)
    participant = join(store)
    showing = store.current(participant)
    assert showing is not None
    store.begin(participant, showing.name)
    monkeypatch.setattr(time, "time", lambda: 4e9)  # somebody sets the clock
    with pytest.raises(Refused, match="before the images were seen"):
        store.answer(participant, showing.name, 0, WELL)
    monkeypatch.setattr(time, "time", lambda: 0.0)
    time.sleep(study.config.exposure)
    assert store.answer(participant, showing.name, 0, WELL) is not None
    store.close()


def test_after_a_restart_only_the_time_since_then_counts(study: Study, clock: Clock) -> None:
    store = open_store(study, clock=clock)
    participant = join(store)
    name = see(store, clock, participant)
    store.close()
    clock.now = 3.0  # the clock of a machine that has started again
    again = open_store(study, clock=clock)
    with pytest.raises(Busy, match="just started"):  # and not refused: the page sends the answer again
        again.answer(participant, name, 0, WELL)
    clock.now += study.config.exposure
    assert again.answer(participant, name, 0, WELL) is not None
    ((_, _, (answer,)),) = read_answers(study.answers)
    assert answer.marks == ()
    again.close()


def test_a_lock_of_another_program_delays_and_loses_nothing(store: AnswerStore, study: Study, clock: Clock) -> None:
    participant = join(store)
    name = see(store, clock, participant)
    other = sqlite3.connect(study.answers, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    started = time.monotonic()
    for write in (store.join, lambda: store.answer(participant, name, 0, WELL), lambda: store.current(participant)):
        with pytest.raises(Busy, match="locked"):
            write()
    assert time.monotonic() - started < 3 * BUSY_SECONDS + 2
    other.execute("ROLLBACK")
    other.close()
    assert store.answer(participant, name, 0, WELL) is not None
    assert stored(store, study) == 1


DAMAGES = {
    "a schedule that is nested": "UPDATE participants SET schedule = replace(hex(zeroblob(50000)), '00', '[')",
    "a schedule that is no list": "UPDATE participants SET schedule = '7'",
    "an answer beyond the schedule": "UPDATE answers SET place = 99",
    "marks that are no JSON": "UPDATE answers SET marks = '['",
    "no table": "DROP TABLE answers",
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damaged_answers_are_one_line(store: AnswerStore, study: Study, clock: Clock, damage: str) -> None:
    participant = join(store)
    store.answer(participant, see(store, clock, participant), 0, WELL)
    store.close()
    with closing(sqlite3.connect(study.answers)) as connection:
        connection.execute(damage)
        connection.commit()
    with pytest.raises(UserError, match="the answers cannot be read"):
        read_answers(study.answers)


def test_a_file_that_is_no_database_is_one_line(study: Study) -> None:
    study.answers.write_bytes(b"no database" * 1000)
    with pytest.raises(UserError, match="the answers cannot be read"):
        read_answers(study.answers)
    with pytest.raises(UserError, match="the answers cannot be opened"):
        open_store(study)


def test_the_file_is_written_ahead_and_synced(store: AnswerStore) -> None:
    assert store._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert store._connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL


def test_answers_may_be_read_while_they_are_written(store: AnswerStore, study: Study, clock: Clock) -> None:
    assert read_answers(study.folder / "nothing.sqlite") == []
    participant = join(store)
    name = see(store, clock, participant)
    store._connection.execute("BEGIN IMMEDIATE")
    assert read_answers(study.answers) == [(0, 8, [])]
    store._connection.execute("ROLLBACK")
    store.answer(participant, name, 1, WELL)
    assert json.dumps([answer.choice for _, _, answers in read_answers(study.answers) for answer in answers]) == "[1]"
