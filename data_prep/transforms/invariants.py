"""Features of maps that do not change when the object is turned.

They are computed from the coefficients themselves, not from standardised ones: dividing each coefficient by its own
standard deviation destroys the invariance.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.basis import Basis
from data_prep.layout import index, unfold


def degree_norms(maps: NDArray[Any], basis: Basis) -> NDArray[Any]:
    """F_kl = sqrt(sum over m of c(k, l, m)^2): unchanged by every rotation.

    For Zernike moments these are the descriptors F_nl with n = l + 2k (times sqrt(3 / (4 pi)) in the scaling of
    Novotni and Klein 2003); for spherical harmonics the roots of the power per degree and shell.

    Parameters
    ----------
    maps : (..., K, L+1, L+1) array of a floating dtype
        Folded maps, not standardised.
    basis : Basis
        Not of images.

    Returns
    -------
    (..., features) array of the same dtype
        One per (k, l), in lexicographic order; 121 for Zernike order 20.

    Raises
    ------
    UserError
        When the basis is that of images or the maps have another shape than it says.

    Notes
    -----
    Relative error of each feature: below 2 (2l + 1) roundings of the dtype.
    """
    squares = np.square(unfold(maps, basis))
    _, ell, m = index(basis).T
    norms: NDArray[Any] = np.sqrt(np.add.reduceat(squares, np.flatnonzero(m == -ell), axis=-1))
    return norms


def ring_norms(maps: NDArray[Any], basis: Basis) -> NDArray[Any]:
    """sqrt(c(k, l, m)^2 + c(k, l, -m)^2): unchanged by rotations about the vertical and by upright mirrors.

    Parameters
    ----------
    maps : (..., K, L+1, L+1) array of a floating dtype
        Folded maps, not standardised.
    basis : Basis
        Not of images.

    Returns
    -------
    (..., features) array of the same dtype
        One per (k, l, m >= 0), in lexicographic order; the absolute value for m = 0.

    Raises
    ------
    UserError
        When the basis is that of images or the maps have another shape than it says.

    Notes
    -----
    Relative error of each feature: two roundings of the dtype.
    """
    values = unfold(maps, basis)
    m = index(basis)[:, 2]
    rings = np.flatnonzero(m >= 0)
    norms: NDArray[Any] = np.hypot(values[..., rings], np.where(m[rings] > 0, values[..., rings - 2 * m[rings]], 0))
    return norms
