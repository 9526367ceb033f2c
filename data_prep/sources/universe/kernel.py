"""The compiled loop over shapes, and its compilation ahead of the first call."""

import os
import tempfile
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import numba
import numpy as np

from data_prep.compiling import compile_alone, compile_kernel, get_user_id
from data_prep.sources.universe.composition import MOST_PARTS, compose
from data_prep.sources.universe.parts import WIDTH
from data_prep.sources.universe.random_numbers import start
from data_prep.sources.universe.sampling import move_to_ball, sample_union


@compile_kernel
def make_clouds(keys: Any, version: Any, seed: Any, switches: Any, clouds: Any) -> None:
    """Fill clouds (B, points, 3) float32 with the shapes of these keys (B,) uint64."""
    points = clouds.shape[1]
    state = np.empty(1, np.uint64)
    parts = np.zeros((MOST_PARTS, WIDTH))
    cloud = np.empty((2 * points + 64, 3))
    for row in range(keys.size):
        start(state, version, seed, keys[row])
        count = compose(parts, switches, state)
        sample_union(parts, count, points, cloud, state)
        move_to_ball(cloud, clouds[row])


def precompile() -> None:
    """Compile the kernel, or load it if this machine has compiled it before.

    Processes that call this while nothing is compiled wait for the first process.
    """
    if make_clouds.signatures:
        return
    marker = _marker()
    if marker.exists():
        _run_once()
        return
    with compile_alone("compiling the universe (once on this machine, 30 s)"):
        _run_once()
    with suppress(OSError):
        marker.touch()


def _run_once() -> None:
    switches = np.ones(2)
    make_clouds(np.zeros(1, np.uint64), np.uint64(1), np.uint64(0), switches, np.empty((1, 8, 3), np.float32))


def _marker() -> Path:
    """Return the path of an empty file that marks this version of the kernel as compiled."""
    folder = Path(__file__).parent
    times = [(path.name, path.stat().st_mtime_ns) for path in sorted(folder.glob("*.py"))]
    key = (str(folder), times, numba.__version__, os.environ.get("NUMBA_CACHE_DIR"))
    name = f"spectral-ssl-{get_user_id()}-compiled-{sha256(repr(key).encode()).hexdigest()[:16]}"
    return Path(tempfile.gettempdir()) / name
