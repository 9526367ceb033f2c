"""CelebA with its attributes and its split, as text and as CSV."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from source_layouts import save_image

from data_prep.sources.catalogue import open_source
from spectral_ssl.ground.errors import ObjectError, UserError

ATTRIBUTES = ("5_o_Clock_Shadow", "Male", "Smiling")


def _celeba(folder: Path, *, commas: bool = False, nested: bool = False) -> None:
    images = folder / "img_align_celeba" / ("img_align_celeba" if nested else "")
    for number in range(1, 5):
        pixels = np.zeros((218, 178, 3), np.uint8)
        pixels[35:183, 15:163] = 10 * number  # the middle 148 x 148
        save_image(images / f"{number:06d}.jpg", pixels)
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


HAIR = ("Blond_Hair", "Black_Hair", "Brown_Hair", "Gray_Hair", "Bald")


def test_hair_is_one_label_of_five_classes(tmp_path: Path) -> None:
    # In the order of the real table, which is not that of the classes; two faces have no colour or two.
    columns = ("Bald", "Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair", "Male")
    wanted = [*HAIR, "", "Bald Gray_Hair"]
    lines = [f"{len(wanted)}", " ".join(columns)]
    for number, colours in enumerate(wanted, 1):
        save_image(tmp_path / "img_align_celeba" / f"{number:06d}.jpg", np.full((218, 178, 3), 20, np.uint8))
        values = ["1" if name in colours.split() else "-1" for name in columns]
        lines.append(f"{number:06d}.jpg {' '.join(values)}")
    (tmp_path / "list_attr_celeba.txt").write_text("\n".join(lines))
    for size in (32, 64):
        source = open_source("celeba:hair", tmp_path, size=size)
        assert source.classes == HAIR
        assert [(item.id, item.label) for item in source.items] == [(f"{n + 1:06d}.jpg", n) for n in range(5)]
        assert source.missing == ()
        assert "2 in none or several of the classes left out" in source.note
        assert source.items[0].load().shape == (3, size, size)
    two = open_source("celeba:Bald+Male", tmp_path)
    assert two.classes == ("Bald", "Male")
    assert [(item.id, item.label) for item in two.items] == [("000005.jpg", 0), ("000007.jpg", 0)]
    assert two.digest != source.digest
    for name, message in {
        "celeba:hairs": "did you mean 'hair'",
        "celeba:Bald+Male+": "unknown attribute of celeba",
        "celeba:Bald+Bald": "twice",
        "celeba:Blond_Hair+Male": None,
    }.items():
        if message is None:
            assert len(open_source(name, tmp_path).items) == 1
        else:
            with pytest.raises(UserError, match=message):
                open_source(name, tmp_path)


def test_no_face_of_several_classes_is_an_error(tmp_path: Path) -> None:
    _celeba(tmp_path)
    (tmp_path / "list_attr_celeba.txt").write_text("1\nMale Smiling\n000001.jpg 1 1\n")
    with pytest.raises(UserError, match="no image of these classes: got 1 faces with none or several of Male"):
        open_source("celeba:Male+Smiling", tmp_path)


def test_celeba_gaps_and_damage(tmp_path: Path) -> None:
    _celeba(tmp_path)
    (tmp_path / "img_align_celeba" / "000002.jpg").unlink()
    save_image(tmp_path / "img_align_celeba" / "000009.jpg", np.zeros((218, 178, 3), np.uint8))
    source = open_source("celeba:Male", tmp_path)
    assert dict(source.missing) == {
        "000002.jpg": "listed, but without an image",
        "000009.jpg": "not in the tables",
    }
    save_image(tmp_path / "img_align_celeba" / "000001.jpg", np.zeros((100, 178, 3), np.uint8))
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
