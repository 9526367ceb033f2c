"""Convert objects in memory or in files to maps of a run's basis: what ``TrainedRun.encode`` accepts.

An object's points are sampled with a seed that follows from the object itself: from the name of a
file, as in ``prep``, and from the coordinates of everything else. So its map does not depend on the
other objects of a list or on their order.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from data_prep.basis import Basis
from data_prep.geometry.unit_ball import choose_up, parse_up
from data_prep.pipeline.object_to_map import image_to_map, make_object_generator
from data_prep.pipeline.single_file import file_to_map
from data_prep.source import Shape
from spectral_ssl.ground.errors import ObjectError, UserError

OBJECTS_AT_ONCE = 256


def generate_maps(
    objects: Any, basis: Basis, *, up: str | None = None, seed: int | None = None
) -> Iterator[NDArray[np.float32]]:
    """Generate the maps of objects block by block.

    Parameters
    ----------
    objects : array, path, Shape, mesh of trimesh, or a list of these
        See ``TrainedRun.encode``.
    basis : Basis
        The basis of the maps.
    up : str, optional
        The axis that points up in the objects, +z by default, or "by-format" for files; shapes
        only.
    seed : int, optional
        Seed of the sampling; that of the basis by default.

    Yields
    ------
    ndarray, shape (B, C, H, W), float32
        At most ``OBJECTS_AT_ONCE`` maps.

    Raises
    ------
    UserError
        If an object has an unsuitable shape or type, or cannot be used.
    """
    if isinstance(objects, torch.Tensor):
        objects = objects.detach().cpu().numpy()
    if up is not None:
        parse_up(up)
        if basis.kind == "pixels":
            raise UserError("images have no up axis", up, "leave up out")
    if seed is not None:
        basis = replace(basis, seed=seed)
    if _are_maps(objects, basis):
        for start in range(0, len(objects), OBJECTS_AT_ONCE):
            yield np.asarray(objects[start : start + OBJECTS_AT_ONCE], np.float32)
        return
    items = _list_items(objects, basis)
    for start in range(0, len(items), OBJECTS_AT_ONCE):
        yield _convert_block(items[start : start + OBJECTS_AT_ONCE], start, len(items), basis, up)


def _are_maps(objects: Any, basis: Basis) -> bool:
    """Tell whether objects are an array of maps; bytes are images, whose values are not scaled yet."""
    if not isinstance(objects, np.ndarray) or objects.dtype.kind not in "fiu":
        return False
    is_image = basis.kind == "pixels" and objects.dtype == np.uint8
    return objects.ndim == 4 and objects.shape[1:] == basis.shape and len(objects) > 0 and not is_image


def _list_items(objects: Any, basis: Basis) -> Sequence[Any]:
    """List the single objects.

    Raises
    ------
    UserError
        If there are none, or an array has another shape than those that can be encoded.
    """
    if isinstance(objects, np.ndarray) and objects.dtype.kind != "O":
        sides = 3 if basis.kind == "pixels" else 2  # of an image, and of a cloud
        fits = objects.dtype == np.uint8 if basis.kind == "pixels" else objects.shape[-1:] == (3,)
        if fits and objects.ndim == sides:
            return [objects]
        if fits and objects.ndim == sides + 1 and len(objects):
            return list(objects)
        wanted = f"(N, {', '.join(str(side) for side in basis.shape)})"
        other = "images (N, C, H, W) uint8" if basis.kind == "pixels" else "clouds (N, P, 3), or one (P, 3)"
        raise UserError("shape of the maps", objects.shape, f"give maps {wanted}, N at least 1, or {other}")
    if isinstance(objects, list | tuple | np.ndarray):
        if not len(objects):
            raise UserError("no objects to encode", "an empty list", "give at least one")
        if isinstance(objects[0], int | float | list | tuple | np.number):
            try:
                return _list_items(np.asarray(objects, np.float64), basis)
            except (TypeError, ValueError):  # clouds of several sizes, or a list of several kinds
                return list(objects)
        return list(objects)
    return [objects]


def _convert_block(items: Sequence[Any], first: int, total: int, basis: Basis, up: str | None) -> NDArray[np.float32]:
    """Compute the maps of some objects; ``first`` is the position of the first one among ``total``."""
    from data_prep.pipeline import shape_to_map  # imports numba (0.2 s), which images do not need
    from data_prep.transforms.moment_sums import precompile

    if basis.kind != "pixels":
        precompile()
    maps = np.zeros((len(items), *basis.shape), np.float32)
    rows, clouds = [], []
    for row, item in enumerate(items):
        try:
            found = _read_item(item, basis, up)
            if isinstance(found, Shape):
                turn = choose_up(parse_up(up or "+z"), None)
                generator = make_object_generator(basis.seed, _digest(found))
                if shape_to_map.is_sampled(found, basis):
                    clouds.append(shape_to_map.sample_cloud(found, basis, turn, generator))
                    rows.append(row)
                else:
                    maps[row], _ = shape_to_map.shape_to_map(found, basis, turn, generator)
            else:
                maps[row] = found
        except ObjectError as error:
            which = f"item {first + row} of the list" if total > 1 else "the object"
            do = "leave it out, or repair it"
            raise UserError("an object that cannot be encoded", f"{which} ({error})", do) from error
    if clouds:
        threads = torch.get_num_threads()
        maps[rows] = shape_to_map.clouds_to_maps(np.stack(clouds), basis, threads=threads)
    return maps


def _read_item(item: Any, basis: Basis, up: str | None) -> Shape | NDArray[np.float32]:
    """Return the shape of an object, or its map if that is known already.

    Raises
    ------
    UserError
        If a file cannot be used; the message has its name.
    ObjectError
        If the object is of no type that can be encoded.
    """
    if isinstance(item, str | Path):
        return file_to_map(Path(item), basis, up).values
    if isinstance(item, Shape):
        return _require_shapes(item, basis)
    if type(item).__module__.partition(".")[0] == "trimesh":
        return _require_shapes(_convert_trimesh(item), basis)
    array = item.detach().cpu().numpy() if isinstance(item, torch.Tensor) else _to_array(item)
    if array.dtype == np.uint8 and basis.kind == "pixels" and array.ndim == 3:
        return image_to_map(array, basis)
    if array.shape == basis.shape:
        return np.asarray(array, np.float32)
    if array.ndim == 2 and array.shape[1] == 3 and basis.kind != "pixels":
        return Shape(np.asarray(array, np.float64))
    raise ObjectError(f"{type(item).__name__} of shape {array.shape}")


def _to_array(item: Any) -> NDArray[Any]:
    """Convert an object to an array of numbers, or raise an ObjectError."""
    try:
        array = np.asarray(item)
    except (TypeError, ValueError) as error:
        raise ObjectError(f"not an array of numbers: {type(item).__name__}") from error
    if array.dtype.kind not in "fiu" or not array.ndim:
        raise ObjectError(f"not a path, a cloud or a mesh: {type(item).__name__}")
    return array


def _require_shapes(shape: Shape, basis: Basis) -> Shape:
    """Return the shape if the basis is one of shapes."""
    if basis.kind == "pixels":
        raise ObjectError("a shape, but the run encodes images")
    return shape


def _convert_trimesh(item: Any) -> Shape:
    """Convert a mesh, a cloud or a scene of trimesh."""
    if hasattr(item, "geometry"):  # a scene: its parts, each where it stands
        item = item.to_mesh() if hasattr(item, "to_mesh") else item.dump(concatenate=True)
    faces = getattr(item, "faces", None)
    if not hasattr(item, "vertices"):
        raise ObjectError(f"not a mesh: {type(item).__name__}")
    points = np.asarray(item.vertices, np.float64)
    return Shape(points, None if faces is None else np.asarray(faces, np.int64))


def _digest(shape: Shape) -> str:
    """Compute a digest of the coordinates, the seed of the sampling."""
    digest = sha256(np.ascontiguousarray(shape.points, np.float64).tobytes())
    if shape.faces is not None:
        digest.update(np.ascontiguousarray(shape.faces, np.int64).tobytes())
    return digest.hexdigest()
