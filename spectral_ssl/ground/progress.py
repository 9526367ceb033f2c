"""Progress of a long step on stderr: a bar on a terminal, elsewhere a plain line every few seconds.

``progress`` shows how many parts are done and estimates the time left (``TimeLeft``). ``busy``
tells that a step without parts goes on. ``say`` prints one line. ``quiet`` silences all of them.
Results (stdout) and errors are never silenced. rich chooses the colours, and uses none if stderr is
no terminal or ``NO_COLOR`` is set.
"""

import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from math import inf
from typing import Protocol

from spectral_ssl.ground.terminal import printable, process_rank, wrap

WINDOW = 60.0  # seconds: the speed is that of the last minute, because it changes, e.g. once all workers have started
SECONDS_BETWEEN_LINES = 5.0
SECONDS_OF_SILENCE = 1.8  # A step that takes longer tells the user that it goes on.
FIRST_SECONDS = 60.0  # After this time lines come every SECONDS_BETWEEN_LINES, so that logs stay short.

_silent: ContextVar[bool] = ContextVar("silent", default=False)


class Advance(Protocol):
    """A function to call with the number of parts done since the last call and a short text."""

    def __call__(self, steps: int = 1, text: str = "") -> None:
        """Count ``steps`` more parts as done."""
        ...


def say(line: str) -> None:
    """Print one line for the user on stderr, so that stdout holds results only.

    Inside ``quiet`` nothing is printed. Of several processes only the main process prints.
    """
    if not _silent.get() and process_rank() == 0:
        _status.clear()
        _status.told = time.perf_counter()
        print(wrap(line, sys.stderr), file=sys.stderr, flush=True)


@contextmanager
def quiet() -> Iterator[None]:
    """Print neither lines nor progress within this block.

    Examples
    --------
    >>> from spectral_ssl import prep, quiet
    >>> with quiet():
    ...     maps = prep("digits", out=folder / "digits.h5")
    """
    token = _silent.set(True)
    try:
        yield
    finally:
        _silent.reset(token)


@contextmanager
def progress(what: str, total: int, most_seconds: float = 0.0) -> Iterator[Advance]:
    """Show how many of the ``total`` parts of a step are done.

    Parameters
    ----------
    what : str
        Name of the step.
    total : int
        Number of parts.
    most_seconds : float
        Time limit of the step: no more time than this is ever shown as left. 0 means no limit.

    Yields
    ------
    Advance
        The function to call as parts are done.
    """
    if _silent.get():
        yield _ignore
        return
    on_terminal = sys.stderr.isatty() and process_rank() == 0
    show = _show_bar if on_terminal else _print_lines
    _status.steps += 1
    _status.clear()
    try:
        with show(what, TimeLeft(total, most_seconds)) as advance:
            yield advance
    finally:
        _status.steps -= 1


@contextmanager
def busy(what: str) -> Iterator[None]:
    """Tell the user every two seconds that a step goes on whose parts cannot be counted.

    A short step prints nothing. On a terminal a single line is rewritten, and cleared at the end.

    Parameters
    ----------
    what : str
        Name of the step.

    Examples
    --------
    >>> from spectral_ssl.ground.progress import busy
    >>> with busy("reading the list of files"):
    ...     names = ["a.off", "b.off"]
    """
    if _silent.get() or process_rank() != 0:
        yield
        return
    started, done = time.perf_counter(), threading.Event()
    _status.levels += 1
    level = _status.levels
    if level == 1 and _status.is_silent():
        _status.told = started  # until now, nothing was to be told

    def tell() -> None:
        while not done.wait(SECONDS_OF_SILENCE / 6):
            if _status.is_silent() and not _status.steps and _status.levels == level:
                _status.show(f"{what}: {time.perf_counter() - started:.0f} s")

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        done.set()
        teller.join()
        _status.levels -= 1
        _status.clear()


class _Status:
    """The line that ``busy`` shows: rewritten on a terminal, and cleared before any other output."""

    def __init__(self) -> None:
        self.steps = 0  # Number of steps whose parts are counted at present; they show their own progress.
        self.told = time.perf_counter()  # Time of the last output.
        self.levels = 0  # Number of blocks of ``busy`` within each other; the innermost tells.
        self._width = 0

    def is_silent(self) -> bool:
        """Tell whether the last output was so long ago that the user must be told something."""
        return time.perf_counter() - self.told >= SECONDS_OF_SILENCE

    def measure_silence(self) -> float:
        """Measure the seconds since the last output, at most ``SECONDS_OF_SILENCE``."""
        return min(time.perf_counter() - self.told, SECONDS_OF_SILENCE)

    def show(self, line: str) -> None:
        """Show the line in place of the previous one."""
        self.clear()
        self.told = time.perf_counter()
        if not sys.stderr.isatty():
            print(printable(line), file=sys.stderr, flush=True)
            return
        self._width = len(printable(line))
        print(printable(line), end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Remove the line on a terminal."""
        if self._width:
            print(f"\r{' ' * self._width}\r", end="", file=sys.stderr, flush=True)
        self._width = 0


_status = _Status()


class TimeLeft:
    """Estimates the time left from the speed within the last minute.

    Parts that were done before the first note do not count: a resumed step jumps there at once.

    Parameters
    ----------
    total : int
        Number of parts.
    most_seconds : float
        Time limit of the step in seconds; 0 means no limit.
    """

    def __init__(self, total: int, most_seconds: float = 0.0) -> None:
        self.total = total
        self._most = most_seconds or inf
        self._noted: deque[tuple[float, int]] = deque()
        self._started: float | None = None

    def note(self, done: int, now: float) -> None:
        """Record that ``done`` parts in all are finished at the time ``now``, in seconds of any clock."""
        if self._started is None:
            self._started = now
        self._noted.append((now, done))
        while len(self._noted) > 2 and now - self._noted[1][0] > WINDOW:
            self._noted.popleft()

    def seconds(self) -> float | None:
        """Estimate the seconds left after the last note; return None while the speed is unknown."""
        if self._started is None:
            return None
        (first, before), (last, done) = self._noted[0], self._noted[-1]
        if done <= before or last <= first:
            return None
        by_speed = (self.total - done) * (last - first) / (done - before)
        return max(0.0, min(by_speed, self._most - (last - self._started)))


def format_duration(seconds: float) -> str:
    """Write a duration for a reader: "8 s", "3 min", "2 h 05 min", "4 days"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"{minutes} min"
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes / 1440:.0f} days"


def _ignore(steps: int = 1, text: str = "") -> None:
    pass


@contextmanager
def _show_bar(what: str, left: TimeLeft) -> Iterator[Advance]:
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
            bar.update(task, advance=steps, text=text, left=_format_left(left))

        yield advance


@contextmanager
def _print_lines(what: str, left: TimeLeft) -> Iterator[Advance]:
    """Print plain lines: in the first minute one every two seconds, also while no part is finished."""
    started = time.monotonic()
    last = started - _status.measure_silence()
    done = 0
    note = ""
    ended = threading.Event()

    def show(now: float) -> None:
        nonlocal last
        last = now
        rest = "" if done >= left.total else _format_left(left)
        parts = [f"{done}/{left.total}", f"{now - started:.0f} s", rest, note]
        say(f"{what}: {', '.join(part for part in parts if part)}")

    def is_due(now: float) -> bool:
        return now - last >= (SECONDS_OF_SILENCE if now - started < FIRST_SECONDS else SECONDS_BETWEEN_LINES)

    def advance(steps: int = 1, text: str = "") -> None:
        nonlocal done, note
        done += steps
        note = text
        now = time.monotonic()
        left.note(done, now)
        if done >= left.total or is_due(now):
            show(now)

    def tell() -> None:
        while not ended.wait(SECONDS_OF_SILENCE / 4):
            now = time.monotonic()
            if is_due(now):
                show(now)

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield advance
    finally:
        ended.set()
        teller.join()


def _format_left(left: TimeLeft) -> str:
    seconds = left.seconds()
    return "" if seconds is None else f"about {format_duration(seconds)} left"
