"""Random number generation within compiled kernels: SplitMix64, whose state is one number.

A generator is an array of one uint64. Source: Steele, Lea and Flood, "Fast splittable pseudorandom
number generators" (2014).
"""

from math import cos, log, pi, sqrt
from typing import Any

import numpy as np

from data_prep.compiling import compile_helper

_STEP = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_UNIT = 1.0 / 9007199254740992.0  # 2^-53


@compile_helper
def hash_number(value: Any) -> Any:
    """Compute a number (uint64) whose bits depend on all bits of another number."""
    value = (value ^ (value >> np.uint64(30))) * _FIRST
    value = (value ^ (value >> np.uint64(27))) * _SECOND
    return value ^ (value >> np.uint64(31))


@compile_helper
def start(state: Any, version: Any, seed: Any, index: Any) -> None:
    """Start a generator that depends on three numbers (uint64) alone."""
    value = hash_number(version + _STEP)
    value = hash_number((value ^ seed) + _STEP)
    state[0] = hash_number((value ^ index) + _STEP)


@compile_helper
def uniform(state: Any) -> float:
    """Return a uniform random number in [0, 1)."""
    state[0] = state[0] + _STEP
    return float(hash_number(state[0]) >> np.uint64(11)) * _UNIT


@compile_helper
def chance(state: Any, probability: float) -> bool:
    """Return true with this probability."""
    return uniform(state) < probability


@compile_helper
def between(state: Any, low: float, high: float) -> float:
    """Return a uniform random number between two limits."""
    return low + (high - low) * uniform(state)


@compile_helper
def log_between(state: Any, low: float, high: float) -> float:
    """Return a random number whose logarithm is uniform between the logarithms of two limits."""
    return low * (high / low) ** uniform(state)


@compile_helper
def below(state: Any, limit: int) -> int:
    """Return a random integer from 0 to ``limit - 1``."""
    return min(int(uniform(state) * limit), limit - 1)


@compile_helper
def normal(state: Any) -> float:
    """Return a standard normal random number, by the method of Box and Muller."""
    return sqrt(-2.0 * log(1.0 - uniform(state))) * cos(2.0 * pi * uniform(state))
