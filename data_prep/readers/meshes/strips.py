"""Triangles of strips and fans: several triangles that share corners, as .ply and glTF files store them."""

import numpy as np
from numpy.typing import NDArray

Corners = NDArray[np.int64]


def unroll_strips(corners: Corners) -> Corners:
    """List the triangles of triangle strips.

    Parameters
    ----------
    corners : ndarray, shape (K,), int64
        Indices of vertices. Each corner after the second one of a strip makes a triangle with the
        two corners before it. A negative index ends a strip.

    Returns
    -------
    ndarray, shape (F, 3), int64
        The triangles in one orientation: every second one of a strip is turned. Triangles that name
        a vertex twice only join parts of a strip; they are dropped.

    Examples
    --------
    >>> import numpy as np
    >>> from data_prep.readers.meshes.strips import unroll_strips
    >>> unroll_strips(np.array([0, 1, 2, 3, -1, 4, 5, 6])).tolist()
    [[0, 1, 2], [2, 1, 3], [4, 5, 6]]
    """
    if len(corners) < 3:
        return np.empty((0, 3), np.int64)
    places = np.arange(len(corners))
    starts = np.maximum.accumulate(np.where(corners < 0, places + 1, 0))
    rows = np.flatnonzero(starts[2:] <= places[:-2])
    faces = corners[rows[:, None] + np.arange(3)]
    is_turned = (rows - starts[rows]) % 2 == 1
    faces[is_turned] = faces[is_turned][:, [1, 0, 2]]
    return _drop_degenerate(faces)


def unroll_fans(corners: Corners) -> Corners:
    """List the triangles of triangle fans.

    Parameters
    ----------
    corners : ndarray, shape (K,), int64
        Indices of vertices. Each corner after the second one of a fan makes a triangle with the
        corner before it and the first corner of the fan. A negative index ends a fan.

    Returns
    -------
    ndarray, shape (F, 3), int64
        The triangles. Those that name a vertex twice are dropped.

    Examples
    --------
    >>> import numpy as np
    >>> from data_prep.readers.meshes.strips import unroll_fans
    >>> unroll_fans(np.array([0, 1, 2, 3])).tolist()
    [[0, 1, 2], [0, 2, 3]]
    """
    if len(corners) < 3:
        return np.empty((0, 3), np.int64)
    places = np.arange(len(corners))
    starts = np.maximum.accumulate(np.where(corners < 0, places + 1, 0))
    # A triangle's last two corners are at the rows + 1 and + 2, so its fan must begin before them.
    rows = np.flatnonzero(starts[2:] <= places[:-2])
    return _drop_degenerate(np.stack([corners[starts[rows]], corners[rows + 1], corners[rows + 2]], axis=1))


def count_open_edges(points: NDArray[np.float64], faces: Corners) -> int:
    """Count the edges that belong to a single triangle.

    Parameters
    ----------
    points : ndarray, shape (N, 3), float64
        Vertices; vertices at the same place count as one.
    faces : ndarray, shape (F, 3), int64
        Triangles, in any orientation.

    Returns
    -------
    int
        The number of edges with one triangle; 0 for a closed surface.

    Examples
    --------
    >>> import numpy as np
    >>> from data_prep.readers.meshes.strips import count_open_edges
    >>> corners = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    >>> count_open_edges(corners, np.array([[0, 1, 2], [2, 1, 3], [2, 3, 0], [0, 3, 1]]))
    0
    >>> count_open_edges(corners, np.array([[0, 1, 2], [2, 1, 3]]))
    4
    """
    _, places = np.unique(points, axis=0, return_inverse=True)
    merged = _drop_degenerate(places.reshape(-1)[faces])
    edges = np.sort(np.concatenate([merged[:, [0, 1]], merged[:, [1, 2]], merged[:, [2, 0]]]), axis=1)
    _, counts = np.unique(edges, axis=0, return_counts=True)
    return int(np.count_nonzero(counts == 1))


def _drop_degenerate(faces: Corners) -> Corners:
    """Drop triangles that name a vertex twice."""
    first, second, third = faces.T
    return faces[(first != second) & (second != third) & (third != first)]
