"""Progress of a long step: a bar on a terminal, a plain line every few seconds elsewhere. Everything goes to stderr.

``quiet`` silences all of it; results (stdout) and errors are not silenced. Colours are left to rich, which uses none
where stderr is no terminal or ``NO_COLOR`` is set.
"""

import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from math import inf
from typing import Protocol

from spectral_ssl.ground.terminal import printable, process_place

WINDOW = 60.0  # seconds looked back: speed changes, e.g. when worker processes have started


class TimeLeft:
    """Estimates the time left from what was done within the last minute.

    What was done before the first note counts for nothing: a step that is gone on with jumps there at once.

    Parameters
    ----------
    total : int
        Number of parts.
    most_seconds : float
        The step ends after this time in any case; 0 for no such limit.
    """

    def __init__(self, total: int, most_seconds: float = 0.0) -> None:
        self.total = total
        self._most = most_seconds or inf
        self._noted: deque[tuple[float, int]] = deque()
        self._started: float | None = None

    def note(self, done: int, now: float) -> None:
        """Note that ``done`` parts in all are finished at the time ``now``, in seconds of any clock."""
        if self._started is None:
            self._started = now
        self._noted.append((now, done))
        while len(self._noted) > 2 and now - self._noted[1][0] > WINDOW:
            self._noted.popleft()

    def seconds(self) -> float | None:
        """Seconds left after the last note; None while nothing is known of the speed."""
        if self._started is None:
            return None
        (first, before), (last, done) = self._noted[0], self._noted[-1]
        if done <= before or last <= first:
            return None
        by_speed = (self.total - done) * (last - first) / (done - before)
        return max(0.0, min(by_speed, self._most - (last - self._started)))


def in_words(seconds: float) -> str:
    """A length of time for a reader: "8 s", "3 min", "2 h 05 min", "4 days"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes / 1440:.0f} days"


SECONDS_BETWEEN_LINES = 5.0

_silent: ContextVar[bool] = ContextVar("silent", default=False)


class Advance(Protocol):
    """Called with the number of steps done since the last call and a short text."""

    def __call__(self, steps: int = 1, text: str = "") -> None:
        """Say that ``steps`` more are done."""
        ...


def say(line: str) -> None:
    """Print one line for the user, on stderr, so that stdout holds results only; nothing inside ``quiet``.

    Of several processes of a run the first one speaks.
    """
    if not _silent.get() and process_place() == 0:
        print(printable(line), file=sys.stderr, flush=True)


@contextmanager
def quiet() -> Iterator[None]:
    """Neither lines nor progress within this block."""
    token = _silent.set(True)
    try:
        yield
    finally:
        _silent.reset(token)


@contextmanager
def progress(what: str, total: int, most_seconds: float = 0.0) -> Iterator[Advance]:
    """Show how far a step of ``total`` parts has come.

    Parameters
    ----------
    what : str
        Name of the step.
    total : int
        Number of parts.
    most_seconds : float
        The step ends after this time in any case, so no more is left than that; 0 for no such limit.

    Yields
    ------
    Advance
        To be called as parts are done.
    """
    if _silent.get():
        yield _nothing
    elif sys.stderr.isatty() and process_place() == 0:
        with _bar(what, TimeLeft(total, most_seconds)) as advance:
            yield advance
    else:
        yield _lines(what, TimeLeft(total, most_seconds))


def _nothing(steps: int = 1, text: str = "") -> None:
    pass


@contextmanager
def _bar(what: str, left: TimeLeft) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[left]}", markup=False),
        TextColumn("{task.fields[text]}", markup=False),
    )
    done = 0
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=left.total, text="", left="")

        def advance(steps: int = 1, text: str = "") -> None:
            nonlocal done
            done += steps
            left.note(done, time.monotonic())
            bar.update(task, advance=steps, text=text, left=_left(left))

        yield advance


def _lines(what: str, left: TimeLeft) -> Advance:
    started = last = time.monotonic()
    done = 0

    def advance(steps: int = 1, text: str = "") -> None:
        nonlocal last, done
        done += steps
        now = time.monotonic()
        left.note(done, now)
        if done >= left.total or now - last >= SECONDS_BETWEEN_LINES:
            last = now
            rest = "" if done >= left.total else _left(left)
            parts = [f"{done}/{left.total}", f"{now - started:.0f} s", rest, text]
            say(f"{what}: {', '.join(part for part in parts if part)}")

    return advance


def _left(left: TimeLeft) -> str:
    seconds = left.seconds()
    return "" if seconds is None else f"about {in_words(seconds)} left"
