"""ModelNet as meshes, as clouds in HDF5 and as clouds in text."""

import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from source_layouts import check_source, write

from data_prep.sources.catalogue import open_source
from data_prep.sources.modelnet import CLASSES_10, CLASSES_40
from spectral_ssl.ground.errors import UserError


def _off_tree(root: Path, classes: tuple[str, ...] = CLASSES_10) -> None:
    for class_name in classes:
        write(root / class_name / "train" / f"{class_name}_0001.off")
        write(root / class_name / "train" / f"{class_name}_0002.OFF")
        write(root / class_name / "test" / f"{class_name}_0003.off")
        write(root / class_name / "test" / f"._{class_name}_0003.off", b"\0\5\x16")
    write(root / "README.txt", "words")
    write(root / ".DS_Store", b"\0")
    write(root.parent / "__MACOSX" / root.name / "bed" / "train" / "._bed_0001.off", b"\0\5\x16")


@pytest.mark.parametrize("sub_folder", ["ModelNet10", "."])
def test_modelnet_meshes(tmp_path: Path, sub_folder: str) -> None:
    _off_tree(tmp_path / "ModelNet10")
    source = open_source("modelnet10", tmp_path / sub_folder)
    check_source(source)
    assert source.classes == CLASSES_10
    assert source.up == "+z"
    assert len(source.items) == 30
    assert source.note == "OFF meshes: 30 of 4899 objects (train 20 of 3991, test 10 of 908)"
    assert (source.items[-1].id, source.items[-1].label, source.items[-1].split) == ("toilet/toilet_0003", 9, "test")


def test_modelnet40_classes_are_the_official_ones(tmp_path: Path) -> None:
    _off_tree(tmp_path, CLASSES_40)
    assert len(CLASSES_40) == 40
    assert set(CLASSES_10) <= set(CLASSES_40)
    assert "120 of 12311" in open_source("modelnet40", tmp_path).note
    shutil.rmtree(tmp_path / "airplane")
    with pytest.raises(UserError, match="without the class folders airplane"):
        open_source("modelnet40", tmp_path)


def test_modelnet_empty_class(tmp_path: Path) -> None:
    _off_tree(tmp_path)
    for path in tmp_path.glob("desk/*/*.*"):
        path.unlink()
    with pytest.raises(UserError, match=r"no \.off file of class 'desk'"):
        open_source("modelnet10", tmp_path)


def _clouds(folder: Path, names: tuple[str, ...], *, lists: bool = True) -> np.ndarray:
    folder.mkdir(parents=True)
    data = np.random.default_rng(0).normal(size=(2, len(names), 64, 3)).astype(np.float32)
    for split, points in zip(("train", "test"), data, strict=True):
        with h5py.File(folder / f"ply_data_{split}0.h5", "w") as file:
            file.create_dataset("data", data=points, compression="gzip")
            file.create_dataset("label", data=np.arange(len(names), dtype=np.uint8)[:, None], compression="gzip")
        number = {"train": 1, "test": 2}[split]
        if lists:
            ids = [f"{name}/{name}_000{number}.ply" for name in names]
            write(folder / f"ply_data_{split}_0_id2file.json", json.dumps(ids))
        write(folder / f"{split}_files.txt", f"data/{folder.name}/ply_data_{split}0.h5\n")
    write(folder / "shape_names.txt", "\n".join(names))
    return data


def test_modelnet_clouds(tmp_path: Path) -> None:
    names = CLASSES_10[::-1]  # The order of labels in the files differs from ours.
    data = _clouds(tmp_path / "modelnet10_ply_hdf5_2048", names)
    source = open_source("modelnet10", tmp_path)
    check_source(source)
    assert source.up == "+z"
    assert "20 of 4899" in source.note
    item = source.items[2]
    assert item.id == "sofa/sofa_0001" == f"{names[2]}/{names[2]}_0001"
    assert source.classes[item.label] == "sofa"
    np.testing.assert_array_equal(item.load().points, data[0, 2])
    np.testing.assert_array_equal(source.items[-1].load().points, data[1, -1])


def test_modelnet40_clouds_are_y_up_and_need_no_names(tmp_path: Path) -> None:
    _clouds(tmp_path / "set", CLASSES_40, lists=False)
    (tmp_path / "set" / "shape_names.txt").unlink()
    source = open_source("modelnet40", tmp_path / "set")
    assert source.up == "+y"
    assert [item.label for item in source.items[:40]] == list(range(40))
    assert source.items[1].id == "ply_data_train0/00001"


def test_modelnet_clouds_of_another_set(tmp_path: Path) -> None:
    _clouds(tmp_path / "set", CLASSES_40)
    with pytest.raises(UserError, match="not the classes of modelnet10"):
        open_source("modelnet10", tmp_path / "set")


def _replace(path: Path, **datasets: object) -> None:
    with h5py.File(path, "r+") as file:
        for name, value in datasets.items():
            del file[name]
            if value is not None:
                file[name] = value


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda folder: (folder / "ply_data_test0.h5").unlink(), "names files that do not exist"),
        (lambda folder: (folder / "test_files.txt").unlink(), "no such list"),
        (lambda folder: (folder / "ply_data_test0.h5").write_bytes(b"\x89HDF"), "not a readable HDF5 file"),
        (lambda folder: _replace(folder / "ply_data_test0.h5", data=np.zeros((10, 64))), "not clouds with labels"),
        (lambda folder: _replace(folder / "ply_data_test0.h5", label=np.zeros(9, int)), "not clouds with labels"),
        (lambda folder: _replace(folder / "ply_data_test0.h5", label=np.full(10, 10)), "labels out of range"),
        (lambda folder: _replace(folder / "ply_data_test0.h5", data=None), "no plain dataset 'data'"),
        (
            lambda folder: _replace(
                folder / "ply_data_test0.h5", data=h5py.ExternalLink(str(folder / "ply_data_train0.h5"), "data")
            ),
            "no plain dataset 'data'",
        ),
        (
            lambda folder: (folder / "ply_data_test_0_id2file.json").write_text("[1, 2]"),
            "a list of names that does not fit",
        ),
        (lambda folder: (folder / "ply_data_test_0_id2file.json").write_text("["), "unreadable list of names"),
    ],
)
def test_modelnet_damaged_clouds(tmp_path: Path, damage: object, reason: str) -> None:
    _clouds(tmp_path / "set", CLASSES_10)
    open_source("modelnet10", tmp_path / "set")
    damage(tmp_path / "set")
    with pytest.raises(UserError, match=reason):
        open_source("modelnet10", tmp_path / "set")


def test_modelnet_lists_cannot_lead_out_of_the_folder(tmp_path: Path) -> None:
    _clouds(tmp_path / "set", CLASSES_10)
    (tmp_path / "set" / "ply_data_test0.h5").rename(tmp_path / "ply_data_test0.h5")
    write(tmp_path / "set" / "test_files.txt", "../ply_data_test0.h5\n")
    with pytest.raises(UserError, match="do not exist"):
        open_source("modelnet10", tmp_path / "set")


def _text_clouds(folder: Path, name: str, classes: tuple[str, ...]) -> None:
    """Write one file per class and split as in modelnet40_normal_resampled, with six numbers per line."""
    generator = np.random.default_rng(0)
    for split, number in (("train", 1), ("test", 2)):
        ids = [f"{class_name}_{number:04d}" for class_name in classes]
        # the genuine lists end with and without a line end
        write(folder / f"{name}_{split}.txt", "\n".join(ids) + ("\n" if split == "test" else ""))
        for entry in ids:
            rows = generator.normal(size=(50, 6))
            text = "".join(",".join(f"{value:.6f}" for value in row) + "\n" for row in rows)
            write(folder / entry.rpartition("_")[0] / f"{entry}.txt", text)
    write(folder / f"{name}_shape_names.txt", "\n".join(classes) + "\n")


def test_modelnet_text_clouds(tmp_path: Path) -> None:
    folder = tmp_path / "modelnet40_normal_resampled"
    _text_clouds(folder, "modelnet40", CLASSES_40)
    _text_clouds(folder, "modelnet10", CLASSES_10)
    (folder / "bed" / "bed_0002.txt").unlink()
    source = open_source("modelnet40", tmp_path)
    check_source(source)
    assert source.up == "+y"
    assert source.note == "text clouds, +y taken as up: 79 of 12311 objects (train 40 of 9843, test 39 of 2468)"
    assert source.missing == (("bed/bed_0002", "listed, but without a file"),)
    item = next(item for item in source.items if item.id == "night_stand/night_stand_0002")
    assert (source.classes[item.label], item.split) == ("night_stand", "test")
    expected = np.loadtxt(folder / "night_stand" / "night_stand_0002.txt", delimiter=",")[:, :3]
    np.testing.assert_array_equal(item.load().points, expected)
    # the lists of the ten classes lie in the same folder
    assert len(open_source("modelnet10", folder).items) == 19


def test_modelnet_text_clouds_lists_are_not_trusted(tmp_path: Path) -> None:
    _text_clouds(tmp_path, "modelnet10", CLASSES_10)
    for entry in ("../../etc_0001", "bed_/../x_1", "airplane_0001", "bed"):
        write(tmp_path / "modelnet10_train.txt", f"bed_0001\n{entry}\n")
        with pytest.raises(UserError, match="not an object of modelnet10"):
            open_source("modelnet10", tmp_path)
    write(tmp_path / "modelnet10_train.txt", "bed_0001")
    write(tmp_path / "modelnet10_shape_names.txt", "bed\nsofa\n")
    with pytest.raises(UserError, match="not the classes of modelnet10"):
        open_source("modelnet10", tmp_path)
    (tmp_path / "modelnet10_shape_names.txt").unlink()
    (tmp_path / "modelnet10_test.txt").unlink()
    with pytest.raises(UserError, match="no such list"):
        open_source("modelnet10", tmp_path)


def test_digest_follows_the_files(tmp_path: Path) -> None:
    _off_tree(tmp_path)
    before = open_source("modelnet10", tmp_path).digest
    assert open_source("modelnet10", tmp_path).digest == before
    write(tmp_path / "bed" / "test" / "bed_0009.off")
    assert open_source("modelnet10", tmp_path).digest != before
