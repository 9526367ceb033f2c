"""What people (or scripts in their place) said of the run's answers, beside other runs: of ``study results``."""

from typing import Any

from markupsafe import Markup

from downstream.report.evidence import Evidence
from downstream.report.table import Score, Table
from downstream.report.templating import fragment, render

NOT_SCORES = ("method", "answers")


def human_studies(evidence: Evidence) -> Markup | None:
    """A table of each study's scores with their intervals, the newest first; None where there is no study."""
    tables = [fragment(_table(study)) for study in reversed(evidence.studies) if study.get("scores")]
    return render("tables.html", tables=tables) if tables else None


def _table(study: dict[str, Any]) -> Table:
    scores = study["scores"]
    names = [name for name in scores[0] if name not in NOT_SCORES]
    note = f"; {study['note']}" if study.get("note") else ""
    people = f"{study.get('participants', '?')} participants, {len(study.get('excluded', []))} excluded"
    return Table(
        caption=f"{study.get('kind', 'study')}: {people}{note}",
        columns=["method", "answers that count", *names],
        rows=[[row["method"], row["answers"], *(_cell(row.get(name)) for name in names)] for row in scores],
    )


def _cell(value: Any) -> Any:
    """A number, or a value with the ends of its 95 % interval."""
    if isinstance(value, dict) and value.get("value") is not None:
        return Score(float(value["value"]), f"{value['value']:.3f} ({value['low']:.3f} to {value['high']:.3f})")
    return value if isinstance(value, int | float | str) else None
