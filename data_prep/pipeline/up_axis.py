"""Check whether the objects of a map file stand upright, by two tests of their second and third moments.

**Orientation of known classes.** A table has most of its area in its top, and its legs reach far down.
So the third moment of its points along the vertical, about their centroid, is negative. Beds, sofas
and bathtubs are low: their second moment along the vertical is the smallest of the three. Measured on
ModelNet10 (487 tables, 285 desks, 1513 beds, sofas and bathtubs), this holds for 98 %, 93 % and 98 % of
them. Along another axis the third moment of tables is negative for 49 %. Another axis has the smallest
second moment for 2 % of the beds, sofas and bathtubs. Chairs give no evidence: their backs rise as their
legs reach down (46 % negative), and only some are taller than wide.

**Agreement of the splits.** Two numbers per object are compared with those of the training split: the
share of the vertical in its second moments, and the third moment along the vertical, in units of the
size. The comparison is the largest distance between the two cumulative distributions (Kolmogorov's),
minus its mean under chance. It is made within classes if there are labels, so that another mix of
classes does not count. The same is done with the other five directions instead of the vertical. A split
is reported as turned if one of them fits more than twice as well. Measured on ModelNet10: the test split
differs by 0.03; turned to lie, it differs by 0.43 to 0.51, and upside down by 0.21. Without labels it
differs by 0.03, by 0.23 to 0.29, and by 0.06 upside down, which is then not detected.

Limits: 1200 random parts of the test split (20 to 300 objects) gave no warning. Without labels,
test splits of only one or two classes gave none either. But without labels the test is not certain:
among the built-in shapes, tables alone look like all shapes turned.
"""

import numpy as np
from numpy.typing import NDArray

from data_prep.basis import Basis
from data_prep.layout import find_cells, list_indices
from data_prep.maps.reader import MapFile, count_rows_at_once
from data_prep.pipeline.shape_to_map import cloud_to_map

TOP_HEAVY = ("table", "desk")
LOW = ("bathtub", "bed", "sofa")
FEWEST = 20  # Minimum number of objects of a test; fewer may be exceptions.
FEWEST_OF_A_CLASS = 5
# Share of objects that pass the first test: 95 % and more if upright, half of lying tables, 2 % of
# tables upside down, 2 % of turned beds.
UPRIGHT_SHARE = 0.7
DIFFERENT = 0.1  # Smallest relevant distance between two distributions, 0 to 1.
# For each class of ModelNet10 against all, without labels, the best direction had 0.6 of the
# vertical's difference.
BETTER_FIT = 0.5
LOWEST_DEGREE = 3
PROBES = 1000
DIRECTIONS = ("+x", "-x", "+y", "-y", "+z", "-z")


def find_up_axis_warnings(opened: MapFile) -> list[str]:
    """Find signs that the objects of a map file, or of one of its splits, do not stand upright.

    Parameters
    ----------
    opened : MapFile
        Any map file. Without evidence (images, distance maps, few objects) there is no warning.

    Returns
    -------
    list of str
        Warnings of one line each.
    """
    basis = opened.basis
    if basis.kind not in ("zernike", "sh") or basis.degree < LOWEST_DEGREE:
        return []
    low = _find_low_degrees(basis)
    weights, cells, count = _fit_weights(basis)[low], find_cells(basis)[low], count_rows_at_once(basis.shape)
    blocks = [opened.rows()[start : start + count] for start in range(0, len(opened), count)]
    moments = np.concatenate([opened.read(block).reshape(len(block), -1)[:, cells] @ weights for block in blocks])
    size = np.maximum(moments[:, :3].sum(axis=1, keepdims=True), np.finfo(np.float32).tiny)
    second, third = moments[:, :3] / size, moments[:, 3:] / size**1.5
    findings = _check_tables(third[_find_rows(opened, TOP_HEAVY)]) or _check_low(second[_find_rows(opened, LOW)])
    for split in ("val", "test"):
        findings += _check_split(opened, split, second, third)
    return findings


def _find_rows(opened: MapFile, names: tuple[str, ...]) -> NDArray[np.int64]:
    """Find the rows of the classes of these names."""
    return np.flatnonzero(
        np.isin(opened.labels, [label for label, name in enumerate(opened.classes) if name.lower() in names])
    )


def _check_tables(third: NDArray[np.float64]) -> list[str]:
    """Return a warning if the third moments (tables, 3) are not those of upright tables."""
    if len(third) < FEWEST:
        return []
    negative = (third < 0).mean(axis=0)
    if negative[2] >= UPRIGHT_SHARE:
        return []
    # The likely vertical is the axis along which most tables agree, towards their tops.
    axis = int(np.argmax(np.abs(negative - 0.5)))
    likely = f"{'+' if negative[axis] > 0.5 else '-'}{'xyz'[axis]}"
    return [
        f"up axis: only {negative[2]:.0%} of {len(third)} tables and desks have their tops above (upright: 95 %): the "
        f"data looks turned, with up along {likely} of the maps; prepare it again with another --up"
    ]


def _check_low(second: NDArray[np.float64]) -> list[str]:
    """Return a warning if the second moments (objects, 3) are not those of objects that are lower than wide."""
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


def _check_split(opened: MapFile, split: str, second: NDArray[np.float64], third: NDArray[np.float64]) -> list[str]:
    """Return a warning if the objects of a split fit the training split better with another direction upwards."""
    training, others = opened.splits == "train", opened.splits == split
    misfits, counts = [], []
    for label in np.unique(opened.labels):
        first, rest = training & (opened.labels == label), others & (opened.labels == label)
        if min(first.sum(), rest.sum()) < FEWEST_OF_A_CLASS:
            continue
        chance = 0.87 * np.sqrt(1 / first.sum() + 1 / rest.sum())  # mean Kolmogorov distance of equal distributions
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
        f"{'' if (opened.labels >= 0).any() else ', or holds other kinds of objects'}; check its raw files"
    ]


def _distance(left: NDArray[np.float64], right: NDArray[np.float64]) -> float:
    """Compute Kolmogorov's distance: the largest difference of the cumulative distributions of two samples."""
    values = np.concatenate([left, right])
    shares = [np.searchsorted(np.sort(sample), values, side="right") / len(sample) for sample in (left, right)]
    return float(np.abs(shares[0] - shares[1]).max())


def _fit_weights(basis: Basis) -> NDArray[np.float64]:
    """Fit weights (coefficients, 6) that turn coefficients into second and third moments along x, y and z.

    A coefficient is a sum of one function over all points, and so is a moment. So weights that give
    x^2 and x^3 for single points give the moments of any cloud. The fit uses transforms of single
    points, which needs no formula and works for every basis. It is exact for Zernike moments, and
    within the width of a shell for harmonics.
    """
    generator = np.random.default_rng(0)
    directions = generator.normal(size=(PROBES, 3))
    radii = 0.99 * generator.random(PROBES) ** (1 / 3)
    points = directions / np.linalg.norm(directions, axis=1, keepdims=True) * radii[:, None]
    low = _find_low_degrees(basis)
    cells = find_cells(basis)[low]
    vectors = np.stack([cloud_to_map(point[None], basis).reshape(-1)[cells] for point in points]).astype(np.float64)
    k, ell, _ = list_indices(basis)[low].T
    weights = np.zeros((len(list_indices(basis)), 6))
    for power, columns in ((2, [0, 1, 2]), (3, [3, 4, 5])):
        # A homogeneous polynomial of this power has only degrees of its parity, and Zernike orders
        # up to the power.
        used = (ell <= power) & (ell % 2 == power % 2)
        if basis.kind == "zernike":
            used &= ell + 2 * k <= power
        solved = np.linalg.lstsq(vectors[:, used], points**power, rcond=None)[0]
        weights[np.ix_(low[used], columns)] = solved
    return weights


def _find_low_degrees(basis: Basis) -> NDArray[np.int64]:
    """Find the coefficients of a vector up to ``LOWEST_DEGREE``, the only ones that second and third moments need."""
    return np.flatnonzero(list_indices(basis)[:, 1] <= LOWEST_DEGREE)
