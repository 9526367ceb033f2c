"""Hostile map and feature files are refused in one line, before memory is allocated for what they announce."""

import os
import zlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from data_prep.maps.reader import MapFile, open_maps
from downstream.features.store import Features, read_features, write_features
from pretext.tasks.codes.feature_codes import find_codes
from pretext.tasks.codes.from_code import FromCodeConfig
from spectral_ssl.ground.errors import UserError

pytestmark = pytest.mark.usefixtures("little_memory")


def _replace(name: str, **arguments: Any) -> Any:
    def change(file: h5py.File) -> None:
        shape = file[name].shape
        del file[name]
        file.create_dataset(name, **{"shape": shape, **arguments})

    return change


def _never_written(file: h5py.File) -> None:
    """Announce a petabyte of labels, of which the file stores no byte."""
    del file["labels"]
    file.create_dataset("labels", (10**14,), np.int64, chunks=(1 << 20,))


def _never_written_in_one_piece(file: h5py.File) -> None:
    del file["mean"]
    file.create_dataset("mean", (10**6, 10**6, 10), np.float32)


def _bomb_in_a_chunk(file: h5py.File) -> None:
    """Store a chunk that announces 4 KiB and inflates to half a gigabyte, twice what a test may take."""
    del file["labels"]
    made = file.create_dataset("labels", (512,), np.int64, chunks=(512,), compression="gzip")
    packer = zlib.compressobj(1)
    zeros = bytes(1 << 24)
    packed = b"".join([packer.compress(zeros) for _ in range(32)]) + packer.flush()
    made.id.write_direct_chunk((0,), packed)


def _one_text_many_times(file: h5py.File) -> None:
    """Store 20 000 ids that share one megabyte: the file stays small, reading it would take 20 GB."""
    del file["ids"]
    made = file.create_dataset("ids", (20_000,), h5py.string_dtype(), chunks=(20_000,), maxshape=(None,))
    made[0] = "x" * (1 << 20)
    first = made.id.read_direct_chunk((0,))[1][:16]
    made.id.write_direct_chunk((0,), first * 20_000)


def _one_reason_many_times(file: h5py.File) -> None:
    del file["failures"]
    pair = np.dtype([("id", h5py.string_dtype()), ("reason", h5py.string_dtype())])
    made = file.create_dataset("failures", (20_000,), pair, chunks=(20_000,), maxshape=(None,))
    made[0] = np.array(("a", "x" * (1 << 20)), pair)
    first = made.id.read_direct_chunk((0,))[1][:32]
    made.id.write_direct_chunk((0,), first * 20_000)


def _long_split(file: h5py.File) -> None:
    """Store one long split name: numpy would allocate its length for every row."""
    del file["split"]
    file["split"] = ["x" * (1 << 22)] + ["train"] * 71


def _references(file: h5py.File) -> None:
    del file["labels"]
    made = file.create_dataset("labels", (72,), h5py.ref_dtype)
    made[:] = [file["ids"].ref] * 72


def _lists(file: h5py.File) -> None:
    del file["labels"]
    file.create_dataset("labels", (72,), h5py.vlen_dtype(np.int64))


def _pipe(name: str) -> Any:
    """Add an external link to a pipe: opening it would wait for ever."""

    def change(file: h5py.File) -> None:
        pipe = Path(file.filename).with_name("pipe")
        os.mkfifo(pipe)
        if name in file:
            del file[name]
        file[name] = h5py.ExternalLink(str(pipe), "x")

    return change


def _loop(file: h5py.File) -> None:
    del file["labels"]
    file["labels"] = h5py.SoftLink("/again")
    file["again"] = h5py.SoftLink("/labels")


def _group(file: h5py.File) -> None:
    del file["labels"]
    file.create_group("labels")["self"] = file["/"]


def _attribute(name: str, value: Any) -> Any:
    def change(file: h5py.File) -> None:
        file.attrs.pop(name, None)
        file.attrs[name] = value

    return change


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_never_written, "bytes announced, 0 stored"),
        (_never_written_in_one_piece, "bytes announced, 0 stored"),
        (_bomb_in_a_chunk, "compressed or otherwise filtered"),
        (_replace("maps", dtype="f4", chunks=True, compression="lzf"), "compressed or otherwise filtered"),
        (_one_text_many_times, "longer than the file"),
        (_one_reason_many_times, "longer than the file"),
        (_long_split, "a text of 4194304 characters"),
        (_references, "values of type object"),
        (_lists, "values of type object"),
        (_pipe("maps"), "no dataset 'maps'"),
        (_pipe("points"), "no dataset 'points'"),
        (_loop, "no dataset 'labels'"),
        (_group, "not a plain dataset"),
        (_attribute("class_names", ["x" * 60_000] * 1), "not a text"),
        (_attribute("class_names", "[1, 2, 3]"), "not a list of texts"),
        (_attribute("class_names", "[" + "[]," * (2 << 20) + "1]"), "attribute 'class_names' of 6291459 characters"),
        (_attribute("basis", "x" * ((4 << 20) + 1)), "attribute 'basis' of 4194305 characters"),
        (_attribute("class_names", "[" * 100_000), "damaged map file"),
        (_attribute("basis", "[" * 100_000), "unreadable basis"),
        (_attribute("source", 7), "not a text"),
        (_attribute("schema_version", h5py.Empty("S1")), "not a file of schema"),
        (_attribute("schema_version", "\x1b[2J\nspectral-ssl maps 1"), "not a file of schema"),
    ],
)
def test_hostile_map_files(random_maps: MapFile, change: Any, reason: str) -> None:
    with h5py.File(random_maps.path, "r+", libver="latest") as file:
        change(file)
    with pytest.raises(UserError, match=reason) as refused:
        open_maps(random_maps.path).read_points()
    assert "\n" not in str(refused.value)
    assert "\x1b" not in str(refused.value)


def test_external_links_are_not_followed(random_maps: MapFile) -> None:
    with h5py.File(random_maps.path, "r+") as file:
        file["points"] = h5py.ExternalLink("/nowhere/at/all.h5", "x")
    with pytest.raises(UserError, match="no dataset 'points'"):
        open_maps(random_maps.path)


def _store(name: str, change: Any) -> Any:
    def store(file: h5py.File) -> None:
        values = change(file[name][:]) if name in file else change(len(file["maps"]))
        if name in file:
            del file[name]
        file[name] = values

    return store


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_store("maps", lambda values: np.float32(1)), r"'maps' of type float32 and shape \(\)"),
        (_store("maps", lambda values: values[0]), "'maps' of type float32 and shape"),
        (_store("maps", lambda values: values.astype(">f4")), "'maps' of type >f4"),
        (_store("mean", lambda values: values.astype("i4")), "'mean' of type int32"),
        (_store("std", lambda values: values[None]), "'std' of type float32 and shape"),
        (_store("std", lambda values: values.astype("c8")), "values of type complex64"),
        (_store("labels", lambda values: values[:, None]), "'labels' of type int64 and shape"),
        (_store("labels", lambda values: values.astype(">i8")), "'labels' of type >i8"),
        (_store("labels", lambda values: values.astype("f8")), "'labels' of type float64"),
        (_store("points", lambda rows: np.zeros((rows, 5, 2), "f2")), "clouds of shape"),
        (_store("points", lambda rows: np.zeros((rows - 1, 5, 3), "f2")), "clouds of shape"),
        (_store("points", lambda rows: np.zeros((rows, 5, 3), "i2")), "'points' of type int16"),
        (_store("points", lambda rows: np.float16(0)), "'points' of type float16"),
    ],
)
def test_columns_of_another_kind(random_maps: MapFile, change: Any, reason: str) -> None:
    with h5py.File(random_maps.path, "r+") as file:
        change(file)
    with pytest.raises(UserError, match=reason) as refused:
        open_maps(random_maps.path)
    assert "\n" not in str(refused.value)


def test_labels_of_few_bytes_are_read(random_maps: MapFile) -> None:
    with h5py.File(random_maps.path, "r+") as file:
        labels = file["labels"][:]
        del file["labels"]
        file["labels"] = labels.astype("i1")
    opened = open_maps(random_maps.path)
    assert opened.labels.dtype == np.int64
    assert np.array_equal(opened.labels, random_maps.labels)


@pytest.fixture
def features(random_maps: MapFile, tmp_path: Path) -> Path:
    about = dict.fromkeys(
        ("layer", "pooling", "checkpoint_digest", "data_digest", "config", "basis", "source"), "something"
    )
    values = np.random.default_rng(0).normal(size=(72, 4)).astype(np.float32)
    path = tmp_path / "features.h5"
    write_features(
        path,
        Features(values, random_maps.ids, random_maps.labels, random_maps.splits, random_maps.classes, about),
    )
    return path


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_never_written, "bytes announced, 0 stored"),
        (_replace("features", shape=(72, 10**13), dtype="f4"), "bytes announced, 0 stored"),
        (_replace("features", shape=(72,), data=np.zeros(72)), "contradicts itself"),
        (_replace("labels", shape=(72,), data=np.zeros(72)), "contradicts itself"),
        (_replace("ids", shape=(72,), data=np.zeros(72)), "not a list of texts"),
        (_replace("ids", shape=(72, 1), data=[["a"]] * 72), "not a list of texts"),
        (_one_text_many_times, "longer than the file"),
        (_long_split, "a text of 4194304 characters"),
        (_references, "values of type object"),
        (_pipe("features"), "no dataset 'features'"),
        (_attribute("class_names", "[" * 100_000), "damaged feature file"),
        (_attribute("config", np.zeros(3)), "not a text"),
    ],
)
def test_hostile_feature_files(features: Path, change: Any, reason: str) -> None:
    with h5py.File(features, "r+", libver="latest") as file:
        change(file)
    with pytest.raises(UserError, match=reason):
        read_features(features)


def test_hostile_codes(features: Path, random_maps: MapFile) -> None:
    config = FromCodeConfig(features=str(features))
    assert find_codes(config, random_maps).shape == (72, 4)
    with h5py.File(features, "r+") as file:
        _one_text_many_times(file)
    with pytest.raises(UserError, match="longer than the file"):
        find_codes(config, random_maps)
