"""Opening of an image file with limits, and reading of its header: shape and depth, without the pixels.

Pillow detects the format by content. Only formats with a decoder inside the process are allowed,
because Pillow would start external programs for some others.
"""

import math
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_prep.readers.foreign import refuse_foreign
from spectral_ssl.ground.errors import ObjectError

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

IMAGE_SUFFIXES = (
    *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".bmp", ".gif", ".tif", ".tiff", ".webp"),
    *(".pbm", ".pgm", ".ppm", ".pnm", ".pfm", ".avif", ".jp2", ".j2k", ".jpx", ".jpf", ".j2c", ".tga"),
)
# Formats, with the plug-ins that read them. A JPEG of a phone may hold a second image (MPO).
PLUG_INS = {
    "PNG": "Png",
    "JPEG": "Jpeg",
    "MPO": "Mpo",
    "BMP": "Bmp",
    "GIF": "Gif",
    "TIFF": "Tiff",
    "WEBP": "WebP",
    "PPM": "Ppm",
    "AVIF": "Avif",
    "JPEG2000": "Jpeg2K",
}
# A TGA file has no signature, so only the suffix tells it from other data.
BY_SUFFIX = {".tga": ("TGA", "Tga")}
# Pillow can be built without these decoders.
OPTIONAL = {
    ".webp": ("webp", "WebP"),
    ".avif": ("avif", "AVIF"),
    **dict.fromkeys((".jp2", ".j2k", ".jpx", ".jpf", ".j2c"), ("jpg_2000", "JPEG 2000")),
}
# Patterns of the first bytes of images that are not read, with the reason for the user.
UNREAD_CONTENTS = {
    rb"II\*\0|MM\0\*|II\+\0|MM\0\+": (
        "unreadable image: a damaged TIFF file, or one whose pixels Pillow does not read (64-bit floats, float "
        "colours, other channels): convert it to 8 bits"
    ),
    rb"....ftyp(?:heic|heix|hevc|heim|heis|mif1|msf1)": "a HEIC photograph: convert it to .jpg",
    rb"....ftypavif": "unreadable image: a damaged AVIF file",
    rb"8BPS": "a Photoshop file: convert it to .png",
    rb"v/1\x01": "an OpenEXR file: convert it to 8 bits",
    rb"\0\0\0\x0cJXL |\xff\x0a": "a JPEG XL file: convert it to .png",
    rb"\s*(?:<\?xml.*)?<svg": "an SVG file: convert it to .png",
}
NO_IMAGE = "unreadable image: cannot identify its format. Convert it to .png"
BYTES_OF_HEAD = 1 << 16
LARGEST_SIDE = 16384  # This limit and the next are checked before decoding.
MOST_PIXELS = 1 << 26  # 64 million pixels take 256 MiB.
GREY_MODES = ("1", "L", "LA", "La")
DEEP_MODES = ("I", "I;16", "I;16B", "I;16L", "I;16N", "F")
ORIENTATION = 274  # the number of this tag in EXIF data
SIDEWAYS = (5, 6, 7, 8)  # orientations that exchange width and height
# A page with one of these bits in its tag 254 is a thumbnail or a mask of another page.
SUBFILE_TYPE, MINOR_PAGE = 254, 0b101
BITS, PLANES = 258, 284  # numbers of TIFF tags


@dataclass(frozen=True)
class ImageHeader:
    """The content of an image file as its header states it.

    Attributes
    ----------
    shape : tuple of int
        (channels, height, width) of the image as ``read_image`` returns it.
    is_deep : bool
        Whether grey values have more than 8 bits.
    """

    shape: tuple[int, int, int]
    is_deep: bool


@contextmanager
def open_image(path: Path) -> "Iterator[ImageFile]":
    """Open an image file and check its limits; the pixels are decoded later.

    Parameters
    ----------
    path : Path
        The file.

    Yields
    ------
    PIL.ImageFile.ImageFile
        The opened first frame.

    Raises
    ------
    ObjectError
        When the file is missing, damaged, too large, or a stack of pages. Errors of Pillow inside
        the block become ObjectErrors too.
    """
    from PIL import Image as Pillow  # The import takes 0.1 s.
    from PIL import UnidentifiedImageError

    try:
        if not path.is_file():  # Opening a pipe could block for ever.
            raise ObjectError("no such file" if not path.exists() else "not a regular file: a pipe, folder or device")
        formats = _list_formats(path.suffix.lower())
        # Pillow warns of large images and unusual metadata. It gets a stream, because it maps files of
        # which it knows the path into memory, and then scrambles the rows of turned TIFF files.
        with (
            warnings.catch_warnings(action="ignore"),
            path.open("rb") as file,
            Pillow.open(file, "r", formats) as image,
        ):
            if max(image.size) > LARGEST_SIDE or math.prod(image.size) > MOST_PIXELS:
                most = f"{LARGEST_SIDE} on a side or {MOST_PIXELS} in total"
                raise ObjectError(f"{image.size[0]}x{image.size[1]} pixels, more than {most}")
            if image.format == "TIFF":
                _check_tiff(image)
            yield image
    except ObjectError:
        raise
    except Exception as error:  # Damaged files make Pillow raise many types, from KeyError to struct.error.
        reason = _find_missing_decoder(path)
        if not reason and isinstance(error, UnidentifiedImageError):
            reason = _describe_content(path) or NO_IMAGE
        raise ObjectError(reason or f"unreadable image: {str(error)[:200] or type(error).__name__}") from error


def read_header(path: Path) -> ImageHeader:
    """Read shape and depth of an image file without decoding its pixels.

    Parameters
    ----------
    path : Path
        A file with one of ``IMAGE_SUFFIXES``.

    Returns
    -------
    ImageHeader

    Raises
    ------
    ObjectError
        As ``read_image``, except for faults of the pixels.
    """
    with open_image(path) as image:
        width, height = image.size
        # Pillow exchanges the sides of a TIFF file itself.
        if image.format != "TIFF" and _read_orientation(image) in SIDEWAYS:
            width, height = height, width
        return ImageHeader((1 if is_grey(image) else 3, height, width), image.mode in DEEP_MODES)


def is_grey(image: "ImageFile") -> bool:
    """Tell whether an opened image is grey. Palettes count as colour, whatever they hold."""
    # Pillow has no mode for grey with alpha of 16 bits, and opens it as colour.
    return image.mode in (*GREY_MODES, *DEEP_MODES) or get_raw_mode(image) == "LA;16B"


def has_alpha(image: "ImageFile") -> bool:
    """Tell whether an opened image has an alpha channel, a transparent colour, or a palette with such colours."""
    return image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info


def get_raw_mode(image: "ImageFile") -> str:
    """Return the arrangement of the samples in the file, as Pillow names it; "" if Pillow does not tell it."""
    tiles = getattr(image, "tile", None)
    arguments: Any = tiles[0][3] if tiles else ""
    if isinstance(arguments, tuple):
        arguments = arguments[0] if arguments else ""
    return arguments if isinstance(arguments, str) else ""


def _read_orientation(image: "ImageFile") -> int:
    """Read the EXIF orientation, 1 to 8; 1 if there is none or it cannot be read."""
    if image.format == "PNG" and not {"exif", "Raw profile type exif"} & image.info.keys():
        # Pillow would decode the pixels to look for EXIF data behind them.
        text = str(image.info.get("XML:com.adobe.xmp", "")) or _find_late_orientation(image)
        match = re.search(r'tiff:Orientation(?:="|>)([1-8])', text)
        return int(match[1]) if match else 1
    try:
        orientation = image.getexif().get(ORIENTATION, 1)
    except Exception:  # Damaged EXIF data makes Pillow raise many types. It says nothing about the pixels.
        return 1
    return orientation if orientation in range(1, 9) else 1


def _find_late_orientation(image: "ImageFile") -> str:
    """Find EXIF or XMP data behind the pixels of a PNG file; return XMP with the orientation, or an empty string."""
    from PIL import Image as Pillow

    stream = image.fp
    if stream is None:
        return ""
    position = stream.tell()
    try:
        stream.seek(8)
        while len(head := stream.read(8)) == 8:
            length, kind = int.from_bytes(head[:4], "big"), head[4:]
            if kind in (b"eXIf", b"iTXt") and length < BYTES_OF_HEAD:
                content = stream.read(length)
                if kind == b"iTXt" and b"tiff:Orientation" in content:
                    return content.decode("latin-1")
                if kind == b"eXIf":
                    exif = Pillow.Exif()
                    exif.load(content)
                    return f"tiff:Orientation>{exif.get(ORIENTATION, 1)}"
                length = 0
            stream.seek(length + 4, 1)
    except Exception:  # Damaged EXIF data makes Pillow raise many types. It says nothing about the pixels.
        return ""
    finally:
        stream.seek(position)
    return ""


def _check_tiff(image: "ImageFile") -> None:
    """Raise an ObjectError for a stack of pages, and for deep planes and signed bytes, which Pillow misreads."""
    tags: Any = getattr(image, "tag_v2", {})
    if image.mode == "L" and 2 in tuple(tags.get(339, ())):
        raise ObjectError("signed 8-bit values: convert them to unsigned values")
    if tags.get(PLANES) == 2 and max(tags.get(BITS, (8,))) > 8 and len(tags.get(BITS, (8,))) > 1:
        raise ObjectError("a TIFF file of separate planes with more than 8 bits: save the channels interleaved")
    if not getattr(image, "is_animated", False):
        return
    size = image.size
    image.seek(1)
    is_stack = image.size == size and not tags.get(SUBFILE_TYPE, 0) & MINOR_PAGE
    image.seek(0)
    if is_stack:
        raise ObjectError("a TIFF file of several pages of one size, a stack: save each page as a file")


@lru_cache(maxsize=8)
def _list_formats(suffix: str) -> list[str]:
    """List the formats that may be opened and that the installed Pillow knows; import their plug-ins."""
    from PIL import Image as Pillow

    wanted = dict(PLUG_INS)
    if suffix in BY_SUFFIX:
        name, plug_in = BY_SUFFIX[suffix]
        wanted[name] = plug_in
    for plug_in in wanted.values():
        try:
            import_module(f"PIL.{plug_in}ImagePlugin")
        except ImportError:  # An older Pillow has no such plug-in.
            continue
    return [name for name in wanted if name in Pillow.OPEN]


def _describe_content(path: Path) -> str:
    """Describe a file that is no readable image by its first bytes; return an empty string if they tell nothing."""
    try:
        with path.open("rb") as stream:
            head = stream.read(BYTES_OF_HEAD)
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    if not head:
        return "an empty file"
    for pattern, reason in UNREAD_CONTENTS.items():
        if re.match(pattern, head, re.DOTALL):
            return reason
    try:
        refuse_foreign(head, path.suffix.lower())
    except ObjectError as error:
        return str(error)
    return ""


def _find_missing_decoder(path: Path) -> str:
    """Return what the installed Pillow lacks to read a file with this suffix, or an empty string."""
    from PIL import features

    feature, name = OPTIONAL.get(path.suffix.lower(), ("", ""))
    if not feature:
        return ""
    try:
        with warnings.catch_warnings(action="ignore"):  # An older Pillow warns of features that it does not know.
            present = bool(features.check(feature))
    except ValueError:
        present = False
    return "" if present else f"the installed Pillow has no decoder for {name}: convert it to .png"
