"""The compiled loops of neighbour mining: distances by plain differences, and short sorted lists of the extremes.

A list keeps what is best by (distance, row): among equal distances the lowest row. Rows are gone through in rising
order, so a later row enters only when it is strictly better than the last of the list.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.compiling import compiled

TILE_BYTES = 1 << 16  # of rows compared with all queries of a block before the next ones: they stay in the cache


@compiled
def distances_to(
    queries: NDArray[np.float64], items: NDArray[np.float32], candidates: NDArray[np.int64], squared: bool
) -> NDArray[np.float64]:
    """Sums (Q, K) of absolute or squared differences of queries (Q, D) and items (N, D), of the candidates (Q, K)."""
    count, wanted = candidates.shape
    found = np.empty((count, wanted))
    for row in range(count):
        for place in range(wanted):
            item, total = candidates[row, place], 0.0
            if squared:
                for axis in range(queries.shape[1]):
                    difference = queries[row, axis] - items[item, axis]
                    total += difference * difference
            else:
                for axis in range(queries.shape[1]):
                    total += abs(queries[row, axis] - items[item, axis])
            found[row, place] = total
    return found


@compiled
def extremes(
    queries: NDArray[Any],
    own: NDArray[np.int64],
    items: NDArray[Any],
    tile: int,
    squared: bool,
    near: NDArray[Any],
    near_rows: NDArray[np.int64],
    far: NDArray[Any],
    far_rows: NDArray[np.int64],
) -> None:
    """Fill the lists of the nearest and of the farthest items of each query.

    Parameters
    ----------
    queries : ndarray, shape (Q, D), float32 or float64
        Distances are of their type.
    own : ndarray, shape (Q,), int64
        Row of the query itself among the items, which is left out; -1 where it is not among them.
    items : ndarray, shape (N, D), float32
    tile : int
        Items compared with all queries before the next ones.
    squared : bool
        Sums of squared differences; else of absolute ones.
    near, far : ndarray, shape (Q, K) and (Q, L)
        Distances, rising in ``near``, falling in ``far``; infinite and -1 at the beginning.
    near_rows, far_rows : ndarray, shapes (Q, K) and (Q, L), int64
        The rows they belong to.
    """
    count, dimensions = queries.shape
    wanted_near, wanted_far = near.shape[1], far.shape[1]
    for start in range(0, len(items), tile):
        stop = min(start + tile, len(items))
        for query in range(count):
            for item in range(start, stop):
                if item == own[query]:
                    continue
                total = np.zeros(1, queries.dtype)[0]
                if squared:
                    for axis in range(dimensions):
                        difference = queries[query, axis] - items[item, axis]
                        total += difference * difference
                else:
                    for axis in range(dimensions):
                        total += abs(queries[query, axis] - items[item, axis])
                if wanted_near > 0 and total < near[query, wanted_near - 1]:
                    place = wanted_near - 1
                    while place > 0 and total < near[query, place - 1]:
                        near[query, place] = near[query, place - 1]
                        near_rows[query, place] = near_rows[query, place - 1]
                        place -= 1
                    near[query, place] = total
                    near_rows[query, place] = item
                if wanted_far > 0 and total > far[query, wanted_far - 1]:
                    place = wanted_far - 1
                    while place > 0 and total > far[query, place - 1]:
                        far[query, place] = far[query, place - 1]
                        far_rows[query, place] = far_rows[query, place - 1]
                        place -= 1
                    far[query, place] = total
                    far_rows[query, place] = item
