import io
import time

import numpy as np
import pytest
from numpy.typing import NDArray

from data_prep.readers.meshes.off import parse_off
from data_prep.source import collect_notes
from spectral_ssl.ground.errors import ObjectError
from tests.random_meshes import RandomMesh, make_random_mesh

TETRAHEDRON = b"OFF\n4 4 6\n0 0 0\n1 0 0\n0 1 0\n0 0 1.5\n3 0 2 1\n3 0 1 3\n3 1 2 3\n3 2 0 3\n"
CORNERS = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1.5]])
TRIANGLES = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]])


@pytest.mark.parametrize(
    "data",
    [
        TETRAHEDRON,
        TETRAHEDRON.rstrip(),
        TETRAHEDRON.replace(b"OFF\n4", b"OFF4"),
        TETRAHEDRON.replace(b"OFF\n4", b"OFF 4"),
        TETRAHEDRON.replace(b"OFF\n4 4 6", b"OFF\n4 4"),
        TETRAHEDRON.replace(b"\n", b"\r\n"),
        TETRAHEDRON.replace(b"\n", b"\r"),
        TETRAHEDRON.replace(b"\n", b"\n\n"),
        b"# made by hand\n" + TETRAHEDRON.replace(b"\n1 0 0", b" # here\n# 7 7 7\n1 0 0"),
        TETRAHEDRON.replace(b"3 0 1 3\n", b"3 0 1 3  255 0 0\n"),
        TETRAHEDRON.replace(b"3 0 1 3\n", b"3 0 1 3 0.5 0.5 0.5 1.0\n"),
        TETRAHEDRON.replace(b"OFF", b"COFF").replace(b"0 1 0\n", b"0 1 0 255 0 0 255\n"),
        TETRAHEDRON.replace(b"OFF", b"NOFF").replace(b"0 1 0\n", b"0 1 0 0.0 0.0 1.0\n"),
        TETRAHEDRON.replace(b"1 0 0\n", b"\t1e0   +0.0 -0\n"),
        TETRAHEDRON.replace(b"3 2 0 3", b"003 2 0 3"),
        b"\xef\xbb\xbf" + TETRAHEDRON,
        TETRAHEDRON.decode().encode("utf-16"),
        TETRAHEDRON.replace(b"OFF", b"off"),
        TETRAHEDRON.removeprefix(b"OFF\n"),
        b"# no keyword\n" + TETRAHEDRON.removeprefix(b"OFF\n").replace(b"4 4 6", b"4 4"),
        TETRAHEDRON.replace(b"4 4 6", b"4\n4\n6"),
        TETRAHEDRON.replace(b"4 4 6", b"4\n4 6"),
        TETRAHEDRON.replace(b"4 4 6", b"4\n4"),
        TETRAHEDRON.replace(b"4 4 6\n", b"4 4 # edges are not counted\n"),
        TETRAHEDRON.replace(b"\n", b" "),
        TETRAHEDRON.replace(b"4 4 6", b"4 4").replace(b"\n", b"\t"),
        TETRAHEDRON.replace(b"4 4 6\n", b"4 4 6 "),
        TETRAHEDRON.replace(b" ", b"\n"),
        TETRAHEDRON.replace(b"\n3 ", b"\n3\n"),
        TETRAHEDRON.replace(b"3 0 1 3\n", b"3\n0 1\n3 255 0 0\n"),
        TETRAHEDRON.replace(b"0 0 0\n1 0 0", b"0 0 0 1 0 0"),
        TETRAHEDRON.replace(b"0 0 0\n1 0 0", b"0 0\n0 1 0\n0"),
        TETRAHEDRON.replace(b"3 0 1 3\n", b"3 0 1 3 "),
        TETRAHEDRON.replace(b"3 0 1 3\n", b"3 0 1 3 7\n").replace(b"3 1 2 3\n", b"3 1 2 3 .1 .2 .3 1\n"),
        TETRAHEDRON.replace(b"OFF\n", b"4OFF\n").replace(b"0 0 1.5\n", b"0 0 3 2\n").replace(b" 0\n", b" 0 1\n"),
        TETRAHEDRON.replace(b"OFF\n", b"nOFF 3\n"),
        TETRAHEDRON.replace(b"OFF\n", b"nOFF\n3\n"),
        TETRAHEDRON.replace(b"OFF\n", b"STCNOFF\n").replace(b" 0\n", b" 0 0 0 1 9 9 9 9 .5 .5\n"),
        b"NOFF 4 4 6 0 0 0 1 0 0 1 0 0 1 0 0 0 1 0 1 0 0 0 0 1.5 1 0 0 3 0 2 1 3 0 1 3 3 1 2 3 3 2 0 3",
        b"COFF 4 4 6 0 0 0 1 0 0 1 0 0 1 0 0 0 1 0 1 0 0 0 0 1.5 1 0 0 3 0 2 1 3 0 1 3 3 1 2 3 3 2 0 3",
        b"COFF 4 4 0 0 0 1 0 0 1 1 0 0 1 0 0 1 0 1 0 1 0 0 1 0 0 1.5 1 0 0 1 3 0 2 1 3 0 1 3 3 1 2 3 3 2 0 3",
        TETRAHEDRON.replace(b"1.5", b"0.15d1"),
    ],
)
def test_variants_give_the_same_mesh(data: bytes) -> None:
    vertices, faces = parse_off(data)
    np.testing.assert_array_equal(vertices, CORNERS)
    np.testing.assert_array_equal(faces, TRIANGLES)
    assert vertices.dtype == np.float64
    assert faces.dtype == np.int64


def test_lines_after_the_last_face_are_noted() -> None:
    with collect_notes() as notes:
        assert len(parse_off(TETRAHEDRON + b"end of the file\n")[1]) == 4
    assert notes == ["1 lines after the last face: left out"]


def test_three_counts_come_before_two_where_both_fit() -> None:
    # Without the number of edges, 4 3 0 1 2 would be a face of four corners.
    vertices, faces = parse_off(b"OFF 4 2 5 0 0 0 1 0 0 0 1 0 1 1 4 3 0 1 2 3 0 1 2")
    assert vertices[3].tolist() == [1, 1, 4]
    assert faces.tolist() == [[0, 1, 2], [0, 1, 2]]


def test_concave_polygons_keep_their_area() -> None:
    text = b"OFF\n6 1 0\n2 0 0\n2 1 0\n1 1 0\n1 2 0\n0 2 0\n0 0 0\n6 0 1 2 3 4 5\n"
    vertices, faces = parse_off(text)
    assert _sum_areas(vertices, faces) == pytest.approx(3)


def _sum_areas(vertices: NDArray[np.float64], faces: NDArray[np.int64]) -> float:
    sides = vertices[faces[:, 1:]] - vertices[faces[:, :1]]
    return float(np.linalg.norm(np.cross(sides[:, 0], sides[:, 1]), axis=1).sum()) / 2


def _write(mesh: RandomMesh, generator: np.random.Generator) -> str:
    """Write a mesh in a random dialect."""
    has_colours, has_edges, is_one_line, is_wrapped = generator.random(4) < 0.4
    has_colours &= not is_one_line
    keyword = ["OFF\n", "OFF ", "OFF", "", "# made\n\nOFF\n\n", "CNOFF\n"][generator.integers(5 + has_colours)]
    extra = " 0.0 0 1 255 0 0 255" if keyword == "CNOFF\n" else ""
    lines = [f"{keyword}{len(mesh.points)} {len(mesh.polygons)}{' 7' if has_edges else ''}"]
    joint = ["\n", " ", "\t"][generator.integers(3)] if is_wrapped else " "
    lines += [" ".join(map(repr, point)) + extra for point in mesh.points.tolist()]
    for polygon in mesh.polygons:
        colour = ["", " 1 0 0", " 0.5 .5 0.5 1", " 4"][generator.integers(4)] if has_colours else ""
        lines.append(joint.join(map(str, (len(polygon), *polygon))) + colour)
    if is_one_line and keyword:
        return " ".join(lines)
    return ["\n", "\r\n", "\r", " # 1 2 3\n"][generator.integers(4)].join(lines) + "\n"


def test_random_meshes_in_random_dialects() -> None:
    for seed in range(100):
        generator = np.random.default_rng(seed)
        mesh = make_random_mesh(seed, largest=int(generator.integers(3, 9)))
        vertices, faces = parse_off(_write(mesh, generator).encode())
        np.testing.assert_array_equal(vertices, mesh.points)
        assert _sum_areas(vertices, faces) == pytest.approx(mesh.area, rel=1e-9)


def test_polygons_become_fans_and_short_ones_are_dropped() -> None:
    square = b"OFF\n5 3 0\n0 0 0\n1 0 0\n1 1 0\n0 1 0\n2 2 2\n5 0 1 2 3 4\n2 0 1\n4 3 2 1 0\n"
    _, faces = parse_off(square)
    np.testing.assert_array_equal(faces, [[0, 1, 2], [0, 2, 3], [0, 3, 4], [3, 2, 1], [3, 1, 0]])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not an OFF file"),
        (b"solid cube\n", "not an OFF file"),
        (b"OFFICE 1 2 3\n", "not an OFF file"),
        (b"OFF\n", "unreadable counts"),
        (b"OFF BINARY\n\x00\x00\x00\x04", "binary OFF, which is not read"),
        (b"OFF\n4 x 6\n", "unreadable counts"),
        (b"OFF\n-4 4 6\n0 0 0\n", "negative counts"),
        (b"OFF\n9999999999999 1 0\n0 0 0\n", "truncated.*bytes follow"),
        (b"OFF\n3 9999999999999 0\n0 0 0\n0 0 0\n0 0 0\n", "truncated.*bytes follow"),
        (TETRAHEDRON[:60], "truncated"),
        (TETRAHEDRON[:-8], "truncated: 4 faces announced, 3 lines follow the vertices"),
        (TETRAHEDRON[:40], "truncated: 4 vertices and 4 faces announced, 5 lines follow"),
        (TETRAHEDRON[:-2], "line 10: a face of 3 corners, but 2 numbers follow"),
        (TETRAHEDRON.replace(b"\n", b" ")[:-3], "truncated"),
        (TETRAHEDRON.replace(b"\n", b" ") + b"3 0 1 2", "^4 faces take 16 numbers, but 20 follow"),
        (TETRAHEDRON + b"3 0 1 2\n", "line 11: numbers after the last of 4 announced faces"),
        (TETRAHEDRON.replace(b"4 4 6", b"4 3 6"), "line 10: numbers after the last of 3 announced faces"),
        (TETRAHEDRON.replace(b"4 4 6", b"3 4 6"), "line 10: numbers after the last of 4 announced faces"),
        (TETRAHEDRON.replace(b"4 4 6", b"4 5 6"), "truncated"),
        (TETRAHEDRON.replace(b"3 0 1 3", b"4 0 1 3"), "line 8: a face of 4 corners, but 3 numbers follow"),
        (TETRAHEDRON.replace(b"3 0 1 3", b"-3 0 1 3"), "line 8: a face of -3 corners"),
        (TETRAHEDRON.replace(b"3 0 1 3", b"x 0 1 3"), "line 8: unreadable number 'x' of corners"),
        (TETRAHEDRON.replace(b"0 0 1.5", b"0 0 1,5"), "line 6: '1,5' has a decimal comma"),
        (TETRAHEDRON.replace(b"0 0 1.5", b"0 0 1_5"), "line 6: unreadable number '1_5'"),
        (TETRAHEDRON.replace(b"OFF\n", b"nOFF 4\n"), "nOFF of '4' dimensions"),
        (TETRAHEDRON.replace(b"OFF\n", b"4OFF\n"), "a vertex without 4 coordinates"),
        (
            TETRAHEDRON.replace(b"OFF\n", b"4OFF\n").replace(b"1.5\n", b"1.5 0\n").replace(b" 0\n", b" 0 1\n"),
            "a fourth coordinate that is not positive",
        ),
        (TETRAHEDRON + b"\0", "binary data in a .off file"),
        (TETRAHEDRON.replace(b"3 2 0 3", b"4 2 0 3"), "a face of 4 corners"),
        (TETRAHEDRON.replace(b"3 2 0 3", b"3 2 0 4"), "names vertex 4 of 4"),
        (TETRAHEDRON.replace(b"3 2 0 3", b"3 2 0 -1"), "names vertex -1 of 4"),
        (TETRAHEDRON.replace(b"3 2 0 3", b"3 2 0.5 3"), "unreadable number"),
        (TETRAHEDRON.replace(b"1.5", b"zero"), "unreadable number"),
        (TETRAHEDRON.replace(b"1.5", b"nan"), "not finite"),
        (TETRAHEDRON.replace(b"0 0 1.5", b"0 1.5"), "line 6: a vertex without 3 coordinates"),
        (TETRAHEDRON.replace(b"3 2 0 3", b"3 2 0 99999999999999999999999"), "a face names|unreadable"),
    ],
)
def test_bad_files_are_explained(data: bytes, reason: str) -> None:
    with pytest.raises(ObjectError, match=reason):
        parse_off(data)


def _sphere() -> tuple[bytes, object]:
    trimesh = pytest.importorskip("trimesh")
    mesh = trimesh.creation.uv_sphere(count=[56, 56])
    mesh.vertices += np.random.default_rng(1).normal(size=mesh.vertices.shape) / 7
    text = mesh.export(file_type="off")
    return (text.encode() if isinstance(text, str) else text), trimesh


def test_same_as_trimesh_and_faster() -> None:
    data, trimesh = _sphere()

    def theirs() -> object:
        return trimesh.load(io.BytesIO(data), file_type="off", process=False)

    mesh = theirs()
    vertices, faces = parse_off(data)
    assert len(faces) > 10_000
    np.testing.assert_array_equal(vertices, mesh.vertices)
    np.testing.assert_array_equal(faces, mesh.faces)
    # 10 to 16 times on a quiet machine; a wide margin for a busy one
    assert 3 * _best(lambda: parse_off(data)) < _best(theirs)


def _best(work: object) -> float:
    times = []
    for _ in range(5):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def test_general_path_gives_what_the_fast_one_gives() -> None:
    data, _ = _sphere()
    vertices, faces = parse_off(data)
    # one coloured face makes the file uncommon
    slow_vertices, slow_faces = parse_off(data.rstrip() + b" 1 2 3\n")
    np.testing.assert_array_equal(slow_vertices, vertices)
    np.testing.assert_array_equal(slow_faces, faces)


def test_a_plain_file_with_other_signs_is_not_read_as_plain() -> None:
    """The plain way is tried before the text is searched for other signs, so it must notice each of them."""
    plain = b"OFF\n4 2 0\n0 0 0\n1 0 0\n0 1 0\n0 0 1\n3 0 1 2\n3 0 1 3\n"
    vertices, faces = parse_off(plain)
    for at in range(10, len(plain)):
        if plain[at : at + 1].isspace():
            for sign in (b"\r", b"\n", b" # 7 7\n", b"\t"):
                same = parse_off(plain[:at] + sign + plain[at:])
                assert np.array_equal(same[0], vertices)
                assert np.array_equal(same[1], faces)
        with pytest.raises(ObjectError, match=r"binary data in a \.off file"):
            parse_off(plain[:at] + b"\0" + plain[at:])
