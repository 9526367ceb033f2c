"""Clouds as text in the dialects that programs write: the right points, or a reason."""

from pathlib import Path

import numpy as np
import pytest

from data_prep.readers.clouds.text import parse_text
from data_prep.readers.shape import read_shape
from data_prep.source import Shape, collect_notes
from spectral_ssl.ground.errors import ObjectError

POINTS = np.round(np.random.default_rng(0).normal(size=(30, 3)) * [1, 2, 4] + 5, 3)
COLOURS = np.random.default_rng(1).integers(0, 256, (30, 3))


def _rows(table: np.ndarray = POINTS, separator: str = " ", end: str = "\n") -> str:
    return "".join(separator.join(f"{value:.7g}" for value in row) + end for row in table)


def _read(text: str | bytes, name: str = "a.xyz") -> tuple[Shape, list[str]]:
    with collect_notes() as notes:
        shape = parse_text(text.encode() if isinstance(text, str) else text, Path(name))
    return shape, notes


def _comma(text: str) -> str:
    return text.replace(".", ",")


WIDE = np.hstack([POINTS, COLOURS])
ELEMENTS = [f"{('C', 'Cl', 'H1')[row % 3]} {line}" for row, line in enumerate(_rows().splitlines())]
SAME = {
    "blanks": _rows(),
    "tabs": _rows(separator="\t"),
    "commas": _rows(separator=","),
    "commas and blanks": _rows(separator=", "),
    "semicolons": _rows(separator=";"),
    "semicolons and blanks": _rows(separator=" ; "),
    "commas in points, blanks before colours": "".join(
        f"{line} 255 0 0\n" for line in _rows(separator=",").splitlines()
    ),
    "three blanks and indentation": "".join(f"   {line}   \n" for line in _rows(separator="   ").splitlines()),
    "trailing commas": _rows(separator=",", end=",\n"),
    "trailing semicolons": _rows(separator=";", end=" ;\r\n"),
    "windows": _rows(end="\r\n"),
    "old mac": _rows(end="\r"),
    "blank lines": "\n\n" + _rows(end="\n\n"),
    "no last line end": _rows().rstrip("\n"),
    "mark of UTF-8": "\ufeff" + _rows(),
    "more columns": _rows(WIDE),
    "count": "30\n" + _rows(),
    "count and blanks": "  30  \n\n" + _rows(),
    "count and words": "30 points\n" + _rows(),
    "words and count": "Points: 30\n" + _rows(),
    "count of a csv": "30\n" + _rows(separator=","),
    "title of as many words as columns": "The blue chair\n" + _rows(),
    "title": "a cloud of a bunny, scanned 1996\n" + _rows(),
    "comments": "# x0 1 2 3\n// 4 5 6\n; 7 8 9\n% 1 2 3\n! 1\n" + _rows(),
    "comments at line ends": _rows(end=" # good\n"),
    "comments between": _rows(POINTS[:9]) + "# 1 2 3\n" + _rows(POINTS[9:]),
    "names": "X Y Z\n" + _rows(),
    "names of a csv": "x,y,z,red,green,blue\n" + _rows(WIDE, ","),
    "names in quotes": '"X";"Y";"Z"\n' + _rows(separator=";"),
    "names with a unit": "x_m y_m z_m\n" + _rows(),
    "fewer names": "x y z\n" + _rows(WIDE),
    "CloudCompare": "//X Y Z Rf Gf Bf\n30\n" + _rows(WIDE),
    "names after a hash": "# z, y, x\n" + _rows(POINTS[:, ::-1], ","),
    "names with units": "time X [m] Y [m] Z [m]\n" + _rows(WIDE[:, [3, 0, 1, 2]]),
    "names of a csv with units": "time,X (mm),Y (mm),Z (mm)\n" + _rows(WIDE[:, [3, 0, 1, 2]], ","),
    "names of two words": "id;X Coordinate;Y Coordinate;Z Coordinate\n" + _rows(WIDE[:, [3, 0, 1, 2]], ";"),
    "names of ParaView": '"Normals:0","Normals:1","Normals:2","Points:0","Points:1","Points:2"\n'
    + _rows(WIDE[:, [3, 4, 5, 0, 1, 2]], ","),
    "names of a survey": "intensity,easting,northing,elevation\n" + _rows(WIDE[:, [3, 0, 1, 2]], ","),
    "numbers in quotes": "".join('"{}","{}","{}"\n'.format(*row) for row in POINTS),
    "points of COLMAP": "# 3D point list\n#   POINT3D_ID, X, Y, Z, R, G, B, ERROR, TRACK[] as (IMAGE_ID, POINT2D_IDX)\n"
    + "".join(f"{9 - row} {line} 1 2 3 0.5{' 7 8' * (row % 4)}\n" for row, line in enumerate(_rows().splitlines())),
    "names of pandas": "0,1,2\n" + _rows(separator=","),
    "names and index of pandas": ",0,1,2\n" + _rows(np.column_stack([np.arange(30), POINTS]), ","),
    "bars": _rows(separator="|"),
    "a table of Matlab": "[" + _rows(end=";\n").rstrip(";\n") + "];\n",
    "a list of Python": "[[" + _rows(separator=", ", end="],\n [").rstrip(",\n [") + "]\n",
    "normals first": "nx ny nz x y z\n" + _rows(WIDE[:, [3, 4, 5, 0, 1, 2]]),
    "id first, with names": "id X Y Z\n" + _rows(np.column_stack([COLOURS[:, 0], POINTS])),
    "index first": _rows(np.column_stack([np.arange(30), POINTS])),
    "index of a part": _rows(np.column_stack([np.arange(500, 560, 2), POINTS])),
    "index from 1": _rows(np.column_stack([np.arange(1, 31), POINTS, COLOURS])),
    "decimal commas": _comma(_rows()),
    "decimal commas and tabs": _comma(_rows(separator="\t")),
    "decimal commas and semicolons": _comma(_rows(separator=";")),
    "decimal commas, semicolons and blanks": _comma(_rows(separator="; ")),
    "decimal commas and names": "x;y;z\n" + _comma(_rows(separator=";")),
    "decimal commas and a count": "30\n" + _comma(_rows()),
    "exponents of Fortran": "".join(
        " ".join(f"{value:.7E}".replace("E", "D") for value in row) + "\n" for row in POINTS
    ),
    "molecule": "30\nwater, 3 K\n" + "\n".join(ELEMENTS),
    "molecule without a comment": "30\n\n" + "\n".join(ELEMENTS) + "\n",
    "molecule with a lattice": '30\nLattice="1.0 0.0 0.0 0.0 1.0 0.0" energy=-3.5\n' + "\n".join(ELEMENTS),
    "numbered points": "".join(f"P{row} {line}\n" for row, line in enumerate(_rows().splitlines())),
    "two scans": "10\n" + _rows(POINTS[:10]) + "20\n" + _rows(POINTS[10:]),
}
SAME["mixed"] = "".join(f"{x},{y} {z}\n" for x, y, z in POINTS)
# dialects that are not read literally -> a word of their note
NOTED = {
    "more columns": "6 columns",
    "index first": "counts the rows",
    "index from 1": "counts the rows",
    **dict.fromkeys(("names of pandas", "names and index of pandas"), "numbers the columns"),
    "index of a part": "counts the rows",
    **dict.fromkeys((name for name in SAME if name.startswith("decimal")), "decimal commas"),
    **dict.fromkeys((name for name in SAME if name.startswith("molecule")), "chemical symbol"),
    "numbered points": "word at the beginning",
    "two scans": "2 scans",
    "commas in points, blanks before colours": "6 columns",
    "fewer names": "6 columns",
}


@pytest.mark.parametrize("name", SAME)
def test_dialects_give_the_same_points(name: str) -> None:
    shape, notes = _read(SAME[name])
    np.testing.assert_allclose(shape.points, POINTS, rtol=1e-6)
    assert shape.faces is None
    assert bool(notes) == (name in NOTED)
    if notes:
        assert NOTED[name] in notes[0]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "latin-1"])
def test_encodings(encoding: str) -> None:
    shape, _ = _read(f"# Würfel, 20 °C\n{_rows()}".encode(encoding))
    np.testing.assert_allclose(shape.points, POINTS, rtol=1e-6)


BAD = {
    "ambiguous commas": (_rows(np.round(WIDE), ","), "comma"),
    "decimal commas between commas": ("1,5,2,0,3,1\n" * 9, "comma"),
    "decimal commas, commas and blanks": ("1,5, 2,0, 3,1\n" * 9, "comma"),
    "thousands": ("1,234.5 2,345.6 3,456.7\n" * 9, "comma"),
    "thousands between points": ("1.234,5 2.345,6 3.456,7\n" * 9, "comma"),
    "thousands between points and semicolons": ("1.234,5;2.345,6;3,7\n" * 9, "comma"),
    "points and commas": ("1.5 2,5 3\n" * 9, "comma"),
    "grid of heights": ("ncols 4\nnrows 9\nxllcorner 0\n" + _rows(WIDE[:, :4]), "a grid of heights"),
    "a trajectory": ("1305031102.1 1 2 3 0 0.6 0 0.8\n" * 30, "poses"),
    "two columns": (_rows(POINTS[:, :2]), "2 columns"),
    "one number a line": ("1\n2\n3\n" * 9, "three columns"),
    "a pose": ("1 0 0 5\n0 1 0 3\n0 0 1 2\n0 0 0 1\n", "few points"),
    "a camera": ("500 0 320\n0 500 240\n0 0 1\n", "few points"),
    "few points": (_rows(POINTS[:7]), "only 7 rows"),
    "poses": ("1 0 0 5 0 1 0 3 0 0 1 2\n" * 40, "poses"),
    "a matrix of features": (_rows(np.random.default_rng(0).normal(size=(30, 17))), "17 columns"),
    "words": ("chair\ntable\nlamp\n" * 9, "words such as 'chair'"),
    "words and labels": ("chair 0\ntable 1\n" * 9, "words such as|lines such as"),
    "cut": ("40\n" + _rows(), "truncated: 40 points announced, 30"),
    "too many": ("20\n" + _rows(), "20 points announced, 30"),
    "names of other columns": ("id x y z\n" + _rows(), "4 names of columns"),
    "names without coordinates": ("r g b intensity\n" + _rows(WIDE[:, :4]), "none are x, y and z"),
    "names of unknown coordinates": ("t,x_foo,y_foo,z_foo\n" + _rows(WIDE[:, :4], ","), "none are x, y and z"),
    "degrees": ("lat,lon,alt\n" + _rows(separator=","), "angles"),
    "one name twice": ("x y z x\n" + _rows(WIDE[:, :4]), "two columns of one name"),
    "frames": (("15\n\n" + "\n".join(ELEMENTS[:15]) + "\n") * 2, "2 frames"),
    "lengths": (_rows() + _rows(WIDE[:9]), "different lengths"),
    "binary": (bytes(range(256)) * 9, "binary"),
    "nothing": (b"\n\n # nothing\n", "no points"),
    "distances": (
        _rows(np.column_stack([3 * POINTS, np.linalg.norm(3 * POINTS - 5, axis=1) - 3])),
        "distance",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_other_texts_are_refused(name: str) -> None:
    content, reason = BAD[name]
    with pytest.raises(ObjectError, match=reason):
        _read(content)


def test_scans_as_ptx_are_named() -> None:
    place, axes = "10 20 30\n", "1 0 0\n0 1 0\n0 0 1\n"
    matrix = "1 0 0 0\n0 1 0 0\n0 0 1 0\n10 20 30 1\n"
    for size in (3, 4, 7):  # With intensities, or with colours too
        rows = _rows(np.hstack([POINTS, COLOURS, COLOURS])[:, :size])
        for head in (place + axes + matrix, matrix):
            for end in ("\n", "\r\n"):
                with pytest.raises(ObjectError, match=r"a PTX scan \(columns, rows, a matrix\)"):
                    _read(f"5\n6\n{head}{rows}".replace("\n", end), "a.pts")


def test_lists_of_names_with_numbers_are_no_clouds_in_txt_files() -> None:
    text = "".join(f"A{row} {line}\n" for row, line in enumerate(_rows().splitlines()))
    with pytest.raises(ObjectError, match="lines such as 'A0"):
        _read(text, "a.txt")
    assert len(_read(text, "a.pts")[0].points) == 30


def test_a_first_voxel_of_0_1_2_is_no_name() -> None:
    voxels = np.vstack([[0, 1, 2], np.round(POINTS)])
    np.testing.assert_array_equal(_read(_rows(voxels))[0].points, voxels)


@pytest.mark.parametrize("last", [0.0, 0.01])
def test_normals_before_small_values_are_no_rotations(last: float) -> None:
    normals = POINTS - POINTS.mean(axis=0)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    shape, _ = _read(_rows(np.column_stack([POINTS, normals, np.full(30, last)])))
    np.testing.assert_allclose(shape.points, POINTS, rtol=1e-6)


@pytest.mark.parametrize("line", ["nan 1 2", "1 2", "1 - 3", "1 inf 3", "1 2 3 4", "1 2 x", "1.0 2.0 -nan(ind)"])
def test_a_bad_line_among_good_ones_is_left_out(line: str, tmp_path: Path) -> None:
    (tmp_path / "a.xyz").write_text(_rows(POINTS[:20]) + line + "\n" + _rows(POINTS[20:]))
    shape = read_shape(tmp_path / "a.xyz")
    np.testing.assert_allclose(shape.points, POINTS, rtol=1e-6)
    assert len(shape.notes) == 1
    assert shape.notes[0].startswith("1 of 31")
    (tmp_path / "a.xyz").write_text(_rows(POINTS[:20]) + f"{line}\n" * 4)
    with pytest.raises(ObjectError, match=r"more than 10%|different lengths|lines such as"):
        read_shape(tmp_path / "a.xyz")


def test_missing_values_between_commas_do_not_shift_columns(tmp_path: Path) -> None:
    (tmp_path / "a.asc").write_text(_rows(WIDE, ",") + "1.5,,3.5,4,5,6\n")
    shape = read_shape(tmp_path / "a.asc")
    np.testing.assert_allclose(shape.points, POINTS, rtol=1e-6)
    assert "1 of 31 points are not finite: left out" in shape.notes
