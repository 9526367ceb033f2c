"""The rules by which any image becomes eight bits a channel, grey or RGB.

===================  ===============================================================================
alpha                composited on a ground of one colour, white by default, in sRGB
16-bit grey values   0 to 65535 become 0 to 255, or 0 to ``full_scale``
12-bit grey values   0 to 4095 become 0 to 255
floats               0 to 1 become 0 to 255, or 0 to ``full_scale``
32-bit integers      refused without ``full_scale``
CMYK                 converted by the file's colour profile, or by (255 - C)(255 - K) / 255
Lab, YCbCr, palette  converted to RGB
other profiles       not applied
===================  ===============================================================================

The rules depend on the file's type alone and never on its values. So the images of a set stay
comparable, and each is refused, not clipped, if its values do not fit.
"""

import io
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from data_prep.basis import Ground
from data_prep.readers.images.opening import BITS, DEEP_MODES, get_raw_mode, has_alpha, is_grey
from data_prep.source import add_note
from spectral_ssl.ground.errors import ObjectError

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage
    from PIL.ImageFile import ImageFile

GROUNDS: dict[Ground, int] = {"white": 255, "grey": 128, "black": 0}
SLACK = 1e-6  # Floats may exceed the full scale by this share, which is a rounding error.
PHOTOMETRIC = 262  # number of a TIFF tag
WITHOUT_ALPHA = ("BMP", "TGA")  # Formats of four bytes a pixel, the last of which often means nothing


@dataclass(frozen=True)
class ImageRules:
    """The choices of a user about images that do not have eight opaque bits.

    Attributes
    ----------
    ground : {"white", "grey", "black"}
        The colour behind transparent parts.
    full_scale : float, optional
        The value of grey images with more than 8 bits that becomes white; by default that of the
        file's type.

    Examples
    --------
    >>> from data_prep.readers.images.rules import ImageRules
    >>> ImageRules(ground="black").full_scale is None
    True
    """

    ground: Ground = "white"
    full_scale: float | None = None


def convert_to_bytes(image: "ImageFile", rules: ImageRules) -> NDArray[np.uint8]:
    """Convert an opened image to eight bits a channel by the rules above, turned upright.

    Parameters
    ----------
    image : PIL.ImageFile.ImageFile
        The opened image; it is changed in place.
    rules : ImageRules
        The user's choices.

    Returns
    -------
    ndarray, shape (H, W) or (H, W, 3), uint8
        Grey levels, or red, green and blue.

    Raises
    ------
    ObjectError
        When values lie outside the scale, or nothing is visible on the ground.
    """
    raw_mode, grey = get_raw_mode(image), is_grey(image)
    if getattr(image, "is_animated", False):
        add_note("the first of several frames or images in the file is read")
    _load_strictly(image)
    _turn_upright(image)
    if image.mode in DEEP_MODES:
        opaque = np.asarray(_scale(image, rules))
        alpha = _find_transparent_value(image, raw_mode)
        return opaque if alpha is None else _lay_on_ground(opaque, alpha, rules.ground)
    mode = "L" if grey else "RGB"
    if not has_alpha(image):
        return np.asarray(_convert_colours(image, mode))
    if image.format in WITHOUT_ALPHA and image.mode == "RGBA" and not image.getchannel("A").getextrema()[1]:
        # Most programs leave the fourth byte at zero, also where the header names it alpha.
        return np.asarray(image.convert("RGB"))
    alpha = _find_transparent_value(image, raw_mode)
    if alpha is not None:
        return _lay_on_ground(np.asarray(image.convert(mode)), alpha, rules.ground)
    # Palettes and premultiplied values get colours of their own. Pillow converts La to LA only.
    with_alpha = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
    return _lay_on_ground(
        np.asarray(with_alpha.convert("RGB").convert(mode)), np.asarray(with_alpha.getchannel("A")), rules.ground
    )


def _load_strictly(image: "ImageFile") -> None:
    """Decode the pixels; a truncated file is an error, also where a program has told Pillow to fill it with grey."""
    from PIL import ImageFile

    is_lenient = ImageFile.LOAD_TRUNCATED_IMAGES
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        image.load()
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = is_lenient


def _turn_upright(image: "ImageFile") -> None:
    """Turn and mirror the pixels as the EXIF orientation says."""
    from PIL import ImageOps

    with suppress(Exception):  # Damaged EXIF data makes Pillow raise many types. It says nothing about the pixels.
        ImageOps.exif_transpose(image, in_place=True)


def _convert_colours(image: "ImageFile", mode: str) -> "PillowImage":
    """Convert an opaque image to the mode "L" or "RGB"."""
    profile = image.info.get("icc_profile")
    if image.mode != "CMYK" or not profile:
        return image.convert(mode)
    from PIL import ImageCms

    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError) as error:
        raise ObjectError(f"a CMYK image whose colour profile cannot be used ({error}): convert it to RGB") from error
    assert converted is not None  # The function returns None only if it changes the image in place.
    return converted


def _find_transparent_value(image: "ImageFile", raw_mode: str) -> NDArray[np.uint8] | None:
    """Build the alpha channel (H, W) of an image with one transparent value; None if it has none.

    Only PNG files have such a value (chunk tRNS). It counts in the samples of the file, which have
    1 to 16 bits, but Pillow compares it with pixels of 8 bits.
    """
    value: Any = image.info.get("transparency")
    if value is None or image.format != "PNG" or image.mode not in ("1", "L", "RGB", *DEEP_MODES):
        return None
    pixels = np.asarray(image)
    if image.mode == "RGB":
        # Pillow has dropped the lower bytes of 16-bit samples already.
        wanted = np.array(value) >> 8 if raw_mode == "RGB;16B" else np.array(value)
        is_transparent = (pixels == wanted).all(axis=2)
    elif image.mode == "L" and raw_mode in ("L;2", "L;4"):
        is_transparent = pixels == value * (255 // (2 ** int(raw_mode[-1]) - 1))
    else:
        # The pixels of mode "1" are Booleans, and its transparent value is 0 or 255.
        is_transparent = pixels == (bool(value) if image.mode == "1" else value)
    return np.where(is_transparent, 0, 255).astype(np.uint8)


def _lay_on_ground(opaque: NDArray[np.uint8], alpha: NDArray[np.uint8], ground: Ground) -> NDArray[np.uint8]:
    """Combine colours (H, W) or (H, W, 3) by their alpha (H, W) with a ground; raise if nothing is visible."""
    if (alpha == 255).all():
        return opaque
    from PIL import Image as Pillow

    level = GROUNDS[ground]
    laid = Pillow.fromarray(np.full(opaque.shape, level, np.uint8))
    laid.paste(Pillow.fromarray(np.ascontiguousarray(opaque)), mask=Pillow.fromarray(alpha))
    pixels = np.asarray(laid)
    if (pixels == level).all():
        if not alpha.any():
            raise ObjectError("fully transparent: there is nothing to see")
        raise ObjectError(f"nothing is visible on a {ground} ground: prep --ground chooses another")
    add_note(f"transparent parts become {ground}")
    return pixels


def _scale(image: "ImageFile", rules: ImageRules) -> NDArray[np.uint8]:
    """Scale grey values of more than 8 bits to 0..255."""
    values: NDArray[Any] = np.asarray(image)
    white = _find_full_scale(image, rules)
    low, high = float(values.min()), float(values.max())
    if not np.isfinite(values).all():
        raise ObjectError("values that are not finite")
    if low < 0:
        raise ObjectError(f"values from {low:g} to {high:g}: shift them, so that none is negative")
    tags: Any = getattr(image, "tag_v2", {})
    if white is None:
        bits = "signed 16-bit" if tuple(tags.get(BITS, ())) == (16,) else "32-bit"
        raise ObjectError(
            f"{bits} values from {low:g} to {high:g}: prep --full-scale sets the value that becomes white"
        )
    if high > white * (1 + SLACK):
        advice = "prep --full-scale sets the value that becomes white"
        raise ObjectError(f"values from {low:g} to {high:g}, and {white:g} is white: {advice}")
    # 32-bit integers need float64; for 16 bits and floats float32 suffices, and takes half the memory.
    scaled: NDArray[np.floating] = values.astype(np.float64 if image.mode == "I" else np.float32)
    np.multiply(scaled, 255 / white, out=scaled)
    np.add(scaled, 0.5, out=scaled)
    levels = np.minimum(scaled, 255).astype(np.uint8)
    return 255 - levels if tags.get(PHOTOMETRIC) == 0 else levels  # In such a TIFF file 0 is white.


def _find_full_scale(image: "ImageFile", rules: ImageRules) -> float | None:
    """Return the value that becomes white, or None if the file's type does not tell it."""
    if image.format == "PPM" and image.mode == "I":
        return 65535.0  # Pillow has scaled the values by the maximum that the file states.
    if rules.full_scale is not None:
        return rules.full_scale
    if image.mode == "F":
        return 1.0
    if image.mode == "I" and image.format != "PNG":  # An older Pillow opens 16-bit PNG files with this mode.
        return None
    tags: Any = getattr(image, "tag_v2", {})
    return 4095.0 if tuple(tags.get(BITS, ())) == (12,) else 65535.0
