"""The line [-1, 1] as images of one pixel, for the toy problem of the first paper (``pretext.tasks.toys.curve``)."""

from functools import partial
from hashlib import sha256

import numpy as np

from data_prep.source import Image, Item, Source, Split

WHERE = "nothing to get: the images are computed"
HELP = """toy: 1536 images of a single pixel, each of the 256 grey levels six times: four times in train, twice in test.

Where from: computed. No --root, no download. The task `toy` adds noise of the width of a level, so that the values are
uniform on the line.
"""
TRAIN, TEST = 4, 2  # Numbers of images per level.


def open_source(root: object) -> Source:
    """List the images of the line; ``root`` is ignored.

    Returns
    -------
    Source
        1536 images (1, 1, 1) uint8.
    """
    items = []
    for level in range(256):
        for number in range(TRAIN + TEST):
            split: Split = "train" if number < TRAIN else "test"
            items.append(Item(f"{level:03d}-{number}", -1, split, partial(_pixel, level)))
    return Source(
        name="toy",
        kind="images",
        classes=(),
        items=tuple(items),
        digest=sha256(f"256 levels, {TRAIN} train, {TEST} test".encode()).hexdigest(),
    )


def _pixel(level: int) -> Image:
    return np.full((1, 1, 1), level, np.uint8)
