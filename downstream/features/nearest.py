"""Find the samples whose features are nearest to those of one query."""

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from downstream.features.standardise import standardise_features
from spectral_ssl.ground.errors import UserError, unknown_name

FeatureMetric = Literal["cosine", "l2"]
# metric -> the name of the value that `find_nearest` returns with each sample
MEASURES: dict[str, str] = {"cosine": "cosine similarity", "l2": "l2 distance"}
FEWEST_STANDARDISED = 5  # The mean and the deviation of fewer samples say nothing about the features.


def check_metric(metric: str) -> None:
    """Raise a UserError unless features can be compared with this metric."""
    if metric not in get_args(FeatureMetric):
        raise unknown_name("metric", metric, get_args(FeatureMetric))


def find_nearest(
    query: NDArray[np.float32], items: NDArray[np.float32], count: int, metric: FeatureMetric = "cosine"
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Find the samples nearest to a query, nearest first, with their similarities or distances.

    Parameters
    ----------
    query : ndarray, shape (D,), float32
        Features of one sample.
    items : ndarray, shape (N, D), float32
        Features of the samples to search.
    count : int
        Number of samples to return, at least 1. All N samples are returned if N is smaller.
    metric : {"cosine", "l2"}
        "cosine": the cosine similarity of features standardised with the mean and deviation of the
        items, as in the neighbour probe; the nearest sample has the highest. Fewer than 5 items
        have no useful mean and deviation: their features are compared as they are. "l2": the
        Euclidean distance of the features as they are; the nearest sample has the lowest.

    Returns
    -------
    rows : ndarray, shape (count,), int64
        Rows of the nearest samples. Samples that are equally near keep the order of the file.
    values : ndarray, shape (count,), float64
        What `MEASURES` names: similarities from -1 to 1 for "cosine", distances of at least 0 for
        "l2".

    Raises
    ------
    UserError
        If there are no items, a value is not finite, or the metric is unknown.

    Notes
    -----
    The search is exact. Similarities are computed from float32 products and are correct to about
    1e-6. The cosine similarity of a query or item without variation is 0.

    Examples
    --------
    >>> import numpy as np
    >>> from downstream.features import find_nearest
    >>> items = np.array([[0.0, 0.0], [3.0, 4.0], [1.0, 0.0]], np.float32)
    >>> rows, distances = find_nearest(items[0], items, 2, "l2")
    >>> rows.tolist(), distances.tolist()
    ([0, 2], [0.0, 1.0])
    """
    check_metric(metric)
    if not len(items):
        raise UserError("no samples to search", "0 samples", "give at least one other than the query")
    if not (np.isfinite(query).all() and np.isfinite(items).all()):
        raise UserError("features that are not finite", "NaN or infinity", "train again with a lower learning rate")
    if metric == "cosine":
        is_standardised = len(items) >= FEWEST_STANDARDISED
        standard, standard_query = standardise_features(items, query[None]) if is_standardised else (items, query[None])
        lengths = np.linalg.norm(standard, axis=1).astype(np.float64) * np.linalg.norm(standard_query[0])
        cosines = (standard @ standard_query[0]).astype(np.float64) / np.where(lengths > 0, lengths, 1)
        values = np.clip(cosines, -1, 1)  # rounding exceeds the range by 1e-7
        order = np.argsort(-values, kind="stable")[:count]
    else:
        values = np.linalg.norm(items - query, axis=1).astype(np.float64)
        order = np.argsort(values, kind="stable")[:count]
    return order, values[order]
