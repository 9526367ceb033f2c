"""The confusion matrices of the linear probes of the trained network."""

from typing import Any

from markupsafe import Markup

from downstream.probes.compared_features import TRAINED
from downstream.report.evidence import Evidence, name_probe
from downstream.report.table import Score, Table
from downstream.report.templating import render, render_table

MOST_CLASSES = 40
MISTAKES = 12
LEVELS = 10  # of colour in report.css


def render_confusion(evidence: Evidence) -> Markup | None:
    """Render the matrix of each stored probe, the newest first, and its most frequent mistakes."""
    parts = []
    for result in reversed(evidence.probes):
        row = next((row for row in result["rows"] if row["features"] == TRAINED), None)
        if row is None or not row.get("confusion"):
            continue
        classes = [str(name) for name in result["class_names"]]
        title = name_probe(result)
        cells = _colour_cells(row["confusion"]) if len(classes) <= MOST_CLASSES else []
        mistakes = render_table(_list_mistakes(row, classes, title))
        total = sum(map(sum, row["confusion"]))
        parts.append({"title": title, "classes": classes, "cells": cells, "mistakes": mistakes, "total": total})
    return render("confusion.html", parts=parts) if parts else None


def _colour_cells(matrix: list[list[int]]) -> list[list[dict[str, int]]]:
    """Find for each count the level of colour, by its share of the row."""
    lines = []
    for line in matrix:
        total = max(sum(line), 1)
        lines.append([{"count": count, "level": -(-count * (LEVELS - 1) // total)} for count in line])
    return lines


def _list_mistakes(row: dict[str, Any], classes: list[str], title: str) -> Table:
    mistakes = [
        (count, sum(line), classes[true], classes[predicted])
        for true, line in enumerate(row["confusion"])
        for predicted, count in enumerate(line)
        if count and predicted != true
    ]
    mistakes.sort(key=lambda mistake: -mistake[0])
    return Table(
        caption=f"Most frequent mistakes on {title}",
        columns=["true class", "predicted class", "samples", "share of the true class"],
        rows=[
            [true, predicted, count, Score(count / total, f"{count / total:.0%}")]
            for count, total, true, predicted in mistakes[:MISTAKES]
        ],
    )
