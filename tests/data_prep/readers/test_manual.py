"""The manual's table of kinds names exactly the suffixes that are read, and no table states more than a reader does."""

import re

import numpy as np
import pytest

from data_prep.readers.shape import SHAPE_SUFFIXES, read_shape
from data_prep.sources.folder.objects import OTHER_SHAPES
from data_prep.sources.folder.source import HELP
from spectral_ssl.ground.errors import ObjectError
from tests.manual import ROOT

TEXT = (ROOT / "docs" / "data-sources.md").read_text(encoding="utf-8")
SUFFIX = re.compile(r"(?<![\w/])\.[a-z]\w+")


def test_the_table_of_kinds_names_all_suffixes() -> None:
    table = TEXT.split("| kind | suffixes |", 1)[1].split("\n\n", 1)[0]
    assert set(SUFFIX.findall(table)) == set(SHAPE_SUFFIXES)
    assert set(SUFFIX.findall(HELP.split("images:", 1)[0])) == set(SHAPE_SUFFIXES)
    assert not set(SHAPE_SUFFIXES) & set(OTHER_SHAPES)


def test_examples_of_the_table_of_texts(tmp_path) -> None:
    """Commands in back ticks are repeated to a file and read, or refused as the table says."""
    table = TEXT.split("### Clouds as text", 1)[1].split("### Arrays", 1)[0]
    path = tmp_path / "a.xyz"
    for example, reading in (("1,5 2,0 3,1", [1.5, 2, 3.1]), ("1,5,2,0,3,1", None), ("P1 1 2 3", [1, 2, 3])):
        assert f"`{example}`" in table
        path.write_text(f"{example}\n" * 9)
        if reading is None:
            with pytest.raises(ObjectError, match="comma"):
                read_shape(path)
        else:
            np.testing.assert_array_equal(read_shape(path).points, [reading] * 9)
    for header, row in (
        ("id x y z", "9 1 2 3"),
        ("//X Y Z R G B", "1 2 3 9 9 9"),
        ("nx;ny;nz;x;y;z", "9;9;9;1;2;3"),
        ("t,X [m],Y [m],Z [m]", "9,1,2,3"),
    ):
        assert f"`{header}`" in table
        path.write_text(f"{header}\n" + f"{row}\n" * 9)
        np.testing.assert_array_equal(read_shape(path).points, [[1, 2, 3]] * 9)
