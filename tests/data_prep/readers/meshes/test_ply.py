"""The reader of .ply files: every dialect of the format is read to the same points, other files are refused."""

import io
import itertools
import struct

import numpy as np
import pytest
import trimesh
from random_meshes import RandomMesh, make_random_mesh

from data_prep.readers.meshes import ply, ply_tables
from data_prep.readers.meshes.ply import parse_ply
from data_prep.source import Shape, collect_notes
from spectral_ssl.ground.errors import ObjectError

CODES = {
    "char": "b", "int8": "b", "uchar": "B", "uint8": "B", "short": "h", "int16": "h", "ushort": "H", "uint16": "H",
    "int": "i", "int32": "i", "uint": "I", "uint32": "I", "float": "f", "float32": "f", "double": "d", "float64": "d",
}  # fmt: skip
FORMATS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
XYZ = ("float x", "float y", "float z")
FACE = ("list uchar int vertex_indices",)
SQUARE = [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0)]
NOTE = "lines: read in the order of the words"

Row = tuple[object, ...]


def _write(
    form: str, *elements: tuple[str, tuple[str, ...], list[Row]], end: str = "\n", count: int = 0, head: str = ""
) -> bytes:
    """Write a .ply file of elements (name, properties, rows); the first element announces ``count`` more rows."""
    lines = ["ply", f"format {form} 1.0", *filter(None, [head])]
    body = b""
    for number, (name, properties, rows) in enumerate(elements):
        lines += [f"element {name} {len(rows) + (count if number == 0 else 0)}", *(f"property {p}" for p in properties)]
        for row in rows:
            body += _write_row(FORMATS[form], properties, row, end)
    return (end.join(lines) + end + "end_header" + end).encode() + body


def _write_row(order: str, properties: tuple[str, ...], row: Row, end: str) -> bytes:
    """Write one row: a line of a text, or bytes of the order "<" or ">"."""
    words: list[str] = []
    packed = b""
    for text, value in zip(properties, row, strict=True):
        kinds = text.split()
        if kinds[0] == "list":
            values = list(value)
            words += [str(len(values)), *map(str, values)]
            packed += struct.pack(f"{order}{CODES[kinds[1]]}", len(values))
            packed += struct.pack(f"{order}{len(values)}{CODES[kinds[2]]}", *values)
        else:
            words.append(repr(value))
            packed += struct.pack(f"{order}{CODES[kinds[0]]}", value)
    return packed if order else (" ".join(words) + end).encode()


def _area(shape: Shape) -> float:
    assert shape.faces is not None
    first, second, third = (shape.points[shape.faces[:, corner]] for corner in range(3))
    return float(np.linalg.norm(np.cross(second - first, third - first), axis=1).sum() / 2)


def _vertices(mesh: RandomMesh, order: str) -> tuple[str, tuple[str, ...], list[Row]]:
    """Vertices with other properties between the coordinates, and the coordinates in some order."""
    names = {axis: f"{'double' if axis == 'y' else 'float32'} {axis}" for axis in "xyz"}
    properties = ("uchar red", *(names[axis] for axis in order), "list uint8 float32 weights", "short flags")
    rows = [
        (7, *(float(point["xyz".index(axis)]) for axis in order), [0.5] * (number % 3), -2)
        for number, point in enumerate(mesh.points)
    ]
    return "vertex", properties, rows


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("seed", range(6))
def test_random_meshes_in_every_dialect(form: str, seed: int) -> None:
    mesh = make_random_mesh(seed, largest=(3, 4, 7)[seed % 3])
    counts, corners = (("uchar", "int"), ("uint8", "int32"), ("int", "ushort"), ("ushort", "uint"))[seed % 4]
    order = list(itertools.permutations("xyz"))[seed]
    vertices = _vertices(mesh, "".join(order))
    properties = ("list uchar float texcoord", f"list {counts} {corners} vertex_index", "uchar side")
    faces = ("face", properties, [([0.5, 0.25] * (row % 2), polygon, 1) for row, polygon in enumerate(mesh.polygons)])
    other = ("camera", ("list int double pose", "float zoom"), [([1.0] * 3, 2.5), ([], 2.5)])
    elements = [vertices, other, faces] if seed % 2 else [other, faces, vertices]
    for end in ("\n", "\r\n", "\r"):
        shape = parse_ply(_write(form, *elements, end=end, head=f"comment end_header{end}obj_info end_header 1"))
        np.testing.assert_array_equal(shape.points, mesh.points)
        assert _area(shape) == pytest.approx(mesh.area, rel=1e-12)
        used = {corner for polygon in mesh.polygons for corner in polygon}
        assert shape.faces is not None
        assert set(shape.faces.ravel().tolist()) == used


@pytest.mark.parametrize("form", FORMATS)
def test_plain_files_are_read_as_by_another_reader(form: str) -> None:
    """Vertices without lists and triangles take one call of numpy; trimesh reads such files rightly too."""
    mesh = make_random_mesh(1, largest=3)
    rows: list[Row] = [tuple(point) for point in mesh.points.tolist()]
    data = _write(form, ("vertex", XYZ, rows), ("face", FACE, [(polygon,) for polygon in mesh.polygons]))
    shape = parse_ply(data)
    expected = trimesh.load(io.BytesIO(data), file_type="ply", process=False)
    np.testing.assert_array_equal(shape.points, expected.vertices)
    np.testing.assert_array_equal(shape.faces, expected.faces)
    np.testing.assert_array_equal(shape.faces, mesh.polygons)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(("first", "last"), [("char", "short"), ("int8", "int16"), ("ushort", "double"),
                                             ("uint16", "float64"), ("uint", "int"), ("uint32", "int32"),
                                             ("uchar", "float"), ("uint8", "float32")])  # fmt: skip
def test_all_types_of_values(form: str, first: str, last: str) -> None:
    vertices = [(x, y, 5) if last != "double" else (x, y, 0.1) for x, y, _ in SQUARE]
    names = (f"{first} X", f"{first} Y", f"{last} Z")
    lists = (f"list {first} {first} vertex_indices",)
    shape = parse_ply(_write(form, ("vertex", names, vertices), ("face", lists, [((0, 1, 2),), ((0, 1, 2, 3),)])))
    assert shape.points.tolist() == [list(map(float, row)) for row in vertices]
    assert shape.faces is not None
    assert shape.faces.tolist() == [[0, 1, 2], [0, 1, 2], [0, 2, 3]]


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("name", ["tristrips", "trifans"])
def test_strips_and_fans(form: str, name: str) -> None:
    """Strips end at -1 and at the end of their row, and every second triangle is turned."""
    points: list[Row] = [*SQUARE, (0, 2, 0), (1, 2, 0)]
    lists = ("list int int vertex_indices",)
    if name == "tristrips":  # Two tetrahedra, because strips must close a surface.
        rows: list[Row] = [((0, 1, 2, 4, -1, 2, 4, 0, 1),), ((1, 2, 3, 5, 1, 2, -1),)]
        points = [*SQUARE, (0, 2, 1), (1, 2, 1)]
        expected = [[0, 1, 2], [2, 1, 4], [2, 4, 0], [0, 4, 1], [1, 2, 3], [3, 2, 5], [3, 5, 1], [1, 5, 2]]
    else:
        rows = [((0, 1, 2, 3, -1, 3, 2, 5),), ((3, 5, 4, -1, 0),)]
        expected = [[0, 1, 2], [0, 2, 3], [3, 2, 5], [3, 5, 4]]
    shape = parse_ply(_write(form, ("vertex", XYZ, points), (name, lists, rows)))
    assert shape.faces is not None
    assert shape.faces.tolist() == expected
    if form == "ascii":
        return
    # Without a sign, -1 is the largest value.
    unsigned = [(tuple(corner % 2**32 for corner in row[0]),) for row in rows]
    lists = ("list uint8 uint32 indices",)
    assert np.array_equal(parse_ply(_write(form, ("vertex", XYZ, points), (name, lists, unsigned))).faces, expected)


def test_faces_and_strips_of_one_file_are_one_mesh() -> None:
    lists = ("list uchar int vertex_indices",)
    points: list[Row] = [*SQUARE[:3], (0, 0, 1)]
    faces, strips = [((0, 1, 2),), ((2, 1, 3),)], [((2, 3, 0, 1),)]
    shape = parse_ply(_write("ascii", ("vertex", XYZ, points), ("face", lists, faces), ("tristrips", lists, strips)))
    assert shape.faces is not None
    assert shape.faces.tolist() == [[0, 1, 2], [2, 1, 3], [2, 3, 0], [0, 3, 1]]


def test_vertices_at_one_place_close_strips() -> None:
    lists = ("list uchar int vertex_indices",)
    corners: list[Row] = [*SQUARE[:3], (0, 0, 1)]
    points = [corners[number] for number in (0, 1, 2, 2, 1, 3, 2, 3, 0, 0, 3, 1)]
    strips = [((0, 1, 2, -1, 3, 4, 5, -1, 6, 7, 8, -1, 9, 10, 11),)]
    shape = parse_ply(_write("ascii", ("vertex", XYZ, points), ("tristrips", lists, strips)))
    assert shape.faces is not None
    assert len(shape.faces) == 4
    with pytest.raises(ObjectError, match="strips that leave 3 edges open"):
        parse_ply(_write("ascii", ("vertex", XYZ, points), ("tristrips", lists, [(strips[0][0][:-1],)])))


@pytest.mark.parametrize("form", FORMATS)
def test_other_names_of_faces(form: str) -> None:
    for name, column in itertools.product(("faces", "triangle", "Triangles", "polygon", "polygons"), ("corners", "v")):
        rows: list[Row] = [((0, 1, 2), 5), ((0, 2, 3), 6)]
        shape = parse_ply(_write(form, ("vertex", XYZ, SQUARE), (name, (f"list uchar int {column}", "int tag"), rows)))
        assert shape.faces is not None
        assert shape.faces.tolist() == [[0, 1, 2], [0, 2, 3]]
    with pytest.raises(ObjectError, match="0 lists of corners in element 'triangle'"):
        parse_ply(_write(form, ("vertex", XYZ, SQUARE), ("triangle", ("int a", "int b", "int c"), [(0, 1, 2)])))


@pytest.mark.parametrize("form", FORMATS)
def test_clouds(form: str) -> None:
    names = ("float nx", *XYZ, "uchar red", "float opacity")
    rows: list[Row] = [(0.5, *point, 255, 0.5) for point in SQUARE]
    for elements in ([("vertex", names, rows)], [("vertex", names, rows), ("face", FACE, [])]):
        with collect_notes() as notes:
            shape = parse_ply(_write(form, *elements))
        assert shape.faces is None
        assert shape.points.tolist() == [list(point) for point in SQUARE]
        assert notes == []
    grid = ("range_grid", ("list uchar int vertex_indices",), [((0,),), ((),)])
    with collect_notes() as notes:
        assert parse_ply(_write(form, ("vertex", names, rows), grid)).faces is None
    assert notes == ["2 rows of 'range_grid' are no faces: the vertices are read as a cloud"]


@pytest.mark.parametrize("form", FORMATS)
def test_bytes_around_the_content(form: str) -> None:
    data = _write(form, ("vertex", XYZ, SQUARE), ("face", FACE, [((0, 1, 2, 3),)]))
    expected = parse_ply(data)
    for changed in (data + b"\n\r\n \n", data + b"\0\0\0", b"\xef\xbb\xbf" + data, data + b"\x1a", b"\n" + data):
        with collect_notes() as notes:
            shape = parse_ply(changed)
        np.testing.assert_array_equal(shape.points, expected.points)
        np.testing.assert_array_equal(shape.faces, expected.faces)
        assert notes == []
    with collect_notes() as notes:
        np.testing.assert_array_equal(parse_ply(data + b"# 0 1 2\n1 2\n").faces, expected.faces)
    assert notes == [
        "2 lines after the last row: left out" if form == "ascii" else "12 bytes after the last row: left out"
    ]


def test_more_rows_of_a_text_than_announced_are_refused() -> None:
    data = _write("ascii", ("vertex", XYZ, SQUARE), ("face", FACE, [((0, 1, 2),), ((0, 2, 3),)]))
    with pytest.raises(ObjectError, match="5 rows announced, 1 more of numbers follow"):
        parse_ply(data.replace(b"element face 2", b"element face 1"))


def test_the_first_byte_of_a_binary_body_may_be_a_line_feed() -> None:
    names = ("uchar a", *XYZ)
    for end, value in itertools.product(("\n", "\r\n", "\r"), (10, 13, 32)):
        rows: list[Row] = [(value, *point) for point in SQUARE]
        shape = parse_ply(_write("binary_little_endian", ("vertex", names, rows), end=end))
        assert shape.points.tolist() == [list(point) for point in SQUARE]


def test_texts_with_other_line_breaks() -> None:
    """Blank lines are nothing. Words in other lines are read in their order, if they fit the header exactly."""
    header = _write("ascii", ("vertex", XYZ, SQUARE), ("face", FACE, [((0, 1, 2, 3),)])).partition(b"end_header\n")[0]
    for body, note in (
        (b"\n0 0 0\n\n\n1 0 0\n1 1 0\n \t\n0 1 0\n\n4 0 1 2 3", None),
        (b"\t0\t0\t0\n  1 0 0 \n+1 1.0 0e5\n0 1. -.0\n4 0 1 2 3\n", None),
        (b"0 0 0 1 0 0\n1 1 0 0 1 0\n4 0 1 2 3\n", f"5 rows on 3 {NOTE}"),
        (b"0 0 0 1 0 0 1 1 0 0 1 0 4 0 1 2 3\n", f"5 rows on 1 {NOTE}"),
        (b"\n".join(b"0 0 0 1 0 0 1 1 0 0 1 0 4 0 1 2 3".split()), f"5 rows on 17 {NOTE}"),
    ):
        with collect_notes() as notes:
            shape = parse_ply(header + b"end_header\n" + body)
        assert shape.points.tolist() == [list(point) for point in SQUARE]
        assert shape.faces is not None
        assert shape.faces.tolist() == [[0, 1, 2], [0, 2, 3]]
        assert notes == ([note] if note else [])


def test_words_are_counted_across_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    body = b"  12 3\r\n\n4\n5 66 7 \n\n\n8"
    for block in range(1, 12):
        monkeypatch.setattr(ply_tables, "BLOCK", block)
        assert [part.tolist() for part in ply_tables._count_words(body)] == [[2, 1, 3, 1], [6, 10, 18, 22]]


def test_odd_spellings_of_nan_are_read() -> None:
    shape = parse_ply(_write("ascii", ("vertex", XYZ, SQUARE)).replace(b"1 1 0\n", b"-1.#IND nan(ind) 1.#QNAN00\n"))
    assert np.isnan(shape.points[2]).all()
    assert shape.points[[0, 1, 3]].tolist() == [list(SQUARE[row]) for row in (0, 1, 3)]


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("present", [0, 1, 3, 5])
def test_truncated_files_say_how_much_is_missing(form: str, present: int) -> None:
    """Vertices are missing, so that the rows of the faces would be taken for vertices; or faces are missing."""
    rows: list[Row] = [(float(number), number % 7.0, number % 3.0) for number in range(60)]
    faces: list[Row] = [
        ((row, row + 1, row + 2) if row % 2 else (row, row + 1, row + 2, row + 3),) for row in range(56)
    ]
    for vertices, polygons in ((rows[: present * 10], faces), (rows, faces[: present * 10])):
        data = _write(form, ("vertex", XYZ, rows), ("face", FACE, faces))
        data = data[: data.index(b"end_header\n") + 11] + b"".join(
            _write_row(FORMATS[form], kind, row, "\n")
            for kind, part in ((XYZ, vertices), (FACE, polygons))
            for row in part
        )
        with pytest.raises(ObjectError, match=r"announced|truncated|list of|names vertex"):
            parse_ply(data)


@pytest.mark.parametrize(
    ("elements", "reason"),
    [
        ([("vertex", XYZ, SQUARE), ("edge", ("int vertex1", "int vertex2"), [(0, 1)])], "1 edges and no faces"),
        ([("vertex", (*XYZ, "float opacity", "float scale_0"), [(*p, 0, 0) for p in SQUARE])], "Gaussian splats"),
        ([("vertex", ("uint packed_position", "uint packed_scale"), [(1, 1)])], "compressed Gaussian splats"),
        ([("point", XYZ, SQUARE)], "0 elements 'vertex'.*point"),
        ([("vertex", XYZ[:2], [(0, 0)])], "without x, y and z"),
        ([("vertex", (*XYZ, "float x"), [(0, 0, 0, 0)])], "2 properties 'x'"),
        ([("vertex", XYZ, SQUARE), ("face", ("int a", "int b"), [(0, 1)])], "0 lists of corners"),
        ([("vertex", XYZ, SQUARE), ("face", ("list int int a", "list int int b"), [((), ())])], "2 lists of corners"),
        ([("vertex", XYZ, SQUARE), ("face", FACE, [((0, 1, 4),)])], "names vertex 4 of 4"),
        ([("vertex", XYZ, SQUARE), ("face", FACE, [((0, 1, -1),)])], "names vertex -1 of 4"),
        ([("vertex", XYZ, SQUARE), ("tristrips", FACE, [((0, 1, -2, 2),)])], "names vertex -2 of 4"),
    ],
)
def test_refusals(elements: list[tuple[str, tuple[str, ...], list[Row]]], reason: str) -> None:
    for form in FORMATS:
        with pytest.raises(ObjectError, match=reason):
            parse_ply(_write(form, *elements))


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        (b"ply\n", b"plx\n", "does not begin with the word ply"),
        (b"end_header\n0", b"0", "header has no end"),
        (b"format ascii 1.0\n", b"", "0 lines 'format'"),
        (b"format ascii 1.0\n", b"format ascii 1.0\nformat binary_little_endian 1.0\n", "2 lines 'format'"),
        (b"format ascii", b"format text", "line 'format text 1.0'"),
        (b"property float x", b"property half x", "line 'property half x'"),
        (b"property float x", b"proprty float x", "line 'proprty float x'"),
        (b"element vertex 4", b"element vertex four", "line 'element vertex four'"),
        (b"element vertex 4", b"element vertex -4", "-4 rows of vertex"),
        (b"list uchar int", b"list float int", "line 'property list float"),
        (b"1 1 0\n", b"1,5 1 0\n", "line 3 after the header: '1,5' is not a number; write a decimal point"),
        (b"1 1 0\n", b"1 1 0 9\n", "row 3 of 4 of 'vertex' does not fit its line of 4 words"),
        (b"1 1 0\n", b"1 1\n", "row 3 of 4 of 'vertex' does not fit its line of 2 words"),
        (b"1 1 0\n", b"1 1-1 0\n", "line 3 after the header: '1-1' is not a number"),
        (b"4 0 1 2 3\n", b"4 0 1 2\n", "row 1 of 1 of 'face' does not fit its line of 4 words"),
        (b"4 0 1 2 3\n", b"3.5 0 1 2 3\n", "row 1 of 1 of 'face' does not fit"),
        (b"4 0 1 2 3\n", b"-1\n", "row 1 of 1 of 'face' does not fit"),
        (b"4 0 1 2 3\n", b"4 0 1 2 1.5\n", "names vertex 1.5, which is no integer"),
        (b"4 0 1 2 3\n", b"4 0 1 2 nan\n", "names vertex nan, which is no integer"),
        (b"4 0 1 2 3\n", b"", "1 rows of 'face' announced, 0 follow|at least"),
    ],
)  # fmt: skip
def test_damaged_texts(old: bytes, new: bytes, reason: str) -> None:
    data = _write("ascii", ("vertex", XYZ, SQUARE), ("face", FACE, [((0, 1, 2, 3),)]))
    assert old in data
    with pytest.raises(ObjectError, match=reason):
        parse_ply(data.replace(old, new, 1))


def test_two_equal_lines_of_the_format_are_one() -> None:
    data = _write("ascii", ("vertex", XYZ, SQUARE), head="format ascii 1.0")
    assert len(parse_ply(data).points) == 4


def test_rows_and_lists_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    faces: list[Row] = [((0, 1, 2),), ((0, 1, 2, 3),)]
    mixed = _write("binary_little_endian", ("vertex", XYZ, SQUARE), ("face", FACE, faces))
    equal = _write("binary_little_endian", ("vertex", XYZ, SQUARE), ("face", FACE, faces[:1] * 2))
    monkeypatch.setattr(ply, "MOST_CORNERS", 3)
    with pytest.raises(ObjectError, match="4 vertices, more than 3"):
        parse_ply(mixed)
    monkeypatch.setattr(ply, "MOST_CORNERS", 4)
    monkeypatch.setattr(ply_tables, "MOST_CORNERS", 8)
    parse_ply(equal)
    monkeypatch.setattr(ply_tables, "MOST_CORNERS", 7)
    for data in (mixed, equal):
        with pytest.raises(ObjectError, match="more than 7"):
            parse_ply(data)
    monkeypatch.setattr(ply_tables, "MOST_WALKED", 1)
    with pytest.raises(ObjectError, match="several lengths: too many"):
        parse_ply(mixed)


def test_a_file_without_rows_has_no_points() -> None:
    for body in (b"", b"1 2 3\n"):
        assert len(parse_ply(_write("ascii", ("vertex", XYZ, [])) + body).points) == 0


def test_negative_lengths_of_lists() -> None:
    lists = ("list char int vertex_indices",)
    data = _write("binary_little_endian", ("vertex", XYZ, SQUARE), ("face", lists, [((0, 1, 2),)]))
    with pytest.raises(ObjectError, match="a list of -1 values"):
        parse_ply(data[:-13] + b"\xff" + data[-12:])
