"""MNIST as idx files, packed and not."""

import gzip
from pathlib import Path

import numpy as np
import pytest
from source_layouts import check_source, write

from data_prep.sources.catalogue import open_source
from spectral_ssl.ground.errors import UserError


def _packed(data: bytes) -> bytes:
    """Compress without the time, which would be part of the names of parametrised tests."""
    return gzip.compress(data, mtime=0)


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
        write(folder / (f"{name}.gz" if packed else name), _packed(_idx(array)) if packed else _idx(array))
    return arrays


@pytest.mark.parametrize(("folder_name", "packed"), [("", True), ("", False), ("MNIST/raw", True)])
def test_mnist(tmp_path: Path, folder_name: str, packed: bool) -> None:
    arrays = _mnist(tmp_path / folder_name, packed=packed)
    source = open_source("mnist", tmp_path)
    check_source(source)
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


def test_mnist_shorter_than_its_header(tmp_path: Path) -> None:
    _mnist(tmp_path, packed=False)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(b"\0\0\x08")
    with pytest.raises(UserError, match="not an idx file"):
        open_source("mnist", tmp_path)
