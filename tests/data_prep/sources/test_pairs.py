"""Sources of paired images. The tests build each layout small, with the official names."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from source_layouts import save_image

from data_prep.basis import pixel_basis
from data_prep.layout import split_pair_channels
from data_prep.pipeline.image_survey import find_image_basis
from data_prep.pipeline.prepare import prepare_maps
from data_prep.sources.catalogue import open_source
from data_prep.sources.pairs import select_side
from spectral_ssl.ground.errors import ObjectError, UserError


def _pairs(folder: Path) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    images = {}
    for split, names in (("train", ("1", "2", "10")), ("val", ("1",)), ("test", ("1", "2"))):
        for name in names:
            images[f"{split}/{name}.png"] = generator.integers(0, 256, (16, 32, 3), np.uint8)
            save_image(folder / split / f"{name}.png", images[f"{split}/{name}.png"])
    (folder / "train" / "._1.png").write_bytes(b"\0\5\x16")
    (folder / "train" / "Thumbs.db").write_bytes(b"\0")
    return images


@pytest.mark.parametrize(
    "name", ["facades", "maps", "cityscapes", "edges2shoes", "edges2handbags", "landmarks2faces", "normals2pets"]
)
def test_pairs(tmp_path: Path, name: str) -> None:
    images = _pairs(tmp_path / name)
    for root in (tmp_path, tmp_path / name):
        source = open_source(name, root)
        assert [item.id for item in source.items] == [
            *("train/1.png", "train/2.png", "train/10.png", "val/1.png", "test/1.png", "test/2.png")
        ]
        assert source.name == name
        assert source.paired
        assert source.note == "6 pairs (3 train, 1 val, 2 test)"
    item = pickle.loads(pickle.dumps(source.items[2]))
    both = images["train/10.png"].transpose(2, 0, 1)
    np.testing.assert_array_equal(item.load(), np.concatenate([both[:, :, :16], both[:, :, 16:]]))
    assert item.split == "train"
    assert item.label == -1


@pytest.mark.parametrize(
    ("name", "advice"), [("maps", "get NAME.tar.gz"), ("normals2pets", "no archive of it was found")]
)
def test_a_folder_without_pairs_says_where_they_come_from(tmp_path: Path, name: str, advice: str) -> None:
    with pytest.raises(UserError, match=advice):
        open_source(name, tmp_path)


def test_pairs_to_maps_and_both_directions(tmp_path: Path) -> None:
    images = _pairs(tmp_path / "facades")
    source = open_source("facades", tmp_path, size=8)
    maps = prepare_maps(source, find_image_basis(source), tmp_path / "out.h5")
    assert maps.basis.layout == "image-pair"
    assert maps.basis.shape == (6, 8, 8)
    left, right = split_pair_channels(maps.basis)
    assert (right, left) == split_pair_channels(maps.basis, "BtoA")
    image = images["train/1.png"].transpose(2, 0, 1)
    for channels, half in ((left, image[:, :, :16]), (right, image[:, :, 16:])):
        mean = half.reshape(3, 8, 2, 8, 2).mean(axis=(2, 4)) / 127.5 - 1
        assert np.abs(maps.read()[0][channels] - mean).max() < 0.01
    with pytest.raises(UserError, match="unknown direction"):
        split_pair_channels(maps.basis, "AtoC")
    with pytest.raises(UserError, match="not a map file of paired images"):
        split_pair_channels(pixel_basis(6, 8, 8))
    # Plain images with as many channels have another basis.
    assert pixel_basis(6, 8, 8).find_conflicts(maps.basis)


def test_own_pairs(tmp_path: Path) -> None:
    save_image(tmp_path / "own" / "b.png", np.full((8, 16), 10, np.uint8))
    save_image(tmp_path / "own" / "a.png", np.full((8, 16, 3), 20, np.uint8))
    save_image(tmp_path / "own" / "c.png", np.zeros((8, 17), np.uint8))
    source = open_source(f"pairs:{tmp_path / 'own'}")
    assert source.name == "pairs:own"
    maps = prepare_maps(source, find_image_basis(source), tmp_path / "out.h5")
    assert maps.ids == ("train/a.png", "train/b.png")
    # The grey pair is repeated three times in each half.
    assert np.allclose(maps.read()[1], 10 / 127.5 - 1)
    assert maps.failures == (("train/c.png", "a width of 17 pixels: not two images side by side"),)
    with pytest.raises(ObjectError):
        source.items[2].load()


def test_own_pairs_with_other_names_of_splits(tmp_path: Path) -> None:
    for name in ("set/Training/1.png", "set/testing/2.png", "set/valid/3.png", "set/other/4.png"):
        save_image(tmp_path / name, np.full((8, 16), 10, np.uint8))
    source = open_source(f"pairs:{tmp_path}")
    found = [(item.id, item.split) for item in source.items]
    assert found == [("Training/1.png", "train"), ("valid/3.png", "val"), ("testing/2.png", "test")]
    assert source.note == "3 pairs (1 train, 1 val, 1 test); not read, because they name no split: other/"


def test_missing_pairs(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no facades in this folder"):
        open_source("facades", tmp_path)
    (tmp_path / "train").mkdir()
    with pytest.raises(UserError, match="no images in this folder"):
        open_source("facades", tmp_path)


def test_pairs_of_several_sizes_are_scaled_half_by_half(tmp_path: Path) -> None:
    for name, (height, width), (left, right) in (("a", (8, 16), (10, 200)), ("b", (12, 40), (60, 90))):
        pixels = np.full((height, width), left, np.uint8)
        pixels[:, width // 2 :] = right
        save_image(tmp_path / "own" / f"{name}.png", pixels)
    source = open_source(f"pairs:{tmp_path / 'own'}")
    maps = prepare_maps(source, find_image_basis(source), tmp_path / "out.h5", workers=0)
    assert maps.basis.shape == (2, 8, 8)
    np.testing.assert_allclose(maps.read()[:, :, 0, 0], np.array([[10, 200], [60, 90]]) / 127.5 - 1, atol=1e-6)
    assert np.ptp(maps.read(), axis=(2, 3)).max() == 0  # Nothing of one half is in the other.
    for side, level in (("A", 60), ("B", 90)):
        half = select_side(source, side)
        single = prepare_maps(half, find_image_basis(half), tmp_path / f"{side}.h5", workers=0)
        np.testing.assert_allclose(single.read([1]), level / 127.5 - 1, atol=1e-6)
