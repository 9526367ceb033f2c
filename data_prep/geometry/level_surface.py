"""The surface on which sampled values reach a level: marching tetrahedra.

Each cube between eight neighbouring grid points is cut into the six tetrahedra along its diagonal (Kuhn's
subdivision), which fit together across cubes. In a tetrahedron the surface is one triangle or two, with none of the
ambiguous cases of marching cubes (Lorensen and Cline, 1987), so that the result is always closed. Tetrahedra after
Doi and Koide, "An efficient method of triangulating equi-valued surfaces by using tetrahedral cells" (1991).
"""

from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from data_prep.source import Shape
from spectral_ssl.ground.errors import ObjectError, UserError

# An edge of a tetrahedron as two of its corners, a triangle as three edges.
Edge = tuple[int, int]


def extract_level_surface(
    values: NDArray[np.floating], level: float, spacing: float = 1.0, origin: float = 0.0
) -> Shape:
    """The closed surface between grid points with values of at least ``level`` and those with less.

    Parameters
    ----------
    values : (I, J, K) array of a floating dtype
        Sampled at ``origin + spacing * (i, j, k)``.
    level : float
        Beyond the border of the grid everything counts as below it.
    spacing, origin : float
        Place of the grid, the same along all axes.

    Returns
    -------
    Shape
        Triangles that turn counter-clockwise seen from the side of lower values. Watertight.

    Raises
    ------
    UserError
        When the values are not a finite 3D array.
    ObjectError
        When no value reaches the level.

    Notes
    -----
    Places on the edges are interpolated linearly: exact for linear functions, and off by at most spacing^2 |f''| /
    (2 |f'|) elsewhere.
    """
    if values.ndim != 3 or not np.isfinite(values).all():
        raise UserError("values of a level surface", values.shape, "give a finite 3D array")
    # a border below the level closes the surface; just below, so that it runs close to the outermost grid points
    below = min(float(values.min()), level) - 1e-3 * max(float(np.ptp(values)), abs(level), 1e-300)
    field = np.pad(values.astype(np.float64), 1, constant_values=below)
    inside = field >= level
    if not inside.any():
        raise ObjectError(f"no value reaches the level {level:.3g}")
    # cubes whose eight corners are not all on one side
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
        # the way from one corner of the cube to the opposite one, an axis at a time
        path = corner[:, None] + np.concatenate([[0], np.cumsum(strides[list(axes)])])
        code = flags[path] @ np.array([1, 2, 4, 8])
        odd = axes in ((0, 2, 1), (1, 0, 2), (2, 1, 0))
        for case, pieces in enumerate(_CASES):
            own = path[code == case]
            for piece in pieces:
                # an edge by its two grid points; the corners of a path are in ascending order
                ends = np.stack([own[:, [min(edge), max(edge)]] for edge in piece], axis=1)
                triangles.append(ends[:, ::-1] if odd else ends)
    edges = np.concatenate(triangles).reshape(-1, 2)
    unique, index = np.unique(edges[:, 0] * flat.size + edges[:, 1], return_inverse=True)
    low, high = np.divmod(unique, flat.size)
    share = (level - flat[low]) / (flat[high] - flat[low])
    places = [np.stack(np.unravel_index(ends, field.shape), axis=1) for ends in (low, high)]
    points = places[0] + share[:, None] * (places[1] - places[0])
    return Shape(np.asarray((points - 1) * spacing + origin, np.float64), index.reshape(-1, 3).astype(np.int64))


def _cases() -> list[list[tuple[Edge, Edge, Edge]]]:
    """For each set of inner corners (bit i for corner i) of a right-handed tetrahedron its triangles."""
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
            flip = _odd((i, j, k, ell))
        else:
            alone, rest = (inner[0], outer) if len(inner) == 1 else (outer[0], inner)
            j, k, ell = rest
            pieces = [((alone, j), (alone, k), (alone, ell))]
            flip = _odd((alone, j, k, ell)) != (len(inner) == 3)
        cases.append([(c, b, a) for a, b, c in pieces] if flip else pieces)
    return cases


def _odd(order: tuple[int, ...]) -> bool:
    return sum(order[i] > order[j] for i in range(4) for j in range(i + 1, 4)) % 2 == 1


_CASES = _cases()
