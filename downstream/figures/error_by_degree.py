"""Draw the error of reconstructed spectral maps by angular degree."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.maps.writer import CONSTANT_BELOW
from downstream.figures.canvas import make_axes, save_figure
from downstream.metrics.error_by_degree import DegreeErrors
from spectral_ssl.ground.errors import UserError


def draw_degree_errors(path: Path, errors: dict[str, DegreeErrors], *, overwrite: bool = True) -> None:
    """Draw errors by degree as curves, with the spread of the objects and the noise of their sampling.

    Parameters
    ----------
    path : Path
        PNG file to write.
    errors : dict of str to DegreeErrors
        Errors of one or more methods by name, against the same truth. Spread and noise of the first
        one are drawn.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    UserError
        If there is nothing to draw, or the file exists and may not be replaced.
    """
    if not errors:
        raise UserError("no errors to draw", "none", "give at least one")
    figure, axes = make_axes(1, 1, size=(6.4, 4.2))
    axis = axes[0, 0]
    first = next(iter(errors.values()))
    _draw_curve(axis, first.degrees, first.spread, "spread of the objects", color="0.6", linestyle="--")
    for name, method_errors in errors.items():
        _draw_curve(axis, method_errors.degrees, method_errors.error, name, marker=".")
    if first.noise is not None and first.floor is not None:
        _draw_curve(axis, first.degrees, first.noise, "second sampling", color="black", linestyle="--")
        _draw_curve(axis, first.degrees, first.floor, "prediction without noise", color="black", linestyle=":")
    axis.set_yscale("log")
    axis.set_xlabel("angular degree l")
    axis.set_ylabel("root mean square over the coefficients")
    axis.legend(fontsize=8)
    save_figure(figure, path, overwrite=overwrite)


def _draw_curve(axis: Any, degrees: NDArray[np.int64], values: NDArray[np.float64], label: str, **style: str) -> None:
    """Draw values over degrees; leave out values that are rounding errors only."""
    axis.plot(degrees, np.where(values > CONSTANT_BELOW, values, np.nan), label=label, **style)
