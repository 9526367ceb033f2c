"""The error of reconstructed spectral maps by angular degree, beside what a second sampling of the objects would give.

Low degrees are the rough shape, high ones its details. Each map holds the noise of the finite cloud that it was made
from, which no answer can know that has not seen the map; where the error of a degree reaches that floor, there is
nothing more to gain.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.basis import Basis
from data_prep.layout import index, unfold
from data_prep.maps.writer import CONSTANT_BELOW
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.files import atomic_path


@dataclass(frozen=True, kw_only=True)
class DegreeErrors:
    """Root mean squares over objects and over the coefficients of each degree, in the coefficients' own units.

    Attributes
    ----------
    degrees : ndarray, shape (L + 1,), int64
        0 .. L.
    coefficients : ndarray, shape (L + 1,), int64
        Coefficients of each degree: radial channels times 2 l + 1.
    error : ndarray, shape (L + 1,), float64
        Of the answers against the truth.
    spread : ndarray, shape (L + 1,), float64
        Of the truth against its mean over the objects: the error of always answering the mean.
    noise : ndarray, shape (L + 1,), float64, or None
        Of a second sampling of the same objects against the truth, or None if there was none.
    """

    degrees: NDArray[np.int64]
    coefficients: NDArray[np.int64]
    error: NDArray[np.float64]
    spread: NDArray[np.float64]
    noise: NDArray[np.float64] | None

    @property
    def relative(self) -> NDArray[np.float64]:
        """Error over spread, (L + 1,): 1 is no better than the mean; NaN for degrees in which the objects are equal."""
        varies = self.spread > CONSTANT_BELOW
        return np.where(varies, self.error / np.where(varies, self.spread, 1), np.nan)

    @property
    def floor(self) -> NDArray[np.float64] | None:
        """The error of an answer free of noise, noise / sqrt(2): the two samplings are equally noisy."""
        return None if self.noise is None else self.noise / np.sqrt(2)


def degree_errors(
    truth: NDArray[Any], answers: NDArray[Any], basis: Basis, second: NDArray[Any] | None = None
) -> DegreeErrors:
    """Errors of reconstructed maps by degree.

    Parameters
    ----------
    truth, answers : ndarray, shape (N, K, L+1, L+1), floating
        Maps of the same objects in the same order, not standardised. Computed in float64.
    basis : Basis
        Of all of them, not of images.
    second : ndarray, shape (N, K, L+1, L+1), optional
        Maps of the same objects from other points (another seed).

    Returns
    -------
    DegreeErrors

    Raises
    ------
    UserError
        When the basis is that of images, shapes differ, there is no object, or a value is not finite.

    Notes
    -----
    E_l = sqrt(mean over objects and over all (k, m) of (answer_klm - truth_klm)^2).
    """
    true = _vectors("truth", truth, basis)
    given = {"answers": answers} | ({} if second is None else {"second sampling": second})
    differences = {"spread": true - true.mean(axis=0)}
    for what, maps in given.items():
        values = _vectors(what, maps, basis)
        if values.shape != true.shape:
            raise UserError(f"objects of the {what}", len(values), f"give the {len(true)} objects of the truth")
        differences[what] = values - true
    ell = index(basis)[:, 1]
    coefficients = np.bincount(ell)
    roots = {
        what: np.sqrt(np.bincount(ell, np.square(difference).mean(axis=0)) / coefficients)
        for what, difference in differences.items()
    }
    return DegreeErrors(
        degrees=np.arange(len(coefficients)),
        coefficients=coefficients,
        error=roots["answers"],
        spread=roots["spread"],
        noise=roots.get("second sampling"),
    )


def draw_degree_errors(path: Path, errors: dict[str, DegreeErrors], *, overwrite: bool = True) -> None:
    """Errors by degree as curves, with the spread of the objects above and the noise of their sampling below.

    Parameters
    ----------
    path : Path
        PNG to write.
    errors : dict of str to DegreeErrors
        Answers of one or more methods by name, against the same truth; spread and noise are drawn of the first.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    UserError
        When there is nothing to draw, or the file exists and may not be replaced.
    """
    from matplotlib.figure import Figure  # not pyplot: no global state, no window

    if not errors:
        raise UserError("errors to draw", "none", "give at least one")
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axis = figure.subplots()
    first = next(iter(errors.values()))
    _curve(axis, first.degrees, first.spread, "spread of the objects", color="0.6", linestyle="--")
    for name, own in errors.items():
        _curve(axis, own.degrees, own.error, name, marker=".")
    if first.noise is not None and first.floor is not None:
        _curve(axis, first.degrees, first.noise, "second sampling", color="black", linestyle="--")
        _curve(axis, first.degrees, first.floor, "answer without noise", color="black", linestyle=":")
    axis.set_yscale("log")
    axis.set_xlabel("angular degree l")
    axis.set_ylabel("root mean square over the coefficients")
    axis.legend(fontsize=8)
    with atomic_path(path, overwrite=overwrite) as temporary:
        figure.savefig(temporary, dpi=110, format="png")


def _curve(axis: Any, degrees: NDArray[np.int64], values: NDArray[np.float64], label: str, **style: str) -> None:
    # what is nothing but rounding has no place on a logarithmic axis
    axis.plot(degrees, np.where(values > CONSTANT_BELOW, values, np.nan), label=label, **style)


def _vectors(what: str, maps: NDArray[Any], basis: Basis) -> NDArray[np.float64]:
    values = unfold(np.asarray(maps, np.float64), basis)
    if values.ndim != 2 or len(values) == 0:
        shape = ", ".join(map(str, basis.shape))
        raise UserError(f"shape of the {what}", np.shape(maps), f"give (N, {shape}) with at least one object")
    if not np.isfinite(values).all():
        raise UserError(f"{what} with values that are not finite", "NaN or infinity", "look at the maps")
    return values
