"""Sampling of a fixed number of points from a surface or a cloud.

Sampling noise limits how many orders of a spectral map carry signal. So points on a surface are
stratified: the surface is cut into ``count`` pieces of equal area, and one point is sampled in
each.
"""

import numpy as np
from numpy.typing import NDArray

from data_prep.source import Shape
from spectral_ssl.ground.errors import ObjectError


def sample_points(shape: Shape, count: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """Draw ``count`` points of a mesh's surface or of a cloud; see ``sample_surface`` and ``resample_cloud``.

    Returns
    -------
    ndarray, shape (count, 3), float64

    Raises
    ------
    ObjectError
        When the mesh has no area or the cloud has no points.

    Examples
    --------
    >>> import numpy as np
    >>> from data_prep import Shape, sample_points
    >>> corners = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    >>> square = Shape(corners, faces=np.array([[0, 1, 2], [0, 2, 3]]))

    >>> points = sample_points(square, 100, np.random.default_rng(0))
    >>> points.shape, bool((points[:, 2] == 0).all())
    ((100, 3), True)
    """
    if shape.faces is None:
        return resample_cloud(shape.points, count, generator)
    return sample_surface(shape, count, generator)


def sample_surface(shape: Shape, count: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """Draw points over the triangles of a mesh, stratified by area.

    Parameters
    ----------
    shape : Shape
        A mesh.
    count : int
        Number of points.
    generator : numpy.random.Generator
        Generator of the random numbers.

    Returns
    -------
    ndarray, shape (count, 3), float64
        Each point is uniformly distributed over its piece of the surface. The pieces have equal
        areas.

    Raises
    ------
    ObjectError
        When the mesh has no faces, no area, or corners that are not finite.

    Notes
    -----
    A number t in [0, 1) is an address on the surface: the triangles follow one another on this line,
    each with a length proportional to its area. The addresses t = (i + U_i) / count are stratified.
    Within a triangle the address is resolved by halving: the longest edge is cut in the middle, and
    the lower half of the addresses belongs to one of the two triangles. So close addresses are close
    points, and large triangles are covered evenly. In the final small triangle the point is uniformly
    random. Expectations are those of independent uniform points. Measured on 12 ModelNet10 meshes
    with 2048 points, the error power of Zernike moments is smaller by a factor of 8 at order 2, of 3
    at order 10 and of 2 at order 20.
    """
    if shape.faces is None or len(shape.faces) == 0:
        raise ObjectError("a mesh without faces")
    first, second, third = (shape.points[shape.faces[:, corner]] for corner in range(3))
    with np.errstate(over="ignore", invalid="ignore"):
        areas = _doubled_areas(second - first, third - first)
        cumulative = np.cumsum(areas)
    total = cumulative[-1]
    if not np.isfinite(total):
        raise ObjectError("coordinates that are not finite, or too large")
    if total <= 0:
        raise ObjectError("a mesh of zero area")
    addresses = (np.arange(count) + generator.random(count)) * (total / count)
    # With side="right" no triangle without area is chosen. Rounding could lead past the end.
    chosen = np.minimum(np.searchsorted(cumulative, addresses, side="right"), np.flatnonzero(areas)[-1])
    fraction = np.clip(1 - (cumulative[chosen] - addresses) / areas[chosen], 0, np.nextafter(1, 0))
    corners = np.stack([first[chosen], second[chosen], third[chosen]])
    # The depth follows from the expected number of points in a triangle. The actual number depends
    # on the addresses, so using it would bias points towards one half.
    pieces = _halve(corners, fraction, areas[chosen] * (count / total))
    along, across = generator.random((2, count, 1))
    root = np.sqrt(along)
    return np.asarray((1 - root) * pieces[0] + root * (1 - across) * pieces[1] + root * across * pieces[2])


def _doubled_areas(left: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the lengths of the cross products of rows (N, 3); several times faster than numpy.cross."""
    (a, b, c), (d, e, f) = left.T, right.T
    return np.asarray(np.sqrt((b * f - c * e) ** 2 + (c * d - a * f) ** 2 + (a * e - b * d) ** 2))


def _halve(
    corners: NDArray[np.float64], fraction: NDArray[np.float64], crowd: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Halve triangles (3, N, 3) along each point's fraction (N,); return the corners of the piece with the point.

    Triangles are halved until a piece holds about one of the ``crowd`` (N,) points that are
    expected in each triangle.
    """
    corners = corners.copy()
    fraction = fraction.copy()
    size = 1
    while (active := np.flatnonzero(crowd > size)).size:
        size *= 2
        three = corners[:, active]
        following = three[[1, 2, 0]]
        longest = np.square(following - three).sum(axis=2).argmax(axis=0)
        # The corners are renumbered so that the edge from the first to the second is the longest.
        triangle = np.arange(len(active))
        first, second, third = (three[(longest + step) % 3, triangle] for step in range(3))
        middle = (first + second) / 2
        doubled = fraction[active] * 2
        later = doubled >= 1
        fraction[active] = doubled - later
        corners[0, active] = np.where(later[:, None], middle, first)
        corners[1, active] = np.where(later[:, None], second, middle)
        corners[2, active] = third
    return corners


def resample_cloud(points: NDArray[np.floating], count: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """Draw ``count`` points of a cloud without replacement.

    Parameters
    ----------
    points : ndarray, shape (N, 3)
        The cloud.
    count : int
        Number of points.
    generator : numpy.random.Generator
        Generator of the random numbers.

    Returns
    -------
    ndarray, shape (count, 3), float64
        Points in the order of the cloud. If the cloud has fewer points, each occurs ``count // N``
        times and a random selection occurs once more. So all points have the same weight up to one
        part in ``count // N``, and clouds of all sizes use the same transform.

    Raises
    ------
    ObjectError
        When the cloud is empty.
    """
    if len(points) == 0:
        raise ObjectError("a cloud without points")
    if len(points) == count:
        return points.astype(np.float64)
    times, rest = divmod(count, len(points))
    extra = np.sort(generator.permutation(len(points))[:rest])
    rows = np.sort(np.concatenate([np.tile(np.arange(len(points)), times), extra]))
    return points[rows].astype(np.float64)


def sample_farthest_points(
    points: NDArray[np.floating], count: int, generator: np.random.Generator
) -> NDArray[np.float64]:
    """Draw farthest points: each next point is the one farthest from all points before it.

    Parameters
    ----------
    points : ndarray, shape (N, 3)
        The cloud.
    count : int
        Number of points.
    generator : numpy.random.Generator
        Generator that chooses the first point.

    Returns
    -------
    ndarray, shape (count, 3), float64
        Points in the order of choice, so that the first points are a farthest-point sample too.

    Raises
    ------
    ObjectError
        When the cloud has fewer than ``count`` points.

    Notes
    -----
    The result is exact and takes O(N count) time. It takes far longer than a transform and improves
    low orders less than stratified sampling does.
    """
    if len(points) < count:
        raise ObjectError(f"{len(points)} points, fewer than the {count} to sample")
    columns = np.ascontiguousarray(points.T, np.float64)
    nearest = np.full(len(points), np.inf)
    rows = np.empty(count, np.int64)
    row = int(generator.integers(len(points)))
    for number in range(count):
        rows[number] = row
        x, y, z = columns - columns[:, row, None]
        np.minimum(nearest, x * x + y * y + z * z, out=nearest)
        row = int(nearest.argmax())
    return np.ascontiguousarray(columns[:, rows].T)
