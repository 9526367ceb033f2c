"""Wavefront .obj files as people have them: each dialect gives the same mesh, each damage a reason with its line."""

import re
import time

import numpy as np
import pytest

from data_prep.readers import limits
from data_prep.readers.meshes import lines, obj
from data_prep.readers.meshes.obj import parse_obj
from data_prep.source import collect_notes
from spectral_ssl.ground.errors import ObjectError
from tests.random_meshes import RandomMesh, make_random_mesh

TETRAHEDRON = (
    "# a comment\no part\nv 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1.5\nvn 0 0 1\nvt 0 0\nusemtl m\ns off\n"
    "f 1 3 2\nf 1 2 4\nf 2 3 4\nf 3 1 4\n"
)
POINTS = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1.5]])
FACES = [[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]]


def _change(pattern: str, new: str) -> str:
    changed = re.sub(pattern, new, TETRAHEDRON, flags=re.MULTILINE)
    assert changed != TETRAHEDRON, "the pattern fits no line"
    return changed


DIALECTS = {
    "plain": TETRAHEDRON,
    "no last line end": TETRAHEDRON.rstrip(),
    "tabs": TETRAHEDRON.replace(" ", "\t"),
    "indented": _change("^", " \t "),
    "many blanks": _change(" ", "  \t  "),
    "trailing blanks": _change("$", "   "),
    "blank lines": _change("\n", "\n\n \n"),
    "comments at line ends": _change(r"^([vf].*)$", r"\1 # f 1 2 3 \\"),
    "comment touches the number": _change(r"^(f.*)$", r"\1#9"),
    "Windows line ends": TETRAHEDRON.replace("\n", "\r\n"),
    "old line ends of Macs": TETRAHEDRON.replace("\n", "\r"),
    "mark of UTF-8": "\ufeff" + TETRAHEDRON,
    "end sign of DOS": TETRAHEDRON + "\x1a",
    "upper case": TETRAHEDRON.upper(),
    "colours": _change("^(v .*)$", r"\1 0.5 0.25 1"),
    "colours with alpha": _change("^(v .*)$", r"\1 0.5 0.25 1 1"),
    "colours of some": _change("^(v 0 .*)$", r"\1 128 0 255"),
    "weights": _change("^(v .*)$", r"\1 1.0"),
    "numbers": TETRAHEDRON.replace("1.5", "+15.e-1").replace("v 1", "v 1.").replace("v 0 1", "v -0 .1E+1"),
    "exponents of Fortran": TETRAHEDRON.replace("1.5", "0.15D+1").replace("v 1", "v 1d0"),
    "all indices": _change(r"^f (\d) (\d) (\d)$", r"f \1/7/8 \2/7/8 \3/7/8"),
    "mixed corners": TETRAHEDRON.replace("f 1 3 2", "f 1/1/1 3//1 2/1").replace("f 1 2 4", "f 1/ 2// +4"),
    "negative": TETRAHEDRON.replace("f 1 3 2", "f -4 -2 -3").replace("f 3 1 4", "f 3 -4/-1 -1/-1/-1"),
    "faces first": "f 1 3 2\nf 1 2 4\nf 2 3 4\n" + _change(r"^f (?!3).*\n", ""),
    "old keyword of faces": _change("^f", "fo"),
    "continued lines": TETRAHEDRON.replace("f 1 3 2", "f 1 \\\n3 \\  \n  2").replace("v 1 0", "v 1\\\n 0"),
    "continued Windows lines": TETRAHEDRON.replace("f 1 3 2", "f 1 \\\n3 2").replace("\n", "\r\n"),
    "names that end in a backslash": "mtllib C:\\x\\\no \\\n# \\\n" + TETRAHEDRON.replace("1.5", "1.5\\\n"),
    "names with signs": "mtllib a # b\ng f 1 2\nusemtl v 1 2 3\n" + TETRAHEDRON,
    "material in the file": TETRAHEDRON + "newmtl m\nKd 1 0 0\nillum 2\n",
    "points and parameters": TETRAHEDRON + "vp 0.5\np 1 2\nlod 3\nC_INTERP on\nshadow_obj x\n",
    "small faces": TETRAHEDRON.replace("f 2 3 4", "f 1 2\nf 2 3 4\nf 3\nf 1 1"),
}


@pytest.mark.parametrize("name", DIALECTS)
def test_dialects_give_the_same_mesh(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with collect_notes() as notes:
        shape = parse_obj(DIALECTS[name].encode())
        np.testing.assert_array_equal(shape.points, POINTS)
        assert shape.faces is not None
        assert shape.faces.tolist() == FACES
        assert (shape.points.dtype, shape.faces.dtype) == (np.float64, np.int64)
        # A block per line must not change anything: negative indices and continued lines cross blocks.
        monkeypatch.setattr(obj, "BLOCK", 1)
        by_lines = parse_obj(DIALECTS[name].encode())
    np.testing.assert_array_equal(by_lines.points, POINTS)
    assert by_lines.faces is not None
    assert by_lines.faces.tolist() == FACES
    assert notes == []


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-16-be"])
def test_wide_texts_with_a_mark(encoding: str) -> None:
    data = ("\ufeff" if encoding.endswith("be") else "").encode(encoding) + TETRAHEDRON.encode(encoding)
    np.testing.assert_array_equal(parse_obj(data).points, POINTS)


def test_negative_indices_count_from_their_own_line() -> None:
    first = "o a\nv 0 0 0\nv 1 0 0\nv 0 1 0\nf -3 -2 -1\n"
    second = "o b\nv 9 0 0\nv 10 0 0\nv 9 1 0\nf -3 -2 -1\nf 1 2 -1\n"
    assert parse_obj((first + second).encode()).faces.tolist() == [[0, 1, 2], [3, 4, 5], [0, 1, 5]]


def test_many_comments_are_found_as_few_are(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    for _ in range(200):
        text = bytes(generator.choice(list(b"#\nx "), int(generator.integers(1, 30))).tolist())
        few = lines.blank_comments(text)
        monkeypatch.setattr(lines, "MANY_COMMENTS", 0)
        assert lines.blank_comments(text) == few
        assert few.split(b"\n") == [line.partition(b"#")[0].ljust(len(line)) for line in text.split(b"\n")]
        monkeypatch.undo()


def test_vertices_without_faces_are_a_cloud() -> None:
    with collect_notes() as notes:
        assert parse_obj(b"v 0 0 0\nv 1 0 0\n").faces is None
    assert notes == ["no faces: read as a cloud of the vertices"]
    shape = parse_obj(b"g all\nv 0 0 0 1 0 0\nv 1 2 3 0 1 0\np 1 2\n")
    assert shape.faces is None
    assert shape.points.tolist() == [[0, 0, 0], [1, 2, 3]]


TRIANGLE = "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n"


@pytest.mark.parametrize(
    ("addition", "note"),
    [
        ("l 1 2\nl 2 3 1\n", "2 lines (edges) next to the faces: left out"),
        ("cstype bezier\ndeg 2\ncurv 0 1 1 2 3\nend\n", "1 curves next to the faces: left out"),
        ("tessellate 3\n", "1 statements that OBJ does not define: left out"),
    ],
)
def test_what_is_left_out_is_noted(addition: str, note: str) -> None:
    with collect_notes() as notes:
        assert parse_obj((TRIANGLE + addition).encode()).faces.tolist() == [[0, 1, 2]]
    assert notes == [note]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (TRIANGLE + "f 0 1 2\n", r"line 5: index 0 of a face; the first vertex is 1"),
        (TRIANGLE + "f 1/0 0/1 2\n", r"line 5: index 0"),
        (TRIANGLE + "f 1 2 9\n", r"line 5: a face names vertex 9 of 3"),
        (TRIANGLE + "\nf 1 2 -4\n", r"line 6: a face names vertex -4, but 3 are above it"),
        ("f -1 -2 -3\n" + TRIANGLE, r"line 1: a face names vertex -[123], but 0 are above it"),
        (TRIANGLE + "f 1 2 999999999999\n", r"line 5: a face names vertex 999999999999 of 3"),
        (TRIANGLE + "f 1 2 99999999999999999999999\n", r"line 5: a face names vertex '9*', which is not there"),
        (TRIANGLE + "f 1 2 " + "9" * 5000 + "\n", r"line 5: a face names vertex"),
        (TRIANGLE + "f 1 2 3.0\n", r"line 5: unreadable corner '3.0'"),
        (TRIANGLE + "f 1 2 /3\n", r"line 5: unreadable corner '/3'"),
        (TRIANGLE + "f 1 2 3-1\n", r"line 5: unreadable corner '3-1'"),
        (TRIANGLE + "f 1 2 -\n", r"line 5: unreadable corner '-'"),
        (TRIANGLE + "f 1, 2, 3\n", r"line 5: unreadable corner '1,'"),
        (TRIANGLE + "f 1 2 3\n4 1\n", r"line 6: begins with '4', not with a keyword"),
        (TRIANGLE + "f 1 2", r"line 5: truncated: a face of 2 corners"),
        (TRIANGLE + "f", r"line 5: truncated: a face of 0 corners"),
        ("v 0 0 0\nv 1 0\n" + TRIANGLE, r"line 2: a vertex of 2 numbers"),
        ("v 0 0 0\nv\n" + TRIANGLE, r"line 2: a vertex of 0 numbers"),
        ("v 0 0 0 1 1\n" + TRIANGLE, r"line 1: a vertex of 5 numbers"),
        ("v 0,5 1,5 2,5\n" + TRIANGLE, r"line 1: '0,5' has a decimal comma; write a decimal point"),
        ("v 0, 1, 2\n" + TRIANGLE, r"line 1: '0,' has a comma; separate numbers by spaces"),
        ("v 0 zero 0\n" + TRIANGLE, r"line 1: unreadable number 'zero'"),
        ("v 0 1_0 0\n" + TRIANGLE, r"line 1: unreadable number '1_0'"),
        ("v 0 0x10 0\n" + TRIANGLE, r"line 1: unreadable number '0x10'"),
        ("v 0 1.2.3 0\n" + TRIANGLE, r"line 1: unreadable number '1.2.3'"),
        ("v 0 1-2 0\nv 1 1 1\n", r"line 1: unreadable number '1-2'"),
        ("v 0 \\\n0 0\nv 0 \\\nx 0\n", r"line 4: unreadable number 'x'"),
        ("v 0 0 0\nv 1 0 0\nl 1 2\n", r"1 lines \(edges\) and no faces"),
        ("v 0 0 0\nv 1 0 0\ncurv 0 1 1 2\n", "1 curves and no faces"),
        (TRIANGLE + "surf 0 1 0 1 1 2 3\n", "free-form surfaces.*convert the file to polygons"),
        (TRIANGLE + "call other.obj\n", "calls of other files"),
        ("f 1 2 3\n", "no vertices for the faces"),
        ("vn 0 0 1\n", "no vertices: no line begins with v"),
        ("a text about something else\n", "no vertices: no line begins with v"),
        (" \n# nothing\n", "no vertices"),
        (TRIANGLE + "\0", "binary data in a .obj file"),
    ],
)
def test_damage_is_refused_with_its_line(text: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ObjectError, match=reason):
        parse_obj(text.encode())
    monkeypatch.setattr(obj, "BLOCK", 1)
    with pytest.raises(ObjectError, match=reason):
        parse_obj(text.encode())


@pytest.mark.parametrize("head", [b"\x4c\x01\x05\0", b"\x64\x86\x05\0", b"\0\0\xff\xff\1\0", b"\x7fELF\2\1\1\0"])
def test_object_files_of_compilers_are_refused_by_name(head: bytes) -> None:
    with pytest.raises(ObjectError, match="an object file of a compiler"):
        parse_obj(head + bytes(100))


def _write(mesh: RandomMesh, generator: np.random.Generator) -> str:
    """Write a mesh in a random dialect; faces follow as soon as their vertices are written, or at the end."""
    blank = [" ", "\t", "  "][generator.integers(3)]
    indent = ["", " ", "\t"][generator.integers(3)]
    suffix = ["", "/1", "//1", "/1/1"][generator.integers(4)]
    extra = ["", " 1 0 0", " 1.0"][generator.integers(3)]
    comment = ["", " # 1 2 3"][generator.integers(2)]
    is_negative, is_early = generator.random(2) < 0.5
    rows: list[str] = []
    written = 0
    waiting = list(mesh.polygons)
    order = []
    for row, point in enumerate(mesh.points.tolist()):
        rows.append(f"{indent}v {blank.join(map(repr, point))}{extra}{comment}")
        written = row + 1
        ready = [polygon for polygon in waiting if max(polygon) < written and (is_early or written == len(mesh.points))]
        for polygon in ready:
            waiting.remove(polygon)
            order.append(polygon)
            corners = [corner - written if is_negative else corner + 1 for corner in polygon]
            joint = blank + "\\\n" if generator.random() < 0.1 else blank
            rows.append(indent + "f " + joint.join(f"{corner}{suffix}" for corner in corners) + comment)
            rows.append(["", "g part", "vn 0 0 1", "# f 0"][generator.integers(4)])
    assert not waiting
    return ["\n", "\r\n", "\r"][generator.integers(3)].join(rows) + "\n"


def test_random_meshes_in_random_dialects(monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(60):
        generator = np.random.default_rng(seed)
        mesh = make_random_mesh(seed, largest=int(generator.integers(3, 9)))
        monkeypatch.setattr(obj, "BLOCK", int(generator.choice([1, 100, 1 << 22])))
        shape = parse_obj(_write(mesh, generator).replace("\\\r", "\\\n").encode())
        np.testing.assert_array_equal(shape.points, mesh.points)
        assert shape.faces is not None
        sides = shape.points[shape.faces[:, 1:]] - shape.points[shape.faces[:, :1]]
        areas = np.linalg.norm(np.cross(sides[:, 0], sides[:, 1]), axis=1) / 2
        assert areas.sum() == pytest.approx(mesh.area, rel=1e-9)


def test_words_are_limited_and_time_is_linear(monkeypatch: pytest.MonkeyPatch) -> None:
    statements = b"".join(b"usemtl m%d \\\no x%d\\\nf 1 2 \\\n 3\n" % (row, row) for row in range(50_000))
    started = time.process_time()
    assert len(parse_obj(b"v 0 0 0\nv 1 0 0\nv 0 1 0\n" + statements).faces) == 50_000
    assert len(parse_obj(b"v 0 0 0\n" + b"\\ " * 500_000 + b"\n").points) == 1
    assert time.process_time() - started < 5
    monkeypatch.setattr(limits, "MOST_WORDS", 90)
    with pytest.raises(ObjectError, match="200 words, more than 90"):
        parse_obj(b"v 0 0 0\n" * 50)
