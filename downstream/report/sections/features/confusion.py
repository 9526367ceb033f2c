"""Which classes the linear probe of the trained network takes for which."""

from typing import Any

from markupsafe import Markup

from downstream.probes.compared_features import TRAINED
from downstream.report.evidence import Evidence, probed
from downstream.report.table import Score, Table
from downstream.report.templating import fragment, render

MOST_CLASSES = 40
MISTAKES = 12
LEVELS = 10  # of colour in report.css


def confusion(evidence: Evidence) -> Markup | None:
    """The matrix of each stored probe, the newest first, and its most frequent mistakes."""
    parts = []
    for result in reversed(evidence.probes):
        row = next((row for row in result["rows"] if row["features"] == TRAINED), None)
        if row is None or not row.get("confusion"):
            continue
        classes = [str(name) for name in result["class_names"]]
        title = probed(result)
        cells = _cells(row["confusion"]) if len(classes) <= MOST_CLASSES else []
        parts.append(
            {"title": title, "classes": classes, "cells": cells, "mistakes": fragment(_mistakes(row, classes, title))}
        )
    return render("confusion.html", parts=parts) if parts else None


def _cells(matrix: list[list[int]]) -> list[list[dict[str, int]]]:
    """Counts, each with the level of its share of the row."""
    lines = []
    for line in matrix:
        total = max(sum(line), 1)
        lines.append([{"count": count, "level": -(-count * (LEVELS - 1) // total)} for count in line])
    return lines


def _mistakes(row: dict[str, Any], classes: list[str], title: str) -> Table:
    found = [
        (count, sum(line), classes[true], classes[answer])
        for true, line in enumerate(row["confusion"])
        for answer, count in enumerate(line)
        if count and answer != true
    ]
    found.sort(key=lambda each: -each[0])
    return Table(
        caption=f"Most frequent mistakes on {title}",
        columns=["true class", "taken for", "how often", "of these"],
        rows=[
            [true, answer, count, Score(count / total, f"{count / total:.0%}")]
            for count, total, true, answer in found[:MISTAKES]
        ],
    )
