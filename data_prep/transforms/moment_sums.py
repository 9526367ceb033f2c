"""Run the compiled moment sums: argument checks, precision, threads, and compilation ahead of the first call."""

import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import lru_cache
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from data_prep.compiling import compile_alone, get_user_id
from data_prep.transforms.kernels import moment_sums as moments_kernel
from data_prep.transforms.recurrences import Tables, build_zernike_tables
from spectral_ssl.ground.errors import ObjectError, UserError

# A larger radius is an error. Callers scale clouds into the ball in float32 or better, which stays
# well within this.
LARGEST_RADIUS = 1.0 + 1e-6
# Long blocks spread the fixed cost of a tile over more points. But the radial rows of a block (121
# at Zernike order 20) should fill only a part of a second-level cache: with 1024 points, times
# varied from 10 % shorter to 60 % longer. Shell harmonics have a single radial row.
_ZERNIKE_BLOCK, _SHELL_BLOCK = 512, 1024
_TINY = {"float32": 1e-28, "float64": 1e-150}


def compute_moments(
    points: ArrayLike, weights: ArrayLike | None, tables: Tables, shells: int, dtype: DTypeLike, threads: int
) -> NDArray[Any]:
    """Compute the moments of a batch of clouds: the common part of ``zernike_moments`` and ``shell_moments``.

    Parameters
    ----------
    points : (B, N, 3) array of real numbers
        Clouds within the unit ball.
    weights : (N,) or (B, N) array of real numbers, optional
        Mass of each point; 1/N each by default.
    tables : Tables
        Recurrences of the basis.
    shells : int
        Number of shells; 0 for Zernike moments.
    dtype : float32 or float64
        Precision of the computation and of the result.
    threads : int
        Number of threads. Each object is summed by one thread in one order, so the result does not
        depend on this number.

    Returns
    -------
    (B, coefficients) array of ``dtype``

    Raises
    ------
    UserError
        When shapes, dtype or the number of threads are invalid, or a weight is not finite.
    ObjectError
        When a point is not finite or lies outside the unit ball; it names the first such object of
        the batch.
    """
    precision = np.dtype(dtype)
    if precision.name not in _TINY:
        raise UserError("unknown precision of moments", precision.name, "give float32 or float64")
    if threads < 1:
        raise UserError("number of threads", threads, "give 1 or more")
    clouds = check_clouds(points)
    mass = check_weights(weights, clouds)
    out = np.empty((clouds.shape[0], tables.coefficients), precision)
    farthest = np.zeros(clouds.shape[0])
    # The kernel gets weights near one, so that its flush to zero spares tiny weights; this is
    # undone below.
    largest = np.abs(mass).max(axis=1, initial=0.0, keepdims=True)
    largest[largest == 0.0] = 1.0
    mass = _freeze(mass / largest)
    constants = _convert_tables(tables, precision.name)

    def work(part: slice) -> None:
        part_mass = mass if mass.shape[0] == 1 else mass[part]
        block = _SHELL_BLOCK if shells else _ZERNIKE_BLOCK
        arguments = (clouds[part], part_mass, shells, block, LARGEST_RADIUS, *constants, out[part], farthest[part])
        moments_kernel.sum_moments(*arguments)

    parts = _split(clouds.shape[0], threads)
    if len(parts) == 1:
        work(parts[0])
    else:
        with ThreadPoolExecutor(len(parts)) as pool:
            list(pool.map(work, parts))
    refuse_outside(farthest)
    out *= largest.astype(precision)
    return out


def refuse_outside(farthest: NDArray[np.float64]) -> None:
    """Raise an ObjectError if a largest radius (B,) of the batch is above one or not finite."""
    bad = np.flatnonzero(~(farthest <= LARGEST_RADIUS))
    if bad.size:
        radius = farthest[bad[0]]
        reason = f"outside the unit ball (radius {radius:.6g})" if np.isfinite(radius) else "not finite"
        raise ObjectError(f"object {bad[0]} of the batch has a point that is {reason}")


def check_clouds(points: ArrayLike) -> NDArray[np.float64]:
    """Return the points as a read-only, aligned, C-contiguous (B, N, 3) float64 array.

    Raises
    ------
    UserError
        When they are not real numbers of that shape.
    """
    array = np.asarray(points)
    if array.ndim != 3 or array.shape[2] != 3:
        raise UserError("shape of a batch of clouds", array.shape, "give (objects, points, 3)")
    if array.dtype.kind not in "fiu":
        raise UserError("numbers of a batch of clouds", array.dtype, "give real numbers")
    return _freeze(array)


def check_weights(weights: ArrayLike | None, clouds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weights as (1 or B, N) float64; 1/N each if there are none.

    Raises
    ------
    UserError
        When they have another shape or are not finite.
    """
    objects, points = clouds.shape[:2]
    if weights is None:
        return np.full((1, points), 1.0 / max(points, 1))
    array = np.asarray(weights, dtype=np.float64)
    if array.shape not in ((points,), (objects, points)):
        raise UserError("shape of the weights", array.shape, f"give ({points},) or ({objects}, {points})")
    if not np.isfinite(array).all():
        raise UserError("weights", "a value that is not finite", "give finite weights")
    return array.reshape(-1, points)


def _freeze(array: NDArray[Any]) -> NDArray[np.float64]:
    # numba compiles again for writable or unaligned arrays: with one form of array it compiles
    # once.
    view = np.require(array, np.float64, ["C_CONTIGUOUS", "ALIGNED"]).view()
    view.flags.writeable = False
    return view


@lru_cache(maxsize=64)
def _convert_tables(tables: Tables, precision: str) -> tuple[Any, ...]:
    """Return the kernel's constant arguments in one precision; each basis has a single ``tables`` object."""
    recurrences = [tables.sectoral, tables.upward, tables.jacobi]
    converted = [np.ascontiguousarray(array, dtype=precision) for array in recurrences]
    for array in converted:
        array.flags.writeable = False
    tiny = np.dtype(precision).type(_TINY[precision])
    return tiny, tables.channels, *converted, tables.gain, tables.radial_gain


def _split(objects: int, threads: int) -> list[slice]:
    bounds = np.linspace(0, objects, max(1, min(threads, objects)) + 1).astype(int)
    return [slice(int(low), int(high)) for low, high in pairwise(bounds)]


def precompile(dtype: DTypeLike = np.float32) -> None:
    """Compile the kernel for one precision, or load it if this machine has compiled it before.

    Processes that call this while nothing is compiled wait for the first process instead of
    compiling too. A log line reports the compilation when it takes more than a moment.
    """
    if np.dtype(dtype) in _ready:
        return
    if is_compiled(dtype):  # Loading takes 0.5 s; processes that start together load in parallel.
        _run_once(dtype)
    else:
        with compile_alone("compiling the moment kernel (once on this machine, 15 s)"):
            _run_once(dtype)
        with suppress(OSError):
            _marker(dtype).touch()
    _ready.add(np.dtype(dtype))


def is_compiled(dtype: DTypeLike = np.float32) -> bool:
    """Return whether this machine is known to have compiled the kernel before.

    The result is wrong if the compiled code has been deleted since. Then several processes may
    compile at the same time, which costs time and has no other effect.
    """
    return np.dtype(dtype) in _ready or _marker(dtype).exists()


def _run_once(dtype: DTypeLike) -> None:
    compute_moments(np.zeros((1, 1, 3)), None, build_zernike_tables(1, None), 0, dtype, 1)


def _marker(dtype: DTypeLike) -> Path:
    """Return the path of an empty file that marks this version of the kernel as compiled in this precision."""
    source = Path(moments_kernel.__file__)
    key = (
        source,
        source.stat().st_mtime_ns,
        numba.__version__,
        os.environ.get("NUMBA_CACHE_DIR"),
        np.dtype(dtype).name,
    )
    name = f"spectral-ssl-{get_user_id()}-compiled-{sha256(repr(key).encode()).hexdigest()[:16]}"
    return Path(tempfile.gettempdir()) / name


_ready: set[np.dtype[Any]] = set()
