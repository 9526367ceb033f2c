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
from data_prep.sources.universe.surfaces.parts import contains, contains_own, is_far, point_of, to_own_frame
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
    margin = abs(dx) + abs(dy) + abs(dz)
    for k in range(amount):
        other = near[own, k]
        if is_far(scene, other, margin, x, y, z):
            continue
        p, q, r = x - scene[other, POSITION], y - scene[other, POSITION + 1], z - scene[other, POSITION + 2]
        p, q, r = to_own_frame(scene, other, p, q, r)
        e, f, g = to_own_frame(scene, other, dx, dy, dz)
        has_holes = scene[other, HOLES] > 0
        if contains_own(scene, other, p + e, q + f, r + g) and not (
            has_holes and _is_cut_away(scene, other, -1, x + dx, y + dy, z + dz)
        ):
            return False
        if (
            other < body
            and contains_own(scene, other, p - e, q - f, r - g)
            and not (has_holes and _is_cut_away(scene, other, -1, x - dx, y - dy, z - dz))
        ):
            return False
    return True


@compile_helper
def _wrap(value: float) -> float:
    """Return the fraction of a number in [0, 2); the remainder of a division takes ten times as long."""
    return value - 1.0 if value >= 1.0 else value


@compile_helper
def _draw_part(
    scene: Any, made: Any, near: Any, amount: int, own: int, addresses: Any, taken: int, cloud: Any, state: Any
) -> int:
    """Draw candidates on one part, and write those on the union's surface to the cloud; return the next row.

    ``addresses`` has the fractions of the part's area of the first candidate and between candidates, their
    number, and the two terms of the additive sequence.
    """
    t, between, along, across = addresses[0], addresses[1], addresses[3], addresses[4]
    spread = min(sqrt(between), 1.0)
    m, p, largest = ROTATION, POSITION, scene[own, STRETCH]
    # The numbers of the part are read once, because the compiler cannot know that a cloud is no scene.
    m0, m1, m2 = scene[own, m], scene[own, m + 1], scene[own, m + 2]
    m3, m4, m5 = scene[own, m + 3], scene[own, m + 4], scene[own, m + 5]
    m6, m7, m8 = scene[own, m + 6], scene[own, m + 7], scene[own, m + 8]
    p0, p1, p2 = scene[own, p], scene[own, p + 1], scene[own, p + 2]
    sx, sy, sz = scene[own, SCALE], scene[own, SCALE + 1], scene[own, SCALE + 2]
    is_even, is_bent, is_scan = sx == sy and sy == sz, made[BOUND] > 1.0, made[SCAN_KIND] > 0
    meets_others = amount > 0 or scene[own, HOLES] > 0 or scene[own, OWNER] >= 0
    side, step = (1.0 if scene[own, OWNER] < 0 else -1.0), _STEP * made[SIZE]
    for _ in range(int(addresses[2])):
        u, v = _wrap(along + spread * uniform(state)), _wrap(across + spread * uniform(state))
        x, y, z, nx, ny, nz = point_of(scene, own, min(max(t, 0.0), 0.999999999), u, v)
        t += between
        along, across = _wrap(along + 0.7548776662466927), _wrap(across + 0.5698402909980532)
        if not is_even:
            # The scale stretches areas by det(S) |S^-1 n|, and turns normals to S^-1 n.
            nx, ny, nz = nx * sy * sz, ny * sx * sz, nz * sx * sy
            stretch = sqrt(nx * nx + ny * ny + nz * nz)
            if stretch < 0.999999 * largest and uniform(state) * largest >= stretch:
                continue
            nx, ny, nz = nx / stretch, ny / stretch, nz / stretch
        elif nx * nx + ny * ny + nz * nz < 0.5:
            continue
        x, y, z = x * sx, y * sy, z * sz
        x, y, z = m0 * x + m1 * y + m2 * z + p0, m3 * x + m4 * y + m5 * z + p1, m6 * x + m7 * y + m8 * z + p2
        if meets_others or is_bent or is_scan:
            nx, ny, nz = m0 * nx + m1 * ny + m2 * nz, m3 * nx + m4 * ny + m5 * nz, m6 * nx + m7 * ny + m8 * nz
        if is_scan and not is_seen(made, x, y, z, side * nx, side * ny, side * nz, state):
            continue
        if is_bent and uniform(state) * made[BOUND] >= stretch_at(made, x, y, z, nx, ny, nz):
            continue
        if meets_others and not _is_surface(scene, own, near, amount, x, y, z, step * nx, step * ny, step * nz):
            continue
        if is_bent:
            x, y, z = deform(made, x, y, z)
        cloud[taken, 0], cloud[taken, 1], cloud[taken, 2] = x, y, z
        taken += 1
    return taken


@compile_helper
def _draw(scene: Any, made: Any, near: Any, amounts: Any, tries: int, taken: int, cloud: Any, state: Any) -> int:
    """Draw candidates on all parts, and write those on the surface to the cloud from row ``taken``; return the next."""
    end = end_of(scene)
    total = 0.0
    for own in range(FIRST_PART, end):
        total += scene[own, WEIGHT]
    offset, along, across = uniform(state), uniform(state), uniform(state)
    addresses = np.empty(5)
    done, passed = 0, 0.0
    for own in range(FIRST_PART, end):
        weight = scene[own, WEIGHT]
        # Candidate k has the address (k + offset) total / tries on the line of all areas.
        last = int(np.ceil((passed + weight) / total * tries - offset)) if own < end - 1 else tries
        last = min(max(last, done), tries)
        if last > done:
            addresses[0] = ((done + offset) * total / tries - passed) / weight
            addresses[1], addresses[2] = total / (tries * weight), last - done
            terms = along + done * 0.7548776662466927, across + done * 0.5698402909980532
            addresses[3], addresses[4] = terms[0] - np.floor(terms[0]), terms[1] - np.floor(terms[1])
            taken = _draw_part(scene, made, near, amounts[own], own, addresses, taken, cloud, state)
        done, passed = last, passed + weight
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
        # The first round is small and tells how many candidates are on the surface.
        tries = points // 8 + 8
        if number > 0:
            tries = int((points - taken) * min(tried / max(taken, 1), 50.0) * 1.03) + 8
        tries = min(tries, cloud.shape[0] - taken)
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
