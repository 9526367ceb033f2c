"""Features of maps that do not change when the object is rotated.

They need coefficients that are not standardised: dividing each coefficient by its own standard
deviation destroys the invariance.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.basis import Basis
from data_prep.layout import list_indices, unfold


def degree_norms(maps: NDArray[Any], basis: Basis) -> NDArray[Any]:
    """Compute F_kl = sqrt(sum over m of c(k, l, m)^2), which no rotation changes.

    For Zernike moments these are the descriptors F_nl with n = l + 2k of Novotni and Klein, "3D
    Zernike descriptors for content based shape retrieval" (2003); multiply by sqrt(3 / (4 pi)) for
    their scaling. For spherical harmonics they are the square roots of the power per degree and
    shell.

    Parameters
    ----------
    maps : (..., K, L+1, L+1) array of a floating dtype
        Folded maps, not standardised.
    basis : Basis
        Any basis except that of images.

    Returns
    -------
    (..., features) array of the same dtype
        One feature per (k, l), in lexicographic order; 121 for Zernike order 20.

    Raises
    ------
    UserError
        When the basis is that of images or the maps do not have its shape.

    Notes
    -----
    Relative error of each feature: below 2 (2l + 1) roundings of the dtype.

    Examples
    --------
    >>> import numpy as np
    >>> from data_prep import degree_norms, fold, zernike_basis, zernike_moments
    >>> basis = zernike_basis(degree=20)
    >>> clouds = [[[0.5, 0, 0]], [[0, 0.3, 0.4]]]  # two points at radius 0.5
    >>> norms = degree_norms(fold(zernike_moments(clouds, 20), basis), basis)
    >>> norms.shape
    (2, 121)
    >>> bool(np.allclose(norms[0], norms[1], atol=1e-5))
    True
    """
    squares = np.square(unfold(maps, basis))
    _, ell, m = list_indices(basis).T
    norms: NDArray[Any] = np.sqrt(np.add.reduceat(squares, np.flatnonzero(m == -ell), axis=-1))
    return norms


def ring_norms(maps: NDArray[Any], basis: Basis) -> NDArray[Any]:
    """Compute sqrt(c(k, l, m)^2 + c(k, l, -m)^2), which rotations about the vertical do not change.

    Mirrors in vertical planes do not change it either. It follows from the formula of
    ``data_prep.transforms.rotation.rotate_about_vertical``.

    Parameters
    ----------
    maps : (..., K, L+1, L+1) array of a floating dtype
        Folded maps, not standardised.
    basis : Basis
        Any basis except that of images.

    Returns
    -------
    (..., features) array of the same dtype
        One feature per (k, l, m >= 0), in lexicographic order; the absolute value for m = 0.

    Raises
    ------
    UserError
        When the basis is that of images or the maps do not have its shape.

    Notes
    -----
    Relative error of each feature: two roundings of the dtype.

    Examples
    --------
    >>> import numpy as np
    >>> from data_prep import fold, ring_norms, zernike_basis, zernike_moments
    >>> basis = zernike_basis(degree=8)
    >>> clouds = [[[0.5, 0, 0.2]], [[0.3, 0.4, 0.2]]]  # two points at one height and one distance from the axis
    >>> norms = ring_norms(fold(zernike_moments(clouds, 8), basis), basis)
    >>> bool(np.allclose(norms[0], norms[1], atol=1e-5))
    True
    """
    values = unfold(maps, basis)
    m = list_indices(basis)[:, 2]
    rings = np.flatnonzero(m >= 0)
    norms: NDArray[Any] = np.hypot(values[..., rings], np.where(m[rings] > 0, values[..., rings - 2 * m[rings]], 0))
    return norms
