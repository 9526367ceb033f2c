"""Motion of a cloud into the unit ball with +z up, the frame of every transform of this package."""

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from data_prep.source import Up, UpRule
from spectral_ssl.ground.errors import ObjectError, UserError, unknown_name

# The farthest point moves to radius 1/1.0001: the radial polynomials grow rapidly outside the ball,
# and rounding to float32 (6e-8) must not move a point there.
MARGIN = 1.0001

# For each up axis, the rotation (never a reflection) that turns it to +z: the old axis and the sign
# that become x, y and z.
TURNS: dict[Up, tuple[tuple[int, int, int], tuple[int, int, int]]] = {
    "+z": ((0, 1, 2), (1, 1, 1)),
    "-z": ((0, 1, 2), (1, -1, -1)),
    "+y": ((0, 2, 1), (1, -1, 1)),
    "-y": ((0, 2, 1), (1, 1, -1)),
    "+x": ((2, 1, 0), (-1, 1, 1)),
    "-x": ((2, 1, 0), (1, 1, -1)),
}

BY_FORMAT: Final = "by-format"
# The glTF 2.0 specification (3.4, coordinate system) has +y up. The other formats have no rule.
FORMAT_UP: dict[str, Up] = {".glb": "+y", ".gltf": "+y"}


def find_format_up(path: Path) -> Up | None:
    """Find the axis that points up by the specification of a file's format; None if it leaves it open."""
    return FORMAT_UP.get(path.suffix.lower())


def parse_up(text: str) -> UpRule:
    """Return an axis or ``by-format`` of this name.

    Raises
    ------
    UserError
        When there is no such axis.
    """
    rules: tuple[UpRule, ...] = (*TURNS, BY_FORMAT)
    rule = next((each for each in rules if each == text), None)
    if rule is None:
        raise unknown_name("up axis", text, rules)
    return rule


def choose_up(rule: UpRule, format_up: Up | None) -> Up:
    """Choose the axis that points up in one file.

    Parameters
    ----------
    rule : str
        One axis for all files, or "by-format".
    format_up : str or None
        The axis that the file's format specifies.

    Returns
    -------
    str
        The axis. With "by-format" it is "+z" where the format specifies none.

    Examples
    --------
    >>> from data_prep.geometry.unit_ball import choose_up
    >>> choose_up("by-format", "+y"), choose_up("by-format", None), choose_up("+x", "+y")
    ('+y', '+z', '+x')
    """
    return (format_up or "+z") if rule == BY_FORMAT else rule


def move_to_unit_ball(
    points: NDArray[np.floating],
    up: Up = "+z",
    *,
    weights: NDArray[np.floating] | None = None,
    centre: NDArray[np.floating] | None = None,
    reach: float = 1.0,
) -> NDArray[np.float32]:
    """Turn the up axis to +z, move the centroid to the origin, scale the farthest point to just inside the unit sphere.

    Parameters
    ----------
    points : ndarray, shape (N, 3)
        A cloud in any units.
    up : {"+x", "-x", "+y", "-y", "+z", "-z"}
        The axis that points up in the cloud.
    weights : ndarray, shape (N,), optional
        Masses of the points, used for the centroid and for ``reach``; equal by default.
    centre : ndarray, shape (3,), optional
        The point that moves to the origin, in the cloud's units; the centroid by default.
    reach : float
        The fraction of the mass, above 0 and up to 1, that must lie within the unit sphere. Below
        1, a few stray points do not shrink the object: points outside move radially to the sphere,
        so that their number and mass stay.

    Returns
    -------
    ndarray, shape (N, 3), float32
        Points with norms below 1. With the default ``centre`` and ``reach`` the mean is zero to
        rounding.

    Raises
    ------
    UserError
        When the reach is out of range.
    ObjectError
        When there are no points, some are not finite, or all coincide.

    Examples
    --------
    >>> import numpy as np
    >>> from data_prep import move_to_unit_ball
    >>> cloud = np.array([[10.0, 10.0, 30.0], [10.0, 10.0, 10.0]])
    >>> move_to_unit_ball(cloud).round(3).tolist()
    [[0.0, 0.0, 1.0], [0.0, 0.0, -1.0]]
    """
    if not 0 < reach <= 1:
        raise UserError("reach out of range", reach, "give more than 0 and at most 1")
    if points.ndim != 2 or points.shape[1] != 3 or len(points) == 0:
        raise ObjectError(f"not a cloud of points: shape {points.shape}")
    if not np.isfinite(points).all():
        raise ObjectError("coordinates that are not finite")
    axes, signs = TURNS[up]
    turned = points.astype(np.float64)[:, axes] * signs
    # Coordinates are scaled by their box first: the mean of coordinates near 1e300 would overflow.
    low, high = turned.min(axis=0), turned.max(axis=0)
    with np.errstate(over="ignore"):
        extent = float(np.max(high - low))
    if not np.isfinite(extent):
        raise ObjectError("coordinates too large")
    # An extent within rounding of the coordinates' size is noise, not a shape.
    if extent <= 1e-12 * max(float(np.abs(turned).max()), 1e-300):
        raise ObjectError("zero extent: all points coincide")
    turned = (turned - low) / extent
    if centre is None:
        turned -= turned.mean(axis=0) if weights is None else np.average(turned, axis=0, weights=weights)
    else:
        turned -= (np.asarray(centre, np.float64)[list(axes)] * signs - low) / extent
    distances = np.sqrt(np.square(turned).sum(axis=1))
    if reach == 1:
        turned /= MARGIN * distances.max()
        return np.asarray(turned, np.float32)
    radius = MARGIN * _quantile(distances, weights, reach)
    if not radius > 0:
        raise ObjectError("zero extent: nearly all points coincide")
    turned /= np.maximum(radius, MARGIN * distances)[:, None]
    return np.asarray(turned, np.float32)


def _quantile(distances: NDArray[np.float64], weights: NDArray[np.floating] | None, part: float) -> float:
    """Find the smallest distance that contains this part of the mass."""
    order = distances.argsort()
    mass = np.cumsum(np.ones(len(order)) if weights is None else weights[order].astype(np.float64))
    # Rounding of the sum could lead past the end.
    return float(distances[order[min(int(np.searchsorted(mass, part * mass[-1])), len(order) - 1)]])
