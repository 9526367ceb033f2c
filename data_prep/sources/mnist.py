"""MNIST and data sets in its format: four idx files, gzipped or not."""

import gzip
import zlib
from functools import lru_cache, partial
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from data_prep.source import ArrayRow, Item, Source, Split
from spectral_ssl.ground.errors import UserError

WHERE = (
    "get train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz and "
    "t10k-labels-idx1-ubyte.gz from http://yann.lecun.com/exdb/mnist or a mirror, and give --root their folder"
)
HELP = """mnist: 28x28 grey images of handwritten digits, 60000 train and 10000 test.

Where from: http://yann.lecun.com/exdb/mnist or any mirror. Terms: Y. LeCun, C. Cortes and C. Burges; often given as
CC BY-SA 3.0. Cite Y. LeCun et al., "Gradient-based learning applied to document recognition", 1998.
Layout: train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte, each with or
without .gz, also written with a dot (train-images.idx3-ubyte); in --root, or in MNIST/raw or raw inside it.
Replacement data sets of the same file names and sizes are accepted too; their classes are also called 0 to 9.
"""
CLASSES = tuple("0123456789")
FILES: dict[Split, tuple[str, str]] = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
OFFICIAL_COUNTS: dict[Split, int] = {"train": 60000, "test": 10000}
IMAGE_MAGIC, LABEL_MAGIC = 2051, 2049
SIDE = 28
MOST_ROWS = 500_000  # This number of images takes 392 MB.


def open_source(root: Path) -> Source:
    """List the images of MNIST under ``root``.

    Raises
    ------
    UserError
        When a file is missing, or its content does not match its name.
    """
    folder = next((root / sub for sub in ("", "MNIST/raw", "raw") if _find_file(root / sub, FILES["train"][0])), None)
    if folder is None:
        raise UserError("no mnist in this folder", f"{root} has no {FILES['train'][0]} (.gz or not)", WHERE)
    items: list[Item] = []
    digest = sha256()
    notes = []
    for split, names in FILES.items():
        images, labels = (_find_file(folder, name) for name in names)
        if images is None or labels is None:
            raise UserError(f"mnist without its {split} files", f"no {' or no '.join(names)} in {folder}", WHERE)
        classes = _read_labels(labels)
        count = _count_images(images)
        if count != len(classes):
            raise UserError(
                "mnist files that do not fit",
                f"{count} images, {len(classes)} labels ({split})",
                "get both files again",
            )
        for path in (images, labels):
            digest.update(f"{path.name} {path.stat().st_size}\n".encode())
        read = partial(_read_images, images)
        items.extend(
            Item(f"{split}/{row:05d}", label, split, ArrayRow(read, row)) for row, label in enumerate(classes.tolist())
        )
        notes.append(f"{split} {count} of {OFFICIAL_COUNTS[split]}")
    return Source(
        name="mnist",
        kind="images",
        classes=CLASSES,
        items=tuple(items),
        digest=digest.hexdigest(),
        note=f"idx files: {', '.join(notes)}",
    )


def _find_file(folder: Path, name: str) -> Path | None:
    """Find the file of this name, with or without .gz, with a hyphen or a dot before idx."""
    for stem in (name, name.replace("-idx", ".idx")):
        for suffix in ("", ".gz"):
            path = folder / (stem + suffix)
            if path.is_file():
                return path
    return None


def _read(path: Path, magic: int, header_words: int, most: int | None = None) -> tuple[tuple[int, ...], bytes]:
    """Read the header words after the magic number, and the following bytes (``most``, or as many as announced)."""
    try:
        with _open(path) as stream:
            head = stream.read(4 * header_words)
            header = [int.from_bytes(head[start : start + 4], "big") for start in range(0, len(head), 4)]
            if len(head) != 4 * header_words or header[0] != magic:
                raise UserError(
                    f"not an idx file with magic number {magic}",
                    f"{header[0] if header else 'nothing'} in {path}",
                    "get the file again",
                )
            sizes = tuple(header[1:])
            if sizes[0] > MOST_ROWS or sizes[1:] not in ((), (SIDE, SIDE)):
                raise UserError(
                    f"not images of {SIDE}x{SIDE} or their labels", f"{sizes} in {path}", "get the file again"
                )
            announced = int(np.prod(sizes))
            body = stream.read(announced if most is None else most)
            if most is None and (len(body) != announced or stream.read(1)):
                raise UserError("an idx file of the wrong length", f"{path} announces {sizes}", "get the file again")
    except (OSError, EOFError, zlib.error) as error:
        raise UserError("unreadable idx file", f"{path} ({error})", "get the file again") from error
    return sizes, body


def _open(path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb"))


def _read_labels(path: Path) -> NDArray[np.uint8]:
    """Read all labels (N,)."""
    labels = np.frombuffer(_read(path, LABEL_MAGIC, 2)[1], np.uint8)
    if len(labels) == 0 or labels.max() >= len(CLASSES):
        raise UserError(
            "labels out of range", f"{labels.max(initial=0)} in {path}", "they should be 0 to 9: get it again"
        )
    return labels


def _count_images(path: Path) -> int:
    return _read(path, IMAGE_MAGIC, 4, most=0)[0][0]


@lru_cache(maxsize=2)
def _read_images(path: Path) -> NDArray[np.uint8]:
    """Read all images (N, 1, 28, 28), once per process."""
    sizes, body = _read(path, IMAGE_MAGIC, 4)
    return np.frombuffer(body, np.uint8).reshape(sizes[0], 1, SIDE, SIDE)
