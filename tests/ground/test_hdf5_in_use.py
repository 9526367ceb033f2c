"""A file that another program writes at this moment is called in use, not damaged."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from command_line import call
from conftest import write_random_maps

from data_prep.basis import pixel_basis
from data_prep.maps.reader import open_maps
from data_prep.sources.modelnet import _open_file
from downstream.features.store import ABOUT, Features, read_features, write_features
from pretext.data.torch_dataset import MapDataset
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.hdf5 import explain_open_error

# another process, as another program is: locks of one process do not exclude itself
HOLD = "import h5py, sys; file = h5py.File(sys.argv[1], 'r+'); print('open', flush=True); sys.stdin.read()"


@contextmanager
def held_by_another_program(path: Path) -> Iterator[None]:
    environment = {name: value for name, value in os.environ.items() if name != "HDF5_USE_FILE_LOCKING"}
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        yield
        other.communicate(b"")


def open_modelnet(path: Path) -> None:
    with _open_file(path):
        pass


def write_feature_file(path: Path) -> Path:
    features = Features(
        values=np.zeros((2, 3), np.float32), ids=["a", "b"], labels=np.array([0, 0]), splits=np.array(["train"] * 2),
        classes=("a",), about=dict.fromkeys(ABOUT, ""),
    )  # fmt: skip
    write_features(path, features)
    return path


def test_files_in_use_are_not_called_damaged(tmp_path: Path) -> None:
    maps = write_random_maps(tmp_path / "maps.h5", pixel_basis(1, 2, 2))
    features = write_feature_file(tmp_path / "features.h5")
    dataset = MapDataset(maps.path)
    readers: list[tuple[Path, Callable[[], Any]]] = [
        (maps.path, lambda: open_maps(maps.path)),
        (maps.path, lambda: maps.read(np.array([0]))),
        (maps.path, lambda: dataset[0]),
        (maps.path, lambda: open_modelnet(maps.path)),
        (features, lambda: read_features(features)),
    ]
    for path in (maps.path, features):
        with held_by_another_program(path):
            for name, read in readers:
                if name == path:
                    with pytest.raises(UserError, match=f"^the file is open in another program: got {path}; wait"):
                        read()
    assert len(open_maps(maps.path)) == len(maps)  # the other program has ended
    assert dataset[0][0].shape == (1, 2, 2)


def test_the_command_line_says_it_in_one_line(tmp_path: Path) -> None:
    maps = write_random_maps(tmp_path / "maps.h5", pixel_basis(1, 2, 2))
    with held_by_another_program(maps.path):
        for words in (["pretrain", "--data", maps.path, "--dry-run"], ["verify", maps.path]):
            ended = call(*words, workspace=tmp_path)
            assert ended.returncode != 0
            text = ended.stdout + ended.stderr
            assert "open in another program" in text
            assert "damaged" not in text


def test_other_reasons_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "maps.h5"
    denied = explain_open_error(path, PermissionError(13, "Permission denied"), "make it again")
    assert str(denied).startswith("no permission to read the file")
    assert "HDF5_USE_FILE_LOCKING" in str(explain_open_error(path, OSError(37, "No locks available"), "make it again"))
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(20))
    with pytest.raises(OSError) as error:
        h5py.File(path, "r")
    assert str(explain_open_error(path, error.value, "make it again")).startswith("not a readable HDF5 file")
