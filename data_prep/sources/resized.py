"""Any source of images, with its images brought to one size while they are loaded."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from hashlib import sha256

from data_prep.image_reading import square_image
from data_prep.sources.item import Image, Shape, Source
from spectral_ssl.ground.errors import UserError

SMALLEST, LARGEST = 4, 512  # pixels on a side


def resized_source(source: Source, size: int) -> Source:
    """The same source with images of ``size`` x ``size`` pixels, cut from the middle and scaled.

    Raises
    ------
    UserError
        When the source holds shapes, or the size is out of range.
    """
    if source.kind != "images":
        raise UserError("only images have a size", f"--size with {source.name!r}", "leave it out")
    if not SMALLEST <= size <= LARGEST:
        raise UserError("size of images out of range", size, f"give one from {SMALLEST} to {LARGEST}")
    return replace(
        source,
        items=tuple(replace(item, load=partial(_load, item.load, size)) for item in source.items),
        # maps of another size are other data
        digest=sha256(f"{source.digest} {size}".encode()).hexdigest(),
        note=f"{source.note}; middle square, scaled to {size}x{size}",
    )


def _load(load: Callable[[], Shape | Image], size: int) -> Image:
    loaded = load()
    if isinstance(loaded, Shape):
        raise TypeError("a shape in a source of images")
    return square_image(loaded, size)
