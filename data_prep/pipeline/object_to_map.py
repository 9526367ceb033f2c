"""From one object of a source, a shape or an image, to its map, with a random generator of its own."""

from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from data_prep.basis import Basis
from data_prep.pipeline.shape_to_map import shape_to_map
from data_prep.source import Item, Shape, Up, add_note
from spectral_ssl.ground.errors import ObjectError


def object_to_map(item: Item, basis: Basis, up: Up) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Load an object and transform it to its map; ``collect_notes`` around the call collects the notes of the object.

    Parameters
    ----------
    item : Item
        The object.
    basis : Basis
        The basis of the map.
    up : {"+x", "-x", "+y", "-y", "+z", "-z"}
        The axis that points up in the object's file.

    Returns
    -------
    map : ndarray, shape ``basis.shape``, float32
    cloud : ndarray, shape (basis.points, 3), float32, or None
        The sampled points; None for images and for maps that come from the mesh itself.

    Raises
    ------
    ObjectError
        When the object is unusable.
    """
    loaded = item.load()
    if not isinstance(loaded, Shape):
        return _image_to_map(loaded, basis), None
    for note in loaded.notes:
        add_note(note)
    return shape_to_map(loaded, basis, up, make_object_generator(basis.seed, item.id))


def make_object_generator(seed: int, identity: str) -> np.random.Generator:
    """Make the random generator of one object; it does not depend on other objects, their order or processes."""
    words = np.frombuffer(sha256(identity.encode()).digest(), "<u4")
    return np.random.default_rng([seed, *(int(word) for word in words)])


def _image_to_map(image: NDArray[np.uint8], basis: Basis) -> NDArray[np.float32]:
    """Scale pixels from 0..255 to -1..1; repeat the channel of a grey image three times if the set is in colour."""
    if 3 * image.shape[0] == basis.shape[0]:
        image = np.repeat(image, 3, axis=0)  # The channels of a pair become A, A, A, B, B, B.
    if image.shape != basis.shape:
        raise ObjectError(
            f"an image of shape {image.shape} among images of {basis.shape}: make all the same size, or give --size"
        )
    return (image.astype(np.float32) / 127.5 - 1).astype(np.float32)
