"""Several runs side by side: what differs in their settings, their scores, their curves, their answers."""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from data_prep.source import Shape
from downstream.figures.predictions import NOT_DRAWN
from downstream.probes.compared_features import TRAINED
from downstream.report.evidence import Evidence, number, probed
from downstream.report.line_chart import line_chart
from downstream.report.page import write_page
from downstream.report.sections.predictions.completions import FORMS, answer_rows, answer_shapes, is_picture, shape_rows
from downstream.report.sections.run.learning import WORDS
from downstream.report.sections.run.reproduce import reproduce
from downstream.report.table import Table, score
from downstream.report.templating import fragment, render

MOST_FORMS = 9  # answers to one map that are shown as shapes, of all runs together: with 16 000 triangles each 6 MB
OF_THE_QUESTION = ("seen", "truth")


def write_comparison(path: Path, runs: Sequence[Evidence]) -> None:
    """Write one page about several runs, in place of an earlier one.

    Parameters
    ----------
    path : Path
        HTML file.
    runs : sequence of Evidence
        At least two; named after their folders, and numbered.

    Raises
    ------
    UserError
        When the page becomes larger than 10 MB, or cannot be written.
    """
    named = {f"{place}: {run.name}": run for place, run in enumerate(runs, 1)}
    parts: dict[str, tuple[str, Markup | None]] = {
        "runs": ("Runs", fragment(_runs(named))),
        "probes": ("Probes", _tables(probe_comparison(named))),
        "evaluations": ("Scores of answers", _tables(_evaluations(named))),
        "learning": ("Learning curves", _learning(named)),
        "answers": ("Answers", _answers(named)),
        "settings": ("Settings that differ", fragment(_settings(named))),
        "reproduce": ("How to make these runs again", _reproduce(named)),
    }
    shown = {name: (title, part) for name, (title, part) in parts.items() if part is not None}
    write_page(path, f"{len(runs)} runs compared", shown)


def _runs(named: dict[str, Evidence]) -> Table:
    rows = []
    for name, run in named.items():
        place = run.run.checkpoint["place"]
        seconds = number(run.metrics[-1].get("seconds")) if run.metrics else None
        minutes = None if seconds is None else round(seconds / 60, 2)
        data = run.maps.source if run.maps else Path(run.run.plan.data).name
        rows.append([name, run.run.plan.method, run.run.plan.task, data, place["epoch"], place["step"], minutes])
    columns = ["run", "method", "task", "data", "epochs", "steps", "minutes"]
    return Table(caption="Runs", columns=columns, rows=rows)


def probe_comparison(named: dict[str, Evidence]) -> list[Table]:
    """One table for each target and pose that was probed: the runs, and the best row of each that cost no training."""
    targets: dict[str, dict[str, dict[str, Any]]] = {}
    for name, run in named.items():
        for result in run.probes:
            targets.setdefault(probed(result), {})[name] = result
    tables = []
    for target, results in targets.items():
        rows = []
        for name, result in results.items():
            own = next((row for row in result["rows"] if row["features"] == TRAINED), None)
            if own is None:
                continue
            free = [row for row in result["rows"] if not row["features"].startswith((TRAINED, "reference"))]
            scored = [row for row in free if row.get("mean") is not None]
            best = max(scored, key=lambda row: float(row["mean"])) if scored else None
            old = "" if named[name].is_current(result) else " (earlier checkpoint)"
            rows.append(
                [f"{name}{old}", own["dimensions"], score(own["mean"], own["std"]), score(own["neighbours"])]
                + ([best["features"], score(best["mean"])] if best else [None, None])
            )
        columns = ["run", "dimensions", "linear probe", "10 neighbours", "best without training", "its linear probe"]
        if rows:
            tables.append(Table(caption=target, columns=columns, rows=rows))
    return tables


def _evaluations(named: dict[str, Evidence]) -> list[Table]:
    """One table for each evaluation (its file names data and settings) with the rows of all runs."""
    files: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for name, run in named.items():
        for result in run.evaluations:
            files.setdefault(result["file"], []).append((name, result))
    tables = []
    for file, results in files.items():
        lines = [(name, result, row) for name, result in results for row in result["rows"]]
        names = list(dict.fromkeys(key for _, _, row in lines for key in row if key != "answers"))
        rows = [
            [f"{name}: {row['answers']}", result["inputs"], *(row.get(key) for key in names)]
            for name, result, row in lines
        ]
        tables.append(Table(caption=file, columns=["answers", "inputs", *names], rows=rows))
    return tables


def _learning(named: dict[str, Evidence]) -> Markup | None:
    names = dict.fromkeys(key for run in named.values() for row in run.metrics for key in row if key not in NOT_DRAWN)
    charts = []
    for key in [*(name for name in WORDS if name in names), *(name for name in names if name not in WORDS)]:
        curves = {
            name: [(row["epoch"], row[key]) for row in run.metrics if isinstance(row.get(key), int | float)]
            for name, run in named.items()
        }
        charts.append(line_chart(WORDS.get(key, key), "epoch", key, curves))
    drawn = [chart for chart in charts if chart is not None]
    text = "Losses of different methods are different things: only curves of one meaning can be compared."
    return render("charts.html", text=text, charts=drawn) if drawn else None


def _answers(named: dict[str, Evidence]) -> Markup | None:
    """Answers of all runs of one task to the same maps, in columns one run after the other."""
    answered = {name: run for name, run in named.items() if run.answered is not None and is_picture(run.run)}
    if not answered:
        return None
    first = next(iter(answered.values()))
    asked = {name: run for name, run in answered.items() if _same_question(run, first)}
    titles: list[str] = []
    rows: list[dict[str, Any]] = []
    for name, run in asked.items():
        if run.answered is None:
            continue
        own_titles, own_rows = answer_rows(run.run, run.answered)
        if not rows:
            titles, rows = [own_titles[0], own_titles[-1]], [
                {"id": row["id"], "pictures": [row["pictures"][0], row["pictures"][-1]]} for row in own_rows
            ]  # fmt: skip
        titles += [f"{name}, {title}" for title in own_titles[1:-1]]
        for row, own in zip(rows, own_rows, strict=True):
            row["pictures"] += own["pictures"][1:-1]
    shapes = [] if first.run.basis.kind == "pixels" else shape_rows([row["id"] for row in rows], _forms(asked))
    part = render("answers.html", titles=titles, rows=rows, shapes=shapes, tables=[], drawn={})
    others = ", ".join(name for name in answered if name not in asked)
    return part + Markup("<p>Asked something else, and not shown here: {}.</p>").format(others) if others else part


def _forms(asked: dict[str, Evidence]) -> dict[str, list[Shape | None]]:
    """What was seen, the truth and the answers of all runs as surfaces; the more runs, the fewer of each."""
    forms: dict[str, list[Shape | None]] = {}
    most = min(FORMS, max(1, MOST_FORMS // len(asked)))
    for name, run in asked.items():
        if run.answered is not None:
            for title, shapes in answer_shapes(run.run, run.answered, most).items():
                forms.setdefault(title if title in OF_THE_QUESTION else f"{name}, {title}", shapes)
    return dict(sorted(forms.items(), key=lambda form: form[0] not in OF_THE_QUESTION))  # as in the pictures


def _same_question(run: Evidence, first: Evidence) -> bool:
    """Whether two runs were asked the same: data, task and its settings; the corruption has the same seed."""
    one, other = run.run.plan, first.run.plan
    return (one.task, one.task_config, one.data_digest) == (other.task, other.task_config, other.data_digest)


def _settings(named: dict[str, Evidence]) -> Table:
    flat: dict[str, dict[str, Any]] = {}
    for name, run in named.items():
        sections = tomllib.loads(run.run.plan.to_toml())
        flat[name] = {f"{part}.{key}": value for part, values in sections.items() for key, value in values.items()}
    keys = dict.fromkeys(key for values in flat.values() for key in values)
    differ = [key for key in keys if len({str(values.get(key)) for values in flat.values()}) > 1]
    rows = [[key, *(str(values[key]) if key in values else None for values in flat.values())] for key in differ]
    return Table(caption=f"{len(keys) - len(differ)} others are the same", columns=["setting", *flat], rows=rows)


def _reproduce(named: dict[str, Evidence]) -> Markup:
    parts = {name: reproduce(run) for name, run in named.items()}
    return render("folded.html", parts={name: part for name, part in parts.items() if part is not None})


def _tables(tables: list[Table]) -> Markup | None:
    return Markup("\n").join(fragment(table) for table in tables) if tables else None
