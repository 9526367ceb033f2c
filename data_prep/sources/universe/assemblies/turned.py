"""Turned things: vessels, lamps, bottles, columns, towers, with handles and spouts."""

from math import pi
from typing import Any

from data_prep.compiling import compile_helper
from data_prep.sources.universe.plan import (
    CONE_UP,
    CYLINDER,
    ELLIPSOID,
    HOLE,
    MIRROR,
    PROFILE,
    TUBE,
    add_arch,
    add_block,
    add_rod,
    choose_plate,
    choose_rod,
    cut,
    draw_outline,
    draw_profile,
    end_of,
    mirror,
    rate,
    ring,
)
from data_prep.sources.universe.random_numbers import below, between, chance, log_between


@compile_helper
def add_vessel(plan: Any, state: Any) -> None:
    """Add one turned body, hollow or solid, perhaps with handles, a spout, a lid, a foot."""
    r, h = log_between(state, 0.12, 0.8), log_between(state, 0.15, 1.0)
    y = r if chance(state, 0.8) else r * between(state, 0.4, 0.9)
    hollow = chance(state, 0.6 * rate(plan, HOLE))
    if chance(state, 0.75 * rate(plan, PROFILE)):
        style = draw_profile(plan, between(state, 0.02, 0.12) if hollow else 0.0)
        add_block(plan, style, 0.0, 0.0, h, r, y, h)
    else:
        style = CYLINDER
        if chance(state, 0.3):
            style = CONE_UP + below(state, 2)
        elif chance(state, 0.3 * rate(plan, PROFILE)):
            style = draw_outline(plan)
        row = add_block(plan, style, 0.0, 0.0, h, r, y, h)
        if hollow:
            wall = between(state, 0.8, 0.96)
            cut(plan, row, style, 0.0, 0.0, h + (1 - wall) * r, wall * r, wall * y, h)
    first = end_of(plan)
    if chance(state, 0.35 * rate(plan, TUBE)):
        grip = h * between(state, 0.2, 0.6)
        add_arch(plan, 1, pi * between(state, 0.5, 0.7), grip, grip * between(state, 0.08, 0.25), 0.9 * r, 0.0, h)
        if chance(state, 0.5 * rate(plan, MIRROR)):
            mirror(plan, first, 0, 0.0)
    if chance(state, 0.2):
        tip = r * between(state, 1.3, 2.0)
        add_rod(plan, choose_rod(plan, state), 0.15 * r, -0.7 * r, 0.0, h, -tip, 0.0, h * between(state, 1.2, 1.9))
    if chance(state, 0.25):
        add_block(plan, choose_plate(plan, state), 0.0, 0.0, 2 * h, 1.05 * r, 1.05 * y, 0.05 * h)
        add_block(plan, ELLIPSOID, 0.0, 0.0, 2.12 * h, 0.15 * r, 0.15 * r, 0.1 * h)
    if chance(state, 0.15):
        first = end_of(plan)
        add_rod(plan, choose_rod(plan, state), 0.1 * r, 0.6 * r, 0.0, 0.1 * h, r, 0.0, -0.4 * h)
        ring(plan, first, 3 + below(state, 3))


@compile_helper
def add_tower(plan: Any, state: Any) -> None:
    """Add round or square stages on top of each other: columns, lamps, bottles, chess men."""
    stages = 2 + below(state, 5)
    z, r = 0.0, between(state, 0.15, 0.45)
    square = chance(state, 0.25)
    for _ in range(stages):
        h = log_between(state, 0.02, 0.4)
        r = r * between(state, 0.6, 1.2) if chance(state, 0.6) else log_between(state, 0.02, 0.5)
        chosen = below(state, 6)
        style = CYLINDER
        if chosen == 0:
            style = CONE_UP + below(state, 2)
        elif chosen == 1:
            style, h = ELLIPSOID, max(h, 0.4 * r)
        elif chosen == 2 and rate(plan, PROFILE) > 0:
            style = draw_profile(plan, 0.0)
        elif square:
            style = 0
        if chance(state, 0.1 * rate(plan, TUBE)):
            add_arch(plan, 2, 4.0, r, min(h, 0.3 * r), 0.0, 0.0, z + min(h, 0.3 * r))
            z += 2 * min(h, 0.3 * r)
            continue
        add_block(plan, style, 0.0, 0.0, z + h, r, r, 1.02 * h)
        z += 2 * h


@compile_helper
def add_lamp(plan: Any, state: Any) -> None:
    """Add a foot, a thin stem, and a shade or a head, upright or on a bent arm."""
    foot, height = between(state, 0.12, 0.4), between(state, 0.4, 1.4)
    thin, shade = log_between(state, 0.01, 0.04), between(state, 0.12, 0.45)
    add_block(plan, choose_plate(plan, state), 0.0, 0.0, 0.03, foot, foot, 0.03)
    tall = shade * between(state, 0.3, 1.2)
    x = 0.0
    if chance(state, 0.4):
        x = between(state, 0.1, 0.6)
        middle = between(state, -0.3, 0.1)
        style = choose_rod(plan, state)
        add_rod(plan, style, thin, 0.0, 0.0, 0.0, middle, 0.0, 0.6 * height)
        add_rod(plan, style, thin, middle, 0.0, 0.6 * height, x, 0.0, height)
    else:
        add_rod(plan, choose_rod(plan, state), thin, 0.0, 0.0, 0.0, 0.0, 0.0, height)
    kind = below(state, 4)
    if kind == 0:
        add_block(plan, ELLIPSOID, x, 0.0, height, shade, shade, tall)
    elif kind == 1 and rate(plan, PROFILE) > 0:
        add_block(plan, draw_profile(plan, 0.0), x, 0.0, height, shade, shade, tall)
    else:
        style = CONE_UP if chance(state, 0.6) else CYLINDER
        row = add_block(plan, style, x, 0.0, height, shade, shade, tall)
        if chance(state, 0.8 * rate(plan, HOLE)):
            wall = 0.05 * tall  # A shade that is open at both ends has a hole that sticks out above too.
            length = tall if chance(state, 0.5) else tall + wall
            cut(plan, row, style, x, 0.0, height - wall, 0.95 * shade, 0.95 * shade, length)
