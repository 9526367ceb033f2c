"""Scaling of images: the shorter side gets the wanted size, and the centre is cut out."""

import numpy as np

from data_prep.source import Image


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
        The scaled square, see ``resize_to_cover``.
    """
    return resize_to_cover(image, size, size)


def resize_to_cover(image: Image, height: int, width: int) -> Image:
    """Crop the largest rectangle of the wanted proportions from the middle and scale it.

    This equals scaling until the image covers the wanted size and cropping its centre.

    Parameters
    ----------
    image : ndarray, shape (C, H, W), uint8
        An image with any number of channels; each channel is scaled separately.
    height, width : int
        Pixels of the result.

    Returns
    -------
    ndarray, shape (C, height, width), uint8
        The scaled image. When the image shrinks, each pixel is the mean over the area it covers:
        sharper filters would cause ringing at the edges of label maps. When the image grows, the
        interpolation is bicubic.

    Examples
    --------
    >>> import numpy as np
    >>> from data_prep.readers.images.resize import resize_to_cover
    >>> resize_to_cover(np.zeros((3, 20, 30), np.uint8), 8, 8).shape
    (3, 8, 8)
    """
    from PIL import Image as Pillow  # The import takes 0.1 s.

    _, rows, columns = image.shape
    scale = min(rows / height, columns / width)
    # At least one pixel of a very long image stays.
    inner_rows = min(rows, max(1, round(height * scale)))
    inner_columns = min(columns, max(1, round(width * scale)))
    top, left = (rows - inner_rows) // 2, (columns - inner_columns) // 2
    inner = image[:, top : top + inner_rows, left : left + inner_columns]
    if (inner_rows, inner_columns) == (height, width):
        return np.ascontiguousarray(inner)
    filter_ = Pillow.Resampling.BOX if scale > 1 else Pillow.Resampling.BICUBIC
    scaled = [
        np.asarray(Pillow.fromarray(np.ascontiguousarray(channel)).resize((width, height), filter_))
        for channel in inner
    ]
    return np.stack(scaled)
