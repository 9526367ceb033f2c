"""The compiled loops of neighbour mining: distances, and sorted lists of the extremes.

A list holds the best items by (distance, row): among equal distances the lowest row comes first.
Rows are visited in ascending order, so a later row enters the list only if it is strictly better
than the last entry.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.compiling import compile_kernel

TILE_BYTES = 1 << 16  # rows of this size are compared with all queries of a block, so that they stay in the cache


@compile_kernel
def compute_distances(
    queries: NDArray[np.float64], items: NDArray[np.float32], candidates: NDArray[np.int64], squared: bool
) -> NDArray[np.float64]:
    """Compute sums (Q, K) of absolute or squared differences to the candidates (Q, K).

    Candidates are rows of ``items`` (N, D); ``squared`` says which differences are summed.
    """
    count, size = candidates.shape
    result = np.empty((count, size))
    for row in range(count):
        for column in range(size):
            item, total = candidates[row, column], 0.0
            if squared:
                for axis in range(queries.shape[1]):
                    difference = queries[row, axis] - items[item, axis]
                    total += difference * difference
            else:
                for axis in range(queries.shape[1]):
                    total += abs(queries[row, axis] - items[item, axis])
            result[row, column] = total
    return result


@compile_kernel
def update_extremes(
    queries: NDArray[Any],
    positions: NDArray[np.int64],
    items: NDArray[Any],
    tile: int,
    squared: bool,
    near: NDArray[Any],
    near_rows: NDArray[np.int64],
    far: NDArray[Any],
    far_rows: NDArray[np.int64],
) -> None:
    """Update the lists of the nearest and of the farthest items of each query, in slot.

    Parameters
    ----------
    queries : ndarray, shape (Q, D), float32 or float64
        Features of the queries; distances have their type.
    positions : ndarray, shape (Q,), int64
        Row of each query among the items, which is skipped; -1 for a query that is not among them.
    items : ndarray, shape (N, D), float32
        Features of the items.
    tile : int
        Number of items that are compared with all queries before the next ones.
    squared : bool
        Whether squared differences are summed, and not absolute ones.
    near, far : ndarray, shape (Q, K) and (Q, L)
        Distances, ascending in ``near`` and descending in ``far``; initially infinite and -1.
    near_rows, far_rows : ndarray, shapes (Q, K) and (Q, L), int64
        Rows of the items at these distances.
    """
    count, dimensions = queries.shape
    near_size, far_size = near.shape[1], far.shape[1]
    for start in range(0, len(items), tile):
        stop = min(start + tile, len(items))
        for query in range(count):
            for item in range(start, stop):
                if item == positions[query]:
                    continue
                total = np.zeros(1, queries.dtype)[0]
                if squared:
                    for axis in range(dimensions):
                        difference = queries[query, axis] - items[item, axis]
                        total += difference * difference
                else:
                    for axis in range(dimensions):
                        total += abs(queries[query, axis] - items[item, axis])
                if near_size > 0 and total < near[query, near_size - 1]:
                    slot = near_size - 1
                    while slot > 0 and total < near[query, slot - 1]:
                        near[query, slot] = near[query, slot - 1]
                        near_rows[query, slot] = near_rows[query, slot - 1]
                        slot -= 1
                    near[query, slot] = total
                    near_rows[query, slot] = item
                if far_size > 0 and total > far[query, far_size - 1]:
                    slot = far_size - 1
                    while slot > 0 and total > far[query, slot - 1]:
                        far[query, slot] = far[query, slot - 1]
                        far_rows[query, slot] = far_rows[query, slot - 1]
                        slot -= 1
                    far[query, slot] = total
                    far_rows[query, slot] = item
