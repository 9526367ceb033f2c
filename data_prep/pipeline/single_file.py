"""Transform of a single file that belongs to no data set, such as an input for a trained run, to a given basis."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_prep.basis import PAIR, Basis
from data_prep.geometry.unit_ball import find_format_up, parse_up
from data_prep.pipeline.object_to_map import image_to_map, object_to_map
from data_prep.readers.image import read_image
from data_prep.readers.images.resize import resize_to_cover
from data_prep.readers.images.rules import ImageRules
from data_prep.readers.shape import SHAPE_SUFFIXES, read_shape
from data_prep.source import Image, Item, add_note, collect_notes
from data_prep.transforms.radial_harmonics import require_embree
from spectral_ssl.ground.errors import ObjectError, UserError
from spectral_ssl.ground.progress import say

FOLDER_ADVICE = "give its files, or the folder to `spectral-ssl embed`"
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
        A file of any format that ``folder:PATH`` reads. An image is scaled until it covers the
        basis' size, and its centre is cut out.
    basis : Basis
        The basis of the map.
    up : str, optional
        The axis that points up in the file, "+z" by default, or "by-format" for the axis that the
        file's format specifies (+y for .glb and .gltf, +z for others); shapes only.

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
    if not _is_file(path):
        with suppress(OSError):  # a name that is too long for the system
            if path.is_dir():
                raise UserError("a folder, not a file", str(path), FOLDER_ADVICE)
        raise UserError("no such file", str(path), "give a mesh, a cloud or an image")
    if basis.kind == "pixels":
        if up is not None:
            raise UserError("images have no up axis", up, "leave out --up")
        return SingleMap(image_file_to_map(path, basis), None)
    ending = path.suffix.lower()
    if ending not in SHAPE_SUFFIXES:
        got = f"{path} for maps of kind {basis.kind!r}"
        raise UserError("not a file of a shape", got, f"give a file that ends in {' '.join(SHAPE_SUFFIXES)}")
    rule = parse_up(up or "+z")
    if basis.kind == "radial":
        require_embree()
    try:
        # The file's name seeds the sampling, as an object's id does.
        item = Item(path.name, -1, "test", partial(read_shape, path), find_format_up(path))
        with _say_notes(path):
            return SingleMap(*object_to_map(item, basis, rule))
    except ObjectError as error:
        raise UserError("the object cannot be used", f"{path} ({error})", "repair it, or give another file") from error
    except MemoryError as error:
        raise UserError("the object needs too much memory", str(path), "give a smaller file") from error


def _is_file(path: Path) -> bool:
    """Tell whether a path is a file; a name that is too long for the system is none."""
    try:
        return path.is_file()
    except OSError:
        return False


@contextmanager
def _say_notes(path: Path) -> Iterator[None]:
    """Tell the user what the reader of a file does not take literally within the block."""
    with collect_notes() as notes:
        yield
    for note in notes:
        say(f"note: {path.name}: {note}")


def image_file_to_map(path: Path, basis: Basis) -> NDArray[np.float32]:
    """Transform an image file to its map (C, H, W): the centre, scaled, with the basis' number of channels.

    The ground and the full scale are those of the basis. A colour image becomes grey if the basis
    is grey.

    Raises
    ------
    UserError
        When the basis is not that of single images, or the file is unusable.
    """
    try:
        with _say_notes(path):
            image = read_fitting_image(path, basis)
    except ObjectError as error:
        raise UserError("unreadable image", f"{path} ({error})", "give another image, or an id of the data") from error
    return image_to_map(image, basis)


def read_fitting_image(path: Path, basis: Basis) -> Image:
    """Read an image file with the size, the channels, the ground and the full scale of a basis of images.

    Parameters
    ----------
    path : Path
        The image file.
    basis : Basis
        The basis of the maps that the image will become.

    Returns
    -------
    ndarray, shape ``basis.shape``, uint8
        The image; a note tells if its colours became grey.

    Raises
    ------
    UserError
        When the basis is not that of single images.
    ObjectError
        When the file is unusable.
    """
    channels = basis.shape[0]
    if basis.kind != "pixels" or basis.layout == PAIR or channels not in (1, 3):
        got = f"maps of kind {basis.kind!r}, layout {basis.layout!r}, shape {basis.shape}"
        raise UserError("an image does not fit these maps", got, "give an id of the data")
    image = read_image(path, ImageRules(basis.ground, basis.full_scale))
    is_colour = channels == 1 and len(image) == 3
    if is_colour:
        add_note("its colours become grey, because the maps are grey")
    if image.shape[1:] != basis.shape[1:]:
        image = resize_to_cover(image, *basis.shape[1:])  # before the conversion to grey, as its rounding comes last
    if is_colour:
        image = np.round(np.tensordot(GREY, image, axes=1))[None].astype(np.uint8)
    elif len(image) == 1 and channels == 3:
        image = np.repeat(image, 3, axis=0)
    return image
