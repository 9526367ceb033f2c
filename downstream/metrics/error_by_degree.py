"""Compute the error of reconstructed spectral maps by angular degree, with the noise floor of the maps.

Low degrees describe the rough shape, high degrees its details. Each map contains the noise of the
finite point cloud it was made from. No prediction can know this noise without seeing the map. If
the error of a degree reaches this noise floor, it cannot be improved further.

Letters in shapes: N objects, K radial channels, L the largest degree.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data_prep.basis import Basis
from data_prep.layout import list_indices, unfold
from data_prep.maps.writer import CONSTANT_BELOW
from pretext.data.standardise import Standardiser
from spectral_ssl.ground.errors import UserError


@dataclass(frozen=True, kw_only=True)
class DegreeErrors:
    """Root mean square errors of each degree, over objects and coefficients, in the coefficients' own units.

    Attributes
    ----------
    degrees : ndarray, shape (L + 1,), int64
        Degrees 0 to L.
    coefficients : ndarray, shape (L + 1,), int64
        Number of coefficients of each degree: radial channels times 2 l + 1.
    error : ndarray, shape (L + 1,), float64
        Error of the predictions.
    spread : ndarray, shape (L + 1,), float64
        Difference between the truth and its mean over the objects. It is the error of a prediction
        that always returns the mean.
    noise : ndarray, shape (L + 1,), float64, or None
        Difference between a second sampling of the same objects and the truth. None if there is no
        second sampling.
    """

    degrees: NDArray[np.int64]
    coefficients: NDArray[np.int64]
    error: NDArray[np.float64]
    spread: NDArray[np.float64]
    noise: NDArray[np.float64] | None

    @property
    def relative(self) -> NDArray[np.float64]:
        """Error divided by spread, (L + 1,).

        1 is no better than the mean. NaN marks degrees in which all objects are equal.
        """
        varies = self.spread > CONSTANT_BELOW
        return np.where(varies, self.error / np.where(varies, self.spread, 1), np.nan)

    @property
    def floor(self) -> NDArray[np.float64] | None:
        """Error of a prediction without noise, noise / sqrt(2), because both samplings are equally noisy."""
        return None if self.noise is None else self.noise / np.sqrt(2)


def find_true_maps(stored: NDArray[np.float32], target: Tensor, standardise: Standardiser) -> tuple[NDArray[Any], bool]:
    """Return the true coefficients of predictions, and whether these are the stored maps.

    A task may alter its objects. The stored maps are then not what the predictions are of, and
    neither is a second sampling of the objects.

    Parameters
    ----------
    stored : ndarray, shape (N, K, L+1, L+1), float32
        The maps of the objects in the map file.
    target : Tensor, shape (N, K, L+1, L+1), float32
        The targets of the task, standardised.
    standardise : Standardiser
        The standardiser of the run.

    Returns
    -------
    truth : ndarray, shape (N, K, L+1, L+1), floating
        The stored maps, or the coefficients of the target.
    is_stored : bool
        Whether they are the stored maps.

    Examples
    --------
    >>> import numpy as np
    >>> import torch
    >>> from data_prep import zernike_basis
    >>> from downstream.metrics import find_true_maps
    >>> from pretext.data import Standardiser
    >>> basis = zernike_basis(3)
    >>> standardise = Standardiser.from_statistics(basis, torch.zeros(basis.shape), torch.ones(basis.shape))
    >>> stored = np.zeros((2, *basis.shape), np.float32)
    >>> find_true_maps(stored, standardise(stored), standardise)[1], find_true_maps(
    ...     stored, standardise(stored + 1), standardise
    ... )[1]
    (True, False)
    """
    if torch.equal(standardise(stored), target):
        return stored, True
    return standardise.undo(target).numpy(), False


def compute_degree_errors(
    truth: NDArray[Any], predictions: NDArray[Any], basis: Basis, second: NDArray[Any] | None = None
) -> DegreeErrors:
    """Compute the errors of reconstructed maps by degree.

    Parameters
    ----------
    truth : ndarray, shape (N, K, L+1, L+1), floating
        True maps, not standardised.
    predictions : ndarray, shape (N, K, L+1, L+1), floating
        Reconstructed maps of the same objects in the same order, not standardised.
    basis : Basis
        Basis of all maps, not that of images.
    second : ndarray, shape (N, K, L+1, L+1), optional
        Maps of the same objects from other points (another seed).

    Returns
    -------
    DegreeErrors
        Errors in the units of the coefficients, each of shape (L + 1,) and at least 0.

    Raises
    ------
    UserError
        If the basis is that of images, the shapes differ, there is no object, or a value is not
        finite.

    Notes
    -----
    E_l = sqrt(mean over objects and over all (k, m) of (prediction_klm - truth_klm)^2), computed in
    float64. The tests compare it with a plain loop to 1e-12.

    Examples
    --------
    >>> import numpy as np
    >>> from downstream.metrics import compute_degree_errors
    >>> from data_prep import find_valid_cells, zernike_basis
    >>> basis = zernike_basis(3)
    >>> truth = np.zeros((2, *basis.shape))
    >>> compute_degree_errors(truth, truth + 0.5 * find_valid_cells(basis), basis).error.tolist()
    [0.5, 0.5, 0.5, 0.5]
    """
    true = _unfold_maps("truth", truth, basis)
    compared = {"predictions": predictions} | ({} if second is None else {"second sampling": second})
    differences = {"spread": true - true.mean(axis=0)}
    for what, maps in compared.items():
        values = _unfold_maps(what, maps, basis)
        if values.shape != true.shape:
            raise UserError(f"objects of the {what}", len(values), f"give the {len(true)} objects of the truth")
        differences[what] = values - true
    ell = list_indices(basis)[:, 1]
    coefficients = np.bincount(ell)
    roots = {
        what: np.sqrt(np.bincount(ell, np.square(difference).mean(axis=0)) / coefficients)
        for what, difference in differences.items()
    }
    return DegreeErrors(
        degrees=np.arange(len(coefficients)),
        coefficients=coefficients,
        error=roots["predictions"],
        spread=roots["spread"],
        noise=roots.get("second sampling"),
    )


def _unfold_maps(what: str, maps: NDArray[Any], basis: Basis) -> NDArray[np.float64]:
    """Return the coefficients (N, D) of maps; raise a UserError if the maps cannot be used."""
    values = unfold(np.asarray(maps, np.float64), basis)
    if values.ndim != 2 or len(values) == 0:
        shape = ", ".join(map(str, basis.shape))
        raise UserError(f"shape of the {what}", np.shape(maps), f"give (N, {shape}) with at least one object")
    if not np.isfinite(values).all():
        raise UserError(f"{what} with values that are not finite", "NaN or infinity", "give finite maps")
    return values
