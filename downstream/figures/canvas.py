"""Make figures of matplotlib and save them as PNG files.

``Figure`` is used without pyplot, so there is no global state and no window.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spectral_ssl.ground.files import atomic_path

DOTS_PER_INCH = 110


def make_figure(size: tuple[float, float]) -> Any:
    """Make an empty figure of a size in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=size, layout="constrained")


def make_axes(
    rows: int, columns: int, *, size: tuple[float, float], has_ticks: bool = True
) -> tuple[Any, NDArray[Any]]:
    """Make a figure with a grid of axes.

    Parameters
    ----------
    rows : int
        Number of rows of the grid.
    columns : int
        Number of columns of the grid.
    size : tuple of float
        Width and height of the figure in inches.
    has_ticks : bool
        Whether the axes have ticks.

    Returns
    -------
    figure : Figure
        The figure.
    axes : ndarray of Axes, shape (rows, columns)
        Its axes.
    """
    figure = make_figure(size)
    axes = np.asarray(figure.subplots(rows, columns, squeeze=False))
    if not has_ticks:
        for axis in axes.flat:
            axis.set_xticks([])
            axis.set_yticks([])
    return figure, axes


def save_figure(figure: Any, path: Path, *, overwrite: bool = True) -> None:
    """Save a figure as a PNG file, atomically."""
    with atomic_path(path, overwrite=overwrite) as temporary:
        figure.savefig(temporary, dpi=DOTS_PER_INCH, format="png")
