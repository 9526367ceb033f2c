"""Reader of one image file, grey or colour, with eight bits; and scaling of images."""

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
# Pillow detects the format by content, and for some other formats it would start external programs.
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP")
LARGEST_SIDE = 16384  # This limit and the next are checked before decoding.
MOST_PIXELS = 1 << 26  # 64 million pixels take 256 MiB.
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
        Grey images have one channel; all others are converted to RGB. Transparency is dropped.

    Raises
    ------
    ObjectError
        When the file is missing, damaged, or far too large.

    Examples
    --------
    >>> from PIL import Image
    >>> from data_prep import read_image
    >>> Image.new("RGB", (4, 2), "red").save(folder / "red.png")
    >>> read_image(folder / "red.png").shape
    (3, 2, 4)
    """
    from PIL import Image as Pillow  # The import takes 0.1 s.

    try:
        if not path.is_file():  # Opening a pipe could block for ever.
            raise ObjectError("no such file" if not path.exists() else "not a regular file: a pipe, folder or device")
        with warnings.catch_warnings(), Pillow.open(path, formats=FORMATS) as image:
            warnings.simplefilter("ignore")  # Pillow warns of large images and unusual metadata.
            if max(image.size) > LARGEST_SIDE or math.prod(image.size) > MOST_PIXELS:
                most = f"{LARGEST_SIDE} on a side or {MOST_PIXELS} in total"
                raise ObjectError(f"{image.size[0]}x{image.size[1]} pixels, more than {most}")
            if image.mode in DEEP_MODES:
                # Pillow would clip values at 255 and turn nearly all of the image white.
                raise ObjectError(f"more than 8 bits a value (mode {image.mode}): convert it to 8 bits first")
            pixels = np.asarray(image.convert("L" if image.mode in GREY_MODES else "RGB"))
    except ObjectError:
        raise
    except Exception as error:  # Damaged files make Pillow raise many types, from KeyError to struct.error.
        raise ObjectError(f"unreadable image: {str(error)[:200] or type(error).__name__}") from error
    return np.ascontiguousarray(pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1))


def resize_square(image: Image, size: int) -> Image:
    """Crop the largest square from the middle and scale it.

    Parameters
    ----------
    image : ndarray, shape (C, H, W), uint8
        An image with any number of channels; each channel is scaled separately.
    size : int
        Pixels on a side of the result.

    Returns
    -------
    ndarray, shape (C, size, size), uint8
        The scaled square. When the image shrinks, each pixel is the mean over the area it covers:
        sharper filters would cause ringing at the edges of label maps. When the image grows, the
        interpolation is bicubic.
    """
    from PIL import Image as Pillow  # The import takes 0.1 s.

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
    return replace(
        source,
        items=tuple(replace(item, load=partial(_load, item.load, size)) for item in source.items),
        # The digest includes the size, because maps of another size are different data.
        digest=sha256(f"{source.digest} {size}".encode()).hexdigest(),
        note=f"{source.note}; middle square, scaled to {size}x{size}",
    )


def _load(load: Callable[[], Shape | Image], size: int) -> Image:
    loaded = load()
    if isinstance(loaded, Shape):
        raise TypeError("a shape in a source of images")
    return resize_square(loaded, size)
