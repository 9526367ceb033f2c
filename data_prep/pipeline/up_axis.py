"""Does the data stand upright? Two questions to a map file of shapes, both asked of the second and third moments.

**Do labelled things stand as such things do?** Most of a table is its top, and its legs reach far down: the third
moment of its points along the vertical, about their centroid, is negative. Beds, sofas and bathtubs are low: their
second moment along the vertical is the smallest of the three. Measured on ModelNet10 (487 tables, 285 desks, 1513 beds,
sofas and bathtubs): true of 98 %, 93 % and 98 % of them, while the third moment of tables is negative along another
axis for 49 %, and another axis is the lowest of 2 % of the beds, sofas and bathtubs. Chairs do not tell: their backs
rise as their legs reach down (46 % negative), and some are taller than wide, some not.

**Do the other splits stand as the training split does?** Of each object the share of the vertical in its second moments
and the third moment along the vertical, in units of the size, are compared with those of the training split: each by
the largest distance between the two cumulative distributions (Kolmogorov's), less what chance makes of it, within
classes where there are labels, so that another mix of classes does not count. The same is done with the other five
directions in the place of the vertical. A split is called turned when one of them fits more than twice as well.
Measured on ModelNet10: the test split differs by 0.03, the same turned by 0.43 to 0.51 lying and 0.21 upside down;
without labels by 0.03, 0.23 to 0.29, and 0.06 upside down, which is not noticed then. No warning came from 1200
random parts of the test split (20 to 300 objects), nor, without labels, from test splits of one or two classes only.
But without labels one cannot tell for certain: of the built-in shapes tables alone look like all shapes turned.
"""

import numpy as np
from numpy.typing import NDArray

from data_prep.basis import Basis
from data_prep.layout import find_cells, list_indices
from data_prep.maps.reader import MapFile, count_rows_at_once
from data_prep.pipeline.shape_to_map import cloud_to_map

TOP_HEAVY = ("table", "desk")
LOW = ("bathtub", "bed", "sofa")
FEWEST = 20  # of such things, or objects of a split: fewer may be odd ones
FEWEST_OF_A_CLASS = 5
# Of upright things 95 % and more have it, of turned tables half (lying) or 2 % (upside down), of turned beds 2 %.
UPRIGHT_SHARE = 0.7
DIFFERENT = 0.1  # between two distributions, 0 to 1
# Without labels, each class of ModelNet10 against all: the best direction had 0.6 of the vertical's difference.
BETTER_FIT = 0.5
LOWEST_DEGREE = 3
PROBES = 1000
DIRECTIONS = ("+x", "-x", "+y", "-y", "+z", "-z")


def find_up_axis_warnings(opened: MapFile) -> list[str]:
    """Warnings if the objects of a map file do not stand on the ground, or one split does not stand as another does.

    Parameters
    ----------
    opened : MapFile
        Any map file; where there is nothing to tell by (images, distance maps, few objects) there is no warning.

    Returns
    -------
    list of str
        One line each.
    """
    basis = opened.basis
    if basis.kind not in ("zernike", "sh") or basis.degree < LOWEST_DEGREE:
        return []
    low = _low_degrees(basis)
    weights, places, count = _weights(basis)[low], find_cells(basis)[low], count_rows_at_once(basis.shape)
    blocks = [opened.rows()[start : start + count] for start in range(0, len(opened), count)]
    moments = np.concatenate([opened.read(block).reshape(len(block), -1)[:, places] @ weights for block in blocks])
    size = np.maximum(moments[:, :3].sum(axis=1, keepdims=True), np.finfo(np.float32).tiny)
    second, third = moments[:, :3] / size, moments[:, 3:] / size**1.5
    findings = _tables(third[_of(opened, TOP_HEAVY)]) or _low_things(second[_of(opened, LOW)])
    for split in ("val", "test"):
        findings += _split(opened, split, second, third)
    return findings


def _of(opened: MapFile, names: tuple[str, ...]) -> NDArray[np.int64]:
    """Rows of the classes of these names."""
    return np.flatnonzero(
        np.isin(opened.labels, [label for label, name in enumerate(opened.classes) if name.lower() in names])
    )


def _tables(third: NDArray[np.float64]) -> list[str]:
    """A warning if the third moments (tables, 3) are not those of standing tables."""
    if len(third) < FEWEST:
        return []
    negative = (third < 0).mean(axis=0)
    if negative[2] >= UPRIGHT_SHARE:
        return []
    # the axis along which most agree, and the end to which the tops lie
    axis = int(np.argmax(np.abs(negative - 0.5)))
    likely = f"{'+' if negative[axis] > 0.5 else '-'}{'xyz'[axis]}"
    return [
        f"up axis: only {negative[2]:.0%} of {len(third)} tables and desks have their tops above (upright: 95 %): the "
        f"data looks turned, with up along {likely} of the maps; prepare it again with another --up"
    ]


def _low_things(second: NDArray[np.float64]) -> list[str]:
    """A warning if the second moments (things, 3) are not those of things that are lower than wide."""
    if len(second) < FEWEST:
        return []
    lowest = np.bincount(second.argmin(axis=1), minlength=3) / len(second)
    if lowest[2] >= UPRIGHT_SHARE:
        return []
    return [
        f"up axis: only {lowest[2]:.0%} of {len(second)} beds, sofas and bathtubs are lowest along the vertical "
        f"(upright: 98 %): the data looks turned, with up along {'xyz'[int(lowest.argmax())]} of the maps, + or -; "
        "prepare it again with another --up"
    ]


def _split(opened: MapFile, split: str, second: NDArray[np.float64], third: NDArray[np.float64]) -> list[str]:
    """A warning if the objects of a split would fit the training split better with another direction upwards."""
    training, others = opened.splits == "train", opened.splits == split
    misfits, counts = [], []
    for label in np.unique(opened.labels):
        first, rest = training & (opened.labels == label), others & (opened.labels == label)
        if min(first.sum(), rest.sum()) < FEWEST_OF_A_CLASS:
            continue
        chance = 0.87 * np.sqrt(1 / first.sum() + 1 / rest.sum())  # what Kolmogorov's distance of equals is on average
        by_direction = [
            _distance(second[first, 2], second[rest, axis]) + _distance(third[first, 2], sign * third[rest, axis])
            for axis in range(3)
            for sign in (1, -1)
        ]
        misfits.append(np.maximum(np.array(by_direction) / 2 - chance, 0))
        counts.append(int(rest.sum()))
    if sum(counts) < FEWEST:
        return []
    misfit = np.average(misfits, axis=0, weights=counts)
    upright, best = misfit[DIRECTIONS.index("+z")], int(misfit.argmin())
    if upright < DIFFERENT or misfit[best] > BETTER_FIT * upright:
        return []
    return [
        f"up axis: the {split} split does not stand as the training split does (moments differ by {upright:.2f}, with "
        f"{DIRECTIONS[best]} of the maps taken as up by {misfit[best]:.2f}): one of the two looks turned"
        f"{'' if (opened.labels >= 0).any() else ', or holds other kinds of things'}; look at its raw files"
    ]


def _distance(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Kolmogorov's distance: the largest difference of the cumulative distributions of two samples."""
    places = np.concatenate([one, other])
    shares = [np.searchsorted(np.sort(sample), places, side="right") / len(sample) for sample in (one, other)]
    return float(np.abs(shares[0] - shares[1]).max())


def _weights(basis: Basis) -> NDArray[np.float64]:
    """Weights (coefficients, 6) that make second and third moments along x, y and z out of coefficients.

    A coefficient is a sum of one function over all points, and so is a moment: the weights that give x^2 and x^3 for
    single points give the moments of any cloud. They are found by asking the transform about single points, which
    needs no formula and holds for every basis: exactly for Zernike moments, within the width of a shell for harmonics.
    """
    generator = np.random.default_rng(0)
    directions = generator.normal(size=(PROBES, 3))
    radii = 0.99 * generator.random(PROBES) ** (1 / 3)
    points = directions / np.linalg.norm(directions, axis=1, keepdims=True) * radii[:, None]
    low = _low_degrees(basis)
    places = find_cells(basis)[low]
    vectors = np.stack([cloud_to_map(point[None], basis).reshape(-1)[places] for point in points]).astype(np.float64)
    k, ell, _ = list_indices(basis)[low].T
    weights = np.zeros((len(list_indices(basis)), 6))
    for power, columns in ((2, [0, 1, 2]), (3, [3, 4, 5])):
        # a polynomial of so many powers has only degrees of their parity, and of the Zernike functions only such orders
        used = (ell <= power) & (ell % 2 == power % 2)
        if basis.kind == "zernike":
            used &= ell + 2 * k <= power
        solved = np.linalg.lstsq(vectors[:, used], points**power, rcond=None)[0]
        weights[np.ix_(low[used], columns)] = solved
    return weights


def _low_degrees(basis: Basis) -> NDArray[np.int64]:
    """Which coefficients of a vector matter here; of a high degree they are few."""
    return np.flatnonzero(list_indices(basis)[:, 1] <= LOWEST_DEGREE)
