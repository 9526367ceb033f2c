"""Neighbour mining: the nearest and the farthest other samples in feature space, in a batch or over a whole data set.

Durall et al., *Latent Space Conditioning on Generative Adversarial Networks*, VISAPP 2021, algorithm 1: the distances
of all pairs of a batch in L1, and of each sample the nearest and the farthest other one. The rules, here and in
``pretext.neighbours.approximate``:

* a sample is never its own neighbour; another sample with the same features is, at distance 0;
* among equal distances, computed in float64, the lowest row comes first, of the nearest as of the farthest;
* results depend on the features alone: not on the number of threads, nor on the size of the chunks.

Over a data set everything is exact. Distances are computed in float32 by plain differences, whose error is a small part
of the distance itself (no |a|^2 + |b|^2 - 2ab, which loses close neighbours), for nearest and farthest in one pass; a
few more candidates are kept than asked for and ranked again in float64. Where the rounding could have hidden a better
sample (many duplicates), the row is searched once more in float64. For 60,000 x 256 in L1
one thread took 118 s of processor time on a busy machine, faiss's flat index, which finds the nearest only, 146 s.
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
SPARE = 4  # candidates beyond those asked for
QUERIES_AT_ONCE = 256


@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """The nearest and farthest other samples of N samples.

    Attributes
    ----------
    nearest, farthest : ndarray, shape (N, K), int64
        Rows, the nearest (farthest) first.
    nearest_distances, farthest_distances : ndarray, shape (N, K), float64
        L1 or L2 distances.
    """

    nearest: NDArray[np.int64]
    nearest_distances: NDArray[np.float64]
    farthest: NDArray[np.int64]
    farthest_distances: NDArray[np.float64]


def batch_neighbours(features: Tensor, metric: Metric = "l1") -> tuple[Tensor, Tensor]:
    """Algorithm 1: the nearest and the farthest other sample of each sample of a batch.

    Parameters
    ----------
    features : Tensor, shape (B, D), floating
        At least two rows.
    metric : {"l1", "l2"}

    Returns
    -------
    nearest, farthest : Tensor, shape (B,), int64
        Places in the batch; among equal distances the first place.

    Raises
    ------
    UserError
        When there is but one sample, or no such metric.
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


def exact_neighbours(
    features: NDArray[Any],
    count: int = 1,
    metric: Metric = "l1",
    *,
    rows: NDArray[np.int64] | None = None,
    threads: int | None = None,
) -> Neighbours:
    """The nearest and the farthest samples of each sample, exactly.

    Parameters
    ----------
    features : ndarray, shape (N, D), floating
        Used as float32.
    count : int
        K, neighbours wanted on each side.
    metric : {"l1", "l2"}
    rows : ndarray, shape (Q,), int64, optional
        The samples whose neighbours are wanted, all by default.
    threads : int, optional
        All processors by default.

    Returns
    -------
    Neighbours
        Of the samples asked for.

    Raises
    ------
    UserError
        When there are fewer samples than neighbours asked for, features are constant or not finite, or have another
        shape.

    Notes
    -----
    A float32 sum of D terms of one sign is off by less than (D + 4) u of itself, u = 2^-24, in any order. So samples
    that are not among the candidates are farther than cut / (1 + (D + 4) u), where cut is the last candidate's
    distance; if the K-th candidate's distance in float64 is less than that, the K first are the right ones.
    """
    values = check_features(features, count, metric)
    wanted = np.arange(len(values)) if rows is None else np.asarray(rows, np.int64)
    return _search(values, wanted, values, wanted, count, metric, threads)


def neighbours_among(
    values: NDArray[np.float32],
    rows: NDArray[np.int64],
    items: NDArray[np.int64],
    count: int,
    metric: Metric,
    threads: int | None = None,
) -> Neighbours:
    """As ``exact_neighbours``, but only the given samples (M,), in rising order, may be neighbours; M > count."""
    place = np.searchsorted(items, rows)
    inside = items[np.minimum(place, len(items) - 1)] == rows
    found = _search(values, rows, values[items], np.where(inside, place, -1), count, metric, threads)
    return Neighbours(
        nearest=items[found.nearest],
        nearest_distances=found.nearest_distances,
        farthest=items[found.farthest],
        farthest_distances=found.farthest_distances,
    )


def rank_candidates(
    queries: NDArray[np.float32],
    items: NDArray[np.float32],
    candidates: NDArray[np.int64],
    metric: Metric,
    *,
    farthest_first: bool = False,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Sort the candidates (Q, K) of queries (Q, D), rows of items (N, D), by distance in float64, then by row.

    Returns
    -------
    candidates : ndarray, shape (Q, K), int64
    distances : ndarray, shape (Q, K), float64
        Of L2 the squares.
    """
    from pretext.neighbours.kernels import distances_to  # numba: 0.3 s at import

    distances = distances_to(queries.astype(np.float64), items, candidates, metric == "l2")
    order = np.lexsort((candidates, -distances if farthest_first else distances), axis=-1)
    return np.take_along_axis(candidates, order, axis=1), np.take_along_axis(distances, order, axis=1)


def check_features(features: NDArray[Any], count: int, metric: Metric) -> NDArray[np.float32]:
    """Features as float32 rows (N, D). Raises a UserError when nothing can be mined in them."""
    _check_metric(metric)
    values = np.ascontiguousarray(features, np.float32)
    if values.ndim != 2 or not values.shape[1]:
        raise UserError("shape of the features", values.shape, "give (N, D)")
    if not np.isfinite(values).all():
        raise UserError("features that are not finite", "NaN or infinity", "make them again")
    if count < 1 or len(values) <= count:
        got = f"{count} neighbours of each of {len(values)} samples"
        raise UserError("fewer samples than neighbours asked for", got, "give more samples or ask for fewer neighbours")
    if (values == values[0]).all():
        raise UserError("constant features", f"{len(values)} times the same", "they say nothing; give other features")
    return values


def over_chunks(work: Callable[[NDArray[np.int64]], None], count: int, size: int, threads: int | None) -> None:
    """Call ``work`` with the places of each chunk of ``count`` rows, on so many threads. Chunks are always the same."""
    chunks = [np.arange(start, min(start + size, count)) for start in range(0, count, size)]
    with ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
        for _ in pool.map(work, chunks):
            pass


def _search(
    values: NDArray[np.float32],
    rows: NDArray[np.int64],
    items: NDArray[np.float32],
    own: NDArray[np.int64],
    count: int,
    metric: Metric,
    threads: int | None,
) -> Neighbours:
    """Neighbours of samples (Q,) among items (N, D); ``own`` is each sample's place among them or -1."""
    from pretext.neighbours.kernels import TILE_BYTES, extremes

    dimensions, squared = items.shape[1], metric == "l2"
    possible = len(items) - 1
    listed = min(count + SPARE, possible)
    # the largest value becomes about 1, so that squares neither overflow nor vanish
    scale = 2.0 ** -np.ceil(np.log2(max(float(np.abs(values).max()), float(np.abs(items).max()))))
    scaled, scaled_items = values * np.float32(scale), items * np.float32(scale)
    unit = scale**2 if squared else scale
    slack, least = 1 + 2 * (dimensions + 4) * 2.0**-24, dimensions * 1e-36
    tile = max(16, TILE_BYTES // (4 * dimensions))
    shape = len(rows), count
    near_rows, far_rows = np.empty(shape, np.int64), np.empty(shape, np.int64)
    near, far = np.empty(shape), np.empty(shape)

    def lists(queries: NDArray[Any], among: NDArray[np.float32], places: NDArray[np.int64], size: int) -> Any:
        found = np.full((len(places), size), np.inf, queries.dtype), np.full((len(places), size), -1, np.int64)
        least_far = np.full((len(places), size), -1, queries.dtype), np.full((len(places), size), -1, np.int64)
        extremes(queries, own[places], among, tile, squared, *found, *least_far)
        return *found, *least_far

    def work(places: NDArray[np.int64]) -> None:
        queries = values[rows[places]]
        cut_near, candidates_near, cut_far, candidates_far = lists(scaled[rows[places]], scaled_items, places, listed)
        nearest, near_exact = rank_candidates(queries, items, candidates_near, metric)
        farthest, far_exact = rank_candidates(queries, items, candidates_far, metric, farthest_first=True)
        near_rows[places], near[places] = nearest[:, :count], near_exact[:, :count]
        far_rows[places], far[places] = farthest[:, :count], far_exact[:, :count]
        if listed == possible:
            return
        sure = near_exact[:, count - 1] * unit < cut_near[:, -1].astype(np.float64) / slack - least
        sure &= far_exact[:, count - 1] * unit > cut_far[:, -1].astype(np.float64) * slack + least
        again = places[~sure]
        if len(again):
            found = lists(values[rows[again]].astype(np.float64), items, again, count)
            near[again], near_rows[again], far[again], far_rows[again] = found

    over_chunks(work, len(rows), QUERIES_AT_ONCE, threads)
    if squared:
        near, far = np.sqrt(near), np.sqrt(far)
    return Neighbours(nearest=near_rows, nearest_distances=near, farthest=far_rows, farthest_distances=far)


def _check_metric(metric: str) -> None:
    if metric not in get_args(Metric):
        raise unknown_name("metric", metric, get_args(Metric))
