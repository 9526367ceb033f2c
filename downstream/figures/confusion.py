"""Draw a confusion matrix."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from downstream.figures.canvas import make_axes, save_figure
from spectral_ssl.ground.terminal import printable

MOST_NUMBERS = 20  # Largest number of classes with which the counts are written into the cells.


def draw_confusion(path: Path, confusion: NDArray[np.int64], classes: tuple[str, ...], title: str) -> None:
    """Draw a confusion matrix with the shares of each row as colours.

    Parameters
    ----------
    path : Path
        PNG file to write.
    confusion : ndarray, shape (classes, classes), int64
        Number of samples by true class (row) and predicted class (column).
    classes : tuple of str
        Names of the classes.
    title : str
        Title of the figure.
    """
    count = len(confusion)
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    side = min(max(4.0, 0.42 * count), 16.0)
    figure, axes = make_axes(1, 1, size=(side + 1, side))
    axis = axes[0, 0]
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    size = 8 if count <= MOST_NUMBERS else 5
    names = [printable(name) for name in classes]
    axis.set_xticks(range(count), names, rotation=90, fontsize=size, parse_math=False)
    axis.set_yticks(range(count), names, fontsize=size, parse_math=False)
    axis.set_xlabel("predicted class")
    axis.set_ylabel("true class")
    axis.set_title(printable(title), fontsize=9, parse_math=False)
    if count <= MOST_NUMBERS:
        for row, column in np.argwhere(confusion):
            colour = "white" if shares[row, column] > 0.5 else "black"
            axis.text(column, row, str(confusion[row, column]), ha="center", va="center", fontsize=7, color=colour)
    save_figure(figure, path)
