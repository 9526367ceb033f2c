"""How uncertain the coefficients of a map are because its object was seen through P random points only.

A coefficient is a mean over points (``data_prep.transforms.moment_sums``), c_klm = 1/P sum_i f_klm(x_i), and for independent points

    Var c_klm = (E f_klm(x)^2 - (E f_klm(x))^2) / P.

Neither mean is known for each function, but averaged over the orders m both are. Because sum_m Y_lm(u)^2 is the same in
all directions u ((2l + 1) / 4 pi), the first needs the distances r of the points from the centre alone::

    mean over m of f_klm(x)^2 = f_kl0(r e_z)^2 / (2l + 1)

The second is the square of the coefficient itself, whose mean over a training set is mean^2 + std^2, as a map file has
them. The level is therefore one number for each (k, l), that of the training set's mean object. About the distances:

* Shells: f is Y_lm within shell k and zero outside, so that only the part p_k of the points in shell k is needed, and
  the mean of c_k00 is p_k Y_00. Nothing is assumed.
* Zernike: r^2 is taken to follow the Beta distribution whose first two moments are those of the training set's points;
  c_000, c_100 and c_200 determine these, being means of polynomials of r^2. Against the standard deviation over 40
  samples of 256 points of each of 60 built-in shapes, order 20, the level of a (k, l) is between 0.95 and 1.06 of the
  measured one, and 1.003 in the whole; in shells, 15 degrees and 8 of them, 0.999 in the whole.

Points drawn one in each of many pieces of equal area (the default of ``prep``) are not independent, and what they leave
uncertain is less, above all at low degrees.
"""

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data_prep.basis import Basis, zernike_basis
from data_prep.layout import fold, list_indices
from data_prep.transforms.invariants import degree_norms
from data_prep.transforms.zernike import zernike_functions
from pretext.data.standardise import Standardiser
from spectral_ssl.ground.errors import UserError

RADII = 256
Y_00 = 1 / np.sqrt(4 * np.pi)


def require_points(basis: Basis, points: int) -> None:
    """Raise a UserError unless the maps of a basis are means over a known number of points.

    Parameters
    ----------
    basis : Basis
        Of the map file.
    points : int
        The number asked for, 0 for the one the maps were made from.
    """
    if basis.kind not in ("zernike", "sh"):
        what_to_do = "prepare maps with --basis zernike or sh, or take another kind of noise"
        raise UserError("sampling noise is that of maps made from points", f"maps of kind {basis.kind!r}", what_to_do)
    if basis.kind == "zernike" and basis.radial < 3:
        got = f"{basis.radial} radial channels"
        raise UserError("sampling noise of Zernike maps needs the radial channels 0, 1 and 2", got, "prepare with more")
    if points == 0 and basis.points == 0:
        raise UserError("number of points", "none in the map file", "set task.points")


def estimate_sampling_noise(standardise: Standardiser, points: int) -> Tensor:
    """Standard deviation of each coefficient over samples of independent points, in standardised units.

    Parameters
    ----------
    standardise : Standardiser
        Basis and statistics of the training set.
    points : int
        P.

    Returns
    -------
    Tensor, shape (C, H, W), float32
        The same for all orders of a (k, l) but for the division by ``std``; 0 where there is no coefficient.
    """
    basis = standardise.basis
    mean, std = standardise.mean.double().numpy(), standardise.std.double().numpy()
    # a map file has 1 in place of the deviation of a constant
    squares = mean**2 + np.where(std == 1.0, 0.0, std) ** 2  # (K, L+1, L+1)
    k, ell, m = list_indices(basis).T
    first = m == -ell  # one for each (k, l)
    known = degree_norms(np.sqrt(squares), basis) ** 2 / (2 * ell[first] + 1)
    drawn = _mean_squares(basis, mean[:, 0, 0])[k[first], ell[first]]
    variance = np.maximum(drawn - known, 0.0) / points
    level = fold(np.repeat(np.sqrt(variance), 2 * ell[first] + 1), basis) / std
    return torch.from_numpy(level.astype(np.float32)) * standardise.valid


def _mean_squares(basis: Basis, constants: NDArray[np.float64]) -> NDArray[np.float64]:
    """E f_klm(x)^2 averaged over m, (K, L+1), from the training set's means of c_k00, (K,)."""
    if basis.kind == "sh":
        parts = np.clip(constants / Y_00, 0.0, 1.0)
        return np.repeat(parts[:, None] * Y_00**2, basis.degree + 1, axis=1)
    radii, squares, moments_of = _along_a_ray(basis)
    first, second = moments_of @ constants[:3]  # E r^2 and E r^4
    spread = second - first**2
    # the two parameters of Beta; points all at one distance would have an infinite one
    both = first * (1 - first) / max(spread, 1e-6) - 1
    alpha, beta = max(first * both, 1e-3), max((1 - first) * both, 1e-3)
    # density of r: that of r^2 times 2r; its logarithm, because parameters may be large
    logarithm = (2 * alpha - 1) * np.log(radii) + (beta - 1) * np.log1p(-(radii**2))
    density = np.exp(logarithm - logarithm.max())
    return np.einsum("r,rkl->kl", density / density.sum(), squares)


@lru_cache(maxsize=8)
def _along_a_ray(basis: Basis) -> tuple[Any, Any, Any]:
    """Distances (R,), squares of f_kl0 / sqrt(2l + 1) there (R, K, L+1), and c_000, c_100, c_200 to E r^2, E r^4."""
    radii = (np.arange(RADII) + 0.5) / RADII
    on_ray = radii[:, None] * [0.0, 0.0, 1.0]
    k, ell, m = list_indices(basis).T
    values = zernike_functions(on_ray, basis)[:, m == 0]
    squares = np.zeros((RADII, basis.radial, basis.degree + 1))
    squares[:, k[m == 0], ell[m == 0]] = values**2 / (2 * ell[m == 0] + 1)
    # r^2 and r^4 are combinations of the three lowest functions without direction: solved for at three places
    lowest = zernike_basis(4)
    three = np.array([0.2, 0.6, 1.0])
    columns = [int(np.flatnonzero((list_indices(lowest) == (channel, 0, 0)).all(axis=1))[0]) for channel in range(3)]
    functions = zernike_functions(three[:, None] * [0.0, 0.0, 1.0], lowest)[:, columns]
    powers = np.stack([three**2, three**4], axis=1)
    return radii, squares, np.linalg.solve(functions, powers).T
