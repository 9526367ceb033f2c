"""Parts of shapes: sizes, areas, random points with normals, and membership."""

from math import cos, pi, sin, sqrt
from typing import Any

from data_prep.compiling import compile_helper
from data_prep.sources.universe.surfaces.outlines import edge_at, is_within, total_of
from data_prep.sources.universe.surfaces.scene import (
    BOUNDS,
    CORNER,
    CORNERS,
    HIGH,
    INVERSE,
    KIND,
    LOW,
    OUTLINE,
    POSITION,
    ROTATION,
    SCALE,
    SIZES,
    STRETCH,
    WEIGHT,
)

# Kinds, and what their sizes mean. All are centred, but for the outlines of the last two.
BOX = 0  # half the lengths a, b, c
FRUSTUM = 1  # radius a below and b above, half the height c
SPHERE = 2  # radius a
TORUS = 3  # radius a of the circle, b of the tube, half the angle c around x
ROUNDED = 4  # box a, b, c within all points up to the distance d
STADIUM = 5  # rectangle a, b within all points up to the distance d, half the height c
PRISM = 6  # outline in x and y, half the height a
LATHE = 7  # outline in radius and z, half the angle a around x


@compile_helper
def _area_of(scene: Any, row: int) -> float:
    """Compute a part's area in its own frame; a cap with an outline counts as its bounds, where points are drawn."""
    kind = int(scene[row, KIND])
    a, b, c, d = scene[row, SIZES], scene[row, SIZES + 1], scene[row, SIZES + 2], scene[row, SIZES + 3]
    if kind == BOX:
        return 8.0 * (a * b + b * c + a * c)
    if kind == FRUSTUM:
        return pi * (a * a + b * b + (a + b) * sqrt((a - b) ** 2 + 4 * c * c))
    if kind == SPHERE:
        return 4 * pi * a * a
    if kind == TORUS:
        return 4 * pi * a * b * c + (2 * pi * b * b if c < pi else 0.0)
    if kind == ROUNDED:
        return 8.0 * (a * b + b * c + a * c) + 4 * pi * d * (a + b + c) + 4 * pi * d * d
    if kind == STADIUM:
        return 2 * (4 * a * b + 4 * d * (a + b) + pi * d * d) + (4 * a + 4 * b + 2 * pi * d) * 2 * c
    outline = int(scene[row, OUTLINE])
    if kind == PRISM:
        return 2 * _cap_of(scene, outline) + total_of(scene, outline) * 2 * a
    return total_of(scene, outline) * a / pi + (2 * _cap_of(scene, outline) if a < pi else 0.0)


@compile_helper
def _cap_of(scene: Any, outline: int) -> float:
    b = outline + 1
    return (scene[b, BOUNDS + 2] - scene[b, BOUNDS]) * (scene[b, BOUNDS + 3] - scene[b, BOUNDS + 1])


@compile_helper
def finish(scene: Any, row: int) -> None:
    """Fill the columns that follow from a part's sizes, scale, rotation and position."""
    kind = int(scene[row, KIND])
    a, b, c, d = scene[row, SIZES], scene[row, SIZES + 1], scene[row, SIZES + 2], scene[row, SIZES + 3]
    x, y, z = a, b, c
    x0 = y0 = z0 = 0.0  # the middle of the box in the part's own frame
    if kind == FRUSTUM:
        x = y = max(a, b)
    elif kind == SPHERE:
        y = z = a
    elif kind == TORUS:
        x = y = a + b
        z = b
    elif kind == ROUNDED:
        x, y, z = a + d, b + d, c + d
    elif kind == STADIUM:
        x, y = a + d, b + d
    elif kind >= PRISM:
        e = int(scene[row, OUTLINE]) + 1
        x, y = (scene[e, BOUNDS + 2] - scene[e, BOUNDS]) / 2, (scene[e, BOUNDS + 3] - scene[e, BOUNDS + 1]) / 2
        x0, y0 = (scene[e, BOUNDS + 2] + scene[e, BOUNDS]) / 2, (scene[e, BOUNDS + 3] + scene[e, BOUNDS + 1]) / 2
        if kind == PRISM:
            z = a
        else:
            z, z0, x0, y0 = y, y0, 0.0, 0.0
            x = y = scene[e, BOUNDS + 2]
    sx, sy, sz = scene[row, SCALE], scene[row, SCALE + 1], scene[row, SCALE + 2]
    scene[row, INVERSE], scene[row, INVERSE + 1], scene[row, INVERSE + 2] = 1 / sx, 1 / sy, 1 / sz
    scene[row, STRETCH] = max(sx * sy, max(sy * sz, sx * sz))
    scene[row, WEIGHT] = _area_of(scene, row) * scene[row, STRETCH]
    for i in range(3):
        k = ROTATION + 3 * i
        middle = scene[row, k] * x0 * sx + scene[row, k + 1] * y0 * sy + scene[row, k + 2] * z0 * sz
        reach = abs(scene[row, k]) * x * sx + abs(scene[row, k + 1]) * y * sy + abs(scene[row, k + 2]) * z * sz
        scene[row, LOW + i] = scene[row, POSITION + i] + middle - reach
        scene[row, HIGH + i] = scene[row, POSITION + i] + middle + reach


@compile_helper
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


@compile_helper
def _point_of_frustum(a: float, b: float, c: float, t: float, u: float, v: float) -> tuple[float, ...]:
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
    else:  # The square of the radius is uniform.
        r = sqrt(a * a + u * (b * b - a * a))
        z = c * (2 * (r - a) / (b - a) - 1)
    return r * x, r * y, z, 2 * c * x / slant, 2 * c * y / slant, (a - b) / slant


@compile_helper
def _point_of_sphere(a: float, u: float, v: float) -> tuple[float, ...]:
    z = 2 * u - 1
    r = sqrt(max(0.0, 1 - z * z))
    x, y = r * cos(2 * pi * v), r * sin(2 * pi * v)
    return a * x, a * y, a * z, x, y, z


@compile_helper
def _point_of_torus(a: float, b: float, c: float, t: float, u: float, v: float) -> tuple[float, ...]:
    t *= 2 * a * c + b
    if c < pi and t < b:  # the two ends
        end = c if 2 * t < b else -c
        r, z = a + b * sqrt(u) * cos(2 * pi * v), b * sqrt(u) * sin(2 * pi * v)
        side = 1.0 if end > 0 else -1.0
        return r * cos(end), r * sin(end), z, -side * sin(end), side * cos(end), 0.0
    # The area of a ring around the tube grows with a + b cos(angle). The angle solves Kepler's
    # equation angle + b / a sin(angle) = 2 pi u, here by Newton's method.
    target = 2 * pi * u
    angle = target - b / a * sin(target) + 0.5 * (b / a) ** 2 * sin(2 * target)
    for _ in range(8):
        error = (angle + b / a * sin(angle) - target) / (1 + 0.999 * b / a * cos(angle))
        angle -= error
        if abs(error) < 1e-9:
            break
    around = c * (2 * v - 1)
    x, y = cos(around), sin(around)
    across, along = cos(angle), sin(angle)
    r = a + b * across
    return r * x, r * y, b * along, across * x, across * y, along


@compile_helper
def _point_of_rounded(a: float, b: float, c: float, d: float, t: float, u: float, v: float) -> tuple[float, ...]:
    """Draw a point of the surface at a distance d from a box: faces, quarters of cylinders, eighths of a sphere."""
    flat = 8 * (a * b + b * c + a * c)
    edges = 4 * pi * d * (a + b + c)
    t *= flat + edges + 4 * pi * d * d
    if t < flat:
        x, y, z, nx, ny, nz = _point_of_box(a, b, c, t / flat, u, v)
    elif t < flat + edges:
        t = (t - flat) / edges * (a + b + c)
        along, nx, ny, nz = 2 * u - 1, cos(2 * pi * v), sin(2 * pi * v), 0.0
        if t < a:
            nx, ny, nz = 0.0, nx, ny
            x, y, z = a * along, (b if ny > 0 else -b), (c if nz > 0 else -c)
        elif t < a + b:
            nx, ny, nz = nx, 0.0, ny
            x, y, z = (a if nx > 0 else -a), b * along, (c if nz > 0 else -c)
        else:
            x, y, z = (a if nx > 0 else -a), (b if ny > 0 else -b), c * along
    else:
        nx, ny, nz = _point_of_sphere(1.0, u, v)[:3]
        x, y, z = (a if nx > 0 else -a), (b if ny > 0 else -b), (c if nz > 0 else -c)
    return x + d * nx, y + d * ny, z + d * nz, nx, ny, nz


@compile_helper
def _point_of_stadium(a: float, b: float, c: float, d: float, t: float, u: float, v: float) -> tuple[float, ...]:
    cap = 4 * a * b + 4 * d * (a + b) + pi * d * d
    straight, bent = 4 * (a + b), 2 * pi * d
    t *= 2 * cap + (straight + bent) * 2 * c
    u, side = 2 * u - 1, 1.0
    if t < 2 * cap:
        if t >= cap:
            t, side = t - cap, -1.0
        if t < 4 * a * b:
            return a * u, b * (2 * v - 1), side * c, 0.0, 0.0, side
        t -= 4 * a * b
        if t < 4 * d * b:
            return (
                (a + d * (u + 1) / 2) * (1.0 if 2 * t < 4 * d * b else -1.0),
                b * (2 * v - 1),
                side * c,
                0.0,
                0.0,
                side,
            )
        t -= 4 * d * b
        if t < 4 * d * a:
            return (
                a * (2 * v - 1),
                (b + d * (u + 1) / 2) * (1.0 if 2 * t < 4 * d * a else -1.0),
                side * c,
                0.0,
                0.0,
                side,
            )
        x, y, r = cos(2 * pi * v), sin(2 * pi * v), d * sqrt((u + 1) / 2)
        return (a if x > 0 else -a) + r * x, (b if y > 0 else -b) + r * y, side * c, 0.0, 0.0, side
    t = (t - 2 * cap) / (2 * c)
    if t < 4 * a:
        side = 1.0 if t < 2 * a else -1.0
        return a * (2 * v - 1), side * (b + d), c * u, 0.0, side, 0.0
    if t < straight:
        side = 1.0 if t - 4 * a < 2 * b else -1.0
        return side * (a + d), b * (2 * v - 1), c * u, side, 0.0, 0.0
    x, y = cos(2 * pi * v), sin(2 * pi * v)
    return (a if x > 0 else -a) + d * x, (b if y > 0 else -b) + d * y, c * u, x, y, 0.0


@compile_helper
def _point_of_prism(scene: Any, outline: int, a: float, t: float, u: float, v: float) -> tuple[float, ...]:
    cap, total = _cap_of(scene, outline), total_of(scene, outline)
    t *= 2 * cap + total * 2 * a
    if t < 2 * cap:
        e = outline + 1
        x = scene[e, BOUNDS] + u * (scene[e, BOUNDS + 2] - scene[e, BOUNDS])
        y = scene[e, BOUNDS + 1] + v * (scene[e, BOUNDS + 3] - scene[e, BOUNDS + 1])
        side = 1.0 if t < cap else -1.0
        return x, y, side * a, 0.0, 0.0, side if is_within(scene, outline, x, y) else 0.0
    edge = edge_at(scene, outline, (t - 2 * cap) / (total * 2 * a))
    n = int(scene[outline, CORNERS])
    j, k = CORNER + 2 * edge, CORNER + 2 * ((edge + 1) % n)
    dx, dy = scene[outline, k] - scene[outline, j], scene[outline, k + 1] - scene[outline, j + 1]
    length = sqrt(dx * dx + dy * dy)
    x, y = scene[outline, j] + v * dx, scene[outline, j + 1] + v * dy
    return x, y, a * (2 * u - 1), dy / length, -dx / length, 0.0


@compile_helper
def _point_of_lathe(scene: Any, outline: int, a: float, t: float, u: float, v: float) -> tuple[float, ...]:
    total = total_of(scene, outline) * a / pi
    if a < pi:
        cap = _cap_of(scene, outline)
        t *= total + 2 * cap
        if t >= total:
            e = outline + 1
            r = scene[e, BOUNDS] + u * (scene[e, BOUNDS + 2] - scene[e, BOUNDS])
            z = scene[e, BOUNDS + 1] + v * (scene[e, BOUNDS + 3] - scene[e, BOUNDS + 1])
            side = 1.0 if t < total + cap else -1.0
            x, y = cos(a), side * sin(a)
            if not is_within(scene, outline, r, z):
                side = 0.0
            return r * x, r * y, z, -side * y * side, side * x, 0.0
        t /= total
    edge = edge_at(scene, outline, t)
    n = int(scene[outline, CORNERS])
    j, k = CORNER + 2 * edge, CORNER + 2 * ((edge + 1) % n)
    r0, r1 = scene[outline, j], scene[outline, k]
    dr, dz = r1 - r0, scene[outline, k + 1] - scene[outline, j + 1]
    # The square of the radius is uniform along an edge.
    part = u if abs(dr) < 1e-6 * (r0 + r1) else (sqrt(r0 * r0 + u * (r1 * r1 - r0 * r0)) - r0) / dr
    length = sqrt(dr * dr + dz * dz)
    around = a * (2 * v - 1)
    x, y, r = cos(around), sin(around), r0 + part * dr
    return r * x, r * y, scene[outline, j + 1] + part * dz, dz / length * x, dz / length * y, -dr / length


@compile_helper
def point_of(scene: Any, row: int, t: float, u: float, v: float) -> tuple[float, ...]:
    """Draw a point of a part's surface in its own frame, uniform by area before the scale.

    Parameters
    ----------
    scene : (ROWS, WIDTH) float64 array
        The scene.
    row : int
        The part.
    t, u, v : float
        Three uniform numbers in [0, 1). The first chooses a face.

    Returns
    -------
    x, y, z, nx, ny, nz : float
        The point and the unit normal; a normal of length 0 if there is no surface at the point.
    """
    kind = int(scene[row, KIND])
    a, b, c, d = scene[row, SIZES], scene[row, SIZES + 1], scene[row, SIZES + 2], scene[row, SIZES + 3]
    if kind == BOX:
        return _point_of_box(a, b, c, t, u, v)
    if kind == FRUSTUM:
        return _point_of_frustum(a, b, c, t, u, v)
    if kind == SPHERE:
        return _point_of_sphere(a, u, v)
    if kind == TORUS:
        return _point_of_torus(a, b, c, t, u, v)
    if kind == ROUNDED:
        return _point_of_rounded(a, b, c, d, t, u, v)
    if kind == STADIUM:
        return _point_of_stadium(a, b, c, d, t, u, v)
    if kind == PRISM:
        return _point_of_prism(scene, int(scene[row, OUTLINE]), a, t, u, v)
    return _point_of_lathe(scene, int(scene[row, OUTLINE]), a, t, u, v)


@compile_helper
def to_own_frame(scene: Any, row: int, x: float, y: float, z: float) -> tuple[float, float, float]:
    """Turn a direction of the shape's frame into a part's own frame, before the scale."""
    m = ROTATION
    return (
        (scene[row, m] * x + scene[row, m + 3] * y + scene[row, m + 6] * z) * scene[row, INVERSE],
        (scene[row, m + 1] * x + scene[row, m + 4] * y + scene[row, m + 7] * z) * scene[row, INVERSE + 1],
        (scene[row, m + 2] * x + scene[row, m + 5] * y + scene[row, m + 8] * z) * scene[row, INVERSE + 2],
    )


@compile_helper
def is_far(scene: Any, row: int, margin: float, x: float, y: float, z: float) -> bool:
    """Tell whether a point of the shape's frame is outside of the box around a part, by more than a margin."""
    if x < scene[row, LOW] - margin or x > scene[row, HIGH] + margin:
        return True
    if y < scene[row, LOW + 1] - margin or y > scene[row, HIGH + 1] + margin:
        return True
    return z < scene[row, LOW + 2] - margin or z > scene[row, HIGH + 2] + margin


@compile_helper
def contains(scene: Any, row: int, x: float, y: float, z: float) -> bool:
    """Tell whether a point of the shape's frame is inside a part; holes are not considered."""
    if is_far(scene, row, 0.0, x, y, z):
        return False
    p, q, r = to_own_frame(
        scene, row, x - scene[row, POSITION], y - scene[row, POSITION + 1], z - scene[row, POSITION + 2]
    )
    return contains_own(scene, row, p, q, r)


@compile_helper
def contains_own(scene: Any, row: int, p: float, q: float, r: float) -> bool:
    """Tell whether a point of a part's own frame is inside it."""
    kind = int(scene[row, KIND])
    a, b, c, d = scene[row, SIZES], scene[row, SIZES + 1], scene[row, SIZES + 2], scene[row, SIZES + 3]
    if kind == BOX:
        return abs(p) < a and abs(q) < b and abs(r) < c
    if kind == FRUSTUM:
        radius = a + (b - a) * (r + c) / (2 * c)
        return abs(r) < c and p * p + q * q < radius * radius
    if kind == SPHERE:
        return p * p + q * q + r * r < a * a
    if kind == TORUS:
        length = sqrt(p * p + q * q)
        if c < pi and p < length * cos(c):
            return False
        return (length - a) ** 2 + r * r < b * b
    if kind in (ROUNDED, STADIUM):
        p, q = max(abs(p) - a, 0.0), max(abs(q) - b, 0.0)
        if kind == STADIUM:
            return abs(r) < c and p * p + q * q < d * d
        r = max(abs(r) - c, 0.0)
        return p * p + q * q + r * r < d * d
    outline = int(scene[row, OUTLINE])
    if kind == PRISM:
        return abs(r) < a and is_within(scene, outline, p, q)
    length = sqrt(p * p + q * q)
    if a < pi and p < length * cos(a):
        return False
    return is_within(scene, outline, length, r)
