"""Data sets whose lists and containers try to lead out of their folder or to use all memory."""

import gzip
import json
import os
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from data_prep.readers.limits import check_chunks
from data_prep.sources.catalogue import open_source
from spectral_ssl.ground import files
from spectral_ssl.ground.errors import ObjectError, UserError
from spectral_ssl.ground.files import read_small_text

pytestmark = pytest.mark.usefixtures("little_memory")
TRIANGLE = "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n"


def test_a_table_cannot_lead_to_meshes_elsewhere(tmp_path: Path) -> None:
    root, secret = tmp_path / "set", tmp_path / "secret"
    for folder in (root / "02691156" / "sound", secret):
        folder.mkdir(parents=True)
        (folder / "model.obj").write_text(TRIANGLE)
    rows = [f"{number},02691156,,{name},train" for number, name in enumerate(("sound", "../../secret", secret))]
    (root / "all.csv").write_text("\n".join(["id,synsetId,subSynsetId,modelId,split", *rows]))
    source = open_source("shapenet", root)
    assert [item.id for item in source.items] == ["02691156/sound"]
    assert sorted(reason for _, reason in source.missing) == ["no model file", "no model file"]


def test_a_table_with_an_endless_field(tmp_path: Path) -> None:
    (tmp_path / "02691156" / "sound").mkdir(parents=True)
    (tmp_path / "02691156" / "sound" / "model.obj").write_text(TRIANGLE)
    (tmp_path / "all.csv").write_text('id,synsetId,subSynsetId,modelId,split\n1,"' + "x" * 200_000)
    with pytest.raises(UserError, match="not the official split table"):
        open_source("shapenet", tmp_path)


def _modelnet(folder: Path, change: Any = None) -> Path:
    for split in ("train", "test"):
        with h5py.File(folder / f"ply_data_{split}0.h5", "w") as file:
            clouds = np.random.default_rng(0).normal(size=(10, 16, 3)).astype(np.float32)
            file.create_dataset("data", data=clouds, compression="gzip", shuffle=True)
            file.create_dataset("label", data=np.arange(10, dtype=np.uint8)[:, None], compression="gzip")
            if change is not None:
                change(file)
        (folder / f"{split}_files.txt").write_text(f"ply_data_{split}0.h5\n")
    return folder


@cache
def _packed_zeros() -> bytes:
    """Compress half a gigabyte of zeros, twice the memory that a test of this file may take."""
    packer = zlib.compressobj(1)
    return b"".join([packer.compress(bytes(1 << 24)) for _ in range(32)]) + packer.flush()


def _bomb(name: str, dtype: str, shape: tuple[int, ...]) -> Any:
    def change(file: h5py.File) -> None:
        del file[name]
        made = file.create_dataset(name, shape, dtype, chunks=shape, compression="gzip", maxshape=(None, *shape[1:]))
        made.id.write_direct_chunk((0,) * len(shape), _packed_zeros())

    return change


def _never_written(file: h5py.File) -> None:
    del file["data"]
    file.create_dataset("data", (10, 100_000, 3), "f4", chunks=(1, 100_000, 3))


def _other_filter(file: h5py.File) -> None:
    del file["data"]
    file.create_dataset("data", data=np.zeros((10, 16, 3), np.float32), compression="lzf")


def _large_chunks(file: h5py.File) -> None:
    del file["data"]
    file.create_dataset(
        "data", (10, 16, 3), "f4", chunks=(1 << 22, 16, 3), maxshape=(None, 16, 3), compression="gzip", fillvalue=0.5
    )


def _link_to_a_pipe(file: h5py.File) -> None:
    pipe = Path(file.filename).with_name("pipe")
    if not pipe.exists():
        os.mkfifo(pipe)
    del file["data"]
    file["data"] = h5py.ExternalLink(str(pipe), "data")


@pytest.mark.parametrize(
    "change",
    [
        _bomb("data", "f4", (10, 16, 3)), _bomb("label", "u1", (10, 1)), _never_written, _other_filter, _large_chunks,
        _link_to_a_pipe,
    ],
)  # fmt: skip
def test_clouds_that_unpack_to_more_than_they_say(change: Any, tmp_path: Path) -> None:
    _modelnet(tmp_path)
    assert open_source("modelnet10", tmp_path).items[0].load().points.shape == (16, 3)
    hostile = tmp_path / "hostile"
    hostile.mkdir()
    _modelnet(hostile, change)
    with pytest.raises(UserError, match=r"damaged HDF5 file|not a readable HDF5 file|no plain dataset"):
        open_source("modelnet10", hostile).items[0].load()


def test_valid_chunks_pass(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 3, (100, 7)).astype(np.float32)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for options in ({}, {"compression": "gzip"}, {"compression": "gzip", "shuffle": True, "chunks": (33, 5)}):
            check_chunks(file.create_dataset(str(len(file)), data=values, **options))


def test_a_list_cannot_name_a_file_twice(tmp_path: Path) -> None:
    _modelnet(tmp_path)
    (tmp_path / "train_files.txt").write_text("a/ply_data_train0.h5\nb/ply_data_train0.h5\n")
    with pytest.raises(UserError, match="names a file twice"):
        open_source("modelnet10", tmp_path)


def test_long_lists_and_pipes_instead_of_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _modelnet(tmp_path)
    with (tmp_path / "train_files.txt").open("wb") as stream:
        stream.truncate(1 << 40)  # a hole of a terabyte
    with pytest.raises(UserError, match="too long"):
        open_source("modelnet10", tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="no such file"):
        read_small_text(tmp_path / "pipe")
    assert files.LARGEST_TEXT < 1 << 30


def test_deep_lists_of_names(tmp_path: Path) -> None:
    _modelnet(tmp_path)
    (tmp_path / "ply_data_train_0_id2file.json").write_text("[" * 100_000)
    with pytest.raises(UserError, match="unreadable list of names"):
        open_source("modelnet10", tmp_path)


def test_idx_files_that_unpack_to_more_than_they_say(tmp_path: Path) -> None:
    """A file announces 10 images or labels, and a quarter of a gigabyte of zeros follows them."""
    head = {"images-idx3": [2051, 10, 28, 28], "labels-idx1": [2049, 10]}
    for kind, words in head.items():
        body = np.array(words, ">u4").tobytes() + bytes(10 * (784 if "images" in kind else 1))
        packed = gzip.compress(body + bytes(1 << 28), 1)
        for split in ("train", "t10k"):
            (tmp_path / f"{split}-{kind}-ubyte.gz").write_bytes(packed)
    with pytest.raises(UserError, match="of the wrong length"):
        open_source("mnist", tmp_path)


def test_idx_files_that_announce_more_than_there_can_be(tmp_path: Path) -> None:
    for split in ("train", "t10k"):
        (tmp_path / f"{split}-images-idx3-ubyte").write_bytes(np.array([2051, 2**31, 28, 28], ">u4").tobytes())
        (tmp_path / f"{split}-labels-idx1-ubyte").write_bytes(np.array([2049, 2**31], ">u4").tobytes())
    with pytest.raises(UserError, match="not images of 28x28"):
        open_source("mnist", tmp_path)


def test_pipes_among_images(tmp_path: Path) -> None:
    from data_prep.sources.cifar10 import CLASSES

    for split in ("train", "test"):
        for name in CLASSES:
            (tmp_path / split / name).mkdir(parents=True)
            os.mkfifo(tmp_path / split / name / "1.png")
    source = open_source("cifar10", tmp_path)
    with pytest.raises(ObjectError, match="a pipe"):
        source.items[0].load()


def test_lists_of_the_part_set(tmp_path: Path) -> None:
    from data_prep.sources.shapenet_part import SYNSETS

    (tmp_path / "synsetoffset2category.txt").write_text("\n".join(f"{name} {key}" for key, name in SYNSETS.items()))
    (tmp_path / "train_test_split").mkdir()
    for text in ("[" * 100_000, json.dumps(["shape_data/02691156/../../../etc/passwd"]), json.dumps([["x"]])):
        for split in ("train", "val", "test"):
            (tmp_path / "train_test_split" / f"shuffled_{split}_file_list.json").write_text(text)
        with pytest.raises(UserError, match="list"):
            open_source("shapenetpart", tmp_path)
