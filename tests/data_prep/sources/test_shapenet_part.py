"""The ShapeNet part set, with and without normals."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from source_layouts import write

from data_prep.sources.catalogue import open_source
from data_prep.sources.shapenet_part import SYNSETS
from spectral_ssl.ground.errors import UserError


def _part_set(folder: Path, *, normals: bool) -> np.ndarray:
    clouds = np.random.default_rng(0).normal(size=(3, 30, 7)).round(5)
    lists = {"train": [("02691156", "aa1")], "val": [("04379243", "bb2")], "test": [("03001627", "cc3")]}
    for cloud, (split, objects) in zip(clouds, lists.items(), strict=True):
        entries = [f"shape_data/{synset}/{name}" for synset, name in objects]
        write(folder / "train_test_split" / f"shuffled_{split}_file_list.json", json.dumps(entries))
        for synset, name in objects:
            columns, file_name = (7, f"{name}.txt") if normals else (3, f"points/{name}.pts")
            text = "".join(" ".join(f"{value:.5f}" for value in row[:columns]) + "\n" for row in cloud)
            write(folder / synset / file_name, text)
    write(folder / "synsetoffset2category.txt", "".join(f"{name}\t{synset}\n" for synset, name in SYNSETS.items()))
    return clouds


@pytest.mark.parametrize("normals", [True, False])
def test_shapenetpart(tmp_path: Path, normals: bool) -> None:
    ending = "_normal" if normals else ""
    folder = tmp_path / f"shapenetcore_partanno_segmentation_benchmark_v0{ending}"
    clouds = _part_set(folder, normals=normals)
    write(folder / "02691156" / "not_listed.txt", "0 0 0 0 0 1 0\n")
    source = open_source("shapenetpart", tmp_path)
    assert source.up == "+y"
    assert len(source.classes) == 16
    assert [(item.id, source.classes[item.label], item.split) for item in source.items] == [
        ("02691156/aa1", "Airplane", "train"),
        ("04379243/bb2", "Table", "val"),
        ("03001627/cc3", "Chair", "test"),
    ]
    assert source.note == "clouds of the part set: train 1 of 12137, val 1 of 1870, test 1 of 2874"
    loaded = pickle.loads(pickle.dumps(source.items[2])).load()
    np.testing.assert_allclose(loaded.points, clouds[2][:, :3])
    for path in folder.glob("04379243/**/bb2.*"):
        path.unlink()
    assert open_source("shapenetpart", folder).missing == (("04379243/bb2", "listed, but without a file"),)


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("train_test_split/shuffled_val_file_list.json", "[", "unreadable list"),
        ("train_test_split/shuffled_val_file_list.json", "[3]", "unreadable list"),
        (
            "train_test_split/shuffled_val_file_list.json",
            '["shape_data/04379243/../../x"]',
            "entries that are not objects",
        ),
        ("train_test_split/shuffled_val_file_list.json", '["shape_data/12345678/x"]', "entries that are not objects"),
        ("train_test_split/shuffled_val_file_list.json", None, "no such list"),
        ("synsetoffset2category.txt", "Airplane\t02691156\n", "not the 16 classes"),
        ("synsetoffset2category.txt", None, "no shapenetpart in this folder"),
    ],
)
def test_shapenetpart_damaged(tmp_path: Path, name: str, text: str | None, reason: str) -> None:
    _part_set(tmp_path, normals=True)
    (tmp_path / name).unlink() if text is None else (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=reason):
        open_source("shapenetpart", tmp_path)
