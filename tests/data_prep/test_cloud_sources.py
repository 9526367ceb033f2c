"""The ShapeNet part set, and processed files of torch-geometric."""

import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from data_prep.source import Shape
from data_prep.sources.catalogue import open_source
from data_prep.sources.shapenet_part import SYNSETS
from spectral_ssl.ground.errors import ObjectError, UserError


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def _part_set(folder: Path, *, normals: bool) -> np.ndarray:
    clouds = np.random.default_rng(0).normal(size=(3, 20, 7)).round(5)
    lists = {"train": [("02691156", "aa1")], "val": [("04379243", "bb2")], "test": [("03001627", "cc3")]}
    for cloud, (split, objects) in zip(clouds, lists.items(), strict=True):
        entries = [f"shape_data/{synset}/{name}" for synset, name in objects]
        _write(folder / "train_test_split" / f"shuffled_{split}_file_list.json", json.dumps(entries))
        for synset, name in objects:
            columns, file_name = (7, f"{name}.txt") if normals else (3, f"points/{name}.pts")
            text = "".join(" ".join(f"{value:.5f}" for value in row[:columns]) + "\n" for row in cloud)
            _write(folder / synset / file_name, text)
    _write(folder / "synsetoffset2category.txt", "".join(f"{name}\t{synset}\n" for synset, name in SYNSETS.items()))
    return clouds


@pytest.mark.parametrize("normals", [True, False])
def test_shapenetpart(tmp_path: Path, normals: bool) -> None:
    ending = "_normal" if normals else ""
    folder = tmp_path / f"shapenetcore_partanno_segmentation_benchmark_v0{ending}"
    clouds = _part_set(folder, normals=normals)
    _write(folder / "02691156" / "not_listed.txt", "0 0 0 0 0 1 0\n")
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


# torch-geometric


def _processed(path: Path, count: int, *, faces: bool, parts: bool = False) -> list[np.ndarray]:
    """Write a file as InMemoryDataset.save does."""
    import torch
    from torch_geometric.data import Data, InMemoryDataset

    generator = np.random.default_rng(count)
    clouds, data = [], []
    for number in range(count):
        points = generator.normal(size=(5 + number, 3)).astype(np.float32)
        clouds.append(points)
        one = Data(pos=torch.from_numpy(points))
        if faces:
            one.face = torch.tensor([[0, 1], [1, 2], [2, 3]])
        if parts:
            one.y = torch.zeros(len(points), dtype=torch.long)
            one.category = torch.tensor([number])
        else:
            one.y = torch.tensor([number % 3])
        data.append(one)
    path.parent.mkdir(parents=True, exist_ok=True)
    InMemoryDataset.save(data, str(path))
    return clouds


def test_pyg(tmp_path: Path) -> None:
    folder = tmp_path / "processed"
    clouds = _processed(folder / "training.pt", 4, faces=True)
    _processed(folder / "test.pt", 2, faces=True)
    (folder / "pre_transform.pt").write_bytes(b"words")
    source = open_source(f"pyg:{folder}")
    assert source.classes == ("0", "1", "2")
    assert [(item.id, item.label, item.split) for item in source.items] == [
        *(("test/00000", 0, "test"), ("test/00001", 1, "test")),
        *((f"training/{row:05d}", row % 3, "train") for row in range(4)),
    ]
    loaded = pickle.loads(pickle.dumps(source.items[5])).load()
    assert isinstance(loaded, Shape)
    np.testing.assert_array_equal(loaded.points, clouds[3])
    np.testing.assert_array_equal(loaded.faces, [[0, 1, 2], [1, 2, 3]])


def test_pyg_parts_and_one_file(tmp_path: Path) -> None:
    clouds = _processed(tmp_path / "cha_val.pt", 3, faces=False, parts=True)
    source = open_source(f"pyg:{tmp_path / 'cha_val.pt'}")
    assert [(item.label, item.split) for item in source.items] == [(0, "val"), (1, "val"), (2, "val")]
    loaded = source.items[1].load()
    assert isinstance(loaded, Shape)
    assert loaded.faces is None
    np.testing.assert_array_equal(loaded.points, clouds[1])


class _Hostile:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> object:
        return Path.touch, (self.path,)


def test_pyg_runs_no_code(tmp_path: Path) -> None:
    import torch

    torch.save(({"pos": _Hostile(tmp_path / "touched")}, {}), tmp_path / "train.pt")
    with pytest.raises(UserError, match="not a processed file"):
        open_source(f"pyg:{tmp_path}")
    assert not (tmp_path / "touched").exists()


def test_pyg_damaged(tmp_path: Path) -> None:
    import torch

    with pytest.raises(UserError, match="no processed file"):
        open_source(f"pyg:{tmp_path}")
    pos, rows = torch.zeros(4, 3), torch.tensor([0, 2, 4])
    for content in (
        {"weights": pos},
        ({"pos": torch.zeros(4, 2)}, {"pos": rows}),
        ({"pos": pos}, {"pos": torch.tensor([0, 2, 9])}),
        ({"pos": pos, "y": torch.zeros(2)}, {"pos": rows, "y": torch.tensor([0, 2])}),
        ({"pos": pos}, {"pos": torch.tensor([0, 3, 2])}),
    ):
        torch.save(content, tmp_path / "train.pt")
        with pytest.raises(UserError, match="not a processed file"):
            open_source(f"pyg:{tmp_path}")
    (tmp_path / "train.pt").write_bytes((tmp_path / "train.pt").read_bytes()[:100])
    with pytest.raises(UserError, match="not a processed file"):
        open_source(f"pyg:{tmp_path}")
    torch.save(({"pos": pos * torch.nan}, {"pos": rows}), tmp_path / "train.pt")
    with pytest.raises(ObjectError, match="not finite"):
        open_source(f"pyg:{tmp_path}").items[0].load()


def test_data_prep_does_not_load_torch(tmp_path: Path) -> None:
    code = "import sys, data_prep.pipeline.prepare, data_prep.sources.pyg; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
