"""A table of the report, which its reader can sort."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Table:
    """What a table holds.

    Attributes
    ----------
    caption : str
        What it is a table of; read out by screen readers, and shown.
    columns : sequence of str
        Their titles.
    rows : sequence of sequence
        Cells: text, numbers, None for nothing, or ``Score``. The first one names its row.
    sortable : bool
        Whether the titles of the columns are buttons.
    marked : int or None
        A row to stress.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    sortable: bool = True
    marked: int | None = None


@dataclass(frozen=True)
class Score:
    """A number and the text it is shown as."""

    value: float
    text: str


def score(value: Any, deviation: Any = None) -> Score | None:
    """A score of a stored result with its deviation; None where there is none."""
    if value is None:
        return None
    spread = f" ± {deviation:.3f}" if deviation is not None else ""
    return Score(float(value), f"{value:.3f}{spread}")


def shown(cell: Any) -> str:
    """The text of a cell: numbers to four significant digits."""
    if cell is None:
        return "–"
    if isinstance(cell, Score):
        return cell.text
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, float):
        return f"{cell:.4g}" if math.isfinite(cell) else "–"
    return str(cell)


def sort_key(cell: Any) -> str:
    """By what a cell is sorted where that is not its text: its number, with all digits; else nothing."""
    value = cell.value if isinstance(cell, Score) else cell
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return repr(value)
    return ""
