"""Heaps: blocks of random sizes that touch or overlap, with mirrored copies."""

from typing import Any

from data_prep.compiling import compile_helper
from data_prep.sources.universe.plan import (
    ATTACH_PART,
    MIRROR,
    REPEAT,
    THIN,
    TILT,
    TILT_PART,
    add_arch,
    add_block,
    add_step,
    choose_bulk,
    end_of,
    mirror_about,
    rate,
    repeat_along,
)
from data_prep.sources.universe.random_numbers import below, between, chance, log_between, uniform


@compile_helper
def add_heap(plan: Any, state: Any, most: int) -> None:
    """Add 1 to ``most`` blocks, and their copies."""
    base = end_of(plan)
    for number in range(1 + int(most * uniform(state) ** 1.3)):
        first = end_of(plan)
        _add_random_block(plan, state, 1.0 if number == 0 else log_between(state, 0.25, 1.0))
        if number == 0:
            continue
        add_step(plan, ATTACH_PART, first, base, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
        if chance(state, 0.15 * rate(plan, REPEAT)):
            repeat_along(plan, first, 2 + below(state, 5), below(state, 3), between(state, 1.05, 2.5))
        if chance(state, 0.6 * rate(plan, MIRROR)):
            which = below(state, 3)
            if which != 1:
                mirror_about(plan, first, 0, base)
            if which != 0:
                mirror_about(plan, first, 1, base)


@compile_helper
def _add_random_block(plan: Any, state: Any, size: float) -> None:
    """Add a block, thin or not, in any style, mostly along the axes."""
    a, b, c = log_between(state, 0.1, 0.7), log_between(state, 0.1, 0.7), log_between(state, 0.1, 0.7)
    thin = uniform(state)
    if thin < 0.25 * rate(plan, THIN):
        c = log_between(state, 0.008, 0.05)
        if thin < 0.08 * rate(plan, THIN):
            b = log_between(state, 0.008, 0.05)
        order = below(state, 3)
        if order == 1:
            a, b, c = c, a, b
        elif order == 2:
            a, b, c = b, c, a
    a, b, c = size * a, size * b, size * c
    if chance(state, 0.07):
        tube = min(a * between(state, 0.08, 0.5), 0.3)
        add_arch(plan, below(state, 3), 4.0, a, tube, 0.0, 0.0, 0.0)
    else:
        add_block(plan, choose_bulk(plan, state), 0.0, 0.0, 0.0, a, b, c)
    if chance(state, 0.15 * rate(plan, TILT)):
        add_step(plan, TILT_PART, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
