"""Outlines: polygons that are extruded or revolved."""

from math import pi, sqrt
from typing import Any

from data_prep.compiling import compile_helper
from data_prep.sources.universe.surfaces.scene import (
    BOUNDS,
    CORNER,
    CORNERS,
    EDGE_SUM,
    FIRST_OUTLINE,
    MOST_CORNERS,
    MOST_OUTLINES,
    OUTLINES_USED,
    REVOLVED,
)


@compile_helper
def begin_outline(scene: Any) -> int:
    """Add an outline without corners; return its row, which is that of the last outline if there is no room."""
    used = min(int(scene[0, OUTLINES_USED]), MOST_OUTLINES - 1)
    scene[0, OUTLINES_USED] = used + 1
    row = FIRST_OUTLINE + 2 * used
    scene[row, CORNERS] = 0.0
    return row


@compile_helper
def has_room_for_outline(scene: Any) -> bool:
    """Tell whether there is room for one more outline."""
    return scene[0, OUTLINES_USED] < MOST_OUTLINES


@compile_helper
def add_corner(scene: Any, row: int, x: float, y: float) -> None:
    """Add a corner to an outline; ignore it when there is no room."""
    corners = int(scene[row, CORNERS])
    if corners < MOST_CORNERS:
        scene[row, CORNER + 2 * corners] = x
        scene[row, CORNER + 2 * corners + 1] = y
        scene[row, CORNERS] = corners + 1


@compile_helper
def finish_outline(scene: Any, row: int, revolved: bool) -> None:
    """Turn an outline counter-clockwise, and compute the sums over its edges and its bounds."""
    n = int(scene[row, CORNERS])
    doubled = 0.0
    for i in range(n):
        j, k = CORNER + 2 * i, CORNER + 2 * ((i + 1) % n)
        doubled += scene[row, j] * scene[row, k + 1] - scene[row, k] * scene[row, j + 1]
    if doubled < 0:
        for i in range(n // 2):
            for axis in range(2):
                j, k = CORNER + 2 * i + axis, CORNER + 2 * (n - 1 - i) + axis
                scene[row, j], scene[row, k] = scene[row, k], scene[row, j]
    for axis in range(2):
        scene[row + 1, BOUNDS + axis] = 1e30
        scene[row + 1, BOUNDS + 2 + axis] = -1e30
    total = 0.0
    for i in range(n):
        j, k = CORNER + 2 * i, CORNER + 2 * ((i + 1) % n)
        dx, dy = scene[row, k] - scene[row, j], scene[row, k + 1] - scene[row, j + 1]
        length = sqrt(dx * dx + dy * dy)
        total += pi * (scene[row, j] + scene[row, k]) * length if revolved else length
        scene[row + 1, EDGE_SUM + i] = total
        for axis in range(2):
            scene[row + 1, BOUNDS + axis] = min(scene[row + 1, BOUNDS + axis], scene[row, j + axis])
            scene[row + 1, BOUNDS + 2 + axis] = max(scene[row + 1, BOUNDS + 2 + axis], scene[row, j + axis])
    scene[row + 1, REVOLVED] = 1.0 if revolved else 0.0


@compile_helper
def total_of(scene: Any, row: int) -> float:
    """Return the sum over all edges of an outline: its length, or the area of the surface of revolution."""
    return scene[row + 1, EDGE_SUM + int(scene[row, CORNERS]) - 1]


@compile_helper
def is_within(scene: Any, row: int, x: float, y: float) -> bool:
    """Tell whether a point is inside an outline, by the parity of crossings of a ray along +x."""
    b = row + 1
    if x <= scene[b, BOUNDS] or x >= scene[b, BOUNDS + 2] or y <= scene[b, BOUNDS + 1] or y >= scene[b, BOUNDS + 3]:
        return False
    n = int(scene[row, CORNERS])
    inside = False
    x0, y0 = scene[row, CORNER + 2 * n - 2], scene[row, CORNER + 2 * n - 1]
    for i in range(n):
        x1, y1 = scene[row, CORNER + 2 * i], scene[row, CORNER + 2 * i + 1]
        if (y0 > y) != (y1 > y) and x < x0 + (x1 - x0) * (y - y0) / (y1 - y0):
            inside = not inside
        x0, y0 = x1, y1
    return inside


@compile_helper
def edge_at(scene: Any, row: int, t: float) -> int:
    """Return the edge that holds the fraction t of the sum over all edges."""
    n = int(scene[row, CORNERS])
    t *= scene[row + 1, EDGE_SUM + n - 1]
    edge = 0
    while edge < n - 1 and t >= scene[row + 1, EDGE_SUM + edge]:
        edge += 1
    return edge
