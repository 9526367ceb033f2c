"""Polar angle and azimuth of points, compiled without branches, so that the processor vectorises over points.

By symmetry the arctangent of u = a/b is needed for 0 <= a <= b only. If a > b tan(pi/8), the
identity arctan(a/b) = pi/4 + arctan((a - b) / (a + b)) reduces the argument. The remaining range
uses an odd polynomial: the expansion in Chebyshev polynomials up to degree 23, with t = tan(pi/16):

    arctan(u) = sum over k of 2 (-1)^k t^(2k+1) / (2k+1) T_2k+1(u / tan(pi/8)),    error below 1e-17
"""

from typing import Any

import numpy as np
from numpy.polynomial.chebyshev import cheb2poly

from data_prep.compiling import compile_kernel

_REACH = float(np.sqrt(2) - 1)  # tan(pi/8)


def _series() -> tuple[float, ...]:
    """Return the coefficients of arctan(u)/u in rising powers of u^2."""
    odd = np.arange(12)
    chebyshev = np.zeros(24)
    chebyshev[1::2] = 2 * (-1.0) ** odd * np.tan(np.pi / 16) ** (2 * odd + 1) / (2 * odd + 1)
    return tuple(float(value) for value in cheb2poly(chebyshev)[1::2] / _REACH ** (2 * odd + 1))


_C0, _C1, _C2, _C3, _C4, _C5, _C6, _C7, _C8, _C9, _C10, _C11 = _series()


@compile_kernel
def _octant(small: float, large: float) -> float:
    """Compute arctan(small / large) for 0 <= small <= large; 0 where both are 0."""
    far = small > _REACH * large
    over = small - large if far else small
    under = small + large if far else large
    under = under if under > 0.0 else 1.0
    u = over / under
    s = u * u
    value = _C10 + s * _C11
    value = _C8 + s * (_C9 + s * value)
    value = _C6 + s * (_C7 + s * value)
    value = _C4 + s * (_C5 + s * value)
    value = _C2 + s * (_C3 + s * value)
    value = u * (_C0 + s * (_C1 + s * value))
    return value + (np.pi / 4 if far else 0.0)


@compile_kernel
def _half_turn(y: float, x: float) -> float:
    """Compute the angle of (x, y) from the x axis for y >= 0, from 0 to pi."""
    wide = np.abs(x)
    steep = y > wide
    small, large = wide if steep else y, y if steep else wide
    angle = _octant(small, large)
    angle = np.pi / 2 - angle if steep else angle
    return np.pi - angle if x < 0.0 else angle


@compile_kernel
def compute_angles(cloud: Any, directions: Any, radii: Any, limit: float) -> tuple[int, int]:
    """Compute the polar angle, azimuth and radius of each point of a cloud, in place.

    Parameters
    ----------
    cloud : (3 N,) float64, contiguous
        The coordinates x, y, z of each point in turn.
    directions : (2 N,) float64, contiguous
        Filled with the polar angle, 0 to pi, and the azimuth, 0 to 2 pi, of each point; the centre
        gets zeros.
    radii : (N,) float64, contiguous
        Filled with the distances from the centre.
    limit : float
        Largest radius that counts as inside.

    Returns
    -------
    centred, outside : int
        Number of points at the centre, and number of points beyond the limit or not finite.
    """
    centred = outside = 0
    for i in range(radii.size):
        x, y, z = cloud[3 * i], cloud[3 * i + 1], cloud[3 * i + 2]
        level = x * x + y * y
        radius = np.sqrt(level + z * z)
        centred += 1 if radius == 0.0 else 0
        outside += 0 if radius <= limit else 1
        radii[i] = radius
        around = _half_turn(np.abs(y), x)
        directions[2 * i] = _half_turn(np.sqrt(level), z)
        directions[2 * i + 1] = 2 * np.pi - around if y < 0.0 else around
    return centred, outside
