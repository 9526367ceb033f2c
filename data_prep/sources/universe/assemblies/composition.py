"""The composition of a shape: one assembly or several, on, in front of or around each other."""

from math import pi
from typing import Any

from data_prep.compiling import compile_helper, compile_inline
from data_prep.sources.universe.assemblies.bodies import add_plane, add_tool, add_vehicle
from data_prep.sources.universe.assemblies.furniture import add_case, add_stand, add_steps
from data_prep.sources.universe.assemblies.heap import add_heap
from data_prep.sources.universe.assemblies.machines import add_bracket, add_grid, add_panel, add_pipe, add_profile
from data_prep.sources.universe.assemblies.rods import add_lattice, add_plant, add_spring, add_star, add_tubes
from data_prep.sources.universe.assemblies.turned import add_lamp, add_tower, add_vessel
from data_prep.sources.universe.builder import build
from data_prep.sources.universe.plan import ASSEMBLIES, MIRROR, OUTLINES, REPEAT, TILT, TUBE, rate
from data_prep.sources.universe.random_numbers import below, between, chance, log_between, uniform
from data_prep.sources.universe.surfaces.moves import mirror, repeat, resize, ring, shift, turn
from data_prep.sources.universe.surfaces.scene import COUNT as PARTS
from data_prep.sources.universe.surfaces.scene import FIRST_PART, OUTLINES_USED, bound, end_of


@compile_inline
def _add_assembly(plan: Any, state: Any) -> None:
    """Add one assembly of any kind."""
    chosen = uniform(state)
    if chosen < 0.18:
        add_stand(plan, state)
    elif chosen < 0.28:
        add_case(plan, state)
    elif chosen < 0.30:
        add_steps(plan, state)
    elif chosen < 0.38:
        add_vessel(plan, state)
    elif chosen < 0.43:
        add_tower(plan, state)
    elif chosen < 0.47:
        add_lamp(plan, state)
    elif chosen < 0.54:
        add_vehicle(plan, state)
    elif chosen < 0.57:
        add_plane(plan, state)
    elif chosen < 0.60:
        add_tool(plan, state)
    elif chosen < 0.64:
        add_plant(plan, state)
    elif chosen < 0.69 and rate(plan, TUBE) > 0:
        add_tubes(plan, state)
    elif chosen < 0.70 and rate(plan, TUBE) > 0:
        add_spring(plan, state)
    elif chosen < 0.75 and rate(plan, TUBE) > 0:
        add_lattice(plan, state)
    elif chosen < 0.80:
        add_star(plan, state)
    elif chosen < 0.84:
        add_bracket(plan, state)
    elif chosen < 0.88:
        add_profile(plan, state)
    elif chosen < 0.91:
        add_pipe(plan, state)
    elif chosen < 0.96:
        add_panel(plan, state)
    else:
        add_grid(plan, state)


@compile_inline
def _add_any(plan: Any, state: Any, most: int) -> None:
    """Add an assembly or a heap; a heap if assemblies are off."""
    if chance(state, 0.7 * rate(plan, ASSEMBLIES)):
        _add_assembly(plan, state)
    else:
        add_heap(plan, state, most)


@compile_helper
def _place_second(plan: Any, scene: Any, state: Any, first: int, box: Any) -> None:
    """Move the second assembly, made smaller, onto the first, to its sides, or around it."""
    bound(scene, FIRST_PART, first, box)
    x, y, z = (box[0] + box[3]) / 2, (box[1] + box[4]) / 2, box[5]
    a, b = (box[3] - box[0]) / 2, (box[4] - box[1]) / 2
    low, tall = box[2], box[5] - box[2]
    bound(scene, first, end_of(scene), box)
    size = max(box[3] - box[0], max(box[4] - box[1], box[5] - box[2]))
    shift(scene, first, end_of(scene), -(box[0] + box[3]) / 2, -(box[1] + box[4]) / 2, -box[2])
    factor = log_between(state, 0.25, 1.0) * max(a, max(b, tall / 2)) * 1.4 / size
    resize(scene, first, end_of(scene), factor)
    half, kind = factor * (box[3] - box[0]) / 2, below(state, 4)
    if kind <= 1:  # on top
        dx, dy = between(state, -0.8, 0.8) * a, between(state, -0.8, 0.8) * b
        if chance(state, 0.5):
            dx = dy = 0.0
        shift(scene, first, end_of(scene), x + dx, y + dy, z - 0.01 * size * factor)
        if dx != 0.0 and chance(state, 0.4 * rate(plan, MIRROR)):
            mirror(scene, first, 0, x)
    elif kind == 2:  # at both sides
        level = low if chance(state, 0.5) else low + tall * uniform(state)
        shift(scene, first, end_of(scene), x + a + 0.95 * half, y, level)
        if chance(state, 0.8 * rate(plan, MIRROR)):
            mirror(scene, first, 0, x)
    else:  # around
        shift(scene, first, end_of(scene), a + half, 0.0, low)
        if chance(state, rate(plan, REPEAT)):
            ring(scene, first, 2 + below(state, 5))
        shift(scene, first, end_of(scene), x, y, 0.0)


@compile_inline
def compose(plan: Any, scene: Any, state: Any, box: Any) -> None:
    """Draw the parts of a shape; the plan must be empty, and ``box`` (6,) is room for work."""
    scene[0, PARTS] = scene[0, OUTLINES_USED] = plan[0, OUTLINES] = 0.0
    number = 2 if chance(state, 0.25 * rate(plan, ASSEMBLIES)) else 1
    for k in range(number):
        first = end_of(scene)
        _add_any(plan, state, 12 if k == 0 else 4)
        build(plan, scene, state)
        if k == 1 and end_of(scene) > first:
            _place_second(plan, scene, state, first, box)
    if chance(state, 0.06 * rate(plan, REPEAT)):
        bound(scene, FIRST_PART, end_of(scene), box)
        step = (box[3] - box[0]) * between(state, 0.9, 1.3)
        repeat(scene, FIRST_PART, 2 + below(state, 2), step, 0.0, 0.0)
    end = end_of(scene)
    if chance(state, 0.12):  # A few shapes lie on a side.
        turn(scene, FIRST_PART, end, below(state, 2), pi / 2 if chance(state, 0.5) else -pi / 2)
    turn(scene, FIRST_PART, end, 2, pi / 2 * below(state, 4))
    if chance(state, 0.06 * rate(plan, TILT)):
        turn(scene, FIRST_PART, end, below(state, 2), between(state, -0.5, 0.5))
