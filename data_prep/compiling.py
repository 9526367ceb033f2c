"""Compilation with numba: the options of this package's kernels, and one process at a time that compiles them."""

import logging
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import numba

_log = logging.getLogger(__name__)
_Function = TypeVar("_Function", bound=Callable[..., Any])
_OPTIONS: dict[str, Any] = {"nogil": True, "fastmath": {"reassoc", "contract", "nsz"}, "error_model": "numpy"}


def compile_kernel(function: _Function) -> _Function:
    """Compile a function at its first call, and cache the machine code on disk where that is possible.

    Sums may be reordered, because vectorised partial sums need that. NaN and infinity keep their
    meaning.
    """
    try:
        machine_code: _Function = numba.njit(cache=True, **_OPTIONS)(function)
    except RuntimeError:  # Neither the package's nor the user's cache folder is writable.
        _warn_of_missing_cache()
        machine_code = numba.njit(**_OPTIONS)(function)
    return machine_code


def compile_helper(function: _Function) -> _Function:
    """Compile a function that only other compiled functions call, with the options of ``compile_kernel``.

    Its machine code is part of theirs and is not cached alone. So a kernel of several files is one
    entry of the cache. Numba renews an entry only if the file of the cached function changes, so the
    kernel must depend on the other files in another way, such as a digest in its closure.
    """
    machine_code: _Function = numba.njit(**_OPTIONS)(function)
    return machine_code


def compile_inline(function: _Function) -> _Function:
    """Compile a function as a part of its only caller, a compiled function.

    Numba optimises the code of each function together with all that it calls. So a chain of large
    functions is optimised again at each link, unless its links are inline.
    """
    machine_code: _Function = numba.njit(inline="always", **_OPTIONS)(function)
    return machine_code


@lru_cache(maxsize=1)  # so that the warning appears once
def _warn_of_missing_cache() -> None:
    _log.warning("no folder for compiled code is writable; set NUMBA_CACHE_DIR, or every process compiles again")


@contextmanager
def compile_alone(announcement: str) -> Iterator[None]:
    """Wait until no other process of this user compiles, and hold the lock during the block.

    Parameters
    ----------
    announcement : str
        The line to log if waiting and the block together take more than 1.5 seconds.
    """
    announce = threading.Timer(1.5, _log.warning, [announcement])
    announce.daemon = True
    announce.start()
    try:
        with _hold_lock():
            yield
    finally:
        announce.cancel()


def get_user_id() -> int:
    """Return the number of this user, which keeps the temporary files of users apart; 0 on Windows."""
    return os.getuid() if sys.platform != "win32" else 0


@contextmanager
def _hold_lock() -> Iterator[None]:
    """Hold a lock file of this user; where files cannot be locked, continue without a lock."""
    if sys.platform == "win32":
        yield
        return
    import fcntl

    path = Path(tempfile.gettempdir()) / f"spectral-ssl-{get_user_id()}-compile.lock"
    try:
        # Links are refused, because the folder is shared with other users.
        handle = os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        _log.debug("no compile lock: %s", error)
        yield
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)  # The system releases it when the file is closed, even by a kill.
        yield
    finally:
        os.close(handle)
