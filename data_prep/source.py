"""What every source gives: a list of items, each with an id, a label, a split and a way to load it.

A source is one file of this folder with a function ``open_source(root) -> Source`` and a string ``HELP`` (where the
data comes from, under what terms, which layouts are read); ``data_prep.sources.SOURCES`` lists them.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

# Axis that points up in a source's own files, before it is turned to +z.
Up = Literal["+x", "-x", "+y", "-y", "+z", "-z"]
Split = Literal["train", "val", "test"]


@dataclass(frozen=True)
class Shape:
    """One 3D object: a mesh, or a cloud where there are no faces.

    Attributes
    ----------
    points : ndarray, shape (N, 3), float64
        Vertices or cloud points, in the object's own units.
    faces : ndarray, shape (F, 3), int64, or None
        Corner indices of the triangles; None for a cloud.
    """

    points: NDArray[np.float64]
    faces: NDArray[np.int64] | None = None


# An image is (channels, height, width) uint8.
Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Item:
    """One object of a source.

    Attributes
    ----------
    id : str
        Unique and stable: it names the object in every file and seeds its sampling.
    label : int
        Index into the source's classes, -1 for none.
    split : {"train", "val", "test"}
        The official split, "train" where there is none.
    load : callable
        Takes nothing, gives a Shape or an Image; picklable, so that worker processes can call it.
        Raises ObjectError when this one object is unusable.
    """

    id: str
    label: int
    split: Split
    load: Callable[[], Shape | Image]


@dataclass(frozen=True)
class Source:
    """A data set that was found and listed; nothing of it has been loaded yet.

    Attributes
    ----------
    name : str
        The dataset's name on the command line.
    kind : {"shapes", "images"}
        What its items load.
    classes : tuple of str
        Class names in label order: a fixed list, never directory order.
    items : tuple of Item
        In a fixed order.
    up : str
        The files' own up axis (shapes only).
    digest : str
        SHA-256 over what identifies the source's content (names and sizes of files, or the generator's parameters).
    missing : tuple of (id, reason)
        Objects the source itself knows to be absent or unusable before loading, e.g. listed without a file.
    note : str
        One line for the user: the layout found, the count against the official one.
    paired : bool
        Whether each image is two pictures of one size, one after the other in its channels (images only).
    """

    name: str
    kind: Literal["shapes", "images"]
    classes: tuple[str, ...]
    items: tuple[Item, ...]
    up: Up = "+z"
    digest: str = ""
    missing: tuple[tuple[str, str], ...] = field(default=())
    note: str = ""
    paired: bool = False
