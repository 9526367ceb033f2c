"""Moments of point masses in shells by ducc0's transform for scattered points (the ``ducc`` extra).

ducc0 interpolates on a fine grid instead of summing over points: O(L^3 + N) instead of O(N L^2).
It is under the GPL, so this package never depends on it. Its coefficients a_lm are complex, with
the Condon-Shortley phase, ordered by m >= 0. Ours follow from them: c_l0 = a_l0,
c_lm = sqrt(2) (-1)^m Re a_lm, c_l-m = -sqrt(2) (-1)^m Im a_lm.
"""

import logging
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from data_prep.compiling import compile_alone, compile_kernel
from data_prep.transforms import moment_sums as moments
from data_prep.transforms.kernels.angles import compute_angles
from spectral_ssl.ground.errors import UserError

_log = logging.getLogger(__name__)

# Accuracy that ducc0 must reach. Measured errors at degree 63 against float64 sums, relative to the
# largest moment: 2e-7 in float32, 1e-14 in float64.
ACCURACY = {"float32": 1e-6, "float64": 1e-13}


def ducc_moments(
    clouds: NDArray[np.float64],
    weights: ArrayLike | None,
    degree: int,
    shells: int,
    precision: np.dtype[Any],
    threads: int,
) -> NDArray[Any]:
    """Compute shell moments with ducc0, for arguments that ``shell_harmonics.shell_moments`` has checked.

    Parameters and result are those of ``shell_moments``.

    Raises
    ------
    UserError
        When ducc0 is not installed, or precision or weights are invalid.
    ObjectError
        When a point is not finite or lies outside the ball.
    """
    transform = _load_transform()
    if precision.name not in ACCURACY:
        raise UserError("unknown precision of moments", precision.name, "give float32 or float64")
    if threads < 1:
        raise UserError("number of threads", threads, "give 1 or more")
    _precompile(precision)
    mass = moments.check_weights(weights, clouds).astype(precision)
    position, factors = _columns(degree, precision)
    radii = np.empty(clouds.shape[1])
    farthest = np.zeros(len(clouds))
    directions = np.empty((clouds.shape[1], 2))
    flat = directions.reshape(-1)
    out = np.zeros((len(clouds), shells, (degree + 1) ** 2), precision)
    for number, cloud in enumerate(clouds):
        centred, outside = compute_angles(cloud.reshape(-1), flat, radii, moments.LARGEST_RADIUS)
        if outside:
            farthest[number] = radii.max()
            continue
        cloud_mass = mass[number if len(mass) > 1 else 0]
        if centred:  # A point at the centre has no direction: its mass is spread over all directions.
            out[number, 0, 0] = cloud_mass[radii == 0].sum() * np.sqrt(0.25 / np.pi)
            cloud_mass = np.where(radii == 0, precision.type(0), cloud_mass)
        shell_of = np.minimum((radii * shells).astype(np.int64), shells - 1) if shells > 1 else None
        for shell in range(shells):
            chosen: Any = slice(None) if shell_of is None else shell_of == shell
            in_shell = directions[chosen]
            if len(in_shell) == 0:
                continue
            coefficients = transform(
                map=cloud_mass[chosen][None],
                loc=in_shell,
                spin=0,
                lmax=degree,
                epsilon=ACCURACY[precision.name],
                nthreads=threads,
            )[0]
            # The view has the real and the imaginary part of each number in turn.
            _add(coefficients.view(precision), position, factors, out[number, shell])
    moments.refuse_outside(farthest)
    return out.reshape(len(clouds), -1)


@compile_kernel
def _add(coefficients: Any, position: Any, factors: Any, out: Any) -> None:
    for i in range(out.size):
        out[i] += coefficients[position[i]] * factors[i]


@lru_cache(maxsize=2)
def _precompile(precision: np.dtype[Any]) -> None:
    """Compile this module's kernels, or load them, while no other process compiles."""
    with compile_alone("compiling the angles of points (once on this machine, some seconds)"):
        compute_angles(np.zeros(3), np.zeros(2), np.zeros(1), 1.0)
        position, factors = _columns(1, precision)
        _add(np.zeros(2 * len(position), precision), position, factors, np.zeros(len(position), precision))


@lru_cache(maxsize=16)
def _columns(degree: int, precision: np.dtype[Any]) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Return, for each of our coefficients (l, m), its index in ducc0's array of parts, and its factor."""
    ell = np.repeat(np.arange(degree + 1), 2 * np.arange(degree + 1) + 1)
    m = np.arange(len(ell)) - ell * ell - ell
    order = np.abs(m)
    complex_index = order * (2 * degree + 1 - order) // 2 + ell
    sign = np.where(m < 0, -1.0, 1.0) * np.where(order % 2, -1.0, 1.0)
    return 2 * complex_index + (m < 0), (sign * np.where(m == 0, 1.0, np.sqrt(2))).astype(precision)


@lru_cache(maxsize=1)  # so that the log line appears once
def _load_transform() -> Any:
    try:
        import ducc0
    except ImportError:
        raise UserError(
            "ducc0 is not installed", 'backend="ducc"', "pip install 'spectral-ssl[ducc]', or choose backend=\"own\""
        ) from None
    _log.warning("spherical harmonics of scattered points by ducc0 %s", ducc0.__version__)
    return ducc0.sht.adjoint_synthesis_general
