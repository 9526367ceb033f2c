"""Reader of .stl files by trimesh."""

import io
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.readers.limits import check_words
from data_prep.source import Shape
from spectral_ssl.ground.errors import ObjectError


def read_with_trimesh(data: bytes, suffix: str, path: Path) -> Shape:
    """Read the triangles of a file.

    Parameters
    ----------
    data : bytes
        Content of the whole file.
    suffix : str
        Its ending, in lower case.
    path : Path
        The file.

    Raises
    ------
    ObjectError
        When the file is damaged, or holds no faces.
    """
    import trimesh  # The import takes 0.6 s.

    if data[:5].lower() == b"solid":
        check_words(data)
    try:
        scene: Any = trimesh.load(io.BytesIO(data), file_type=suffix[1:], process=False, force="scene")
        vertices, faces, start = [], [], 0
        for node in scene.graph.nodes_geometry:
            part = scene.geometry[scene.graph[node][1]]
            vertices.append(np.asarray(part.vertices, np.float64))
            faces.append(np.asarray(part.faces, np.int64) + start)
            start += len(vertices[-1])
        if vertices:
            return Shape(np.concatenate(vertices), np.concatenate(faces))
    except ObjectError:
        raise
    except Exception as error:  # Damaged files make the parsers raise many types, from KeyError to struct.error.
        raise ObjectError(f"unreadable {suffix} file: {type(error).__name__}: {str(error)[:120]}") from error
    raise ObjectError("no faces")
