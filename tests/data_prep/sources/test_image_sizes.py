"""Images of a source get one size, one number of channels and one depth, by a rule that the user is told."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import call
from PIL import Image as Pillow
from source_layouts import save_image

import spectral_ssl
from data_prep.basis import Basis, pixel_basis
from data_prep.pipeline.image_survey import find_image_basis, survey_images
from data_prep.pipeline.prepare import prepare_maps
from data_prep.pipeline.single_file import image_file_to_map
from data_prep.pipeline.verify import verify_maps
from data_prep.readers.images.rules import ImageRules
from data_prep.source import Source
from data_prep.sources.catalogue import open_source
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.workspace import Workspace
from spectral_ssl.planning.find_data import options_for_basis


def _folder(folder: Path, *shapes: tuple[int, ...]) -> Source:
    """Write grey or colour images of these shapes (H, W[, 3]), each of one level, and open the folder."""
    folder.mkdir(exist_ok=True)
    for number, shape in enumerate(shapes):
        save_image(folder / f"{number:03d}.png", np.full(shape, 100, np.uint8))
    return open_source(f"folder:{folder}")


def test_sizes_of_sources(tmp_path: Path) -> None:
    plain = _folder(tmp_path / "raw", (20, 30, 3), (40, 16, 3), (16, 16))
    source = open_source(f"folder:{tmp_path / 'raw'}", size=8)
    assert source.digest != plain.digest
    assert source.note.endswith("scaled to 8x8")
    maps = prepare_maps(source, find_image_basis(source), tmp_path / "out.h5")
    assert maps.basis.shape == (3, 8, 8)
    assert not maps.failures
    assert np.allclose(maps.read(), 100 / 127.5 - 1)
    assert verify_maps(tmp_path / "out.h5", source) == []
    with pytest.raises(UserError, match="size of images out of range"):
        open_source("digits", size=1000)
    with pytest.raises(UserError, match="only images have a size"):
        open_source("shapes", size=64)


def test_large_images_need_a_size(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="give --size, at most 512"):
        find_image_basis(_folder(tmp_path / "raw", (10, 600)))


@pytest.mark.parametrize(
    ("shapes", "chosen"),
    [
        ([(20, 30)] * 3, (20, 30)),  # one size stays, also if it is no square
        ([(600, 700), (512, 600), (700, 700)], (64, 64)),
        ([(20, 30), (40, 16), (16, 16)], (16, 16)),  # the median of the shorter sides
        ([(20, 30), (40, 24), (22, 22), (23, 90)], (22, 22)),
        ([(2, 30), (3, 30), (2, 20)], (4, 4)),
        ([(20, 30)] * 9 + [(500, 100)], (20, 30)),  # nine of ten have one size
        ([(20, 30)] * 8 + [(500, 100)], (20, 20)),
        ([(600, 600)] * 9 + [(20, 20)], (64, 64)),  # but it is too large
    ],
)
def test_the_size_of_images_of_several_sizes(tmp_path: Path, shapes: Any, chosen: tuple[int, int]) -> None:
    source = _folder(tmp_path / "raw", *shapes)
    survey = survey_images(source)
    assert survey.basis == pixel_basis(1, *chosen)
    others = sum(shape != chosen for shape in shapes)
    size = f"{chosen[1]}x{chosen[0]} pixels"
    start = f"images of {len(set(shapes))} sizes: {others} of {len(shapes)} are scaled and cropped to {size}"
    assert [line.startswith(start) for line in survey.remarks] == ([True] if len(set(shapes)) > 1 else [])
    maps = prepare_maps(source, survey.basis, tmp_path / "out.h5", workers=0)
    assert (len(maps), maps.failures) == (len(shapes), ())
    np.testing.assert_allclose(maps.read(), 100 / 127.5 - 1, atol=1e-6)
    assert verify_maps(tmp_path / "out.h5", source) == []


def test_scaled_maps_are_those_of_a_single_file(tmp_path: Path) -> None:
    folder = tmp_path / "raw"
    folder.mkdir()
    for number, shape in enumerate([(24, 40, 3), (31, 17, 3), (64, 90, 3)]):
        save_image(folder / f"{number}.png", np.random.default_rng(number).integers(0, 256, shape, np.uint8))
    source = open_source(f"folder:{folder}")
    maps = prepare_maps(source, find_image_basis(source), tmp_path / "out.h5", workers=0)
    assert maps.basis.shape == (3, 24, 24)
    for identity, values in zip(maps.ids, maps.read(), strict=True):
        np.testing.assert_array_equal(image_file_to_map(folder / identity, maps.basis), values)
    # The shorter side is scaled, and the centre is cut out: of 24 x 40 pixels the columns 8 to 32.
    pixels = np.asarray(Pillow.open(folder / "0.png"), np.float32)[:, 8:32].transpose(2, 0, 1)
    np.testing.assert_allclose(maps.read([0])[0], pixels / 127.5 - 1, atol=1e-6)
    # --size N gives the same maps as the size that the rule chooses.
    sized = open_source(f"folder:{folder}", size=24)
    again = prepare_maps(sized, find_image_basis(sized), tmp_path / "sized.h5", workers=0)
    np.testing.assert_array_equal(again.read(), maps.read())


def test_one_colour_image_after_many_grey_ones(tmp_path: Path) -> None:
    source = _folder(tmp_path / "raw", *[(8, 8)] * 40, (8, 8, 3))
    survey = survey_images(source)
    assert survey.basis == pixel_basis(3, 8, 8)
    assert survey.remarks == ("40 grey images among 1 in colour: their channel is repeated",)
    assert len(prepare_maps(source, survey.basis, tmp_path / "out.h5", workers=0)) == 41
    remarks = survey_images(_folder(tmp_path / "few", (8, 8), (8, 8, 3))).remarks
    assert remarks == ("1 grey image among 1 in colour: its channel is repeated",)


def test_all_failed_images_of_a_folder_are_advised_without_a_root(tmp_path: Path) -> None:
    save_image(tmp_path / "a.png", np.zeros((8, 8), np.uint8))
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:20])
    with pytest.raises(UserError, match=r"no readable image in .*; check the files$"):
        survey_images(open_source(f"folder:{tmp_path}"))


def test_a_colour_file_for_grey_maps_becomes_grey(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    colours = np.tile(np.array([200, 100, 50], np.uint8), (8, 8, 1))
    save_image(tmp_path / "a.png", colours)
    grey = np.round(0.299 * 200 + 0.587 * 100 + 0.114 * 50)
    np.testing.assert_allclose(image_file_to_map(tmp_path / "a.png", pixel_basis(1, 4, 4)), grey / 127.5 - 1, atol=1e-6)
    assert "note: a.png: its colours become grey, because the maps are grey" in capsys.readouterr().err


def _deep(folder: Path, white: int) -> Source:
    folder.mkdir()
    for number in range(3):
        save_image(folder / f"{number}.png", np.array([[0, white // 2 + number, white]], np.uint16))
    return open_source(f"folder:{folder}")


def test_dark_images_of_sixteen_bits_are_told(tmp_path: Path) -> None:
    source = _deep(tmp_path / "raw", 4094)
    dark = survey_images(source).remarks
    assert dark[0] == (
        "3 grey images with more than 8 bits: 65535 becomes white (12 bits: 4095, floats: 1); --full-scale overrules"
    )
    assert dark[1].startswith("they are dark: the brightest of the first 3 reaches 6.3% of white; --full-scale sets")
    survey = survey_images(source, ImageRules(full_scale=4094))
    assert survey.remarks == ("3 grey images with more than 8 bits: 4094 becomes white",)
    maps = prepare_maps(source, survey.basis, tmp_path / "out.h5", workers=0)
    np.testing.assert_allclose(maps.read([0])[0, 0, 0], [-1, 1 / 255, 1], atol=1e-6)
    assert verify_maps(maps.path, source) == []
    assert len(survey_images(_deep(tmp_path / "bright", 60000)).remarks) == 1


def test_rules_of_images_travel_with_the_maps(tmp_path: Path) -> None:
    folder = tmp_path / "icons"
    folder.mkdir()
    icon = np.full((8, 8, 4), 255, np.uint8)
    icon[2:6, 2:6, 3] = 0
    Pillow.fromarray(icon).save(folder / "white.png")
    Pillow.fromarray(icon // np.array([2, 2, 2, 1], np.uint8)).save(folder / "grey.png")
    done = call("prep", "--dataset", f"folder:{folder}", "--workspace", tmp_path / "ws")
    assert done.returncode == 0
    assert "failed: white.png: nothing is visible on a white ground: prep --ground chooses another" in done.stderr
    assert "note: grey.png: transparent parts become white" in done.stderr
    maps = spectral_ssl.prep(f"folder:{folder}", ground="black", out=tmp_path / "black.h5", workers=0)
    assert (len(maps), maps.basis.ground) == (2, "black")
    assert verify_maps(maps.path, open_source(f"folder:{folder}")) == []
    values = image_file_to_map(folder / "white.png", maps.basis)
    np.testing.assert_array_equal(values, maps.read([maps.ids.index("white.png")])[0])
    assert values[0, 4, 4] == -1
    options = options_for_basis("digits", maps.basis, Workspace(tmp_path / "ws"))
    assert (options.ground, options.size) == ("black", 8)
    assert maps.basis.find_conflicts(pixel_basis(3, 8, 8)) == ["ground black against white"]
    for options in ({"ground": "black"}, {"full_scale": 4095.0}):
        with pytest.raises(UserError, match="only images have a ground and a full scale"):
            spectral_ssl.prep("shapes", workspace=tmp_path / "ws", **options)
    with pytest.raises(UserError, match="unknown ground"):
        spectral_ssl.prep(f"folder:{folder}", ground="green", workspace=tmp_path / "ws")


def test_the_rules_are_part_of_the_basis() -> None:
    basis = pixel_basis(3, 8, 8, ground="grey", full_scale=4095)
    assert Basis.from_json(basis.to_json()) == basis
    # Where they are the defaults, the text is that of earlier versions, and so are the digests of files.
    assert "ground" not in pixel_basis(3, 8, 8).to_json()
    assert "full_scale" not in pixel_basis(3, 8, 8).to_json()
    for wrong in ({"ground": "pink"}, {"full_scale": -1.0}, {"full_scale": float("nan")}):
        with pytest.raises(UserError):
            pixel_basis(3, 8, 8, **wrong)
