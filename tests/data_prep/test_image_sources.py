"""Sources of images that are cropped, scaled or paired. The tests build each layout small, with the official names."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from data_prep.basis import pixel_basis, split_pair_channels
from data_prep.pipeline.prepare import find_image_basis, prepare_maps
from data_prep.pipeline.verify import verify_maps
from data_prep.readers.image import resize_square
from data_prep.sources.catalogue import open_source, split_name
from spectral_ssl.ground.errors import ObjectError, UserError


def _save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Pillow.fromarray(pixels).save(path)


# sizes


def test_resize_square_crops_the_middle_and_averages() -> None:
    image = np.arange(4 * 12, dtype=np.uint8).reshape(1, 4, 12)
    middle = image[0, :, 4:8]
    np.testing.assert_array_equal(resize_square(image, 4)[0], middle)
    expected = middle.reshape(2, 2, 2, 2).mean(axis=(1, 3))
    assert np.abs(resize_square(image, 2)[0] - expected).max() <= 0.5
    assert resize_square(np.repeat(image, 6, axis=0), 8).shape == (6, 8, 8)
    # a white square grows and shrinks without ringing
    white = np.full((3, 7, 7), 255, np.uint8)
    assert (resize_square(white, 5) == 255).all()
    assert (resize_square(white, 16) == 255).all()


def test_sizes_of_sources(tmp_path: Path) -> None:
    for name, shape in (("a.png", (20, 30, 3)), ("b.png", (40, 16, 3)), ("c.png", (16, 16))):
        _save(tmp_path / name, np.full(shape, 100, np.uint8))
    plain = open_source(f"folder:{tmp_path}")
    source = open_source(f"folder:{tmp_path}", size=8)
    assert source.digest != plain.digest
    assert source.note.endswith("scaled to 8x8")
    maps = prepare_maps(source, find_image_basis(source), tmp_path / "out.h5")
    assert maps.basis.shape == (3, 8, 8)
    assert not maps.failures
    assert np.allclose(maps.read(), 100 / 127.5 - 1)
    assert verify_maps(tmp_path / "out.h5", source) == []
    # Without a size, images that differ from the first are failures.
    maps = prepare_maps(plain, find_image_basis(plain), tmp_path / "plain.h5")
    assert ["give --size" in reason for _, reason in maps.failures] == [True, True]
    with pytest.raises(UserError, match="size of images out of range"):
        open_source("digits", size=1000)
    with pytest.raises(UserError, match="only images have a size"):
        open_source("shapes", size=64)


def test_large_images_need_a_size(tmp_path: Path) -> None:
    _save(tmp_path / "a.png", np.zeros((10, 600), np.uint8))
    with pytest.raises(UserError, match="give --size, at most 512"):
        find_image_basis(open_source(f"folder:{tmp_path}"))


# pairs


def _pairs(folder: Path) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    images = {}
    for split, names in (("train", ("1", "2", "10")), ("val", ("1",)), ("test", ("1", "2"))):
        for name in names:
            images[f"{split}/{name}.png"] = generator.integers(0, 256, (16, 32, 3), np.uint8)
            _save(folder / split / f"{name}.png", images[f"{split}/{name}.png"])
    (folder / "train" / "._1.png").write_bytes(b"\0\5\x16")
    (folder / "train" / "Thumbs.db").write_bytes(b"\0")
    return images


@pytest.mark.parametrize("name", ["facades", "maps", "cityscapes", "edges2shoes", "edges2handbags"])
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
    _save(tmp_path / "own" / "b.png", np.full((8, 16), 10, np.uint8))
    _save(tmp_path / "own" / "a.png", np.full((8, 16, 3), 20, np.uint8))
    _save(tmp_path / "own" / "c.png", np.zeros((8, 17), np.uint8))
    source = open_source(f"pairs:{tmp_path / 'own'}")
    assert source.name == "pairs:own"
    maps = prepare_maps(source, find_image_basis(source), tmp_path / "out.h5")
    assert maps.ids == ("train/a.png", "train/b.png")
    # The grey pair is repeated three times in each half.
    assert np.allclose(maps.read()[1], 10 / 127.5 - 1)
    assert maps.failures == (("train/c.png", "a width of 17 pixels: not two images side by side"),)
    with pytest.raises(ObjectError):
        source.items[2].load()


def test_missing_pairs(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no facades in this folder"):
        open_source("facades", tmp_path)
    (tmp_path / "train").mkdir()
    with pytest.raises(UserError, match="no images in this folder"):
        open_source("facades", tmp_path)


# CelebA

ATTRIBUTES = ("5_o_Clock_Shadow", "Male", "Smiling")


def _celeba(folder: Path, *, commas: bool = False, nested: bool = False) -> None:
    images = folder / "img_align_celeba" / ("img_align_celeba" if nested else "")
    for number in range(1, 5):
        pixels = np.zeros((218, 178, 3), np.uint8)
        pixels[35:183, 15:163] = 10 * number  # the middle 148 x 148
        _save(images / f"{number:06d}.jpg", pixels)
    values = ("-1  1 -1", " 1 -1  1", "-1  1  1", "-1 -1 -1")
    lines = [f"{number:06d}.jpg {row}" for number, row in enumerate(values, 1)]
    partition = [f"{number:06d}.jpg {split}" for number, split in enumerate((0, 0, 1, 2), 1)]
    if commas:
        join = lambda rows: "\n".join(",".join(row.split()) for row in rows)  # noqa: E731
        (folder / "list_attr_celeba.csv").write_text(join([f"image_id {' '.join(ATTRIBUTES)}", *lines]))
        (folder / "list_eval_partition.csv").write_text(join(["image_id partition", *partition]))
    else:
        (folder / "list_attr_celeba.txt").write_text("\n".join(["4", " ".join(ATTRIBUTES), *lines, ""]))
        (folder / "list_eval_partition.txt").write_text("\n".join(partition))


@pytest.mark.parametrize(("commas", "nested"), [(False, False), (True, True)])
def test_celeba(tmp_path: Path, commas: bool, nested: bool) -> None:
    folder = tmp_path / "celeba"
    folder.mkdir()
    _celeba(folder, commas=commas, nested=nested)
    source = open_source("celeba:Male", tmp_path)
    assert source.classes == ("not Male", "Male")
    assert [(item.id, item.label, item.split) for item in source.items] == [
        ("000001.jpg", 1, "train"),
        ("000002.jpg", 0, "train"),
        ("000003.jpg", 1, "val"),
        ("000004.jpg", 0, "test"),
    ]
    image = pickle.loads(pickle.dumps(source.items[1])).load()
    assert image.shape == (3, 148, 148)
    assert np.abs(image[:, 16:-16, 16:-16].astype(int) - 20).max() <= 1
    assert (image[:, [0, -1]].mean() + image[:, :, [0, -1]].mean()) / 2 > 10  # nothing of the black border but blur
    assert open_source("celeba:Smiling", tmp_path).items[0].label == 0
    assert open_source("celeba:Male", tmp_path, size=64).items[0].load().shape == (3, 64, 64)
    plain = open_source("celeba", tmp_path)
    assert plain.classes == ()
    assert {item.label for item in plain.items} == {-1}
    assert plain.digest != source.digest
    with pytest.raises(UserError, match="did you mean 'Male'"):
        open_source("celeba:male", tmp_path)


def test_celeba_gaps_and_damage(tmp_path: Path) -> None:
    _celeba(tmp_path)
    (tmp_path / "img_align_celeba" / "000002.jpg").unlink()
    _save(tmp_path / "img_align_celeba" / "000009.jpg", np.zeros((218, 178, 3), np.uint8))
    source = open_source("celeba:Male", tmp_path)
    assert dict(source.missing) == {
        "000002.jpg": "listed, but without an image",
        "000009.jpg": "not in the tables",
    }
    _save(tmp_path / "img_align_celeba" / "000001.jpg", np.zeros((100, 178, 3), np.uint8))
    with pytest.raises(ObjectError, match="178x100 pixels, less than 148"):
        source.items[0].load()
    (tmp_path / "list_eval_partition.txt").write_text("000001.jpg 3\n")
    with pytest.raises(UserError, match="damaged table"):
        open_source("celeba", tmp_path)
    (tmp_path / "list_eval_partition.txt").unlink()
    assert "everything is train" in open_source("celeba", tmp_path).note
    (tmp_path / "list_attr_celeba.txt").write_text("2\nMale\n000001.jpg 7\n")
    with pytest.raises(UserError, match="damaged table"):
        open_source("celeba:Male", tmp_path)
    (tmp_path / "list_attr_celeba.txt").unlink()
    with pytest.raises(UserError, match="without its attributes"):
        open_source("celeba:Male", tmp_path)


# names


def test_names_with_colons() -> None:
    assert split_name("celeba:Male") == ("celeba", "Male")
    assert split_name("folder:a:b/c") == ("folder", "a:b/c")
    assert split_name("mnist") == ("mnist", "")
    with pytest.raises(UserError, match="takes nothing after a colon"):
        split_name("mnist:x")
    with pytest.raises(UserError, match="unknown dataset"):
        split_name("nonesuch:x")


def test_sixteen_bit_images_are_refused_and_not_turned_white(tmp_path: Path) -> None:
    from PIL import Image

    from data_prep.readers.image import read_image

    Image.fromarray(np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000).save(tmp_path / "deep.png")
    with pytest.raises(ObjectError, match="8 bits"):
        read_image(tmp_path / "deep.png")
