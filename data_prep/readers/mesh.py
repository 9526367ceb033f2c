"""Reader of one 3D object from a file: a mesh, a point cloud or a voxel grid, chosen by the file's suffix.

The reader opens only the given file; a .gltf file may also name buffers in its own folder. It
downloads nothing and loads no pickled data. It ignores materials and textures.
"""

import io
import math
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.readers.limits import check_gltf, check_ply, check_words
from data_prep.readers.off import parse_off
from data_prep.readers.voxels import find_voxel_centres, parse_binvox
from data_prep.source import Shape
from spectral_ssl.ground.errors import ObjectError

MESH_SUFFIXES = (".off", ".obj", ".ply", ".stl", ".glb", ".gltf")
CLOUD_SUFFIXES = (".xyz", ".pts", ".txt", ".npy", ".npz", ".binvox")
SHAPE_SUFFIXES = MESH_SUFFIXES + CLOUD_SUFFIXES
LARGEST_FILE = 256 << 20  # bytes; the largest ModelNet mesh has 200 MB
OBJ_NAMES = re.compile(rb"^[ \t]*(?:usemtl|mtllib|[gos])(?:[ \t][^\n]*)?$", re.MULTILINE)
# Names of arrays in .npz files that hold clouds or voxel grids, in order of preference.
NPZ_NAMES = ("points", "pos", "pc", "xyz", "vertices", "voxels", "voxel", "grid", "occupancy", "data", "arr_0")


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
        faces is a cloud. An array of three dimensions in a .npy or .npz file is a voxel grid.

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
        if suffix == ".npz":
            return _check(Shape(_to_points(_read_npz(path))))
        data = path.read_bytes()
    except OSError as error:
        raise ObjectError(f"cannot be read: {error.strerror or error}") from error
    if suffix == ".off":
        return _check(Shape(*parse_off(data)))
    if suffix == ".npy":
        return _check(Shape(_to_points(_read_npy(data))))
    if suffix == ".binvox":
        return _check(Shape(parse_binvox(data)))
    if suffix in CLOUD_SUFFIXES:
        check_words(data)
        return _check(Shape(_first_columns(_read_text(data, suffix))))
    return _check(_read_with_trimesh(data, suffix, path))


def _check(shape: Shape) -> Shape:
    """Return the shape if points can be sampled from it; otherwise raise an ObjectError."""
    if len(shape.points) == 0:
        raise ObjectError("no points")
    if not np.isfinite(shape.points).all():
        raise ObjectError("coordinates that are not finite")
    if shape.faces is None:
        return shape
    if len(shape.faces) == 0:
        raise ObjectError("no faces")
    if shape.faces.min() < 0 or shape.faces.max() >= len(shape.points):
        raise ObjectError("a face names a vertex that does not exist")
    for part in (shape.faces[:64], shape.faces[64:]):  # The first faces nearly always suffice, and this saves time.
        first, second, third = (shape.points[part[:, corner]] for corner in range(3))
        with np.errstate(over="ignore", invalid="ignore"):
            if np.cross(second - first, third - first).any():
                return shape
    raise ObjectError("zero area: all faces are degenerate")


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


def _read_text(data: bytes, suffix: str) -> NDArray[np.float64]:
    """Read columns of numbers, separated by white space or commas; a .pts file may begin with the number of points."""
    first, _, rest = data.partition(b"\n")
    if suffix == ".pts" and first.strip().isdigit():
        data = rest
    if not data.strip():
        raise ObjectError("no points")
    try:
        table = np.loadtxt(io.BytesIO(data.replace(b",", b" ")), ndmin=2, encoding="utf-8")
    except (ValueError, UnicodeDecodeError) as error:
        raise ObjectError(f"not a table of numbers: {error}") from error
    return np.asarray(table, np.float64)


def _check_for_trimesh(data: bytes, suffix: str) -> bytes:
    """Check the announced size of a file; return its content as trimesh should read it.

    Raises
    ------
    ObjectError, ValueError and others
        When the file announces more than it holds, or is damaged.
    """
    if suffix in (".glb", ".gltf"):
        check_gltf(data)
    elif suffix == ".ply":
        check_ply(data)
    elif suffix == ".obj":
        check_words(data)
        # Names of groups and materials are not needed, and trimesh takes minutes for a hundred
        # thousand of them.
        data = OBJ_NAMES.sub(b"", data)
    elif suffix == ".stl" and data[:5].lower() == b"solid":
        check_words(data)
    return data


class _Neighbours(Mapping[str, bytes]):
    """The files of one folder by name, for .gltf files with separate buffers; paths out of the folder do not exist."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._left = LARGEST_FILE  # Bytes that may still be read. A scene may name one file many times.

    def __getitem__(self, name: str) -> bytes:
        path = (self._folder / name).resolve()
        if not path.is_relative_to(self._folder) or not path.is_file():
            raise KeyError(name)
        self._left -= path.stat().st_size
        if self._left < 0:
            raise ObjectError(f"buffers of more than {LARGEST_FILE >> 20} MiB")
        return path.read_bytes()

    def get(self, name: str, default: Any = None) -> Any:  # trimesh calls this for parts that may be missing.
        try:
            return self[name]
        except KeyError:
            return default

    def __iter__(self) -> Iterator[str]:
        return (path.name for path in self._folder.iterdir())

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _read_with_trimesh(data: bytes, suffix: str, path: Path) -> Shape:
    """Merge all parts of the file's scene, each at its position, to one mesh; without faces to one cloud."""
    import trimesh  # The import takes 0.6 s.

    trimesh.util.log.setLevel("CRITICAL")  # It logs missing textures with tracebacks.
    resolver = _Neighbours(path.parent) if suffix == ".gltf" else None
    options = {"skip_materials": True} if suffix in (".obj", ".ply", ".glb", ".gltf") else {}
    try:
        scene: Any = trimesh.load(
            io.BytesIO(_check_for_trimesh(data, suffix)),
            file_type=suffix[1:],
            resolver=resolver,
            process=False,
            force="scene",
            **options,
        )
        vertices, faces, clouds, start = [], [], [], 0
        for node in scene.graph.nodes_geometry:
            transform, name = scene.graph[node]
            part = scene.geometry[name]
            points = trimesh.transform_points(np.asarray(part.vertices, np.float64), transform)
            if isinstance(part, trimesh.Trimesh) and len(part.faces):
                vertices.append(points)
                faces.append(np.asarray(part.faces, np.int64) + start)
                start += len(points)
            elif isinstance(part, trimesh.PointCloud | trimesh.Trimesh):
                clouds.append(points)
        if vertices:
            return Shape(np.concatenate(vertices), np.concatenate(faces))
        if clouds and suffix == ".ply":
            return Shape(np.concatenate(clouds))
    except ObjectError:
        raise
    except Exception as error:  # Damaged files make the parsers raise many types, from KeyError to struct.error.
        raise ObjectError(f"unreadable {suffix} file: {type(error).__name__}: {str(error)[:120]}") from error
    raise ObjectError("no faces")
