"""What participants answered, in SQLite: written ahead and synced, so that no answer that was taken is ever lost.

=============  =======================================================================================================
participants   number, hash of the code, time of joining, schedule
showings       a trial that was sent to a page: its random name, participant, place, when the images were to be shown
answers        one for each participant and place: choice, measured exposure, marks
=============  =======================================================================================================

There is nothing else about anybody: no address, no name, no browser.
"""

import json
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from downstream.study.design import Trial
from spectral_ssl.ground.errors import UserError

LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # without I, L, O, U: nobody takes one for another
CODE_LENGTH = 16  # of 5 bits: 80 bits that nobody guesses
HASTE = 0.9  # part of the asked exposure that must have gone by on the server's clock
HIDDEN, TOO_LONG, TOO_SHORT, TWICE = "page hidden", "shown too long", "shown too short", "shown twice"

_TABLES = """
CREATE TABLE IF NOT EXISTS participants (
    number INTEGER PRIMARY KEY, code_hash TEXT NOT NULL UNIQUE, joined REAL NOT NULL, schedule TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS showings (
    name TEXT PRIMARY KEY, participant INTEGER NOT NULL REFERENCES participants, place INTEGER NOT NULL, begun REAL);
CREATE INDEX IF NOT EXISTS showings_of ON showings (participant, place);
CREATE TABLE IF NOT EXISTS answers (
    participant INTEGER NOT NULL REFERENCES participants, place INTEGER NOT NULL, choice INTEGER NOT NULL,
    exposure REAL NOT NULL, frame REAL NOT NULL, response REAL NOT NULL, marks TEXT NOT NULL, answered REAL NOT NULL,
    PRIMARY KEY (participant, place));
"""


class Refused(Exception):
    """An answer or request that does not fit: forged, repeated, out of order or too early."""


@dataclass(frozen=True)
class Measured:
    """What the page measured while it showed a trial, in milliseconds.

    Attributes
    ----------
    exposure : float
        From the frame that showed the images to the frame that hid them.
    frame : float
        Length of a frame: the median distance of those while the images were shown.
    response : float
        From hiding the images to the answer.
    hidden : bool
        Whether the page was hidden meanwhile.
    """

    exposure: float
    frame: float
    response: float
    hidden: bool


@dataclass(frozen=True)
class Showing:
    """A trial for a page: its random name, its place in the schedule, and the schedule's length."""

    name: str
    place: int
    of: int
    trial: Trial


@dataclass(frozen=True)
class Answer:
    """One answer as stored: the place in the schedule, the trial, the choice, what was measured, why it is left out."""

    place: int
    trial: Trial
    choice: int
    exposure: float
    response: float
    marks: tuple[str, ...]


class AnswerStore:
    """The file of answers, opened for writing by one server; its methods may be called from any thread.

    Parameters
    ----------
    path : Path
        The file; made if it is not there.
    exposure : float
        Seconds for which images shall be seen.
    plan : callable
        participant's number -> schedule.
    most : int
        Participants that may join.
    clock : callable
        Seconds since the epoch.
    """

    def __init__(
        self,
        path: Path,
        exposure: float,
        plan: Callable[[int], list[Trial]],
        most: int = 1000,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.exposure, self.plan, self.most, self.clock = exposure, plan, most, clock
        # one connection and a lock: SQLite writes one after the other anyway
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
        mode = self._connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
        if mode != "wal":
            raise UserError("SQLite cannot write ahead there", f"{path}: {mode}", "put the study on a local disk")
        self._connection.execute("PRAGMA synchronous=FULL")  # each commit is synced to the disk before it returns
        self._connection.execute("PRAGMA foreign_keys=ON")
        self._connection.executescript(_TABLES)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def join(self) -> str:
        """Take a new participant in; their code, which is nowhere stored.

        Raises
        ------
        Refused
            When there are as many as there may be.
        """
        code = "".join(secrets.choice(LETTERS) for _ in range(CODE_LENGTH))
        with self._writing() as connection:
            number = connection.execute("SELECT count(*) FROM participants").fetchone()[0]
            if number >= self.most:
                raise Refused("the study is full")
            trials = json.dumps([trial.to_json() for trial in self.plan(number)])
            row = (number, _hash(code), self.clock(), trials)
            connection.execute("INSERT INTO participants VALUES (?, ?, ?, ?)", row)
        return code

    def find(self, code: str) -> int | None:
        """The number of the participant with this code, or None."""
        with self._lock:
            found = self._connection.execute(
                "SELECT number FROM participants WHERE code_hash = ?", (_hash(normal_code(code)),)
            ).fetchone()
        return None if found is None else int(found[0])

    def current(self, participant: int) -> Showing | None:
        """The trial that a participant is to see now, or None if there is none left.

        A trial whose images were shown already (the page was reloaded) gets a new name, and its answer a mark.
        """
        with self._writing() as connection:
            return _current(connection, participant)

    def showing(self, participant: int, name: str) -> Showing:
        """The trial of that name, whose images the participant may fetch: the one they are to see now, not yet shown.

        Raises
        ------
        Refused
            When it is another's, was shown, or is not the next.
        """
        with self._lock:
            return _named(self._connection, participant, name, begun=False)

    def begin(self, participant: int, name: str) -> None:
        """Write down that the images are about to be shown.

        Raises
        ------
        Refused
            As ``showing``.
        """
        with self._writing() as connection:
            _named(connection, participant, name, begun=False)
            connection.execute("UPDATE showings SET begun = ? WHERE name = ?", (self.clock(), name))

    def answer(self, participant: int, name: str, choice: int, measured: Measured) -> Showing | None:
        """Store an answer and give the next trial; the answer is on the disk when this returns.

        Raises
        ------
        Refused
            When the trial is another's, not the next, answered already, was never shown, or was shown too short a time
            ago for anyone to have seen it; and when there is no such choice.
        """
        with self._writing() as connection:
            showing = _named(connection, participant, name, begun=True)
            if not 0 <= choice < max(2, len(showing.trial.shown)):
                raise Refused("no such choice")
            begun = connection.execute("SELECT begun FROM showings WHERE name = ?", (name,)).fetchone()[0]
            now = self.clock()
            if now - begun < HASTE * self.exposure:
                raise Refused("answered before it was seen")
            shown = connection.execute(
                "SELECT count(*) FROM showings WHERE participant = ? AND place = ? AND begun IS NOT NULL",
                (participant, showing.place),
            ).fetchone()[0]
            marks = json.dumps(self._marks(measured, shown))
            row = (participant, showing.place, choice, measured.exposure, measured.frame, measured.response, marks, now)
            connection.execute("INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
            return _current(connection, participant)

    def _marks(self, measured: Measured, shown: int) -> list[str]:
        """Why an answer is to be left out; of screens with frames of any length from 4 to 34 ms."""
        slack = min(max(measured.frame, 4.0), 34.0) + 1.0
        asked = 1000 * self.exposure
        marks = {
            HIDDEN: measured.hidden,
            TOO_LONG: measured.exposure > asked + slack,
            TOO_SHORT: measured.exposure < asked - slack,
            TWICE: shown > 1,
        }
        return [mark for mark, true in marks.items() if true]


def read_answers(path: Path) -> list[tuple[int, int, list[Answer]]]:
    """All that was answered, while a server may go on writing: (participant, length of the schedule, answers) each."""
    if not path.exists():
        return []
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=30)
    try:
        participants = []
        for number, text in connection.execute("SELECT number, schedule FROM participants ORDER BY number").fetchall():
            trials = [Trial.from_json(value) for value in json.loads(text)]
            rows = connection.execute(
                "SELECT place, choice, exposure, response, marks FROM answers WHERE participant = ? ORDER BY place",
                (number,),
            ).fetchall()
            answers = [
                Answer(place, trials[place], choice, exposure, response, tuple(json.loads(marks)))
                for place, choice, exposure, response, marks in rows
            ]
            participants.append((number, len(trials), answers))
        return participants
    finally:
        connection.close()


def normal_code(text: str) -> str:
    """A code as a person types it, without spaces and hyphens, and with what they may have misread set right."""
    return "".join(text.upper().split()).replace("-", "").translate(str.maketrans("OIL", "011"))


def _hash(code: str) -> str:
    return sha256(code.encode()).hexdigest()


def _next(connection: sqlite3.Connection, participant: int) -> tuple[int, list[Trial]]:
    (text,) = connection.execute("SELECT schedule FROM participants WHERE number = ?", (participant,)).fetchone()
    (answered,) = connection.execute("SELECT count(*) FROM answers WHERE participant = ?", (participant,)).fetchone()
    return answered, [Trial.from_json(value) for value in json.loads(text)]


def _current(connection: sqlite3.Connection, participant: int) -> Showing | None:
    place, trials = _next(connection, participant)
    if place == len(trials):
        return None
    found = connection.execute(
        "SELECT name FROM showings WHERE participant = ? AND place = ? AND begun IS NULL", (participant, place)
    ).fetchone()
    name = found[0] if found else secrets.token_urlsafe(16)
    if not found:
        connection.execute("INSERT INTO showings VALUES (?, ?, ?, NULL)", (name, participant, place))
    return Showing(name, place, len(trials), trials[place])


def _named(connection: sqlite3.Connection, participant: int, name: str, *, begun: bool) -> Showing:
    found = connection.execute(
        "SELECT place, begun FROM showings WHERE name = ? AND participant = ?", (name, participant)
    ).fetchone()
    place, trials = _next(connection, participant)
    if found is None or found[0] != place or place == len(trials):
        raise Refused("not the trial that is to be seen now")
    if begun != (found[1] is not None):
        raise Refused("shown already" if found[1] is not None else "never shown")
    return Showing(name, place, len(trials), trials[place])
