"""Real spherical harmonics at directions, and moments of point masses in radial shells.

Real, orthonormal, without the Condon-Shortley phase, P the orthonormal associated Legendre function::

    Y_lm = sqrt(2) P_l|m|(cos theta) cos(m phi)    for m > 0,    P_l0    for m = 0,
           sqrt(2) P_l|m|(cos theta) sin(|m| phi)  for m < 0;    integral of Y_lm Y_l'm' over the sphere = delta
    c_klm = sum of w_i Y_lm(u_i) over the points of shell k: k/K <= r < (k+1)/K (the last shell includes r = 1)

This is pyshtools' ``normalization='ortho', csphase=1``. The recurrences are in ``data_prep.transforms.recurrences``.
"""

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from data_prep.basis import harmonics_basis
from data_prep.transforms import moment_sums as moments
from data_prep.transforms.recurrences import shell_tables
from spectral_ssl.ground.errors import UserError, unknown_name

Backend = Literal["own", "ducc"]


def spherical_harmonics(directions: ArrayLike, degree: int) -> NDArray[Any]:
    """All real spherical harmonics up to a degree.

    Parameters
    ----------
    directions : (..., 3) array of real numbers
        Need not have length one, but must not be zero.
    degree : int
        Highest degree L, 0 to 100.

    Returns
    -------
    (..., (degree+1)^2) array
        In lexicographic order of (l, m); float32 if the directions are, else float64.

    Raises
    ------
    UserError
        When the shape is wrong, the degree is out of range, or a direction is zero or not finite.

    Notes
    -----
    Largest absolute error against scipy and mpmath, poles included: 1e-13 at L = 100 in float64, 1e-4 in float32.
    """
    if not 0 <= degree <= 100:
        raise UserError("degree out of range", degree, "give one from 0 to 100")
    given = np.asarray(directions)
    if given.ndim == 0 or given.shape[-1] != 3 or given.dtype.kind not in "fiu":
        raise UserError("shape of the directions", given.shape, "give (..., 3) real numbers")
    vectors = given.reshape(-1, 3).astype(np.float64)
    length = np.linalg.norm(vectors, axis=1)
    if not np.all((length > 0) & np.isfinite(length)):
        raise UserError("directions", "one that is zero or not finite", "leave such directions out")
    precision = np.float32 if given.dtype == np.float32 else np.float64
    x, y, z = (vectors / length[:, None]).T.astype(precision)
    tables = shell_tables(degree, 1)
    values = np.empty(((degree + 1) ** 2, len(vectors)), precision)
    cosine, sine = np.full_like(x, tables.sectoral[0]), np.zeros_like(x)
    for m in range(degree + 1):
        if m > 0:
            factor = precision(tables.sectoral[m])
            cosine, sine = factor * (cosine * x - sine * y), factor * (sine * x + cosine * y)
        for sign, sectoral in ((1, cosine), (-1, sine)):
            if m == 0 and sign < 0:
                continue
            below, current = np.zeros_like(x), sectoral
            for ell in range(m, degree + 1):
                if ell > m:
                    below, current = current, 2 * z * current - precision(tables.upward[ell, m]) * below
                values[ell * ell + ell + sign * m] = precision(tables.gain[ell, m]) * current
    return values.T.reshape(*given.shape[:-1], len(values))


def shell_moments(
    points: ArrayLike,
    degree: int,
    shells: int,
    weights: ArrayLike | None = None,
    *,
    dtype: DTypeLike = np.float32,
    threads: int = 1,
    backend: Backend = "own",
) -> NDArray[Any]:
    """Spherical-harmonic moments of point masses in radial shells.

    Parameters
    ----------
    points : (B, N, 3) array of real numbers
        Clouds within the unit ball (up to radius 1 + 1e-6). A point at the centre has no direction; it counts as
        spread over all of them, that is, in l = 0 only.
    degree : int
        Highest degree l, 1 to 100.
    shells : int
        Number K of shells of equal width, 1 to 64.
    weights : (N,) or (B, N) array of real numbers, optional
        Mass of each point; 1/N each by default.
    dtype : float32 or float64
        Precision of computing and of the result.
    threads : int
        Objects worked on at the same time; the result is bit-identical for any number.
    backend : {"own", "ducc"}
        The compiled sum of this package, or the fast transform of ducc0 (the ``ducc`` extra), which is faster by an
        order of magnitude at degrees near 64. Never chosen by what happens to be installed, because results differ in
        rounding (by less than 1e-6 of the largest moment); prepared map files are always made by "own".

    Returns
    -------
    (B, shells * (degree+1)^2) array of ``dtype``
        In lexicographic order of (k, l, m).

    Raises
    ------
    UserError
        When an argument is out of range or has the wrong shape, or the back end is not there.
    ObjectError
        When a point is not finite or lies outside the ball.

    Notes
    -----
    Largest absolute error of float32 against float64, for weights that sum to one: 1e-6 up to degree 64 for clouds
    that are spread over the ball; where all directions nearly agree, 1e-5 (degree 64) or 5e-5 (100). Float64 against
    direct summation in scipy: 1e-14 at degree 63.
    """
    harmonics_basis(degree, shells)  # checks the ranges
    if backend not in get_args(Backend):
        raise unknown_name("back end of harmonics", backend, get_args(Backend))
    clouds = moments.as_clouds(points)
    if backend == "ducc":
        # imported when it is asked for: ducc0 is an extra
        from data_prep.transforms.kernels.ducc import ducc_moments

        return ducc_moments(clouds, weights, degree, shells, np.dtype(dtype), threads)
    at_centre = ~clouds.any(axis=2)
    tables = shell_tables(degree, shells)
    if not at_centre.any():
        return moments.run(clouds, weights, tables, shells, dtype, threads)
    mass = np.full(clouds.shape[:2], 1 / clouds.shape[1]) if weights is None else np.asarray(weights, np.float64)
    if mass.shape not in (clouds.shape[:2], clouds.shape[1:2]):
        return moments.run(clouds, mass, tables, shells, dtype, threads)  # which says what is wrong
    mass = np.broadcast_to(mass, clouds.shape[:2])
    values = moments.run(clouds, np.where(at_centre, 0.0, mass), tables, shells, dtype, threads)
    values[:, 0] += np.where(at_centre, mass, 0.0).sum(axis=1) * tables.sectoral[0]
    return values
