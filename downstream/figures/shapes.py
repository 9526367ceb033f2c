"""Draw shapes, e.g. objects next to their reconstructions from maps."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.source import Shape
from downstream.figures.canvas import save_figure
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.terminal import printable

# The camera looks slightly from above, so that tops and fronts are visible. The light comes from
# the left and above.
ELEVATION, AZIMUTH = 22.0, -55.0
LIGHT = np.array([-0.3, -0.6, 0.75])
MOST_POINTS = 4096  # Points drawn of a cloud.
TITLE_INCHES = 0.45  # A tall shape fills its axes, so the titles stand above them.
COLOUR = np.array([0.45, 0.62, 0.82])


def draw_shapes(path: Path, rows: Sequence[tuple[str, Mapping[str, Shape]]], *, overwrite: bool = True) -> None:
    """Draw several versions of each object in a row: clouds as dots, meshes shaded.

    Parameters
    ----------
    path : Path
        PNG file to write.
    rows : sequence of (name, {title: Shape})
        Objects and their versions, in the unit ball with +z up. The titles of the first row are the
        columns. A version that a later row does not have leaves its cell empty.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    UserError
        If there is nothing to draw, or the file exists and may not be replaced.
    """
    from matplotlib.figure import Figure  # Without pyplot there is no global state and no window.

    if not rows or not rows[0][1]:
        raise UserError("no shapes to draw", "none", "give at least one row with one shape")
    titles = list(rows[0][1])
    height = 2.1 * len(rows) + TITLE_INCHES
    figure = Figure(figsize=(2.1 * len(titles) + 0.3, height))
    # The 3D axes of matplotlib leave wide borders, so the borders are cut here and the axes zoomed.
    figure.subplots_adjust(left=0.04, right=1, bottom=0, top=1 - TITLE_INCHES / height, wspace=0, hspace=0)
    for row, (name, versions) in enumerate(rows):
        for column, title in enumerate(titles):
            axis = figure.add_subplot(len(rows), len(titles), row * len(titles) + column + 1, projection="3d")
            _set_camera(axis)
            if row == 0:
                axis.set_title(title, fontsize=9, y=1.03)
            if column == 0:
                style = {"transform": axis.transAxes, "rotation": 90, "va": "center"}
                axis.text2D(0.02, 0.5, printable(name), fontsize=9, parse_math=False, **style)
            if title in versions:
                _draw_shape(axis, versions[title])
    save_figure(figure, path, overwrite=overwrite)


def render_shape(shape: Shape, size: int = 256) -> NDArray[np.uint8]:
    """Render one shape without a title.

    Parameters
    ----------
    shape : Shape
        Shape in the unit ball with +z up.
    size : int
        Side of the image in pixels.

    Returns
    -------
    ndarray, shape (size, size, 3), uint8
        RGB image.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    canvas = FigureCanvasAgg(Figure(figsize=(1, 1), dpi=size))
    axis = canvas.figure.add_axes((0.0, 0.0, 1.0, 1.0), projection="3d")
    _set_camera(axis)
    _draw_shape(axis, shape)
    canvas.draw()
    return np.array(canvas.buffer_rgba())[..., :3]


def _set_camera(axis: Any) -> None:
    """Set the camera of 3D axes."""
    axis.set_axis_off()
    axis.view_init(ELEVATION, AZIMUTH)
    axis.set_proj_type("ortho")
    limits = {f"{letter}lim": (-0.8, 0.8) for letter in "xyz"}
    axis.set(**limits)
    axis.set_box_aspect((1, 1, 1), zoom=1.25)


def _draw_shape(axis: Any, shape: Shape) -> None:
    """Draw a cloud as dots, or a mesh with light and shadow."""
    if shape.faces is None:
        points = shape.points[:: max(1, -(-len(shape.points) // MOST_POINTS))]
        depth = points @ _compute_view_direction()
        axis.scatter(*points.T, s=1.2, c=depth, cmap="viridis", linewidths=0, depthshade=False)
        return
    from mpl_toolkits.mplot3d.art3d import Poly3DCollection

    corners = shape.points[shape.faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    normals /= np.where(length > 0, length, 1)
    # Many data sets have triangles of either orientation, so the visible side is lit.
    normals *= np.where(normals @ _compute_view_direction() < 0, -1, 1)[:, None]
    brightness = 0.45 + 0.55 * np.clip(normals @ (LIGHT / np.linalg.norm(LIGHT)), 0, 1)
    colours = brightness[:, None] * COLOUR
    axis.add_collection3d(Poly3DCollection(corners, facecolors=colours, edgecolors=colours, linewidths=0.2))


def _compute_view_direction() -> NDArray[np.float64]:
    """Compute the unit vector (3,) that points to the camera."""
    elevation, azimuth = np.radians(ELEVATION), np.radians(AZIMUTH)
    return np.array(
        [np.cos(elevation) * np.cos(azimuth), np.cos(elevation) * np.sin(azimuth), np.sin(elevation)],
    )
