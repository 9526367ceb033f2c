"""Transform of a single file that belongs to no data set, such as an input for a trained run, to a given basis."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_prep.basis import PAIR, Basis
from data_prep.geometry.unit_ball import TURNS
from data_prep.pipeline.object_to_map import object_to_map
from data_prep.readers.image import read_image, resize_square
from data_prep.readers.shape import SHAPE_SUFFIXES, read_shape
from data_prep.source import Item
from data_prep.transforms.radial_harmonics import require_embree
from spectral_ssl.ground.errors import ObjectError, UserError, unknown_name

GREY = (0.299, 0.587, 0.114)  # weights of red, green and blue, ITU-R BT.601


@dataclass(frozen=True)
class SingleMap:
    """The map of a single file.

    Attributes
    ----------
    values : ndarray, shape ``basis.shape``, float32
        The map, as in a map file.
    cloud : ndarray, shape (P, 3), float32, or None
        The sampled points; None if the map does not come from points.
    """

    values: NDArray[np.float32]
    cloud: NDArray[np.float32] | None


def file_to_map(path: Path, basis: Basis, up: str | None = None) -> SingleMap:
    r"""Transform one mesh, cloud or image to its map, exactly as ``prep`` does for a data set.

    Parameters
    ----------
    path : Path
        A file of any format that ``folder:PATH`` reads. For an image the middle square is used,
        scaled to the basis' size.
    basis : Basis
        The basis of the map.
    up : str, optional
        The axis that points up in the file, "+z" by default; shapes only.

    Returns
    -------
    SingleMap

    Raises
    ------
    UserError
        When the file does not exist, is unusable, or does not fit the basis.

    Examples
    --------
    >>> from data_prep import file_to_map, zernike_basis
    >>> text = "OFF\n4 2 0\n0 0 0\n1 0 0\n1 1 0\n0 1 0\n3 0 1 2\n3 0 2 3\n"
    >>> size = (folder / "square.off").write_text(text)
    >>> file_to_map(folder / "square.off", zernike_basis(degree=4)).values.shape
    (3, 5, 5)
    """
    if not path.is_file():
        raise UserError("no such file", str(path), "give a mesh, a cloud or an image")
    if basis.kind == "pixels":
        if up is not None:
            raise UserError("images have no up axis", up, "leave out --up")
        return SingleMap(image_file_to_map(path, basis), None)
    ending = path.suffix.lower()
    if ending not in SHAPE_SUFFIXES:
        got = f"{path} for maps of kind {basis.kind!r}"
        raise UserError("not a file of a shape", got, f"give a file that ends in {' '.join(SHAPE_SUFFIXES)}")
    turn = next((axis for axis in TURNS if axis == (up or "+z")), None)
    if turn is None:
        raise unknown_name("up axis", str(up), TURNS)
    if basis.kind == "radial":
        require_embree()
    try:
        # The file's name seeds the sampling, as an object's id does.
        return SingleMap(*object_to_map(Item(path.name, -1, "test", partial(read_shape, path)), basis, turn))
    except ObjectError as error:
        raise UserError("the object cannot be used", f"{path} ({error})", "repair it, or give another file") from error


def image_file_to_map(path: Path, basis: Basis) -> NDArray[np.float32]:
    """Transform an image file to its map (C, H, W): the middle square, scaled, with the basis' number of channels.

    Raises
    ------
    UserError
        When the basis is not that of single images, the file is unreadable, or the size differs and
        the basis is not square.
    """
    channels, height, width = basis.shape
    if basis.kind != "pixels" or basis.layout == PAIR or channels not in (1, 3):
        got = f"maps of kind {basis.kind!r}, layout {basis.layout!r}, shape {basis.shape}"
        raise UserError("an image does not fit these maps", got, "give an id of the data")
    try:
        image = read_image(path)
    except ObjectError as error:
        raise UserError("unreadable image", f"{path} ({error})", "give another image, or an id of the data") from error
    if image.shape[1:] != (height, width):
        if height != width:
            got = f"{image.shape[2]}x{image.shape[1]} pixels, not {width}x{height}"
            raise UserError("an image of another size", got, "scale it to that size")
        image = resize_square(image, height)
    if channels == 1 and len(image) == 3:
        image = np.round(np.tensordot(GREY, image, axes=1))[None].astype(np.uint8)
    return np.repeat(image, channels // len(image), axis=0).astype(np.float32) / 127.5 - 1
