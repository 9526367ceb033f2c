"""Real spherical harmonics at directions, and moments of point masses in radial shells.

The functions are real and orthonormal, without the Condon-Shortley phase. With P the orthonormal
associated Legendre function::

    Y_lm = sqrt(2) P_l|m|(cos theta) cos(m phi)    for m > 0,    P_l0    for m = 0,
           sqrt(2) P_l|m|(cos theta) sin(|m| phi)  for m < 0;    integral of Y_lm Y_l'm' over the sphere = delta
    c_klm = sum of w_i Y_lm(u_i) over the points of shell k: k/K <= r < (k+1)/K (the last shell
    includes r = 1)

This is pyshtools' ``normalization='ortho', csphase=1`` (Wieczorek and Meschede, "SHTools: Tools for
working with spherical harmonics", 2018). The recurrences are in
``data_prep.transforms.recurrences``.
"""

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from data_prep.basis import harmonics_basis
from data_prep.transforms import moment_sums as moments
from data_prep.transforms.recurrences import build_shell_tables
from spectral_ssl.ground.errors import UserError, unknown_name

Backend = Literal["own", "ducc"]


def spherical_harmonics(directions: ArrayLike, degree: int) -> NDArray[Any]:
    """Evaluate all real spherical harmonics Y_lm up to a degree at directions.

    Formulas and source are in the module's docstring.

    Parameters
    ----------
    directions : (..., 3) array of real numbers
        Vectors of any length except zero.
    degree : int
        Highest degree L, 0 to 100.

    Returns
    -------
    (..., (degree+1)^2) array
        Values in lexicographic order of (l, m); float32 if the directions are float32, else
        float64.

    Raises
    ------
    UserError
        When the shape is wrong, the degree is out of range, or a direction is zero or not finite.

    Notes
    -----
    Absolute error, poles included: at most 4e-8 (L + 1)(L + 20) sqrt((2L + 1) / (4 pi)) in float32,
    so 6e-5 (L = 20), 7e-4 (64) or 2e-3 (100). In float64 the factor is 7.5e-17, so 4e-12 (100). A
    search over directions reaches half of it. The worst ones are near a pole, where the rounding of
    z changes Y_l0 by l (l + 1) / 2 times as much. Other directions have an error of 1e-13 in float64
    against scipy.

    Examples
    --------
    >>> from data_prep import spherical_harmonics
    >>> values = spherical_harmonics([[0.0, 0.0, 1.0], [2.0, 0.0, 0.0]], degree=1)
    >>> values.shape
    (2, 4)
    >>> values[0].round(3).tolist()  # Y_00, Y_1-1, Y_10, Y_11 at the north pole
    [0.282, 0.0, 0.489, 0.0]
    """
    if not 0 <= degree <= 100:
        raise UserError("degree out of range", degree, "give 0 to 100")
    array = np.asarray(directions)
    if array.ndim == 0 or array.shape[-1] != 3 or array.dtype.kind not in "fiu":
        raise UserError("shape of the directions", array.shape, "give (..., 3) real numbers")
    vectors = array.reshape(-1, 3).astype(np.float64)
    length = np.linalg.norm(vectors, axis=1)
    if not np.all((length > 0) & np.isfinite(length)):
        raise UserError("directions", "a vector that is zero or not finite", "leave such directions out")
    precision = np.float32 if array.dtype == np.float32 else np.float64
    x, y, z = (vectors / length[:, None]).T.astype(precision)
    tables = build_shell_tables(degree, 1)
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
    return values.T.reshape(*array.shape[:-1], len(values))


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
    """Compute the spherical-harmonic moments of point masses in radial shells.

    c_klm = sum of w_i Y_lm(u_i) over the points of shell k; formulas and source are in the module's
    docstring.

    Parameters
    ----------
    points : (B, N, 3) array of real numbers
        Clouds within the unit ball (up to radius 1 + 1e-6). A point at the centre has no direction:
        its mass is spread over all directions, so it contributes to l = 0 only.
    degree : int
        Highest degree l, 1 to 100.
    shells : int
        Number K of shells of equal width, 1 to 64.
    weights : (N,) or (B, N) array of real numbers, optional
        Mass of each point; 1/N each by default.
    dtype : float32 or float64
        Precision of the computation and of the result.
    threads : int
        Number of objects processed at the same time; the result is bit-identical for any number.
    backend : {"own", "ducc"}
        The compiled sum of this package, or the fast transform of ducc0 (the ``ducc`` extra). ducc0
        is faster by an order of magnitude at degrees near 64. The choice never depends on what is
        installed, because results differ in rounding. For 2048 spread points they differ by less
        than 1e-6 of the largest moment. Prepared map files always use "own".

    Returns
    -------
    (B, shells * (degree+1)^2) array of ``dtype``
        Moments in lexicographic order of (k, l, m).

    Raises
    ------
    UserError
        When an argument is out of range or has the wrong shape, or the back end is not installed.
    ObjectError
        When a point is not finite or lies outside the ball.

    Notes
    -----
    Error of a moment with ``backend="own"`` in float32, for weights whose absolute values sum to one:
    at most 2.5e-8 (L + 1)(L + 20) sqrt((2L + 1) / (4 pi)), so 3.8e-5 (L = 20), 4.4e-4 (64) or 1.2e-3
    (100). A search over clouds reaches half of it: all directions agree and are near a pole. 2048
    points spread over the ball have an error of 1e-6 up to L = 100, because errors average out. In
    float64 the bound has 4.7e-17 in place of 2.5e-8. Against direct summation in scipy a spread
    cloud has an error of 1e-14 at degree 63.

    Examples
    --------
    >>> import numpy as np
    >>> from data_prep import shell_moments
    >>> points = np.random.default_rng(0).uniform(-0.5, 0.5, size=(2, 500, 3))
    >>> moments = shell_moments(points, degree=15, shells=8)
    >>> moments.shape
    (2, 2048)
    >>> mass = moments.reshape(2, 8, 256)[0, :, 0] / np.sqrt(0.25 / np.pi)  # of each shell
    >>> bool(np.isclose(mass.sum(), 1))
    True
    """
    harmonics_basis(degree, shells)  # This checks the ranges.
    if backend not in get_args(Backend):
        raise unknown_name("back end of harmonics", backend, get_args(Backend))
    clouds = moments.check_clouds(points)
    if backend == "ducc":
        # The import is here because ducc0 is an extra.
        from data_prep.transforms.ducc_moments import ducc_moments

        return ducc_moments(clouds, weights, degree, shells, np.dtype(dtype), threads)
    at_centre = ~clouds.any(axis=2)
    tables = build_shell_tables(degree, shells)
    if not at_centre.any():
        return moments.compute_moments(clouds, weights, tables, shells, dtype, threads)
    mass = np.full(clouds.shape[:2], 1 / clouds.shape[1]) if weights is None else np.asarray(weights, np.float64)
    if mass.shape not in (clouds.shape[:2], clouds.shape[1:2]):
        return moments.compute_moments(clouds, mass, tables, shells, dtype, threads)  # This raises the error.
    mass = np.broadcast_to(mass, clouds.shape[:2])
    values = moments.compute_moments(clouds, np.where(at_centre, 0.0, mass), tables, shells, dtype, threads)
    values[:, 0] += np.where(at_centre, mass, 0.0).sum(axis=1) * tables.sectoral[0]
    return values
