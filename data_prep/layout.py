"""The position of each coefficient in a vector and in the folded square map, and the channels of paired images.

Vectors list (k, l, m) lexicographically. Maps have one square of side L + 1 per radial channel k::

    M[l, m] = c(l, m)  for m >= 0     lower triangle with the diagonal
    M[m - 1, l] = c(l, -m)  for m > 0     strictly above the diagonal

The coefficients of degrees 0..l fill exactly the upper left square of side l + 1. With the
rectangular truncation every cell holds a coefficient. With the triangular truncation channel k
fills its upper left square of side L - 2k + 1, and the other cells hold zero.
"""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.basis import PAIR, Basis
from spectral_ssl.ground.errors import UserError, unknown_name

DIRECTIONS = ("AtoB", "BtoA")  # of a translation between the images of a pair


def list_indices(basis: Basis) -> NDArray[np.int64]:
    """List (k, l, m) of each coefficient of a vector.

    Returns
    -------
    (coefficients, 3) int64 array, read-only

    Raises
    ------
    UserError
        When the basis is that of images.

    Examples
    --------
    >>> from data_prep import list_indices, zernike_basis
    >>> list_indices(zernike_basis(degree=1)).tolist()
    [[0, 0, 0], [0, 1, -1], [0, 1, 0], [0, 1, 1]]
    """
    _refuse_images(basis)
    return _index(basis.degree, basis.radial, basis.truncation == "triangular")


def find_valid_cells(basis: Basis) -> NDArray[np.bool_]:
    """Mark the cells of a map that hold a coefficient; all cells for images.

    Returns
    -------
    (K, L+1, L+1) bool array; for images (channels, height, width)

    Examples
    --------
    >>> from data_prep import find_valid_cells, zernike_basis
    >>> find_valid_cells(zernike_basis(degree=2))[1].tolist()  # of the channel k = 1 only n = 2, l = 0
    [[True, False, False], [False, False, False], [False, False, False]]
    """
    valid = np.ones(basis.shape, dtype=bool)
    if basis.kind != "pixels":
        valid = np.zeros(basis.shape, dtype=bool)
        valid.reshape(-1)[find_cells(basis)] = True
    return valid


def find_cells(basis: Basis) -> NDArray[np.int64]:
    """Return the index of each coefficient of a vector in the flattened map.

    Returns
    -------
    (coefficients,) int64 array, read-only

    Raises
    ------
    UserError
        When the basis is that of images.
    """
    _refuse_images(basis)
    return _cells(basis.degree, basis.radial, basis.truncation == "triangular")


def fold(coefficients: NDArray[Any], basis: Basis) -> NDArray[Any]:
    """Arrange vectors of coefficients as maps.

    Parameters
    ----------
    coefficients : (..., n) array of any dtype
        Vectors in lexicographic order of (k, l, m).
    basis : Basis
        Any basis except that of images.

    Returns
    -------
    (..., K, L+1, L+1) array of the same dtype

    Raises
    ------
    UserError
        When the basis is that of images or n is not its number of coefficients.

    Examples
    --------
    >>> from data_prep import fold, zernike_basis
    >>> fold([1, 2, 3, 4], zernike_basis(degree=1)).tolist()  # c(0, 0, 0), c(0, 1, -1), c(0, 1, 0), c(0, 1, 1)
    [[[1, 2], [3, 4]]]
    """
    cells = find_cells(basis)
    values = np.asarray(coefficients)
    if values.shape[-1:] != cells.shape:
        raise UserError("shape of the coefficients", values.shape, f"give (..., {cells.size})")
    maps = np.zeros((*values.shape[:-1], int(np.prod(basis.shape))), values.dtype)
    maps[..., cells] = values
    return maps.reshape(*values.shape[:-1], *basis.shape)


def unfold(maps: NDArray[Any], basis: Basis) -> NDArray[Any]:
    """Arrange maps as vectors of coefficients: the inverse of ``fold``, without the cells that hold none.

    Parameters
    ----------
    maps : (..., K, L+1, L+1) array of any dtype
        Folded maps.
    basis : Basis
        Any basis except that of images.

    Returns
    -------
    (..., n) array of the same dtype

    Raises
    ------
    UserError
        When the basis is that of images or the maps do not have its shape.

    Examples
    --------
    >>> from data_prep import unfold, zernike_basis
    >>> unfold([[[1, 2], [3, 4]]], zernike_basis(degree=1)).tolist()
    [1, 2, 3, 4]
    """
    cells = find_cells(basis)
    return _flatten(maps, basis)[..., cells]


def find_degrees(basis: Basis) -> NDArray[np.int64]:
    """Return the angular degree l of each cell of a map; -1 in cells without a coefficient.

    Returns
    -------
    (K, L+1, L+1) int64 array

    Raises
    ------
    UserError
        When the basis is that of images.

    Examples
    --------
    >>> from data_prep import find_degrees, zernike_basis
    >>> find_degrees(zernike_basis(degree=2))[0].tolist()
    [[0, 1, 2], [1, 1, 2], [2, 2, 2]]
    """
    return _spread(list_indices(basis)[:, 1], basis)


def find_orders(basis: Basis) -> NDArray[np.int64]:
    """Return the polynomial order n = l + 2k of each cell (spherical harmonics: l); -1 in cells without a coefficient.

    Returns
    -------
    (K, L+1, L+1) int64 array

    Raises
    ------
    UserError
        When the basis is that of images.
    """
    k, ell, _ = list_indices(basis).T
    return _spread(ell + 2 * k if basis.kind == "zernike" else ell, basis)


def find_azimuthal_orders(basis: Basis) -> NDArray[np.int64]:
    """Return the signed order m of each cell of a map; 0 in cells without a coefficient (see ``find_valid_cells``).

    Returns
    -------
    (K, L+1, L+1) int64 array

    Raises
    ------
    UserError
        When the basis is that of images.
    """
    return fold(list_indices(basis)[:, 2], basis)


def find_opposite_cells(basis: Basis) -> NDArray[np.int64]:
    """Return, for each cell of the flattened map with c(k, l, m), the cell with c(k, l, -m).

    A cell without a coefficient gets its own index.

    Returns
    -------
    (K * (L+1)^2,) int64 array

    Raises
    ------
    UserError
        When the basis is that of images.
    """
    cells = find_cells(basis)
    # Within one (k, l) the orders go from -l to l, so the opposite order is 2 m entries back.
    partner = np.arange(cells.size) - 2 * list_indices(basis)[:, 2]
    result = np.arange(int(np.prod(basis.shape)))
    result[cells] = cells[partner]
    return result


def _flatten(maps: NDArray[Any], basis: Basis) -> NDArray[Any]:
    values = np.asarray(maps)
    if values.shape[-3:] != basis.shape:
        raise UserError("shape of the maps", values.shape, f"give (..., {', '.join(map(str, basis.shape))})")
    return values.reshape(*values.shape[:-3], int(np.prod(basis.shape)))


def _spread(values: NDArray[np.int64], basis: Basis) -> NDArray[np.int64]:
    return fold(values + 1, basis) - 1


def _refuse_images(basis: Basis) -> None:
    if basis.kind == "pixels":
        raise UserError("basis", "that of images", "give maps of coefficients (basis zernike or sh)")


@lru_cache(maxsize=32)
def _index(degree: int, radial: int, triangular: bool) -> NDArray[np.int64]:
    table = np.array(
        [
            (k, ell, m)
            for k in range(radial)
            for ell in range(degree - 2 * k + 1 if triangular else degree + 1)
            for m in range(-ell, ell + 1)
        ],
        dtype=np.int64,
    )
    table.flags.writeable = False
    return table


@lru_cache(maxsize=32)
def _cells(degree: int, radial: int, triangular: bool) -> NDArray[np.int64]:
    k, ell, m = _index(degree, radial, triangular).T
    row, column = np.where(m >= 0, ell, -m - 1), np.where(m >= 0, m, ell)
    cells: NDArray[np.int64] = (k * (degree + 1) + row) * (degree + 1) + column
    cells.flags.writeable = False
    return cells


def split_pair_channels(basis: Basis, direction: str = "AtoB") -> tuple[slice, slice]:
    """Return the channels of the condition and those of the target in a map of two images.

    A map file serves both directions: the direction belongs to the task, not to the data.

    Parameters
    ----------
    basis : Basis
        The basis of a map file of paired images.
    direction : {"AtoB", "BtoA"}
        Translation from the left image to the right image, or back.

    Returns
    -------
    condition, target : slice

    Raises
    ------
    UserError
        When the maps are not pairs, or the direction is unknown.

    Examples
    --------
    >>> from data_prep import pixel_basis
    >>> from data_prep.layout import split_pair_channels
    >>> split_pair_channels(pixel_basis(6, 256, 256, paired=True), "BtoA")
    (slice(3, 6, None), slice(0, 3, None))
    """
    if basis.layout != PAIR:
        raise UserError("not a map file of paired images", f"layout {basis.layout!r}", "prepare facades or pairs:PATH")
    if direction not in DIRECTIONS:
        raise unknown_name("direction", direction, DIRECTIONS)
    half = basis.shape[0] // 2
    left, right = slice(0, half), slice(half, 2 * half)
    return (left, right) if direction == "AtoB" else (right, left)
