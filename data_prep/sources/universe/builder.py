"""Execution of plans: each step adds, cuts, copies or moves parts of a scene."""

from math import sqrt
from typing import Any

import numpy as np

from data_prep.compiling import compile_helper
from data_prep.sources.universe.plan import (
    ADD_ARCH,
    ADD_BLOCK,
    ADD_HOLE,
    ADD_ROD,
    ATTACH,
    ATTACH_PART,
    COUNT,
    DRAW_OUTLINE,
    DRAW_PROFILE,
    MIRROR_PARTS,
    REPEAT_PARTS,
    RING_PARTS,
    SHIFT_PARTS,
    STEPS,
    TILT_PART,
    TURN_PARTS,
    rate,
)
from data_prep.sources.universe.random_numbers import below, between, chance, normal
from data_prep.sources.universe.surfaces.blocks import add_arch, add_block, add_rod
from data_prep.sources.universe.surfaces.drawn_outlines import draw_outline, draw_profile
from data_prep.sources.universe.surfaces.moves import mirror, repeat, ring, shift, turn
from data_prep.sources.universe.surfaces.parts import finish
from data_prep.sources.universe.surfaces.scene import (
    HIGH,
    LOW,
    OWNER,
    POSITION,
    ROTATION,
    end_of,
    make_hole,
)


@compile_helper
def build(plan: Any, scene: Any, state: Any) -> None:
    """Apply all steps of a plan, add the parts to a scene, and empty the plan.

    Parameters
    ----------
    plan : (STEPS, WIDTH) float64 array
        The plan.
    scene : (ROWS, WIDTH) float64 array
        The scene.
    state : (1,) uint64 array
        Generator of the random numbers.
    """
    rows = np.empty(STEPS + 1, np.int64)  # the row of the first part of each step
    for step in range(1, int(plan[0, COUNT]) + 1):
        rows[step] = end_of(scene)
        kind, p = int(plan[step, 0]), plan[step]
        if kind in (ADD_BLOCK, ADD_HOLE):
            add_block(scene, int(p[7]), p[1], p[2], p[3], p[4], p[5], p[6])
            if kind == ADD_HOLE:
                make_hole(scene, rows[int(p[8])])
        elif kind == ADD_ROD:
            add_rod(scene, int(p[7]), p[8], p[9], p[1], p[2], p[3], p[4], p[5], p[6])
        elif kind == ADD_ARCH:
            add_arch(scene, int(p[7]), p[4], p[5], p[6], p[1], p[2], p[3])
        elif kind == DRAW_OUTLINE:
            draw_outline(scene, state)
        elif kind == DRAW_PROFILE:
            draw_profile(scene, state, p[1])
        elif kind == TILT_PART:
            _tilt(scene, end_of(scene) - 1, state)
        else:
            _change(scene, kind, rows, p, rate(plan, ATTACH), state)
    plan[0, COUNT] = 0.0


@compile_helper
def _change(scene: Any, kind: int, rows: Any, p: Any, touch: float, state: Any) -> None:
    """Apply a step that copies or moves all parts since another step."""
    first, number, end = rows[int(p[1])], int(p[2]), end_of(scene)
    if first >= end:  # The part had no room.
        return
    if kind == SHIFT_PARTS:
        shift(scene, first, end, p[2], p[3], p[4])
    elif kind == TURN_PARTS:
        turn(scene, first, end, number, p[3])
    elif kind == MIRROR_PARTS:
        plane = p[3]
        if p[4] > 0:
            plane = scene[rows[int(p[4])], POSITION + number]
        mirror(scene, first, number, plane)
    elif kind == RING_PARTS:
        ring(scene, first, number)
    elif kind == ATTACH_PART:
        base = rows[number]
        other = base + below(state, first - base)
        if scene[other, OWNER] >= 0:
            other = base
        _attach(scene, first, other, chance(state, touch), state)
    elif kind == REPEAT_PARTS:
        x, y, z = p[3], p[4], p[5]
        if p[7] > 0:
            axis = int(p[6])
            step = p[7] * (scene[first, HIGH + axis] - scene[first, LOW + axis])
            x, y, z = step if axis == 0 else 0.0, step if axis == 1 else 0.0, step if axis == 2 else 0.0
        repeat(scene, first, number, x, y, z)


@compile_helper
def _tilt(scene: Any, row: int, state: Any) -> None:
    """Turn a part any way: a rotation by a random unit quaternion."""
    w, x, y, z = normal(state), normal(state), normal(state), normal(state)
    length = sqrt(w * w + x * x + y * y + z * z + 1e-30)
    w, x, y, z, m = w / length, x / length, y / length, z / length, ROTATION
    scene[row, m], scene[row, m + 4], scene[row, m + 8] = (
        1 - 2 * (y * y + z * z),
        1 - 2 * (x * x + z * z),
        1 - 2 * (x * x + y * y),
    )
    scene[row, m + 1], scene[row, m + 3] = 2 * (x * y - w * z), 2 * (x * y + w * z)
    scene[row, m + 2], scene[row, m + 6] = 2 * (x * z + w * y), 2 * (x * z - w * y)
    scene[row, m + 5], scene[row, m + 7] = 2 * (y * z - w * x), 2 * (y * z + w * x)
    finish(scene, row)


@compile_helper
def _attach(scene: Any, row: int, other: int, touches: bool, state: Any) -> None:
    """Move a part to a side of another part, in which it sinks a little, or anywhere within the other's box."""
    side = below(state, 6)
    for axis in range(3):
        middle = (scene[row, HIGH + axis] + scene[row, LOW + axis]) / 2
        half = (scene[row, HIGH + axis] - scene[row, LOW + axis]) / 2
        low, high = scene[other, LOW + axis], scene[other, HIGH + axis]
        target = between(state, low, high)
        if touches and axis == side // 2:
            sink = 0.02 * min(half, (high - low) / 2)
            target = high + half - sink if side % 2 == 0 else low - half + sink
        elif touches and chance(state, 0.4):
            target = (low + high) / 2
        elif touches and chance(state, 0.5):
            target = high - half if chance(state, 0.5) else low + half
        scene[row, POSITION + axis] += target - middle
    finish(scene, row)
