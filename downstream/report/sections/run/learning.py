"""Losses, errors of answers, and what the features were worth while they were learnt."""

from markupsafe import Markup

from downstream.figures.predictions import NOT_DRAWN
from downstream.report.evidence import Evidence
from downstream.report.line_chart import line_chart
from downstream.report.templating import render

WORDS = {
    "loss": "loss",
    "answer_error": "error of answers to training samples",
    "knn_accuracy": "10 neighbours, on watched training samples",
    "effective_rank": "effective rank of the features",
}


def learning(evidence: Evidence) -> Markup | None:
    """One chart for each name in ``metrics.jsonl``."""
    names = dict.fromkeys(name for row in evidence.metrics for name in row if name not in NOT_DRAWN)
    first = [name for name in WORDS if name in names]
    charts = []
    for name in [*first, *(name for name in names if name not in WORDS)]:
        curve = [(row["epoch"], row[name]) for row in evidence.metrics if isinstance(row.get(name), int | float)]
        charts.append(line_chart(WORDS.get(name, name), "epoch", name, {name: curve}))
    drawn = [chart for chart in charts if chart is not None]
    return render("charts.html", text="", charts=drawn) if drawn else None
