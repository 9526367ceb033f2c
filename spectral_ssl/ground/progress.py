"""Progress of a long step: a bar on a terminal, a plain line every few seconds elsewhere. Everything goes to stderr."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from spectral_ssl.ground.launch import process_place
from spectral_ssl.ground.printable import printable

SECONDS_BETWEEN_LINES = 5.0


class Advance(Protocol):
    """Called with the number of steps done since the last call and a short text."""

    def __call__(self, steps: int = 1, text: str = "") -> None:
        """Say that ``steps`` more are done."""
        ...


def say(line: str) -> None:
    """Print one line for the user, on stderr, so that stdout holds results only."""
    if process_place() == 0:
        print(printable(line), file=sys.stderr, flush=True)


@contextmanager
def progress(what: str, total: int) -> Iterator[Advance]:
    """Show how far a step of ``total`` parts has come.

    Parameters
    ----------
    what : str
        Name of the step.
    total : int
        Number of parts.

    Yields
    ------
    Advance
        To be called as parts are done.
    """
    if sys.stderr.isatty() and process_place() == 0:
        with _bar(what, total) as advance:
            yield advance
    else:
        yield _lines(what, total)


@contextmanager
def _bar(what: str, total: int) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[text]}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=total, text="")

        def advance(steps: int = 1, text: str = "") -> None:
            bar.update(task, advance=steps, text=text)

        yield advance


def _lines(what: str, total: int) -> Advance:
    started = last = time.monotonic()
    done = 0

    def advance(steps: int = 1, text: str = "") -> None:
        nonlocal last, done
        done += steps
        now = time.monotonic()
        if done >= total or now - last >= SECONDS_BETWEEN_LINES:
            last = now
            say(f"{what}: {done}/{total}, {now - started:.0f} s{', ' + text if text else ''}")

    return advance
