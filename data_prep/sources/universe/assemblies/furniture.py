"""Furniture: plates on supports (tables, seats, beds) and cases (cupboards, shelves, boxes)."""

from math import cos, pi, sin
from typing import Any

from data_prep.compiling import compile_helper
from data_prep.sources.universe.plan import (
    BOX,
    CYLINDER,
    HOLE,
    PROFILE,
    REPEAT,
    ROUND,
    ROUNDED_BOX,
    THIN,
    TUBE,
    add_arch,
    add_block,
    add_rod,
    choose_bulk,
    choose_plate,
    choose_rod,
    cut,
    draw_profile,
    end_of,
    mirror,
    rate,
    repeat,
    ring,
)
from data_prep.sources.universe.random_numbers import below, between, chance, log_between, uniform


@compile_helper
def _thickness(plan: Any, state: Any, low: float, high: float) -> float:
    """Return a thickness of plates or rods; without thin parts, at least 0.12."""
    value = log_between(state, low, high)
    return value if chance(state, rate(plan, THIN)) else max(value, 0.12)


@compile_helper
def add_stand(plan: Any, state: Any) -> None:
    """Add a plate on supports, and perhaps a back, arms, a shelf, a drawer, a cushion."""
    a, b, h = log_between(state, 0.25, 0.8), log_between(state, 0.25, 0.6), log_between(state, 0.15, 1.0)
    if chance(state, 0.3):
        b = a
    t = _thickness(plan, state, 0.01, 0.06)
    if chance(state, 0.15):
        t = between(state, 0.06, 0.2)  # a thick seat, a mattress
    style = choose_plate(plan, state)
    add_block(plan, style, 0.0, 0.0, h + t, a, b, t)
    add_supports(plan, state, a, b, h)
    if chance(state, 0.2):
        low = h * between(state, 0.1, 0.7)
        add_block(plan, style, 0.0, 0.0, low, 0.92 * a, 0.92 * b, 0.6 * t)
    if chance(state, 0.2):  # a frame or drawers below the plate
        depth = min(between(state, 0.05, 0.3), 0.5) * h
        add_block(plan, BOX, 0.0, 0.0, h - depth, a * between(state, 0.3, 0.95), b * 0.9, depth)
    top = h + 2 * t
    if chance(state, 0.2):
        add_block(plan, ROUNDED_BOX if rate(plan, ROUND) > 0 else BOX, 0.0, 0.0, top + t, 0.95 * a, 0.95 * b, t)
    if chance(state, 0.5):
        height = log_between(state, 0.1, 0.9)
        _add_back(plan, state, a, b, top, height, t)
        if chance(state, 0.45):
            _add_arms(plan, state, a, b, top, height * between(state, 0.3, 0.9))


@compile_helper
def add_supports(plan: Any, state: Any, a: float, b: float, h: float) -> None:
    """Add supports from the ground to the height h, below a plate with half lengths a and b."""
    kind = below(state, 8)
    first = end_of(plan)
    r = min(_thickness(plan, state, 0.012, 0.07), 0.4 * min(a, b))
    inset = between(state, 0.0, 0.3)
    x, y = (a - r) * (1 - inset), (b - r) * (1 - inset)
    if kind <= 2:  # four legs, upright or splayed
        out = 1.0 if chance(state, 0.6) else between(state, 0.6, 1.5)
        add_rod(plan, choose_rod(plan, state), r, x, y, h, x * out, y * out, 0.0)
        if chance(state, 0.3):
            low = h * between(state, 0.05, 0.6)
            add_rod(plan, choose_rod(plan, state), 0.6 * r, x, y, low, x, 0.0, low)
        if chance(state, 0.2):
            add_block(plan, choose_bulk(plan, state), x * out, y * out, 1.5 * r, 1.5 * r, 1.5 * r, 1.5 * r)
        mirror(plan, first, 0, 0.0)
        mirror(plan, first, 1, 0.0)
    elif kind == 3:  # legs on a circle, from a hub or the edge
        inner, outer = between(state, 0.0, 0.9), between(state, 0.6, 1.2)
        low = min(a, b)
        add_rod(plan, choose_rod(plan, state), r, low * inner, 0.0, h, low * outer, 0.0, 0.0)
        ring(plan, first, 3 + below(state, 4))
    elif kind == 4:  # a column on a foot
        _add_column(plan, state, r, h, min(a, b))
    elif kind == 5:  # two sides
        add_block(plan, BOX, a - r, 0.0, h / 2, r, b * between(state, 0.5, 1.0), h / 2)
        mirror(plan, first, 0, 0.0)
        if chance(state, 0.5):
            add_block(plan, BOX, 0.0, between(state, -1.0, 1.0) * (b - r), h / 2, a, r, h / 2)
    elif kind == 6:  # a plinth
        add_block(plan, choose_bulk(plan, state), 0.0, 0.0, h / 2, 0.9 * a, 0.9 * b, h / 2)
    else:  # sledges or crossed legs
        style = choose_rod(plan, state)
        if chance(state, 0.5):
            add_rod(plan, style, r, x, y, h, x, -y, 0.0)
            add_rod(plan, style, r, x, -y, h, x, y, 0.0)
        else:
            add_rod(plan, style, r, x, y, h, x, y, 0.0)
            add_rod(plan, style, r, x, -y, h, x, -y, 0.0)
            add_rod(plan, style, r, x, y, r, x, -y, r)
        mirror(plan, first, 0, 0.0)


@compile_helper
def _add_column(plan: Any, state: Any, r: float, h: float, size: float) -> None:
    if chance(state, 0.4 * rate(plan, PROFILE)):
        width = r * between(state, 1.5, 4.0)
        add_block(plan, draw_profile(plan, 0.0), 0.0, 0.0, h / 2, width, width, h / 2)
    else:
        add_rod(plan, choose_rod(plan, state), 1.5 * r, 0.0, 0.0, 0.0, 0.0, 0.0, h)
    reach = size * between(state, 0.5, 1.0)
    if chance(state, 0.5):
        add_block(plan, choose_plate(plan, state), 0.0, 0.0, 0.6 * r, reach, reach, 0.6 * r)
        return
    first = end_of(plan)
    add_rod(plan, choose_rod(plan, state), r, 0.0, 0.0, r + between(state, 0.0, 0.15), reach, 0.0, r)
    if chance(state, 0.4):
        add_block(plan, CYLINDER + 32, reach, 0.0, r, 1.5 * r, r, 1.5 * r)
    ring(plan, first, 3 + below(state, 4))


@compile_helper
def _add_back(plan: Any, state: Any, a: float, b: float, z: float, height: float, t: float) -> None:
    """Add a back at the side of positive y: a plate, slats, or a frame with bars."""
    first = end_of(plan)
    kind = below(state, 4) if rate(plan, REPEAT) > 0 else 0
    lean = between(state, 0.0, 0.15) if chance(state, 0.3) else 0.0
    y, t = b - t, min(t, 0.05) if chance(state, 0.8) else t
    if kind <= 1:
        style = ROUNDED_BOX if chance(state, 0.3 * rate(plan, ROUND)) else BOX
        row = add_block(plan, style, 0.0, y, z + height / 2, a, t, height / 2)
        if kind == 1 and chance(state, 0.5 * rate(plan, HOLE)):
            cut(plan, row, BOX, 0.0, y, z + height * 0.5, 0.7 * a, 2 * t, 0.3 * height)
        return
    r = min(t, 0.1 * a)
    style = choose_rod(plan, state)
    add_rod(plan, style, 1.2 * r, a - r, y, z - r, a - r, y + lean, z + height)
    mirror(plan, first, 0, 0.0)
    add_rod(plan, style, 1.2 * r, -a + r, y + lean, z + height - r, a - r, y + lean, z + height - r)
    first, bars = end_of(plan), 2 + below(state, 6)
    if kind == 2:
        step = 2 * (a - r) / (bars + 1)
        add_rod(plan, style, 0.7 * r, -a + r + step, y, z, -a + r + step, y + lean, z + height)
        repeat(plan, first, bars, step, 0.0, 0.0)
    else:
        step = height / (bars + 1)
        add_block(plan, BOX, 0.0, y + lean * 0.5, z + step, a, 0.6 * r, step * between(state, 0.1, 0.45))
        repeat(plan, first, bars, 0.0, 0.0, step)


@compile_helper
def _add_arms(plan: Any, state: Any, a: float, b: float, z: float, height: float) -> None:
    first = end_of(plan)
    w = _thickness(plan, state, 0.02, 0.12)
    kind = below(state, 3)
    if kind == 0:
        add_block(
            plan, choose_bulk(plan, state) if chance(state, 0.3) else BOX, a, 0.0, z + height / 2, w, b, height / 2
        )
    elif kind == 1:
        add_block(plan, BOX, a, 0.0, z + height, w, b, 0.4 * w)
        add_rod(plan, choose_rod(plan, state), 0.4 * w, a, -0.8 * b, z, a, -0.8 * b, z + height)
    else:
        add_arch(plan, 0, pi * 0.6, min(height, b), 0.4 * w, a, 0.0, z)
    mirror(plan, first, 0, 0.0)


@compile_helper
def add_case(plan: Any, state: Any) -> None:
    """Add a box with compartments, drawers or doors, perhaps on feet."""
    a, b, c = log_between(state, 0.2, 0.8), log_between(state, 0.12, 0.5), log_between(state, 0.15, 0.9)
    feet = between(state, 0.03, 0.25) if chance(state, 0.4) else 0.0
    wall = min(_thickness(plan, state, 0.01, 0.05), 0.3 * min(a, min(b, c)))
    z = feet + c
    style = BOX
    if chance(state, 0.2 * rate(plan, ROUND)):
        style = ROUNDED_BOX
    body = add_block(plan, style, 0.0, 0.0, z, a, b, c)
    columns, rows = 1 + below(state, 3), 1 + int(4 * uniform(state) ** 1.5)
    kind = below(state, 6)
    width, height = a / columns, c / rows
    if kind <= 2 and chance(state, rate(plan, HOLE)):  # open to the front
        for i in range(columns):
            for j in range(rows):
                x, level = -a + (2 * i + 1) * width, z - c + (2 * j + 1) * height
                if chance(state, 0.85):
                    cut(plan, body, BOX, x, -wall, level, width - wall / 2, b, height - wall / 2)
    elif kind == 3 and chance(state, rate(plan, HOLE)):  # open above
        lift = between(state, 0.1, 1.0) * c if chance(state, 0.3) else wall
        cut(plan, body, style, 0.0, 0.0, z + lift, a - wall, b - wall, c)
    if kind >= 3 or kind == 0:
        _add_fronts(plan, state, a, b, c, z, 1 + below(state, 3), 1 + below(state, 4))
    if chance(state, 0.3):
        t = 0.6 * wall
        out = between(state, 1.0, 1.12)
        add_block(
            plan, choose_plate(plan, state) if chance(state, 0.2) else BOX, 0.0, 0.0, z + c + t, out * a, out * b, t
        )
    if chance(state, 0.15):
        add_block(plan, BOX, 0.0, b - wall, z + c + 0.3 * c, a, wall, 0.3 * c)
    if feet > 0:
        add_supports(plan, state, a, b, feet)


@compile_helper
def _add_fronts(plan: Any, state: Any, a: float, b: float, c: float, z: float, columns: int, rows: int) -> None:
    """Add a grid of plates with handles to the front."""
    if rate(plan, REPEAT) == 0:
        columns, rows = 1, 1
    first = end_of(plan)
    width, height = a / columns, c / rows
    t, gap = between(state, 0.005, 0.03), between(state, 0.75, 0.97)
    x, y, level = -a + width, -b - 0.8 * t, z - c + height
    add_block(plan, BOX, x, y, level, gap * width, t, gap * height)
    grip, kind = min(width, height) * between(state, 0.05, 0.2), below(state, 4)
    at = x + width * between(state, -0.7, 0.7) if chance(state, 0.5) else x
    if kind == 0:
        add_block(plan, choose_bulk(plan, state), at, y - t - 0.8 * grip, level, grip, grip, grip)
    elif kind == 1:
        r = 0.25 * grip
        add_rod(
            plan, choose_rod(plan, state), r, at - 2 * grip, y - t - grip, level, at + 2 * grip, y - t - grip, level
        )
        add_rod(plan, 1, r, at - 1.5 * grip, y, level, at - 1.5 * grip, y - t - grip, level)
        add_rod(plan, 1, r, at + 1.5 * grip, y, level, at + 1.5 * grip, y - t - grip, level)
    elif kind == 2 and rate(plan, TUBE) > 0:
        add_arch(plan, 2, pi / 2, grip, 0.2 * grip, at, y, level)
    repeat(plan, first, columns, 2 * width, 0.0, 0.0)
    repeat(plan, first, rows, 0.0, 0.0, 2 * height)


@compile_helper
def add_steps(plan: Any, state: Any) -> None:
    """Add stairs: steps of one size, solid or as plates, straight or around a column."""
    steps = 3 + below(state, 8)
    a, run, rise = between(state, 0.15, 0.6), between(state, 0.6, 1.6) / steps, between(state, 0.4, 1.4) / steps
    if chance(state, 0.25):
        add_rod(plan, 1, 0.06, 0.0, 0.0, 0.0, 0.0, 0.0, (steps + 1) * rise)
        opening = between(state, 1.0, 1.8) * pi / steps
        for k in range(steps):
            x, y = cos(opening * k), sin(opening * k)
            add_rod(plan, 2, between(state, 0.04, 0.06), 0.0, 0.0, k * rise, 0.6 * x, 0.6 * y, k * rise)
        return
    solid = chance(state, 0.5)
    t = 0.1 * rise if chance(state, 0.5) else 0.25 * rise
    for k in range(steps):
        half = (k + 1) * rise / 2 if solid else t
        add_block(plan, BOX, 0.0, k * run, (k + 1) * rise - half, a, 0.52 * run, half)
    if not solid or chance(state, 0.3):
        first = end_of(plan)
        add_rod(plan, 2, 0.03, a, 0.0, 0.5 * rise, a, (steps - 1) * run, (steps - 0.5) * rise)
        if chance(state, 0.5):
            add_rod(plan, 1, 0.02, a, 0.0, 0.4, a, (steps - 1) * run, (steps - 1) * rise + 0.4)
        mirror(plan, first, 0, 0.0)
