import io
import time

import numpy as np
import pytest

from data_prep.readers.meshes.off import parse_off
from spectral_ssl.ground.errors import ObjectError

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
        TETRAHEDRON.replace(b"3 2 0 3", b"003 2 0 3") + b"what follows the announced lines does not matter\n",
    ],
)
def test_variants_give_the_same_mesh(data: bytes) -> None:
    vertices, faces = parse_off(data)
    np.testing.assert_array_equal(vertices, CORNERS)
    np.testing.assert_array_equal(faces, TRIANGLES)
    assert vertices.dtype == np.float64
    assert faces.dtype == np.int64


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
        (b"OFF BINARY\n\x00\x00\x00\x04", "unreadable counts"),
        (b"OFF\n4 x 6\n", "unreadable counts"),
        (b"OFF\n-4 4 6\n0 0 0\n", "negative counts"),
        (b"OFF\n9999999999999 1 0\n0 0 0\n", "truncated.*bytes follow"),
        (b"OFF\n3 9999999999999 0\n0 0 0\n0 0 0\n0 0 0\n", "truncated.*bytes follow"),
        (TETRAHEDRON[:60], "truncated"),
        (TETRAHEDRON.replace(b"3 2 0 3", b"4 2 0 3"), "a face of 4 corners"),
        (TETRAHEDRON.replace(b"3 2 0 3", b"3 2 0 4"), "names vertex 4 of 4"),
        (TETRAHEDRON.replace(b"3 2 0 3", b"3 2 0 -1"), "names vertex -1 of 4"),
        (TETRAHEDRON.replace(b"3 2 0 3", b"3 2 0.5 3"), "unreadable number"),
        (TETRAHEDRON.replace(b"1.5", b"zero"), "unreadable number"),
        (TETRAHEDRON.replace(b"1.5", b"nan"), "not finite"),
        (TETRAHEDRON.replace(b"0 0 1.5", b"0 1.5"), "three coordinates|unreadable number"),
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
