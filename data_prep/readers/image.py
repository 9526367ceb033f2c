"""Reader of one image file, grey or colour, with eight bits; loaders of such files, and their scaling."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np

from data_prep.readers.images.jpeg_scans import refuse_many_scans
from data_prep.readers.images.opening import ImageHeader, open_image, read_header
from data_prep.readers.images.resize import resize_square
from data_prep.readers.images.rules import ImageRules, convert_to_bytes
from data_prep.source import ArrayRow, Image, Shape, Source
from spectral_ssl.ground.errors import UserError

DEFAULT_RULES = ImageRules()
SMALLEST, LARGEST = 4, 512  # pixels on a side


def read_image(path: Path, rules: ImageRules = DEFAULT_RULES) -> Image:
    """Read an image, upright and with eight opaque bits a channel.

    Parameters
    ----------
    path : Path
        A file with one of ``IMAGE_SUFFIXES``. Of an animation the first frame is read, and a note
        says so.
    rules : ImageRules
        The colour behind transparent parts, and the value of deep images that becomes white.

    Returns
    -------
    ndarray, shape (1 or 3, H, W), uint8
        Grey images have one channel; all others are converted to RGB.

    Raises
    ------
    ObjectError
        When the file is missing, damaged or far too large, is a stack of pages, has values outside
        its scale, or shows nothing on the ground.

    Examples
    --------
    >>> from PIL import Image
    >>> from data_prep import read_image
    >>> Image.new("RGB", (4, 2), "red").save(folder / "red.png")
    >>> read_image(folder / "red.png").shape
    (3, 2, 4)
    """
    with open_image(path) as image:
        if image.format in ("JPEG", "MPO"):
            refuse_many_scans(path, image.size)
        pixels = convert_to_bytes(image, rules)
    return np.ascontiguousarray(pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1))


@dataclass(frozen=True)
class ImageLoader:
    """A loader of one image file, for ``Item.load``.

    Attributes
    ----------
    path : Path
        The file.
    cut : callable, optional
        A picklable function that takes the image and returns the part or the arrangement of it that
        is used. It raises ObjectError if the image does not fit.
    size : int, optional
        Pixels on a side to which the middle square is scaled; by default the size stays.
    shape : tuple of int, optional
        (channels, height, width) after the cut, if the layout of the data set fixes it. Then no
        header is read to find it.

    Examples
    --------
    >>> from PIL import Image
    >>> from data_prep.readers.image import ImageLoader
    >>> Image.new("RGB", (4, 2), "red").save(folder / "red.png")
    >>> ImageLoader(folder / "red.png", size=8)().shape
    (3, 8, 8)
    """

    path: Path
    cut: Callable[[Image], Image] | None = None
    size: int | None = None
    shape: tuple[int, int, int] | None = None

    def __call__(self, rules: ImageRules = DEFAULT_RULES) -> Image:
        """Load the image."""
        image = read_image(self.path, rules)
        if self.cut is not None:
            image = self.cut(image)
        return image if self.size is None else resize_square(image, self.size)

    def read_header(self) -> ImageHeader:
        """Read shape and depth of the image as it would be loaded, without its pixels.

        Raises
        ------
        ObjectError
            When the file is unusable, as far as its header tells.
        """
        header = ImageHeader(self.shape, is_deep=False) if self.shape is not None else read_header(self.path)
        shape = header.shape
        if self.cut is not None and self.shape is None:
            # The function cuts an array that takes no memory, so that its rule is written once.
            channels, height, width = self.cut(np.broadcast_to(np.uint8(0), shape)).shape
            shape = (channels, height, width)
        return replace(header, shape=shape if self.size is None else (shape[0], self.size, self.size))


def resize_source(source: Source, size: int) -> Source:
    """Return a source whose images are the middle squares, scaled to ``size`` x ``size`` pixels.

    Raises
    ------
    UserError
        When the source holds shapes, or the size is out of range.
    """
    if source.kind != "images":
        raise UserError("only images have a size", f"--size with {source.name!r}", "leave it out")
    if not SMALLEST <= size <= LARGEST:
        raise UserError("size of images out of range", size, f"give {SMALLEST} to {LARGEST}")
    finish = partial(resize_square, size=size)
    return replace(
        source,
        items=tuple(replace(item, load=_resize(item.load, finish)) for item in source.items),
        # The digest includes the size, because maps of another size are different data.
        digest=sha256(f"{source.digest} {size}".encode()).hexdigest(),
        note=f"{source.note}; middle square, scaled to {size}x{size}",
    )


def _resize(load: Callable[[], Shape | Image], finish: "partial[Image]") -> Callable[[], Shape | Image]:
    """Return a loader of the scaled middle square; ``finish`` scales an image."""
    if isinstance(load, ImageLoader):
        return replace(load, size=finish.keywords["size"])
    if isinstance(load, ArrayRow) and load.finish is None:
        return replace(load, finish=finish)
    return partial(_load, load, finish)


def _load(load: Callable[[], Shape | Image], finish: "partial[Image]") -> Image:
    loaded = load()
    if isinstance(loaded, Shape):
        raise TypeError("a shape in a source of images")
    return finish(loaded)
