"""Shared by the tests of sources, which build every layout small, with the official names and headers."""

import pickle
from pathlib import Path

import numpy as np
from PIL import Image as Pillow

from data_prep.source import Shape, Source

OFF = "OFF\n4 4 0\n0 0 0\n1 0 0\n0 1 0\n0 0 1\n3 0 2 1\n3 0 1 3\n3 1 2 3\n3 2 0 3\n"


def write(path: Path, content: str | bytes = OFF) -> None:
    """Write a file and the folders that it lies in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def save_image(path: Path, pixels: np.ndarray) -> None:
    """Write an image and the folders that it lies in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Pillow.fromarray(pixels).save(path)


class Hostile:
    """Pickle as a call that makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> object:
        return Path.touch, (self.path,)


def check_source(source: Source) -> None:
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
