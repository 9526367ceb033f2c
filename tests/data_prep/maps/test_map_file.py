import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from conftest import forget_checksums

import data_prep.maps.reader
from data_prep.basis import Basis, pixel_basis, zernike_basis
from data_prep.maps.reader import MapFile, compute_content_digest, open_maps
from data_prep.maps.writer import MapWriter
from data_prep.pipeline.verify import verify_maps
from pretext.data.torch_dataset import MapDataset
from pretext.data.training_split import TrainingSplit
from spectral_ssl.ground.errors import UserError

BASIS = zernike_basis(2, 2, points=16)  # maps of shape (2, 3, 3)
COUNT = 9


def _maps(seed: int = 0) -> np.ndarray:
    maps = np.random.default_rng(seed).normal(size=(COUNT, *BASIS.shape)).astype(np.float32)
    maps[:, 0, 0, 0] = 0.25  # a constant coefficient, as that of order 0 is
    return maps


def _write(path: Path, maps: np.ndarray | None = None, *, basis: Basis = BASIS, keep: int = 0, **more: Any) -> MapFile:
    maps = _maps() if maps is None else maps
    splits = more.get("splits", ["train"] * 6 + ["test"] * (len(maps) - 6))
    with MapWriter(
        path,
        basis,
        source="some",
        source_digest="d",
        classes=["a", "b"],
        count=20,
        created_by="a test",
        keep_points=keep,
    ) as writer:
        writer.fail("broken", "no faces")
        for rows in (slice(0, 4), slice(4, len(maps))):
            ids = [f"object-{row}" for row in range(len(maps))][rows]
            points = np.full((len(ids), keep, 3), 0.5) if keep else None
            writer.append(maps[rows], ids, [len(identity) % 2 for identity in ids], splits[rows], points)
    return open_maps(path)


def test_written_maps_are_read(tmp_path: Path) -> None:
    made = _write(tmp_path / "a.h5", keep=16)
    np.testing.assert_array_equal(made.read(), _maps())
    assert made.read().dtype == np.float32
    assert made.ids == tuple(f"object-{row}" for row in range(COUNT))
    assert made.labels.tolist() == [0] * COUNT
    assert made.splits.tolist() == ["train"] * 6 + ["test"] * 3
    assert made.basis == BASIS
    assert (made.source, made.classes, made.failures) == ("some", ("a", "b"), (("broken", "no faces"),))
    assert made.rows().tolist() == list(range(COUNT))
    assert made.rows("test").tolist() == [6, 7, 8]
    assert made.rows("val").tolist() == []
    assert made.read_points(np.array([2])).shape == (1, 16, 3)
    assert made.read_points().dtype == np.float32


@pytest.mark.parametrize("rows", [[3], [8, 0, 3], [1, 1, 0, 1], [4, 5, 6, 2], []])
def test_rows_come_in_the_requested_order(tmp_path: Path, rows: list[int]) -> None:
    made = _write(tmp_path / "a.h5")
    np.testing.assert_array_equal(made.read(np.array(rows, int)), _maps()[rows])


def test_statistics_are_of_the_training_split(tmp_path: Path) -> None:
    made = _write(tmp_path / "a.h5")
    training = _maps()[:6].astype(np.float64)
    np.testing.assert_allclose(made.mean, training.mean(axis=0), rtol=1e-5)
    expected = training.std(axis=0)
    expected[0, 0, 0] = 1
    np.testing.assert_allclose(made.std, expected, rtol=1e-5)


def test_statistics_without_a_training_split_are_of_all(tmp_path: Path) -> None:
    made = _write(tmp_path / "a.h5", splits=["test"] * COUNT)
    np.testing.assert_allclose(made.mean, _maps().mean(axis=0), rtol=1e-4, atol=1e-7)


def test_images_are_not_standardised(tmp_path: Path) -> None:
    images = np.full((COUNT, 1, 4, 4), 0.5, np.float32)
    made = _write(tmp_path / "a.h5", images, basis=pixel_basis(1, 4, 4))
    assert (made.mean == 0).all()
    assert (made.std == 1).all()


def test_points_are_stored_only_on_request(tmp_path: Path) -> None:
    made = _write(tmp_path / "a.h5")
    assert not made.has_points
    with pytest.raises(UserError, match="--keep-points"):
        made.read_points()


def test_one_sample_per_chunk_and_no_compression(tmp_path: Path) -> None:
    _write(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["maps"].chunks == (1, *BASIS.shape)
        assert file["maps"].compression is None


def test_same_content_same_bytes(tmp_path: Path) -> None:
    first, second, other = (
        _write(tmp_path / f"{name}.h5", _maps(seed)) for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert first.path.read_bytes() == second.path.read_bytes()
    assert first.digest == second.digest != other.digest


def _damage(path: Path, damage: Any) -> None:
    with h5py.File(path, "r+") as file:
        damage(file)


def _delete_attribute(name: str) -> Any:
    return lambda file: file.attrs.__delitem__(name)


def _set_attribute(name: str, value: Any) -> Any:
    return lambda file: file.attrs.__setitem__(name, value)


def _replace(name: str, value: Any) -> Any:
    def damage(file: h5py.File) -> None:
        del file[name]
        if value is not None:
            file[name] = value

    return damage


def _virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout(shape=(COUNT, *BASIS.shape), dtype="f4")
    layout[:] = h5py.VirtualSource("other.h5", "maps", shape=(COUNT, *BASIS.shape))
    del file["maps"]
    file.create_virtual_dataset("maps", layout)


def _external_storage(file: h5py.File) -> None:
    del file["mean"]
    file.create_dataset("mean", BASIS.shape, "f4", external=[("/etc/hostname", 0, h5py.h5f.UNLIMITED)])


def _swap_basis(file: h5py.File) -> None:
    file.attrs["basis"] = zernike_basis(3, 2).to_json()


def _more_fields(file: h5py.File) -> None:
    file.attrs["basis"] = json.dumps({**json.loads(file.attrs["basis"]), "colour": "red"})


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (_set_attribute("schema_version", "spectral-ssl maps 0"), "not a file of schema"),
        (_set_attribute("schema_version", "spectral-ssl features 1"), "not a file of schema"),
        (_delete_attribute("schema_version"), "not a file of schema"),
        (_delete_attribute("basis"), "damaged map file"),
        (_set_attribute("basis", "{"), "unreadable basis"),
        (_more_fields, "unreadable basis"),
        (_set_attribute("class_names", "not json"), "damaged map file"),
        (_delete_attribute("content_digest"), "damaged map file"),
        (_swap_basis, "inconsistent map file"),
        (_replace("maps", None), "no dataset 'maps'"),
        (_replace("maps", np.zeros((COUNT - 1, *BASIS.shape), np.float32)), "inconsistent map file"),
        (_replace("labels", np.zeros(COUNT + 1, np.int64)), "inconsistent map file"),
        (_replace("ids", [b"one"]), "inconsistent map file"),
        (_replace("split", [b"train"]), "inconsistent map file"),
        (_replace("std", np.ones((1, 1, 1), np.float32)), "inconsistent map file"),
        (_replace("std", np.ones((1, 1))), "map file that contradicts itself"),
        (_replace("maps", h5py.ExternalLink("other.h5", "maps")), "no dataset 'maps'"),
        (_replace("ids", h5py.SoftLink("/split")), "no dataset 'ids'"),
        (_virtual, "not a plain dataset"),
        (_external_storage, "not a plain dataset"),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, damage: Any, reason: str) -> None:
    _write(tmp_path / "a.h5")
    _damage(tmp_path / "a.h5", damage)
    with pytest.raises(UserError, match=reason):
        open_maps(tmp_path / "a.h5")


@pytest.mark.parametrize("size", [0, 100, 2000, -1])
def test_truncated_files_are_refused(tmp_path: Path, size: int) -> None:
    path = _write(tmp_path / "a.h5").path
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(UserError, match=r"not a readable HDF5 file|damaged map file"):
        open_maps(path)


def test_links_added_after_opening_are_not_followed(tmp_path: Path) -> None:
    made = _write(tmp_path / "a.h5")
    _write(tmp_path / "other.h5", _maps(1))
    _damage(made.path, _replace("maps", h5py.ExternalLink("other.h5", "maps")))
    with pytest.raises(UserError, match="no dataset 'maps'"):
        made.read()


def test_missing_and_empty_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        open_maps(tmp_path / "a.h5")
    with MapWriter(
        tmp_path / "a.h5", BASIS, source="some", source_digest="", classes=[], count=3, created_by=""
    ) as writer:
        writer.fail("a", "b")
    with pytest.raises(UserError, match="empty map file"):
        open_maps(tmp_path / "a.h5")


def test_threads_read_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    maps = _write(tmp_path / "maps.h5")
    open_one, inside, most = data_prep.maps.reader.open_hdf5, [], []

    @contextmanager
    def watched(*words: Any) -> Iterator[h5py.File]:
        with open_one(*words) as file:
            inside.append(1)
            most.append(len(inside))
            time.sleep(0.01)  # another thread comes here if nothing keeps it out
            yield file
            inside.pop()

    monkeypatch.setattr(data_prep.maps.reader, "open_hdf5", watched)
    with ThreadPoolExecutor(4) as pool:
        read = list(pool.map(lambda row: maps.read(np.array([row])), range(8)))
    assert [len(each) for each in read] == [1] * 8
    assert most == [1] * 8


def test_a_forked_child_reads_while_another_thread_of_its_parent_reads(tmp_path: Path) -> None:
    maps, ended = _write(tmp_path / "maps.h5"), threading.Event()

    def read_on() -> None:
        while not ended.is_set():
            maps.read(np.array([0]))

    thread = threading.Thread(target=read_on)
    thread.start()
    try:
        for _ in range(8):
            process = os.fork()
            if process == 0:
                signal.alarm(20)  # a child that waits without end is killed
                os._exit(int(len(maps.read(np.array([1]))) != 1))
            assert os.waitpid(process, 0)[1] == 0
    finally:
        ended.set()
        thread.join()


def _turn_a_bit(path: Path, column: str, row: int) -> None:
    """Turn the lowest bit of the last value of a row, which no check of its range can see."""
    with h5py.File(path, "r") as file:
        chunk = file[column].id.get_chunk_info_by_coord((row, 0, 0, 0)[: file[column].ndim])
    with path.open("r+b") as file:
        file.seek(chunk.byte_offset + chunk.size - (4 if column == "maps" else 2))
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1]))


@pytest.mark.parametrize("column", ["maps", "points"])
def test_a_bit_that_turned_on_the_disk_is_noticed_by_every_reader(tmp_path: Path, column: str) -> None:
    path = _write(tmp_path / "a.h5", keep=16).path
    before = open_maps(path)
    _turn_a_bit(path, column, 5)
    for maps in (before, open_maps(path)):  # whether the file was opened before or after
        read = maps.read if column == "maps" else maps.read_points
        assert len(read(np.array([4, 6]))) == 2
        for rows in (np.array([7, 5, 5]), None):
            with pytest.raises(UserError, match=f"has changed since it was made.*{column} that were read.*object-5"):
                read(rows)
    dataset = MapDataset(path, points=True)
    assert len(dataset[4]) == 3
    with pytest.raises(UserError, match=r"has changed since it was made.*object-5"):
        dataset[5]
    with pytest.raises(UserError, match="has changed since it was made"):  # as every training begins
        TrainingSplit(before, with_points=True)
    assert f"{column}: 1 of 9 have changed, such as that of object-5" in verify_maps(path)


@pytest.mark.parametrize("rows", [np.array([COUNT - 1]), None], ids=["one", "all"])
def test_a_file_that_takes_the_place_of_an_open_one_is_noticed(tmp_path: Path, rows: Any) -> None:
    opened = _write(tmp_path / "a.h5", keep=16)
    for other in (_maps()[: COUNT - 1], _maps(seed=1)):  # fewer maps, and as many other ones
        _write(tmp_path / "other.h5", other, keep=16).path.replace(opened.path)
        with pytest.raises(UserError, match=r"was replaced while it was in use|has changed since it was made"):
            opened.read(rows)


def test_files_of_earlier_versions_have_no_checksums(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.h5", keep=16).path
    with h5py.File(path, "r+") as file:
        forget_checksums(file)
    maps = open_maps(path)
    assert maps.checksums == {}
    np.testing.assert_array_equal(maps.read(), _maps())
    with h5py.File(path, "r+") as file:
        file["maps_crc32"] = np.zeros(COUNT)
    with pytest.raises(UserError, match=r"damaged map file: got .*maps_crc32"):
        open_maps(path)
    with h5py.File(path, "r+") as file:
        del file["maps_crc32"]
        file["maps_crc32"] = np.zeros(COUNT + 1, np.uint32)
    with pytest.raises(UserError, match="inconsistent map file"):
        open_maps(path)


def test_an_error_leaves_no_readable_file(tmp_path: Path) -> None:
    def interrupted() -> None:
        with MapWriter(
            tmp_path / "a.h5", BASIS, source="some", source_digest="", classes=[], count=3, created_by=""
        ) as writer:
            writer.append(_maps()[:2], ["a", "b"], [0, 0], ["train", "train"])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with pytest.raises(UserError):
        open_maps(tmp_path / "a.h5")


@pytest.mark.parametrize(
    "change",
    [
        lambda file: file["maps"].__setitem__((5, 1, 2, 2), 9),
        lambda file: file["labels"].__setitem__(3, 1),
        lambda file: file["ids"].__setitem__(3, "another"),
        lambda file: file["split"].__setitem__(3, "test"),
        _swap_basis,
    ],
)
def test_digest_covers_the_content(tmp_path: Path, change: Any) -> None:
    made = _write(tmp_path / "a.h5")
    _damage(made.path, change)
    with h5py.File(made.path) as file:
        assert compute_content_digest(file) != made.digest


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("maps", np.zeros((72, 4, 9, 9), np.float32)),
        ("ids", np.arange(72)),
        ("labels", np.full(72, 99)),
        ("labels", np.full(72, 0.5)),
        ("split", ["banana"] * 72),
        ("std", np.zeros((5, 9, 9), np.float32)),
        ("failures", np.zeros(3)),
        ("basis", '{"kind": "foo"}'),
        ("basis", "degree 9"),
        ("class_names", "3"),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(random_maps: MapFile, name: str, value: Any) -> None:
    with h5py.File(random_maps.path, "r+") as file:
        if name == "basis" and value == "degree 9":
            value = random_maps.basis.to_json().replace('"degree": 8', '"degree": 9')
        if name in ("basis", "class_names"):
            file.attrs[name] = value
        else:
            del file[name]
            file[name] = value
    with pytest.raises(UserError):
        open_maps(random_maps.path)


def test_a_value_that_is_not_finite_is_refused_anywhere(random_maps: MapFile) -> None:
    with h5py.File(random_maps.path, "r+") as file:
        file["maps"][60, 0, 0, 0] = np.nan
        forget_checksums(file)
    assert np.isfinite(open_maps(random_maps.path).read(np.arange(10))).all()
    with pytest.raises(UserError, match="not finite"):
        open_maps(random_maps.path).read()


def test_class_names_that_no_reader_would_take_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    classes = [f"{number:07d}" + "x" * 493 for number in range(9000)]
    with pytest.raises(UserError, match="the names of the classes are too long: got 9000 classes"):
        MapWriter(tmp_path / "a.h5", BASIS, source="s", source_digest="0", classes=classes, count=1, created_by="test")
    assert not (tmp_path / "a.h5").exists()
