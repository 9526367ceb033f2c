"""The answers of participants in SQLite, with a synced write-ahead log, so that no accepted answer is ever lost.

=============  =======================================================================================================
participants   number, hash of the code, time of joining, schedule
showings       a trial that was sent to a page: its random name, participant, position, time of showing the images
answers        one for each participant and position (column ``place``): choice, measured exposure, marks
=============  =======================================================================================================

The database holds nothing else about a participant: no address, no name, no browser.
"""

import json
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from downstream.study.design import Trial
from spectral_ssl.ground.errors import UserError

LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # without I, L, O, U, which are easily misread
CODE_LENGTH = 16  # 5 bits each: 80 bits cannot be guessed
LEAST_EXPOSURE = 0.9  # part of the exposure that must have passed on the server's clock before an answer
BUSY_SECONDS = 1.0  # a page repeats a request that another program's lock has held up
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
    """An answer or a request is refused: it is forged, repeated, out of order or too early."""


class Busy(Exception):
    """The database cannot be read or written now; the same request may succeed later."""


@dataclass(frozen=True)
class Measured:
    """Times that the page measured while it showed a trial, in milliseconds.

    Attributes
    ----------
    exposure : float
        Time from the frame that showed the images to the frame that hid them.
    frame : float
        Length of a frame: the median while the images were shown.
    response : float
        Time from hiding the images to the answer.
    hidden : bool
        Whether the page was hidden in the meantime.
    """

    exposure: float
    frame: float
    response: float
    hidden: bool


@dataclass(frozen=True)
class Showing:
    """A trial for a page: its random name, its position in the schedule, and the schedule's length."""

    name: str
    position: int
    of: int
    trial: Trial


@dataclass(frozen=True)
class Answer:
    """A stored answer: position in the schedule, trial, choice, measured times, and reasons to exclude it."""

    position: int
    trial: Trial
    choice: int
    exposure: float
    response: float
    marks: tuple[str, ...]


class AnswerStore:
    """The database of answers, open for writing by one server; its methods may be called from any thread.

    Parameters
    ----------
    path : Path
        The database file; it is made if it is missing.
    exposure : float
        Seconds for which images must be shown.
    plan : callable
        Function from the number of a participant to their schedule.
    most : int
        Largest number of participants.
    clock : callable
        Function that returns seconds that never decrease. It decides whether images have been seen;
        the time of day in the database is for people only.

    Raises
    ------
    UserError
        If the database is damaged, cannot be written, or is locked by another program.
    """

    def __init__(
        self,
        path: Path,
        exposure: float,
        plan: Callable[[int], list[Trial]],
        most: int = 1000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.exposure, self.plan, self.most, self.clock = exposure, plan, most, clock
        self._started = clock()
        self._begun: dict[str, float] = {}  # name of a showing -> when its images were shown, on the clock
        # one connection and a lock are enough, because SQLite writes one transaction at a time
        # anyway
        self._lock = threading.Lock()
        try:
            self._connection = _connect(path)
        except sqlite3.Error as error:
            advice = "close other programs that use it; restore the file from a copy if it is damaged"
            raise UserError("the answers cannot be opened", f"{path} ({error})", advice) from error

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """Hold the connection alone; raise Busy if that is not possible soon, or if SQLite fails."""
        if not self._lock.acquire(timeout=BUSY_SECONDS):
            raise Busy("the database of answers is busy")
        try:
            yield self._connection
        except sqlite3.Error as error:
            raise Busy(f"the database of answers cannot be used now: {error}") from error
        finally:
            self._lock.release()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Hold the connection alone in a transaction, which is on the disk when the block has ended."""
        with self._reading() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def join(self) -> str:
        """Add a new participant and return their code, which is not stored anywhere.

        Raises
        ------
        Refused
            If the study is full.
        """
        code = "".join(secrets.choice(LETTERS) for _ in range(CODE_LENGTH))
        with self._writing() as connection:
            number = connection.execute("SELECT count(*) FROM participants").fetchone()[0]
            if number >= self.most:
                raise Refused("the study is full")
            trials = json.dumps([trial.to_json() for trial in self.plan(number)])
            row = (number, _hash(code), time.time(), trials)
            connection.execute("INSERT INTO participants VALUES (?, ?, ?, ?)", row)
        return code

    def find(self, code: str) -> int | None:
        """Return the number of the participant with this code, or None."""
        with self._reading() as connection:
            found = connection.execute(
                "SELECT number FROM participants WHERE code_hash = ?", (_hash(normalise_code(code)),)
            ).fetchone()
        return None if found is None else int(found[0])

    def current(self, participant: int) -> Showing | None:
        """Return the current trial of a participant, or None if there is none left.

        If its images were shown already (the page was reloaded), the trial gets a new name, and its
        answer a mark.
        """
        with self._writing() as connection:
            return _find_current(connection, participant)

    def showing(self, participant: int, name: str) -> Showing:
        """Return the trial of that name if the participant may fetch its images: it is current and not yet shown.

        Raises
        ------
        Refused
            If it belongs to someone else, was shown already, or is not the current trial.
        """
        with self._reading() as connection:
            return _find_named(connection, participant, name, begun=False)

    def begin(self, participant: int, name: str) -> None:
        """Record that the images are about to be shown.

        Raises
        ------
        Refused
            For the same reasons as ``showing``.
        """
        with self._writing() as connection:
            _find_named(connection, participant, name, begun=False)
            connection.execute("UPDATE showings SET begun = ? WHERE name = ?", (time.time(), name))
            self._begun[name] = self.clock()

    def answer(self, participant: int, name: str, choice: int, measured: Measured) -> Showing | None:
        """Store an answer and return the next trial; the answer is on the disk when this returns.

        Raises
        ------
        Refused
            If the trial belongs to someone else, is not the current one, was never shown, or was
            shown too recently to have been seen; also if there is no such choice.
        """
        with self._writing() as connection:
            showing = _find_named(connection, participant, name, begun=True)
            if not 0 <= choice < max(2, len(showing.trial.shown)):
                raise Refused("no such choice")
            if self.clock() - self._begun.get(name, self._started) < LEAST_EXPOSURE * self.exposure:
                if name in self._begun:
                    raise Refused("answered before the images were seen")
                # Of images that were shown before this server started, only the time since then is
                # certain. The page sends the answer again.
                raise Busy("the server has just started")
            shown = connection.execute(
                "SELECT count(*) FROM showings WHERE participant = ? AND place = ? AND begun IS NOT NULL",
                (participant, showing.position),
            ).fetchone()[0]
            marks = json.dumps(self._find_marks(measured, shown))
            times = (measured.exposure, measured.frame, measured.response)
            row = (participant, showing.position, choice, *times, marks, time.time())
            connection.execute("INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
            self._begun.pop(name, None)
            return _find_current(connection, participant)

    def _find_marks(self, measured: Measured, shown: int) -> list[str]:
        """List the reasons to exclude an answer; a frame of the screen may take from 4 to 34 ms."""
        slack = min(max(measured.frame, 4.0), 34.0) + 1.0
        wanted = 1000 * self.exposure
        marks = {
            HIDDEN: measured.hidden,
            TOO_LONG: measured.exposure > wanted + slack,
            TOO_SHORT: measured.exposure < wanted - slack,
            TWICE: shown > 1,
        }
        return [mark for mark, applies in marks.items() if applies]


def _connect(path: Path) -> sqlite3.Connection:
    """Open a database for writing, with a synced write-ahead log, and make its tables."""
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    mode = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
    if mode != "wal":
        raise UserError(
            "SQLite cannot keep a write-ahead log there", f"{path}: {mode}", "put the study on a local disk"
        )
    connection.execute("PRAGMA synchronous=FULL")  # each commit is synced to the disk before it returns
    connection.execute("PRAGMA foreign_keys=ON")
    connection.executescript(_TABLES)
    return connection


def read_answers(path: Path) -> list[tuple[int, int, list[Answer]]]:
    """Read (number, length of the schedule, answers) of each participant; a server may write at the same time.

    Raises
    ------
    UserError
        If the database is damaged, or locked by another program.
    """
    if not path.exists():
        return []
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=30)) as connection:
            found = connection.execute("SELECT number, schedule FROM participants ORDER BY number").fetchall()
            return [(number, *_read_participant(connection, number, text)) for number, text in found]
    except (sqlite3.Error, ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
        advice = "close other programs that use it, or restore the file from a copy"
        raise UserError("the answers cannot be read", f"{path} ({error})", advice) from error


def _read_participant(connection: sqlite3.Connection, number: int, schedule: str) -> tuple[int, list[Answer]]:
    """Read the length of a participant's schedule and their answers."""
    trials = [Trial.from_json(value) for value in json.loads(schedule)]
    rows = connection.execute(
        "SELECT place, choice, exposure, response, marks FROM answers WHERE participant = ? ORDER BY place", (number,)
    ).fetchall()
    return len(trials), [
        Answer(position, trials[position], choice, exposure, response, tuple(json.loads(marks)))
        for position, choice, exposure, response, marks in rows
    ]


def normalise_code(text: str) -> str:
    """Remove spaces and hyphens from a code that a person has typed, and correct letters that are easily misread."""
    return "".join(text.upper().split()).replace("-", "").translate(str.maketrans("OIL", "011"))


def _hash(code: str) -> str:
    return sha256(code.encode()).hexdigest()


def _read_schedule(connection: sqlite3.Connection, participant: int) -> tuple[int, list[Trial]]:
    """Read the position of the current trial, and all trials of a participant."""
    (text,) = connection.execute("SELECT schedule FROM participants WHERE number = ?", (participant,)).fetchone()
    (answered,) = connection.execute("SELECT count(*) FROM answers WHERE participant = ?", (participant,)).fetchone()
    return answered, [Trial.from_json(value) for value in json.loads(text)]


def _find_current(connection: sqlite3.Connection, participant: int) -> Showing | None:
    """Find the current trial of a participant, and name it if it has no name yet; None after the last trial."""
    position, trials = _read_schedule(connection, participant)
    if position == len(trials):
        return None
    row = connection.execute(
        "SELECT name FROM showings WHERE participant = ? AND place = ? AND begun IS NULL", (participant, position)
    ).fetchone()
    name = row[0] if row else secrets.token_urlsafe(16)
    if not row:
        connection.execute("INSERT INTO showings VALUES (?, ?, ?, NULL)", (name, participant, position))
    return Showing(name, position, len(trials), trials[position])


def _find_named(connection: sqlite3.Connection, participant: int, name: str, *, begun: bool) -> Showing:
    """Find the current trial by its name; refuse it unless its images were shown (``begun``) or were not."""
    row = connection.execute(
        "SELECT place, begun FROM showings WHERE name = ? AND participant = ?", (name, participant)
    ).fetchone()
    position, trials = _read_schedule(connection, participant)
    if row is None or row[0] != position or position == len(trials):
        raise Refused("not the current trial")
    if begun != (row[1] is not None):
        raise Refused("shown already" if row[1] is not None else "never shown")
    return Showing(name, position, len(trials), trials[position])
