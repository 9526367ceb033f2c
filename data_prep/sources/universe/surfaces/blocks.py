"""Blocks and rods: parts that fill a given box or lie between two points, in a style."""

from math import pi, sqrt
from typing import Any

from data_prep.compiling import compile_helper
from data_prep.sources.universe.plan import (
    CAPSULE,
    CONE_DOWN,
    CONE_UP,
    CYLINDER,
    ELLIPSOID,
    EXTRUDED,
    REVOLVED,
    ROD,
    ROUND_CORNERS,
    ROUNDED_BOX,
    SPIKE,
)
from data_prep.sources.universe.surfaces.parts import BOX as BOX_PART
from data_prep.sources.universe.surfaces.parts import FRUSTUM, LATHE, PRISM, ROUNDED, SPHERE, STADIUM, TORUS, finish
from data_prep.sources.universe.surfaces.scene import (
    FIRST_OUTLINE,
    OUTLINE,
    OUTLINES_USED,
    POSITION,
    ROTATION,
    SCALE,
    SIZES,
    add_row,
)


@compile_helper
def add_block(scene: Any, style: int, x: float, y: float, z: float, a: float, b: float, c: float) -> int:
    """Add a part in a style that fills the box with this centre and these half lengths; return its row."""
    kind, axis = style % 16, (style // 16) % 4
    a, b, c = max(a, 1e-4), max(b, 1e-4), max(c, 1e-4)
    outline = FIRST_OUTLINE + 2 * (style // 64 - 1)
    if kind >= EXTRUDED and (style < 64 or style // 64 > scene[0, OUTLINES_USED]):
        kind = CYLINDER  # The outline had no room.
    if axis == 1:  # The own z axis is x, the own x axis y.
        a, b, c = b, c, a
    elif axis == 2:
        a, b, c = c, a, b
    row = add_row(scene, BOX_PART, a, b, c, x, y, z)
    low = min(a, min(b, c))
    if kind == ROUNDED_BOX:
        radius = low * 0.3 if low > 0.3 * max(a, max(b, c)) else low * 0.9
        _set(scene, row, ROUNDED, a - radius, b - radius, c - radius, radius)
    elif kind == ROUND_CORNERS:
        radius = min(a, b) * 0.6
        _set(scene, row, STADIUM, a - radius, b - radius, c, radius)
    elif kind in (CYLINDER, CONE_UP, CONE_DOWN):
        r = max(a, b)
        _set(
            scene, row, FRUSTUM, r * (0.5 if kind == CONE_DOWN else 1.0), r * (0.5 if kind == CONE_UP else 1.0), c, 0.0
        )
        scene[row, SCALE], scene[row, SCALE + 1] = a / r, b / r
    elif kind == ELLIPSOID:
        _set(scene, row, SPHERE, 1.0, 0.0, 0.0, 0.0)
        scene[row, SCALE], scene[row, SCALE + 1], scene[row, SCALE + 2] = a, b, c
    elif kind == EXTRUDED:
        _set(scene, row, PRISM, c, 0.0, 0.0, 0.0)
        scene[row, SCALE], scene[row, SCALE + 1] = a, b
    elif kind == REVOLVED:
        _set(scene, row, LATHE, pi, 0.0, 0.0, 0.0)
        scene[row, SCALE], scene[row, SCALE + 1], scene[row, SCALE + 2] = a, b, 2 * c
        scene[row, POSITION + (axis + 2) % 3] -= c
    scene[row, OUTLINE] = outline if kind >= EXTRUDED else FIRST_OUTLINE
    if axis > 0:
        for i in range(3):
            for j in range(3):
                scene[row, ROTATION + 3 * i + j] = 1.0 if (j + axis) % 3 == i else 0.0
    finish(scene, row)
    return row


@compile_helper
def _set(scene: Any, row: int, kind: int, a: float, b: float, c: float, d: float) -> None:
    scene[row, 0] = kind
    scene[row, SIZES], scene[row, SIZES + 1], scene[row, SIZES + 2], scene[row, SIZES + 3] = a, b, c, d


@compile_helper
def add_rod(
    scene: Any, style: int, r: float, wide: float, x0: float, y0: float, z0: float, x1: float, y1: float, z1: float
) -> int:
    """Add a rod of radius r between two points; a beam may have another half width ``wide`` (0: the same)."""
    dx, dy, dz = x1 - x0, y1 - y0, z1 - z0
    length = max(sqrt(dx * dx + dy * dy + dz * dz), 1e-9)
    x, y, z, c = (x0 + x1) / 2, (y0 + y1) / 2, (z0 + z1) / 2, length / 2
    row = add_row(scene, BOX_PART, wide if wide > 0 else r, r, c, x, y, z)
    if style == CAPSULE:
        _set(scene, row, ROUNDED, 0.0, 0.0, c, r)
    elif style in (ROD, SPIKE):
        _set(scene, row, FRUSTUM, r, r if style == ROD else 0.3 * r, c, 0.0)
    dx, dy, dz = dx / length, dy / length, dz / length
    flat = sqrt(dx * dx + dy * dy)
    if flat > 1e-6:  # The own x axis is horizontal.
        ux, uy = -dy / flat, dx / flat
        m = ROTATION
        scene[row, m], scene[row, m + 3], scene[row, m + 6] = ux, uy, 0.0
        scene[row, m + 1], scene[row, m + 4], scene[row, m + 7] = -dz * uy, dz * ux, dx * uy - dy * ux
        scene[row, m + 2], scene[row, m + 5], scene[row, m + 8] = dx, dy, dz
        if scene[row, m + 7] < 0:
            for i in range(3):
                scene[row, m + 1 + 3 * i] *= -1.0
    elif dz < 0:
        scene[row, ROTATION + 8] = -1.0
    finish(scene, row)
    return row


@compile_helper
def add_arch(scene: Any, axis: int, angle: float, radius: float, tube: float, x: float, y: float, z: float) -> int:
    """Add an arc of a torus in the plane across an axis; it opens towards -x, or -y if the axis is x."""
    row = add_row(scene, TORUS, radius, min(tube, 0.95 * radius), min(angle, pi), x, y, z)
    if axis < 2:
        # axis 0: own x, y, z become y, z, x. axis 1: own x, y, z become x, -z, y.
        for i in range(9):
            scene[row, ROTATION + i] = 0.0
        if axis == 0:
            scene[row, ROTATION + 2] = scene[row, ROTATION + 3] = scene[row, ROTATION + 7] = 1.0
        else:
            scene[row, ROTATION] = scene[row, ROTATION + 5] = 1.0
            scene[row, ROTATION + 7] = -1.0
    finish(scene, row)
    return row
