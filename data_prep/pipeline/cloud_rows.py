"""From computed clouds (``data_prep.source.CloudRow``) to their maps, many at once."""

from collections.abc import Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray

from data_prep.basis import Basis
from data_prep.geometry.unit_ball import choose_up
from data_prep.source import CloudRow, Item, Shape, Source, UpRule
from spectral_ssl.ground.errors import ObjectError


def lies_in_cloud_rows(source: Source) -> bool:
    """Tell whether all objects of a source are computed clouds."""
    return {type(item.load) for item in source.items} == {CloudRow}


def cloud_rows_to_maps(
    items: Sequence[Item], basis: Basis, up: UpRule
) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """Make computed clouds and transform them to their maps, all at once.

    Parameters
    ----------
    items : sequence of B Item
        The objects.
    basis : Basis
        The basis of the maps; its seed and its number of points make the clouds.
    up : {"+x", "-x", "+y", "-y", "+z", "-z", "by-format"}
        The axis to take as up.

    Returns
    -------
    maps : (B, *basis.shape) float32 array
    clouds : (B, basis.points, 3) float32 array
        The result is None instead if not all items are computed clouds of one function.

    Raises
    ------
    ObjectError
        When the basis is one of meshes.
    """
    loads = [item.load for item in items if isinstance(item.load, CloudRow)]
    if not loads or len(loads) < len(items) or any(load.make is not loads[0].make for load in loads):
        return None
    from data_prep.pipeline.shape_to_map import clouds_to_maps, shape_to_map  # imports numba (0.2 s)

    if basis.kind == "radial" or basis.sampling == "solid":
        raise ObjectError("a cloud where a mesh is needed")
    clouds = loads[0].make(np.array([load.row for load in loads]), basis.seed, basis.points)
    is_plain = basis.kind in ("zernike", "sh") and basis.reach == 1
    turns = [choose_up(up, item.up) for item in items]
    if is_plain and set(turns) == {"+z"}:
        return clouds_to_maps(clouds, basis), clouds
    # No point is chosen at random, because a cloud has just as many points as the basis.
    generator = np.random.default_rng(0)
    pairs = [
        shape_to_map(Shape(cloud.astype(np.float64)), basis, turn, generator)
        for cloud, turn in zip(clouds, turns, strict=True)
    ]
    return np.stack([pair[0] for pair in pairs]), np.stack([cast(NDArray[np.float32], pair[1]) for pair in pairs])


def compile_cloud_rows(source: Source) -> None:
    """Compile what makes the clouds of a source, or load it: by a call for no clouds."""
    load = source.items[0].load
    if isinstance(load, CloudRow):
        load.make(np.empty(0, np.int64), 0, 1)
