"""Triangulation of the polygons of a mesh: fans where a fan is right, ear cutting for the other outlines.

Most polygons of real meshes are triangles and convex quads, so numpy handles all polygons of one
size at once. A fan from the first corner is right exactly if that corner sees the whole outline.
Small concave polygons are fans from another corner. The rest is cut by mapbox_earcut.
"""

import mapbox_earcut
import numpy as np
from numpy.typing import NDArray

from spectral_ssl.ground.errors import ObjectError

BLOCK = 1 << 15  # corners per block: its arrays stay in the cache, which saves a quarter of the time of many quads
MOST_ROTATED = 8  # Larger polygons are rarely a fan from another corner, and each attempt costs a pass.
# Share of a polygon's area by which a triangle of a fan may lie outside. Corners on a straight line
# are off it by rounding.
TOLERANCE = 1e-6
# An outline that does not cross itself is cut to its own area. Small crossings change it a little.
LARGEST_CHANGE = 0.05
# Ear cutting takes up to 2.5 ns times the square of the number of corners, measured on one core for
# outlines that cross themselves at random. So this limit is about 10 s.
MOST_SQUARED_CORNERS = 4 * 10**9

Corners = NDArray[np.int64]


def triangulate_polygons(points: NDArray[np.float64], corners: Corners, sizes: Corners) -> Corners:
    """Cut polygons into triangles, in the order and the orientation of the polygons.

    Parameters
    ----------
    points : ndarray, shape (N, 3), float64
        Vertices of the mesh. Those used by a polygon should be finite.
    corners : ndarray, shape (K,), int64
        Indices of vertices, below N: the corners of the first polygon, of the second and so on.
    sizes : ndarray, shape (P,), int64
        Number of corners of each polygon, not negative, with the sum K.

    Returns
    -------
    ndarray, shape (F, 3), int64
        Triangles whose areas sum to those of the polygons. A polygon with fewer than three corners
        is dropped. A polygon whose first corner sees the whole outline, such as each convex one, is
        a fan from this corner. Other polygons may lose corners that are repeated or on a straight
        line. A polygon that is not planar is cut in the plane of its mean (Newell) normal. A
        polygon that crosses itself has no defined inside. It becomes a fan, unless ear cutting
        keeps its signed area within 5 percent.

    Raises
    ------
    ObjectError
        When concave polygons have so many corners that cutting would take minutes.

    Examples
    --------
    >>> import numpy as np
    >>> from data_prep.readers.meshes.polygons import triangulate_polygons
    >>> arrow = np.array([[0.0, 0, 0], [2, 2, 0], [0, 1, 0], [-2, 2, 0]])
    >>> triangulate_polygons(arrow, np.array([0, 1, 2, 3]), np.array([4])).tolist()
    [[0, 1, 2], [0, 2, 3]]
    >>> triangulate_polygons(arrow, np.array([1, 2, 3, 0]), np.array([4])).tolist()
    [[2, 3, 0], [2, 0, 1]]
    """
    if len(sizes) == 0:
        return np.empty((0, 3), np.int64)
    if (sizes == 3).all():
        return corners.reshape(-1, 3).astype(np.int64, copy=False)
    starts = np.cumsum(sizes) - sizes
    counts = np.maximum(sizes - 2, 0)
    rows = np.cumsum(counts) - counts
    faces = np.full((int(counts.sum()), 3), -1, np.int64)
    order = np.argsort(sizes, kind="stable")
    squares = 0
    for group in np.split(order, np.flatnonzero(np.diff(sizes[order])) + 1):
        size = int(sizes[group[0]])
        if size < 3:
            continue
        step = max(BLOCK // size, 1)
        for block in (group[first : first + step] for first in range(0, len(group), step)):
            polygons = corners[starts[block, None] + np.arange(size)]
            triangles = _make_fans(polygons)
            if size > 3:
                left = _rotate_fans(points, polygons, triangles)
                squares += len(left) * size**2
                if squares > MOST_SQUARED_CORNERS:
                    raise ObjectError(f"concave polygons of up to {size} corners: too many corners; triangulate first")
                if len(left):
                    triangles[left] = _cut_ears(points, polygons[left], triangles[left])
            faces[rows[block, None] + np.arange(size - 2)] = triangles
    return faces[faces[:, 0] >= 0]


def _make_fans(polygons: Corners) -> Corners:
    """Make the fans of polygons (G, K) from their first corners, shape (G, K - 2, 3)."""
    fans = np.empty((len(polygons), polygons.shape[1] - 2, 3), np.int64)
    fans[:, :, 0] = polygons[:, :1]
    fans[:, :, 1] = polygons[:, 1:-1]
    fans[:, :, 2] = polygons[:, 2:]
    return fans


def _rotate_fans(points: NDArray[np.float64], polygons: Corners, triangles: Corners) -> Corners:
    """Replace fans that do not cover their polygon by fans from a corner that sees all; return the rows still wrong."""
    size = polygons.shape[1]
    left = np.flatnonzero(~_check_fans(points, polygons))
    for corner in range(1, size if size <= MOST_ROTATED else 1):
        if len(left) == 0:
            break
        rotated = np.roll(polygons[left], -corner, axis=1)
        is_right = _check_fans(points, rotated)
        triangles[left[is_right]] = _make_fans(rotated[is_right])
        left = left[~is_right]
    return left


def _check_fans(points: NDArray[np.float64], polygons: Corners) -> NDArray[np.bool_]:
    """Return for each polygon (G, K) whether the fan from its first corner covers it exactly, shape (G,)."""
    rays = points[polygons[:, 1:]] - points[polygons[:, :1]]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        rays /= np.abs(rays).max(axis=(1, 2), keepdims=True)  # Squares of tiny or huge lengths leave float64.
        crosses = np.cross(rays[:, :-1], rays[:, 1:])
        normals = crosses.sum(axis=1)
        squares = np.einsum("gi,gi->g", normals, normals)
        shares = np.einsum("gki,gi->gk", crosses, normals) / squares[:, None]
        is_right = (shares >= -TOLERANCE).all(axis=1)
        if polygons.shape[1] > 4:
            # Triangles of one orientation still overlap if the outline winds around twice.
            sines = np.einsum("gki,gi->gk", crosses, normals) / np.sqrt(squares)[:, None]
            cosines = np.einsum("gki,gki->gk", rays[:, :-1], rays[:, 1:])
            angles = np.arctan2(np.maximum(sines, 0), cosines).sum(axis=1)
            is_right &= angles <= 2 * np.pi + TOLERANCE
    # A polygon without any area, or with a corner that is not finite, has no better cut than a fan.
    return np.asarray(is_right | ~np.isfinite(squares) | ~crosses.any(axis=(1, 2)))


def _cut_ears(points: NDArray[np.float64], polygons: Corners, fans: Corners) -> Corners:
    """Cut the ears of polygons (G, K): triangles (G, K - 2, 3) with unused rows of -1, or the fans of crossed ones."""
    rays = points[polygons] - points[polygons[:, :1]]
    rays /= np.abs(rays).max(axis=(1, 2), keepdims=True)
    crosses = np.cross(rays[:, :-1], rays[:, 1:])
    normals = crosses.sum(axis=1)
    sizes = np.abs(crosses).max(axis=2)
    # The two sides of a bow tie cancel.
    is_crossed = np.abs(normals).max(axis=1) <= TOLERANCE * sizes.max(axis=1)
    normals[is_crossed] = crosses[is_crossed, sizes[is_crossed].argmax(axis=1)]
    # Dropping an axis is exact, so corners on a straight line and repeated corners stay such.
    axes = np.abs(normals).argmax(axis=1)
    flat = np.take_along_axis(rays, ((axes[:, None] + [1, 2]) % 3)[:, None, :], axis=2)
    areas = np.take_along_axis(crosses.sum(axis=1), axes[:, None], axis=1)[:, 0]
    ears = np.full(fans.shape, -1, np.int64)
    end = np.array([polygons.shape[1]], np.uint32)
    for row in range(len(flat)):
        corners = mapbox_earcut.triangulate_float64(flat[row], end)
        ears[row].reshape(-1)[: len(corners)] = corners
    rows = np.arange(len(flat))[:, None, None]
    is_ear = ears[:, :, 0] >= 0
    sides = flat[rows, ears[:, :, 1:]] - flat[rows, ears[:, :, :1]]
    parts = (sides[:, :, 0, 0] * sides[:, :, 1, 1] - sides[:, :, 0, 1] * sides[:, :, 1, 0]) * is_ear
    turns = parts.sum(axis=1) * areas < 0
    ears[turns] = ears[turns, :, ::-1]
    triangles = np.where(is_ear[:, :, None], polygons[rows, ears], -1)
    is_same = np.abs(np.abs(parts).sum(axis=1) - np.abs(areas)) <= LARGEST_CHANGE * np.abs(areas)
    return np.where(is_same[:, None, None], triangles, fans)
