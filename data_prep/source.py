"""The contract of a source: a list of items, each with an id, a label, a split and a loader.

A source is one file of ``data_prep/sources`` with a function ``open_source(root) -> Source`` and
the strings ``WHERE`` and ``HELP`` (origin of the data, terms, layouts);
``data_prep.sources.catalogue.SOURCES`` lists all sources.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

# The axis that points up in a source's files, before objects are turned to +z.
Up = Literal["+x", "-x", "+y", "-y", "+z", "-z"]
# One axis for all files, or for each file the axis that its format specifies.
UpRule = Up | Literal["by-format"]
Split = Literal["train", "val", "test"]


@dataclass(frozen=True)
class Shape:
    """One 3D object: a mesh, or a cloud if it has no faces.

    Attributes
    ----------
    points : ndarray, shape (N, 3), float64
        Vertices or cloud points, in the units of the object's file.
    faces : ndarray, shape (F, 3), int64, or None
        Vertex indices of the triangles; None for a cloud.
    notes : tuple of str
        One line for each thing that the reader of the file did not take literally, such as rows
        that it left out.

    Examples
    --------
    >>> import numpy as np
    >>> from data_prep import Shape
    >>> corners = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    >>> square = Shape(corners, faces=np.array([[0, 1, 2], [0, 2, 3]]))

    >>> square.points.shape, square.faces.shape
    ((4, 3), (2, 3))
    >>> Shape(corners).faces is None  # a cloud
    True
    """

    points: NDArray[np.float64]
    faces: NDArray[np.int64] | None = None
    notes: tuple[str, ...] = ()


_collected: ContextVar[list[str] | None] = ContextVar("notes of the object that is being read", default=None)


def add_note(text: str) -> None:
    """Add a note about the object that is being read; without ``collect_notes`` around the call, do nothing.

    A note is for an object that is read, but not literally. An object that cannot be read is an
    ObjectError.

    Parameters
    ----------
    text : str
        One line, such as "3 of 600 rows are not finite: left out". Notes that differ only in their
        numbers are of one kind.
    """
    notes = _collected.get()
    if notes is not None and text not in notes:
        notes.append(text)


@contextmanager
def collect_notes() -> Iterator[list[str]]:
    """Collect the notes that readers add within the block.

    Yields
    ------
    list of str
        The notes so far, in order, each once. A block inside this block has a list of its own.

    Examples
    --------
    >>> from data_prep.source import add_note, collect_notes
    >>> with collect_notes() as notes:
    ...     add_note("3 of 600 rows are not finite: left out")
    >>> notes
    ['3 of 600 rows are not finite: left out']
    """
    notes: list[str] = []
    token = _collected.set(notes)
    try:
        yield notes
    finally:
        _collected.reset(token)


# An image has shape (channels, height, width) and dtype uint8.
Image = NDArray[np.uint8]


@dataclass(frozen=True)
class ArrayRow:
    """A loader of one image from an array of images of one shape, for ``Item.load``.

    Items that share ``read`` and ``finish`` are loaded together: a batch of them is one indexing of the array. So
    a source whose images lie in one array prepares them many times faster.

    Attributes
    ----------
    read : callable
        Function without arguments that returns all images, (N, C, H, W) uint8. It is picklable, and
        it reads the file once per process (``functools.lru_cache``). It raises UserError when the
        file is damaged.
    row : int
        The image's row in the array.
    finish : callable, optional
        Picklable function that changes a loaded image, such as its size. All images of an array
        must keep one shape.

    Examples
    --------
    >>> import numpy as np
    >>> from data_prep.source import ArrayRow
    >>> def read_images():
    ...     return np.zeros((5, 1, 28, 28), np.uint8)
    >>> ArrayRow(read_images, 3)().shape
    (1, 28, 28)
    """

    read: Callable[[], NDArray[np.uint8]]
    row: int
    finish: Callable[[Image], Image] | None = None

    def __call__(self) -> Image:
        """Load the image."""
        image = np.asarray(self.read()[self.row])
        return image if self.finish is None else self.finish(image)


@dataclass(frozen=True)
class CloudRow:
    """A loader of one computed cloud, for ``Item.load``.

    Items that share ``make`` are made together, many in one call. So a source whose clouds are
    computed prepares them in about the time of their transform.

    Attributes
    ----------
    make : callable
        Picklable function of indices (B,) int64, a seed and a number of points that returns clouds
        (B, points, 3) float32 as ``data_prep.move_to_unit_ball`` moves them, with +z up. A cloud
        must not depend on the other indices.
    row : int
        The index of the cloud.

    Examples
    --------
    >>> import numpy as np
    >>> from data_prep import move_to_unit_ball
    >>> from data_prep.source import CloudRow
    >>> def make_clouds(indices, seed, points):
    ...     generators = [np.random.default_rng([seed, index]) for index in indices]
    ...     return np.stack([move_to_unit_ball(each.normal(size=(points, 3))) for each in generators])
    >>> CloudRow(make_clouds, 3)().points.shape
    (2048, 3)
    """

    make: Callable[[NDArray[np.int64], int, int], NDArray[np.float32]]
    row: int

    def __call__(self) -> Shape:
        """Make the cloud of 2048 points with seed 0."""
        return Shape(self.make(np.array([self.row]), 0, 2048)[0].astype(np.float64))


@dataclass(frozen=True)
class Item:
    """One object of a source.

    Attributes
    ----------
    id : str
        A unique and stable name. It identifies the object in every file and seeds its sampling.
    label : int
        Index into the source's classes; -1 for an object without a class.
    split : {"train", "val", "test"}
        The official split; "train" if there is none.
    load : callable
        Function without arguments that returns a Shape or an Image. It is picklable, so that worker
        processes can call it. It raises ObjectError when this object is unusable, and calls
        ``add_note`` when it does not take the object's file literally.

    up : str or None
        The axis that points up by the specification of the file's format; None if the format leaves
        it open (shapes only).

    Examples
    --------
    >>> import numpy as np
    >>> from data_prep import Item, Shape
    >>> def load_cloud():
    ...     return Shape(np.random.default_rng(0).normal(size=(500, 3)))
    >>> item = Item(id="cloud-0", label=0, split="train", load=load_cloud)
    >>> item.load().points.shape
    (500, 3)
    """

    id: str
    label: int
    split: Split
    load: Callable[[], Shape | Image]
    up: Up | None = None


@dataclass(frozen=True)
class Source:
    """A data set whose objects are listed and not loaded.

    Attributes
    ----------
    name : str
        The dataset's name on the command line.
    kind : {"shapes", "images"}
        The type of object that its items load.
    classes : tuple of str
        Class names in label order: a fixed list, never directory order.
    items : tuple of Item
        The objects, in a fixed order.
    up : str
        The axis that points up in the files (shapes only).
    digest : str
        SHA-256 of what identifies the source's content: names and sizes of files, or the
        generator's parameters.
    missing : tuple of (id, reason)
        Objects that are known to be absent or unusable before loading, for example listed without a
        file.
    note : str
        One line for the user: the layout, and the number of objects against the official number.
    doubts : tuple of str
        What was decided about splits and classes but may be meant in another way, one line each.
    paired : bool
        Whether each image holds two images of one size, one after the other in its channels (images
        only).

    Examples
    --------
    >>> import numpy as np
    >>> from data_prep import Item, Shape, Source
    >>> def load_cloud():
    ...     return Shape(np.random.default_rng(0).normal(size=(500, 3)))
    >>> items = tuple(Item(id=f"cloud-{number}", label=0, split="train", load=load_cloud) for number in range(3))
    >>> source = Source("clouds", "shapes", classes=("cloud",), items=items)

    >>> len(source.items), source.up
    (3, '+z')
    """

    name: str
    kind: Literal["shapes", "images"]
    classes: tuple[str, ...]
    items: tuple[Item, ...]
    up: Up = "+z"
    digest: str = ""
    missing: tuple[tuple[str, str], ...] = field(default=())
    note: str = ""
    doubts: tuple[str, ...] = ()
    paired: bool = False


def advise_on_files(source: Source) -> str:
    """Write what to do if all raw files are unusable; a folder of the user is given by its path, without a root.

    Examples
    --------
    >>> from data_prep import Source
    >>> from data_prep.source import advise_on_files
    >>> advise_on_files(Source("folder:scans", "shapes"))
    'check the files'
    """
    is_path = source.name.startswith(("folder:", "files:", "pairs:", "pyg:"))
    return "check the files" if is_path else "check the files and --root"
