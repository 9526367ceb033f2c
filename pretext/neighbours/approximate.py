"""Approximate neighbour mining with measured recall, for very large sets.

The rules are those of ``pretext.neighbours.exact``. Nearest neighbours come from faiss's inverted
lists (IVF): k-means cells, of which the ``probes`` closest to a sample are searched, in L2.
Farthest neighbours come from the rim, the samples that are farthest from the mean; every sample is
compared with all of it. (The farthest neighbour of a sample lies in nearly the opposite direction,
or far from all samples; both kinds are far from the mean.) Candidates are ranked by the requested
metric in float64.

``probes`` and the size of the rim are doubled until, for one random set of samples, enough of the
first neighbours are those of the exact search. The reported recall is measured on another random
set.

Each thread runs faiss single-threaded, on chunks that do not depend on the number of threads. The
cells are learnt in a single thread. So the number of threads does not change the result.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pretext.neighbours.exact import (
    Metric,
    Neighbours,
    check_features,
    find_exact_neighbours,
    find_neighbours_among,
    rank_candidates,
    run_over_chunks,
)
from spectral_ssl.ground.config import check_range

SAMPLES = 512  # whose exact neighbours are found, once to choose the settings and once to report the recall
QUERIES_AT_ONCE = 1024
FEWEST_PROBES = 4
SMALLEST_RIM, LARGEST_RIM = 256, 16384
SPARE = 4  # candidates in addition to those requested, because the metric may rank them differently
TRAINING_POINTS = 64  # points that k-means uses for each cell
ITERATIONS = 8


@dataclass(frozen=True, kw_only=True)
class ApproximateNeighbours:
    """Approximate neighbours and their recall.

    Attributes
    ----------
    neighbours : Neighbours
        The nearest and the farthest other samples.
    nearest_recall, farthest_recall : float
        Share of random samples whose first neighbour is as near (as far) as the exact one.
    cells : int
        Number of inverted lists.
    probes : int
        Number of lists searched for each sample.
    rim : int
        Number of samples compared for the farthest neighbours.
    """

    neighbours: Neighbours
    nearest_recall: float
    farthest_recall: float
    cells: int
    probes: int
    rim: int


def find_approximate_neighbours(
    features: NDArray[Any],
    count: int = 1,
    metric: Metric = "l2",
    *,
    recall: float = 0.95,
    seed: int = 0,
    threads: int | None = None,
) -> ApproximateNeighbours:
    """Find the nearest and the farthest other samples, correctly for nearly all samples.

    Parameters
    ----------
    features : ndarray, shape (N, D), floating
        Features, used as float32; the search needs about as much memory again.
    count : int
        Number K of neighbours on each side.
    metric : {"l1", "l2"}
        Distance of features.
    recall : float
        Share of first neighbours that must be the exact ones. For the nearest it is always reached,
        because all cells together hold all samples. For the farthest it is attempted with up to
        ``LARGEST_RIM`` samples.
    seed : int
        Seed of k-means, and of the choice of the samples whose exact neighbours are found.
    threads : int, optional
        Number of threads; by default that of all processors.

    Returns
    -------
    ApproximateNeighbours

    Raises
    ------
    UserError
        For the reasons of ``find_exact_neighbours``, or if ``recall`` is not between 0 and 1.

    Examples
    --------
    >>> import numpy as np
    >>> from pretext.neighbours.approximate import find_approximate_neighbours
    >>> features = np.random.default_rng(0).normal(size=(1000, 8))
    >>> result = find_approximate_neighbours(features, count=2)
    >>> result.neighbours.nearest.shape, result.nearest_recall >= 0.9
    ((1000, 2), True)
    """
    values = check_features(features, count, metric)
    check_range("recall", recall, 0.0, 1.0)
    total = len(values)
    drawn = np.random.default_rng(seed).permutation(total)[: 2 * SAMPLES]
    choosing, reporting = (np.sort(half) for half in np.array_split(drawn, 2))
    exact = [find_exact_neighbours(values, 1, metric, rows=rows, threads=threads) for rows in (choosing, reporting)]
    index = _Cells(values, seed)
    probes = min(FEWEST_PROBES, index.cells)
    while True:
        distances = index.nearest(choosing, count, metric, probes, threads)[1]
        if probes == index.cells or _measure_recall(distances, exact[0].nearest_distances) >= recall:
            break
        probes = min(2 * probes, index.cells)
    outwards = np.argsort(-np.square(values - values.mean(axis=0)).sum(axis=1), kind="stable")
    size = min(max(SMALLEST_RIM, 2 * count), total)
    while True:
        rim = np.sort(outwards[:size])
        far = find_neighbours_among(values, choosing, rim, count, metric, threads)
        is_reached = _measure_recall(far.farthest_distances, exact[0].farthest_distances) >= recall
        if is_reached or size >= min(total, LARGEST_RIM):
            break
        size = min(2 * size, total, LARGEST_RIM)
    nearest, near_distances = index.nearest(np.arange(total), count, metric, probes, threads)
    far = find_neighbours_among(values, np.arange(total), rim, count, metric, threads)
    return ApproximateNeighbours(
        neighbours=Neighbours(
            nearest=nearest,
            nearest_distances=near_distances,
            farthest=far.farthest,
            farthest_distances=far.farthest_distances,
        ),
        nearest_recall=_measure_recall(near_distances[reporting], exact[1].nearest_distances),
        farthest_recall=_measure_recall(far.farthest_distances[reporting], exact[1].farthest_distances),
        cells=index.cells,
        probes=probes,
        rim=len(rim),
    )


class _Cells:
    """The inverted lists of rows (N, D) float32."""

    def __init__(self, values: NDArray[np.float32], seed: int) -> None:
        import faiss

        self.values = values
        self.cells = max(1, min(round(4 * len(values) ** 0.5), len(values) // 39))  # faiss requires 39 points for each
        self.centres = faiss.IndexFlatL2(values.shape[1])  # the index holds only a pointer to it
        self.index = faiss.IndexIVFFlat(self.centres, values.shape[1], self.cells)
        self.index.cp.niter, self.index.cp.seed = ITERATIONS, seed
        self.index.cp.max_points_per_centroid = TRAINING_POINTS

        def fill() -> None:
            faiss.omp_set_num_threads(1)  # of this thread alone
            self.index.train(values)
            self.index.add(values)

        with ThreadPoolExecutor(1) as pool:
            pool.submit(fill).result()

    def nearest(
        self, rows: NDArray[np.int64], count: int, metric: Metric, probes: int, threads: int | None
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Find the nearest other rows (Q, K) of rows (Q,), and their distances."""
        import faiss

        result, distances = np.empty((len(rows), count), np.int64), np.empty((len(rows), count))
        candidate_count = min(count + 1 + (SPARE if metric == "l2" else 8 * SPARE), len(self.values))
        parameters = faiss.SearchParametersIVF()
        parameters.nprobe = probes

        def search_chunk(chunk: NDArray[np.int64]) -> None:
            faiss.omp_set_num_threads(1)
            queries = self.values[rows[chunk]]
            _, candidates = self.index.search(queries, candidate_count, params=parameters)
            # faiss marks missing candidates by -1; they and the sample itself are moved to the end
            # of each list
            itself = rows[chunk][:, None]
            useless = (candidates == itself) | (candidates < 0)
            ranked, exact = rank_candidates(queries, self.values, np.where(useless, itself, candidates), metric)
            useless = ranked == itself
            order = np.argsort(useless, axis=1, kind="stable")[:, :count]
            ranked, exact = np.take_along_axis(ranked, order, 1), np.take_along_axis(exact, order, 1)
            incomplete = np.take_along_axis(useless, order, 1).any(axis=1)
            result[chunk], distances[chunk] = ranked, np.sqrt(exact) if metric == "l2" else exact
            if incomplete.any():  # their cells hold fewer samples than the neighbours requested
                whole = find_exact_neighbours(self.values, count, metric, rows=rows[chunk[incomplete]], threads=1)
                result[chunk[incomplete]], distances[chunk[incomplete]] = whole.nearest, whole.nearest_distances

        run_over_chunks(search_chunk, len(rows), QUERIES_AT_ONCE, threads)
        return result, distances


def _measure_recall(distances: NDArray[np.float64], exact: NDArray[np.float64]) -> float:
    """Compute the share of rows whose first distance is the exact one."""
    return float(np.mean(distances[:, 0] == exact[:, 0]))
