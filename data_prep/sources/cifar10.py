"""CIFAR-10: a tree of image files, the official Python batches, or the official binary batches."""

import io
import pickle  # nosec B403  # for an Unpickler that finds no class but those of ADMITTED
from collections import Counter
from collections.abc import Callable
from functools import lru_cache, partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.readers.image import ImageLoader
from data_prep.readers.images.opening import IMAGE_SUFFIXES
from data_prep.source import ArrayRow, Item, Source, Split
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.pickles import check_pickle

WHERE = (
    "get cifar-10-python.tar.gz or cifar-10-binary.tar.gz from https://www.cs.toronto.edu/~kriz/cifar.html, unpack it, "
    "and give --root the folder (or a tree train/CLASS/*.png, test/CLASS/*.png)"
)
HELP = """cifar10: 32x32 colour photographs in 10 classes, 50000 train and 10000 test.

Where from: https://www.cs.toronto.edu/~kriz/cifar.html. Terms: none stated; cite A. Krizhevsky, "Learning Multiple
Layers of Features from Tiny Images", 2009.
Layouts, in --root itself or in a folder of the archive's own name inside it:
  data_batch_1 .. data_batch_5, test_batch            the Python batches; no code in them is executed
  data_batch_1.bin .. data_batch_5.bin, test_batch.bin
  {train,test}/CLASS/*.png (or .jpg)                  JPEG copies have other pixels: state it with your results
"""
# fmt: off
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
# fmt: on
OFFICIAL_COUNTS: dict[Split, int] = {"train": 50000, "test": 10000}
FOLDERS = ("", "cifar-10-batches-py", "cifar-10-batches-bin", "cifar10_images", "cifar10", "CIFAR-10-images")
BATCHES: tuple[tuple[str, Split], ...] = (
    *((f"data_batch_{number}", "train") for number in range(1, 6)),
    ("test_batch", "test"),
)
PIXELS = 3 * 32 * 32
LARGEST_BATCH = 64 << 20  # bytes; the official ones have 31 MB


def open_source(root: Path) -> Source:
    """List the images of CIFAR-10 under ``root``.

    Raises
    ------
    UserError
        When the data set is not there, incomplete or damaged.
    """
    for folder in (root / name for name in FOLDERS):
        if (folder / "train").is_dir() and any((folder / "train" / name).is_dir() for name in CLASSES):
            return _open_tree(folder)
        for ending, read in (("", _read_python_batch), (".bin", _read_binary_batch)):
            if (folder / f"data_batch_1{ending}").is_file():
                return _open_batches(folder, ending, read)
    raise UserError("no cifar10 in this folder", f"{root} has neither batches nor train/airplane/", WHERE)


def _build_source(layout: str, items: list[Item], digest: str) -> Source:
    present = Counter(item.split for item in items)
    counts = ", ".join(f"{split} {present[split]} of {count}" for split, count in OFFICIAL_COUNTS.items())
    return Source(
        name="cifar10",
        kind="images",
        classes=CLASSES,
        items=tuple(items),
        digest=digest,
        note=f"{layout}: {counts}",
    )


def _open_tree(folder: Path) -> Source:
    items: list[Item] = []
    digest = sha256()
    endings: Counter[str] = Counter()
    for split in OFFICIAL_COUNTS:
        for label, class_name in enumerate(CLASSES):
            class_folder = folder / split / class_name
            paths = sorted(path for path in class_folder.glob("[!.]*") if path.suffix.lower() in IMAGE_SUFFIXES)
            if not paths:
                advice = "unpack the archive again"
                raise UserError(f"no images of class {class_name!r} ({split})", str(class_folder), advice)
            for path in paths:
                # The suffix is part of the id, because 0001.png and 0001.jpg may both exist.
                items.append(Item(f"{split}/{class_name}/{path.name}", label, split, ImageLoader(path)))
                digest.update(f"{split}/{class_name}/{path.name} {path.stat().st_size}\n".encode(errors="replace"))
                endings[path.suffix.lower()] += 1
    return _build_source(f"image tree ({', '.join(sorted(endings))})", items, digest.hexdigest())


Reader = Callable[[Path], tuple[NDArray[np.uint8], NDArray[np.uint8]]]


def _open_batches(folder: Path, ending: str, read: Reader) -> Source:
    items: list[Item] = []
    digest = sha256()
    for name, split in BATCHES:
        path = folder / f"{name}{ending}"
        if not path.is_file():
            raise UserError(f"cifar10 without {path.name}", str(folder), "unpack the archive again")
        if path.stat().st_size > LARGEST_BATCH:
            raise UserError("not a batch of cifar10", f"{path.stat().st_size} bytes in {path}", "get the archive again")
        labels = read(path)[1]
        if len(labels) == 0 or labels.max() >= len(CLASSES):
            raise UserError("labels out of range", f"{labels.max(initial=0)} in {path}", "get the archive again")
        images = partial(_read_batch, read, path)
        items.extend(
            Item(f"{name}/{row:05d}", label, split, ArrayRow(images, row)) for row, label in enumerate(labels.tolist())
        )
        digest.update(f"{path.name} {path.stat().st_size}\n".encode(errors="replace"))
    return _build_source("binary batches" if ending else "Python batches", items, digest.hexdigest())


@lru_cache(maxsize=2)
def _read_batch(read: Reader, path: Path) -> NDArray[np.uint8]:
    """Read the images (N, 3, 32, 32) of a batch, once per process."""
    return read(path)[0].reshape(-1, 3, 32, 32)


def _read_binary_batch(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Read pixels (N, 3072) and labels (N,) from rows of one label byte and 3072 pixel bytes."""
    data = np.frombuffer(path.read_bytes(), np.uint8)
    if data.size % (PIXELS + 1):
        raise UserError("a truncated batch", f"{data.size} bytes in {path}", "get the archive again")
    rows = data.reshape(-1, PIXELS + 1)
    return rows[:, 1:], rows[:, 0]


class _Plain:
    """A replacement for every class that a batch names. It stores the file's values, and no code of the file runs."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments = arguments
        self.state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state


def _encode(text: str, encoding: str) -> bytes:
    """Decode bytes as Python 3 pickles them for Python 2."""
    return text.encode("latin1") if encoding == "latin1" else b""


# The names that a batch may use. The code below builds the array and its type from their parts,
# without numpy's own functions.
ADMITTED: dict[tuple[str, str], Callable[..., Any]] = {
    ("numpy.core.multiarray", "_reconstruct"): _Plain,
    ("numpy._core.multiarray", "_reconstruct"): _Plain,
    ("numpy", "ndarray"): _Plain,
    ("numpy", "dtype"): _Plain,
    ("_codecs", "encode"): _encode,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return ADMITTED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name} is not allowed in a batch of images") from None


def _read_python_batch(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Read pixels (N, 3072) and labels (N,) from a pickled dictionary."""
    try:
        data = path.read_bytes()
        check_pickle(io.BytesIO(data), len(data))
        content = _Unpickler(io.BytesIO(data), encoding="bytes").load()
        values = {key.decode() if isinstance(key, bytes) else key: value for key, value in content.items()}
        # The state of an array is (version, shape, type, column-major, bytes).
        _, shape, kind, column_major, pixels = values["data"].state
        if isinstance(pixels, str):
            pixels = pixels.encode("latin1")
        if kind.arguments[0] not in (b"u1", "u1") or column_major or len(shape) != 2 or shape[1] != PIXELS:
            raise ValueError(f"an array of shape {shape}")
        images = np.frombuffer(pixels, np.uint8).reshape(shape)
        labels = np.array(values["labels"], np.uint8)
        if labels.shape != (len(images),):
            raise ValueError(f"{len(images)} images and labels of shape {labels.shape}")
    except Exception as error:  # A damaged or malicious pickle can raise any type.
        raise UserError("not a batch of cifar10", f"{path} ({error})", "get the archive again") from error
    return images, labels
