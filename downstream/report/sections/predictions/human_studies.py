"""Results of human studies, which compare the predictions of this run and of others (from ``study results``)."""

from typing import Any

from markupsafe import Markup

from downstream.report.evidence import Evidence
from downstream.report.table import Score, Table
from downstream.report.templating import render, render_table

NOT_SCORES = ("method", "answers")


def render_human_studies(evidence: Evidence) -> Markup | None:
    """Render a table for each study, the newest first: scores with their intervals; None if there is no study."""
    tables = [render_table(_build_table(study)) for study in reversed(evidence.studies) if study.get("scores")]
    return render("tables.html", tables=tables) if tables else None


def _build_table(study: dict[str, Any]) -> Table:
    scores = study["scores"]
    names = [name for name in scores[0] if name not in NOT_SCORES]
    note = f"; {study['note']}" if study.get("note") else ""
    people = f"{study.get('participants', '?')} participants, {len(study.get('excluded', []))} excluded"
    return Table(
        caption=f"{study.get('kind', 'study')}: {people}{note}",
        columns=["method", "valid answers", *names],
        rows=[[row["method"], row["answers"], *(_make_cell(row.get(name)) for name in names)] for row in scores],
    )


def _make_cell(value: Any) -> Any:
    """Make a cell: a number, or a value with its 95 % interval."""
    if isinstance(value, dict) and value.get("value") is not None:
        return Score(float(value["value"]), f"{value['value']:.3f} ({value['low']:.3f} to {value['high']:.3f})")
    return value if isinstance(value, int | float | str) else None
