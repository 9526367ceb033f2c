"""Things of rods: plants, bent tubes, frames, lattices, ladders, wheels with spokes."""

from math import cos, pi, sin
from typing import Any

import numpy as np

from data_prep.compiling import compile_helper
from data_prep.sources.universe.plan import (
    BOX,
    CAPSULE,
    CYLINDER,
    ELLIPSOID,
    HOLE,
    TUBE,
    add_arch,
    add_block,
    add_rod,
    choose_bulk,
    choose_plate,
    choose_rod,
    cut,
    end_of,
    mirror,
    rate,
    repeat,
    ring,
    shift,
    turn,
)
from data_prep.sources.universe.random_numbers import below, between, chance, log_between, uniform


@compile_helper
def add_plant(plan: Any, state: Any) -> None:
    """Add a pot, stems that branch, and leaves."""
    pot, z = between(state, 0.12, 0.3), 0.0
    if chance(state, 0.6):
        h = pot * between(state, 0.5, 1.3)
        row = add_block(plan, CYLINDER if chance(state, 0.5) else CYLINDER + 2, 0.0, 0.0, h, pot, pot, h)
        if chance(state, 0.5 * rate(plan, HOLE)):
            cut(plan, row, CYLINDER, 0.0, 0.0, h * 1.2, 0.42 * pot, 0.42 * pot, h)
        z = 1.9 * h
    trunk = between(state, 0.0, 0.7)
    if trunk > 0.1:
        add_rod(plan, choose_rod(plan, state), between(state, 0.015, 0.05), 0.0, 0.0, z - 0.1, 0.0, 0.0, z + trunk)
    z += trunk
    if chance(state, 0.25):  # a crown of one or a few blobs
        for _ in range(1 + below(state, 4)):
            r = between(state, 0.15, 0.45)
            add_block(
                plan,
                ELLIPSOID if chance(state, 0.8) else CYLINDER + 1,
                between(state, -0.2, 0.2),
                between(state, -0.2, 0.2),
                z + 0.8 * r,
                r,
                r,
                r,
            )
        return
    stems, leaf = 3 + below(state, 9), log_between(state, 0.03, 0.2)
    spread, r, kind = between(state, 0.2, 1.3), log_between(state, 0.006, 0.03), below(state, 4)
    for _ in range(stems):
        around, length = 2 * pi * uniform(state), between(state, 0.3, 0.9)
        out = length * sin(spread * uniform(state))
        up = length * cos(spread * 0.6)
        x, y = out * cos(around), out * sin(around)
        low = z - trunk * between(state, 0.0, 0.6)
        add_rod(plan, CAPSULE if rate(plan, TUBE) > 0 else 1, r, 0.0, 0.0, low, x, y, low + up)
        if kind == 0:
            continue
        first = end_of(plan)
        if kind == 1:
            add_block(plan, ELLIPSOID, 0.0, 0.0, 0.0, leaf, leaf, leaf)
        else:
            add_block(plan, ELLIPSOID, leaf, 0.0, 0.0, 1.5 * leaf, 0.6 * leaf, 0.01 + 0.05 * leaf)
            turn(plan, first, 1, between(state, -0.8, 0.6))
            turn(plan, first, 2, around)
        shift(plan, first, x, y, low + up)


@compile_helper
def add_tubes(plan: Any, state: Any) -> None:
    """Add a bent tube of constant thickness, alone or as a mirrored pair with bars across, perhaps with a seat."""
    r, style = log_between(state, 0.015, 0.07), CAPSULE if rate(plan, TUBE) > 0 else 1
    x, y, z = 0.0, between(state, 0.1, 0.5), 0.0
    first, bends = end_of(plan), 2 + below(state, 6)
    flat = chance(state, 0.6)
    previous = -1
    for _ in range(bends):
        axis = below(state, 3)
        if axis == previous or (flat and axis == 1):
            axis = 2 if previous != 2 else 0
        previous = axis
        step = log_between(state, 0.15, 0.9) * (1.0 if chance(state, 0.65) else -1.0)
        u, v, w = x, y, z
        if axis == 0:
            u += step
        elif axis == 1:
            v += step
        else:
            w += step
        if chance(state, 0.2):
            u += between(state, -0.2, 0.2)
        add_rod(plan, style, r, x, y, z, u, v, w)
        x, y, z = u, v, w
    if chance(state, 0.55):
        mirror(plan, first, 1, 0.0)
        for row in range(first, first + bends):
            if chance(state, 0.35) and row < end_of(plan):  # a bar from the middle of a piece to its mirror image
                px, py, pz = plan[row, 1] + plan[row, 4], plan[row, 2] + plan[row, 5], plan[row, 3] + plan[row, 6]
                add_rod(plan, style, r, px / 2, -py / 2, pz / 2, px / 2, py / 2, pz / 2)
        if chance(state, 0.4):
            add_block(
                plan,
                choose_plate(plan, state),
                x,
                0.0,
                z + r,
                between(state, 0.2, 0.5),
                abs(y) + r,
                between(state, 0.01, 0.06),
            )
    elif chance(state, 0.4):
        add_block(
            plan,
            choose_bulk(plan, state),
            x,
            y,
            z,
            between(state, 0.05, 0.3),
            between(state, 0.05, 0.3),
            between(state, 0.02, 0.2),
        )
    if chance(state, 0.3):
        add_block(
            plan, choose_plate(plan, state), 0.0, 0.0, 0.0, between(state, 0.1, 0.4), between(state, 0.1, 0.5), 0.02
        )


@compile_helper
def add_spring(plan: Any, state: Any) -> None:
    """Add a helix of a tube, perhaps with plates at the ends or a rod within."""
    windings, r = between(state, 1.5, 6.0), between(state, 0.15, 0.45)
    pitch, tube = between(state, 0.1, 0.4), between(state, 0.02, 0.06)
    pieces = int(windings * 10)
    grow = between(state, 0.6, 1.3) if chance(state, 0.3) else 1.0
    for k in range(pieces):
        s, t = k / pieces, (k + 1) / pieces
        p, q = 2 * pi * windings * s, 2 * pi * windings * t
        f, g = r * (1 + (grow - 1) * s), r * (1 + (grow - 1) * t)
        add_rod(
            plan,
            CAPSULE,
            tube,
            f * cos(p),
            f * sin(p),
            pitch * windings * s,
            g * cos(q),
            g * sin(q),
            pitch * windings * t,
        )
    if chance(state, 0.4):
        add_block(plan, CYLINDER, 0.0, 0.0, -0.02, 1.2 * r, 1.2 * r, 0.03)
    if chance(state, 0.3):
        add_rod(plan, 1, 0.4 * r, 0.0, 0.0, -0.1, 0.0, 0.0, pitch * windings + 0.2)


@compile_helper
def add_lattice(plan: Any, state: Any) -> None:
    """Add a grid of rods: posts and bars in one, two or three directions, or shelves between posts."""
    number = np.empty(3, np.int64)
    for axis in range(3):
        number[axis] = 2 + (below(state, 4) if chance(state, 0.5) else 0)
    a, b, c = between(state, 0.3, 1.0), between(state, 0.15, 0.8), between(state, 0.3, 1.2)
    flat = chance(state, 0.35)
    if flat:  # a fence, a grille, a ladder
        number[1], b = 1, 0.0
        number[0], number[2] = number[0] + below(state, 4), number[2] + below(state, 4)
    style, r = choose_rod(plan, state), log_between(state, 0.008, 0.04)
    thick = r * between(state, 1.0, 1.8)
    kind = below(state, 4)
    step_x, step_y, step_z = 2 * a / (number[0] - 1), 2 * b / max(number[1] - 1, 1), 2 * c / (number[2] - 1)
    first = end_of(plan)
    add_rod(plan, style, thick, -a, -b, 0.0, -a, -b, 2 * c)  # posts
    repeat(plan, first, number[0] if kind != 1 else 2, step_x if kind != 1 else 2 * a, 0.0, 0.0)
    repeat(plan, first, number[1], 0.0, step_y, 0.0)
    first, lift = end_of(plan), between(state, 0.0, 0.5) * step_z
    if kind == 0 and not flat:  # shelves
        add_block(plan, BOX, 0.0, 0.0, lift, a + thick, b + thick, r)
        repeat(plan, first, number[2], 0.0, 0.0, step_z)
        return
    add_rod(plan, style, r, -a, -b, lift, a, -b, lift)
    repeat(plan, first, number[1], 0.0, step_y, 0.0)
    repeat(plan, first, number[2], 0.0, 0.0, step_z)
    if flat or kind == 3:
        return
    first = end_of(plan)
    add_rod(plan, style, r, -a, -b, lift, -a, b, lift)
    repeat(plan, first, number[0] if kind != 1 else 2, step_x if kind != 1 else 2 * a, 0.0, 0.0)
    repeat(plan, first, number[2], 0.0, 0.0, step_z)


@compile_helper
def add_star(plan: Any, state: Any) -> None:
    """Add a hub with equal arms around it, perhaps with a rim and a stand: wheels, fans, flowers, chandeliers."""
    hub, reach = between(state, 0.05, 0.3), between(state, 0.4, 0.9)
    h, arms = log_between(state, 0.02, 0.4), 2 + below(state, 10)
    base = end_of(plan)
    add_block(plan, choose_bulk(plan, state) if chance(state, 0.4) else CYLINDER, 0.0, 0.0, 0.0, hub, hub, h)
    first, kind = end_of(plan), below(state, 4)
    r = between(state, 0.01, 0.08)
    if kind == 0:
        add_rod(plan, choose_rod(plan, state), r, 0.5 * hub, 0.0, 0.0, reach, 0.0, between(state, -0.3, 0.3))
    elif kind == 1:  # blades
        add_block(
            plan,
            ELLIPSOID if chance(state, 0.4) else BOX,
            (hub + reach) / 2,
            0.0,
            0.0,
            (reach - hub) / 1.9,
            2 * r,
            0.2 * r,
        )
        turn(plan, first, 0, between(state, -0.9, 0.9))
    elif kind == 2:  # arms with heads
        z = between(state, -0.2, 0.4)
        add_rod(plan, choose_rod(plan, state), 0.5 * r, 0.0, 0.0, 0.0, reach, 0.0, z)
        size = reach * between(state, 0.06, 0.25)
        add_block(plan, choose_bulk(plan, state), reach, 0.0, z, size, size, size)
    else:
        size = between(state, 0.3, 0.9) * pi * reach / arms
        add_block(
            plan, choose_bulk(plan, state), reach - size, 0.0, 0.0, size, 0.9 * size, between(state, 0.5, 2.0) * size
        )
    ring(plan, first, arms)
    if chance(state, 0.35):
        if rate(plan, TUBE) > 0:
            add_arch(plan, 2, 4.0, reach, between(state, 0.02, 0.12), 0.0, 0.0, 0.0)
        else:
            row = add_block(plan, CYLINDER, 0.0, 0.0, 0.0, reach, reach, 0.05)
            cut(plan, row, CYLINDER, 0.0, 0.0, 0.0, 0.85 * reach, 0.85 * reach, 0.06)
    if chance(state, 0.45):
        turn(plan, base, 0, pi / 2)
    if chance(state, 0.45):
        tall = between(state, 0.3, 1.4) + reach
        add_rod(plan, choose_rod(plan, state), between(state, 0.02, 0.06), 0.0, 0.05, -tall, 0.0, 0.05, 0.0)
        add_block(plan, choose_plate(plan, state), 0.0, 0.0, -tall, 0.3, 0.3, 0.03)
