"""Compiling with numba: the one way in which this package's kernels are compiled."""

import logging
from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar

import numba

_log = logging.getLogger(__name__)
_Function = TypeVar("_Function", bound=Callable[..., Any])


def compiled(function: _Function) -> _Function:
    """Compile a function when it is first called, and keep the result on disk where that is possible.

    Sums may be reordered (that is what makes vectors of partial sums), but NaN and infinity keep their meaning.
    """
    options: dict[str, Any] = {"nogil": True, "fastmath": {"reassoc", "contract", "nsz"}, "error_model": "numpy"}
    try:
        machine_code: _Function = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # neither the package's nor the user's cache folder can be written
        _warn_of_compiling()
        machine_code = numba.njit(**options)(function)
    return machine_code


@lru_cache(maxsize=1)  # once is enough
def _warn_of_compiling() -> None:
    _log.warning("no folder for compiled code can be written; set NUMBA_CACHE_DIR, or every process compiles anew")
