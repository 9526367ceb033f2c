"""Random points of a union of parts with holes, uniform by area, and their motion into the unit ball.

Points of each part's surface are drawn with a density that is proportional to its area. A point is
dropped if it is inside another part or where there is no material. More points are drawn until there
are enough, and a random selection of them remains. So the points are uniform on the surface of the
union.

The points are not independent: the surface is cut into as many pieces of equal area as there are
points to draw, and each piece gets one. Within a face, points follow the additive sequence R2 of
Roberts, "The unreasonable effectiveness of quasirandom sequences" (2018), with a random offset and
a random motion within about the distance of neighbours.
"""

from math import sqrt
from typing import Any

import numpy as np

from data_prep.compiling import compile_helper
from data_prep.sources.universe.random_numbers import below, uniform
from data_prep.sources.universe.surfaces.deformation import (
    BOUND,
    SCAN_KIND,
    SIZE,
    add_noise,
    deform,
    is_seen,
    stretch_at,
)
from data_prep.sources.universe.surfaces.parts import contains, point_of
from data_prep.sources.universe.surfaces.scene import (
    FIRST_PART,
    HIGH,
    HOLES,
    LOW,
    OWNER,
    POSITION,
    ROTATION,
    SCALE,
    STRETCH,
    WEIGHT,
    end_of,
)

# Points are tested this far in front of and behind a surface, relative to the size of the shape. So
# faces on which two parts touch are dropped, and of two faces in one plane one is dropped.
_STEP = 1e-6
_ROUNDS = 64
_MARGIN = 1.0001  # as data_prep.geometry.unit_ball


@compile_helper
def _find_neighbours(scene: Any, neighbours: Any, amounts: Any) -> None:
    """List for each part the other solids whose boxes overlap its own."""
    end = end_of(scene)
    for i in range(FIRST_PART, end):
        amounts[i] = 0
        body = i if scene[i, OWNER] < 0 else int(scene[i, OWNER])
        for j in range(FIRST_PART, end):
            if j == body or scene[j, OWNER] >= 0:
                continue
            if scene[i, LOW] > scene[j, HIGH] or scene[j, LOW] > scene[i, HIGH]:
                continue
            if scene[i, LOW + 1] > scene[j, HIGH + 1] or scene[j, LOW + 1] > scene[i, HIGH + 1]:
                continue
            if scene[i, LOW + 2] > scene[j, HIGH + 2] or scene[j, LOW + 2] > scene[i, HIGH + 2]:
                continue
            neighbours[i, amounts[i]] = j
            amounts[i] += 1


@compile_helper
def _is_cut_away(scene: Any, body: int, own: int, x: float, y: float, z: float) -> bool:
    """Tell whether a point is in a hole of a solid, other than the hole ``own``."""
    for hole in range(body + 1, body + 1 + int(scene[body, HOLES])):
        if hole != own and contains(scene, hole, x, y, z):
            return True
    return False


@compile_helper
def _is_in_body(scene: Any, body: int, x: float, y: float, z: float) -> bool:
    return contains(scene, body, x, y, z) and not _is_cut_away(scene, body, -1, x, y, z)


@compile_helper
def _is_surface(
    scene: Any, own: int, near: Any, amount: int, x: float, y: float, z: float, dx: float, dy: float, dz: float
) -> bool:
    """Tell whether the point of a part is on the surface of the union; (dx, dy, dz) leads out of the part."""
    body = own
    if scene[own, OWNER] >= 0:
        body = int(scene[own, OWNER])
        dx, dy, dz = -dx, -dy, -dz
        if not contains(scene, body, x - dx, y - dy, z - dz):
            return False
    if scene[body, HOLES] > 0 and _is_cut_away(scene, body, own, x - dx, y - dy, z - dz):
        return False
    for k in range(amount):
        other = near[own, k]
        if _is_in_body(scene, other, x + dx, y + dy, z + dz):
            return False
        if other < body and _is_in_body(scene, other, x - dx, y - dy, z - dz):
            return False
    return True


@compile_helper
def _draw(scene: Any, made: Any, near: Any, amounts: Any, tries: int, taken: int, cloud: Any, state: Any) -> int:
    """Draw candidates, and write those on the union's surface to the cloud from row ``taken``; return the next row."""
    end = end_of(scene)
    total = 0.0
    for i in range(FIRST_PART, end):
        total += scene[i, WEIGHT]
    offset, along, across = uniform(state), uniform(state), uniform(state)
    own, passed = FIRST_PART, 0.0
    spread = sqrt(total / (tries * scene[own, WEIGHT]))
    for k in range(tries):
        address = (k + offset) / tries * total
        while own < end - 1 and address >= passed + scene[own, WEIGHT]:
            passed += scene[own, WEIGHT]
            own += 1
            spread = sqrt(total / (tries * scene[own, WEIGHT]))
        t = min(max((address - passed) / scene[own, WEIGHT], 0.0), 0.999999999)
        along = (along + 0.7548776662466927) % 1.0
        across = (across + 0.5698402909980532) % 1.0
        u = (along + spread * uniform(state)) % 1.0
        v = (across + spread * uniform(state)) % 1.0
        x, y, z, nx, ny, nz = point_of(scene, own, t, u, v)
        sx, sy, sz = scene[own, SCALE], scene[own, SCALE + 1], scene[own, SCALE + 2]
        # The scale stretches areas by det(S) |S^-1 n|, and turns normals to S^-1 n.
        nx, ny, nz = nx * sy * sz, ny * sx * sz, nz * sx * sy
        stretch = sqrt(nx * nx + ny * ny + nz * nz)
        if stretch < 0.999999 * scene[own, STRETCH] and uniform(state) * scene[own, STRETCH] >= stretch:
            continue
        x, y, z, m = x * sx, y * sy, z * sz, ROTATION
        px = scene[own, m] * x + scene[own, m + 1] * y + scene[own, m + 2] * z + scene[own, POSITION]
        py = scene[own, m + 3] * x + scene[own, m + 4] * y + scene[own, m + 5] * z + scene[own, POSITION + 1]
        pz = scene[own, m + 6] * x + scene[own, m + 7] * y + scene[own, m + 8] * z + scene[own, POSITION + 2]
        side = 1.0 / stretch if scene[own, OWNER] < 0 else -1.0 / stretch
        mx = (scene[own, m] * nx + scene[own, m + 1] * ny + scene[own, m + 2] * nz) / stretch
        my = (scene[own, m + 3] * nx + scene[own, m + 4] * ny + scene[own, m + 5] * nz) / stretch
        mz = (scene[own, m + 6] * nx + scene[own, m + 7] * ny + scene[own, m + 8] * nz) / stretch
        if not is_seen(made, px, py, pz, side * stretch * mx, side * stretch * my, side * stretch * mz, state):
            continue
        if made[BOUND] > 1.0 and uniform(state) * made[BOUND] >= stretch_at(made, px, py, pz, mx, my, mz):
            continue
        step = _STEP * made[SIZE]
        meets_others = amounts[own] > 0 or scene[own, HOLES] > 0 or scene[own, OWNER] >= 0
        if meets_others and not _is_surface(
            scene, own, near, amounts[own], px, py, pz, step * mx, step * my, step * mz
        ):
            continue
        cloud[taken, 0], cloud[taken, 1], cloud[taken, 2] = deform(made, px, py, pz)
        taken += 1
    return taken


@compile_helper
def sample_union(scene: Any, made: Any, points: int, cloud: Any, state: Any) -> None:
    """Draw points of the surface of a union of parts, uniform by area.

    Parameters
    ----------
    scene : (ROWS, WIDTH) float64 array
        The parts.
    made : (COLUMNS + 6,) float64 array
        The deformation and the scan.
    points : int
        Number of points to draw.
    cloud : (>= 2 * points + 64, 3) float64 array
        Its first ``points`` rows are filled.
    state : (1,) uint64 array
        Generator of the random numbers.
    """
    end = end_of(scene)
    near = np.empty((end, end), np.int64)
    amounts = np.zeros(end, np.int64)
    _find_neighbours(scene, near, amounts)
    taken = tried = 0
    for number in range(_ROUNDS):
        share = max(taken / tried, 0.02) if tried > 0 else 0.8
        tries = min(int((points - taken) / share * 1.05) + 16, cloud.shape[0] - taken)
        taken = _draw(scene, made, near, amounts, tries, taken, cloud, state)
        tried += tries
        if taken >= points:
            break
        if number == 3 and taken * 8 < points:  # The scan has next to nothing.
            made[SCAN_KIND] = 0
    if taken == 0:  # This cannot happen in exact arithmetic: a union has a surface.
        for axis in range(3):
            cloud[0, axis] = scene[FIRST_PART, LOW + axis]
            cloud[1, axis] = scene[FIRST_PART, HIGH + axis]
        taken = 2
    for row in range(taken, points):
        for axis in range(3):
            cloud[row, axis] = cloud[row - taken, axis]
    while taken > points:  # Rounds fill the parts in order, so a random row is dropped, not the last.
        row = below(state, taken)
        taken -= 1
        for axis in range(3):
            cloud[row, axis] = cloud[taken, axis]
    add_noise(made, cloud, points, state)


@compile_helper
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
