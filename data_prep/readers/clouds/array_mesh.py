"""Meshes of two arrays, vertices and faces, in the layouts that programs save: rows of corners, or a list."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.readers.meshes.polygons import triangulate_polygons
from data_prep.source import Shape, add_note
from spectral_ssl.ground.errors import ObjectError

Arrays = Mapping[str, NDArray[Any]]

# Usual names in lower case, in order of preference.
SURE_VERTEX_NAMES = ("vertices", "verts", "vertex", "v", "mesh_vertices", "mesh_verts", "v_template")
VERTEX_NAMES = (*SURE_VERTEX_NAMES, "points", "pos", "xyz", "coords", "coord", "positions", "position")
FACE_NAMES = (
    *("faces", "face", "f", "triangles", "triangle", "tris", "tri", "facets", "simplices", "mesh_faces"),
    *("face_indices", "polygons", "quads", "indices"),
)
UNSURE_FACE_NAMES = ("indices",)  # They can be neighbours of points too.
VOLUME_NAMES = ("tets", "tetra", "tetrahedra", "tetras", "cells", "elements", "hexahedra")
TRIANGLE = 3
MOST_CORNERS = 16
LAYOUTS = "a mesh needs (V, 3) and (F, 3)"


def find_mesh(arrays: Arrays) -> Shape | None:
    """Find vertices and faces among named arrays, and build their mesh.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        The arrays by their names in lower case.

    Returns
    -------
    Shape or None
        The mesh; None without vertices or without faces.

    Raises
    ------
    ObjectError
        When the shapes fit no mesh, the faces are cells of a volume, or there are several meshes.

    Examples
    --------
    >>> import numpy as np
    >>> from data_prep.readers.clouds.array_mesh import find_mesh
    >>> square = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    >>> find_mesh({"vertices": square, "faces": np.array([[0, 1, 2, 3]])}).faces.tolist()
    [[0, 1, 2], [0, 2, 3]]
    """
    vertices = next((name for name in VERTEX_NAMES if name in arrays), None)
    if vertices is None:
        return None
    others = [name for name in arrays if "/" in name and name.rsplit("/", 1)[-1] in (vertices, *FACE_NAMES)]
    if others:
        raise ObjectError(f"several meshes or clouds ({vertices}, {', '.join(others)[:80]}): write one file an object")
    is_sure = vertices in SURE_VERTEX_NAMES
    for name in FACE_NAMES:
        if name in UNSURE_FACE_NAMES and not is_sure:
            continue
        if name in arrays and _is_face_table(arrays[name], is_sure):
            return _build_mesh(arrays[vertices], arrays[name])
    if any(name in arrays and arrays[name].size == 0 for name in FACE_NAMES):
        add_note("no faces: read as a cloud of the vertices")
    for name in VOLUME_NAMES:
        if name in arrays and arrays[name].dtype.kind in "iu" and is_sure:
            raise ObjectError(
                f"cells of a volume (array {name!r}) without faces: save the faces of its surface, (F, 3)"
            )
    return None


def _is_face_table(array: NDArray[Any], has_vertices: bool) -> bool:
    """Return whether an array holds corners of faces: whole numbers, in rows or, next to vertices, as a flat list."""
    if array.size == 0 or not 1 <= array.ndim <= 3 or (array.ndim == 2 and array.shape[1] < TRIANGLE):
        return False
    if array.ndim == 1 and not has_vertices and not _is_vtk_list(array):
        return False
    if array.dtype.kind == "f":
        return bool((array == np.round(array)).all() and array.max() > 1)
    return array.dtype.kind in "iu"


def _is_vtk_list(array: NDArray[Any]) -> bool:
    """Return whether a flat list holds triangles as VTK stores them, each after the number 3."""
    return array.ndim == 1 and array.size % 4 == 0 and bool((array[::4] == TRIANGLE).all())


def _build_mesh(vertices: NDArray[Any], faces: NDArray[Any]) -> Shape:
    """Build a mesh of vertices (V, 3) and faces; both may be transposed, and faces may count from 1.

    Raises
    ------
    ObjectError
        When the shapes fit no mesh, or a face names a vertex that does not exist.
    """
    if vertices.dtype.kind not in "fiu":
        raise ObjectError(f"vertices of {vertices.dtype}: save numbers")
    shapes = f"vertices of shape {vertices.shape} and faces of shape {faces.shape}: {LAYOUTS}"
    vertices, faces = (
        array[0] if array.ndim == 3 and len(array) == 1 else array  # A batch of one mesh
        for array in (vertices, faces)
    )
    if vertices.ndim == 2 and vertices.shape[0] == TRIANGLE != vertices.shape[1]:
        add_note(f"vertices of shape {vertices.shape} read transposed")
        vertices = vertices.T
    if vertices.ndim != 2 or vertices.shape[1] != 3:
        raise ObjectError(shapes)
    if faces.ndim == 2 and faces.shape[0] == TRIANGLE != faces.shape[1]:
        add_note(f"faces of shape {faces.shape} read transposed")
        faces = faces.T
    table = _arrange_faces(np.asarray(faces, np.int64), shapes)
    used = table >= 0
    if table.min(where=used, initial=len(vertices)) == 1 and table.max() == len(vertices):
        add_note("faces that count vertices from 1")
        table = np.where(used, table - 1, table)
    if table.max() >= len(vertices) or table.min() < -1:
        raise ObjectError("a face names a vertex that does not exist")
    points, sizes = np.asarray(vertices, np.float64), used.sum(axis=1)
    if (np.diff(used.astype(np.int8), axis=1) > 0).any():
        raise ObjectError("a face names vertex -1 before others: only the end of a row may be filled with -1")
    return Shape(points, triangulate_polygons(points, table[used], sizes))


def _arrange_faces(faces: NDArray[np.int64], shapes: str) -> NDArray[np.int64]:
    """Arrange faces in rows (F, K) that -1 fills up: a flat list of triangles, or rows that begin with their length."""
    if faces.ndim == 1:
        if _is_vtk_list(faces):
            faces = faces.reshape(-1, 4)
        elif faces.size % TRIANGLE == 0:
            faces = faces.reshape(-1, TRIANGLE)
        add_note(f"a flat list of faces read as {len(faces)} rows")
    if faces.ndim != 2 or not TRIANGLE <= faces.shape[1] <= MOST_CORNERS:
        raise ObjectError(shapes)
    if faces.shape[1] > TRIANGLE and (faces[:, 0] == faces.shape[1] - 1).all():
        add_note("the first column of the faces is the number of corners")
        return faces[:, 1:]
    return faces
