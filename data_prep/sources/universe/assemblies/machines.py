"""Mechanical parts, screens and rows: plates with holes, profiles, pipes, gears, panels, grids of blocks."""

from math import pi
from typing import Any

from data_prep.compiling import compile_helper
from data_prep.sources.universe.plan import (
    BOX,
    CYLINDER,
    HOLE,
    PROFILE,
    ROUND,
    ROUND_CORNERS,
    ROUNDED_BOX,
    add_block,
    add_rod,
    choose_bulk,
    choose_plate,
    choose_rod,
    cut,
    draw_outline,
    end_of,
    mirror,
    rate,
    repeat,
    ring,
    turn,
)
from data_prep.sources.universe.random_numbers import below, between, chance, log_between


@compile_helper
def add_bracket(plan: Any, state: Any) -> None:
    """Add a plate with rows of holes and bosses, perhaps with a second plate across and ribs."""
    base = end_of(plan)
    a, b, t = between(state, 0.3, 0.8), between(state, 0.2, 0.6), log_between(state, 0.02, 0.12)
    style = choose_plate(plan, state) if chance(state, 0.5) else BOX
    row = add_block(plan, style, 0.0, 0.0, t, a, b, t)
    if chance(state, rate(plan, HOLE)):
        columns, rows = 1 + below(state, 4), 1 + below(state, 3)
        size = min(a / columns, b / rows) * between(state, 0.25, 0.75)
        shape = CYLINDER if chance(state, 0.7) else BOX
        for i in range(columns):
            for j in range(rows):
                x, y = -a + (2 * i + 1) * a / columns, -b + (2 * j + 1) * b / rows
                cut(plan, row, shape, x, y, t, size, size, 1.1 * t)
    if chance(state, 0.55):
        h = between(state, 0.15, 0.7)
        row = add_block(plan, BOX, 0.0, b - t, h, a, t, h)
        if chance(state, 0.6 * rate(plan, HOLE)):
            size = min(a, h) * between(state, 0.25, 0.6)
            cut(plan, row, CYLINDER + 32, 0.0, b - t, h * 1.1, size, 1.1 * t, size)
        if chance(state, 0.4) and rate(plan, PROFILE) > 0:  # ribs
            first = end_of(plan)
            add_block(plan, BOX, 0.9 * a, 0.0, 0.5 * h, t, b, 0.5 * h)
            mirror(plan, first, 0, 0.0)
    if chance(state, 0.5):
        first = end_of(plan)
        r, h = between(state, 0.05, 0.2), between(state, 0.05, 0.5)
        x = between(state, 0.0, 0.8) * (a - r) if chance(state, 0.6) else 0.0
        row = add_block(plan, choose_bulk(plan, state) if chance(state, 0.3) else CYLINDER, x, 0.0, t + h, r, r, h)
        if chance(state, 0.6 * rate(plan, HOLE)):
            cut(plan, row, CYLINDER, x, 0.0, t + h, 0.6 * r, 0.6 * r, 1.05 * h)
        if x > 0:
            mirror(plan, first, 0, 0.0)
    if chance(state, 0.3):
        turn(plan, base, 0, pi / 2)


@compile_helper
def add_profile(plan: Any, state: Any) -> None:
    """Add a long or flat extruded outline, perhaps with a hole, a collar, a shaft."""
    base = end_of(plan)
    style = draw_outline(plan) if chance(state, rate(plan, PROFILE)) else BOX
    a, b, c = between(state, 0.2, 0.7), between(state, 0.2, 0.7), log_between(state, 0.03, 1.0)
    if chance(state, 0.6):
        b = a
    axis = below(state, 3)
    row = add_block(plan, style, 0.0, 0.0, 0.0, a, b, c)
    if chance(state, 0.4 * rate(plan, HOLE)):
        size = between(state, 0.15, 0.6) * min(a, b)
        cut(plan, row, CYLINDER if chance(state, 0.6) else style, 0.0, 0.0, 0.0, size, size, 1.1 * c)
    first = end_of(plan)
    if chance(state, 0.4):
        size = between(state, 0.1, 0.9) * min(a, b)
        add_block(
            plan,
            choose_bulk(plan, state) if chance(state, 0.4) else CYLINDER,
            0.0,
            0.0,
            c,
            size,
            size,
            between(state, 0.1, 0.8),
        )
        if chance(state, 0.5):
            mirror(plan, first, 2, 0.0)
    if chance(state, 0.2):
        add_block(plan, style, 0.0, 0.0, 1.4 * c, 0.7 * a, 0.7 * b, 0.6 * c)
    if axis > 0:
        turn(plan, base, axis - 1, pi / 2)


@compile_helper
def add_pipe(plan: Any, state: Any) -> None:
    """Add a pipe with flanges and branches, hollow if holes are on."""
    base = end_of(plan)
    r, c = between(state, 0.1, 0.35), between(state, 0.3, 1.0)
    wall = between(state, 0.6, 0.95)
    row = add_block(plan, CYLINDER, 0.0, 0.0, 0.0, r, r, c)
    hollow = chance(state, 0.8 * rate(plan, HOLE))
    if hollow:
        cut(plan, row, CYLINDER, 0.0, 0.0, 0.0, wall * r, wall * r, 1.01 * c)
    first = end_of(plan)
    if chance(state, 0.6):
        out, t = r * between(state, 1.2, 2.0), between(state, 0.02, 0.1)
        row = add_block(
            plan, choose_plate(plan, state) if chance(state, 0.3) else CYLINDER, 0.0, 0.0, c - t, out, out, t
        )
        if hollow:
            cut(plan, row, CYLINDER, 0.0, 0.0, c - t, wall * r, wall * r, 1.1 * t)
        if chance(state, 0.5):
            bolt = 0.12 * r
            start = end_of(plan)
            add_rod(plan, 1, bolt, 0.85 * out, 0.0, c - 3 * t, 0.85 * out, 0.0, c + t)
            ring(plan, start, 4 + below(state, 4))
        mirror(plan, first, 2, 0.0)
    if chance(state, 0.5):
        start, z = end_of(plan), between(state, -0.5, 0.5) * c
        thin = r * between(state, 0.4, 0.9)
        add_block(plan, CYLINDER + 16, between(state, 1.2, 2.0) * r, 0.0, z, r, thin, thin)
        if chance(state, 0.5):
            ring(plan, start, 2 + below(state, 3))
    if chance(state, 0.5):
        turn(plan, base, below(state, 2), pi / 2)


@compile_helper
def add_panel(plan: Any, state: Any) -> None:
    """Add an upright panel, alone or on a stand: screens, doors, boards, windows, mirrors."""
    a, c, t = between(state, 0.3, 0.9), between(state, 0.25, 1.0), log_between(state, 0.008, 0.08)
    foot = between(state, 0.05, 0.5) if chance(state, 0.6) else 0.0
    z = foot + c
    style = BOX
    if chance(state, 0.3 * rate(plan, ROUND)):
        style = ROUND_CORNERS + 32 if chance(state, 0.6) else ROUNDED_BOX
    row = add_block(plan, style, 0.0, 0.0, z, a, t, c)
    if chance(state, 0.6 * rate(plan, HOLE)):
        edge = min(a, c) * between(state, 0.05, 0.25)
        depth = t if chance(state, 0.4) else 0.5 * t  # a window, or a sunk screen
        columns, rows = 1 + below(state, 3), 1 + below(state, 3)
        width, height = a - edge, c - edge
        for i in range(columns):
            for j in range(rows):
                x, level = -width + (2 * i + 1) * width / columns, z - height + (2 * j + 1) * height / rows
                cut(plan, row, BOX, x, -t + depth, level, 0.94 * width / columns, 1.1 * depth, 0.94 * height / rows)
    if foot > 0:
        kind = below(state, 3)
        first = end_of(plan)
        if kind == 0:
            neck = a * between(state, 0.05, 0.3)
            add_block(plan, BOX, 0.0, 0.5 * t, 0.6 * foot, neck, max(0.5 * t, 0.02), 0.7 * foot)
            add_block(
                plan,
                choose_plate(plan, state),
                0.0,
                0.0,
                0.02,
                a * between(state, 0.3, 0.8),
                between(state, 0.12, 0.4),
                0.02,
            )
        else:
            x, reach, r = a * between(state, 0.3, 0.95), between(state, 0.1, 0.4), between(state, 0.015, 0.05)
            add_rod(plan, choose_rod(plan, state), r, x, 0.0, z, x, 0.0 if kind == 1 else reach, 0.0)
            add_rod(plan, choose_rod(plan, state), r, x, -reach, r, x, reach, r)
            mirror(plan, first, 0, 0.0)
    if chance(state, 0.2):
        add_block(plan, choose_bulk(plan, state), 0.8 * a, -1.5 * t, z, 0.05, 1.5 * t + 0.02, 0.05)
    if chance(state, 0.2):
        add_block(
            plan,
            choose_bulk(plan, state),
            0.0,
            t + 0.1,
            z,
            a * between(state, 0.3, 0.8),
            0.1,
            c * between(state, 0.3, 0.8),
        )


@compile_helper
def add_grid(plan: Any, state: Any) -> None:
    """Add equal or growing blocks in rows on a base: keyboards, towns, crates, books, stacks."""
    columns, rows = 1 + below(state, 6), 1 + below(state, 4)
    if columns * rows < 3:
        columns = 3
    a, b = between(state, 0.3, 0.9) / columns, between(state, 0.2, 0.7) / rows
    h, t = log_between(state, 0.03, 0.6), between(state, 0.01, 0.08)
    style, gap = choose_bulk(plan, state), between(state, 0.6, 1.0)
    varied = chance(state, 0.4)
    if chance(state, 0.75):
        out = between(state, 1.0, 1.2)
        base = add_block(plan, choose_plate(plan, state), 0.0, 0.0, -t, columns * a * out, rows * b * out, 1.02 * t)
        if chance(state, 0.2 * rate(plan, HOLE)):
            cut(plan, base, BOX, 0.0, 0.0, -0.5 * t, 0.95 * columns * a, 0.95 * rows * b, 0.6 * t)
    for i in range(columns):
        for j in range(rows):
            if varied and chance(state, 0.15):
                continue
            tall = h * log_between(state, 0.3, 1.5) if varied else h
            x, y = (2 * i + 1 - columns) * a, (2 * j + 1 - rows) * b
            add_block(plan, style, x, y, tall - 0.01, gap * a, gap * b, tall)
    if chance(state, 0.15):
        first = end_of(plan)
        add_block(plan, BOX, columns * a, 0.0, h, 0.02, rows * b, h)
        mirror(plan, first, 0, 0.0)
    if chance(state, 0.1):
        first = end_of(plan)
        add_rod(plan, 1, 0.03, 0.0, 0.0, 0.0, 0.0, 0.0, h)
        repeat(plan, first, 2, 0.0, b, 0.0)
