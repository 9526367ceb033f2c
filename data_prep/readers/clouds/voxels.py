"""Conversion of voxel grids to clouds: the centres of the occupied voxels. Grids are 3D arrays or .binvox files.

In a solid grid the voxels inside are occupied too. So maps of solid and of hollow grids differ. The
reader does not hollow solid grids.
"""

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spectral_ssl.ground.errors import ObjectError

MOST_ON_A_SIDE = 1024
MOST_VOXELS = 1 << 28  # 256 MiB of bytes, a grid of 645^3
MOST_OCCUPIED = 1 << 22  # The centre of a voxel takes 24 bytes.
HEADER = re.compile(rb"#binvox[^\n]*\n(?P<fields>[^\0]{0,4096}?\n)data\r?\n")


def find_voxel_centres(grid: NDArray[Any]) -> NDArray[np.float64]:
    """Return the centres of the occupied voxels.

    Parameters
    ----------
    grid : ndarray, shape (X, Y, Z)
        Booleans or integers, where every value except zero means occupied; or floats (occupancies,
        as networks write them), where values above 0.5 mean occupied.

    Returns
    -------
    ndarray, shape (N, 3), float64
        Centres in units of a voxel; the first index is x.

    Raises
    ------
    ObjectError
        When the grid is empty, or has too many occupied voxels.
    """
    if grid.ndim != 3 or grid.dtype.kind not in "biuf":
        raise ObjectError(f"not a voxel grid: shape {grid.shape}, {grid.dtype}")
    with np.errstate(invalid="ignore"):
        occupied = grid > 0.5 if grid.dtype.kind == "f" else grid != 0
    count = int(np.count_nonzero(occupied))
    if count == 0:
        raise ObjectError("an empty voxel grid")
    if count > MOST_OCCUPIED:
        raise ObjectError(f"{count} occupied voxels, more than {MOST_OCCUPIED}")
    return np.asarray(np.argwhere(occupied) + 0.5, np.float64)


def parse_binvox(data: bytes) -> NDArray[np.float64]:
    """Parse a .binvox file: return the centres of the occupied voxels, in the coordinates of the original mesh.

    Parameters
    ----------
    data : bytes
        Content of the whole file: a text header with ``dim`` and optionally ``translate`` and
        ``scale``, then pairs of bytes (value, number of repetitions), with y running fastest, then
        z, then x.

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
    fields = {line.split()[0]: line.split()[1:] for line in header["fields"].splitlines() if line.strip()}
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
