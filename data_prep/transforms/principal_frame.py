"""An object's own axes, read from its coefficients, and the four ways to lay them along x, y and z in their order.

The second moments of a density are its coefficients of degree 2: the traceless matrix Q = sum w(r) (x x^T - r^2 I / 3)
has the object's principal axes as eigenvectors, whatever pose it is in. Turned onto them, an object has one pose but
for the signs of the axes: half turns about x, y and z. Features of all four, put together by functions that do not see
their order, do not depend on the pose ("frame averaging": Puny et al., ICLR 2022; of clouds: Li et al., "A closer look
at rotation-invariant deep point cloud analysis", ICCV 2021). Objects that stand upright are turned about the vertical
alone: then there are two ways.
"""

from math import pi, sqrt
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from data_prep.basis import Basis
from data_prep.transforms.rotation import mirror, rotate, rotate_about_vertical
from spectral_ssl.ground.errors import UserError

AXES: tuple[Literal["x", "y", "z"], ...] = ("x", "y", "z")
# signs of x, y and z: none, and by half a turn about each axis
HALF_TURNS = ((1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1))
UPRIGHT_HALF_TURNS = ((1, 1, 1), (-1, -1, 1))


def principal_axes(maps: NDArray[Any], basis: Basis) -> NDArray[np.float64]:
    """Rotations that bring each object's principal axes onto x (largest second moment), y and z (smallest).

    Of Zernike moments the weight w is r^2 (k = 0): the axes are those of the points' covariance about the centre of
    the ball. Of harmonics on shells it is that of the shells together.

    Parameters
    ----------
    maps : (N, K, L+1, L+1) array of a floating dtype
        Not standardised, of degree 2 at least.
    basis : Basis
        Not of images.

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
    The angle's error is that of the coefficients over the gap between the two second moments: where they are alike, as
    for a square table, the axes of that plane are arbitrary.
    """
    axes = np.linalg.eigh(_second_moments(maps, basis))[1].transpose(0, 2, 1)[:, ::-1]  # rows, the largest first
    proper: NDArray[np.float64] = axes * np.sign(np.linalg.det(axes))[:, None, None]
    return proper


def to_principal_frame(maps: NDArray[Any], basis: Basis) -> NDArray[Any]:
    """Each object turned onto its principal axes: the same for all of its poses, but for the axes' signs.

    Parameters, errors as ``principal_axes``. Returns maps (N, K, L+1, L+1) of the same dtype. About a millisecond an
    object at degree 20.
    """
    turned = np.array(maps)
    for row, axes in enumerate(principal_axes(turned, basis)):
        turned[row] = rotate(turned[row], basis, axes)
    return turned


def to_upright_frame(maps: NDArray[Any], basis: Basis) -> NDArray[Any]:
    """Each object turned about the vertical, so that its second moments in the plane are diagonal, the larger along x.

    The same for all turns of an object about the vertical, but for half a turn. Parameters, errors as
    ``principal_axes``. Returns maps (N, K, L+1, L+1) of the same dtype.
    """
    moments = _second_moments(maps, basis)
    angles = np.arctan2(2 * moments[:, 0, 1], moments[:, 0, 0] - moments[:, 1, 1]) / 2  # (N,), of the longer axis
    return rotate_about_vertical(np.asarray(maps), basis, -angles)


def _second_moments(maps: NDArray[Any], basis: Basis) -> NDArray[np.float64]:
    """The traceless matrix Q of each object, (N, 3, 3), up to a common factor."""
    if basis.kind == "pixels" or basis.degree < 2:
        got = f"kind {basis.kind!r}, degree {basis.degree}"
        raise UserError("principal axes are read from coefficients of degree 2", got, "give maps of shapes")
    channels = np.asarray(maps, dtype=np.float64)
    channels = channels[:, :1] if basis.kind == "zernike" else channels
    square = channels.sum(axis=1)  # (N, L+1, L+1)
    # m = 0, 1, 2 stand in row 2, m = -1, -2 above the diagonal (``data_prep.layout``); Y(2, m) are these products
    mixed, flat, split = sqrt(15 / (4 * pi)), 3 * sqrt(5 / (16 * pi)), sqrt(15 / (16 * pi))
    xy, yz, xz = square[:, 1, 2] / mixed, square[:, 0, 2] / mixed, square[:, 2, 1] / mixed
    zz, difference = square[:, 2, 0] / flat, square[:, 2, 2] / split
    xx, yy = (difference - zz) / 2, (-difference - zz) / 2
    return np.stack([xx, xy, xz, xy, yy, yz, xz, yz, zz], axis=1).reshape(-1, 3, 3)


def half_turn(maps: NDArray[Any], basis: Basis, signs: tuple[int, int, int]) -> NDArray[Any]:
    """Maps (..., K, L+1, L+1) with the signs of the coordinates changed as one of ``HALF_TURNS`` says; exact."""
    turned = np.array(maps)
    for axis, sign in zip(AXES, signs, strict=True):
        if sign < 0:
            turned = mirror(turned, basis, axis)
    return turned
