"""From one object of a source, a shape or an image, to its map, with a random generator of its own."""

from collections.abc import Sequence
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from data_prep.basis import Basis
from data_prep.geometry.unit_ball import choose_up
from data_prep.pipeline.cloud_rows import cloud_rows_to_maps
from data_prep.readers.image import ImageLoader
from data_prep.readers.images.resize import resize_to_cover
from data_prep.readers.images.rules import ImageRules
from data_prep.source import ArrayRow, Image, Item, Shape, UpRule, add_note
from spectral_ssl.ground.errors import ObjectError


def object_to_map(item: Item, basis: Basis, up: UpRule) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Load an object and transform it to its map; ``collect_notes`` around the call collects the notes of the object.

    Parameters
    ----------
    item : Item
        The object.
    basis : Basis
        The basis of the map.
    up : {"+x", "-x", "+y", "-y", "+z", "-z", "by-format"}
        The axis that points up in the object's file, or "by-format" for ``item.up``, +z if that is
        None.

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
    load = item.load
    made = cloud_rows_to_maps([item], basis, up)
    if made is not None:
        return made[0][0], made[1][0]
    loaded = load(ImageRules(basis.ground, basis.full_scale)) if isinstance(load, ImageLoader) else load()
    if not isinstance(loaded, Shape):
        if loaded.shape[1:] != basis.shape[1:] and not isinstance(load, ImageLoader):
            # The sizes of files are surveyed and said before; those of other images are only known now.
            add_note(f"an image of another size, scaled to cover {basis.shape[2]}x{basis.shape[1]} pixels")
        return image_to_map(loaded, basis), None
    from data_prep.pipeline.shape_to_map import shape_to_map  # imports numba (0.2 s), which images do not need

    for note in loaded.notes:
        add_note(note)
    return shape_to_map(loaded, basis, choose_up(up, item.up), make_object_generator(basis.seed, item.id))


def make_object_generator(seed: int, identity: str) -> np.random.Generator:
    """Make the random generator of one object; it does not depend on other objects, their order or processes."""
    words = np.frombuffer(sha256(identity.encode()).digest(), "<u4")
    return np.random.default_rng([seed, *(int(word) for word in words)])


def rows_to_maps(items: Sequence[Item], basis: Basis) -> NDArray[np.float32] | None:
    """Transform images that lie in one array to their maps, all at once.

    Parameters
    ----------
    items : sequence of Item
        The objects.
    basis : Basis
        The basis of the maps.

    Returns
    -------
    ndarray, shape (N, C, H, W), float32, or None
        The maps, the same values as those of ``object_to_map``; None if the items do not lie in one
        array of images of the basis' shape.
    """
    loads = [item.load for item in items]
    rows = [load.row for load in loads if isinstance(load, ArrayRow)]
    first = loads[0]
    if basis.kind != "pixels" or not isinstance(first, ArrayRow) or len(rows) < len(loads):
        return None
    # Functions that were sent to another process are equal in their parts, not identical.
    if any(
        isinstance(load, ArrayRow) and (load.read is not first.read or load.finish is not first.finish)
        for load in loads
    ):
        return None
    images = first.read()[rows]
    if first.finish is not None:
        images = np.stack([first.finish(image) for image in images])
    return _scale_pixels(images) if images.shape[1:] == basis.shape else None


def image_to_map(image: Image, basis: Basis) -> NDArray[np.float32]:
    """Transform an image to its map: scale its size to that of the basis and its pixels from 0..255 to -1..1.

    Parameters
    ----------
    image : ndarray, shape (C, H, W), uint8
        The image. An image of another size is scaled until it covers the map, and its centre is cut
        out. The channel of a grey image is repeated if the basis is in colour.
    basis : Basis
        The basis of the map.

    Returns
    -------
    ndarray, shape ``basis.shape``, float32

    Raises
    ------
    ObjectError
        When the image has other channels, such as a colour image for grey maps.
    """
    channels, height, width = basis.shape
    if 3 * image.shape[0] == channels:
        image = np.repeat(image, 3, axis=0)  # The channels of a pair become A, A, A, B, B, B.
    if image.shape[0] != channels:
        what = "a colour image for grey maps" if image.shape[0] == 3 * channels else "other channels than the maps"
        raise ObjectError(f"{what}: {image.shape[0]} channels, not {channels}")
    if image.shape[1:] != (height, width):
        image = resize_to_cover(image, height, width)
    return _scale_pixels(image)


def _scale_pixels(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Scale pixels from 0..255 to -1..1."""
    values = pixels.astype(np.float32)
    values /= np.float32(127.5)
    values -= np.float32(1)
    return values
