"""Lines for the user about a preparation: slow choices before it, failed objects and notes of the readers after it."""

import os
import re
from collections.abc import Sequence

from data_prep.basis import Basis
from data_prep.pipeline.prepare import TOO_FEW_FOR_WORKERS
from data_prep.source import Source

FAILURES_SHOWN = 5
KINDS_OF_NOTES_SHOWN = 8
SHOW_ALL = "`prep --json` with the same options lists all"


def list_slow_choices(source: Source, basis: Basis, workers: int | None) -> list[str]:
    """List the options that make ``prep`` slow.

    Parameters
    ----------
    source : Source
        The raw data.
    basis : Basis
        The basis of the maps.
    workers : int or None
        The number of worker processes that was asked for.

    Returns
    -------
    list of str
        A line for each slow choice; usually none.
    """
    hints = []
    cores = os.cpu_count() or 1
    if workers in (0, 1) and cores > 1 and len(source.items) >= TOO_FEW_FOR_WORKERS:
        hints.append(f"one process for {len(source.items)} objects: without --workers, prep uses all {cores} cores")
    if basis.sampling == "farthest":
        # docs/spectral-maps.md: 32 ms a mesh instead of 2.5 ms
        hints.append("farthest points take about ten times as long as --sampling area")
    return hints


def describe_failures(failures: Sequence[tuple[str, str]], show_all: str = SHOW_ALL) -> list[str]:
    """Describe the failed objects of a map file, one line each, the first five; a sixth one if it is the last.

    Parameters
    ----------
    failures : sequence of (id, reason)
        The failures of a map file.
    show_all : str
        How the user sees all of them.

    Examples
    --------
    >>> from data_prep.pipeline.remarks import describe_failures
    >>> describe_failures([("a.off", "no faces")])
    ['failed: a.off: no faces']
    """
    # A line that says "1 more" takes as much space as the failure.
    shown = len(failures) if len(failures) <= FAILURES_SHOWN + 1 else FAILURES_SHOWN
    lines = [f"failed: {identity}: {reason}" for identity, reason in failures[:shown]]
    if len(failures) > shown:
        lines.append(f"failed: {len(failures) - shown} more, {show_all}")
    return lines


def describe_notes(notes: Sequence[tuple[str, str]], show_all: str = SHOW_ALL) -> list[str]:
    """Describe the notes of readers, one line for each kind; notes that differ only in numbers are of one kind.

    Parameters
    ----------
    notes : sequence of (id, note)
        The notes of a map file.
    show_all : str
        How the user sees all of them.

    Examples
    --------
    >>> from data_prep.pipeline.remarks import describe_notes
    >>> describe_notes([("a.xyz", "3 of 600 rows left out"), ("b.xyz", "1 of 50 rows left out")])
    ['note: a.xyz and 1 more: 3 of 600 rows left out']
    """
    kinds: dict[str, list[tuple[str, str]]] = {}
    for identity, note in notes:
        kinds.setdefault(re.sub(r"\d+", "0", note), []).append((identity, note))
    lines = []
    for (identity, note), *others in list(kinds.values())[:KINDS_OF_NOTES_SHOWN]:
        lines.append(f"note: {identity}{f' and {len(others)} more' if others else ''}: {note}")
    if len(kinds) > KINDS_OF_NOTES_SHOWN:
        lines.append(f"note: {len(kinds) - KINDS_OF_NOTES_SHOWN} more kinds, {show_all}")
    return lines
