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
    objects: Any, basis: Basis, *, up: str | None = None, seed: int | None = None, finite: bool = True
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
    finite : bool
        Whether maps with NaN or infinity are refused.

    Yields
    ------
    ndarray, shape (B, C, H, W), float32
        At most ``OBJECTS_AT_ONCE`` maps.

    Raises
    ------
    UserError
        If an object has an unsuitable shape or type, or cannot be used.
    """
    _check_options(basis, up, seed)
    if seed is not None:
        basis = replace(basis, seed=int(seed))
    if isinstance(objects, torch.Tensor):
        try:
            objects = _convert_tensor(objects)
        except ObjectError as error:
            raise _refuse_item(error, 0, 1) from error
    if _are_maps(objects, basis):
        check_up_of_maps(up, basis)
        for start in range(0, len(objects), OBJECTS_AT_ONCE):
            with np.errstate(over="ignore"):  # values beyond float32 become infinity, and are refused
                block = np.asarray(objects[start : start + OBJECTS_AT_ONCE], np.float32)
            if finite and not np.isfinite(block).all():
                bad = int(np.flatnonzero(~np.isfinite(block).all(axis=(1, 2, 3)))[0])
                raise _refuse_item(ObjectError("a map with NaN or infinity"), start + bad, len(objects))
            yield block
        return
    items = _list_items(objects, basis)
    for start in range(0, len(items), OBJECTS_AT_ONCE):
        yield _convert_block(items[start : start + OBJECTS_AT_ONCE], start, len(items), basis, up)


def _check_options(basis: Basis, up: object, seed: object) -> None:
    """Raise a UserError unless ``up`` is an axis and ``seed`` a whole number, or they are None."""
    if up is not None:
        if not isinstance(up, str):
            raise UserError("up axis of the wrong type", f"{up!r:.60} ({type(up).__name__})", "give a text, e.g. '+y'")
        parse_up(up)
        if basis.kind == "pixels":
            raise UserError("images have no up axis", up, "leave up out")
    is_whole = isinstance(seed, int | np.integer) and not isinstance(seed, bool) and seed >= 0
    if seed is not None and not is_whole:
        raise UserError("not a seed", f"{seed!r:.60}", "give a whole number, at least 0")


def check_up_of_maps(up: str | None, basis: Basis) -> None:
    """Raise a UserError if maps are to be turned: their axis is fixed."""
    if up not in (None, basis.up):
        raise UserError(
            f"the maps have {basis.up} up", f"up={up!r:.60}", "leave up out, or give the objects themselves"
        )


def require_finite(features: NDArray[np.float32], ids: Sequence[str] | None = None) -> NDArray[np.float32]:
    """Return features (N, D), or raise a UserError that names the first object with NaN or infinity.

    Parameters
    ----------
    features : ndarray, shape (N, D), float32
        Features.
    ids : sequence of str, optional
        Names of the objects, for the message; by default their positions.
    """
    if not np.isfinite(features).all():
        bad = int(np.flatnonzero(~np.isfinite(features).all(axis=1))[0])
        name = _name_item(bad, len(features)) if ids is None else ids[bad]
        do = "look at the object, or train again with a lower learning rate"
        raise UserError("features that are not finite", f"NaN or infinity for {name}", do)
    return features


def _name_item(row: int, total: int) -> str:
    return f"item {row} of the list" if total > 1 else "the object"


def _refuse_item(error: ObjectError, row: int, total: int) -> UserError:
    """Make the error for one object among ``total``."""
    got = f"{_name_item(row, total)} ({error})"
    return UserError("an object that cannot be encoded", got, "leave it out, or repair it")


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
    if isinstance(objects, np.ndarray) and objects.dtype.kind in "OTU":
        objects = _unpack_array(objects)
    if isinstance(objects, np.ndarray):
        sides = 3 if basis.kind == "pixels" else 2  # of an image, and of a cloud
        fits = objects.dtype == np.uint8 if basis.kind == "pixels" else objects.shape[-1:] == (3,)
        if fits and objects.ndim == sides:
            return [objects]
        if fits and objects.ndim == sides + 1 and len(objects):
            return list(objects)
        wanted = f"(N, {', '.join(str(side) for side in basis.shape)})"
        other = "images (N, C, H, W) uint8" if basis.kind == "pixels" else "clouds (N, P, 3), or one (P, 3)"
        what = "shape of the images or maps" if basis.kind == "pixels" else "shape of the clouds or maps"
        raise UserError(what, objects.shape, f"give {other}, or maps {wanted}, N at least 1")
    if isinstance(objects, list | tuple):
        if not len(objects):
            raise UserError("no objects to encode", "an empty list", "give at least one")
        if isinstance(objects[0], int | float | list | tuple | np.number):
            try:
                return _list_items(np.asarray(objects, np.float64), basis)
            except (TypeError, ValueError, OverflowError):  # clouds of several sizes, or a list of several kinds
                return list(objects)
        return list(objects)
    return [objects]


def _unpack_array(array: NDArray[Any]) -> NDArray[np.float64] | list[Any]:
    """Return the numbers of an array of objects as float64; of other objects, or of texts, a list."""
    if array.dtype.kind == "O" and array.ndim > 1:
        try:
            return array.astype(np.float64)
        except (TypeError, ValueError, OverflowError):  # objects, such as paths or shapes
            pass
    return list(array.reshape(-1).tolist())


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
            raise _refuse_item(error, first + row, total) from error
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
        return _check_shape(item, basis)
    if type(item).__module__.partition(".")[0] == "trimesh":
        return _check_shape(_convert_trimesh(item), basis)
    array = _to_array(item)
    if array.dtype == np.uint8 and basis.kind == "pixels" and array.ndim == 3:
        return image_to_map(array, basis)
    if array.shape == basis.shape:
        if up not in (None, basis.up):
            raise ObjectError(f"a map, which has {basis.up} up")
        if not np.isfinite(array).all():
            raise ObjectError("a map with NaN or infinity")
        return np.asarray(array, np.float32)
    if array.ndim == 2 and array.shape[1] == 3 and basis.kind != "pixels":
        return Shape(np.asarray(array, np.float64))
    raise ObjectError(f"{type(item).__name__} of shape {array.shape}")


def _to_array(item: Any) -> NDArray[Any]:
    """Convert an object to an array of numbers, or raise an ObjectError."""
    if isinstance(item, torch.Tensor):
        item = _convert_tensor(item)
    try:
        array = np.asarray(item)
        array = array.astype(np.float64) if array.dtype.kind == "O" and array.ndim else array
    except (TypeError, ValueError, OverflowError) as error:
        raise ObjectError(f"not an array of numbers: {type(item).__name__}") from error
    if array.dtype.kind not in "fiu" or not array.ndim:
        raise ObjectError(f"not a path, a cloud or a mesh: {type(item).__name__}")
    return array


def _convert_tensor(tensor: torch.Tensor) -> NDArray[Any]:
    """Convert a tensor of any type, layout or device to an array."""
    try:
        values = tensor.detach().cpu()
        values = values if values.layout == torch.strided else values.to_dense()
        is_short = values.is_floating_point() and values.dtype != torch.float64
        return np.asarray((values.float() if is_short else values).numpy())  # numpy has no bfloat16
    except (RuntimeError, TypeError) as error:
        raise ObjectError(f"not a tensor of numbers: {tensor.dtype} on {tensor.device}") from error


def _check_shape(shape: Shape, basis: Basis) -> Shape:
    """Return the shape with arrays for its points and faces, if the basis is one of shapes."""
    if basis.kind == "pixels":
        raise ObjectError("a shape, but the run encodes images")
    points = _to_array(shape.points)
    if points.ndim != 2 or points.shape[1] != 3:
        raise ObjectError(f"points of shape {points.shape}, not (N, 3)")
    points = np.asarray(points, np.float64)
    if shape.faces is None:
        return replace(shape, points=points)
    faces = _to_array(shape.faces)
    if faces.ndim != 2 or faces.shape[1] != 3 or faces.dtype.kind not in "iu":
        raise ObjectError(f"faces of shape {faces.shape}, {faces.dtype}, not whole numbers (F, 3)")
    outside = faces[(faces < 0) | (faces >= len(points))]
    if len(outside):
        raise ObjectError(f"a face with vertex {outside[0]}, but the vertices are 0 to {len(points) - 1}")
    return replace(shape, points=points, faces=np.asarray(faces, np.int64))


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
