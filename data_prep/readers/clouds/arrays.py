"""Reader of numpy's files (.npy, .npz): a table of points, a voxel grid, or the vertices and faces of a mesh.

``data_prep.readers.clouds.named_arrays`` chooses among the arrays of a .npz file.
"""

import io
import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.readers.clouds.column_names import AXES, find_axes
from data_prep.readers.clouds.columns import FEWEST_POINTS, choose_columns
from data_prep.readers.clouds.named_arrays import (
    CHANNELS_OF_POINTS,
    CLOUD_NAMES,
    KNOWN_NAMES,
    choose_arrays,
    refuse_other_name,
)
from data_prep.readers.clouds.voxels import find_voxel_centres, is_binary
from data_prep.readers.limits import LARGEST_FILE
from data_prep.source import Shape, add_note
from spectral_ssl.ground.errors import ObjectError

MOST_MEMBERS = 1000
MOST_SCALARS = 16  # Longest second axis of a single cloud.
THINNEST_GRID, THINNEST_OCCUPANCY = 16, 128  # Largest ratios of the longest side of a grid to the shortest


def parse_npy(data: bytes, path: Path) -> Shape:
    """Parse a .npy file; ``path`` is not opened.

    Raises
    ------
    ObjectError
        When the file is damaged, or its array is neither a table of points nor a voxel grid.
    """
    array = _read_npy(data)
    refuse_other_name(path.stem, array)
    return array_to_shape(array)


def parse_npz(data: bytes, path: Path) -> Shape:
    """Parse a .npz file; ``path`` is not opened.

    Raises
    ------
    ObjectError
        When the file is damaged, or holds neither a table of points, a voxel grid nor a mesh.
    """
    chosen = choose_arrays(_unpack(data))
    return chosen if isinstance(chosen, Shape) else array_to_shape(chosen)


def array_to_shape(array: NDArray[Any]) -> Shape:
    """Convert an array to a cloud: a table of points, columns with names, or a voxel grid.

    Parameters
    ----------
    array : ndarray
        Shape (N, M) with M >= 3: points, x y z first. (3, N): the same, transposed. (X, Y, Z): a
        voxel grid. Axes of length 1 in addition are left out. Named columns x, y and z of any
        shape: points.

    Returns
    -------
    Shape
        A cloud.

    Raises
    ------
    ObjectError
        When the array can be read in several ways or in none; the reason says how to save it.
    """
    if array.dtype.names is not None:
        return _read_named_columns(array)
    if array.dtype.kind not in "fiub":
        raise ObjectError(f"an array of {array.dtype}, shape {array.shape}: save real numbers")
    if array.size == 0:
        raise ObjectError(f"no points: shape {array.shape}")
    if array.ndim > 3 and array.ndim - array.shape.count(1) <= 3:
        return array_to_shape(_squeeze(array, 3))
    if array.ndim == 3:
        return _read_three_axes(array)
    if array.ndim == 2:
        return _read_table(array)
    if array.ndim > 3:
        raise ObjectError(
            f"shape {array.shape}: a batch of several objects, or channels. Write one file an object, shape (N, 3)"
        )
    raise ObjectError(f"not a table of points: shape {array.shape}. Save the points as (N, 3)")


def _squeeze(array: NDArray[Any], axes: int) -> NDArray[Any]:
    """Drop axes of length 1 until ``axes`` are left, the first ones first, and note it."""
    squeezed = array
    for position in (0, -1, *range(1, array.ndim)):
        while squeezed.ndim > axes and -squeezed.ndim <= position < squeezed.ndim and squeezed.shape[position] == 1:
            squeezed = squeezed.squeeze(position)
    add_note(f"shape {array.shape} read as {squeezed.shape}")
    return squeezed


def _read_three_axes(array: NDArray[Any]) -> Shape:
    """Read a voxel grid or one cloud with an additional axis; refuse batches, point maps and images."""
    shape = array.shape
    if 1 in shape and max(shape) >= FEWEST_POINTS:
        flat = array.squeeze(0 if shape[0] == 1 else shape.index(1))
        if min(flat.shape) > MOST_SCALARS:
            raise ObjectError(f"shape {shape}: an image, or one layer of voxels. It is no object")
        if flat.dtype.kind != "b":
            add_note(f"shape {shape} read as one cloud {flat.shape}")
            return _read_table(flat)
    is_occupancy = array.dtype.kind == "b" or is_binary(array)
    if max(shape) > (THINNEST_OCCUPANCY if is_occupancy else THINNEST_GRID) * min(shape) and 3 not in shape:
        raise ObjectError(
            f"shape {shape}: too thin for a voxel grid; several tables or images? Write one file an object"
        )
    if is_occupancy:
        return Shape(find_voxel_centres(array))
    if shape[-1] in CHANNELS_OF_POINTS and max(shape) > 8:
        if array.dtype == np.uint8 and min(shape[:2]) > 1:
            raise ObjectError(f"shape {shape} of uint8: an image or several clouds, not one cloud (N, 3)")
        raise ObjectError(
            f"shape {shape}: a batch of {shape[0]} clouds or a map of points. Write one file a cloud, (N, 3)"
        )
    if 3 in shape[:2] and max(shape) > 8:
        raise ObjectError(f"shape {shape}: a batch of several clouds, or an image. Write one file a cloud, (N, 3)")
    return Shape(find_voxel_centres(array))


def _read_table(array: NDArray[Any]) -> Shape:
    """Read a table of points, (N, M) or transposed."""
    rows, columns = array.shape
    if array.dtype.kind == "b":
        raise ObjectError(f"not a table of points: shape {array.shape} of bool")
    if rows < FEWEST_POINTS <= columns:
        if rows not in CHANNELS_OF_POINTS[:2]:
            raise ObjectError(f"shape {array.shape}: transpose it to (N, 3), one row a point")
        add_note(f"shape {array.shape} read transposed, one column a point")
        array = array.T
    return choose_columns(np.asarray(array, np.float64))


def _read_named_columns(array: NDArray[Any]) -> Shape:
    """Read the columns x, y and z of a structured array, or a column of three coordinates."""
    names = array.dtype.names or ()
    rows = array.reshape(-1)
    chosen = find_axes(names)
    if chosen is not None:
        columns = [rows[names[column]] for column in chosen]
        if any(column.ndim != 1 or column.dtype.kind not in "fiu" for column in columns):
            raise ObjectError(f"columns {', '.join(names)[:80]} that are no numbers")
        return choose_columns(np.stack([np.asarray(column, np.float64) for column in columns], axis=1), AXES)
    lower = {name.lower(): name for name in names}
    for known in CLOUD_NAMES:
        if known in lower and rows[lower[known]].shape[1:] == (3,) and rows[lower[known]].dtype.kind in "fiu":
            return choose_columns(np.asarray(rows[lower[known]], np.float64), AXES)
    raise ObjectError(f"columns named {', '.join(names)[:80]}: none are x, y, z. Save the points as (N, 3)")


def _read_npy(data: bytes) -> NDArray[Any]:
    try:
        stream = io.BytesIO(data)
        version = np.lib.format.read_magic(stream)
        # Version 3 differs from version 2 only in the encoding of the names of columns.
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
            (3, 0): np.lib.format.read_array_header_2_0,
        }
        if version not in read_header:
            raise ValueError(f"version {version}")
        shape, _, dtype = read_header[version](stream)
        if dtype.hasobject:
            raise ObjectError(
                "an array of Python objects, which are not unpickled because that runs code: save numbers"
            )
        # numpy would allocate what the header announces before it checks the length of the file.
        if math.prod(shape) * dtype.itemsize != len(data) - stream.tell():
            raise ValueError(f"an array {shape} of {dtype} and {len(data) - stream.tell()} bytes")
        return np.asarray(np.load(io.BytesIO(data), allow_pickle=False))
    except ObjectError:
        raise
    except Exception as error:  # numpy evaluates the header, so a damaged header can raise many types.
        raise ObjectError(f"not a readable .npy file: {type(error).__name__}: {str(error)[:120]}") from error


def _unpack(data: bytes) -> dict[str, NDArray[Any]]:
    """Unpack the arrays of a .npz file, by their names without folders."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [member for member in archive.infolist() if member.filename.endswith(".npy")]
            # zipfile checks the announced sizes again while it unpacks.
            if len(members) > MOST_MEMBERS or sum(member.file_size for member in members) > LARGEST_FILE:
                raise ObjectError(f"{len(members)} arrays; unpacks to more than {LARGEST_FILE >> 20} MiB")
            contents = {member.filename.removesuffix(".npy"): archive.read(member) for member in members}
    except ObjectError:
        raise
    except Exception as error:  # zipfile passes on all exceptions of the decompressors.
        raise ObjectError(f"not a readable .npz file: {error}") from error
    arrays: dict[str, NDArray[Any]] = {}
    for name, content in contents.items():
        short = name.rsplit("/", 1)[-1]
        try:
            arrays[name if short in arrays else short] = _read_npy(content)
        except ObjectError:
            if len(contents) == 1 or short.lower() in KNOWN_NAMES:
                raise  # An unreadable array that is not needed, such as a list of names, does no harm.
    return arrays
