"""The table that holds the parts and outlines of a shape.

A scene is one float64 array (``ROWS``, ``WIDTH``). Row 0 is its head. Each part is one row. Each
outline, a polygon that several parts can share, is two rows. A point of a part's own frame moves to
the shape's frame by x -> rotation (scale * x) + position.

A part is a solid or a hole. Holes follow the solid that they cut, and cut no other.
"""

from typing import Any

import numpy as np

from data_prep.compiling import compile_helper

MOST_PARTS = 160
MOST_OUTLINES = 16
MOST_CORNERS = 16

# Columns of the head.
COUNT = 0
OUTLINES_USED = 1

# Rows.
FIRST_PART = 1
SPARE = FIRST_PART + MOST_PARTS  # Parts that find no room are written here, and ignored.
FIRST_OUTLINE = SPARE + 1
ROWS = FIRST_OUTLINE + 2 * MOST_OUTLINES

# Columns of a part.
KIND = 0
HOLES = 1  # number of holes that follow
OWNER = 2  # of a hole: the row of its solid; of a solid: -1
SIZES = 3  # five numbers; their meaning depends on the kind
OUTLINE = 8  # row of the outline
SCALE = 9  # three factors along the part's own axes
ROTATION = 12  # nine numbers of an orthogonal matrix, row by row
POSITION = 21
WEIGHT = 24  # area times ``STRETCH``
STRETCH = 25  # the largest factor by which the scale stretches areas
LOW = 26  # box around the part in the shape's frame
HIGH = 29
INVERSE = 32  # of the three factors of the scale
WIDTH = 35

# Columns of an outline: corners x, y in the first row; in the second, sums that sampling needs.
CORNERS = 0
CORNER = 1
EDGE_SUM = 1  # total of the first 1, 2, ... edges, by length or by the area of the revolved edge
BOUNDS = 18  # lowest x and y, highest x and y
REVOLVED = 22  # 1 if the outline is revolved about y


def new_scene() -> np.ndarray:
    """Return an empty scene."""
    return np.zeros((ROWS, WIDTH))


@compile_helper
def end_of(scene: Any) -> int:
    """Return the row after the last part."""
    return FIRST_PART + int(scene[0, COUNT])


@compile_helper
def add_row(scene: Any, kind: int, a: float, b: float, c: float, x: float, y: float, z: float) -> int:
    """Add a solid with three sizes at a position, not turned; return its row.

    ``data_prep.sources.universe.surfaces.parts.finish`` must follow when its columns are complete.
    """
    row = end_of(scene)
    if row >= SPARE:
        row = SPARE
    else:
        scene[0, COUNT] += 1
    for column in range(WIDTH):
        scene[row, column] = 0.0
    scene[row, KIND] = kind
    scene[row, OWNER] = -1
    scene[row, SIZES], scene[row, SIZES + 1], scene[row, SIZES + 2] = a, b, c
    scene[row, POSITION], scene[row, POSITION + 1], scene[row, POSITION + 2] = x, y, z
    for axis in range(3):
        scene[row, SCALE + axis] = 1.0
        scene[row, ROTATION + 4 * axis] = 1.0
    return row


@compile_helper
def make_hole(scene: Any, owner: int) -> None:
    """Turn the last part into a hole of a solid, whose last hole or itself it must follow."""
    last = end_of(scene) - 1
    if owner == SPARE or last != owner + int(scene[owner, HOLES]) + 1:
        scene[0, COUNT] -= 1  # There was no room for the hole or for its solid.
        return
    scene[last, OWNER] = owner
    scene[owner, HOLES] += 1


@compile_helper
def bound(scene: Any, first: int, end: int, box: Any) -> None:
    """Write the box around the parts from ``first`` to before ``end`` to an array (6,): lows, then highs."""
    for axis in range(3):
        box[axis], box[3 + axis] = 1e30, -1e30
    for row in range(first, end):
        if scene[row, OWNER] < 0:
            for axis in range(3):
                box[axis] = min(box[axis], scene[row, LOW + axis])
                box[3 + axis] = max(box[3 + axis], scene[row, HIGH + axis])
