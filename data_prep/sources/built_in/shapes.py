"""Built-in solids and furniture: 12 parametric classes, computed so that everything runs without a download.

Each object depends only on its id. The id seeds a generator, which draws proportions, a rotation
about the vertical, a slight tilt, a gentle warp of the object and a little roughness of the
surface.
"""

from collections.abc import Callable
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.source import Item, Shape, Source, Split

Mesh = Any  # A trimesh.Trimesh. The library is imported when the first object is made.

WHERE = "nothing to get: the shapes are computed"
HELP = """shapes: 12 classes of built-in solids and furniture, 40 train and 20 test objects each.

Where from: computed (no --root, no download, no terms). +z is up.
The shapes are for first trials and tests: a number measured on them shows that the programs work, and no more.
"""
VERSION = "shapes 1"  # Raise this with any change of the recipes below.
COUNTS: dict[Split, int] = {"train": 40, "test": 20}
SECTIONS = 24  # Corners of round objects.

# Strength of the disturbances, relative to the object's size.
TURN = np.radians(30.0)  # Largest rotation about the vertical, either way. Real data sets are only roughly aligned too.
TILT = np.radians(8.0)
WARP = 0.06
ROUGHNESS = 0.008


def open_source(root: Path) -> Source:
    """List the built-in shapes; ``root`` is ignored.

    Returns
    -------
    Source
        720 meshes, 60 of each class.
    """
    items = [
        Item(identity, label, split, partial(make_shape, identity))
        for split, count in COUNTS.items()
        for label, class_name in enumerate(RECIPES)
        for identity in (f"{class_name}/{split}-{number:03d}" for number in range(count))
    ]
    return Source(
        name="shapes",
        kind="shapes",
        classes=tuple(RECIPES),
        items=tuple(items),
        up="+z",
        digest=sha256(f"{VERSION} {COUNTS}".encode()).hexdigest(),
        note=f"{len(items)} built-in objects in {len(RECIPES)} classes",
    )


def make_shape(identity: str) -> Shape:
    """Make the object of an id such as ``chair/train-007``; the same id always gives the same mesh."""
    class_name = identity.split("/")[0]
    words = np.frombuffer(sha256(f"{VERSION} {identity}".encode()).digest(), np.uint32)
    generator = np.random.default_rng(words)
    mesh = RECIPES[class_name](generator)
    size = float(np.ptp(mesh.vertices, axis=0).max())
    # The faces become so small that the warp bends flat faces too.
    vertices, faces = _subdivide(np.asarray(mesh.vertices), np.asarray(mesh.faces), size / 8)
    return Shape(_disturb(vertices / size, generator), faces)


def _subdivide(
    vertices: NDArray[np.float64], faces: NDArray[np.int64], longest: float
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    finer, triangles = _trimesh().remesh.subdivide_to_size(vertices, faces, longest)
    # Each position occurs once per adjacent face. Merging keeps the roughness from tearing the
    # surface.
    positions, index = np.unique(np.round(finer, 9), axis=0, return_inverse=True)
    return positions, index.ravel()[triangles].astype(np.int64)


def _disturb(points: NDArray[np.float64], generator: np.random.Generator) -> NDArray[np.float64]:
    """Warp, roughen, tilt and turn points (N, 3) of an object of size 1."""
    for _ in range(3):
        wave, direction = generator.normal(size=(2, 3))
        phase = generator.uniform(0, 2 * np.pi)
        # The wave length is about the object's size, so that the object is bent or twisted and
        # stays recognisable.
        points = points + WARP / 3 * np.sin(2.5 * points @ wave + phase)[:, None] * direction
    points = points + ROUGHNESS * generator.normal(size=points.shape)
    tilt, turn = generator.normal(0, TILT), generator.uniform(-TURN, TURN)
    toward = generator.uniform(0, 2 * np.pi)
    rotation = _about_z(turn) @ _about_z(toward) @ _about_x(tilt) @ _about_z(-toward)
    return np.asarray(points @ rotation.T)


def _about_z(angle: float) -> NDArray[np.float64]:
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])


def _about_x(angle: float) -> NDArray[np.float64]:
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])


def _trimesh() -> Any:
    import trimesh  # The import takes 0.6 s.

    return trimesh


# Parts: a block of given size, a rod, a revolved profile. Positions are those of the centre of the
# bottom.


def _block(width: float, depth: float, height: float, x: float = 0, y: float = 0, z: float = 0) -> Mesh:
    block = _trimesh().creation.box((width, depth, height))
    block.apply_translation((x, y, z + height / 2))
    return block


def _rod(radius: float, height: float, x: float = 0, y: float = 0, z: float = 0) -> Mesh:
    rod = _trimesh().creation.cylinder(radius, height, sections=SECTIONS)
    rod.apply_translation((x, y, z + height / 2))
    return rod


def _revolve(*profile: tuple[float, float]) -> Mesh:
    """Make the surface of revolution of (radius, height) points about the vertical."""
    return _trimesh().creation.revolve(np.array(profile), sections=SECTIONS)


def _merge(*parts: Mesh) -> Mesh:
    return _trimesh().util.concatenate(list(parts))


# One recipe per class.


def _box(draw: np.random.Generator) -> Mesh:
    width, depth, height = draw.uniform(0.5, 1.3, 3)
    return _block(width, depth, height)


def _ellipsoid(draw: np.random.Generator) -> Mesh:
    ball = _trimesh().creation.icosphere(subdivisions=3)
    ball.apply_scale(draw.uniform(0.5, 1.2, 3))
    return ball


def _cylinder(draw: np.random.Generator) -> Mesh:
    return _rod(draw.uniform(0.3, 0.6), draw.uniform(0.6, 1.6))


def _cone(draw: np.random.Generator) -> Mesh:
    radius, height, top = draw.uniform(0.35, 0.65), draw.uniform(0.7, 1.6), draw.uniform(0, 0.4)
    return _revolve((0, 0), (radius, 0), (radius * top, height), (0, height))


def _torus(draw: np.random.Generator) -> Mesh:
    return _trimesh().creation.torus(1.0, draw.uniform(0.15, 0.45), major_sections=32, minor_sections=16)


def _capsule(draw: np.random.Generator) -> Mesh:
    capsule = _trimesh().creation.capsule(draw.uniform(0.3, 1.2), draw.uniform(0.3, 0.55), count=(24, 24))
    if draw.random() < 0.5:  # Half of the capsules lie.
        capsule.apply_transform(_trimesh().transformations.rotation_matrix(np.pi / 2, (1, 0, 0)))
    return capsule


def _four_legs(width: float, depth: float, height: float, thickness: float) -> list[Mesh]:
    x, y = (width - thickness) / 2, (depth - thickness) / 2
    return [_block(thickness, thickness, height, side * x, end * y) for side in (-1, 1) for end in (-1, 1)]


def _table(draw: np.random.Generator) -> Mesh:
    width, depth, height = draw.uniform(0.8, 1.6), draw.uniform(0.6, 1.0), draw.uniform(0.5, 0.9)
    top = draw.uniform(0.05, 0.12)
    if draw.random() < 0.3:  # These tables have a round top and one foot in the middle.
        radius = (width + depth) / 4
        return _merge(_rod(radius, top, z=height), _rod(0.08, height), _rod(radius * draw.uniform(0.4, 0.7), 0.05))
    return _merge(_block(width, depth, top, z=height), *_four_legs(width, depth, height, draw.uniform(0.06, 0.14)))


def _chair(draw: np.random.Generator) -> Mesh:
    width, depth, seat = draw.uniform(0.5, 0.8), draw.uniform(0.5, 0.8), draw.uniform(0.4, 0.65)
    back, thickness = draw.uniform(0.45, 0.9), draw.uniform(0.05, 0.12)
    parts = [
        _block(width, depth, thickness, z=seat),
        _block(width, thickness, back, y=(depth - thickness) / 2, z=seat + thickness),
        *_four_legs(width, depth, seat, draw.uniform(0.05, 0.1)),
    ]
    if draw.random() < 0.4:  # These chairs have arms.
        parts += [
            _block(0.06, depth * 0.9, 0.06, side * (width / 2 - 0.03), z=seat + draw.uniform(0.2, 0.3))
            for side in (-1, 1)
        ]
    return _merge(*parts)


def _mug(draw: np.random.Generator) -> Mesh:
    radius, height = draw.uniform(0.35, 0.5), draw.uniform(0.7, 1.1)
    inner, flare = radius * 0.88, draw.uniform(0.9, 1.15)
    cup = _revolve((0, 0), (radius, 0), (radius * flare, height), (inner * flare, height), (inner, 0.08), (0, 0.08))
    handle = _trimesh().creation.torus(height * draw.uniform(0.22, 0.32), 0.06, major_sections=20, minor_sections=8)
    handle.apply_transform(_trimesh().transformations.rotation_matrix(np.pi / 2, (1, 0, 0)))
    handle.apply_translation((radius * (1 + flare) / 2 + 0.08, 0, height / 2))
    return _merge(cup, handle)


def _lamp(draw: np.random.Generator) -> Mesh:
    height, foot, shade = draw.uniform(0.8, 1.3), draw.uniform(0.2, 0.4), draw.uniform(0.25, 0.5)
    tall, top = draw.uniform(0.25, 0.5), draw.uniform(0.4, 0.9)
    cover = _revolve((shade, height), (shade * top, height + tall))
    return _merge(_rod(foot, 0.06), _rod(draw.uniform(0.03, 0.06), height + tall), cover)


def _bottle(draw: np.random.Generator) -> Mesh:
    radius, height = draw.uniform(0.22, 0.4), draw.uniform(0.6, 0.95)
    neck, shoulder, rise = radius * draw.uniform(0.25, 0.5), draw.uniform(0.1, 0.35), draw.uniform(0.15, 0.4)
    top = height + shoulder + rise
    return _revolve((0, 0), (radius, 0), (radius, height), (neck, height + shoulder), (neck, top), (0, top))


def _stairs(draw: np.random.Generator) -> Mesh:
    steps = int(draw.integers(3, 7))
    width, run, rise = draw.uniform(0.5, 1.0), draw.uniform(0.9, 1.5) / steps, draw.uniform(0.6, 1.1) / steps
    return _merge(*(_block(width, run, rise * (step + 1), y=run * step) for step in range(steps)))


RECIPES: dict[str, Callable[[np.random.Generator], Mesh]] = {
    "bottle": _bottle,
    "box": _box,
    "capsule": _capsule,
    "chair": _chair,
    "cone": _cone,
    "cylinder": _cylinder,
    "ellipsoid": _ellipsoid,
    "lamp": _lamp,
    "mug": _mug,
    "stairs": _stairs,
    "table": _table,
    "torus": _torus,
}
