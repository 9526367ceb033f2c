"""Text and binary .stl files as people have them: each dialect gives the same triangles, each damage a reason."""

import struct
import time

import numpy as np
import pytest
from numpy.typing import NDArray

from data_prep.readers.meshes import stl
from data_prep.readers.meshes.stl import parse_stl
from data_prep.source import collect_notes
from spectral_ssl.ground.errors import ObjectError
from tests.random_meshes import RandomMesh, make_random_mesh

CORNERS = np.array([[[0, 0, 0], [1, 0, 0], [0, 1, 0]], [[0, 0, 0], [0, 1, 0], [0, 0, 1.5]]])


def _write_facet(corners: NDArray[np.float64], normal: str = "0 0 1") -> str:
    vertices = "".join(f"      vertex {x!r} {y!r} {z!r}\n" for x, y, z in corners.tolist())
    return f"  facet normal {normal}\n    outer loop\n{vertices}    endloop\n  endfacet\n"


FACETS = [_write_facet(corners) for corners in CORNERS]
TEXT = f"solid a part\n{FACETS[0]}{FACETS[1]}endsolid a part\n"


def _write_binary(
    corners: NDArray[np.float64], announced: int | None = None, head: bytes = b"", normal: object = 0
) -> bytes:
    records = np.zeros(len(corners), [("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
    records["corners"], records["normal"], records["attribute"] = corners, normal, 0x7FFF
    count = len(corners) if announced is None else announced
    return head.ljust(80, b" ") + struct.pack("<I", count) + records.tobytes()


BINARY = _write_binary(CORNERS)
DIALECTS = {
    "text": TEXT.encode(),
    "no last line end": TEXT.rstrip().encode(),
    "upper case": TEXT.upper().encode(),
    "Windows line ends": TEXT.replace("\n", "\r\n").encode(),
    "old line ends of Macs": TEXT.replace("\n", "\r").encode(),
    "mark of UTF-8": TEXT.encode("utf-8-sig"),
    "UTF-16": TEXT.encode("utf-16"),
    "tabs and blank lines": TEXT.replace(" ", "\t").replace("\n", " \n\n").encode(),
    "no indentation": "\n".join(line.strip() for line in TEXT.split("\n")).encode(),
    "one line": TEXT.replace("\n", " ").encode(),
    "facet on the line of its solid": TEXT.replace("\n", " ", 7).encode(),
    "two solids on a line": f"solid a {FACETS[0]} endsolid a solid b {FACETS[1]} endsolid b".replace(
        "\n", " "
    ).encode(),
    "facet on one line": TEXT.replace("\n      v", " v").replace("\n    e", " e").encode(),
    "no names": TEXT.replace(" a part", "").encode(),
    "no solid": (FACETS[0] + FACETS[1]).encode(),
    "words of the format in the name": TEXT.replace("a part", "facet vertex 1 2 3 endsolid outer loop").encode(),
    "such a name in one facet a line": TEXT.replace("a part", "a vertex").replace("\n      v", " v").encode(),
    "several solids": f"solid a\n{FACETS[0]}endsolid a\nsolid b c\n{FACETS[1]}endsolid b c\n".encode(),
    "an empty solid": f"solid a\nendsolid a\n{TEXT}".encode(),
    "no endsolid between": f"solid a\n{FACETS[0]}solid b c\n{FACETS[1]}endsolid\n".encode(),
    "words in two parts": TEXT.replace("end", "end ").encode(),
    "normals that are not numbers": TEXT.replace("normal 0 0 1", "normal nan -nan(ind) nan").encode(),
    "no normals": TEXT.replace("facet normal 0 0 1", "facet").encode(),
    "numbers": TEXT.replace("1.5", "+.15E1").replace("1.0", "1d+0").encode(),
    "binary": BINARY,
    "binary that begins with solid": _write_binary(CORNERS, head=b"solid made by a program"),
    "binary with colours": _write_binary(CORNERS, head=b"COLOR=\xff\xff\xff\xff"),
    "binary without numbers as normals": _write_binary(CORNERS, normal=np.nan),
}


@pytest.mark.parametrize("name", DIALECTS)
@pytest.mark.parametrize("block", [1, 1 << 22])
def test_dialects_give_the_same_triangles(name: str, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stl, "BLOCK", block)
    with collect_notes() as notes:
        shape = parse_stl(DIALECTS[name])
    assert shape.faces is not None
    assert shape.faces.tolist() == [[0, 1, 2], [3, 4, 5]]
    np.testing.assert_array_equal(shape.points.reshape(-1, 3, 3), CORNERS)
    assert (shape.points.dtype, shape.faces.dtype) == (np.float64, np.int64)
    assert notes == []


@pytest.mark.parametrize(
    ("data", "note"),
    [
        (BINARY + b"\n", "1 bytes after the last triangle: left out"),
        (BINARY + bytes(50), "50 bytes after the last triangle: left out"),
        (BINARY + b" " * 117, "117 bytes after the last triangle: left out"),
        (TEXT.encode() + bytes(70), "70 zero bytes at the end: left out"),
        (_write_binary(CORNERS, 0), "2 triangles by the size of the file; the header announces 0"),
        (_write_binary(CORNERS, 1), "2 triangles by the size of the file; the header announces 1"),
        (_write_binary(CORNERS, 2**32 - 1), "2 triangles by the size of the file; the header announces 4294967295"),
        (
            _write_binary(CORNERS, 1, b"solid x"),
            "2 triangles by the size of the file; the header announces 1",
        ),
    ],
)
def test_a_wrong_count_or_trailing_bytes_are_noted(data: bytes, note: str) -> None:
    with collect_notes() as notes:
        np.testing.assert_array_equal(parse_stl(data).points.reshape(-1, 3, 3), CORNERS)
    assert notes == [note]


def test_a_facet_of_many_vertices_is_a_polygon() -> None:
    outline = np.array([[0, 0, 0], [2, 0, 0], [2, 1, 0], [1, 1, 0], [1, 2, 0], [0, 2, 0]], np.float64)
    shape = parse_stl(f"solid\n{FACETS[0]}{_write_facet(np.roll(outline, 3, axis=0))}{FACETS[1]}endsolid".encode())
    assert shape.faces is not None
    corners = shape.points[shape.faces]
    areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) / 2
    assert areas.tolist() == pytest.approx([0.5, *areas[1:-1], 0.75])
    assert areas[1:-1].sum() == pytest.approx(3.0)  # An L of three unit squares


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (_write_binary(CORNERS, 3), "truncated: 3 triangles announced, 2 follow in 184 bytes"),
        (BINARY[:-1], "truncated: 2 triangles announced, 1 follow in 183 bytes"),
        (_write_binary(CORNERS, head=b"solid x")[:-7], "truncated: 2 triangles announced, 1 follow"),
        (BINARY[:84], "truncated: 2 triangles announced, 0 follow"),
        (_write_binary(CORNERS, 0) + b"x", "0 triangles announced, but 101 bytes follow"),
        (BINARY + b"a text of 50 bytes, which is not a triangle at all", "2 triangles announced, but 3 follow"),
        (BINARY[:60], "unreadable .stl file: 60 bytes"),
        (b"; a comment\n" + TEXT.encode(), "a text that does not begin with 'solid'"),
        (b"nothing of the kind", "unreadable .stl file"),
        (TEXT[: TEXT.index("endsolid")].encode(), "truncated: the text ends without endsolid"),
        (TEXT[: TEXT.rindex("endfacet")].encode(), "truncated: the text ends within a facet"),
        (TEXT[: TEXT.rindex("facet")].encode(), "truncated: the text ends within a facet"),
        (TEXT[: TEXT.rindex("ertex")].encode(), "truncated: the text ends within a facet"),
        (TEXT[: TEXT.rindex("1.5")].encode(), "truncated: the text ends within a facet"),
        (TEXT[: TEXT.rindex("outer")].encode(), "truncated: the text ends within a facet"),
        (b"solid a\n" + FACETS[0].encode(), "truncated: the text ends without endsolid"),
        (b"solid a\n", "truncated"),
        (TEXT.replace("0.0 1.5", "1.5").encode(), "line 13: a vertex of 2 numbers"),
        (TEXT.replace("1.5", "1.5 7").encode(), "line 13: a vertex of 4 numbers"),
        (TEXT.replace("1.5", "1,5").encode(), "line 13: '1,5' has a decimal comma"),
        (TEXT.replace("1.5", "zero").encode(), "line 13: unreadable number 'zero'"),
        (TEXT.replace("1.0 0.0\n    endloop", "\n    endloop").encode(), "a vertex of 1 numbers"),
        (TEXT.replace("outer loop\n", "\n", 1).encode(), "line 4: 'vertex' where STL has another word"),
        (TEXT.replace("      vertex 0.0 0.0 0.0\n", "", 1).encode(), "line 7: a facet of fewer than 3 vertices"),
        (TEXT.replace("endloop", "what", 1).encode(), "line 7: 'what' where STL has another word"),
    ],
)
def test_damage_is_explained(data: bytes, reason: str) -> None:
    with pytest.raises(ObjectError, match=reason):
        parse_stl(data)


def test_no_cut_of_a_text_is_read_in_silence() -> None:
    data = TEXT.encode()
    last = data.rindex(b"endsolid") + len(b"endsolid")
    for size in range(len(data)):
        if size < last:
            with pytest.raises(ObjectError, match=r"truncated|line \d|unreadable .stl"):
                parse_stl(data[:size])
        else:
            assert len(parse_stl(data[:size]).points) == 6


def _write_text(mesh: RandomMesh, generator: np.random.Generator) -> str:
    """Write the polygons of a mesh as facets in a random dialect."""
    text = "solid a vertex\n"
    for polygon in mesh.polygons:
        text += _write_facet(mesh.points[list(polygon)], ["0 0 1", "nan nan nan"][generator.integers(2)])
        text += ["", "endsolid x\nsolid y\n", "\n"][generator.integers(3)]
    text += "endsolid\n"
    blank = [" ", "\t", "  "][generator.integers(3)]
    text = text.replace(" ", blank) if generator.random() < 0.5 else text.upper()
    return text.replace("\n", ["\n", "\r\n", "\r", " \n"][generator.integers(4)])


def test_random_meshes_in_random_dialects() -> None:
    for seed in range(40):
        generator = np.random.default_rng(seed)
        mesh = make_random_mesh(seed, largest=int(generator.integers(3, 8)))
        corners = np.concatenate([mesh.points[list(polygon)] for polygon in mesh.polygons])
        shape = parse_stl(_write_text(mesh, generator).encode())
        np.testing.assert_array_equal(shape.points, corners)
        assert shape.faces is not None
        sides = shape.points[shape.faces[:, 1:]] - shape.points[shape.faces[:, :1]]
        areas = np.linalg.norm(np.cross(sides[:, 0], sides[:, 1]), axis=1) / 2
        assert areas.sum() == pytest.approx(mesh.area, rel=1e-9)
        binary = parse_stl(_write_binary(shape.points[shape.faces], head=b"solid"))
        np.testing.assert_array_equal(binary.points, shape.points[shape.faces].reshape(-1, 3))


def test_time_is_linear_in_the_number_of_solids_and_words() -> None:
    started = time.process_time()
    solids = parse_stl(("".join(f"solid {row}\n{FACETS[0]}endsolid\n" for row in range(20_000))).encode())
    assert len(solids.points) == 60_000
    hostile = (
        b"solid " + b"facet " * 200_000,
        b"solid\n" + b"end " * 200_000,
        b"solid\nfacet\nouter\n" + b"vertex\n" * 200_000,
    )
    for data in hostile:
        with pytest.raises(ObjectError):
            parse_stl(data)
    assert time.process_time() - started < 5
