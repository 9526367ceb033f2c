"""Clouds of the universe: any of 2^63 shapes for each seed, many at once."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from spectral_ssl.ground.config import check_ranges, within
from spectral_ssl.ground.errors import UserError

VERSION = 1  # Raise this with any change of the shapes.


@dataclass(frozen=True)
class Ingredients:
    """The ingredients of the shapes, each with the factor of its probability: 1 as designed, 0 for none.

    Attributes
    ----------
    assemblies : float
        Objects with a plan (furniture, vessels, vehicles, plants, machines) and combinations of them;
        without them all shapes are heaps of blocks.
    attach : float
        Blocks of a heap that touch and line up; without it they overlap anywhere.
    thin : float
        Thin plates and rods.
    mirror : float
        Mirrored copies of parts.
    repeat : float
        Rows, grids and rings of equal parts.
    holes : float
        Holes, hollow bodies and compartments.
    rounded : float
        Rounded edges.
    profiles : float
        Extruded and revolved outlines.
    tubes : float
        Bent tubes, springs, lattices and rods with round ends.
    tilt : float
        Parts and shapes that are not along the axes.
    warps : float
        Twists, bends and leaning of whole shapes.
    scans : float
        Noise, missing parts and uneven density as of scans.
    """

    assemblies: float = field(default=1.0, metadata=within(0.0, 1.0))
    attach: float = field(default=1.0, metadata=within(0.0, 1.0))
    thin: float = field(default=1.0, metadata=within(0.0, 1.0))
    mirror: float = field(default=1.0, metadata=within(0.0, 1.0))
    repeat: float = field(default=1.0, metadata=within(0.0, 1.0))
    holes: float = field(default=1.0, metadata=within(0.0, 1.0))
    rounded: float = field(default=1.0, metadata=within(0.0, 1.0))
    profiles: float = field(default=1.0, metadata=within(0.0, 1.0))
    tubes: float = field(default=1.0, metadata=within(0.0, 1.0))
    tilt: float = field(default=1.0, metadata=within(0.0, 1.0))
    warps: float = field(default=1.0, metadata=within(0.0, 1.0))
    scans: float = field(default=1.0, metadata=within(0.0, 1.0))

    def __post_init__(self) -> None:
        check_ranges(self, "ingredients")

    @classmethod
    def build_plain(cls) -> "Ingredients":
        """Return the ingredients of the simplest universe: overlapping blocks, thin or not, with mirrored copies.

        Examples
        --------
        >>> from data_prep.sources.universe import Ingredients
        >>> plain = Ingredients.build_plain()
        >>> plain.mirror, plain.holes
        (1.0, 0.0)
        """
        names = ("assemblies", "attach", "repeat", "holes", "rounded", "profiles", "tubes", "warps", "scans")
        return cls(**dict.fromkeys(names, 0.0))


def universe_clouds(
    indices: Sequence[int] | NDArray[np.integer],
    *,
    seed: int = 0,
    points: int = 2048,
    ingredients: Ingredients | None = None,
    threads: int = 1,
) -> NDArray[np.float32]:
    """Make the clouds of some shapes of the universe.

    Parameters
    ----------
    indices : sequence of B int
        Numbers of the shapes, from 0 to 2^63 - 1.
    seed : int
        Number of the universe, from 0 to 2^63 - 1.
    points : int
        Points of each cloud.
    ingredients : Ingredients, optional
        What the shapes are made of; everything by default.
    threads : int
        Number of threads. The clouds do not depend on it.

    Returns
    -------
    ndarray, shape (B, points, 3), float32
        Clouds with +z up, with the centroid at the origin and the farthest point just inside the
        unit sphere. A cloud is a function of ``VERSION``, seed, index, points and ingredients.

    Raises
    ------
    UserError
        When an argument is out of range.

    Examples
    --------
    >>> from data_prep.sources.universe import universe_clouds
    >>> universe_clouds([0, 7], points=256).shape
    (2, 256, 3)
    """
    keys = np.asarray(indices if len(indices) else np.empty(0, np.int64))
    if keys.ndim != 1 or keys.dtype.kind not in "iu" or (keys.size and (keys.min() < 0 or int(keys.max()) >= 2**63)):
        raise UserError("indices of the universe", f"{keys.dtype} {keys.shape}", "give a list of integers >= 0")
    if not 0 <= seed < 2**63:
        raise UserError("seed of the universe", seed, "give 0 to 2^63 - 1")
    if not 1 <= points <= 1_000_000:
        raise UserError("points per object out of range", points, "give 1 to 1000000")
    if threads < 1:
        raise UserError("number of threads", threads, "give 1 or more")
    from data_prep.sources.universe.kernel import make_clouds, precompile  # imports numba (0.2 s)

    precompile()
    switches = np.array([getattr(ingredients or Ingredients(), each.name) for each in fields(Ingredients)])
    clouds = np.empty((keys.size, points, 3), np.float32)
    keys = keys.astype(np.uint64)

    def work(part: slice) -> None:
        make_clouds(keys[part], VERSION, seed, switches, clouds[part])

    bounds = np.linspace(0, keys.size, max(1, min(threads, keys.size)) + 1).astype(int)
    parts = [slice(int(low), int(high)) for low, high in pairwise(bounds)]
    if len(parts) == 1:
        work(parts[0])
    else:
        with ThreadPoolExecutor(len(parts)) as pool:
            list(pool.map(work, parts))
    return clouds
