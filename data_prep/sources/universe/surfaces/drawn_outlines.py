"""Random outlines: profiles of turned things, polygons, stars, letters, bent strips."""

from math import cos, pi, sin
from typing import Any

from data_prep.compiling import compile_helper
from data_prep.sources.universe.random_numbers import below, between, chance, uniform
from data_prep.sources.universe.surfaces.outlines import (
    add_corner,
    begin_outline,
    finish_outline,
    has_room_for_outline,
)
from data_prep.sources.universe.surfaces.scene import BOUNDS, CORNER, CORNERS


@compile_helper
def add_regular(scene: Any, row: int, corners: int, outer: float, inner: float) -> None:
    """Add the corners of a regular polygon, or of a star if the two radii differ."""
    for i in range(corners):
        angle = 2 * pi * (i + 0.5) / corners
        radius = outer if i % 2 == 0 else inner
        add_corner(scene, row, radius * cos(angle), radius * sin(angle))


@compile_helper
def add_arc(scene: Any, row: int, x: float, y: float, radius: float, low: float, high: float, pieces: int) -> None:
    """Add the corners of an arc about (x, y) between two angles."""
    for i in range(pieces + 1):
        angle = low + (high - low) * i / pieces
        add_corner(scene, row, x + radius * cos(angle), y + radius * sin(angle))


@compile_helper
def add_random_profile(scene: Any, row: int, state: Any, corners: int, wall: float) -> None:
    """Add the corners of a random profile for revolving, from height 0 to 1 and up to radius 1.

    With a wall thickness above 0 the profile is that of an open vessel; with 0 it is solid.
    """
    radius = 0.25 + 0.75 * uniform(state)
    wave, phase, depth = 1 + 4 * uniform(state), 2 * pi * uniform(state), 0.6 * uniform(state)
    straight = uniform(state) < 0.3
    last = corners - 1
    if wall == 0.0:
        add_corner(scene, row, 0.0, 0.0)
    for i in range(corners):
        height = i / last
        if not straight:
            radius = 1.0 - depth + depth * sin(wave * height + phase)
            if uniform(state) < 0.3:  # a step or an edge
                radius *= 0.5 + 0.5 * uniform(state)
        elif i > 0 and uniform(state) < 0.5:
            radius = 0.15 + 0.85 * uniform(state)
        add_corner(scene, row, max(radius, 0.06), height)
    if wall == 0.0:
        add_corner(scene, row, 0.0, 1.0)
        return
    top = int(scene[row, CORNERS]) - 1
    for i in range(corners):
        j = CORNER + 2 * (top - i)
        add_corner(scene, row, max(scene[row, j] - wall, 0.0), max(scene[row, j + 1], wall))
    add_corner(scene, row, 0.0, wall)
    add_corner(scene, row, 0.0, 0.0)


@compile_helper
def draw_profile(scene: Any, state: Any, wall: float) -> None:
    """Draw an outline to revolve, an open vessel if the wall has a thickness."""
    if not has_room_for_outline(scene):
        return
    row = begin_outline(scene)
    add_random_profile(scene, row, state, 3 + below(state, 5), wall)
    n = int(scene[row, CORNERS])
    widest = 0.0
    for i in range(n):
        widest = max(widest, scene[row, CORNER + 2 * i])
    for i in range(n):
        scene[row, CORNER + 2 * i] /= widest
    finish_outline(scene, row, True)


@compile_helper
def draw_outline(scene: Any, state: Any) -> None:
    """Draw an outline to extrude, from -1 to 1 in x and y."""
    if not has_room_for_outline(scene):
        return
    row = begin_outline(scene)
    kind = below(state, 8)
    t, s = between(state, 0.15, 0.9), between(state, 0.1, 0.9)
    if kind == 0:
        n = 3 + below(state, 6)
        add_regular(scene, row, n, 1.0, 1.0)
    elif kind == 1:
        add_regular(scene, row, 6 + 2 * below(state, 6), 1.0, between(state, 0.4, 0.85))
    elif kind == 2:  # trapezoid or parallelogram
        add_corner(scene, row, -1.0, -1.0)
        add_corner(scene, row, 1.0, -1.0)
        add_corner(scene, row, t, 1.0)
        add_corner(scene, row, -t if chance(state, 0.6) else -1.0 + t, 1.0)
    elif kind == 3:  # a segment of a disc
        add_arc(scene, row, 0.0, 0.0, 1.0, 0.0, pi * between(state, 0.4, 1.2), 12)
    elif kind == 4:  # a bent strip
        opening = pi * between(state, 0.3, 0.9)
        add_arc(scene, row, 0.0, 0.0, 1.0, -opening, opening, 7)
        add_arc(scene, row, 0.0, 0.0, 1.0 - 0.6 * t, opening, -opening, 7)
    else:
        _add_letter(scene, row, kind - 5, t, s)
    finish_outline(scene, row, False)
    for axis in range(2):
        low, high = scene[row + 1, BOUNDS + axis], scene[row + 1, BOUNDS + 2 + axis]
        for i in range(int(scene[row, CORNERS])):
            k = CORNER + 2 * i + axis
            scene[row, k] = 2 * (scene[row, k] - low) / (high - low) - 1
    finish_outline(scene, row, False)


@compile_helper
def _add_letter(scene: Any, row: int, kind: int, t: float, s: float) -> None:
    """Add the corners of an L, a T or a U with walls of thickness t and s."""
    add_corner(scene, row, -1.0, -1.0)
    if kind == 0:
        add_corner(scene, row, 1.0, -1.0)
        add_corner(scene, row, 1.0, -1 + t)
        add_corner(scene, row, -1 + s, -1 + t)
        add_corner(scene, row, -1 + s, 1.0)
        add_corner(scene, row, -1.0, 1.0)
        return
    add_corner(scene, row, 1.0, -1.0)
    if kind == 1:
        add_corner(scene, row, 1.0, -1 + t)
        add_corner(scene, row, s / 2, -1 + t)
        add_corner(scene, row, s / 2, 1.0)
        add_corner(scene, row, -s / 2, 1.0)
        add_corner(scene, row, -s / 2, -1 + t)
        add_corner(scene, row, -1.0, -1 + t)
        return
    add_corner(scene, row, 1.0, 1.0)
    add_corner(scene, row, 1 - s, 1.0)
    add_corner(scene, row, 1 - s, -1 + t)
    add_corner(scene, row, -1 + s, -1 + t)
    add_corner(scene, row, -1 + s, 1.0)
    add_corner(scene, row, -1.0, 1.0)
