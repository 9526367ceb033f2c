"""Running the compiled moment sums: checks, precision, threads, and compiling once for several processes."""

import logging
import os
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import lru_cache
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from data_prep.transforms.kernels import moment_sums as moments_kernel
from data_prep.transforms.recurrences import Tables, zernike_tables
from spectral_ssl.ground.errors import ObjectError, UserError

_log = logging.getLogger(__name__)

# Farther out is an error. Callers scale clouds into the ball in float32 or better, which keeps well within this.
LARGEST_RADIUS = 1.0 + 1e-6
# Long blocks save the fixed cost of each tile. But the radial rows of a block (121 at Zernike order 20) should fill no
# more than a part of a second-level cache: with 1024 points times were now 10 % shorter and now 60 % longer. Harmonics
# have a single radial row.
_ZERNIKE_BLOCK, _SHELL_BLOCK = 512, 1024
_TINY = {"float32": 1e-28, "float64": 1e-150}


def run(
    points: ArrayLike, weights: ArrayLike | None, tables: Tables, shells: int, dtype: DTypeLike, threads: int
) -> NDArray[Any]:
    """Moments of a batch of clouds; the common part of ``zernike_moments`` and ``shell_moments``.

    Parameters
    ----------
    points : (B, N, 3) array of real numbers
        Clouds within the unit ball.
    weights : (N,) or (B, N) array of real numbers, optional
        1/N each by default.
    tables : Tables
        Recurrences of the basis.
    shells : int
        0 for Zernike moments.
    dtype : float32 or float64
        Precision of computing and of the result.
    threads : int
        Objects worked on at the same time. Each object is summed by one thread in one order, so that the result
        does not depend on this number.

    Returns
    -------
    (B, coefficients) array of ``dtype``

    Raises
    ------
    UserError
        When shapes, dtype or the number of threads make no sense, or a weight is not finite.
    ObjectError
        When a point is not finite or lies outside the unit ball; names the first such object of the batch.
    """
    precision = np.dtype(dtype)
    if precision.name not in _TINY:
        raise UserError("unknown precision of moments", precision.name, "give float32 or float64")
    if threads < 1:
        raise UserError("number of threads", threads, "give 1 or more")
    clouds = as_clouds(points)
    mass = as_weights(weights, clouds)
    out = np.empty((clouds.shape[0], tables.coefficients), precision)
    farthest = np.zeros(clouds.shape[0])
    # weights near one, so that tiny ones do not meet the flush to zero; undone below
    largest = np.abs(mass).max(axis=1, initial=0.0, keepdims=True)
    largest[largest == 0.0] = 1.0
    mass = _frozen(mass / largest)
    constants = _constants(tables, precision.name)

    def work(part: slice) -> None:
        own_mass = mass if mass.shape[0] == 1 else mass[part]
        block = _SHELL_BLOCK if shells else _ZERNIKE_BLOCK
        arguments = (clouds[part], own_mass, shells, block, LARGEST_RADIUS, *constants, out[part], farthest[part])
        moments_kernel.moments(*arguments)

    parts = _parts(clouds.shape[0], threads)
    if len(parts) == 1:
        work(parts[0])
    else:
        with ThreadPoolExecutor(len(parts)) as pool:
            list(pool.map(work, parts))
    refuse_outside(farthest)
    out *= largest.astype(precision)
    return out


def refuse_outside(farthest: NDArray[np.float64]) -> None:
    """Raise an ObjectError if one of the largest radii (B,) of a batch is above one or not finite."""
    bad = np.flatnonzero(~(farthest <= LARGEST_RADIUS))
    if bad.size:
        radius = farthest[bad[0]]
        reason = f"outside the unit ball (radius {radius:.6g})" if np.isfinite(radius) else "not finite"
        raise ObjectError(f"object {bad[0]} of the batch has a point that is {reason}")


def as_clouds(points: ArrayLike) -> NDArray[np.float64]:
    """The points as a read-only, aligned, C-contiguous (B, N, 3) float64 array.

    Raises
    ------
    UserError
        When they are not real numbers of that shape.
    """
    given = np.asarray(points)
    if given.ndim != 3 or given.shape[2] != 3:
        raise UserError("shape of a batch of clouds", given.shape, "give (objects, points, 3)")
    if given.dtype.kind not in "fiu":
        raise UserError("numbers of a batch of clouds", given.dtype, "give real numbers")
    return _frozen(given)


def as_weights(weights: ArrayLike | None, clouds: NDArray[np.float64]) -> NDArray[np.float64]:
    """The weights as (1 or B, N) float64; 1/N each where there are none.

    Raises
    ------
    UserError
        When they have another shape or are not finite.
    """
    objects, points = clouds.shape[:2]
    if weights is None:
        return np.full((1, points), 1.0 / max(points, 1))
    given = np.asarray(weights, dtype=np.float64)
    if given.shape not in ((points,), (objects, points)):
        raise UserError("shape of the weights", given.shape, f"give ({points},) or ({objects}, {points})")
    if not np.isfinite(given).all():
        raise UserError("weights", "a value that is not finite", "give finite weights")
    return given.reshape(-1, points)


def _frozen(array: NDArray[Any]) -> NDArray[np.float64]:
    # The compiler tells apart read-only and writable, aligned and unaligned arrays: one form, one compilation.
    view = np.require(array, np.float64, ["C_CONTIGUOUS", "ALIGNED"]).view()
    view.flags.writeable = False
    return view


@lru_cache(maxsize=64)
def _constants(tables: Tables, precision: str) -> tuple[Any, ...]:
    """The kernel's constant arguments in one precision; ``tables`` is one object per basis (see there)."""
    recurrences = [tables.sectoral, tables.upward, tables.jacobi]
    converted = [np.ascontiguousarray(array, dtype=precision) for array in recurrences]
    for array in converted:
        array.flags.writeable = False
    tiny = np.dtype(precision).type(_TINY[precision])
    return tiny, tables.channels, *converted, tables.gain, tables.radial_gain


def _parts(objects: int, threads: int) -> list[slice]:
    bounds = np.linspace(0, objects, max(1, min(threads, objects)) + 1).astype(int)
    return [slice(int(low), int(high)) for low, high in pairwise(bounds)]


def precompile(dtype: DTypeLike = np.float32) -> None:
    """Compile the kernel for one precision, or load it if that was done on this machine before.

    Processes that call it while nothing is compiled wait for the first one instead of compiling as well. A log line
    says that compiling goes on when it takes more than a moment.
    """
    if np.dtype(dtype) in _ready:
        return
    if is_compiled(dtype):  # loading takes half a second, which processes that start together need not do in turn
        _run_once(dtype)
    else:
        with compiling_alone("compiling the moment kernel (once on this machine, 15 s)"):
            _run_once(dtype)
        with suppress(OSError):
            _marker(dtype).touch()
    _ready.add(np.dtype(dtype))


@contextmanager
def compiling_alone(announcement: str) -> Iterator[None]:
    """Wait until no other process of this user compiles; log the line when the block takes more than a moment."""
    announce = threading.Timer(1.5, _log.warning, [announcement])
    announce.daemon = True
    announce.start()
    try:
        with _one_process_at_a_time():
            yield
    finally:
        announce.cancel()


def is_compiled(dtype: DTypeLike = np.float32) -> bool:
    """Whether the kernel was compiled on this machine before, as far as is known.

    When the compiled code was deleted since, the answer is wrong and processes may compile at the same time, which
    costs time and nothing else.
    """
    return np.dtype(dtype) in _ready or _marker(dtype).exists()


def _run_once(dtype: DTypeLike) -> None:
    run(np.zeros((1, 1, 3)), None, zernike_tables(1, None), 0, dtype, 1)


def _marker(dtype: DTypeLike) -> Path:
    """An empty file that says that this very kernel was compiled in this precision, where its compiled code lies."""
    source = Path(moments_kernel.__file__)
    what = (
        source,
        source.stat().st_mtime_ns,
        numba.__version__,
        os.environ.get("NUMBA_CACHE_DIR"),
        np.dtype(dtype).name,
    )
    name = f"spectral-ssl-{_user()}-compiled-{sha256(repr(what).encode()).hexdigest()[:16]}"
    return Path(tempfile.gettempdir()) / name


def _user() -> int:
    return os.getuid() if sys.platform != "win32" else 0


_ready: set[np.dtype[Any]] = set()


@contextmanager
def _one_process_at_a_time() -> Iterator[None]:
    """Hold a lock file of this user; where files cannot be locked, go on without."""
    if sys.platform == "win32":
        yield
        return
    import fcntl

    path = Path(tempfile.gettempdir()) / f"spectral-ssl-{_user()}-compile.lock"
    try:
        # no links: the folder is shared with other users
        handle = os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        _log.debug("no compile lock: %s", error)
        yield
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)  # given up when the file is closed, even by a kill
        yield
    finally:
        os.close(handle)
