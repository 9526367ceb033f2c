"""Score retrieval: of objects by their reconstructions, and of classes by features.

faiss computes the distances to all objects in float32, in pieces of bounded memory. The search is
exact. Objects at the same distance all get the last of their ranks, as in the function
``average_precision_score`` of scikit-learn. So the score does not depend on the order of the file,
and ties cannot raise it. Features that are all equal retrieve nothing.

Letters in shapes: N objects, Q queries of a piece, D values of an object.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from downstream.features.nearest import FeatureMetric, check_metric
from spectral_ssl.ground.errors import UserError

CELLS_AT_ONCE = 2_000_000  # Distances held at a time; each needs about 20 bytes with its derived values.
# Squared distances are tied if they differ by at most this many roundings of |a|^2 + |b|^2, because
# they may be equal then.
TIED_ROUNDINGS = 16


@dataclass(frozen=True, kw_only=True)
class ReconstructionRetrieval:
    """How well reconstructions retrieve their own objects.

    Attributes
    ----------
    mean_average_precision : float
        Mean of 1 / rank, which is the average precision with one correct object.
    recall_at_1 : float
        Share of reconstructions that are nearer to their own object than to any other.
    ranks : ndarray, shape (N,), int64
        Rank of each reconstruction's own object, from 1 on. Ties get the last of their ranks.
    """

    mean_average_precision: float
    recall_at_1: float
    ranks: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class ClassRetrieval:
    """How well features retrieve objects of the same class.

    Attributes
    ----------
    mean_average_precision : float
        Mean over all objects whose class has another object.
    average_precisions : ndarray, shape (N,), float64
        Average precision with each object as the query. NaN if its class has no other object.
    chance : float
        Mean score of random features: the mean share of objects of the same class among the others.
    """

    mean_average_precision: float
    average_precisions: NDArray[np.float64]
    chance: float


def score_reconstruction_retrieval(
    reconstructions: NDArray[Any], clean: NDArray[Any], metric: FeatureMetric = "l2"
) -> ReconstructionRetrieval:
    """Compute how well reconstructions retrieve their objects among all clean maps.

    Parameters
    ----------
    reconstructions, clean : ndarray, shape (N, ...), floating
        Reconstructed and clean maps; row i of both belongs to object i. In standardised maps all
        coefficients have the same weight, in raw maps large coefficients weigh more.
    metric : {"l2", "cosine"}
        Rank by Euclidean distance, or by direction, which ignores the size of an object.

    Returns
    -------
    ReconstructionRetrieval
        Scores from 0 to 1. Random reconstructions have a recall at 1 of about 1 / N.

    Raises
    ------
    UserError
        If the shapes differ, there are fewer than two objects, a value is not finite, or the metric
        is unknown.

    Notes
    -----
    mAP = mean over objects of 1 / rank. Squared distances are computed in float32. Distances within
    16 roundings of each other count as tied.

    Examples
    --------
    >>> import numpy as np
    >>> from downstream.metrics import score_reconstruction_retrieval
    >>> clean = np.array([[0.0, 0.0], [1.0, 0.0], [5.0, 5.0]])
    >>> result = score_reconstruction_retrieval(np.array([[0.1, 0.0], [0.2, 0.0], [4.0, 4.0]]), clean)
    >>> result.ranks.tolist(), round(result.recall_at_1, 3), round(result.mean_average_precision, 3)
    ([1, 2, 1], 0.667, 0.833)
    """
    predicted, truth = _flatten_rows("reconstructions", reconstructions), _flatten_rows("clean maps", clean)
    if predicted.shape != truth.shape:
        got = f"{reconstructions.shape} and {clean.shape}"
        raise UserError("reconstructions of other objects", got, "give one reconstruction for each clean map")
    queries, items = _convert_rows(predicted, truth, metric)
    ranks = np.empty(len(items), np.int64)
    tolerance = _compute_tolerance(queries, items)
    for start, distances in _compute_distances(queries, items):
        rows = np.arange(len(distances))
        to_truth = distances[rows, start + rows]
        ranks[start + rows] = (distances <= (to_truth + tolerance[start + rows])[:, None]).sum(axis=1)
    return ReconstructionRetrieval(
        mean_average_precision=float(np.mean(1 / ranks)), recall_at_1=float(np.mean(ranks == 1)), ranks=ranks
    )


def score_class_retrieval(
    features: NDArray[Any], labels: NDArray[np.int64], metric: FeatureMetric = "cosine"
) -> ClassRetrieval:
    """Compute how well features retrieve objects of the same class.

    Each object in turn is the query. All other objects are ranked by their distance to it. Objects
    of the same class are the correct ones.

    Parameters
    ----------
    features : ndarray, shape (N, ...), floating
        Features of the objects. They are not standardised here.
    labels : ndarray, shape (N,), integer
        Class of each object. Objects without a label (negative) are left out.
    metric : {"l2", "cosine"}
        Rank by Euclidean distance or by direction.

    Returns
    -------
    ClassRetrieval
        Mean average precision from 0 to 1, with its value for random features.

    Raises
    ------
    UserError
        If the shapes do not fit, no class has two objects, a value is not finite, or the metric is
        unknown.

    Notes
    -----
    Average precision = mean over the correct objects of (number of correct objects up
    to its rank) / rank. The tests compare it with scikit-learn to 1e-12. Squared distances are
    computed in float32. Distances within 16 roundings of each other count as tied.

    Examples
    --------
    >>> import numpy as np
    >>> from downstream.metrics import score_class_retrieval
    >>> features = np.array([[1.0, 0.0], [2.0, 0.1], [0.0, 1.0], [0.1, 3.0]])
    >>> result = score_class_retrieval(features, np.array([0, 0, 1, 1]))
    >>> result.mean_average_precision, round(result.chance, 3)
    (1.0, 0.333)
    """
    values, classes = _flatten_rows("features", features), np.asarray(labels)
    if classes.shape != (len(values),):
        raise UserError("shape of the labels", classes.shape, f"give ({len(values)},)")
    labelled = np.flatnonzero(classes >= 0)
    precisions = np.full(len(classes), np.nan)
    counts = np.bincount(classes[labelled], minlength=1)
    if counts.max() < 2:
        raise UserError("no class with two objects", "nothing to retrieve", "give more labelled objects")
    item_classes = classes[labelled]
    items, _ = _convert_rows(values[labelled], values[labelled], metric)
    tolerance = _compute_tolerance(items, items)
    for start, distances in _compute_distances(items, items):
        rows = np.arange(len(distances))
        distances[rows, start + rows] = np.inf  # The query itself is ranked last and cut off.
        order = np.argsort(distances, axis=1, kind="stable")[:, :-1]
        is_correct = item_classes[order] == item_classes[start + rows][:, None]
        ranked = np.take_along_axis(distances, order, axis=1)
        precisions[labelled[start + rows]] = _average_precision(ranked, is_correct, tolerance[start + rows])
    others = counts[item_classes] - 1
    return ClassRetrieval(
        mean_average_precision=float(np.nanmean(precisions)),
        average_precisions=precisions,
        chance=float(np.mean(others[others > 0] / (len(item_classes) - 1))),
    )


def _average_precision(
    distances: NDArray[np.float32], is_correct: NDArray[np.bool_], tolerance: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Compute the average precisions (Q,) of ranked lists; NaN for lists without a correct object.

    Parameters
    ----------
    distances : ndarray, shape (Q, R), float32
        Squared distances of each list, ascending.
    is_correct : ndarray, shape (Q, R), bool
        Whether the objects of each list are correct.
    tolerance : ndarray, shape (Q,), float32
        Difference up to which two distances of a list are tied.
    """
    precisions = np.full(len(is_correct), np.nan)
    for row in np.flatnonzero(is_correct.any(axis=1)):
        positions = np.flatnonzero(is_correct[row])
        ranks = np.searchsorted(distances[row], distances[row, positions] + tolerance[row], side="right")
        precisions[row] = np.mean(is_correct[row].cumsum()[ranks - 1] / ranks)
    return precisions


def _compute_tolerance(queries: NDArray[np.float32], items: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute for each query the difference (Q,) up to which equal squared distances may be rounded apart."""
    rounding = np.finfo(np.float32).eps / 2
    return np.asarray(TIED_ROUNDINGS * rounding * (_squares(queries) + _squares(items).max()), np.float32)


def _compute_distances(
    queries: NDArray[np.float32], items: NDArray[np.float32]
) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield the first query and the squared distances (Q, N) to all items, piece by piece of the queries."""
    import faiss

    rows = max(1, CELLS_AT_ONCE // len(items))
    for start in range(0, len(queries), rows):
        yield start, faiss.pairwise_distances(queries[start : start + rows], items)


def _convert_rows(
    queries: NDArray[np.float64], items: NDArray[np.float64], metric: FeatureMetric
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Convert rows to float32 rows whose Euclidean distances have the same ranks as the metric."""
    check_metric(metric)
    if metric == "cosine":  # |a - b|^2 = 2 - 2 cos for unit vectors; a zero vector is equally far from all of them.
        queries, items = (
            rows / np.where(_squares(rows) > 0, np.sqrt(_squares(rows)), 1)[:, None] for rows in (queries, items)
        )
    # Centring leaves distances unchanged and reduces the rounding error of |a|^2 + |b|^2 - 2 a b.
    centre = items.mean(axis=0)
    return np.ascontiguousarray(queries - centre, np.float32), np.ascontiguousarray(items - centre, np.float32)


def _squares(rows: NDArray[Any]) -> NDArray[Any]:
    """Compute the squared lengths (N,) of rows (N, D)."""
    return np.einsum("nd,nd->n", rows, rows)


def _flatten_rows(what: str, values: NDArray[Any]) -> NDArray[np.float64]:
    """Return values as float64 rows (N, D); raise a UserError if they cannot be used."""
    rows = np.asarray(values, np.float64)
    if rows.ndim < 2 or len(rows) < 2 or rows.size == 0:
        raise UserError(f"shape of the {what}", rows.shape, "give (N, ...) with at least 2 objects")
    if not np.isfinite(rows).all():
        raise UserError(f"{what} that are not finite", "NaN or infinity", "train again with a lower learning rate")
    return rows.reshape(len(rows), -1)
