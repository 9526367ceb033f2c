"""Clouds and surfaces that the reader of the page can turn: packed into JSON, drawn by ``assets/turn_shapes.js``."""

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

SIDE = 28  # cells of the density along each axis: about 8000 triangles and 90 kB a surface
MOST_TRIANGLES = 16_000  # more are noise, of networks that have not learnt much: shown coarser, by a half
SUBDIVISIONS = 4
MOST_POINTS = 1024
FULL = 32767  # of 16 bits; shapes lie in the unit ball, surfaces a little beyond
REACH = 1.1


def surfaces(maps: NDArray[Any], basis: Basis) -> list[Shape | None]:
    """The surfaces that maps (N, K, L+1, L+1), not standardised, stand for; None where one stands for none."""
    if basis.kind == "radial":
        return [build_star_mesh(single, basis, SUBDIVISIONS) for single in maps]
    found: list[Shape | None] = []
    for grid in density_grid(maps, basis, SIDE):  # all at once: evaluating the functions costs most
        try:
            mesh = build_density_mesh(grid)
            if mesh.faces is not None and len(mesh.faces) > MOST_TRIANGLES:
                half = SIDE // 2
                mesh = build_density_mesh(grid.reshape(half, 2, half, 2, half, 2).mean(axis=(1, 3, 5)))
            found.append(mesh)
        except (ObjectError, UserError):
            found.append(None)  # a map can be so corrupted that it is no density at all
    return found


def turnable(shape: Shape | None, name: str, group: str) -> Markup:
    """A canvas with a shape in it.

    Parameters
    ----------
    shape : Shape or None
        In the unit ball, +z up; None leaves an empty place that says so.
    name : str
        What it shows, for those who hear it.
    group : str
        Shapes of one group turn together.

    Returns
    -------
    Markup
    """
    if shape is None:
        return render("shape.html", name=name, what="no shape", group=group, packed=None)
    points = shape.points
    if shape.faces is None:
        points = points[:: max(1, -(-len(points) // MOST_POINTS))]
        return render(
            "shape.html", name=name, what=f"{len(points)} points", group=group, packed={"points": _packed(points)}
        )
    kind = np.uint16 if len(points) <= 2**16 else np.uint32
    faces = b64encode(np.ascontiguousarray(shape.faces, dtype=np.dtype(kind).newbyteorder("<")).tobytes()).decode()
    packed = {"points": _packed(points), "faces": faces, "bytes": np.dtype(kind).itemsize}
    return render("shape.html", name=name, what=f"{len(shape.faces)} triangles", group=group, packed=packed)


def _packed(points: NDArray[np.floating]) -> str:
    whole = np.round(np.clip(points / REACH, -1, 1) * FULL).astype("<i2")
    return b64encode(np.ascontiguousarray(whole).tobytes()).decode()
