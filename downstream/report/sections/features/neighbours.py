"""Some held-out items and what lies nearest to them in the space of the features."""

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from data_prep.maps.reader import MapFile
from downstream.report.evidence import Evidence
from downstream.report.images import data_uri, thumbnails
from downstream.report.templating import render

QUERIES, NEIGHBOURS = 8, 6
PICTURE = 72


def neighbours(evidence: Evidence) -> Markup | None:
    """Eight rows of a query and its six nearest by the cosine of standardised features."""
    items, maps = evidence.items, evidence.maps
    if items is None or maps is None or not np.isfinite(items.features).all() or len(items.rows) < 2:
        return None
    test = np.flatnonzero(maps.splits[items.rows] == "test")
    asked = test if len(test) else np.arange(len(items.rows))
    # not in step with classes that alternate
    queries = np.sort(np.random.default_rng(0).choice(asked, min(QUERIES, len(asked)), replace=False))
    values = items.standardised()
    directions = values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)
    similarity = directions[queries] @ directions.T
    similarity[np.arange(len(queries)), queries] = -np.inf
    nearest = np.argsort(-similarity, axis=1, kind="stable")[:, : min(NEIGHBOURS, len(items.rows) - 1)]
    shown = items.rows[np.concatenate([queries[:, None], nearest], axis=1)]  # (Q, 1 + K) rows of the file
    pictures = thumbnails(maps, shown.reshape(-1), PICTURE)
    lines = []
    for number, line in enumerate(shown):
        cells = [_cell(maps, row, shown[number, 0], pictures[number * len(line) + at]) for at, row in enumerate(line)]
        lines.append({"query": cells[0], "found": cells[1:]})
    return render("neighbours.html", lines=lines, count=len(items.rows), labelled=bool((maps.labels >= 0).any()))


def _cell(maps: MapFile, row: int, query: int, picture: NDArray[np.uint8]) -> dict[str, str]:
    own, asked = maps.labels[row], maps.labels[query]
    known = own >= 0 and asked >= 0
    same = ("same class" if own == asked else "another class") if known else ""
    name = maps.classes[own] if 0 <= own < len(maps.classes) else ""
    return {"id": maps.ids[row], "class": name, "same": same, "picture": data_uri(picture)}
