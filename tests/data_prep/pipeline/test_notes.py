"""What a reader does not take literally reaches the map file and the user, also after an interruption."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest

import spectral_ssl
from data_prep.basis import pixel_basis, zernike_basis
from data_prep.maps.reader import open_maps
from data_prep.pipeline.prepare import prepare_maps
from data_prep.pipeline.remarks import KINDS_OF_NOTES_SHOWN, describe_failures, describe_notes
from data_prep.source import Item, Shape, Source, add_note, collect_notes


def _load(number: int) -> Shape:
    if number % 3 == 0:
        add_note(f"{number} of 600 rows left out")
    return Shape(np.random.default_rng(number).normal(size=(100, 3)), notes=("read by columns",) if number == 3 else ())


ITEMS = tuple(Item(f"cloud-{number:02d}", -1, "train", partial(_load, number)) for number in range(20))
NOTES = (
    ("cloud-00", "0 of 600 rows left out"),
    ("cloud-03", "3 of 600 rows left out"),
    ("cloud-03", "read by columns"),
    *((f"cloud-{number:02d}", f"{number} of 600 rows left out") for number in range(6, 20, 3)),
)


def test_notes_are_in_the_map_file(tmp_path: Path) -> None:
    source = Source("clouds", "shapes", classes=(), items=ITEMS)
    maps = prepare_maps(source, zernike_basis(4, points=32), tmp_path / "a.h5", workers=0)
    assert maps.notes == NOTES
    assert open_maps(tmp_path / "a.h5").notes == NOTES


def test_notes_survive_an_interruption(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    source = Source("clouds", "shapes", classes=(), items=ITEMS)
    with pytest.raises(KeyboardInterrupt):
        prepare_maps(source, zernike_basis(4, points=32), tmp_path / "a.h5", workers=0, progress=stop)
    maps = prepare_maps(source, zernike_basis(4, points=32), tmp_path / "a.h5", workers=0)
    assert maps.notes == NOTES


def test_notes_of_blocks_within_blocks_and_outside_of_blocks() -> None:
    add_note("to nobody")
    with collect_notes() as outer:
        add_note("a")
        add_note("a")
        with collect_notes() as inner:
            add_note("b")
        add_note("c")
    assert (outer, inner) == (["a", "c"], ["b"])


def test_prep_says_each_kind_of_note_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [f"{x} {y} {z}" for x in range(5) for y in range(5) for z in range(4)]
    for name, bad in (("a", 1), ("b", 2), ("c", 0)):
        (tmp_path / f"{name}.xyz").write_text("\n".join([*rows[bad:], *["nan 1 1"] * bad]))
    maps = spectral_ssl.prep(f"folder:{tmp_path}", degree=4, points=32, workers=0, out=tmp_path / "a.h5")
    assert maps.notes == (
        ("a.xyz", "1 of 100 points are not finite: left out"),
        ("b.xyz", "2 of 100 points are not finite: left out"),
    )
    assert "note: a.xyz and 1 more: 1 of 100 points are not finite: left out\n" in capsys.readouterr().err


def test_many_kinds_of_notes_are_counted() -> None:
    lines = describe_notes([(f"{letter}.xyz", f"kind {letter}") for letter in "abcdefghijkl"])
    assert len(lines) == KINDS_OF_NOTES_SHOWN + 1
    assert lines[-1] == "note: 4 more kinds, `prep --json` with the same options lists all"


def test_images_of_another_size_without_a_file_are_noted(tmp_path: Path) -> None:
    """The survey of sizes reads the headers of files; images that a function makes have none."""
    items = tuple(Item(f"image-{side}", -1, "train", partial(np.zeros, (1, side, side), np.uint8)) for side in (4, 6))
    maps = prepare_maps(Source("images", "images", (), items), pixel_basis(1, 4, 4), tmp_path / "a.h5", workers=0)
    assert maps.notes == (("image-6", "an image of another size, scaled to cover 4x4 pixels"),)


def test_the_sixth_failure_is_shown_and_more_are_counted_with_the_command_that_lists_them() -> None:
    failures = [(f"{number}.off", "no faces") for number in range(7)]
    assert describe_failures(failures[:6]) == [f"failed: {number}.off: no faces" for number in range(6)]
    assert describe_failures(failures)[4:] == [
        "failed: 4.off: no faces",
        "failed: 2 more, `prep --json` with the same options lists all",
    ]
