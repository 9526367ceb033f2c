"""Exact neighbour mining: the nearest and the farthest other samples in feature space.

Source: Durall et al., *Latent Space Conditioning on Generative Adversarial Networks*, VISAPP 2021,
algorithm 1. It computes the L1 distances of all pairs of a batch, and for each sample the nearest
and the farthest other sample. These rules hold here and in ``pretext.neighbours.approximate``:

* A sample is never its own neighbour. Another sample with the same features is a neighbour at
  distance 0.
* Among equal distances, computed in float64, the lowest row comes first, for nearest and farthest
  neighbours alike.
* Results depend on the features alone, not on the number of threads or the size of the chunks.

Over a data set the search has two stages. First, distances are computed in float32 as sums of
differences, for nearest and farthest neighbours in one pass. The rounding error of such a sum is a
small part of the distance itself; |a|^2 + |b|^2 - 2ab would lose close neighbours. Then a few more
candidates than requested are ranked again in float64. If rounding could have hidden a better sample
(many duplicates), the row is searched again in float64.

For 60,000 x 256 in L1 one thread took 118 s of processor time on a busy machine. faiss's flat
index, which finds the nearest only, took 146 s.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spectral_ssl.ground.errors import UserError, unknown_name

Metric = Literal["l1", "l2"]
SPARE = 4  # candidates in addition to those requested
QUERIES_AT_ONCE = 256


@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """The nearest and the farthest other samples of N samples.

    Attributes
    ----------
    nearest, farthest : ndarray, shape (N, K), int64
        Rows of the neighbours, the nearest (farthest) first.
    nearest_distances, farthest_distances : ndarray, shape (N, K), float64
        Their L1 or L2 distances.
    """

    nearest: NDArray[np.int64]
    nearest_distances: NDArray[np.float64]
    farthest: NDArray[np.int64]
    farthest_distances: NDArray[np.float64]


def find_batch_neighbours(features: Tensor, metric: Metric = "l1") -> tuple[Tensor, Tensor]:
    """Find the nearest and the farthest other sample of each sample of a batch (algorithm 1).

    Parameters
    ----------
    features : Tensor, shape (B, D), floating
        Features of at least two samples.
    metric : {"l1", "l2"}
        Distance of features.

    Returns
    -------
    nearest, farthest : Tensor, shape (B,), int64
        Rows of the batch; the lowest among equal distances.

    Raises
    ------
    UserError
        If there is only one sample, or no such metric.

    Examples
    --------
    >>> import torch
    >>> from pretext.neighbours.exact import find_batch_neighbours
    >>> find_batch_neighbours(torch.tensor([[0.0], [1.0], [5.0]]))
    (tensor([1, 0, 1]), tensor([2, 2, 0]))
    """
    _check_metric(metric)
    if len(features) < 2:
        raise UserError("no neighbours in a batch of one", f"{len(features)} samples", "raise train.batch_size")
    rows = features.double()
    if metric == "l1":
        distances = torch.cdist(rows, rows, p=1.0)  # (B, B)
    else:
        distances = torch.cdist(rows, rows, p=2.0, compute_mode="donot_use_mm_for_euclid_dist")
    itself = torch.eye(len(rows), dtype=torch.bool)
    nearest = distances.masked_fill(itself, torch.inf).argmin(dim=1)
    return nearest, distances.masked_fill(itself, -torch.inf).argmax(dim=1)


def find_exact_neighbours(
    features: NDArray[Any],
    count: int = 1,
    metric: Metric = "l1",
    *,
    rows: NDArray[np.int64] | None = None,
    threads: int | None = None,
) -> Neighbours:
    """Find the nearest and the farthest other samples of each sample.

    Parameters
    ----------
    features : ndarray, shape (N, D), floating
        Features, used as float32.
    count : int
        Number K of neighbours on each side.
    metric : {"l1", "l2"}
        Distance of features.
    rows : ndarray, shape (Q,), int64, optional
        The samples whose neighbours are found; by default all of them.
    threads : int, optional
        Number of threads; by default that of all processors.

    Returns
    -------
    Neighbours
        Neighbours of the Q samples.

    Raises
    ------
    UserError
        If there are not more samples than neighbours requested, or features are constant, not
        finite or of another shape.

    Notes
    -----
    The relative error of a float32 sum of D terms of one sign is less than (D + 4) u, with u =
    2^-24, in any order. So samples that are not candidates are farther than cut / (1 + (D + 4) u),
    where cut is the last candidate's distance. If the K-th candidate's distance in float64 is less
    than that, the first K candidates are the exact neighbours.

    Examples
    --------
    >>> import numpy as np
    >>> from pretext.neighbours.exact import find_exact_neighbours
    >>> result = find_exact_neighbours(np.array([[0.0], [1.0], [5.0]]))
    >>> result.nearest[:, 0], result.farthest[:, 0]
    (array([1, 0, 1]), array([2, 2, 0]))
    """
    values = check_features(features, count, metric)
    queries = np.arange(len(values)) if rows is None else np.asarray(rows, np.int64)
    return _search(values, queries, values, queries, count, metric, threads)


def find_neighbours_among(
    values: NDArray[np.float32],
    rows: NDArray[np.int64],
    items: NDArray[np.int64],
    count: int,
    metric: Metric,
    threads: int | None = None,
) -> Neighbours:
    """Find the neighbours of samples among some of all samples.

    Parameters
    ----------
    values : ndarray, shape (N, D), float32
        Features of all samples.
    rows : ndarray, shape (Q,), int64
        The samples whose neighbours are found.
    items : ndarray, shape (M,), int64
        The samples that may be neighbours, in ascending order; M > count.
    count : int
        Number K of neighbours on each side.
    metric : {"l1", "l2"}
        Distance of features.
    threads : int, optional
        Number of threads; by default that of all processors.

    Returns
    -------
    Neighbours
        Their rows are rows of ``values``.
    """
    position = np.searchsorted(items, rows)
    is_item = items[np.minimum(position, len(items) - 1)] == rows
    result = _search(values, rows, values[items], np.where(is_item, position, -1), count, metric, threads)
    return Neighbours(
        nearest=items[result.nearest],
        nearest_distances=result.nearest_distances,
        farthest=items[result.farthest],
        farthest_distances=result.farthest_distances,
    )


def rank_candidates(
    queries: NDArray[np.float32],
    items: NDArray[np.float32],
    candidates: NDArray[np.int64],
    metric: Metric,
    *,
    farthest_first: bool = False,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Sort the candidates of each query by their distance in float64, then by row.

    Parameters
    ----------
    queries : ndarray, shape (Q, D), float32
        Features of the queries.
    items : ndarray, shape (N, D), float32
        Features of all samples.
    candidates : ndarray, shape (Q, K), int64
        Rows of ``items``.
    metric : {"l1", "l2"}
        Distance of features.
    farthest_first : bool
        Whether distances descend.

    Returns
    -------
    candidates : ndarray, shape (Q, K), int64
        The sorted rows.
    distances : ndarray, shape (Q, K), float64
        Their L1 distances, or the squares of their L2 distances.
    """
    from pretext.neighbours.kernels import compute_distances  # numba: 0.3 s at import

    distances = compute_distances(queries.astype(np.float64), items, candidates, metric == "l2")
    order = np.lexsort((candidates, -distances if farthest_first else distances), axis=-1)
    return np.take_along_axis(candidates, order, axis=1), np.take_along_axis(distances, order, axis=1)


def check_features(features: NDArray[Any], count: int, metric: Metric) -> NDArray[np.float32]:
    """Return features as float32 (N, D), or raise a UserError if they have no neighbours."""
    _check_metric(metric)
    values = np.ascontiguousarray(features, np.float32)
    if values.ndim != 2 or not values.shape[1]:
        raise UserError("shape of the features", values.shape, "give (N, D)")
    if not np.isfinite(values).all():
        raise UserError("features that are not finite", "NaN or infinity", "make them again")
    if count < 1 or len(values) <= count:
        got = f"{count} neighbours of each of {len(values)} samples"
        raise UserError("fewer samples than neighbours requested", got, "give more samples or request fewer neighbours")
    if (values == values[0]).all():
        raise UserError("constant features", f"{len(values)} equal rows", "give features that differ between samples")
    return values


def run_over_chunks(work: Callable[[NDArray[np.int64]], None], count: int, size: int, threads: int | None) -> None:
    """Call ``work`` with the positions of each chunk of ``size`` rows, on several threads.

    The chunks do not depend on the number of threads, which by default is that of all processors.
    """
    chunks = [np.arange(start, min(start + size, count)) for start in range(0, count, size)]
    with ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
        for _ in pool.map(work, chunks):
            pass


def _search(
    values: NDArray[np.float32],
    rows: NDArray[np.int64],
    items: NDArray[np.float32],
    positions: NDArray[np.int64],
    count: int,
    metric: Metric,
    threads: int | None,
) -> Neighbours:
    """Find the neighbours of samples (Q,) among items (N, D).

    ``positions`` (Q,) are the rows of the samples themselves among the items; -1 for a sample that
    is none of them.
    """
    from pretext.neighbours.kernels import TILE_BYTES, update_extremes

    dimensions, squared = items.shape[1], metric == "l2"
    possible = len(items) - 1
    candidate_count = min(count + SPARE, possible)
    # values are scaled to at most 1, so that squares neither overflow nor underflow
    scale = 2.0 ** -np.ceil(np.log2(max(float(np.abs(values).max()), float(np.abs(items).max()))))
    scaled, scaled_items = values * np.float32(scale), items * np.float32(scale)
    unit = scale**2 if squared else scale
    slack, least = 1 + 2 * (dimensions + 4) * 2.0**-24, dimensions * 1e-36
    tile = max(16, TILE_BYTES // (4 * dimensions))
    shape = len(rows), count
    near_rows, far_rows = np.empty(shape, np.int64), np.empty(shape, np.int64)
    near, far = np.empty(shape), np.empty(shape)

    def list_extremes(queries: NDArray[Any], among: NDArray[np.float32], chunk: NDArray[np.int64], size: int) -> Any:
        nearest = np.full((len(chunk), size), np.inf, queries.dtype), np.full((len(chunk), size), -1, np.int64)
        farthest = np.full((len(chunk), size), -1, queries.dtype), np.full((len(chunk), size), -1, np.int64)
        update_extremes(queries, positions[chunk], among, tile, squared, *nearest, *farthest)
        return *nearest, *farthest

    def search_chunk(chunk: NDArray[np.int64]) -> None:
        queries = values[rows[chunk]]
        lists = list_extremes(scaled[rows[chunk]], scaled_items, chunk, candidate_count)
        cut_near, candidates_near, cut_far, candidates_far = lists
        nearest, near_exact = rank_candidates(queries, items, candidates_near, metric)
        farthest, far_exact = rank_candidates(queries, items, candidates_far, metric, farthest_first=True)
        near_rows[chunk], near[chunk] = nearest[:, :count], near_exact[:, :count]
        far_rows[chunk], far[chunk] = farthest[:, :count], far_exact[:, :count]
        if candidate_count == possible:
            return
        is_exact = near_exact[:, count - 1] * unit < cut_near[:, -1].astype(np.float64) / slack - least
        is_exact &= far_exact[:, count - 1] * unit > cut_far[:, -1].astype(np.float64) * slack + least
        again = chunk[~is_exact]
        if len(again):
            lists = list_extremes(values[rows[again]].astype(np.float64), items, again, count)
            near[again], near_rows[again], far[again], far_rows[again] = lists

    run_over_chunks(search_chunk, len(rows), QUERIES_AT_ONCE, threads)
    if squared:
        near, far = np.sqrt(near), np.sqrt(far)
    return Neighbours(nearest=near_rows, nearest_distances=near, farthest=far_rows, farthest_distances=far)


def _check_metric(metric: str) -> None:
    if metric not in get_args(Metric):
        raise unknown_name("metric", metric, get_args(Metric))
