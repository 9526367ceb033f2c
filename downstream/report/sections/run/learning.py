"""Learning curves: losses, errors of predictions, and feature statistics during training."""

from markupsafe import Markup

from downstream.figures.training_curves import NOT_DRAWN
from downstream.report.evidence import Evidence
from downstream.report.line_chart import draw_line_chart
from downstream.report.templating import render

TITLES = {
    "loss": "loss",
    "answer_error": "error of predictions on training samples",
    "knn_accuracy": "accuracy of nearest neighbours on monitored training samples",
    "effective_rank": "effective rank of the features",
}


def render_learning(evidence: Evidence) -> Markup | None:
    """Render one chart for each name in ``metrics.jsonl``."""
    names = dict.fromkeys(name for row in evidence.metrics for name in row if name not in NOT_DRAWN)
    first = [name for name in TITLES if name in names]
    charts = []
    for name in [*first, *(name for name in names if name not in TITLES)]:
        curve = [(row["epoch"], row[name]) for row in evidence.metrics if isinstance(row.get(name), int | float)]
        charts.append(draw_line_chart(TITLES.get(name, name), "epoch", name, {name: curve}))
    drawn = [chart for chart in charts if chart is not None]
    return render("charts.html", text="", charts=drawn) if drawn else None
