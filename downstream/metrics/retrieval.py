"""Retrieval: does a reconstruction find its own object, do features find objects of their class?

Distances to all objects are computed by faiss, in float32 and in pieces of bounded memory; nothing is searched for
approximately. Ties never flatter: objects at one distance count as found together, at the last of their ranks (as in
scikit-learn's ``average_precision_score``), so the order of the file decides nothing and features that are all equal
find nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from spectral_ssl.ground.errors import UserError, unknown_name

Metric = Literal["l2", "cosine"]

CELLS_AT_ONCE = 2_000_000  # distances held at a time; about 20 bytes each with what is derived from them
# Squared distances that differ by no more than this many roundings of |a|^2 + |b|^2 are tied: they may be equal.
TIED_ROUNDINGS = 16


@dataclass(frozen=True, kw_only=True)
class ReconstructionRetrieval:
    """How well reconstructions find their own objects.

    Attributes
    ----------
    mean_average_precision : float
        Mean of 1 / rank: with one right object, average precision is just that.
    recall_at_1 : float
        Share of reconstructions that are nearest to their own object, and to no other as near.
    ranks : ndarray, shape (N,), int64
        From 1 on; ties at their last rank.
    """

    mean_average_precision: float
    recall_at_1: float
    ranks: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class ClassRetrieval:
    """How well features find objects of the same class.

    Attributes
    ----------
    mean_average_precision : float
        Mean over the objects that have another one of their class.
    average_precisions : ndarray, shape (N,), float64
        Of each object as the query; NaN where there is no other object of its class.
    chance : float
        What features without any meaning get on average: the mean share of same-class objects among the others.
    """

    mean_average_precision: float
    average_precisions: NDArray[np.float64]
    chance: float


def reconstruction_retrieval(
    reconstructions: NDArray[Any], clean: NDArray[Any], metric: Metric = "l2"
) -> ReconstructionRetrieval:
    """Look for each object's clean map among all clean maps with its reconstruction.

    Parameters
    ----------
    reconstructions, clean : ndarray, shape (N, ...), floating
        Row i of both belongs to object i. Standardised maps weigh all coefficients alike, raw ones by their size.
    metric : {"l2", "cosine"}
        Nearest by Euclidean distance, or by direction (an object's size plays no part).

    Returns
    -------
    ReconstructionRetrieval

    Raises
    ------
    UserError
        When the shapes differ, there are fewer than two objects, a value is not finite, or there is no such metric.
    """
    answers, truth = _rows("reconstructions", reconstructions), _rows("clean maps", clean)
    if answers.shape != truth.shape:
        found = f"{reconstructions.shape} and {clean.shape}"
        raise UserError("reconstructions of other objects", found, "give one reconstruction for each clean map")
    queries, items = _prepared(answers, truth, metric)
    ranks = np.empty(len(items), np.int64)
    tied = _tied(queries, items)
    for start, distances in _distances(queries, items):
        rows = np.arange(len(distances))
        own = distances[rows, start + rows]
        ranks[start + rows] = (distances <= (own + tied[start + rows])[:, None]).sum(axis=1)
    return ReconstructionRetrieval(
        mean_average_precision=float(np.mean(1 / ranks)), recall_at_1=float(np.mean(ranks == 1)), ranks=ranks
    )


def class_retrieval(features: NDArray[Any], labels: NDArray[np.int64], metric: Metric = "cosine") -> ClassRetrieval:
    """Rank all other objects by their distance to each object; objects of its class are the right ones.

    Parameters
    ----------
    features : ndarray, shape (N, ...), floating
        As they are: standardise them before if that is meant.
    labels : ndarray, shape (N,), integer
        Class of each object; objects without a label (negative) are neither looked for nor found.
    metric : {"l2", "cosine"}
        As in ``reconstruction_retrieval``.

    Returns
    -------
    ClassRetrieval

    Raises
    ------
    UserError
        When the shapes do not fit, no class has two objects, a value is not finite, or there is no such metric.

    Notes
    -----
    Average precision = mean over the right objects of (right ones up to its rank) / rank.
    """
    values, classes = _rows("features", features), np.asarray(labels)
    if classes.shape != (len(values),):
        raise UserError("shape of the labels", classes.shape, f"give ({len(values)},)")
    labelled = np.flatnonzero(classes >= 0)
    precisions = np.full(len(classes), np.nan)
    counts = np.bincount(classes[labelled], minlength=1)
    if counts.max() < 2:
        raise UserError("no class with two objects", "nothing to retrieve", "give more labelled objects")
    kept = classes[labelled]
    items, _ = _prepared(values[labelled], values[labelled], metric)
    tied = _tied(items, items)
    for start, distances in _distances(items, items):
        rows = np.arange(len(distances))
        distances[rows, start + rows] = np.inf  # the query itself comes last and is cut off
        order = np.argsort(distances, axis=1, kind="stable")[:, :-1]
        right = kept[order] == kept[start + rows][:, None]
        ranked = np.take_along_axis(distances, order, axis=1)
        precisions[labelled[start + rows]] = _average_precision(ranked, right, tied[start + rows])
    others = counts[kept] - 1
    return ClassRetrieval(
        mean_average_precision=float(np.nanmean(precisions)),
        average_precisions=precisions,
        chance=float(np.mean(others[others > 0] / (len(kept) - 1))),
    )


def _average_precision(
    distances: NDArray[np.float32], right: NDArray[np.bool_], tied: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Of ranked lists (Q, R): ascending distances, the right objects, what is tied (Q,); NaN where none is right."""
    precisions = np.full(len(right), np.nan)
    for row in np.flatnonzero(right.any(axis=1)):
        places = np.flatnonzero(right[row])
        ranks = np.searchsorted(distances[row], distances[row, places] + tied[row], side="right")
        precisions[row] = np.mean(right[row].cumsum()[ranks - 1] / ranks)
    return precisions


def _tied(queries: NDArray[np.float32], items: NDArray[np.float32]) -> NDArray[np.float32]:
    """For each query the difference (Q,) up to which two squared distances may be one, rounded differently."""
    rounding = np.finfo(np.float32).eps / 2
    return np.asarray(TIED_ROUNDINGS * rounding * (_squares(queries) + _squares(items).max()), np.float32)


def _distances(queries: NDArray[np.float32], items: NDArray[np.float32]) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Squared Euclidean distances of pieces of the queries to all items: (first query, (Q, N) float32)."""
    import faiss

    rows = max(1, CELLS_AT_ONCE // len(items))
    for start in range(0, len(queries), rows):
        yield start, faiss.pairwise_distances(queries[start : start + rows], items)


def _prepared(
    queries: NDArray[np.float64], items: NDArray[np.float64], metric: Metric
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Float32 rows whose Euclidean distances rank as the metric does."""
    if metric not in get_args(Metric):
        raise unknown_name("metric", metric, get_args(Metric))
    if metric == "cosine":  # |a - b|^2 = 2 - 2 cos for unit vectors; a zero vector is as far from all of them
        queries, items = (
            rows / np.where(_squares(rows) > 0, np.sqrt(_squares(rows)), 1)[:, None] for rows in (queries, items)
        )
    # distances do not change, but lose less in |a|^2 + |b|^2 - 2 a b
    centre = items.mean(axis=0)
    return np.ascontiguousarray(queries - centre, np.float32), np.ascontiguousarray(items - centre, np.float32)


def _squares(rows: NDArray[Any]) -> NDArray[Any]:
    return np.einsum("nd,nd->n", rows, rows)


def _rows(what: str, values: NDArray[Any]) -> NDArray[np.float64]:
    rows = np.asarray(values, np.float64)
    if rows.ndim < 2 or len(rows) < 2 or rows.size == 0:
        raise UserError(f"shape of the {what}", rows.shape, "give (N, ...) with at least 2 objects")
    if not np.isfinite(rows).all():
        raise UserError(f"{what} that are not finite", "NaN or infinity", "train again with a lower learning rate")
    return rows.reshape(len(rows), -1)
