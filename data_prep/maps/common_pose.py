"""Measure whether the objects of a map file stand in a common pose.

The traceless second moments of a cloud are a vector of five numbers, whose direction u depends on the
pose. If each object is rotated at random, the directions of two objects are independent, and the mean
of (u . v)^2 over all pairs is 1/5. Objects in a common pose have a larger mean, because most are
longest, or flattest, along the same few axes. The measure is the excess over 1/5, from 0 to 1:

    agreement = (mean over pairs of (u . v)^2 - 1/5) / (4/5)

Objects that are nearly as wide in all directions have no direction and do not count.
"""

import numpy as np
from numpy.typing import NDArray

from data_prep.maps.reader import MapFile

FEWEST = 30  # objects with a direction; fewer that are rotated at random may agree by chance
MOST = 500  # objects that are read
# Measured on five draws each of 30, 50, 200 and 500 objects of the built-in shapes and of ModelNet10:
# aligned 0.15 to 0.34, turned about the vertical 0.13 to 0.34 (shapes) and 0.04 to 0.14 (ModelNet10),
# rotated at random -0.01 to 0.02. Single classes of ModelNet10: aligned 0.29 to 0.81.
NO_COMMON_POSE = 0.03
SMALLEST_ANISOTROPY, NOISE = 0.05, 1.5


def measure_pose_agreement(maps: MapFile) -> float | None:
    """Measure how much the principal axes of the training objects agree.

    Parameters
    ----------
    maps : MapFile
        A map file with point clouds.

    Returns
    -------
    float or None
        About 0 for objects that are rotated at random, up to 1 for objects in one pose; None if
        the file has no clouds, or fewer than 30 objects with a direction.
    """
    rows = maps.rows("train")
    if not maps.has_points or len(rows) < FEWEST:
        return None
    chosen = rows[np.linspace(0, len(rows) - 1, min(MOST, len(rows))).astype(int)]
    return compute_pose_agreement(maps.read_points(chosen))


def compute_pose_agreement(clouds: NDArray[np.floating]) -> float | None:
    """Compute the agreement of the principal axes of point clouds.

    Parameters
    ----------
    clouds : ndarray, shape (N, P, 3), float
        The clouds.

    Returns
    -------
    float or None
        The agreement; None if fewer than 30 clouds have a direction.

    Examples
    --------
    >>> import numpy as np
    >>> boxes = np.random.default_rng(0).uniform(-1, 1, (40, 256, 3)) * [1, 0.5, 0.2]
    >>> compute_pose_agreement(boxes) > 0.9
    True
    """
    centred = clouds.astype(np.float64)
    centred -= centred.mean(axis=1, keepdims=True)
    moments = np.einsum("npi,npj->nij", centred, centred) / centred.shape[1]
    sizes = np.trace(moments, axis1=1, axis2=2)
    traceless = moments - sizes[:, None, None] * np.eye(3) / 3
    lengths = np.sqrt(np.square(traceless).sum(axis=(1, 2)))
    # of few points, the moments of a ball have a direction by chance
    smallest = max(SMALLEST_ANISOTROPY, NOISE / np.sqrt(centred.shape[1]))
    has_direction = lengths > smallest * np.maximum(sizes, np.finfo(np.float64).tiny)
    count = int(has_direction.sum())
    if count < FEWEST:
        return None
    directions = (traceless / np.where(lengths > 0, lengths, 1)[:, None, None])[has_direction].reshape(count, 9)
    squares = np.square(directions @ directions.T)
    mean = (squares.sum() - count) / (count * (count - 1))  # without the pairs of an object and itself
    return float((mean - 0.2) / 0.8)
