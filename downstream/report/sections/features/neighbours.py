"""Some items and their nearest neighbours in feature space; the queries cover the classes."""

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from data_prep.maps.reader import MapFile
from downstream.report.evidence import SEED, Evidence
from downstream.report.images import encode_png, make_thumbnails
from downstream.report.templating import render
from pretext.runs.evaluation import describe_rows

QUERIES, NEIGHBOURS = 8, 6
THUMBNAIL = 72


def render_neighbours(evidence: Evidence) -> Markup | None:
    """Render up to eight queries, each with its six nearest items by the cosine similarity."""
    items, maps = evidence.items, evidence.maps
    if items is None or maps is None or not np.isfinite(items.features).all() or len(items.rows) < 2:
        return None
    test = np.flatnonzero(maps.splits[items.rows] == "test")
    candidates = test if len(test) else np.arange(len(items.rows))
    queries = candidates[choose_queries(maps.labels[items.rows[candidates]], QUERIES)]
    values = items.standardise()
    directions = values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)
    similarity = directions[queries] @ directions.T
    similarity[np.arange(len(queries)), queries] = -np.inf
    nearest = np.argsort(-similarity, axis=1, kind="stable")[:, : min(NEIGHBOURS, len(items.rows) - 1)]
    shown = items.rows[np.concatenate([queries[:, None], nearest], axis=1)]  # (Q, 1 + K) rows of the file
    images = make_thumbnails(maps, shown.reshape(-1), THUMBNAIL)
    lines = []
    for number, line in enumerate(shown):
        cells = [
            _describe(maps, row, shown[number, 0], images[number * len(line) + column])
            for column, row in enumerate(line)
        ]
        lines.append({"query": cells[0], "neighbours": cells[1:]})
    return render(
        "neighbours.html",
        lines=lines,
        queries=describe_rows(maps, items.rows[queries]),
        searched=describe_rows(maps, items.rows),
        labelled=bool((maps.labels >= 0).any()),
    )


def choose_queries(labels: NDArray[np.int64], count: int, seed: int = SEED) -> NDArray[np.int64]:
    """Choose items at random that cover the classes: no class gets a second item before each class has one.

    Parameters
    ----------
    labels : ndarray, shape (N,), int64
        Class of each item; items without a label count as one class.
    count : int
        Number of items to choose; all N if N is smaller.
    seed : int
        Seed of the choice of items, and of the classes if there are more of them than ``count``.

    Returns
    -------
    ndarray, shape (min(N, count),), int64
        Positions of the chosen items, in rising order.
    """
    generator = np.random.default_rng(seed)
    classes = generator.permutation(np.unique(labels))
    order = generator.permutation(len(labels))
    turns = np.empty(len(labels), np.int64)  # in which round an item is chosen, and where in the round
    for number, label in enumerate(classes):
        members = order[labels[order] == label]
        turns[members] = np.arange(len(members)) * len(classes) + number
    return np.sort(np.argsort(turns)[:count])


def _describe(maps: MapFile, row: int, query: int, image: NDArray[np.uint8]) -> dict[str, str]:
    label, query_label = maps.labels[row], maps.labels[query]
    both_known = label >= 0 and query_label >= 0
    same = ("same class" if label == query_label else "another class") if both_known else ""
    name = maps.classes[label] if 0 <= label < len(maps.classes) else ""
    return {"id": maps.ids[row], "class": name, "same": same, "image": encode_png(image)}
