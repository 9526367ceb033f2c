"""Reader of one 3D object from a file: a mesh, a point cloud or a voxel grid, chosen by the file's suffix.

The reader opens only the given file; a glTF file may also name buffers in its own folder. It
downloads nothing and loads no pickled data. It ignores materials and textures.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_prep.readers.clouds.arrays import parse_npy, parse_npz
from data_prep.readers.clouds.las import parse_las
from data_prep.readers.clouds.pcd import parse_pcd
from data_prep.readers.clouds.text import parse_text
from data_prep.readers.clouds.voxels import parse_binvox
from data_prep.readers.foreign import refuse_foreign
from data_prep.readers.limits import LARGEST_FILE
from data_prep.readers.meshes.gltf.scene import parse_gltf
from data_prep.readers.meshes.obj import parse_obj
from data_prep.readers.meshes.off import parse_off
from data_prep.readers.meshes.ply import parse_ply
from data_prep.readers.meshes.step import parse_step
from data_prep.readers.meshes.stl import parse_stl
from data_prep.source import Shape, add_note, collect_notes
from spectral_ssl.ground.errors import ObjectError

# The parser of each format: a function of a file's content and its path.
PARSERS: dict[str, Callable[[bytes, Path], Shape]] = {
    ".off": lambda data, path: Shape(*parse_off(data)),
    ".obj": lambda data, path: parse_obj(data),
    ".ply": lambda data, path: parse_ply(data),
    ".stl": lambda data, path: parse_stl(data),
    **dict.fromkeys((".glb", ".gltf"), lambda data, path: parse_gltf(data, path.parent)),
    **dict.fromkeys((".step", ".stp"), parse_step),
    **dict.fromkeys((".xyz", ".pts", ".txt", ".asc"), parse_text),
    ".pcd": parse_pcd,
    **dict.fromkeys((".las", ".laz"), parse_las),
    ".npy": parse_npy,
    ".npz": parse_npz,
    ".binvox": lambda data, path: Shape(parse_binvox(data)),
}
SHAPE_SUFFIXES = tuple(PARSERS)
FEWEST_ZEROS = 8  # Repeated points at the origin fill up arrays, or stand for pixels of a camera without a measurement.
MOST_BAD = 0.1  # Largest share of a cloud's points that may be left out because they are not finite.
UNUSED = 0.25  # Smallest share of vertices without a face that is noted.
NO_DATA = (-9999.0, -32768.0, -99999.0, -999999.0)  # Programs write these, or a huge number, where they have no height.
HUGE = 1e30


def read_shape(path: Path) -> Shape:
    r"""Read a mesh, a cloud, or a voxel grid as the cloud of its occupied voxels.

    Parameters
    ----------
    path : Path
        A file with one of ``SHAPE_SUFFIXES``, in upper or lower case.

    Returns
    -------
    Shape
        Points (N, 3) float64 and, for a mesh, faces (F, 3) int64. The parts of a scene are merged,
        each at its position in the scene: x' = T x with the transform T of its node. A .ply without
        faces is a cloud. An array of three dimensions in a .npy or .npz file is a voxel grid. Its
        ``notes`` name what was not taken literally.

    Raises
    ------
    ObjectError
        When the file is missing, too large, damaged, or holds no points to sample from.

    Notes
    -----
    Text coordinates are rounded to the nearest float64. Binary coordinates are exact: float32
    values are widened. Only the transforms of a scene add rounding, below 1e-15 relative.

    Examples
    --------
    >>> from data_prep import read_shape
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "triangle.off"
    ...     _ = path.write_text("OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n")
    ...     shape = read_shape(path)
    >>> shape.points.shape, shape.faces.tolist()
    ((3, 3), [[0, 1, 2]])
    """
    suffix = path.suffix.lower()
    if suffix not in SHAPE_SUFFIXES:
        raise ObjectError(f"unknown ending {path.suffix!r}; known are {' '.join(SHAPE_SUFFIXES)}")
    try:
        size = path.stat().st_size
        if size > LARGEST_FILE:
            raise ObjectError(f"{size >> 20} MiB, more than {LARGEST_FILE >> 20}")
        if size == 0:
            raise ObjectError("an empty file")
        with collect_notes() as notes:
            data = path.read_bytes()
            refuse_foreign(data, suffix)
            shape = _check(PARSERS[suffix](data, path))
    except OSError as error:
        raise ObjectError(f"cannot be read: {error.strerror or error}") from error
    return replace(shape, notes=(*shape.notes, *notes))


def _check(shape: Shape) -> Shape:
    """Return the shape if points can be sampled from it; otherwise raise an ObjectError."""
    if len(shape.points) == 0:
        raise ObjectError("no points")
    if shape.faces is None:
        return _drop_bad_points(shape)
    if len(shape.faces) == 0:
        raise ObjectError("no faces")
    last = int(shape.faces.max())
    if shape.faces.min() < 0 or last >= len(shape.points):
        raise ObjectError("a face names a vertex that does not exist")
    if last + 1 < len(shape.points) or shape.faces.size < len(shape.points):  # To count them always would take time.
        _note_unused_vertices(len(shape.points), shape.faces)
    points = _move_unused_vertices(shape.points, shape.faces)
    for part in (shape.faces[:64], shape.faces[64:]):  # The first faces nearly always suffice, and this saves time.
        first, second, third = (points[part[:, corner]] for corner in range(3))
        with np.errstate(over="ignore", invalid="ignore"):
            if np.cross(second - first, third - first).any():
                return replace(shape, points=points)
    raise ObjectError("zero area: all faces are degenerate")


def _drop_bad_points(cloud: Shape) -> Shape:
    """Drop the points of a cloud that are no measurements: zeros, no data, and up to ``MOST_BAD`` that are not finite.

    Raises
    ------
    ObjectError
        When too many points are not finite.
    """
    is_zero = ~np.logical_or.reduce(cloud.points != 0, axis=1)
    zeros = int(np.count_nonzero(is_zero))
    if FEWEST_ZEROS <= zeros < len(is_zero):
        add_note(f"{zeros} of {len(is_zero)} points are exactly 0 0 0, as empty places are filled: left out")
        cloud = replace(cloud, points=cloud.points[~is_zero])
    good = np.logical_and.reduce(np.isfinite(cloud.points), axis=1)
    bad = len(good) - int(np.count_nonzero(good))
    if bad > MOST_BAD * len(good):
        raise ObjectError(f"{bad} of {len(good)} points are not finite, more than {MOST_BAD:.0%}: remove them")
    if bad:
        add_note(f"{bad} of {len(good)} points are not finite: left out")
        cloud = replace(cloud, points=cloud.points[good])
    return _drop_no_data(cloud)


def _drop_no_data(cloud: Shape) -> Shape:
    """Drop points with a coordinate that stands for no data and lies farther from all others than they extend."""
    if cloud.points.min() > max(NO_DATA) and cloud.points.max() < HUGE:  # This is faster than a loop over columns.
        return cloud
    keep = np.ones(len(cloud.points), np.bool_)
    found: list[float] = []
    for column in cloud.points.T:
        if not any(end in NO_DATA or abs(end) >= HUGE for end in (column.min(), column.max())):
            continue
        is_number = ~np.isin(column, NO_DATA) & (np.abs(column) < HUGE)
        if not is_number.any():
            continue
        low, high = column[is_number].min(), column[is_number].max()
        values = np.unique(column[~is_number])
        if np.maximum(low - values, values - high).min() > high - low:
            keep &= is_number
            found += values.tolist()
    bad = len(keep) - int(np.count_nonzero(keep))
    if bad == 0 or bad == len(keep):
        return cloud
    add_note(f"{bad} of {len(keep)} points have the coordinate {found[0]:.6g}, which stands for no data: left out")
    return replace(cloud, points=cloud.points[keep])


def _note_unused_vertices(count: int, faces: NDArray[np.int64]) -> None:
    """Add a note if many vertices belong to no face, as in files whose indices restart with each object."""
    is_used = np.zeros(count, np.bool_)
    is_used[faces] = True
    unused = count - int(np.count_nonzero(is_used))
    if unused >= UNUSED * count:
        add_note(
            f"{unused} of {count} vertices belong to no face: left out; parts are missing if the indices of the faces "
            "restart with each object"
        )


def _move_unused_vertices(points: NDArray[np.float64], faces: NDArray[np.int64]) -> NDArray[np.float64]:
    """Move vertices that are not finite and that no face uses to a corner of a face, where they change nothing.

    Raises
    ------
    ObjectError
        When a face uses a vertex that is not finite.
    """
    bad = np.logical_or.reduce(~np.isfinite(points), axis=1)
    if not bad.any():
        return points
    used = int(np.count_nonzero(bad[faces].any(axis=1)))
    if used:
        raise ObjectError(f"{used} of {len(faces)} faces have a vertex that is not finite: repair them")
    add_note(f"{int(bad.sum())} vertices that no face uses are not finite: left out")
    return np.where(bad[:, None], points[faces[0, 0]], points)
