"""Constants of the recurrences of spherical harmonics and 3D Zernike functions, computed once per basis.

Angular part (u = (x, y, z) on the unit sphere, real, orthonormal, no Condon-Shortley phase)::

    sectoral    c + i s  <-  D_m (c + i s) (x + i y),    D_1 = sqrt(3), D_m = sqrt((2m + 1) / (2m))
    upwards     Y~_lm = 2 z Y~_(l-1)m - B_lm Y~_(l-2)m,  B_lm = 4 ((l-1)^2 - m^2) / (4 (l-1)^2 - 1)
    harmonics   Y_lm = G_lm Y~_lm,  G_mm = 1,  G_lm = G_(l-1)m A_lm / 2,  A_lm = sqrt((4 l^2 - 1) / (l^2 - m^2))

This is the usual recurrence Y_lm = A_lm z Y_(l-1)m - (A_lm / A_(l-1)m) Y_(l-2)m. One multiplication
per point moves into the constant G, which is applied to finished sums. G stays below 1e9 up to
degree 100.

Radial part, s = 2 r^2 - 1, n = l + 2k::

    R_nl(r) = sqrt(2n + 3) r^l P_k(s),   P_k = (a s + b) P_(k-1) - c P_(k-2)   [Jacobi, alpha = 0, beta = l + 1/2]

Sources: NIST Digital Library of Mathematical Functions 14.10.3 and 18.9.2 for the recurrences;
Novotni and Klein, "3D Zernike descriptors for content based shape retrieval", 2003, for the
functions.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Tables:
    """The constants of one truncation; all arrays are float64 or int64, C-contiguous and read-only.

    There is one object per truncation; objects compare by identity.

    Attributes
    ----------
    degree : int
        Highest angular degree L.
    channels : (L+1,) int64
        Number of radial channels of each degree l.
    sectoral : (L+2,) float64
        D_m; entry 0 is Y_00.
    upward : (L+1, L+2) float64
        B_lm.
    gain : (L+1, L+1) float64
        G_lm, zero above the diagonal.
    jacobi : (L+1, K, 3) float64
        a, b and c of P_k for each l; zeros for spherical harmonics.
    radial_gain : (L+1, K) float64
        sqrt(2n + 3) for Zernike functions, 1 for spherical harmonics.
    """

    degree: int
    channels: NDArray[np.int64]
    sectoral: NDArray[np.float64]
    upward: NDArray[np.float64]
    gain: NDArray[np.float64]
    jacobi: NDArray[np.float64]
    radial_gain: NDArray[np.float64]

    @property
    def coefficients(self) -> int:
        """Number of coefficients."""
        return int(np.sum(self.channels * (2 * np.arange(self.degree + 1) + 1)))


@lru_cache(maxsize=32)
def build_zernike_tables(degree: int, radial: int | None) -> Tables:
    """Build the tables of 3D Zernike functions: triangular truncation if ``radial`` is None, else rectangular."""
    degrees = np.arange(degree + 1)
    channels = (degree - degrees) // 2 + 1 if radial is None else np.full(degree + 1, radial)
    most = int(channels.max())
    k = np.arange(most)[None, :].astype(np.float64)
    beta = degrees[:, None] + 0.5
    jacobi = np.zeros((degree + 1, most, 3))
    both = 2 * k[:, 1:] + beta  # 2k + alpha + beta
    divisor = 2 * k[:, 1:] * (k[:, 1:] + beta) * (both - 2)
    jacobi[:, 1:, 0] = (both - 1) * both * (both - 2) / divisor
    jacobi[:, 1:, 1] = -(both - 1) * beta**2 / divisor
    jacobi[:, 1:, 2] = 2 * (k[:, 1:] - 1) * (k[:, 1:] + beta - 1) * both / divisor
    radial_gain = np.sqrt(2 * (degrees[:, None] + 2 * k) + 3)
    return _assemble(degree, channels, jacobi, radial_gain)


@lru_cache(maxsize=32)
def build_shell_tables(degree: int, shells: int) -> Tables:
    """Build the tables of spherical harmonics in ``shells`` radial shells, where the radial part is constant."""
    channels = np.full(degree + 1, shells)
    return _assemble(degree, channels, np.zeros((degree + 1, shells, 3)), np.ones((degree + 1, shells)))


def _assemble(
    degree: int, channels: NDArray[np.int64], jacobi: NDArray[np.float64], radial_gain: NDArray[np.float64]
) -> Tables:
    order = np.arange(1, degree + 2, dtype=np.float64)
    sectoral = np.concatenate([[np.sqrt(0.25 / np.pi)], np.sqrt((2 * order + 1) / (2 * order))])
    sectoral[1] = np.sqrt(3)  # This includes the sqrt(2) of all orders m > 0.
    below = np.arange(degree + 1, dtype=np.float64)[:, None] - 1  # l - 1
    orders = np.arange(degree + 2, dtype=np.float64)[None, :]
    # For l <= m + 1 there is no function two degrees down, so the factor must be exactly zero.
    upward = np.maximum(4 * (below**2 - orders**2) / (4 * below**2 - 1), 0.0)
    upward[:2] = 0.0
    gain = np.zeros((degree + 1, degree + 1))
    for m in range(degree + 1):
        gain[m, m] = 1.0
        for ell in range(m + 1, degree + 1):
            gain[ell, m] = gain[ell - 1, m] * 0.5 * np.sqrt((4 * ell * ell - 1) / (ell * ell - m * m))
    tables = Tables(degree, np.ascontiguousarray(channels, dtype=np.int64), sectoral, upward, gain, jacobi, radial_gain)
    for array in (tables.channels, sectoral, upward, gain, jacobi, radial_gain):
        array.flags.writeable = False  # All callers share the arrays through the cache.
    return tables
