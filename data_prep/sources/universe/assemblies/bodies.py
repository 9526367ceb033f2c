"""Bodies along the x axis with pairs of parts: vehicles, planes, ships, animals, tools."""

from math import pi
from typing import Any

from data_prep.compiling import compile_helper
from data_prep.sources.universe.plan import (
    BOX,
    CYLINDER,
    ELLIPSOID,
    HOLE,
    MIRROR,
    PROFILE,
    ROUND,
    ROUNDED_BOX,
    TILT,
    TUBE,
    add_arch,
    add_block,
    add_rod,
    add_wing,
    choose_bulk,
    choose_rod,
    cut,
    draw_outline,
    draw_profile,
    end_of,
    mirror,
    rate,
    repeat,
)
from data_prep.sources.universe.random_numbers import below, between, chance, log_between


@compile_helper
def _add_body(plan: Any, state: Any, a: float, b: float, c: float, z: float) -> int:
    kind = below(state, 6)
    style = BOX
    if kind == 0:
        style = ELLIPSOID
    elif kind == 1:
        style = CYLINDER + 16
    elif kind == 2 and rate(plan, ROUND) > 0:
        style = ROUNDED_BOX
    elif kind == 3 and rate(plan, PROFILE) > 0:
        style = draw_profile(plan, 0.0) + 16
    elif kind == 4 and rate(plan, PROFILE) > 0:
        style = draw_outline(plan) + 32
    return add_block(plan, style, 0.0, 0.0, z, a, b, c)


@compile_helper
def _mirror(plan: Any, first: int) -> None:
    if rate(plan, MIRROR) > 0:
        mirror(plan, first, 1, 0.0)


@compile_helper
def add_vehicle(plan: Any, state: Any) -> None:
    """Add a long body on wheels, runners or legs, with a cabin, a mast, and other things on it."""
    a, b, c = between(state, 0.4, 0.9), between(state, 0.1, 0.4), log_between(state, 0.05, 0.35)
    r = between(state, 0.05, 0.25)
    z = r * between(state, 0.8, 1.5) + c
    body = _add_body(plan, state, a, b, c, z)
    if chance(state, 0.3 * rate(plan, HOLE)):  # a loading space or a boat
        cut(plan, body, BOX, between(state, -0.4, 0.4) * a, 0.0, z + 0.5 * c, 0.5 * a, 0.85 * b, c)
    first, kind = end_of(plan), below(state, 4)
    if kind <= 1:  # wheels
        width, axles = r * between(state, 0.15, 0.6), 2 + (below(state, 3) if chance(state, 0.3) else 0)
        x = -a * between(state, 0.5, 0.9)
        if chance(state, 0.2 * rate(plan, TUBE)):
            add_arch(plan, 1, 4.0, 0.8 * r, 0.2 * r, x, b, r)
        else:
            add_block(plan, CYLINDER + 32, x, b - width * 0.2, r, r, width, r)
        repeat(plan, first, axles, -2 * x / (axles - 1), 0.0, 0.0)
        _mirror(plan, first)
    elif kind == 2:  # legs
        thin = between(state, 0.2, 0.5) * b
        out = between(state, 0.8, 1.4)
        add_rod(plan, choose_rod(plan, state), thin, -0.7 * a, 0.7 * b, z, -0.7 * a * out, 0.7 * b * out, 0.0)
        repeat(plan, first, 2, 1.4 * a, 0.0, 0.0)
        _mirror(plan, first)
    if chance(state, 0.6):  # a cabin
        x, half = between(state, -0.6, 0.6) * a, between(state, 0.2, 0.6) * a
        h = between(state, 0.4, 1.3) * c
        style = choose_bulk(plan, state) if chance(state, 0.5) else BOX
        add_block(plan, style, x, 0.0, z + c + 0.9 * h, half, b * between(state, 0.6, 1.0), h)
    if chance(state, 0.3):  # a head, a bonnet, a barrel
        low = z + between(state, -0.5, 0.8) * c
        add_block(plan, choose_bulk(plan, state), a * 1.1, 0.0, low, 0.3 * a, 0.7 * b, 0.7 * c)
    if chance(state, 0.3):
        x = between(state, -0.8, 0.8) * a
        tall = between(state, 0.2, 1.0)
        add_rod(plan, choose_rod(plan, state), 0.08 * b, x, 0.0, z, x, 0.0, z + c + tall)
        if chance(state, 0.4):
            add_block(plan, draw_outline(plan) + 32, x + 0.2, 0.0, z + c + 0.6 * tall, 0.2, 0.01, 0.3 * tall)
    if chance(state, 0.25):  # a rod to the front: a gun, a crane
        add_rod(
            plan, choose_rod(plan, state), 0.12 * b, 0.0, 0.0, z + c, 1.5 * a, 0.0, z + c + between(state, 0.0, 0.6)
        )


@compile_helper
def add_plane(plan: Any, state: Any) -> None:
    """Add a long body with wings, a tail and engines."""
    a, r = between(state, 0.5, 0.9), between(state, 0.05, 0.16)
    _add_body(plan, state, a, r, r * between(state, 0.8, 1.2), 0.0)
    first = end_of(plan)
    span, chord, t = between(state, 0.4, 1.0), between(state, 0.08, 0.3), log_between(state, 0.006, 0.03)
    sweep = between(state, -0.1, 0.5) if rate(plan, TILT) > 0 else 0.0
    z = between(state, -0.7, 0.9) * r
    x = between(state, -0.1, 0.3)
    add_wing(plan, chord, t, x, 0.0, z, x - sweep * span, span, z + between(state, -0.1, 0.2) * span)
    if chance(state, 0.4):  # engines
        y, at = between(state, 0.2, 0.6) * span, x - sweep * span * 0.4 + chord * 0.5
        add_block(plan, CYLINDER + 16, at, y, z - 0.06, 0.12, 0.04, 0.04)
    size = between(state, 0.3, 0.6)
    back = -a + chord * size
    add_wing(plan, chord * size, t, back, 0.0, 0.0, back - sweep * 0.4 * size, span * size, 0.0)
    _mirror(plan, first)
    if chance(state, 0.8):
        add_wing(plan, t, chord * size, back, 0.0, 0.0, back - 0.1, 0.0, size * 0.6)


@compile_helper
def add_tool(plan: Any, state: Any) -> None:
    """Add a handle with a head across, along or around it, lying or upright."""
    r, length = between(state, 0.02, 0.1), between(state, 0.5, 1.2)
    add_rod(plan, choose_rod(plan, state), r, 0.0, 0.0, 0.0, length, 0.0, 0.0)
    if chance(state, 0.4):
        part = between(state, 0.2, 0.5) * length
        add_rod(plan, choose_rod(plan, state), r * between(state, 1.2, 2.2), 0.0, 0.0, 0.0, part, 0.0, 0.0)
    kind = below(state, 5)
    size = between(state, 0.08, 0.35)
    if kind == 0:
        thin = size * between(state, 0.1, 0.9)
        add_block(plan, choose_bulk(plan, state), length, 0.0, 0.0, thin, size, size * between(state, 0.2, 0.8))
    elif kind == 1:
        add_block(plan, draw_outline(plan), length + size, 0.0, 0.0, size, size, 0.4 * r + 0.01)
    elif kind == 2 and rate(plan, TUBE) > 0:
        opening = pi if chance(state, 0.5) else between(state, 1.5, 2.8)
        add_arch(plan, 2, opening, size, size * between(state, 0.1, 0.3), length + size, 0.0, 0.0)
    elif kind == 3:
        row = add_block(plan, choose_bulk(plan, state), length + size, 0.0, 0.0, size, size, size)
        if chance(state, rate(plan, HOLE)):
            cut(plan, row, CYLINDER, length + size, 0.0, 0.0, 0.6 * size, 0.6 * size, 1.1 * size)
    else:
        first = end_of(plan)
        add_rod(
            plan,
            choose_rod(plan, state),
            0.5 * r,
            length,
            0.0,
            0.0,
            length + size,
            size * between(state, 0.2, 1.0),
            0.0,
        )
        mirror(plan, first, 1, 0.0)
        if chance(state, 0.5):
            add_block(plan, BOX, length, 0.0, 0.0, 0.03, 1.2 * size, 0.03)
