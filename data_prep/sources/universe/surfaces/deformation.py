"""Deformations of whole shapes, and what a scan leaves of them: one side, a part, uneven density.

A deformation y = F(x) stretches the area at a surface with unit normal n by

    J = |det DF| |DF^-T n|.

Points are drawn on the surface before the deformation and kept with probability J / bound, so that
they are uniform by area after it. The bounds follow from the singular values of DF: a shear by s has
the largest one (s + sqrt(s^2 + 4)) / 2.
"""

from math import cos, pi, sin, sqrt
from typing import Any

from data_prep.compiling import compile_helper
from data_prep.sources.universe.plan import SCAN, WARP, rate
from data_prep.sources.universe.random_numbers import below, between, chance, log_between, normal, uniform
from data_prep.sources.universe.surfaces.scene import FIRST_PART, bound, end_of

# Columns of the array that describes the deformation and the scan of one shape.
KIND, BOUND, AMOUNT, TURN = 0, 1, 2, 3
MIDDLE = 4  # three coordinates: the axis of the deformation, and the lowest height
HEIGHT, SIZE = 7, 8
SCAN_KIND, VIEW, LIMIT, NOISE = 9, 10, 13, 14
COLUMNS = 15

NONE, TAPER, TWIST, BEND, LEAN = 0, 1, 2, 3, 4
ONE_SIDE, CUT, UNEVEN = 1, 2, 3


@compile_helper
def leave_undeformed(scene: Any, made: Any) -> None:
    """Describe no deformation and no scan in an array (COLUMNS + 6,); the box around the shape comes last."""
    box = made[COLUMNS:]
    bound(scene, FIRST_PART, end_of(scene), box)
    x, y, z = box[3] - box[0], box[4] - box[1], box[5] - box[2]
    made[MIDDLE], made[MIDDLE + 1], made[MIDDLE + 2] = (box[0] + box[3]) / 2, (box[1] + box[4]) / 2, box[2]
    made[HEIGHT], made[SIZE] = z, max(x, max(y, z))
    made[KIND], made[BOUND], made[TURN], made[AMOUNT] = NONE, 1.0, 0.0, 0.0
    made[SCAN_KIND], made[NOISE] = NONE, 0.0


@compile_helper
def draw_deformation(plan: Any, scene: Any, state: Any, made: Any) -> None:
    """Draw a deformation and a scan, or none, and describe them in an array (COLUMNS + 6,)."""
    leave_undeformed(scene, made)
    box = made[COLUMNS:]
    x, y, z = box[3] - box[0], box[4] - box[1], box[5] - box[2]
    radius = sqrt(x * x + y * y) / 2
    if chance(state, 0.1):
        made[KIND], made[TURN] = TAPER, 1.0 if chance(state, 0.7) else -1.0
        made[AMOUNT] = max(between(state, 0.3, 0.9), 1 - 1.5 * z / radius)
        made[BOUND] = _bound_shear((1 - made[AMOUNT]) * radius / z)
    elif chance(state, 0.15 * rate(plan, WARP)):
        made[KIND], made[TURN] = TWIST + below(state, 3), 1.0 if chance(state, 0.5) else -1.0
        if made[KIND] == TWIST:
            made[AMOUNT] = made[TURN] * between(state, 0.1, 1.5) / max(z, radius)
            made[BOUND] = _bound_shear(abs(made[AMOUNT]) * radius)
        elif made[KIND] == BEND:  # The axis of the circle must stay outside.
            made[AMOUNT] = made[TURN] * min(between(state, 0.2, 1.6) / z, 1.2 / x)
            made[BOUND] = 1 + abs(made[AMOUNT]) * x / 2
        else:
            made[AMOUNT] = made[TURN] * between(state, 0.05, 0.6)
            made[BOUND] = _bound_shear(abs(made[AMOUNT]))
    if chance(state, 0.12 * rate(plan, SCAN)):
        made[SCAN_KIND] = 1 + below(state, 3)
        around, up = 2 * pi * uniform(state), between(state, -0.3, 0.9)
        across = sqrt(1 - up * up)
        made[VIEW], made[VIEW + 1], made[VIEW + 2] = across * cos(around), across * sin(around), up
        made[LIMIT] = between(state, 0.1, 0.4)
    if chance(state, 0.12 * rate(plan, SCAN)):
        made[NOISE] = log_between(state, 0.002, 0.02) * made[SIZE]


@compile_helper
def _bound_shear(shear: float) -> float:
    return (shear + sqrt(shear * shear + 4)) / 2


@compile_helper
def is_seen(made: Any, x: float, y: float, z: float, nx: float, ny: float, nz: float, state: Any) -> bool:
    """Tell whether the scan has a point; the normal may have any length."""
    kind = int(made[SCAN_KIND])
    if kind == NONE:
        return True
    if kind == ONE_SIDE:
        return nx * made[VIEW] + ny * made[VIEW + 1] + nz * made[VIEW + 2] > 0
    x, y, z = x - made[MIDDLE], y - made[MIDDLE + 1], z - made[MIDDLE + 2] - made[HEIGHT] / 2
    along = (x * made[VIEW] + y * made[VIEW + 1] + z * made[VIEW + 2]) / made[SIZE]
    if kind == CUT:
        return along < made[LIMIT]
    return uniform(state) < min(max(0.5 + 1.2 * along, 0.1), 1.0)


@compile_helper
def stretch_at(made: Any, x: float, y: float, z: float, nx: float, ny: float, nz: float) -> float:
    """Compute the factor J by which the deformation stretches the area at a point with a unit normal."""
    kind, amount = int(made[KIND]), made[AMOUNT]
    x, y, z = x - made[MIDDLE], y - made[MIDDLE + 1], z - made[MIDDLE + 2]
    if kind == TAPER:
        factor, slope = _taper_at(made, z)
        nx, ny = nx / factor, ny / factor
        nz -= slope * (x * nx + y * ny)
        return factor * factor * sqrt(nx * nx + ny * ny + nz * nz)
    if kind == TWIST:
        nz -= amount * (x * ny - y * nx)
    elif kind == BEND:
        nx, ny = nx * (1 + amount * x), ny * (1 + amount * x)
    elif kind == LEAN:
        nz -= amount * nx
    return sqrt(nx * nx + ny * ny + nz * nz)


@compile_helper
def _taper_at(made: Any, z: float) -> tuple[float, float]:
    """Return the factor of x and y at a height, and its slope."""
    slope = (made[AMOUNT] - 1) / made[HEIGHT]
    if made[TURN] > 0:
        return 1 + slope * z, slope
    return made[AMOUNT] - slope * z, -slope


@compile_helper
def deform(made: Any, x: float, y: float, z: float) -> tuple[float, float, float]:
    """Move a point by the deformation."""
    kind, amount = int(made[KIND]), made[AMOUNT]
    if kind == NONE:
        return x, y, z
    x, y, z = x - made[MIDDLE], y - made[MIDDLE + 1], z - made[MIDDLE + 2]
    if kind == TAPER:
        factor = _taper_at(made, z)[0]
        return factor * x, factor * y, z
    if kind == TWIST:
        c, s = cos(amount * z), sin(amount * z)
        return c * x - s * y, s * x + c * y, z
    if kind == BEND:
        c, s = cos(amount * z), sin(amount * z)
        return (x + 1 / amount) * c - 1 / amount, y, (x + 1 / amount) * s
    return x + amount * z, y, z


@compile_helper
def add_noise(made: Any, cloud: Any, points: int, state: Any) -> None:
    """Add normal noise to the first points of a cloud."""
    if made[NOISE] > 0:
        for row in range(points):
            for axis in range(3):
                cloud[row, axis] += made[NOISE] * normal(state)
