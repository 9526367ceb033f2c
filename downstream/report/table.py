"""Tables of a report, which readers can sort."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Table:
    """The content of a table.

    Attributes
    ----------
    caption : str
        Caption, which is shown and read out by screen readers.
    columns : sequence of str
        Titles of the columns.
    rows : sequence of sequence
        Cells of each row: text, numbers, None for an empty cell, or ``Score``. The first cell names
        the row.
    sortable : bool
        Whether the titles of the columns are buttons that sort.
    marked : int or None
        Index of a row to highlight.
    is_better : bool
        Whether the highlighted row is shown to be better than the others, which makes it green.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    sortable: bool = True
    marked: int | None = None
    is_better: bool = False


@dataclass(frozen=True)
class Score:
    """A number, and the text that shows it."""

    value: float
    text: str


def make_score(value: Any) -> Score | None:
    """Make a cell from a score of a stored result; None if there is no score."""
    return None if value is None else Score(float(value), f"{value:.3f}")


def format_cell(cell: Any) -> str:
    """Format a cell as text; numbers have four significant digits."""
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
    """Return the number by which a cell is sorted, with all digits; "" if it is sorted by its text."""
    value = cell.value if isinstance(cell, Score) else cell
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return repr(value)
    return ""
