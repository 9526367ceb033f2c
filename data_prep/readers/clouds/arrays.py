"""Reader of numpy's files (.npy, .npz): a table of points, or a voxel grid."""

import io
import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.readers.clouds.voxels import find_voxel_centres
from data_prep.readers.limits import LARGEST_FILE
from data_prep.source import Shape
from spectral_ssl.ground.errors import ObjectError

# Names of arrays in .npz files that hold clouds or voxel grids, in order of preference.
NPZ_NAMES = ("points", "pos", "pc", "xyz", "vertices", "voxels", "voxel", "grid", "occupancy", "data", "arr_0")


def parse_npy(data: bytes) -> Shape:
    """Parse a .npy file.

    Raises
    ------
    ObjectError
        When the file is damaged, or its array is neither a table of points nor a voxel grid.
    """
    return Shape(_to_points(_read_npy(data)))


def read_npz(path: Path) -> Shape:
    """Read a .npz file.

    Raises
    ------
    ObjectError
        When the file is damaged, or holds neither a table of points nor a voxel grid.
    """
    return Shape(_to_points(_read_npz(path)))


def _to_points(array: NDArray[Any]) -> NDArray[np.float64]:
    """Convert a table of points or a voxel grid to points."""
    return find_voxel_centres(array) if array.ndim == 3 else _first_columns(array)


def _first_columns(array: NDArray[Any]) -> NDArray[np.float64]:
    """Return the first three columns of a table, float64."""
    if array.ndim != 2 or array.shape[1] < 3 or array.dtype.kind not in "fiu":
        raise ObjectError(f"not a table of points: shape {array.shape}, {array.dtype}")
    return np.asarray(array[:, :3], np.float64)


def _read_npy(data: bytes) -> NDArray[Any]:
    try:
        stream = io.BytesIO(data)
        version = np.lib.format.read_magic(stream)
        read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        if version not in read_header:  # Later versions are for named columns.
            raise ValueError(f"version {version}")
        shape, _, dtype = read_header[version](stream)
        # numpy would allocate what the header announces before it checks the length of the file.
        if dtype.hasobject or math.prod(shape) * dtype.itemsize != len(data) - stream.tell():
            raise ValueError(f"an array {shape} of {dtype} and {len(data) - stream.tell()} bytes")
        return np.asarray(np.load(io.BytesIO(data), allow_pickle=False))
    except Exception as error:  # numpy evaluates the header, so a damaged header can raise many types.
        raise ObjectError(f"not a readable .npy file: {type(error).__name__}: {str(error)[:120]}") from error


def _read_npz(path: Path) -> NDArray[Any]:
    try:
        with zipfile.ZipFile(path) as archive:
            # zipfile checks the announced sizes again while it unpacks.
            if sum(member.file_size for member in archive.infolist()) > LARGEST_FILE:
                raise ObjectError(f"unpacks to more than {LARGEST_FILE >> 20} MiB")
            members = {name.removesuffix(".npy"): name for name in archive.namelist() if name.endswith(".npy")}
            name = next((name for name in NPZ_NAMES if name in members), None)
            if name is None and len(members) == 1:
                name = next(iter(members))
            if name is None:
                raise ObjectError(f"no array named {', '.join(NPZ_NAMES)}; arrays: {', '.join(members) or 'none'}")
            data = archive.read(members[name])
    except (ObjectError, OSError):
        raise
    except Exception as error:  # zipfile passes on all exceptions of the decompressors.
        raise ObjectError(f"not a readable .npz file: {error}") from error
    return _read_npy(data)
