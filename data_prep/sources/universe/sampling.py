"""Random points of a union of parts, uniform by area, and their motion into the unit ball.

Points of each part's surface are drawn with a density that is proportional to its area. A point is
dropped if it is inside another part. More points are drawn until there are enough, and a random
selection of them remains. So the points are uniform on the surface of the union.

The points are not independent: the surface is cut into as many pieces of equal area as there are
points to draw, and each piece gets one. Within a face, points follow the additive sequence R2 of
Roberts, "The unreasonable effectiveness of quasirandom sequences" (2018), with a random offset.
"""

from math import sqrt
from typing import Any

import numpy as np

from data_prep.compiling import compile_kernel
from data_prep.sources.universe.parts import (
    HIGH,
    LOW,
    POSITION,
    ROTATION,
    SCALE,
    STRETCH,
    WEIGHT,
    contains,
    point_of,
)
from data_prep.sources.universe.random_numbers import below, uniform

# Points are tested this far in front of a surface, relative to the size of the shape. So the
# faces on which two parts touch are dropped, and of two faces in one plane one is dropped.
_FRONT = 1e-6
_ROUNDS = 64
_MARGIN = 1.0001  # as data_prep.geometry.unit_ball


@compile_kernel
def _find_neighbours(parts: Any, count: int, neighbours: Any, amounts: Any) -> None:
    """List for each part the parts whose boxes overlap its own."""
    for i in range(count):
        amounts[i] = 0
        for j in range(count):
            if i == j:
                continue
            apart = False
            for axis in range(3):
                if parts[i, LOW + axis] > parts[j, HIGH + axis] or parts[j, LOW + axis] > parts[i, HIGH + axis]:
                    apart = True
            if not apart:
                neighbours[i, amounts[i]] = j
                amounts[i] += 1


@compile_kernel
def _is_covered(
    parts: Any, own: int, near: Any, amount: int, x: float, y: float, z: float, dx: float, dy: float, dz: float
) -> bool:
    """Tell whether the point of one part is inside the union; (dx, dy, dz) leads to the front of its surface."""
    for k in range(amount):
        other = near[k]
        if contains(parts[other], x + dx, y + dy, z + dz):
            return True
        if other < own and contains(parts[other], x - dx, y - dy, z - dz):
            return True
    return False


@compile_kernel
def _draw(
    parts: Any, count: int, neighbours: Any, amounts: Any, front: float, tries: int, taken: int, cloud: Any, state: Any
) -> int:
    """Draw candidates, and write those on the union's surface to the cloud from row ``taken``; return the next row."""
    total = 0.0
    for i in range(count):
        total += parts[i, WEIGHT]
    offset, along, across = uniform(state), uniform(state), uniform(state)
    own, passed = 0, 0.0
    for k in range(tries):
        address = (k + offset) / tries * total
        while own < count - 1 and address >= passed + parts[own, WEIGHT]:
            passed += parts[own, WEIGHT]
            own += 1
        part = parts[own]
        t = min(max((address - passed) / part[WEIGHT], 0.0), 0.999999999)
        along = (along + 0.7548776662466927) % 1.0
        across = (across + 0.5698402909980532) % 1.0
        x, y, z, nx, ny, nz = point_of(part, t, along, across)
        sx, sy, sz = part[SCALE], part[SCALE + 1], part[SCALE + 2]
        # The scale stretches areas by det(S) |S^-1 n|, and turns normals to S^-1 n.
        nx, ny, nz = nx * sy * sz, ny * sx * sz, nz * sx * sy
        stretch = sqrt(nx * nx + ny * ny + nz * nz)
        if stretch < 0.999999 * part[STRETCH] and uniform(state) * part[STRETCH] > stretch:
            continue
        m = part[ROTATION : ROTATION + 9]
        x, y, z = x * sx, y * sy, z * sz
        px = m[0] * x + m[1] * y + m[2] * z + part[POSITION]
        py = m[3] * x + m[4] * y + m[5] * z + part[POSITION + 1]
        pz = m[6] * x + m[7] * y + m[8] * z + part[POSITION + 2]
        if amounts[own] > 0:
            step = front / stretch
            dx = step * (m[0] * nx + m[1] * ny + m[2] * nz)
            dy = step * (m[3] * nx + m[4] * ny + m[5] * nz)
            dz = step * (m[6] * nx + m[7] * ny + m[8] * nz)
            if _is_covered(parts, own, neighbours[own], amounts[own], px, py, pz, dx, dy, dz):
                continue
        cloud[taken, 0], cloud[taken, 1], cloud[taken, 2] = px, py, pz
        taken += 1
    return taken


@compile_kernel
def sample_union(parts: Any, count: int, points: int, cloud: Any, state: Any) -> None:
    """Draw points of the surface of a union of parts, uniform by area.

    Parameters
    ----------
    parts : (P, WIDTH) float64 array
        The parts' rows.
    count : int
        Number of parts.
    points : int
        Number of points to draw.
    cloud : (>= 2 * points + 64, 3) float64 array
        Its first ``points`` rows are filled.
    state : (1,) uint64 array
        Generator of the random numbers.
    """
    neighbours = np.empty((count, count), np.int64)
    amounts = np.empty(count, np.int64)
    _find_neighbours(parts, count, neighbours, amounts)
    size = 0.0
    for axis in range(3):
        low, high = parts[0, LOW + axis], parts[0, HIGH + axis]
        for i in range(1, count):
            low, high = min(low, parts[i, LOW + axis]), max(high, parts[i, HIGH + axis])
        size = max(size, high - low)
    taken = tried = 0
    for _ in range(_ROUNDS):
        rate = max(taken / tried, 0.02) if tried > 0 else 0.8
        tries = min(int((points - taken) / rate * 1.05) + 16, cloud.shape[0] - taken)
        taken = _draw(parts, count, neighbours, amounts, _FRONT * size, tries, taken, cloud, state)
        tried += tries
        if taken >= points:
            break
    if taken == 0:  # This cannot happen in exact arithmetic: a union has a surface.
        for axis in range(3):
            cloud[0, axis] = parts[0, POSITION + axis]
            cloud[1, axis] = parts[0, HIGH + axis]
        taken = 2
    for row in range(taken, points):
        for axis in range(3):
            cloud[row, axis] = cloud[row - taken, axis]
    while taken > points:  # Rounds fill the parts in order, so a random row is dropped, not the last.
        row = below(state, taken)
        taken -= 1
        for axis in range(3):
            cloud[row, axis] = cloud[taken, axis]


@compile_kernel
def move_to_ball(cloud: Any, target: Any) -> None:
    """Move the centroid to the origin and the farthest point to just inside the unit sphere."""
    points = target.shape[0]
    cx = cy = cz = 0.0
    for row in range(points):
        cx += cloud[row, 0]
        cy += cloud[row, 1]
        cz += cloud[row, 2]
    cx, cy, cz = cx / points, cy / points, cz / points
    farthest = 0.0
    for row in range(points):
        x, y, z = cloud[row, 0] - cx, cloud[row, 1] - cy, cloud[row, 2] - cz
        farthest = max(farthest, x * x + y * y + z * z)
    factor = 1.0 / (_MARGIN * sqrt(max(farthest, 1e-300)))
    for row in range(points):
        target[row, 0] = (cloud[row, 0] - cx) * factor
        target[row, 1] = (cloud[row, 1] - cy) * factor
        target[row, 2] = (cloud[row, 2] - cz) * factor
