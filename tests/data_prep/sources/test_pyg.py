"""Processed files of torch-geometric."""

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from source_layouts import Hostile

from data_prep.source import Shape
from data_prep.sources.catalogue import open_source
from spectral_ssl.ground.errors import ObjectError, UserError


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


def test_pyg_runs_no_code(tmp_path: Path) -> None:
    import torch

    torch.save(({"pos": Hostile(tmp_path / "touched")}, {}), tmp_path / "train.pt")
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
