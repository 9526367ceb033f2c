"""The composition of a shape: which parts it has, and where they stand."""

from typing import Any

import numpy as np

from data_prep.compiling import compile_kernel
from data_prep.sources.universe.parts import (
    BOX,
    FRUSTUM,
    HIGH,
    KIND,
    LOW,
    POSITION,
    ROTATION,
    SCALE,
    SIZES,
    SPHERE,
    TORUS,
    WIDTH,
    finish,
)
from data_prep.sources.universe.random_numbers import below, between, log_between, normal, uniform

MOST_PARTS = 64


@compile_kernel
def _choose_kind(state: Any) -> int:
    chosen = uniform(state) * 11
    if chosen < 5:
        return BOX
    if chosen < 9:
        return FRUSTUM
    return SPHERE if chosen < 10 else TORUS


@compile_kernel
def _set_rotation(part: Any, state: Any, aligned: float) -> None:
    """Turn a part's axes to a random permutation of the shape's axes, or, less often, any way."""
    part[ROTATION : ROTATION + 9] = 0.0
    if uniform(state) < aligned:
        order = 0 if uniform(state) < 0.5 else below(state, 3)
        for i in range(3):
            part[ROTATION + 3 * i + (i - order) % 3] = 1.0
        return
    q = np.empty(4)
    for i in range(4):
        q[i] = normal(state)
    w, x, y, z = q / np.sqrt((q * q).sum() + 1e-30)
    m = part[ROTATION : ROTATION + 9]
    m[0], m[1], m[2] = 1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)
    m[3], m[4], m[5] = 2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)
    m[6], m[7], m[8] = 2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)


@compile_kernel
def _draw_part(part: Any, state: Any, size: float, thin: float) -> None:
    """Draw the kind, the sizes and the rotation of a part."""
    kind = _choose_kind(state)
    part[:] = 0.0
    part[KIND] = kind
    a, b = size * log_between(state, 0.08, 1.0), size * log_between(state, 0.08, 1.0)
    c = size * log_between(state, 0.08, 1.0)
    if uniform(state) < thin:
        c = log_between(state, 0.01, 0.05) * size
    part[SCALE : SCALE + 3] = 1.0
    if kind == BOX:
        part[SIZES], part[SIZES + 1], part[SIZES + 2] = a, b, c
    elif kind == FRUSTUM:
        part[SIZES], part[SIZES + 1], part[SIZES + 2] = a, a, c
        if uniform(state) < 0.3:
            part[SIZES + 1] = a * uniform(state)
        if uniform(state) < 0.3:
            part[SCALE + 1] = between(state, 0.3, 1.0)
    elif kind == SPHERE:
        part[SIZES] = 1.0
        part[SCALE], part[SCALE + 1], part[SCALE + 2] = a, a, a
        if uniform(state) < 0.6:
            part[SCALE + 1], part[SCALE + 2] = b, max(c, 0.05 * size)
    else:
        part[SIZES], part[SIZES + 1] = a, a * between(state, 0.05, 0.5)
    _set_rotation(part, state, 0.8)
    finish(part)


@compile_kernel
def _attach(part: Any, other: Any, state: Any) -> None:
    """Move a part so that it touches a side of another part, and sinks in a little."""
    side = below(state, 6)
    for axis in range(3):
        half = (part[HIGH + axis] - part[LOW + axis]) / 2
        low, high = other[LOW + axis], other[HIGH + axis]
        if axis == side // 2:
            sink = 0.02 * min(half, (high - low) / 2)
            part[POSITION + axis] = high + half - sink if side % 2 == 0 else low - half + sink
        elif uniform(state) < 0.4:
            part[POSITION + axis] = (low + high) / 2
        elif uniform(state) < 0.5:
            flush = high - half if uniform(state) < 0.5 else low + half
            part[POSITION + axis] = flush
        else:
            part[POSITION + axis] = between(state, low, high)
    finish(part)


@compile_kernel
def _mirror(parts: Any, first: int, count: int, axis: int) -> int:
    """Add copies of the parts from ``first`` on, mirrored about the plane through the first part's centre."""
    plane = parts[0, POSITION + axis]
    end = count
    for i in range(max(first, 1), count):
        if end == parts.shape[0] or abs(parts[i, POSITION + axis] - plane) < 1e-9:
            continue
        parts[end] = parts[i]
        parts[end, ROTATION + 3 * axis : ROTATION + 3 * axis + 3] *= -1.0
        parts[end, POSITION + axis] = 2 * plane - parts[i, POSITION + axis]
        finish(parts[end])
        end += 1
    return end


@compile_kernel
def compose(parts: Any, switches: Any, state: Any) -> int:
    """Draw the parts of a shape; return their number."""
    goal = 1 + int(12 * uniform(state) ** 1.5)
    parts[0, :WIDTH] = 0.0
    _draw_part(parts[0], state, 1.0, 0.3 * switches[0])
    count = 1
    while count < goal:
        first = count
        _draw_part(parts[count], state, log_between(state, 0.3, 1.0), 0.3 * switches[0])
        _attach(parts[count], parts[below(state, count)], state)
        count += 1
        if uniform(state) < 0.6 * switches[1]:
            which = below(state, 3)
            if which != 1:
                count = _mirror(parts, first, count, 0)
            if which != 0:
                count = _mirror(parts, first, count, 1)
    return count
