"""Extraction of the surface on which sampled values reach a level, by marching tetrahedra.

Each cube between eight neighbouring grid points is cut into the six tetrahedra along its diagonal
(Kuhn's subdivision). These match across cubes. In a tetrahedron the surface is one triangle or two.
Marching cubes (Lorensen and Cline, 1987) has ambiguous cases; tetrahedra have none, so the result
is always closed. Source: Doi and Koide, "An efficient method of triangulating equi-valued surfaces
by using tetrahedral cells" (1991).
"""

from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from data_prep.source import Shape
from spectral_ssl.ground.errors import ObjectError, UserError

# An edge of a tetrahedron is two of its corners. A triangle of the surface is three edges.
Edge = tuple[int, int]


def extract_level_surface(
    values: NDArray[np.floating], level: float, spacing: float = 1.0, origin: float = 0.0
) -> Shape:
    """Extract the closed surface between grid points with values of at least ``level`` and those with less.

    Parameters
    ----------
    values : (I, J, K) array of a floating dtype
        Samples at ``origin + spacing * (i, j, k)``.
    level : float
        Value on the surface. Values beyond the border of the grid count as lower.
    spacing, origin : float
        Distance of grid points and position of the first, the same along all axes.

    Returns
    -------
    Shape
        A watertight mesh. Triangles are counter-clockwise as seen from the side of lower values.

    Raises
    ------
    UserError
        When the values are not a finite 3D array.
    ObjectError
        When no value reaches the level.

    Notes
    -----
    Vertices are interpolated linearly along edges. This is exact for linear functions. For others
    the error is at most spacing^2 |f''| / (2 |f'|).
    """
    if values.ndim != 3 or not np.isfinite(values).all():
        raise UserError("values of a level surface", values.shape, "give a finite 3D array")
    # A border below the level closes the surface. It is only just below, so that the surface stays
    # close to the outermost grid points.
    below = min(float(values.min()), level) - 1e-3 * max(float(np.ptp(values)), abs(level), 1e-300)
    field = np.pad(values.astype(np.float64), 1, constant_values=below)
    inside = field >= level
    if not inside.any():
        raise ObjectError(f"no value reaches the level {level:.3g}")
    # Only cubes whose eight corners are not all on one side contain surface.
    count = sum(
        inside[i : i - 1 or None, j : j - 1 or None, k : k - 1 or None].astype(np.int8)
        for i in (0, 1)
        for j in (0, 1)
        for k in (0, 1)
    )
    cubes = np.stack(np.nonzero((np.asarray(count) > 0) & (np.asarray(count) < 8)), axis=1)
    strides = np.array([field.shape[1] * field.shape[2], field.shape[2], 1])
    corner = cubes @ strides
    flat, flags = field.reshape(-1), inside.reshape(-1)
    triangles = []
    for axes in permutations(range(3)):
        # A tetrahedron is a path from one corner of the cube to the opposite corner, along one axis
        # after the other.
        path = corner[:, None] + np.concatenate([[0], np.cumsum(strides[list(axes)])])
        code = flags[path] @ np.array([1, 2, 4, 8])
        odd = axes in ((0, 2, 1), (1, 0, 2), (2, 1, 0))
        for case, pieces in enumerate(_CASES):
            tetrahedra = path[code == case]
            for piece in pieces:
                # An edge is its two grid points. The corners of a path are in ascending order.
                ends = np.stack([tetrahedra[:, [min(edge), max(edge)]] for edge in piece], axis=1)
                triangles.append(ends[:, ::-1] if odd else ends)
    edges = np.concatenate(triangles).reshape(-1, 2)
    unique, index = np.unique(edges[:, 0] * flat.size + edges[:, 1], return_inverse=True)
    low, high = np.divmod(unique, flat.size)
    share = (level - flat[low]) / (flat[high] - flat[low])
    grid = [np.stack(np.unravel_index(ends, field.shape), axis=1) for ends in (low, high)]
    points = grid[0] + share[:, None] * (grid[1] - grid[0])
    return Shape(np.asarray((points - 1) * spacing + origin, np.float64), index.reshape(-1, 3).astype(np.int64))


def _list_cases() -> list[list[tuple[Edge, Edge, Edge]]]:
    """List, for each set of inner corners (bit i for corner i) of a right-handed tetrahedron, its triangles."""
    cases: list[list[tuple[Edge, Edge, Edge]]] = []
    for code in range(16):
        inner = [corner for corner in range(4) if code >> corner & 1]
        outer = [corner for corner in range(4) if not code >> corner & 1]
        if len(inner) in (0, 4):
            cases.append([])
            continue
        if len(inner) == 2:
            i, j, k, ell = *inner, *outer
            pieces: list[tuple[Edge, Edge, Edge]] = [
                ((i, k), (i, ell), (j, ell)),
                ((i, k), (j, ell), (j, k)),
            ]
            flip = _is_odd((i, j, k, ell))
        else:
            alone, rest = (inner[0], outer) if len(inner) == 1 else (outer[0], inner)
            j, k, ell = rest
            pieces = [((alone, j), (alone, k), (alone, ell))]
            flip = _is_odd((alone, j, k, ell)) != (len(inner) == 3)
        cases.append([(c, b, a) for a, b, c in pieces] if flip else pieces)
    return cases


def _is_odd(order: tuple[int, ...]) -> bool:
    return sum(order[i] > order[j] for i in range(4) for j in range(i + 1, 4)) % 2 == 1


_CASES = _list_cases()
