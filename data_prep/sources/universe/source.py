"""The data set of procedural shapes: the first shapes of the universe, as many as are asked for."""

from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_prep.source import CloudRow, Item, Source
from spectral_ssl.ground.errors import UserError

WHERE = "nothing to get: the shapes are computed"
HELP = """universe: procedural shapes without classes, as many as you ask for.

Where from: computed (no --root, no download, no terms). +z is up.
    spectral-ssl prep --dataset universe --count 24000
A shape depends on its number and on --seed alone, so a larger --count adds shapes and changes none. They resemble
furniture, vessels, vehicles, tools, plants, machine parts and heaps of blocks: shapes to learn features from without
any data. docs/universe.md shows some. `pretrain --data universe` trains on new ones in every epoch, without a file.
"""
COUNT = 2048
MOST = 10_000_000


def open_source(root: Path, *, count: int | None = None) -> Source:
    """List the first shapes of the universe; ``root`` is ignored.

    Parameters
    ----------
    root : Path
        Ignored.
    count : int, optional
        Number of shapes, 1 to 10 million; 2048 by default.

    Returns
    -------
    Source
        Clouds without labels, all in the training split.

    Raises
    ------
    UserError
        When the count is out of range.
    """
    from data_prep.sources.universe.clouds import VERSION

    number = COUNT if count is None else count
    if not 1 <= number <= MOST:
        raise UserError("number of shapes out of range", f"--count {number}", f"give 1 to {MOST}")
    return Source(
        name="universe",
        kind="shapes",
        classes=(),
        items=tuple(Item(f"universe-{row:07d}", -1, "train", CloudRow(make_clouds, row)) for row in range(number)),
        up="+z",
        # The number of shapes is not part of it, so that a file of a few shapes can be verified.
        digest=sha256(f"universe {VERSION}".encode()).hexdigest(),
        note=f"{number} procedural shapes",
    )


def make_clouds(indices: NDArray[np.int64], seed: int, points: int) -> NDArray[np.float32]:
    """Make the clouds (B, points, 3) of some shapes; see ``data_prep.sources.universe.universe_clouds``."""
    from data_prep.sources.universe.clouds import universe_clouds

    return universe_clouds(indices, seed=seed, points=points)
