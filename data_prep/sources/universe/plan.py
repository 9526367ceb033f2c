"""The plan of a shape: a list of steps that add, cut, copy and move parts.

Assemblies write steps; ``data_prep.sources.universe.builder`` carries them out. A plan is one
float64 array (``STEPS``, ``WIDTH``). Row 0 is its head; each other row is a step. A step is named by
its row, and stands for the parts that it adds. So functions take and return rows of the plan. (Code
that builds parts directly would be compiled again into each assembly: that takes several times as
long.)

A style is one number: kind + 16 * axis + 64 * outline. The axis (0 for z, 1 for x, 2 for y) is that
of the extrusion or revolution. The outline is its number in the shape, counted from 1.
"""

from typing import Any

import numpy as np

from data_prep.compiling import compile_helper
from data_prep.sources.universe.random_numbers import below, chance, uniform

STEPS = 200
_THICK = 0.06  # half the least thickness of a part without thin parts
WIDTH = 16

# Columns of the head.
COUNT = 0
OUTLINES = 1
SWITCH = 2  # one column for each field of Ingredients
# Ingredients, in the order of the fields of ``Ingredients``.
ASSEMBLIES, ATTACH, THIN, MIRROR, REPEAT, HOLE, ROUND, PROFILE, TUBE, TILT, WARP, SCAN = range(12)

# Kinds of steps, in the first column.
(
    ADD_BLOCK,
    ADD_HOLE,
    ADD_ROD,
    ADD_ARCH,
    DRAW_OUTLINE,
    DRAW_PROFILE,
    SHIFT_PARTS,
    TURN_PARTS,
    MIRROR_PARTS,
    REPEAT_PARTS,
    RING_PARTS,
    TILT_PART,
    ATTACH_PART,
) = range(13)

BOX, ROUNDED_BOX, CYLINDER, CONE_UP, CONE_DOWN, ELLIPSOID, ROUND_CORNERS, EXTRUDED, REVOLVED = range(9)
CAPSULE, ROD, BEAM, SPIKE = range(4)


def new_plan() -> np.ndarray:
    """Return a plan without steps."""
    return np.zeros((STEPS, WIDTH))


@compile_helper
def rate(plan: Any, ingredient: int) -> float:
    """Return the factor of an ingredient's probability."""
    return plan[0, SWITCH + ingredient]


@compile_helper
def end_of(plan: Any) -> int:
    """Return the row of the next step."""
    return int(plan[0, COUNT]) + 1


@compile_helper
def add_step(
    plan: Any, kind: int, a: float, b: float, c: float, d: float, e: float, f: float, g: float, h: float
) -> int:
    """Add a step with its numbers; return its row. A step that finds no room replaces the last one."""
    row = min(int(plan[0, COUNT]) + 1, STEPS - 1)
    plan[0, COUNT] = row
    plan[row, 0] = kind
    plan[row, 1], plan[row, 2], plan[row, 3], plan[row, 4] = a, b, c, d
    plan[row, 5], plan[row, 6], plan[row, 7], plan[row, 8], plan[row, 9] = e, f, g, h, 0.0
    return row


@compile_helper
def add_block(plan: Any, style: int, x: float, y: float, z: float, a: float, b: float, c: float) -> int:
    """Add a part in a style that fills the box with this centre and these half lengths."""
    if rate(plan, THIN) == 0:
        a, b, c = max(a, _THICK), max(b, _THICK), max(c, _THICK)
    return add_step(plan, ADD_BLOCK, x, y, z, a, b, c, style, 0.0)


@compile_helper
def cut(plan: Any, owner: int, style: int, x: float, y: float, z: float, a: float, b: float, c: float) -> None:
    """Cut a hole in a style into a solid, whose step or last hole must be the step before."""
    add_step(plan, ADD_HOLE, x, y, z, a, b, c, style, owner)


@compile_helper
def add_rod(plan: Any, style: int, r: float, x0: float, y0: float, z0: float, x1: float, y1: float, z1: float) -> int:
    """Add a rod of radius r between two points: with round ends, a cylinder, a beam or a spike."""
    if rate(plan, THIN) == 0:
        r = max(r, _THICK)
    return add_step(plan, ADD_ROD, x0, y0, z0, x1, y1, z1, style, r)


@compile_helper
def add_wing(
    plan: Any, chord: float, r: float, x0: float, y0: float, z0: float, x1: float, y1: float, z1: float
) -> int:
    """Add a plate of half a width ``chord`` and half a thickness r along the line between two points."""
    if rate(plan, THIN) == 0:
        r, chord = max(r, _THICK), max(chord, _THICK)
    row = add_step(plan, ADD_ROD, x0, y0, z0, x1, y1, z1, BEAM, r)
    plan[row, 9] = chord
    return row


@compile_helper
def add_arch(plan: Any, axis: int, angle: float, radius: float, tube: float, x: float, y: float, z: float) -> int:
    """Add an arc of a torus, of half an angle, in the plane across an axis; it opens towards -x (-y for axis 0)."""
    return add_step(plan, ADD_ARCH, x, y, z, angle, radius, tube, axis, 0.0)


@compile_helper
def shift(plan: Any, first: int, x: float, y: float, z: float) -> None:
    """Move all parts from the step ``first`` on."""
    add_step(plan, SHIFT_PARTS, first, x, y, z, 0.0, 0.0, 0.0, 0.0)


@compile_helper
def turn(plan: Any, first: int, axis: int, angle: float) -> None:
    """Turn all parts from the step ``first`` on about an axis through the origin."""
    add_step(plan, TURN_PARTS, first, axis, angle, 0.0, 0.0, 0.0, 0.0, 0.0)


@compile_helper
def mirror(plan: Any, first: int, axis: int, plane: float) -> None:
    """Add mirrored copies of all parts from the step ``first`` on, about a plane across an axis."""
    if rate(plan, MIRROR) > 0:
        add_step(plan, MIRROR_PARTS, first, axis, plane, 0.0, 0.0, 0.0, 0.0, 0.0)


@compile_helper
def repeat(plan: Any, first: int, number: int, x: float, y: float, z: float) -> None:
    """Add copies of all parts from the step ``first`` on, each moved by one more step; ``number`` counts all."""
    if rate(plan, REPEAT) > 0:
        add_step(plan, REPEAT_PARTS, first, number, x, y, z, 0.0, 0.0, 0.0)


@compile_helper
def ring(plan: Any, first: int, number: int) -> None:
    """Add copies of all parts from the step ``first`` on, turned about the z axis; ``number`` counts all."""
    if rate(plan, REPEAT) > 0:
        add_step(plan, RING_PARTS, first, number, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


@compile_helper
def draw_outline(plan: Any) -> int:
    """Draw an outline to extrude; return its style, or that of a box without profiles."""
    if rate(plan, PROFILE) == 0:
        return BOX
    return EXTRUDED + 64 * _next_outline(plan, DRAW_OUTLINE, 0.0)


@compile_helper
def draw_profile(plan: Any, wall: float) -> int:
    """Draw an outline to revolve, an open vessel if the wall has a thickness; return its style.

    Without profiles it is the style of a cylinder.
    """
    if rate(plan, PROFILE) == 0:
        return CYLINDER
    return REVOLVED + 64 * _next_outline(plan, DRAW_PROFILE, wall)


@compile_helper
def _next_outline(plan: Any, kind: int, wall: float) -> int:
    plan[0, OUTLINES] += 1
    add_step(plan, kind, wall, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    return int(plan[0, OUTLINES])


@compile_helper
def choose_rod(plan: Any, state: Any) -> int:
    """Return a style of rods."""
    if chance(state, 0.25 * rate(plan, TUBE)):
        return CAPSULE
    return ROD + below(state, 2) if chance(state, 0.85) else SPIKE


@compile_helper
def choose_plate(plan: Any, state: Any) -> int:
    """Return a style of horizontal plates."""
    chosen = uniform(state)
    if chosen < 0.15 * rate(plan, ROUND):
        return ROUND_CORNERS
    if chosen < 0.25 * rate(plan, ROUND):
        return ROUNDED_BOX
    if 0.25 < chosen < 0.25 + 0.15 * rate(plan, PROFILE):
        return draw_outline(plan)
    return CYLINDER if chosen > 0.85 else BOX


@compile_helper
def choose_bulk(plan: Any, state: Any) -> int:
    """Return a style of blocks of any proportion."""
    chosen = uniform(state)
    axis = 16 * below(state, 3)
    if chosen < 0.1 * rate(plan, ROUND):
        return ROUNDED_BOX
    if chosen < 0.16 * rate(plan, ROUND):
        return ROUND_CORNERS + axis
    if 0.16 < chosen < 0.16 + 0.12 * rate(plan, PROFILE):
        return draw_outline(plan) + axis
    if 0.28 < chosen < 0.28 + 0.1 * rate(plan, PROFILE):
        return draw_profile(plan, 0.0) + (axis if chance(state, 0.3) else 0)
    if chosen < 0.7:
        return BOX
    if chosen < 0.87:
        return CYLINDER + axis
    if chosen < 0.94:
        return ELLIPSOID
    return CONE_UP + below(state, 2) + (axis if chance(state, 0.3) else 0)


@compile_helper
def mirror_about(plan: Any, first: int, axis: int, base: int) -> None:
    """Add mirrored copies of all parts from the step ``first`` on, about the centre of the part of step ``base``."""
    add_step(plan, MIRROR_PARTS, first, axis, 0.0, base, 0.0, 0.0, 0.0, 0.0)


@compile_helper
def repeat_along(plan: Any, first: int, number: int, axis: int, gap: float) -> None:
    """Add copies of all parts from the step ``first`` on along an axis; a gap of 1 has them touch."""
    row = add_step(plan, REPEAT_PARTS, first, number, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    plan[row, 6], plan[row, 7] = axis, gap
