"""Reader of .obj, .stl, .glb and .gltf files by trimesh: all parts of the scene, each at its position."""

import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.readers.limits import LARGEST_FILE, check_gltf, check_words
from data_prep.source import Shape
from spectral_ssl.ground.errors import ObjectError

OBJ_NAMES = re.compile(rb"^[ \t]*(?:usemtl|mtllib|[gos])(?:[ \t][^\n]*)?$", re.MULTILINE)


def _check_for_trimesh(data: bytes, suffix: str) -> bytes:
    """Check the announced size of a file; return its content as trimesh should read it.

    Raises
    ------
    ObjectError, ValueError and others
        When the file announces more than it holds, or is damaged.
    """
    if suffix in (".glb", ".gltf"):
        check_gltf(data)
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


def read_with_trimesh(data: bytes, suffix: str, path: Path) -> Shape:
    """Merge all parts of a file's scene, each at its position, to one mesh.

    Raises
    ------
    ObjectError
        When the file is damaged, or holds no faces.
    """
    import trimesh  # The import takes 0.6 s.

    trimesh.util.log.setLevel("CRITICAL")  # It logs missing textures with tracebacks.
    resolver = _Neighbours(path.parent) if suffix == ".gltf" else None
    options = {"skip_materials": True} if suffix in (".obj", ".glb", ".gltf") else {}
    try:
        scene: Any = trimesh.load(
            io.BytesIO(_check_for_trimesh(data, suffix)),
            file_type=suffix[1:],
            resolver=resolver,
            process=False,
            force="scene",
            **options,
        )
        vertices, faces, start = [], [], 0
        for node in scene.graph.nodes_geometry:
            transform, name = scene.graph[node]
            part = scene.geometry[name]
            points = trimesh.transform_points(np.asarray(part.vertices, np.float64), transform)
            if isinstance(part, trimesh.Trimesh) and len(part.faces):
                vertices.append(points)
                faces.append(np.asarray(part.faces, np.int64) + start)
                start += len(points)
        if vertices:
            return Shape(np.concatenate(vertices), np.concatenate(faces))
    except ObjectError:
        raise
    except Exception as error:  # Damaged files make the parsers raise many types, from KeyError to struct.error.
        raise ObjectError(f"unreadable {suffix} file: {type(error).__name__}: {str(error)[:120]}") from error
    raise ObjectError("no faces")
