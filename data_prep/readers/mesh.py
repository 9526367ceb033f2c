"""Reading one 3D object from a file: meshes, point clouds and voxel grids, by the ending of the file's name.

No file but the given one is opened (a .gltf may name buffers in its own folder), nothing is fetched, nothing that was
pickled is loaded, materials and textures are left out.
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
# names under which clouds and voxel grids are found in .npz files, in order of preference
NPZ_NAMES = ("points", "pos", "pc", "xyz", "vertices", "voxels", "voxel", "grid", "occupancy", "data", "arr_0")


def read_shape(path: Path) -> Shape:
    """Read a mesh, a cloud, or a voxel grid as the cloud of its occupied voxels.

    Parameters
    ----------
    path : Path
        A file with one of ``SHAPE_SUFFIXES``, in capitals or not.

    Returns
    -------
    Shape
        A scene's parts are put together where the scene has them. A .ply without faces is a cloud. A .npy or .npz
        array of three dimensions is a voxel grid.

    Raises
    ------
    ObjectError
        When the file is missing, too large, damaged, or holds nothing to draw points from.
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
            return _checked(Shape(_points(_read_npz(path))))
        data = path.read_bytes()
    except OSError as error:
        raise ObjectError(f"cannot be read: {error.strerror or error}") from error
    if suffix == ".off":
        return _checked(Shape(*parse_off(data)))
    if suffix == ".npy":
        return _checked(Shape(_points(_read_npy(data))))
    if suffix == ".binvox":
        return _checked(Shape(parse_binvox(data)))
    if suffix in CLOUD_SUFFIXES:
        check_words(data)
        return _checked(Shape(_columns(_read_text(data, suffix))))
    return _checked(_read_with_trimesh(data, suffix, path))


def _checked(shape: Shape) -> Shape:
    """The shape itself, if points can be drawn from it."""
    if len(shape.points) == 0:
        raise ObjectError("no points")
    if not np.isfinite(shape.points).all():
        raise ObjectError("coordinates that are not finite")
    if shape.faces is None:
        return shape
    if len(shape.faces) == 0:
        raise ObjectError("no faces")
    if shape.faces.min() < 0 or shape.faces.max() >= len(shape.points):
        raise ObjectError("a face names a vertex that is not there")
    for some in (shape.faces[:64], shape.faces[64:]):  # the first faces tell nearly always, and save the time for all
        first, second, third = (shape.points[some[:, corner]] for corner in range(3))
        with np.errstate(over="ignore", invalid="ignore"):
            if np.cross(second - first, third - first).any():
                return shape
    raise ObjectError("zero area: all faces are degenerate")


def _points(array: NDArray[Any]) -> NDArray[np.float64]:
    """A table of points or a voxel grid."""
    return find_voxel_centres(array) if array.ndim == 3 else _columns(array)


def _columns(array: NDArray[Any]) -> NDArray[np.float64]:
    """The first three columns of a table, float64."""
    if array.ndim != 2 or array.shape[1] < 3 or array.dtype.kind not in "fiu":
        raise ObjectError(f"not a table of points: shape {array.shape}, {array.dtype}")
    return np.asarray(array[:, :3], np.float64)


def _read_npy(data: bytes) -> NDArray[Any]:
    try:
        stream = io.BytesIO(data)
        version = np.lib.format.read_magic(stream)
        read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        if version not in read_header:  # the later ones are for columns with names
            raise ValueError(f"version {version}")
        shape, _, dtype = read_header[version](stream)
        # numpy would make room for what the header says before it looks whether the file has it
        if dtype.hasobject or math.prod(shape) * dtype.itemsize != len(data) - stream.tell():
            raise ValueError(f"an array {shape} of {dtype} and {len(data) - stream.tell()} bytes")
        return np.asarray(np.load(io.BytesIO(data), allow_pickle=False))
    except Exception as error:  # numpy evaluates the header: a damaged one can fail in many ways
        raise ObjectError(f"not a readable .npy file: {type(error).__name__}: {str(error)[:120]}") from error


def _read_npz(path: Path) -> NDArray[Any]:
    try:
        with zipfile.ZipFile(path) as archive:
            # what an archive says of its sizes is checked again while unpacking
            if sum(member.file_size for member in archive.infolist()) > LARGEST_FILE:
                raise ObjectError(f"unpacks to more than {LARGEST_FILE >> 20} MiB")
            members = {name.removesuffix(".npy"): name for name in archive.namelist() if name.endswith(".npy")}
            name = next((name for name in NPZ_NAMES if name in members), None)
            if name is None and len(members) == 1:
                name = next(iter(members))
            if name is None:
                raise ObjectError(f"no array named {', '.join(NPZ_NAMES)}; there are {', '.join(members) or 'none'}")
            data = archive.read(members[name])
    except (ObjectError, OSError):
        raise
    except Exception as error:  # zipfile lets through whatever the decompressors raise
        raise ObjectError(f"not a readable .npz file: {error}") from error
    return _read_npy(data)


def _read_text(data: bytes, suffix: str) -> NDArray[np.float64]:
    """Numbers in columns, by white space or commas; a .pts file may begin with the number of points."""
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


def _prepared(data: bytes, suffix: str) -> bytes:
    """A file as trimesh gets it, when it was looked at whether it asks for more than there is in it.

    Raises
    ------
    ObjectError, ValueError and others
        When it does, or is damaged.
    """
    if suffix in (".glb", ".gltf"):
        check_gltf(data)
    elif suffix == ".ply":
        check_ply(data)
    elif suffix == ".obj":
        check_words(data)
        # names of groups and materials mean nothing here, and trimesh takes minutes for a hundred thousand of them
        data = OBJ_NAMES.sub(b"", data)
    elif suffix == ".stl" and data[:5].lower() == b"solid":
        check_words(data)
    return data


class _Neighbours(Mapping[str, bytes]):
    """The files of one folder by name, for .gltf files that keep their numbers beside them; no path leads out of it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder.resolve()
        self._left = LARGEST_FILE  # bytes of all that is asked for: one file may be named many times

    def __getitem__(self, name: str) -> bytes:
        path = (self._folder / name).resolve()
        if not path.is_relative_to(self._folder) or not path.is_file():
            raise KeyError(name)
        self._left -= path.stat().st_size
        if self._left < 0:
            raise ObjectError(f"buffers of more than {LARGEST_FILE >> 20} MiB")
        return path.read_bytes()

    def get(self, name: str, default: Any = None) -> Any:  # trimesh asks for missing parts in this way
        try:
            return self[name]
        except KeyError:
            return default

    def __iter__(self) -> Iterator[str]:
        return (path.name for path in self._folder.iterdir())

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _read_with_trimesh(data: bytes, suffix: str, path: Path) -> Shape:
    """All parts of the file's scene, each moved to where the scene has it, as one mesh; without faces as one cloud."""
    import trimesh  # 0.6 s at import

    trimesh.util.log.setLevel("CRITICAL")  # it reports textures it misses, by tracebacks
    resolver = _Neighbours(path.parent) if suffix == ".gltf" else None
    options = {"skip_materials": True} if suffix in (".obj", ".ply", ".glb", ".gltf") else {}
    try:
        scene: Any = trimesh.load(
            io.BytesIO(_prepared(data, suffix)),
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
    except Exception as error:  # damaged files make the parsers raise nearly anything, from KeyError to struct.error
        raise ObjectError(f"unreadable {suffix} file: {type(error).__name__}: {str(error)[:120]}") from error
    raise ObjectError("no faces")
