"""Does labelled data stand upright? Tables tell: most of a table is its top, and its legs reach far down.

The third moment of a table's points along the vertical, about their centroid, is therefore negative, and along the
other two axes as often positive as negative. Measured on ModelNet10 (487 tables, 285 desks; 4827 of its 4899 objects):
negative along the vertical for 98 % of the tables and 93 % of the desks, along the other axes for 49 % of the tables.
Chairs do not tell: their backs rise as their legs reach down (46 % negative), and what is uneven in them is front and
back.
"""

import numpy as np
from numpy.typing import NDArray

from data_prep.basis import Basis
from data_prep.layout import index, unfold
from data_prep.map_store import ROWS_AT_ONCE, MapFile
from data_prep.shape_maps import cloud_to_map

TELLING = ("table", "desk")
FEWEST = 20  # tables: fewer may be odd ones
# Of upright tables 98 % have a negative moment, of turned ones half (lying) or 2 % (upside down).
UPRIGHT_SHARE = 0.7
LOWEST_DEGREE = 3
PROBES = 1000


def turned_tables(opened: MapFile) -> list[str]:
    """A warning if the tables of a labelled map file do not stand on the ground.

    Parameters
    ----------
    opened : MapFile
        Any map file; where there is nothing to tell by (images, no tables, no labels) there is no warning.

    Returns
    -------
    list of str
        Nothing, or one line.
    """
    basis = opened.basis
    labels = [label for label, name in enumerate(opened.classes) if name.lower() in TELLING]
    rows = np.flatnonzero(np.isin(opened.labels, labels))
    if basis.kind == "pixels" or basis.degree < LOWEST_DEGREE or len(rows) < FEWEST:
        return []
    weights = _weights(basis)
    moments = np.concatenate(
        [
            unfold(opened.read(rows[start : start + ROWS_AT_ONCE]), basis) @ weights
            for start in range(0, len(rows), ROWS_AT_ONCE)
        ]
    )
    negative = (moments < 0).mean(axis=0)
    if negative[2] >= UPRIGHT_SHARE:
        return []
    # the axis along which most agree, and the end to which the tops lie
    axis = int(np.argmax(np.abs(negative - 0.5)))
    likely = f"{'+' if negative[axis] > 0.5 else '-'}{'xyz'[axis]}"
    return [
        f"up axis: only {negative[2]:.0%} of {len(rows)} tables and desks have their tops above (upright: 95 %): the "
        f"data looks turned, with up along {likely} of the maps; prepare it again with another --up"
    ]


def _weights(basis: Basis) -> NDArray[np.float64]:
    """Weights (coefficients, 3) that make third moments along x, y and z out of coefficients.

    A coefficient is a sum of one function over all points, and so is a moment: the weights that give x^3 for single
    points give the moment of any cloud. They are found by asking the transform about single points, which needs no
    formula and holds for every basis: exactly for Zernike moments, within the width of a shell for harmonics.
    """
    generator = np.random.default_rng(0)
    directions = generator.normal(size=(PROBES, 3))
    radii = 0.99 * generator.random(PROBES) ** (1 / 3)
    points = directions / np.linalg.norm(directions, axis=1, keepdims=True) * radii[:, None]
    vectors = unfold(np.stack([cloud_to_map(point[None], basis) for point in points]), basis).astype(np.float64)
    k, ell, _ = index(basis).T
    # a cubic polynomial has the degrees 1 and 3 only, and of the Zernike functions those up to order 3
    used = (ell == 1) | (ell == 3)
    if basis.kind == "zernike":
        used &= ell + 2 * k <= 3
    solved = np.linalg.lstsq(vectors[:, used], points**3, rcond=None)[0]
    weights = np.zeros((vectors.shape[1], 3))
    weights[used] = solved
    return weights
