"""Clouds and surfaces that readers can turn: packed into JSON here, drawn by ``assets/turn_shapes.js``."""

from base64 import b64encode
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from data_prep.basis import Basis
from data_prep.source import Shape
from data_prep.transforms.inverse import build_density_mesh, build_star_mesh, density_grid
from downstream.report.templating import render
from spectral_ssl.ground.errors import ObjectError, UserError

SIDE = 28  # cells of the density along each axis: about 3400 triangles a surface (mean of six built-in shapes)
MOST_TRIANGLES = 8_000  # surfaces with more are noise of little-trained networks, and shown at half the resolution
SUBDIVISIONS = 4
MOST_POINTS = 1024
LARGEST_INTEGER = 32767  # of 16 bits
REACH = 1.1  # shapes lie in the unit ball, surfaces slightly beyond


def rebuild_surfaces(maps: NDArray[Any], basis: Basis) -> list[Shape | None]:
    """Rebuild surfaces from maps (N, K, L+1, L+1) that are not standardised; None for a map that describes none."""
    if basis.kind == "radial":
        return [build_star_mesh(single, basis, SUBDIVISIONS) for single in maps]
    rebuilt: list[Shape | None] = []
    for grid in density_grid(
        maps, basis, SIDE
    ):  # one call for all maps, because evaluating the functions takes the longest
        try:
            mesh = build_density_mesh(grid)
            if mesh.faces is not None and len(mesh.faces) > MOST_TRIANGLES:
                half = SIDE // 2
                mesh = build_density_mesh(grid.reshape(half, 2, half, 2, half, 2).mean(axis=(1, 3, 5)))
            rebuilt.append(mesh)
        except (ObjectError, UserError):
            rebuilt.append(None)  # a corrupted map may describe no density at all
    return rebuilt


def render_canvas(shape: Shape | None, name: str, group: str) -> Markup:
    """Render a shape as a canvas that readers can turn.

    Parameters
    ----------
    shape : Shape or None
        Shape in the unit ball, +z up; None renders the note "no surface".
    name : str
        Caption, which screen readers read out.
    group : str
        Group of shapes that turn together.

    Returns
    -------
    Markup
    """
    if shape is None:
        return render("shape.html", name=name, size="no shape", group=group, packed=None)
    points = shape.points
    if shape.faces is None:
        points = points[:: max(1, -(-len(points) // MOST_POINTS))]
        return render(
            "shape.html", name=name, size=f"{len(points)} points", group=group, packed={"points": _pack(points)}
        )
    kind = np.uint16 if len(points) <= 2**16 else np.uint32
    faces = b64encode(np.ascontiguousarray(shape.faces, dtype=np.dtype(kind).newbyteorder("<")).tobytes()).decode()
    packed = {"points": _pack(points), "faces": faces, "bytes": np.dtype(kind).itemsize}
    return render("shape.html", name=name, size=f"{len(shape.faces)} triangles", group=group, packed=packed)


def _pack(points: NDArray[np.floating]) -> str:
    integers = np.round(np.clip(points / REACH, -1, 1) * LARGEST_INTEGER).astype("<i2")
    return b64encode(np.ascontiguousarray(integers).tobytes()).decode()
