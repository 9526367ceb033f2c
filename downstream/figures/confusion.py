"""The picture of a confusion matrix."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spectral_ssl.ground.files import atomic_path
from spectral_ssl.ground.terminal import printable

MOST_NUMBERS = 20  # classes up to which the counts are written into the cells


def draw_confusion(path: Path, confusion: NDArray[np.int64], classes: tuple[str, ...], title: str) -> None:
    """Draw which classes were taken for which.

    Parameters
    ----------
    path : Path
        PNG to write.
    confusion : ndarray, shape (classes, classes), int64
        Row: the true class; column: the answer. Colours are shares of the row.
    classes : tuple of str
        Names.
    title : str
    """
    from matplotlib.figure import Figure  # not pyplot: no global state, no window

    count = len(confusion)
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    side = min(max(4.0, 0.42 * count), 16.0)
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axis = figure.subplots()
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    size = 8 if count <= MOST_NUMBERS else 5
    names = [printable(name) for name in classes]
    axis.set_xticks(range(count), names, rotation=90, fontsize=size, parse_math=False)
    axis.set_yticks(range(count), names, fontsize=size, parse_math=False)
    axis.set_xlabel("answer")
    axis.set_ylabel("true class")
    axis.set_title(printable(title), fontsize=9, parse_math=False)
    if count <= MOST_NUMBERS:
        for row, column in np.argwhere(confusion):
            colour = "white" if shares[row, column] > 0.5 else "black"
            axis.text(column, row, str(confusion[row, column]), ha="center", va="center", fontsize=7, color=colour)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")
