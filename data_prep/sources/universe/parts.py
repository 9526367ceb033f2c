"""The parts of a shape: their rows of numbers, areas, random points with normals, and membership.

A part is one row of a (parts, ``WIDTH``) float64 table. A point of its own frame moves to the shape's
frame by x -> rotation (scale * x) + position.
"""

from math import cos, pi, sin, sqrt
from typing import Any

import numpy as np

from data_prep.compiling import compile_kernel

BOX, FRUSTUM, SPHERE, TORUS = 0, 1, 2, 3

# Columns of the table.
KIND = 0
SIZES = 1  # six numbers; their meaning depends on the kind
SCALE = 7  # three factors along the part's own axes
ROTATION = 10  # nine numbers, row by row
POSITION = 19
WEIGHT = 22  # area times the largest stretch of areas by the scale
STRETCH = 23  # the largest stretch
LOW = 24  # box around the part in the shape's frame
HIGH = 27
WIDTH = 30


@compile_kernel
def area_of(part: Any) -> float:
    """Compute a part's area in its own frame, before the scale."""
    kind = int(part[KIND])
    a, b, c = part[SIZES], part[SIZES + 1], part[SIZES + 2]
    if kind == BOX:
        return 8.0 * (a * b + b * c + a * c)
    if kind == FRUSTUM:
        return pi * (a * a + b * b + (a + b) * sqrt((a - b) ** 2 + 4 * c * c))
    if kind == SPHERE:
        return 4 * pi * a * a
    return 4 * pi * pi * a * b


@compile_kernel
def finish(part: Any) -> None:
    """Fill the columns that follow from a part's sizes, scale, rotation and position."""
    kind = int(part[KIND])
    a, b, c = part[SIZES], part[SIZES + 1], part[SIZES + 2]
    x, y, z = a, b, c
    if kind == FRUSTUM:
        x = y = max(a, b)
    elif kind == SPHERE:
        y = z = a
    elif kind == TORUS:
        x = y = a + b
        z = b
    sx, sy, sz = part[SCALE], part[SCALE + 1], part[SCALE + 2]
    part[STRETCH] = max(sx * sy, max(sy * sz, sx * sz))
    part[WEIGHT] = area_of(part) * part[STRETCH]
    for i in range(3):
        row = ROTATION + 3 * i
        reach = abs(part[row]) * x * sx + abs(part[row + 1]) * y * sy + abs(part[row + 2]) * z * sz
        part[LOW + i] = part[POSITION + i] - reach
        part[HIGH + i] = part[POSITION + i] + reach


@compile_kernel
def _point_of_box(a: float, b: float, c: float, t: float, u: float, v: float) -> tuple[float, ...]:
    t *= a * b + b * c + a * c
    u, v = 2 * u - 1, 2 * v - 1
    if t < a * b:
        side = 1.0 if 2 * t < a * b else -1.0
        return a * u, b * v, side * c, 0.0, 0.0, side
    t -= a * b
    if t < b * c:
        side = 1.0 if 2 * t < b * c else -1.0
        return side * a, b * u, c * v, side, 0.0, 0.0
    side = 1.0 if 2 * (t - b * c) < a * c else -1.0
    return a * u, side * b, c * v, 0.0, side, 0.0


@compile_kernel
def _point_of_frustum(a: float, b: float, c: float, t: float, u: float, v: float) -> tuple[float, ...]:
    """Draw a point of a frustum with radius a below, b above, and half its height c."""
    slant = sqrt((a - b) ** 2 + 4 * c * c)
    t *= a * a + b * b + (a + b) * slant
    x, y = cos(2 * pi * v), sin(2 * pi * v)
    if t < a * a:
        r = a * sqrt(u)
        return r * x, r * y, -c, 0.0, 0.0, -1.0
    if t < a * a + b * b:
        r = b * sqrt(u)
        return r * x, r * y, c, 0.0, 0.0, 1.0
    if abs(a - b) < 1e-6 * (a + b):
        r, z = a, c * (2 * u - 1)
    else:
        r = sqrt(a * a + u * (b * b - a * a))
        z = c * (2 * (r - a) / (b - a) - 1)
    return r * x, r * y, z, 2 * c * x / slant, 2 * c * y / slant, (a - b) / slant


@compile_kernel
def _point_of_torus(a: float, b: float, u: float, v: float) -> tuple[float, ...]:
    """Draw a point of a torus with radii a and b: the area grows with a + b cos(angle)."""
    angle = target = 2 * pi * u
    for _ in range(6):  # Newton's method for Kepler's equation angle + b / a sin(angle) = target
        angle -= (angle + b / a * sin(angle) - target) / (1 + 0.999 * b / a * cos(angle))
    x, y = cos(2 * pi * v), sin(2 * pi * v)
    across, along = cos(angle), sin(angle)
    r = a + b * across
    return r * x, r * y, b * along, across * x, across * y, along


@compile_kernel
def point_of(part: Any, t: float, u: float, v: float) -> tuple[float, ...]:
    """Draw a point of a part's surface in its own frame, uniform by area before the scale.

    Parameters
    ----------
    part : (WIDTH,) float64 array
        The part.
    t, u, v : float
        Three uniform numbers in [0, 1). The first chooses a face.

    Returns
    -------
    x, y, z, nx, ny, nz : float
        The point and the unit normal.
    """
    kind = int(part[KIND])
    a, b, c = part[SIZES], part[SIZES + 1], part[SIZES + 2]
    if kind == BOX:
        return _point_of_box(a, b, c, t, u, v)
    if kind == FRUSTUM:
        return _point_of_frustum(a, b, c, t, u, v)
    if kind == SPHERE:
        z = 2 * u - 1
        r = sqrt(max(0.0, 1 - z * z))
        x, y = r * cos(2 * pi * v), r * sin(2 * pi * v)
        return a * x, a * y, a * z, x, y, z
    return _point_of_torus(a, b, u, v)


@compile_kernel
def contains(part: Any, x: float, y: float, z: float) -> bool:
    """Tell whether a point of the shape's frame is inside a part."""
    if (
        x <= part[LOW]
        or x >= part[HIGH]
        or y <= part[LOW + 1]
        or y >= part[HIGH + 1]
        or z <= part[LOW + 2]
        or z >= part[HIGH + 2]
    ):
        return False
    kind = int(part[KIND])
    x -= part[POSITION]
    y -= part[POSITION + 1]
    z -= part[POSITION + 2]
    m = part[ROTATION : ROTATION + 9]
    p = (m[0] * x + m[3] * y + m[6] * z) / part[SCALE]
    q = (m[1] * x + m[4] * y + m[7] * z) / part[SCALE + 1]
    r = (m[2] * x + m[5] * y + m[8] * z) / part[SCALE + 2]
    a, b, c = part[SIZES], part[SIZES + 1], part[SIZES + 2]
    if kind == BOX:
        return abs(p) < a and abs(q) < b and abs(r) < c
    if kind == FRUSTUM:
        radius = a + (b - a) * (r + c) / (2 * c)
        return abs(r) < c and p * p + q * q < radius * radius
    if kind == SPHERE:
        return p * p + q * q + r * r < a * a
    ring = sqrt(p * p + q * q) - a
    return ring * ring + r * r < b * b


def new_table(parts: int) -> np.ndarray:
    """Return an empty table for this number of parts."""
    return np.zeros((parts, WIDTH))
