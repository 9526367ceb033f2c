"""Copies and motions of parts: shift, resize, turn, mirror, rows and rings."""

from math import cos, pi, sin
from typing import Any

from data_prep.compiling import compile_helper
from data_prep.sources.universe.surfaces.parts import finish
from data_prep.sources.universe.surfaces.scene import (
    COUNT,
    OWNER,
    POSITION,
    ROTATION,
    SCALE,
    SPARE,
    WIDTH,
    end_of,
)


@compile_helper
def shift(scene: Any, first: int, end: int, x: float, y: float, z: float) -> None:
    """Move the parts from ``first`` to before ``end``."""
    for row in range(first, end):
        scene[row, POSITION] += x
        scene[row, POSITION + 1] += y
        scene[row, POSITION + 2] += z
        finish(scene, row)


@compile_helper
def resize(scene: Any, first: int, end: int, factor: float) -> None:
    """Scale parts about the origin."""
    for row in range(first, end):
        for axis in range(3):
            scene[row, POSITION + axis] *= factor
            scene[row, SCALE + axis] *= factor
        finish(scene, row)


@compile_helper
def turn(scene: Any, first: int, end: int, axis: int, angle: float) -> None:
    """Turn parts by an angle about an axis (0, 1, 2) through the origin."""
    c, s = cos(angle), sin(angle)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    for row in range(first, end):
        p, q = scene[row, POSITION + i], scene[row, POSITION + j]
        scene[row, POSITION + i], scene[row, POSITION + j] = c * p - s * q, s * p + c * q
        for column in range(3):
            p, q = scene[row, ROTATION + 3 * i + column], scene[row, ROTATION + 3 * j + column]
            scene[row, ROTATION + 3 * i + column] = c * p - s * q
            scene[row, ROTATION + 3 * j + column] = s * p + c * q
        finish(scene, row)


@compile_helper
def copy(scene: Any, first: int, end: int) -> int:
    """Copy parts to the end; return the row of the first copy, which is the end if there is no room."""
    start = end_of(scene)
    if start + end - first > SPARE:
        return start
    for row in range(first, end):
        for column in range(WIDTH):
            scene[start + row - first, column] = scene[row, column]
        if scene[row, OWNER] >= 0:
            scene[start + row - first, OWNER] += start - first
    scene[0, COUNT] += end - first
    return start


@compile_helper
def mirror(scene: Any, first: int, axis: int, plane: float) -> None:
    """Add mirrored copies of all parts from ``first`` on, about a plane across an axis."""
    start = copy(scene, first, end_of(scene))
    for row in range(start, end_of(scene)):
        scene[row, POSITION + axis] = 2 * plane - scene[row, POSITION + axis]
        for column in range(3):
            scene[row, ROTATION + 3 * axis + column] *= -1.0
        finish(scene, row)


@compile_helper
def repeat(scene: Any, first: int, number: int, x: float, y: float, z: float) -> None:
    """Add copies of all parts from ``first`` on, each moved by one more step; ``number`` counts all."""
    end = end_of(scene)
    for k in range(1, number):
        start = copy(scene, first, end)
        shift(scene, start, end_of(scene), k * x, k * y, k * z)


@compile_helper
def ring(scene: Any, first: int, number: int) -> None:
    """Add copies of all parts from ``first`` on, turned about the z axis; ``number`` counts all."""
    end = end_of(scene)
    for k in range(1, number):
        start = copy(scene, first, end)
        turn(scene, start, end_of(scene), 2, 2 * pi * k / number)
