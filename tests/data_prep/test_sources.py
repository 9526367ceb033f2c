"""Sources: every layout is built small, with the genuine names and headers, in a temporary folder."""

import gzip
import json
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image as Pillow

from data_prep.source import Shape, Source
from data_prep.sources.catalogue import SOURCES, build_help_text, open_source
from data_prep.sources.modelnet import CLASSES_10, CLASSES_40
from data_prep.sources.shapenet import SYNSETS
from spectral_ssl.ground.errors import ObjectError, UserError

OFF = "OFF\n4 4 0\n0 0 0\n1 0 0\n0 1 0\n0 0 1\n3 0 2 1\n3 0 1 3\n3 1 2 3\n3 2 0 3\n"
OBJ = "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 3 2\nf 1 2 4\nf 2 3 4\nf 3 1 4\n"


def _packed(data: bytes) -> bytes:
    """Compress without the time, which would be part of the names of parametrised tests."""
    return gzip.compress(data, mtime=0)


def _write(path: Path, content: str | bytes = OFF) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def _check(source: Source) -> None:
    """Check unique ids, labels in range, and items that load and can be sent to another process."""
    assert len({item.id for item in source.items}) == len(source.items)
    assert all(-1 <= item.label < max(len(source.classes), 1) for item in source.items)
    assert len(source.digest) == 64
    assert source.note
    item = pickle.loads(pickle.dumps(source.items[0]))
    loaded = item.load()
    if source.kind == "shapes":
        assert isinstance(loaded, Shape)
        assert loaded.points.dtype == np.float64
    else:
        assert isinstance(loaded, np.ndarray)
        assert loaded.dtype == np.uint8
        assert loaded.ndim == 3


# ModelNet


def _off_tree(root: Path, classes: tuple[str, ...] = CLASSES_10) -> None:
    for class_name in classes:
        _write(root / class_name / "train" / f"{class_name}_0001.off")
        _write(root / class_name / "train" / f"{class_name}_0002.OFF")
        _write(root / class_name / "test" / f"{class_name}_0003.off")
        _write(root / class_name / "test" / f"._{class_name}_0003.off", b"\0\5\x16")
    _write(root / "README.txt", "words")
    _write(root / ".DS_Store", b"\0")
    _write(root.parent / "__MACOSX" / root.name / "bed" / "train" / "._bed_0001.off", b"\0\5\x16")


@pytest.mark.parametrize("sub_folder", ["ModelNet10", "."])
def test_modelnet_meshes(tmp_path: Path, sub_folder: str) -> None:
    _off_tree(tmp_path / "ModelNet10")
    source = open_source("modelnet10", tmp_path / sub_folder)
    _check(source)
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
            _write(folder / f"ply_data_{split}_0_id2file.json", json.dumps(ids))
        _write(folder / f"{split}_files.txt", f"data/{folder.name}/ply_data_{split}0.h5\n")
    _write(folder / "shape_names.txt", "\n".join(names))
    return data


def test_modelnet_clouds(tmp_path: Path) -> None:
    names = CLASSES_10[::-1]  # The order of labels in the files differs from ours.
    data = _clouds(tmp_path / "modelnet10_ply_hdf5_2048", names)
    source = open_source("modelnet10", tmp_path)
    _check(source)
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
        (lambda folder: (folder / "ply_data_test0.h5").write_bytes(b"\x89HDF"), "damaged HDF5 file"),
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
    _write(tmp_path / "set" / "test_files.txt", "../ply_data_test0.h5\n")
    with pytest.raises(UserError, match="do not exist"):
        open_source("modelnet10", tmp_path / "set")


def _text_clouds(folder: Path, name: str, classes: tuple[str, ...]) -> None:
    """Write one file per class and split as in modelnet40_normal_resampled, with six numbers per line."""
    generator = np.random.default_rng(0)
    for split, number in (("train", 1), ("test", 2)):
        ids = [f"{class_name}_{number:04d}" for class_name in classes]
        # the genuine lists end with and without a line end
        _write(folder / f"{name}_{split}.txt", "\n".join(ids) + ("\n" if split == "test" else ""))
        for entry in ids:
            rows = generator.normal(size=(50, 6))
            text = "".join(",".join(f"{value:.6f}" for value in row) + "\n" for row in rows)
            _write(folder / entry.rpartition("_")[0] / f"{entry}.txt", text)
    _write(folder / f"{name}_shape_names.txt", "\n".join(classes) + "\n")


def test_modelnet_text_clouds(tmp_path: Path) -> None:
    folder = tmp_path / "modelnet40_normal_resampled"
    _text_clouds(folder, "modelnet40", CLASSES_40)
    _text_clouds(folder, "modelnet10", CLASSES_10)
    (folder / "bed" / "bed_0002.txt").unlink()
    source = open_source("modelnet40", tmp_path)
    _check(source)
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
        _write(tmp_path / "modelnet10_train.txt", f"bed_0001\n{entry}\n")
        with pytest.raises(UserError, match="not an object of modelnet10"):
            open_source("modelnet10", tmp_path)
    _write(tmp_path / "modelnet10_train.txt", "bed_0001")
    _write(tmp_path / "modelnet10_shape_names.txt", "bed\nsofa\n")
    with pytest.raises(UserError, match="not the classes of modelnet10"):
        open_source("modelnet10", tmp_path)
    (tmp_path / "modelnet10_shape_names.txt").unlink()
    (tmp_path / "modelnet10_test.txt").unlink()
    with pytest.raises(UserError, match="no such list"):
        open_source("modelnet10", tmp_path)


# ShapeNet


@pytest.mark.parametrize("file", ["model.obj", "models/model_normalized.obj"])
def test_shapenet(tmp_path: Path, file: str) -> None:
    for synset, model in (("02691156", "a"), ("02691156", "b"), ("04379243", "a"), ("04379243", "c")):
        _write(tmp_path / synset / model / file, OBJ)
    (tmp_path / "02691156" / "empty").mkdir()
    source = open_source("shapenet", tmp_path)
    _check(source)
    assert source.up == "+y"
    assert len(source.classes) == 57
    assert [(item.id, source.classes[item.label], item.split) for item in source.items] == [
        ("02691156/a", "airplane", "train"),
        ("02691156/b", "airplane", "train"),
        ("04379243/a", "table", "train"),
        ("04379243/c", "table", "train"),
    ]
    assert source.missing == (("02691156/empty", "no model file"),)

    rows = ["000,02691156,02691156,a,train", "001,02691156,,b,test", "002,2691156,,gone,val", "003,04379243,,a,val"]
    _write(tmp_path / "all.csv", "\n".join(["id,synsetId,subSynsetId,modelId,split", *rows, "004,03001627,,x,train"]))
    source = open_source("shapenet", tmp_path)
    assert [(item.id, item.split) for item in source.items] == [
        ("02691156/a", "train"),
        ("02691156/b", "test"),
        ("04379243/a", "val"),
    ]
    # chairs (03001627) are listed too, but there is no folder of them at all
    assert dict(source.missing) == {
        "02691156/empty": "no model file",
        "02691156/gone": "no model file",
        "04379243/c": "not in all.csv",
    }


def test_shapenet_bad_tables_and_empty_folders(tmp_path: Path) -> None:
    _write(tmp_path / "02691156" / "a" / "model.obj", OBJ)
    _write(tmp_path / "all.csv", "a,b\n1,2\n")
    with pytest.raises(UserError, match="not the official split table"):
        open_source("shapenet", tmp_path)
    _write(tmp_path / "all.csv", "id,synsetId,subSynsetId,modelId,split\n0,02691156,,a,both\n")
    with pytest.raises(UserError, match="unknown split"):
        open_source("shapenet", tmp_path)
    (tmp_path / "all.csv").unlink()
    (tmp_path / "03001627").mkdir()
    with pytest.raises(UserError, match="empty synset folder 03001627"):
        open_source("shapenet", tmp_path)
    assert len(set(SYNSETS.values())) == len(SYNSETS) == 57
    assert list(SYNSETS) == sorted(SYNSETS)


# digits and the built-in shapes


def test_digits() -> None:
    source = open_source("digits")
    _check(source)
    assert len(source.items) == 1797
    tests = [item for item in source.items if item.split == "test"]
    assert len(tests) == 355
    share = np.bincount([item.label for item in tests]) / np.bincount([item.label for item in source.items])
    assert (abs(share - 0.2) < 0.01).all()
    # The split must never change.
    assert [item.id for item in tests[:5]] == [item.id for item in open_source("digits").items if item.split == "test"][
        :5
    ]
    image = source.items[0].load()
    assert isinstance(image, np.ndarray)
    assert image.shape == (1, 8, 8)
    assert max(int(item.load().max()) for item in source.items[:50]) == 255


def test_shapes() -> None:
    source = open_source("shapes")
    _check(source)
    assert len(source.classes) == 12
    assert {split: sum(item.split == split for item in source.items) for split in ("train", "test")} == {
        "train": 480,
        "test": 240,
    }
    chairs = [item for item in source.items if source.classes[item.label] == "chair"]
    one, again, other = chairs[0].load(), chairs[0].load(), chairs[1].load()
    assert isinstance(one, Shape)
    np.testing.assert_array_equal(one.points, again.points)
    assert one.points.shape != other.points.shape or (one.points != other.points).any()
    for label in range(12):
        loaded = next(item for item in source.items if item.label == label).load()
        assert isinstance(loaded, Shape)
        assert loaded.faces is not None
        assert 500 < len(loaded.faces) < 20_000
        assert np.isfinite(loaded.points).all()


# MNIST


def _idx(array: np.ndarray) -> bytes:
    head = np.array([0x800 + array.ndim, *array.shape], ">u4")  # 0x08 says unsigned bytes
    return head.tobytes() + array.tobytes()


def _mnist(folder: Path, *, packed: bool = True) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    arrays = {}
    for prefix, count in (("train", 30), ("t10k", 12)):
        arrays[f"{prefix}-images-idx3-ubyte"] = generator.integers(0, 256, (count, 28, 28), np.uint8)
        arrays[f"{prefix}-labels-idx1-ubyte"] = generator.integers(0, 10, count, np.uint8)
    for name, array in arrays.items():
        _write(folder / (f"{name}.gz" if packed else name), _packed(_idx(array)) if packed else _idx(array))
    return arrays


@pytest.mark.parametrize(("folder_name", "packed"), [("", True), ("", False), ("MNIST/raw", True)])
def test_mnist(tmp_path: Path, folder_name: str, packed: bool) -> None:
    arrays = _mnist(tmp_path / folder_name, packed=packed)
    source = open_source("mnist", tmp_path)
    _check(source)
    assert source.note == "idx files: train 30 of 60000, test 12 of 10000"
    np.testing.assert_array_equal([item.label for item in source.items[:30]], arrays["train-labels-idx1-ubyte"])
    np.testing.assert_array_equal(source.items[35].load(), arrays["t10k-images-idx3-ubyte"][5][None])
    assert source.items[35].id == "test/00005"


def test_mnist_names_with_a_dot(tmp_path: Path) -> None:
    _mnist(tmp_path, packed=False)
    for path in list(tmp_path.iterdir()):
        path.rename(path.with_name(path.name.replace("-idx", ".idx")))
    assert len(open_source("mnist", tmp_path).items) == 42


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("t10k-labels-idx1-ubyte.gz", None, "without its test files"),
        ("train-labels-idx1-ubyte.gz", _packed(_idx(np.zeros((3, 28, 28), np.uint8))), "magic number 2049"),
        ("train-labels-idx1-ubyte.gz", _packed(_idx(np.zeros(29, np.uint8))), "30 images, 29 labels"),
        ("train-labels-idx1-ubyte.gz", _packed(_idx(np.full(30, 10, np.uint8))), "labels out of range"),
        ("train-labels-idx1-ubyte.gz", _packed(_idx(np.zeros(30, np.uint8)) + b"x"), "wrong length"),
        ("train-labels-idx1-ubyte.gz", _packed(_idx(np.zeros(30, np.uint8)))[:-9], "unreadable idx file"),
        ("train-labels-idx1-ubyte.gz", b"not gzip", "unreadable idx file"),
        ("train-images-idx3-ubyte.gz", _packed(_idx(np.zeros((30, 32, 32), np.uint8))), "not images of 28x28"),
        (
            "train-images-idx3-ubyte.gz",
            _packed(b"\0\0\x08\x03\xff\xff\xff\xff\0\0\0\x1c\0\0\0\x1c"),
            "not images",
        ),
    ],
)
def test_mnist_damaged(tmp_path: Path, name: str, content: bytes | None, reason: str) -> None:
    _mnist(tmp_path)
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=reason):
        open_source("mnist", tmp_path)


def test_mnist_truncated_images_fail_when_read(tmp_path: Path) -> None:
    _mnist(tmp_path, packed=False)
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match="wrong length"):
        open_source("mnist", tmp_path).items[0].load()


# CIFAR-10

CIFAR = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CIFAR_FILES = (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch")


def test_cifar10_tree(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    images = {}
    for split in ("train", "test"):
        for class_name in CIFAR:
            folder_name = tmp_path / "cifar10_images" / split / class_name
            folder_name.mkdir(parents=True)
            images[split, class_name] = generator.integers(0, 256, (32, 32, 3), np.uint8)
            Pillow.fromarray(images[split, class_name]).save(folder_name / "0000.png")
    _write(tmp_path / "cifar10_images" / "README.md", "words")
    source = open_source("cifar10", tmp_path)
    _check(source)
    assert source.classes == CIFAR
    assert source.note == "image tree (.png): train 10 of 50000, test 10 of 10000"
    np.testing.assert_array_equal(source.items[12].load(), images["test", "bird"].transpose(2, 0, 1))
    (tmp_path / "cifar10_images" / "test" / "cat" / "0000.png").unlink()
    with pytest.raises(UserError, match="no images of class 'cat'"):
        open_source("cifar10", tmp_path)


class _PythonTwoArray:
    """Pickle as an array did in Python 2 with the numpy of that time."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def __reduce__(self) -> object:
        function, arguments, state = self.array.__reduce__()
        return function, arguments, state


def _cifar_batches(folder: Path, kind: str) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (6, 4, 3072), np.uint8)
    labels = generator.integers(0, 10, (6, 4), np.uint8)
    for name, images, classes in zip(CIFAR_FILES, pixels, labels, strict=True):
        if kind == ".bin":
            _write(folder / f"{name}.bin", np.hstack([classes[:, None], images]).tobytes())
            continue
        content = {b"data": _PythonTwoArray(images), b"labels": classes.tolist(), b"batch_label": b"x"}
        pickled = pickle.dumps(content, protocol=2)
        _write(folder / name, pickled.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    return pixels, labels


@pytest.mark.parametrize(("kind", "folder"), [(".bin", "cifar-10-batches-bin"), ("", "cifar-10-batches-py"), ("", ".")])
def test_cifar10_batches(tmp_path: Path, kind: str, folder: str) -> None:
    pixels, labels = _cifar_batches(tmp_path / folder, kind)
    source = open_source("cifar10", tmp_path)
    _check(source)
    assert "train 20 of 50000, test 4 of 10000" in source.note
    np.testing.assert_array_equal([item.label for item in source.items], labels.ravel())
    assert source.items[21].split == "test"
    np.testing.assert_array_equal(source.items[21].load(), pixels[5, 1].reshape(3, 32, 32))


class _Hostile:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> object:
        return Path.touch, (self.path,)


def test_cifar10_batches_run_no_code(tmp_path: Path) -> None:
    _cifar_batches(tmp_path, "")
    (tmp_path / "data_batch_3").write_bytes(pickle.dumps({b"data": _Hostile(tmp_path / "touched"), b"labels": [1]}))
    with pytest.raises(UserError, match="is not allowed in a batch"):
        open_source("cifar10", tmp_path)
    assert not (tmp_path / "touched").exists()


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("data_batch_2", pickle.dumps({b"data": np.zeros((4, 3071), np.uint8), b"labels": [0] * 4}), "not a batch"),
        ("data_batch_2", pickle.dumps({b"data": np.zeros((4, 3072)), b"labels": [0] * 4}), "not a batch"),
        ("data_batch_2", pickle.dumps({b"data": np.zeros((4, 3072), np.uint8), b"labels": [0] * 3}), "not a batch"),
        ("data_batch_2", pickle.dumps({b"data": np.zeros((4, 3072), np.uint8), b"labels": [11] * 4}), "out of range"),
        ("data_batch_2", pickle.dumps([1, 2]), "not a batch"),
        ("data_batch_2", b"nonsense", "not a batch"),
    ],
)
def test_cifar10_damaged_batches(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    _cifar_batches(tmp_path, "")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=reason):
        open_source("cifar10", tmp_path)


def test_cifar10_truncated_or_missing_batches(tmp_path: Path) -> None:
    _cifar_batches(tmp_path, ".bin")
    path = tmp_path / "data_batch_4.bin"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match="truncated"):
        open_source("cifar10", tmp_path)
    path.unlink()
    with pytest.raises(UserError, match=r"without data_batch_4\.bin"):
        open_source("cifar10", tmp_path)


# the catalogue


def test_unknown_and_missing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'modelnet10'"):
        open_source("modelnt10", tmp_path)
    for name, entry in SOURCES.items():
        if entry.needs_root:
            for root in (None, tmp_path / "nowhere"):
                with pytest.raises(UserError, match="no raw data for"):
                    open_source(name, root)
            with pytest.raises(UserError) as error:
                open_source(name, tmp_path)
            assert str(error.value).count("\n") == 0
    with pytest.raises(UserError, match="no raw data"):
        open_source(f"folder:{tmp_path / 'nowhere'}")


def test_every_entry_states_its_origin() -> None:
    for entry in SOURCES.values():
        assert entry.where
        assert "\n" not in entry.where
        assert len(entry.help) > len(entry.where)
        assert len(entry.description) < 90


def test_help_of_every_source() -> None:
    for name, entry in SOURCES.items():
        text = build_help_text(f"{name}:x" if entry.after_colon else name)
        assert entry.help.strip() in text
        assert (entry.where in text) == entry.needs_root
    assert "--dataset modelnet10 --download" in build_help_text("modelnet10")
    assert "--download" not in build_help_text("shapenet")
    with pytest.raises(UserError, match="did you mean 'mnist'"):
        build_help_text("mnst")


def test_the_list_is_there_at_once() -> None:
    heavy = "trimesh sklearn torch h5py PIL joblib numba"
    code = f"import sys, data_prep.sources; print([name for name in '{heavy}'.split() if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_digest_follows_the_files(tmp_path: Path) -> None:
    _off_tree(tmp_path)
    before = open_source("modelnet10", tmp_path).digest
    assert open_source("modelnet10", tmp_path).digest == before
    _write(tmp_path / "bed" / "test" / "bed_0009.off")
    assert open_source("modelnet10", tmp_path).digest != before


def test_mnist_shorter_than_its_header(tmp_path: Path) -> None:
    _mnist(tmp_path, packed=False)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(b"\0\0\x08")
    with pytest.raises(UserError, match="not an idx file"):
        open_source("mnist", tmp_path)


def test_npz_of_a_damaged_stream(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", points=np.arange(300.0).reshape(100, 3))
    data = bytearray((tmp_path / "a.npz").read_bytes())
    data[60:120] = bytes(60)
    (tmp_path / "a.npz").write_bytes(data)
    with pytest.raises(ObjectError, match=r"not a readable \.npz"):
        open_source(f"folder:{tmp_path}").items[0].load()
