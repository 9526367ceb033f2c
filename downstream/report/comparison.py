"""A page that compares several runs: settings that differ, scores, learning curves and predictions."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from data_prep.source import Shape
from downstream.figures.training_curves import NOT_DRAWN
from downstream.probes.compared_features import TRAINED
from downstream.report.evidence import Evidence, name_probe, to_number
from downstream.report.line_chart import draw_line_chart
from downstream.report.page import write_page
from downstream.report.sections.predictions.completions import (
    INPUT,
    PREDICTIONS_AS_SHAPES,
    TRUTH,
    build_image_rows,
    build_shape_rows,
    predicts_images,
    rebuild_shapes,
)
from downstream.report.sections.run.learning import TITLES
from downstream.report.sections.run.reproduce import render_reproduction
from downstream.report.table import Table
from downstream.report.templating import render, render_table
from downstream.report.verdicts import find_verdict, make_score_with_interval
from spectral_ssl.ground.config import bare_key, flatten, parse_toml

MOST_SHAPES = 9  # predictions for one map that all runs together show as shapes: 6 MB with 16 000 triangles each
SHARED = (INPUT, TRUTH)  # shapes that are the same for all runs


def write_comparison(path: Path, runs: Sequence[Evidence]) -> None:
    """Write one page about several runs; it replaces an earlier one.

    Parameters
    ----------
    path : Path
        HTML file to write.
    runs : sequence of Evidence
        At least two runs, which are numbered and named after their folders.

    Raises
    ------
    UserError
        If the page becomes larger than 10 MB, or cannot be written.
    """
    named = {f"{number}: {run.name}": run for number, run in enumerate(runs, 1)}
    parts: dict[str, tuple[str, Markup | None]] = {
        "runs": ("Runs", render_table(_list_runs(named))),
        "probes": ("Probes", _render_tables(compare_probes(named))),
        "evaluations": ("Scores of predictions", _render_tables(_compare_evaluations(named))),
        "learning": ("Learning curves", _draw_learning_curves(named)),
        "answers": ("Predictions", _compare_predictions(named)),
        "settings": ("Settings that differ", render_table(_list_settings(named))),
        "reproduce": ("How to reproduce these runs", _render_commands(named)),
    }
    shown = {name: (title, part) for name, (title, part) in parts.items() if part is not None}
    write_page(path, f"{len(runs)} runs compared", shown)


def _list_runs(named: dict[str, Evidence]) -> Table:
    rows = []
    for name, run in named.items():
        trained = run.run.checkpoint["place"]
        seconds = to_number(run.metrics[-1].get("seconds")) if run.metrics else None
        minutes = None if seconds is None else round(seconds / 60, 2)
        data = run.maps.source if run.maps else Path(run.run.plan.data).name
        rows.append([name, run.run.plan.method, run.run.plan.task, data, trained["epoch"], trained["step"], minutes])
    columns = ["run", "method", "task", "data", "epochs", "steps", "minutes"]
    return Table(caption="Runs", columns=columns, rows=rows)


def compare_probes(named: dict[str, Evidence]) -> list[Table]:
    """Build one table for each probed target and pose: the scores of each run, and its verdict."""
    targets: dict[str, dict[str, dict[str, Any]]] = {}
    for name, run in named.items():
        for result in run.probes:
            targets.setdefault(name_probe(result), {})[name] = result
    tables = []
    for target, results in targets.items():
        rows = []
        for name, result in results.items():
            trained = next((row for row in result["rows"] if row["features"] == TRAINED), None)
            if trained is None:
                continue
            old = "" if named[name].is_current(result) else " (earlier checkpoint)"
            rows.append(
                [
                    f"{name}{old}",
                    trained["dimensions"],
                    make_score_with_interval(result, trained, "mean", "interval"),
                    make_score_with_interval(result, trained, "neighbours", "neighbours_interval"),
                    find_verdict(result) or None,
                ]
            )
        columns = ["run", "dimensions", "linear probe", "10 neighbours", "compared with training-free baselines"]
        if rows:
            tables.append(Table(caption=f"{target}. In brackets: 95 % intervals", columns=columns, rows=rows))
    return tables


def _compare_evaluations(named: dict[str, Evidence]) -> list[Table]:
    """Build one table for each evaluation, whose file names data and settings, with the rows of all runs."""
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
        tables.append(Table(caption=file, columns=["predictions", "inputs", *names], rows=rows))
    return tables


def _draw_learning_curves(named: dict[str, Evidence]) -> Markup | None:
    names = dict.fromkeys(key for run in named.values() for row in run.metrics for key in row if key not in NOT_DRAWN)
    charts = []
    for key in [*(name for name in TITLES if name in names), *(name for name in names if name not in TITLES)]:
        curves = {
            name: [(row["epoch"], row[key]) for row in run.metrics if isinstance(row.get(key), int | float)]
            for name, run in named.items()
        }
        charts.append(draw_line_chart(TITLES.get(key, key), "epoch", key, curves))
    drawn = [chart for chart in charts if chart is not None]
    text = "Different methods have different losses. Compare only curves with the same meaning."
    return render("charts.html", text=text, charts=drawn) if drawn else None


def _compare_predictions(named: dict[str, Evidence]) -> Markup | None:
    """Render the predictions of all runs with the same inputs, in columns one run after the other."""
    predicting = {name: run for name, run in named.items() if run.predictions is not None and predicts_images(run.run)}
    if not predicting:
        return None
    first = next(iter(predicting.values()))
    comparable = {name: run for name, run in predicting.items() if _have_same_inputs(run, first)}
    titles: list[str] = []
    rows: list[dict[str, Any]] = []
    for name, run in comparable.items():
        if run.predictions is None:
            continue
        run_titles, run_rows = build_image_rows(run.run, run.predictions)
        if not rows:  # input and ground truth are those of the first run
            titles = [run_titles[0], run_titles[-1]]
            rows = [{"id": row["id"], "images": [row["images"][0], row["images"][-1]]} for row in run_rows]
        titles += [f"{name}, {title}" for title in run_titles[1:-1]]
        for row, run_row in zip(rows, run_rows, strict=True):
            row["images"] += run_row["images"][1:-1]
    shapes = []
    if first.run.basis.kind != "pixels":
        shapes = build_shape_rows([row["id"] for row in rows], _collect_shapes(comparable))
    described = first.predictions.described if first.predictions is not None else ""
    part = render("predictions.html", titles=titles, rows=rows, shapes=shapes, tables=[], drawn={}, described=described)
    others = ", ".join(name for name in predicting if name not in comparable)
    return part + Markup("<p>Not shown, because their inputs differ: {}.</p>").format(others) if others else part


def _collect_shapes(comparable: dict[str, Evidence]) -> dict[str, list[Shape | None]]:
    """Rebuild inputs, ground truth and the predictions of all runs as surfaces; more runs show fewer of each."""
    collected: dict[str, list[Shape | None]] = {}
    most = min(PREDICTIONS_AS_SHAPES, max(1, MOST_SHAPES // len(comparable)))
    for name, run in comparable.items():
        if run.predictions is not None:
            for title, shapes in rebuild_shapes(run.run, run.predictions, most).items():
                collected.setdefault(title if title in SHARED else f"{name}, {title}", shapes)
    return dict(sorted(collected.items(), key=lambda titled: titled[0] not in SHARED))  # the order of the images


def _have_same_inputs(run: Evidence, other: Evidence) -> bool:
    """Tell whether two runs have the same inputs: data, task and its settings. The seed of the corruption is fixed."""
    plan, other_plan = run.run.plan, other.run.plan
    return (plan.task, plan.task_config, plan.data_digest) == (
        other_plan.task,
        other_plan.task_config,
        other_plan.data_digest,
    )


def _name_settings(config: str) -> dict[str, Any]:
    """Name the settings of a config.toml by section and bare key, because methods group theirs differently.

    A key that two groups of a section have keeps its full name.
    """
    settings = flatten(parse_toml(config))
    short = {key: f"{key.partition('.')[0]}.{bare_key(key)}" for key in settings}
    counts = Counter(short.values())
    return {short[key] if counts[short[key]] == 1 else key: value for key, value in settings.items()}


def _list_settings(named: dict[str, Evidence]) -> Table:
    flat = {name: _name_settings(run.run.plan.to_toml()) for name, run in named.items()}
    keys = dict.fromkeys(key for values in flat.values() for key in values)
    differ = [key for key in keys if len({str(values.get(key)) for values in flat.values()}) > 1]
    rows = [[key, *(str(values[key]) if key in values else None for values in flat.values())] for key in differ]
    return Table(
        caption=f"{len(keys) - len(differ)} other settings are the same", columns=["setting", *flat], rows=rows
    )


def _render_commands(named: dict[str, Evidence]) -> Markup:
    parts = {name: render_reproduction(run) for name, run in named.items()}
    return render("folded.html", parts={name: part for name, part in parts.items() if part is not None})


def _render_tables(tables: list[Table]) -> Markup | None:
    return Markup("\n").join(render_table(table) for table in tables) if tables else None
