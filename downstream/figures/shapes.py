"""Pictures of shapes, e.g. objects beside what their maps give back, as PNG files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.source import Shape
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.files import atomic_path
from spectral_ssl.ground.terminal import printable

# From where one looks: a little from above, so that tops and fronts are seen; and the light, from the left and above.
ELEVATION, AZIMUTH = 22.0, -55.0
LIGHT = np.array([-0.3, -0.6, 0.75])
MOST_POINTS = 4096  # drawn of a cloud
COLOUR = np.array([0.45, 0.62, 0.82])


def draw_shapes(path: Path, rows: Sequence[tuple[str, Mapping[str, Shape]]], *, overwrite: bool = True) -> None:
    """One line an object, one column for each form of it: clouds as dots, meshes with light and shadow.

    Parameters
    ----------
    path : Path
        PNG to write.
    rows : sequence of (name, {title: Shape})
        Objects and their forms, in the unit ball with +z up. The columns are the first row's titles; a form that a
        later row does not have is left empty.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    UserError
        When there is nothing to draw, or the file exists and may not be replaced.
    """
    from matplotlib.figure import Figure  # not pyplot: no global state, no window

    if not rows or not rows[0][1]:
        raise UserError("shapes to draw", "none", "give at least one row with one shape")
    titles = list(rows[0][1])
    figure = Figure(figsize=(2.1 * len(titles) + 0.3, 2.1 * len(rows) + 0.3))
    # shapes may be of any extent within the ball; the 3D axes of matplotlib leave wide borders, hence the zoom
    figure.subplots_adjust(left=0.04, right=1, bottom=0, top=1 - 0.35 / (2.1 * len(rows) + 0.3), wspace=0, hspace=0)
    for line, (name, forms) in enumerate(rows):
        for column, title in enumerate(titles):
            axis = figure.add_subplot(len(rows), len(titles), line * len(titles) + column + 1, projection="3d")
            _place_viewer(axis)
            if line == 0:
                axis.set_title(title, fontsize=9, y=1.0)
            if column == 0:
                place = {"transform": axis.transAxes, "rotation": 90, "va": "center"}
                axis.text2D(0.02, 0.5, printable(name), fontsize=9, parse_math=False, **place)
            if title in forms:
                _draw(axis, forms[title])
    with atomic_path(path, overwrite=overwrite) as temporary:
        figure.savefig(temporary, dpi=110, format="png")


def shape_picture(shape: Shape, size: int = 256) -> NDArray[np.uint8]:
    """One shape alone, without a title: pixels (size, size, 3).

    Parameters
    ----------
    shape : Shape
        In the unit ball with +z up.
    size : int
        Pixels on a side.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    canvas = FigureCanvasAgg(Figure(figsize=(1, 1), dpi=size))
    axis = canvas.figure.add_axes((0.0, 0.0, 1.0, 1.0), projection="3d")
    _place_viewer(axis)
    _draw(axis, shape)
    canvas.draw()
    return np.array(canvas.buffer_rgba())[..., :3]


def _place_viewer(axis: Any) -> None:
    axis.set_axis_off()
    axis.view_init(ELEVATION, AZIMUTH)
    axis.set_proj_type("ortho")
    limits = {f"{letter}lim": (-0.8, 0.8) for letter in "xyz"}
    axis.set(**limits)
    axis.set_box_aspect((1, 1, 1), zoom=1.25)


def _draw(axis: Any, shape: Shape) -> None:
    if shape.faces is None:
        points = shape.points[:: max(1, -(-len(shape.points) // MOST_POINTS))]
        depth = points @ _towards_viewer()
        axis.scatter(*points.T, s=1.2, c=depth, cmap="viridis", linewidths=0, depthshade=False)
        return
    from mpl_toolkits.mplot3d.art3d import Poly3DCollection

    corners = shape.points[shape.faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    normals /= np.where(length > 0, length, 1)
    # many sets have triangles that turn either way round: lit on the side one sees
    normals *= np.where(normals @ _towards_viewer() < 0, -1, 1)[:, None]
    brightness = 0.45 + 0.55 * np.clip(normals @ (LIGHT / np.linalg.norm(LIGHT)), 0, 1)
    colours = brightness[:, None] * COLOUR
    axis.add_collection3d(Poly3DCollection(corners, facecolors=colours, edgecolors=colours, linewidths=0.2))


def _towards_viewer() -> NDArray[np.float64]:
    elevation, azimuth = np.radians(ELEVATION), np.radians(AZIMUTH)
    return np.array(
        [np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)],
    )
