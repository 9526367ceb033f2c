"""Random meshes with exact coordinates, for tests that write a mesh in a format and read it back."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class RandomMesh:
    """A mesh of planar polygons that do not cross themselves.

    Attributes
    ----------
    points : ndarray, shape (N, 3), float64
        Vertices: multiples of 1/64 below 128 in absolute value, so exact in float32.
    polygons : tuple of tuples of int
        Corners of each polygon. Each vertex is the corner of at least one polygon.
    area : float
        Sum of the areas of the polygons.
    """

    points: NDArray[np.float64]
    polygons: tuple[tuple[int, ...], ...]
    area: float


def make_random_mesh(seed: int, largest: int = 7, num_polygons: int = 12, is_convex: bool = False) -> RandomMesh:
    """Make a mesh of random polygons with 3 to ``largest`` corners each.

    With ``largest`` 3 all polygons are triangles. With ``is_convex`` every polygon is convex.
    Otherwise most polygons with more than three corners are concave, and any corner may come first.
    The order of the vertices is random too.
    """
    generator = np.random.default_rng(seed)
    outlines = [
        _make_outline(generator, int(generator.integers(3, largest + 1)), is_convex) for _ in range(num_polygons)
    ]
    parts = []
    for outline in outlines:
        while True:
            sides = generator.integers(-16, 17, (2, 3))
            if np.cross(*sides).any():
                break
        parts.append((outline @ sides + generator.integers(-4096, 4097, 3)) / 64)
    points, labels = np.unique(np.concatenate(parts), axis=0, return_inverse=True)
    order = generator.permutation(len(points))
    labels = np.argsort(order)[labels.ravel()]
    ends = np.cumsum([len(part) for part in parts])[:-1]
    polygons = tuple(tuple(int(corner) for corner in corners) for corners in np.split(labels, ends))
    area = sum(float(np.linalg.norm(np.cross(part, np.roll(part, -1, 0)).sum(0))) / 2 for part in parts)
    return RandomMesh(points[order], polygons, area)


def _make_outline(generator: np.random.Generator, size: int, is_convex: bool) -> NDArray[np.int64]:
    """Make a polygon with integer coordinates around the origin, shape (size, 2): star-shaped, or convex."""
    while True:
        corners = generator.integers(-40, 41, (size, 2))
        if is_convex:  # Integer points on a parabola and its chord are always in convex position.
            steps = np.sort(generator.choice(np.arange(-6, 7), size, replace=False))
            corners = np.stack([steps, steps**2 - 18], 1)
        angles = np.sort(np.arctan2(corners[:, 1], corners[:, 0]))
        gaps = np.diff(angles, append=angles[0] + 2 * np.pi)
        if is_convex or (gaps.min() > 0.01 and gaps.max() < 3.1):
            break
    if not is_convex:
        corners = corners[np.argsort(np.arctan2(corners[:, 1], corners[:, 0]))]
    return np.roll(corners[:: int(generator.choice([-1, 1]))], int(generator.integers(size)), axis=0)
