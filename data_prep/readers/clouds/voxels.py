"""Conversion of voxel grids to clouds: the centres of the occupied voxels. Grids are 3D arrays or .binvox files.

In a solid grid the voxels inside are occupied too. So maps of solid and of hollow grids differ. The
reader does not hollow solid grids.
"""

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.source import add_note
from spectral_ssl.ground.errors import ObjectError

MOST_ON_A_SIDE = 1024
MOST_VOXELS = 1 << 28  # 256 MiB of bytes, a grid of 645^3
MOST_LABELS = 64
ROUNDING = 1e-3  # Interpolated occupancies exceed 0 and 1 by less.
MOST_OCCUPIED = 1 << 22  # The centre of a voxel takes 24 bytes.
HEADER = re.compile(rb"#binvox[^\r\n]*[\r\n](?P<fields>[^\0]{0,4096}?[\r\n])data[ \t]*(?:\r\n|\n|\r)")


def find_voxel_centres(grid: NDArray[Any]) -> NDArray[np.float64]:
    """Return the centres of the occupied voxels.

    Parameters
    ----------
    grid : ndarray, shape (X, Y, Z)
        Booleans, or numbers of which one except zero occurs: every value except zero means
        occupied. Integers of up to ``MOST_LABELS`` values: labels, 0 means empty. Floats in [0, 1]
        (occupancies, as networks write them): values above 0.5 mean occupied.

    Returns
    -------
    ndarray, shape (N, 3), float64
        Centres in units of a voxel; the first index is x.

    Raises
    ------
    ObjectError
        When the grid is empty, has too many occupied voxels, or holds distances or densities.
    """
    if grid.ndim != 3 or grid.dtype.kind not in "biuf":
        raise ObjectError(f"not a voxel grid: shape {grid.shape}, {grid.dtype}")
    if grid.dtype.kind == "b" or is_binary(grid):
        occupied = grid != 0
    elif grid.dtype.kind == "f":
        occupied = _find_occupied(grid)
    else:
        _check_labels(grid)
        occupied = grid != 0
    count = int(np.count_nonzero(occupied))
    if count == 0:
        raise ObjectError("an empty voxel grid")
    if count > MOST_OCCUPIED:
        raise ObjectError(f"{count} occupied voxels, more than {MOST_OCCUPIED}")
    return np.asarray(np.argwhere(occupied) + 0.5, np.float64)


def is_binary(grid: NDArray[Any]) -> bool:
    """Return whether an array holds zeros and one positive value only, or nothing but zeros."""
    if grid.dtype.kind == "b":
        return True
    highest = grid.max()
    if not highest >= 0 or (grid.dtype.kind == "f" and highest not in (0, 1, 255)):
        return False
    return bool(((grid == 0) | (grid == highest)).all())


def _find_occupied(grid: NDArray[Any]) -> NDArray[np.bool_]:
    """Find the voxels with an occupancy above 0.5; refuse distances and densities."""
    finite = np.isfinite(grid)
    bad = grid.size - int(np.count_nonzero(finite))
    if bad == grid.size:
        raise ObjectError("a grid without finite values")
    if bad:
        add_note(f"{bad} of {grid.size} voxels are not finite: read as empty")
        grid = np.where(finite, grid, 0)
    lowest, highest = float(grid.min()), float(grid.max())
    if lowest < -ROUNDING:
        raise ObjectError(
            f"a grid of values {lowest:.4g} to {highest:.4g}: negative values are distances, not occupancies. "
            "Save occupancies, for example grid < 0 of signed distances"
        )
    if highest > 1 + ROUNDING:
        raise ObjectError(
            f"a grid of values {lowest:.4g} to {highest:.4g}: distances or densities. Save occupancies in [0, 1]"
        )
    inner = grid[1:-1, 1:-1, 1:-1]
    if inner.size and highest > 0:
        border = (float(grid.sum()) - float(inner.sum())) / (grid.size - inner.size)
        middle = np.count_nonzero((grid > 0.05) & (grid < 0.95))
        # A box that fills its grid is high at the border too, but has few values between 0 and 1.
        smooth = (border > 0.5 and middle > grid.size / 2) or (border > 0.9 and middle > grid.size / 20)
        if smooth and border > float(inner.mean()):
            raise ObjectError("a grid of smooth values, higher at its border than inside: distances, not occupancies")
    return np.asarray(grid > 0.5)


def _check_labels(grid: NDArray[Any]) -> None:
    """Refuse a grid of integers that are no labels; note how labels are read."""
    if grid.min() < 0:
        raise ObjectError(f"a grid of integers from {grid.min()}: negative values are no occupancy. Save 0 and 1")
    labels = len(np.unique(grid))
    if labels > MOST_LABELS:
        raise ObjectError(
            f"a grid of {labels} values, {grid.min()} to {grid.max()}: a scan or densities. Save occupancies, 0 and 1"
        )
    if labels > 2:
        add_note(f"a grid of {labels} labels: every voxel except 0 is occupied")


def parse_binvox(data: bytes) -> NDArray[np.float64]:
    """Parse a .binvox file: return the centres of the occupied voxels, in the coordinates of the original mesh.

    Parameters
    ----------
    data : bytes
        Content of the whole file: a text header with ``dim`` and optionally ``translate`` and
        ``scale`` in any order, and comments after #; then pairs of bytes (value, number of
        repetitions), with y running fastest, then z, then x.

    Returns
    -------
    ndarray, shape (N, 3), float64

    Raises
    ------
    ObjectError
        When the file is damaged, the grid is empty, or too large.
    """
    header = HEADER.match(data)
    if header is None:
        raise ObjectError("not a binvox file: no header from #binvox to data")
    lines = [line.partition(b"#")[0].split() for line in header["fields"].splitlines()]
    fields = {words[0].lower(): words[1:] for words in lines if words}
    try:
        depth, height, width = (int(word) for word in fields[b"dim"])
        translate = np.array([float(word) for word in fields.get(b"translate", [b"0"] * 3)])
        (scale,) = (float(word) for word in fields.get(b"scale", [b"1"]))
    except (KeyError, ValueError) as error:
        raise ObjectError(f"unreadable header of a binvox file: {error}") from None
    if translate.shape != (3,) or not np.isfinite(translate).all() or not (np.isfinite(scale) and scale > 0):
        raise ObjectError("unreadable header of a binvox file: translate and scale")
    sides = np.array([depth, height, width])
    # This check comes before unpacking, because two bytes can stand for 255 voxels.
    if sides.min() < 1 or sides.max() > MOST_ON_A_SIDE or depth * height * width > MOST_VOXELS:
        raise ObjectError(f"a grid of {depth}x{height}x{width} voxels")
    body = np.frombuffer(data, np.uint8, offset=header.end())
    values, counts = body[: len(body) // 2 * 2].reshape(-1, 2).T
    total = int(counts.sum(dtype=np.int64))
    if total != depth * height * width:
        raise ObjectError(f"{total} voxels of {depth * height * width}: truncated or damaged")
    if values.max(initial=0) > 1:
        raise ObjectError("voxel values other than 0 and 1")
    grid = np.repeat(values, counts).reshape(depth, height, width)  # x, z, y
    centres = find_voxel_centres(grid)[:, [0, 2, 1]]
    return np.asarray(centres / sides.max() * scale + translate)
