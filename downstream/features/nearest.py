"""The samples whose features are nearest to one that is asked for."""

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from downstream.probes.classifiers.knn import standardised
from spectral_ssl.ground.errors import UserError, unknown_name

Metric = Literal["cosine", "l2"]


def check_metric(metric: str) -> None:
    """Raise a UserError when there is no such metric."""
    if metric not in get_args(Metric):
        raise unknown_name("metric", metric, get_args(Metric))


def nearest(
    query: NDArray[np.float32], items: NDArray[np.float32], count: int, metric: Metric = "cosine"
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The nearest samples, nearest first; of equally near ones the first in the file.

    Parameters
    ----------
    query : ndarray, shape (D,), float32
    items : ndarray, shape (N, D), float32
    count : int
        How many, at least 1; all N where there are fewer.
    metric : {"cosine", "l2"}
        1 - cos of features from which the items' mean and deviation are taken out, as in the neighbour probe; or the
        Euclidean distance of the features as they are.

    Returns
    -------
    rows : ndarray, shape (count,), int64
    distances : ndarray, shape (count,), float64

    Raises
    ------
    UserError
        When a value is not finite, or there is no such metric.
    """
    check_metric(metric)
    if not (np.isfinite(query).all() and np.isfinite(items).all()):
        raise UserError("features that are not finite", "NaN or infinity", "train again with a lower learning rate")
    if metric == "cosine":
        known, asked = standardised(items, query[None])
        lengths = np.linalg.norm(known, axis=1).astype(np.float64) * np.linalg.norm(asked[0])
        distances = 1 - (known @ asked[0]).astype(np.float64) / np.where(lengths > 0, lengths, 1)
    else:
        distances = np.linalg.norm(items - query, axis=1).astype(np.float64)
    order = np.argsort(distances, kind="stable")[:count]
    return order, distances[order]
