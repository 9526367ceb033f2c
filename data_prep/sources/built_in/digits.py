"""scikit-learn's handwritten digits: 1797 images of 8x8 pixels that need no download."""

from functools import lru_cache
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_prep.source import ArrayRow, Item, Source, Split

WHERE = "nothing to get: the digits come with scikit-learn"
HELP = """digits: 8x8 grey images of the ten digits, part of scikit-learn.

Where from: scikit-learn (test set of "Optical Recognition of Handwritten Digits", E. Alpaydin and C. Kaynak, UCI
Machine Learning Repository, CC BY 4.0). No --root, no download.
Split: there is no official split. Four fifths of each class are "train" and one fifth is "test"; a digest of the
object's id decides, so the split never changes. Grey levels 0..16 become 0..255.
"""
CLASSES = tuple("0123456789")
TEST_SHARE = 5  # One in this many objects of a class is in the test split.


def open_source(root: Path) -> Source:
    """List the digits; ``root`` is ignored.

    Returns
    -------
    Source
        1797 images (1, 8, 8) uint8.
    """
    images, labels = _load_digits()
    ids = [f"digits/{number:04d}" for number in range(len(images))]
    # A digest decides instead of a random generator, so that the split never changes with a
    # library's version.
    order = sorted(range(len(ids)), key=lambda number: sha256(ids[number].encode()).digest())
    test: set[int] = set()
    for label in range(len(CLASSES)):
        members = [number for number in order if labels[number] == label]
        test.update(members[: len(members) // TEST_SHARE])
    items = []
    for number, identity in enumerate(ids):
        split: Split = "test" if number in test else "train"
        items.append(Item(identity, int(labels[number]), split, ArrayRow(_load_images, number)))
    return Source(
        name="digits",
        kind="images",
        classes=CLASSES,
        items=tuple(items),
        digest=sha256(images.tobytes() + labels.tobytes()).hexdigest(),
        note=f"{len(items)} images from scikit-learn, {len(items) - len(test)} train and {len(test)} test (our split)",
    )


@lru_cache(maxsize=1)
def _load_digits() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Load images (N, 8, 8) uint8 in 0..255 and labels (N,), once per process."""
    from sklearn.datasets import load_digits  # The import takes a second, and only this function needs it.

    bunch = load_digits()
    images = np.round(np.asarray(bunch.images) * (255 / 16)).astype(np.uint8)
    return images, np.asarray(bunch.target, np.int64)


def _load_images() -> NDArray[np.uint8]:
    """Load all images (N, 1, 8, 8), once per process."""
    return _load_digits()[0][:, None]
