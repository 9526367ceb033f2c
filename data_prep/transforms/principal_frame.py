"""Principal axes of an object, computed from its coefficients, and rotation of the object onto them.

The coefficients of degree 2 are the second moments of a density. The traceless matrix
Q = sum w(r) (x x^T - r^2 I / 3) has the principal axes as eigenvectors in every pose. Rotated onto
its principal axes, an object has one pose up to the signs of the axes: half turns about x, y and z.
A symmetric function of the features of all four poses does not depend on the original pose ("frame
averaging": Puny et al., ICLR 2022; for point clouds: Li et al., "A closer look at
rotation-invariant deep point cloud analysis", ICCV 2021). Objects that stand upright are rotated
about the vertical only; then two poses remain.
"""

from math import pi, sqrt
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from data_prep.basis import Basis
from data_prep.transforms.rotation import mirror, rotate, rotate_about_vertical
from spectral_ssl.ground.errors import UserError

AXES: tuple[Literal["x", "y", "z"], ...] = ("x", "y", "z")
# Signs of x, y and z: the identity, and half a turn about each axis.
HALF_TURNS = ((1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1))
UPRIGHT_HALF_TURNS = ((1, 1, 1), (-1, -1, 1))


def find_principal_axes(maps: NDArray[Any], basis: Basis) -> NDArray[np.float64]:
    """Find rotations that turn each object's principal axes onto x (largest second moment), y and z (smallest).

    The axes are the eigenvectors of Q = sum w(r) (x x^T - r^2 I / 3). For Zernike moments (k = 0)
    w is 1, so the axes are those of the points' covariance about the centre of the ball. For
    harmonics in shells w is 1 / r^2, and the shells are summed.

    Parameters
    ----------
    maps : (N, K, L+1, L+1) array of a floating dtype
        Folded maps of degree 2 or more, not standardised.
    basis : Basis
        Any basis except that of images.

    Returns
    -------
    (N, 3, 3) float64 array
        Proper rotations: points become ``points @ matrix.T``. The signs of the axes are arbitrary.

    Raises
    ------
    UserError
        When the basis is that of images or of degree below 2.

    Notes
    -----
    The error of an axis is the error of the coefficients divided by the gap between the two second
    moments. If these are equal, as for a square table, the axes in that plane are arbitrary.

    Examples
    --------
    >>> import numpy as np
    >>> from data_prep import find_principal_axes, fold, zernike_basis, zernike_moments
    >>> basis = zernike_basis(degree=4)
    >>> points = np.random.default_rng(0).uniform(-1, 1, size=(1, 500, 3)) * [0.1, 0.6, 0.3]
    >>> axes = find_principal_axes(fold(zernike_moments(points, 4), basis), basis)
    >>> np.abs(axes[0]).round(1).argmax(axis=1).tolist()  # y is the longest axis, then z, then x
    [1, 2, 0]
    """
    axes = np.linalg.eigh(_second_moments(maps, basis))[1].transpose(0, 2, 1)[:, ::-1]  # rows, the largest first
    proper: NDArray[np.float64] = axes * np.sign(np.linalg.det(axes))[:, None, None]
    return proper


def turn_to_principal_frame(maps: NDArray[Any], basis: Basis) -> NDArray[Any]:
    """Rotate each object onto its principal axes; the result is the same for all poses, up to the axes' signs.

    Parameters and errors are those of ``find_principal_axes``. It takes about 1 ms per object at
    degree 20.

    Returns
    -------
    (N, K, L+1, L+1) array of the same dtype

    Examples
    --------
    >>> import numpy as np
    >>> from data_prep import fold, rotate, turn_to_principal_frame, zernike_basis, zernike_moments
    >>> basis = zernike_basis(degree=6)
    >>> points = np.random.default_rng(0).normal(size=(1, 500, 3)) * [0.05, 0.1, 0.2]
    >>> maps = fold(zernike_moments(points, 6, dtype=np.float64), basis)

    >>> matrix = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    >>> rotated = rotate(maps, basis, matrix * np.sign(np.linalg.det(matrix)))
    >>> same = np.abs(turn_to_principal_frame(rotated, basis)) - np.abs(turn_to_principal_frame(maps, basis))
    >>> bool(np.abs(same).max() < 1e-9)  # the signs of the axes are free
    True
    """
    turned = np.array(maps)
    for row, axes in enumerate(find_principal_axes(turned, basis)):
        turned[row] = rotate(turned[row], basis, axes)
    return turned


def turn_to_upright_frame(maps: NDArray[Any], basis: Basis) -> NDArray[Any]:
    """Rotate each object about the vertical, so that its horizontal second moments are diagonal, the larger along x.

    The result is the same for all rotations of an object about the vertical, up to half a turn.
    Parameters and errors are those of ``find_principal_axes``.

    Returns
    -------
    (N, K, L+1, L+1) array of the same dtype

    Examples
    --------
    >>> import numpy as np
    >>> from data_prep import fold, rotate_about_vertical, turn_to_upright_frame, zernike_basis, zernike_moments
    >>> basis = zernike_basis(degree=6)
    >>> points = np.random.default_rng(0).normal(size=(1, 500, 3)) * [0.05, 0.1, 0.2]
    >>> maps = fold(zernike_moments(points, 6, dtype=np.float64), basis)

    >>> rotated = rotate_about_vertical(maps, basis, 0.5)
    >>> same = np.abs(turn_to_upright_frame(rotated, basis)) - np.abs(turn_to_upright_frame(maps, basis))
    >>> bool(np.abs(same).max() < 1e-9)  # half a turn is free
    True
    """
    moments = _second_moments(maps, basis)
    angles = np.arctan2(2 * moments[:, 0, 1], moments[:, 0, 0] - moments[:, 1, 1]) / 2  # (N,), of the longer axis
    return rotate_about_vertical(np.asarray(maps), basis, -angles)


def _second_moments(maps: NDArray[Any], basis: Basis) -> NDArray[np.float64]:
    """Compute the traceless matrix Q of each object, (N, 3, 3), up to a common factor."""
    if basis.kind == "pixels" or basis.degree < 2:
        got = f"kind {basis.kind!r}, degree {basis.degree}"
        raise UserError("principal axes need coefficients of degree 2", got, "give maps of shapes")
    channels = np.asarray(maps, dtype=np.float64)
    channels = channels[:, :1] if basis.kind == "zernike" else channels
    square = channels.sum(axis=1)  # (N, L+1, L+1)
    # In the folded map m = 0, 1, 2 are in row 2, and m = -1, -2 above the diagonal. The Y_2m are
    # these products.
    mixed, flat, split = sqrt(15 / (4 * pi)), 3 * sqrt(5 / (16 * pi)), sqrt(15 / (16 * pi))
    xy, yz, xz = square[:, 1, 2] / mixed, square[:, 0, 2] / mixed, square[:, 2, 1] / mixed
    zz, difference = square[:, 2, 0] / flat, square[:, 2, 2] / split
    xx, yy = (difference - zz) / 2, (-difference - zz) / 2
    return np.stack([xx, xy, xz, xy, yy, yz, xz, yz, zz], axis=1).reshape(-1, 3, 3)


def apply_half_turn(maps: NDArray[Any], basis: Basis, signs: tuple[int, int, int]) -> NDArray[Any]:
    """Rotate maps (..., K, L+1, L+1) by one of ``HALF_TURNS``, given as signs of x, y and z; exact."""
    turned = np.array(maps)
    for axis, sign in zip(AXES, signs, strict=True):
        if sign < 0:
            turned = mirror(turned, basis, axis)
    return turned
