"""Neighbour mining for sets too large for all pairs: approximate, with the recall measured, by the rules of ``mining``.

The nearest come from faiss's inverted lists (IVF): k-means cells, of which the ``probes`` closest to a sample are
searched, in L2. The farthest come from the rim: the samples that are farthest from the mean, among which all are
compared. (A farthest neighbour is a sample in nearly the opposite direction, or far from everything; both are far out.)
Candidates are ranked by the metric asked for in float64. ``probes`` and the size of the rim are doubled until, for some
samples drawn for that, enough of the first neighbours are those of the exact search; the recall reported is that of
other samples.

faiss runs single-threaded in each of our threads, on the same chunks whatever their number, and learns its cells in
one, so the number of threads changes nothing.
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
    exact_neighbours,
    neighbours_among,
    over_chunks,
    rank_candidates,
)
from spectral_ssl.ground.config import check_range

SAMPLES = 512  # whose exact neighbours are looked up, once to choose and once to report
QUERIES_AT_ONCE = 1024
FEWEST_PROBES = 4
SMALLEST_RIM, LARGEST_RIM = 256, 16384
SPARE = 4  # candidates beyond those asked for, for a metric that ranks them otherwise
TRAINING_POINTS = 64  # of k-means, for each cell
ITERATIONS = 8


@dataclass(frozen=True, kw_only=True)
class ApproximateNeighbours:
    """Neighbours and how good they are.

    Attributes
    ----------
    neighbours : Neighbours
    nearest_recall, farthest_recall : float
        Share of samples drawn at random whose first neighbour is as near (far) as the true one.
    cells, probes, rim : int
        Inverted lists, those searched for each sample, and samples compared for the farthest.
    """

    neighbours: Neighbours
    nearest_recall: float
    farthest_recall: float
    cells: int
    probes: int
    rim: int


def approximate_neighbours(
    features: NDArray[Any],
    count: int = 1,
    metric: Metric = "l2",
    *,
    recall: float = 0.95,
    seed: int = 0,
    threads: int | None = None,
) -> ApproximateNeighbours:
    """The nearest and farthest other samples of nearly all samples.

    Parameters
    ----------
    features : ndarray, shape (N, D), floating
        Used as float32; beside them about as much memory is taken once more.
    count : int
        K, neighbours wanted on each side.
    metric : {"l1", "l2"}
    recall : float
        Share of first neighbours that shall be the true ones. Of the nearest it is reached in the end (all cells are
        all samples); of the farthest it is tried with up to ``LARGEST_RIM`` samples.
    seed : int
        Of the samples that are looked up exactly, and of k-means.
    threads : int, optional
        All processors by default.

    Returns
    -------
    ApproximateNeighbours

    Raises
    ------
    UserError
        As ``exact_neighbours``.
    """
    values = check_features(features, count, metric)
    check_range("recall", recall, 0.0, 1.0)
    total = len(values)
    drawn = np.random.default_rng(seed).permutation(total)[: 2 * SAMPLES]
    choosing, reporting = (np.sort(half) for half in np.array_split(drawn, 2))
    truth = [exact_neighbours(values, 1, metric, rows=rows, threads=threads) for rows in (choosing, reporting)]
    index = _Cells(values, seed)
    probes = min(FEWEST_PROBES, index.cells)
    while True:
        found = index.nearest(choosing, count, metric, probes, threads)[1]
        if probes == index.cells or _share(found, truth[0].nearest_distances) >= recall:
            break
        probes = min(2 * probes, index.cells)
    outwards = np.argsort(-np.square(values - values.mean(axis=0)).sum(axis=1), kind="stable")
    size = min(max(SMALLEST_RIM, 2 * count), total)
    while True:
        rim = np.sort(outwards[:size])
        far = neighbours_among(values, choosing, rim, count, metric, threads)
        reached = _share(far.farthest_distances, truth[0].farthest_distances) >= recall
        if reached or size >= min(total, LARGEST_RIM):
            break
        size = min(2 * size, total, LARGEST_RIM)
    nearest, near_distances = index.nearest(np.arange(total), count, metric, probes, threads)
    far = neighbours_among(values, np.arange(total), rim, count, metric, threads)
    return ApproximateNeighbours(
        neighbours=Neighbours(
            nearest=nearest,
            nearest_distances=near_distances,
            farthest=far.farthest,
            farthest_distances=far.farthest_distances,
        ),
        nearest_recall=_share(near_distances[reporting], truth[1].nearest_distances),
        farthest_recall=_share(far.farthest_distances[reporting], truth[1].farthest_distances),
        cells=index.cells,
        probes=probes,
        rim=len(rim),
    )


class _Cells:
    """Inverted lists over rows (N, D) float32."""

    def __init__(self, values: NDArray[np.float32], seed: int) -> None:
        import faiss

        self.values = values
        self.cells = max(1, min(round(4 * len(values) ** 0.5), len(values) // 39))  # faiss wants 39 points for each
        self.centres = faiss.IndexFlatL2(values.shape[1])  # kept here: the index only points to it
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
        """The nearest other rows (Q, K) of rows (Q,), and their distances."""
        import faiss

        found, distances = np.empty((len(rows), count), np.int64), np.empty((len(rows), count))
        listed = min(count + 1 + (SPARE if metric == "l2" else 8 * SPARE), len(self.values))
        parameters = faiss.SearchParametersIVF()
        parameters.nprobe = probes

        def work(places: NDArray[np.int64]) -> None:
            faiss.omp_set_num_threads(1)
            queries = self.values[rows[places]]
            _, candidates = self.index.search(queries, listed, params=parameters)
            # the sample itself and empty places give way to whatever else there is: the worst is cut off last
            own = rows[places][:, None]
            useless = (candidates == own) | (candidates < 0)
            ranked, exact = rank_candidates(queries, self.values, np.where(useless, own, candidates), metric)
            useless = ranked == own
            order = np.argsort(useless, axis=1, kind="stable")[:, :count]
            ranked, exact = np.take_along_axis(ranked, order, 1), np.take_along_axis(exact, order, 1)
            lacking = np.take_along_axis(useless, order, 1).any(axis=1)
            found[places], distances[places] = ranked, np.sqrt(exact) if metric == "l2" else exact
            if lacking.any():  # cells with fewer samples than neighbours asked for
                whole = exact_neighbours(self.values, count, metric, rows=rows[places[lacking]], threads=1)
                found[places[lacking]], distances[places[lacking]] = whole.nearest, whole.nearest_distances

        over_chunks(work, len(rows), QUERIES_AT_ONCE, threads)
        return found, distances


def _share(found: NDArray[np.float64], truth: NDArray[np.float64]) -> float:
    """Share of rows whose first distance is the true one."""
    return float(np.mean(found[:, 0] == truth[:, 0]))
