"""Reader of the Polygon File Format (.ply): text or binary, with polygons, triangle strips and fans, or a cloud.

The reader needs the coordinates of the element ``vertex`` and the corners of the elements that make
a surface. It skips all other elements and properties, whatever their order.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.readers.limits import MOST_CORNERS
from data_prep.readers.meshes.ply_header import Element, Header, parse_header
from data_prep.readers.meshes.ply_tables import Column, read_columns
from data_prep.readers.meshes.polygons import triangulate_polygons
from data_prep.readers.meshes.strips import count_open_edges, unroll_fans, unroll_strips
from data_prep.source import Shape, add_note
from spectral_ssl.ground.errors import ObjectError

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
POLYGONS = ("face", "faces", "polygon", "polygons", "triangle", "triangles", "quad", "quads")
STRIPS = ("tristrips", "tristrip", "trianglestrips", "triangle_strips")
FANS = ("trifans", "trifan", "trianglefans", "triangle_fans")
EDGES = ("edge", "edges")
CORNER_LISTS = ("vertex_indices", "vertex_index", "vertex_indexes", "indices")
SPLATS = ("scale_0", "rot_0", "f_dc_0", "packed_scale", "packed_rotation")


def parse_ply(data: bytes) -> Shape:
    r"""Parse the vertices and the surface of a .ply file; without a surface, a cloud.

    Parameters
    ----------
    data : bytes
        Content of the whole file: text, or binary of either byte order.

    Returns
    -------
    Shape
        Points (N, 3) float64, and triangles (F, 3) int64 for a file with faces, triangle strips or
        fans. Polygons are cut into triangles.

    Raises
    ------
    ObjectError
        When the file is truncated, has edges but no faces, holds Gaussian splats, its triangle
        strips leave the surface open, or a face names a vertex that does not exist.

    Notes
    -----
    Coordinates of a binary file are exact: float32 values are widened.

    Examples
    --------
    >>> from data_prep.readers.meshes.ply import parse_ply
    >>> header = b"ply\nformat ascii 1.0\nelement vertex 2\n"
    >>> header += b"property float x\nproperty float y\nproperty float z\nend_header\n"
    >>> parse_ply(header + b"0 0 0\n1 2 4\n").points.tolist()
    [[0.0, 0.0, 0.0], [1.0, 2.0, 4.0]]
    """
    data = data.removeprefix(BYTE_ORDER_MARK)
    header = parse_header(data)
    number = _find_vertices(header)
    axes = _find_axes(header.elements[number])
    count = header.elements[number].count
    if count > MOST_CORNERS:
        raise ObjectError(f"{count} vertices, more than {MOST_CORNERS}")
    surfaces = _find_surfaces(header)
    if not surfaces:
        _check_cloud(header, header.elements[number])
    columns = read_columns(data, header, {number: axes, **{other: [place] for other, place in surfaces.items()}})
    points = np.empty((count, 3))
    for axis, place in enumerate(axes):
        points[:, axis] = columns[number, place].values
    if not surfaces:
        return Shape(points)
    faces = [
        _make_triangles(header.elements[other], place, columns[other, place], points)
        for other, place in surfaces.items()
    ]
    mesh = Shape(points, faces[0] if len(faces) == 1 else np.concatenate(faces))
    if any(header.elements[other].name.lower() in STRIPS for other in surfaces):
        _check_strips(mesh)
    return mesh


def _find_vertices(header: Header) -> int:
    """Find the position of the element of the vertices."""
    places = [number for number, element in enumerate(header.elements) if element.name.lower() == "vertex"]
    if len(places) != 1:
        names = " ".join(element.name for element in header.elements)
        raise ObjectError(f"{len(places)} elements 'vertex' in a .ply file, one is needed; its elements: {names[:80]}")
    return places[0]


def _find_axes(element: Element) -> list[int]:
    """Find the positions of the properties x, y and z, in lower or upper case."""
    names = [part.name for part in element.properties if not part.count_kind]
    if not {"x", "y", "z"} <= {name.lower() for name in names}:
        what = "compressed Gaussian splats" if "packed_position" in names else f"properties {' '.join(names)[:80]!r}"
        raise ObjectError(f"vertices without x, y and z: {what}; export a mesh or a cloud with coordinates")
    axes = []
    for axis in "xyz":
        places = [place for place, part in enumerate(element.properties) if part.name == axis and not part.count_kind]
        places = places or [
            place for place, part in enumerate(element.properties) if part.name == axis.upper() and not part.count_kind
        ]
        if len(places) != 1:
            raise ObjectError(f"{len(places)} properties {axis!r} of the vertices: give each coordinate once")
        axes.append(places[0])
    return axes


def _find_surfaces(header: Header) -> dict[int, int]:
    """Find the positions of the elements that make a surface, each with the position of its list of corners."""
    surfaces = {}
    for number, element in enumerate(header.elements):
        if element.count == 0 or element.name.lower() not in POLYGONS + STRIPS + FANS:
            continue
        lists = [
            place for place, part in enumerate(element.properties) if part.count_kind and not part.kind.startswith("f")
        ]
        named = [place for place in lists if element.properties[place].name.lower() in CORNER_LISTS]
        chosen = named or lists
        if len(chosen) != 1:
            names = " ".join(part.name for part in element.properties)
            raise ObjectError(
                f"{len(chosen)} lists of corners in element {element.name!r}, one named vertex_indices is needed; "
                f"its properties: {names[:80]}"
            )
        surfaces[number] = chosen[0]
    return surfaces


def _check_cloud(header: Header, vertices: Element) -> None:
    """Refuse files without faces whose vertices are no sample of a surface.

    Raises
    ------
    ObjectError
        When the file holds a wire frame or Gaussian splats.
    """
    for element in header.elements:
        if element.count and element.name.lower() in EDGES:
            raise ObjectError(
                f"{element.count} edges and no faces: a wire frame has no surface; export faces, or delete the edges "
                "to read a cloud"
            )
        if element.count and element.has_lists:
            add_note(f"{element.count} rows of {element.name!r} are no faces: the vertices are read as a cloud")
    names = {part.name for part in vertices.properties}
    if "opacity" in names and names.intersection(SPLATS):
        raise ObjectError(
            "Gaussian splats (opacity, scales): their centres are no points of a surface; export a mesh, or a cloud of "
            "the opaque centres with x y z alone"
        )


def _check_strips(mesh: Shape) -> None:
    """Refuse triangle strips that leave the surface open, since a strip that is cut or lost leaves the same holes.

    A list of faces announces the number of faces, so a cut one is noticed. A strip announces
    nothing about the triangles that it should have.

    Raises
    ------
    ObjectError
        When an edge belongs to a single triangle.
    """
    assert mesh.faces is not None
    if count := count_open_edges(mesh.points, mesh.faces):
        raise ObjectError(
            f"triangle strips that leave {count} edges open, as cut strips would: export faces instead of strips"
        )


def _make_triangles(element: Element, place: int, column: Column, points: NDArray[np.float64]) -> NDArray[np.int64]:
    """Make the triangles of one element from its lists of corners, the property at ``place``.

    Raises
    ------
    ObjectError
        When a corner is no vertex.
    """
    corners, sizes = _convert_corners(column.values), column.sizes
    assert sizes is not None
    name, kind = element.name.lower(), element.properties[place].kind
    if name in POLYGONS:
        _check_corners(corners, len(points))
        return triangulate_polygons(points, corners, sizes)
    if kind.startswith("u"):  # In types without a sign, -1 is the largest value.
        corners = np.where(corners == np.iinfo(kind).max, -1, corners)
    _check_corners(corners[corners != -1], len(points))
    corners = np.insert(corners, np.cumsum(sizes), -1)
    return unroll_strips(corners) if name in STRIPS else unroll_fans(corners)


def _convert_corners(values: NDArray[Any]) -> NDArray[np.int64]:
    """Convert the corners of a file to int64; those of a text are floats."""
    if values.dtype.kind == "f":
        is_bad = ~(np.abs(values) < 2**53) | (values != np.floor(values))
        if is_bad.any():
            raise ObjectError(f"a face names vertex {values[is_bad.argmax()]}, which is no integer")
    return values.astype(np.int64, copy=False)


def _check_corners(corners: NDArray[np.int64], count: int) -> None:
    """Refuse corners that are no vertices."""
    if len(corners) and (corners.min() < 0 or corners.max() >= count):
        worst = corners.min() if corners.min() < 0 else corners.max()
        raise ObjectError(f"a face names vertex {worst} of {count}: the first vertex is 0")
