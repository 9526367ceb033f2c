"""CIFAR-10 as a tree of images, as binary batches and as pickled batches."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from source_layouts import Hostile, check_source, write

from data_prep.sources.catalogue import open_source
from spectral_ssl.ground.errors import UserError

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
    write(tmp_path / "cifar10_images" / "README.md", "words")
    source = open_source("cifar10", tmp_path)
    check_source(source)
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
            write(folder / f"{name}.bin", np.hstack([classes[:, None], images]).tobytes())
            continue
        content = {b"data": _PythonTwoArray(images), b"labels": classes.tolist(), b"batch_label": b"x"}
        pickled = pickle.dumps(content, protocol=2)
        write(folder / name, pickled.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    return pixels, labels


@pytest.mark.parametrize(("kind", "folder"), [(".bin", "cifar-10-batches-bin"), ("", "cifar-10-batches-py"), ("", ".")])
def test_cifar10_batches(tmp_path: Path, kind: str, folder: str) -> None:
    pixels, labels = _cifar_batches(tmp_path / folder, kind)
    source = open_source("cifar10", tmp_path)
    check_source(source)
    assert "train 20 of 50000, test 4 of 10000" in source.note
    np.testing.assert_array_equal([item.label for item in source.items], labels.ravel())
    assert source.items[21].split == "test"
    np.testing.assert_array_equal(source.items[21].load(), pixels[5, 1].reshape(3, 32, 32))


def test_cifar10_batches_run_no_code(tmp_path: Path) -> None:
    _cifar_batches(tmp_path, "")
    (tmp_path / "data_batch_3").write_bytes(pickle.dumps({b"data": Hostile(tmp_path / "touched"), b"labels": [1]}))
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
