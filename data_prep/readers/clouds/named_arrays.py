"""Choice among the arrays of a .npz file by their names: a mesh, a cloud or a voxel grid.

Samples of a network's training are refused: points of the whole space with their occupancies or
distances are no object.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.readers.clouds.array_mesh import FACE_NAMES, find_mesh
from data_prep.readers.clouds.columns import refuse_distances
from data_prep.source import Shape, add_note
from spectral_ssl.ground.errors import ObjectError

Arrays = Mapping[str, NDArray[Any]]

# Usual names in lower case, in order of preference.
CLOUD_NAMES = (
    *("points", "point", "pos", "pc", "xyz", "pts", "cloud", "point_cloud", "pointcloud", "points3d", "pcl", "pcd"),
    *("coords", "coord", "coordinates", "position", "positions", "surface_points", "points_surface", "surface", "p"),
    *("point_set", "pointset", "vertices", "verts", "vertex", "v"),
)
GRID_NAMES = ("voxels", "voxel", "vox", "voxel_grid", "voxelgrid", "grid", "occupancy", "occupancies", "volume")
PLAIN_NAMES = ("data", "arr_0")
CHANNELS_OF_POINTS = (3, 6, 7)  # Positions; with normals or colours; with one more value.
OCCUPANCY_NAMES = ("occupancies", "occupancy", "occ", "occs", "inside", "is_inside", "in_out")
SURFACE_NAMES = ("surface_points", "points_surface", "surface", "pointcloud", "point_cloud")
DISTANCE_NAMES = ("sdf", "sdfs", "sdv", "tsdf", "udf", "df", "signed_distance", "signed_distances")
KNOWN_NAMES = frozenset((*CLOUD_NAMES, *FACE_NAMES, *GRID_NAMES, *PLAIN_NAMES, *OCCUPANCY_NAMES, *DISTANCE_NAMES))
# Names of tables (N, 3) next to the points of an object.
OTHER_NAMES = ("normal", "normals", "trans", "translations", "rotations", "poses")
SAVE_SURFACE = "not an object: give the points of its surface, or a mesh"


def choose_arrays(arrays: Arrays) -> Shape | NDArray[Any]:
    """Choose the mesh, the cloud or the grid among named arrays.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        The arrays by their names, in capitals or not.

    Returns
    -------
    Shape or ndarray
        A mesh if there are vertices and faces; otherwise the array of a cloud or a grid.

    Raises
    ------
    ObjectError
        When no array is a shape, or several could be.

    Examples
    --------
    >>> import numpy as np
    >>> from data_prep.readers.clouds.named_arrays import choose_arrays
    >>> choose_arrays({"normals": np.zeros((9, 3)), "Points": np.ones((9, 3))})[0].tolist()
    [1.0, 1.0, 1.0]
    """
    if not arrays:
        raise ObjectError("no array in this file")
    lower = {name.lower(): name for name in reversed(list(arrays))}
    if samples := describe_samples({name: arrays[original] for name, original in lower.items()}):
        surface = next((lower[name] for name in SURFACE_NAMES if name in lower), None)
        if surface is None:
            raise ObjectError(samples)
        add_note(f"several arrays: {surface} is read, samples of space are left out")
        return arrays[surface]
    mesh = find_mesh({name: arrays[original] for name, original in lower.items()})
    if mesh is not None:
        return mesh
    axes = [lower.get(axis) for axis in ("x", "y", "z")]
    if not any(name in lower for name in CLOUD_NAMES) and None not in axes:
        columns = [arrays[str(axis)] for axis in axes]
        if all(column.ndim == 1 and column.shape == columns[0].shape for column in columns):
            return np.stack(columns, axis=1)
    candidates = [lower[name] for name in (*CLOUD_NAMES, *GRID_NAMES) if name in lower]
    candidates = [name for name in candidates if arrays[name].ndim > 1 or arrays[name].dtype.names] or candidates
    if not candidates:
        candidates = list(_choose_plain(arrays, lower))
    chosen, *others = candidates
    _refuse_values(chosen, arrays)
    others = [name for name in others if not np.array_equal(arrays[name], arrays[chosen])]
    if others:
        add_note(f"several arrays: {chosen} is read, {', '.join(others)[:80]} are left out")
    return arrays[chosen]


def describe_samples(arrays: Arrays) -> str:
    """Describe query points with occupancies or distances, as networks of implicit functions are trained on.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        The arrays by their names in lower case.

    Returns
    -------
    str
        The reason of the refusal; empty if the arrays are no such samples.
    """
    for name, array in arrays.items():
        if (name in OCCUPANCY_NAMES or "occupanc" in name) and array.ndim < 3 and len(arrays) > 1:
            return f"query points with occupancies (array {name!r}): samples of space, {SAVE_SURFACE}"
        if name in DISTANCE_NAMES or "sdf" in name:
            return f"distances (array {name!r}): samples of a distance function, {SAVE_SURFACE}"
    if {"pos", "neg"} <= set(arrays) and all(arrays[name].shape[1:] == (4,) for name in ("pos", "neg")):
        return f"arrays pos and neg of four columns: samples of a signed distance function, {SAVE_SURFACE}"
    return ""


def refuse_other_name(name: str, array: NDArray[Any]) -> None:
    """Refuse an array whose name says that it holds faces, normals or poses, such as the file ``chair_faces.npy``.

    Raises
    ------
    ObjectError
        When the last word of the name is one of those.
    """
    word = re.split("[^a-z]+", name.lower().rstrip("0123456789_-. "))[-1]
    if word in OTHER_NAMES or (word in FACE_NAMES and array.dtype.kind in "iu"):
        raise ObjectError(f"{word}, not points: save the points, or vertices and faces in one .npz file")


def _refuse_values(chosen: str, arrays: Arrays) -> None:
    """Refuse points if another array holds a distance or an occupancy for each of them."""
    points = arrays[chosen]
    if points.ndim != 2 or points.shape[1] != 3 or points.dtype.kind not in "fiu":
        return
    for array in arrays.values():
        if array.dtype.kind == "f" and array.size and not array.min() < 0:
            continue  # A positive value can be any smooth property of a surface, such as a radius.
        if array.dtype.kind in "fiub" and array.size == len(points) == len(np.atleast_1d(array)):
            columns = [np.asarray(points, np.float64), np.asarray(array, np.float64).reshape(-1, 1)]
            refuse_distances(np.hstack(columns))


def _choose_plain(arrays: Arrays, lower: Mapping[str, str]) -> Sequence[str]:
    """Choose an array without a usual name: the only one, or the only one that is no list.

    Raises
    ------
    ObjectError
        When there are several.
    """
    if len(arrays) == 1:
        refuse_other_name(*next(iter(arrays.items())))
        return list(arrays)
    large = [name for name, array in arrays.items() if array.ndim > 1 or array.dtype.names]
    plain = [lower[name] for name in PLAIN_NAMES if name in lower]
    if len(large) == 1 and (plain or _has_three_columns(arrays[large[0]])):
        add_note(f"several arrays: {large[0]} is read")
        return large
    if plain and "arr_1" not in lower:
        return plain
    for name in large:
        shape = arrays[name].shape
        if len(shape) == 3 and shape[-1] in CHANNELS_OF_POINTS and max(shape) > 8:
            raise ObjectError(
                f"array {name} of shape {shape}: a batch of {shape[0]} clouds or a map of points. "
                "Write one file a cloud, (N, 3)"
            )
    content = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
    raise ObjectError(
        f"arrays {content[:160]}: none has the name of a cloud, such as points, or of a mesh, vertices and faces"
    )


def _has_three_columns(array: NDArray[Any]) -> bool:
    return array.dtype.names is not None or (array.ndim == 2 and array.shape[1] == 3)
