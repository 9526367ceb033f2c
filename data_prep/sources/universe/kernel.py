"""The compiled loop over shapes, and its compilation ahead of the first call."""

import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from data_prep.compiling import compile_alone, compile_kernel, get_user_id
from data_prep.sources.universe.assemblies.composition import compose
from data_prep.sources.universe.plan import STEPS, SWITCH, WIDTH
from data_prep.sources.universe.random_numbers import start
from data_prep.sources.universe.surfaces.deformation import COLUMNS, draw_deformation, leave_undeformed
from data_prep.sources.universe.surfaces.sampling import move_to_ball, sample_union
from data_prep.sources.universe.surfaces.scene import new_scene

_NOT_COMPILED = ("__init__.py", "clouds.py", "source.py")


@lru_cache(maxsize=1)
def digest_sources() -> str:
    """Compute a digest of all files with compiled functions."""
    folder = Path(__file__).parent
    paths = [path for path in sorted(folder.rglob("*.py")) if path.name not in _NOT_COMPILED]
    return sha256(b"\0".join(path.read_bytes() for path in paths)).hexdigest()[:16]


def _build_kernel(sources: str) -> Callable[..., None]:
    """Compile the loop, or load it from numba's cache.

    Numba caches compiled code under the time of this file and the values that the function closes
    over. So the digest of all files is one of these values.
    """

    def make_clouds(
        keys: Any, version: Any, seed: Any, switches: Any, given: Any, scenes: Any, made: Any, clouds: Any
    ) -> None:
        if len(sources) == 0:
            return
        points = clouds.shape[1]
        state = np.empty(1, np.uint64)
        own_scene = np.zeros(given.shape[1:])
        plan = np.zeros((STEPS, WIDTH))
        plan[0, SWITCH : SWITCH + switches.size] = switches
        cloud = np.empty((2 * points + 64, 3))
        box = np.empty(6)
        for row in range(keys.size):
            start(state, version, seed, keys[row])
            if given.shape[0] > 0:
                own_scene[:] = given[row]
                leave_undeformed(own_scene, made[row])
            else:
                compose(plan, own_scene, state, box)
                draw_deformation(plan, own_scene, state, made[row])
            if scenes.shape[0] > 0:
                scenes[row] = own_scene
            sample_union(own_scene, made[row], points, cloud, state)
            move_to_ball(cloud, clouds[row])

    return compile_kernel(make_clouds)


_make_clouds = _build_kernel(digest_sources())
_ready: list[bool] = []


def make_clouds(
    keys: NDArray[np.uint64],
    version: int,
    seed: int,
    switches: NDArray[np.float64],
    clouds: NDArray[np.float32],
    *,
    given: NDArray[np.float64] | None = None,
    keep_scenes: bool = False,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fill clouds with the shapes of some keys.

    Parameters
    ----------
    keys : (B,) uint64 array
        Numbers of the shapes.
    version, seed : int
        The two other numbers that the shapes depend on.
    switches : (12,) float64 array
        The values of the ingredients.
    clouds : (B, points, 3) float32 array
        The array to fill.
    given : (B, ROWS, WIDTH) float64 array, optional
        Scenes to sample instead of new ones.
    keep_scenes : bool
        Whether to return the scenes.

    Returns
    -------
    scenes : (B, ROWS, WIDTH) float64 array
        The scenes; empty unless they are kept.
    made : (B, COLUMNS) float64 array
        The deformations and scans.
    """
    empty = np.empty((0, *new_scene().shape))
    scenes = np.empty((keys.size, *empty.shape[1:])) if keep_scenes else empty
    made = np.zeros((keys.size, COLUMNS + 6))
    numbers = np.uint64(version), np.uint64(seed)
    _make_clouds(keys, *numbers, switches, empty if given is None else given, scenes, made, clouds)
    return scenes, made[:, :COLUMNS]


def precompile() -> None:
    """Compile the kernel, or load it if this machine has compiled it before.

    Processes that call this while nothing is compiled wait for the first process.
    """
    if _ready:
        return
    marker = _marker()
    if marker.exists():
        _run_once()
    else:
        with compile_alone("compiling the universe of shapes (once on this machine, 60 s)"):
            _run_once()
        with suppress(OSError):
            marker.touch()
    _ready.append(True)


def _run_once() -> None:
    make_clouds(np.zeros(1, np.uint64), 1, 0, np.ones(12), np.empty((1, 8, 3), np.float32))


def _marker() -> Path:
    """Return the path of an empty file that marks this version of the kernel as compiled."""
    key = (str(Path(__file__)), digest_sources(), numba.__version__, os.environ.get("NUMBA_CACHE_DIR"))
    name = f"spectral-ssl-{get_user_id()}-compiled-{sha256(repr(key).encode()).hexdigest()[:16]}"
    return Path(tempfile.gettempdir()) / name
