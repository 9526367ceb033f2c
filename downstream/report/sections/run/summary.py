"""The summary of a run, and the tables of its probes."""

import shlex
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from downstream.probes.compared_features import TRAINED
from downstream.report.evidence import Evidence, name_probe, to_number
from downstream.report.table import Score, Table, make_score
from downstream.report.templating import render, render_table
from downstream.report.verdicts import find_verdict, is_shown_better, make_score_with_interval
from pretext.runs.origin import name_option
from pretext.training.config import TrainConfig


def render_summary(evidence: Evidence) -> Markup | None:
    """Render the run in a few lines, and each probe with its baselines."""
    run, trained = evidence.run, evidence.run.checkpoint["place"]
    train = evidence.maps.rows("train") if evidence.maps else None
    seconds = to_number(evidence.metrics[-1].get("seconds")) if evidence.metrics else float("nan")
    facts = {
        "method": run.plan.method,
        "task": run.plan.task,
        "data": f"{evidence.maps.source}, {len(evidence.maps)} maps" if evidence.maps else run.plan.data,
        "trained on": _describe_training(run.plan.train, trained, train),
        "trained for": f"{trained['epoch']} epochs, {trained['step']} steps" + _format_duration(seconds),
        "state": evidence.status.get("state"),
        "checkpoint": run.checkpoint_digest[:16],
    }
    return render(
        "summary.html",
        facts={name: value for name, value in facts.items() if value is not None},
        headline=_write_headline(evidence),
        no_maps=evidence.no_maps,
        probes=[
            render_table(build_probe_table(result, evidence.is_current(result))) for result in reversed(evidence.probes)
        ],
        probe=shlex.join(["spectral-ssl", "probe", *name_option(run)]),
        report=shlex.join(["spectral-ssl", "report", *name_option(run)]),
    )


def build_probe_table(result: dict[str, Any], is_current: bool = True) -> Table:
    """Build a table from the stored result of a probe.

    Parameters
    ----------
    result : dict
        Content of ``probe-MAPS.json``.
    is_current : bool
        Whether the result belongs to the current checkpoint.
    """
    old = "" if is_current else " (of an earlier checkpoint)"
    columns = ["features", "dimensions"]
    rows: list[list[Any]] = [[row["features"], row["dimensions"]] for row in result["rows"]]
    for title, cells in _build_columns(result).items():
        columns.append(title)
        for row, cell in zip(rows, cells, strict=True):
            row.append(cell)
    names = [row["features"] for row in result["rows"]]
    return Table(
        caption=f"{name_probe(result)}: {describe_samples(result)}{old}. In brackets: 95 % intervals",
        columns=columns,
        rows=rows,
        marked=names.index(TRAINED) if TRAINED in names else None,
        is_better=is_shown_better(result),
    )


def describe_samples(result: dict[str, Any]) -> str:
    """Describe the samples of a stored probe: their classes, and how they were split."""
    if result.get("folds"):
        count = len(result["seeds"])
        repeats = f", {count} repeats" if count > 1 else ""
        return (
            f"{result['classes']} classes, {result['test']} samples, {result['folds']}-fold cross-validation{repeats}"
        )
    return f"{result['classes']} classes, {result['train']} training samples, {result['test']} test samples"


def _build_columns(result: dict[str, Any]) -> dict[str, list[Score | None]]:
    """Build the columns of the probes that were run: the scores of all rows by the title of the column."""
    probes, rows = result.get("probes", ()), result["rows"]
    spread = f"deviation over {'repeats' if result.get('folds') else 'seeds'}"
    columns: dict[str, list[Score | None]] = {}
    if "linear" in probes:
        columns["linear probe"] = [make_score_with_interval(result, row, "mean", "interval") for row in rows]
        if any(row["std"] is not None for row in rows):
            columns[spread] = [make_score(row["std"]) for row in rows]
    for probe, title in (("svm", "linear SVM"), ("layer", "single layer")):
        if probe in probes:
            columns[title] = [
                make_score_with_interval(result, row.get(probe) or {}, "mean", "interval") for row in rows
            ]
    if "neighbours" in probes:
        columns["10 neighbours"] = [
            make_score_with_interval(result, row, "neighbours", "neighbours_interval") for row in rows
        ]
    for index, scores in enumerate(rows[0].get("few_shot") or ()):
        title = f"{scores['labels']} label{'s' * (scores['labels'] > 1)} a class"
        few = [row["few_shot"][index] for row in rows]
        columns[title] = [make_score_with_interval(result, each, "mean", "interval") for each in few]
    if "retrieval" in probes:
        columns["class mAP"] = [make_score(row["retrieval"]) for row in rows]
    if "fine-tune" in probes:
        tuned = [row.get("fine_tune") or {} for row in rows]
        columns["fine-tuned (upper reference)"] = [
            make_score_with_interval(result, each, "accuracy", "interval") for each in tuned
        ]
    return columns


def _describe_training(train: TrainConfig, progress: dict[str, Any], rows: NDArray[np.int64] | None) -> str | None:
    """Describe what a run was trained on; None if its maps are gone."""
    if train.data.fresh:
        last = min(progress["batch"] * train.batch_size, train.data.fresh)
        return f"{progress['epoch'] * train.data.fresh + last} new shapes of the universe, each used once"
    return None if rows is None else f"{len(rows)} maps without labels"


def _write_headline(evidence: Evidence) -> str:
    """Write what the newest probe of this checkpoint shows; the linear probe comes first."""
    current = [result for result in reversed(evidence.probes) if evidence.is_current(result)]
    for result in sorted(current, key=lambda each: "linear" not in each.get("probes", ())):
        verdict = find_verdict(result)
        if verdict:
            return f"{name_probe(result)}, {verdict}."
    return ""


def _format_duration(seconds: float) -> str:
    if not seconds >= 0:
        return ""
    minutes = round(seconds / 60)
    return f", {minutes // 60} h {minutes % 60} min" if minutes >= 60 else f", {seconds / 60:.1f} min"
