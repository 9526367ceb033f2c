"""Reading one image file, grey or colour, eight bits; and bringing an image to a size."""

import math
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np

from data_prep.source import Image, Shape, Source
from spectral_ssl.ground.errors import ObjectError, UserError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP")  # whatever the name says: Pillow would run programs for others
LARGEST_SIDE = 16384  # refused before decoding, as
MOST_PIXELS = 1 << 26  # 64 million, which take 256 MiB
GREY_MODES = ("1", "L", "LA")
DEEP_MODES = ("I", "I;16", "I;16B", "I;16L", "I;16N", "F")


def read_image(path: Path) -> Image:
    """Read an image.

    Parameters
    ----------
    path : Path
        A file with one of ``IMAGE_SUFFIXES``.

    Returns
    -------
    ndarray, shape (1 or 3, H, W), uint8
        Grey images have one channel, all others are turned to RGB; transparency is left out.

    Raises
    ------
    ObjectError
        When the file is missing, damaged, or far too large.
    """
    from PIL import Image as Pillow  # 0.1 s at import

    try:
        if not path.is_file():  # to open a pipe would be to wait for ever
            raise ObjectError("no such file" if not path.exists() else "no file: a pipe, folder or device")
        with warnings.catch_warnings(), Pillow.open(path, formats=FORMATS) as picture:
            warnings.simplefilter("ignore")  # of large pictures and odd entries beside them
            if max(picture.size) > LARGEST_SIDE or math.prod(picture.size) > MOST_PIXELS:
                most = f"{LARGEST_SIDE} on a side or {MOST_PIXELS} in all"
                raise ObjectError(f"{picture.size[0]}x{picture.size[1]} pixels, more than {most}")
            if picture.mode in DEEP_MODES:
                # Pillow would cut the values off at 255 and turn nearly all of the picture white
                raise ObjectError(f"more than 8 bits a value (mode {picture.mode}): convert it to 8 bits first")
            pixels = np.asarray(picture.convert("L" if picture.mode in GREY_MODES else "RGB"))
    except ObjectError:
        raise
    except Exception as error:  # damaged files make Pillow raise nearly anything, from KeyError to struct.error
        raise ObjectError(f"unreadable image: {str(error)[:200] or type(error).__name__}") from error
    return np.ascontiguousarray(pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1))


def resize_square(image: Image, size: int) -> Image:
    """Cut the largest square out of the middle and scale it.

    Parameters
    ----------
    image : ndarray, shape (C, H, W), uint8
        Any number of channels: each is scaled on its own.
    size : int
        Pixels on a side of the result.

    Returns
    -------
    ndarray, shape (C, size, size), uint8
        Each pixel is the mean over the area it covers where the image shrinks (no ringing at the edges of label maps,
        as sharper filters would give), and bicubic where it grows.
    """
    from PIL import Image as Pillow  # 0.1 s at import

    _, height, width = image.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = image[:, top : top + side, left : left + side]
    if side == size:
        return np.ascontiguousarray(square)
    filter_ = Pillow.Resampling.BOX if side > size else Pillow.Resampling.BICUBIC
    scaled = [
        np.asarray(Pillow.fromarray(np.ascontiguousarray(channel)).resize((size, size), filter_)) for channel in square
    ]
    return np.stack(scaled)


SMALLEST, LARGEST = 4, 512  # pixels on a side


def resize_source(source: Source, size: int) -> Source:
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
    return resize_square(loaded, size)
