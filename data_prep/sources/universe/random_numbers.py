"""Random number generation within compiled kernels: SplitMix64, whose state is one number.

A generator is an array of one uint64. Source: Steele, Lea and Flood, "Fast splittable pseudorandom
number generators" (2014).
"""

from math import log, pi, sqrt
from typing import Any

import numpy as np

from data_prep.compiling import compile_kernel

_STEP = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_SHIFTS = (np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11))
_UNIT = 1.0 / 9007199254740992.0  # 2^-53


@compile_kernel
def mix(value: Any) -> Any:
    """Scramble the bits of a uint64, so that neighbouring numbers give unrelated results."""
    value = (value ^ (value >> np.uint64(30))) * _FIRST
    value = (value ^ (value >> np.uint64(27))) * _SECOND
    return value ^ (value >> np.uint64(31))


@compile_kernel
def start(state: Any, version: Any, seed: Any, index: Any) -> None:
    """Start a generator that depends on three numbers (uint64) alone."""
    state[0] = mix(mix(mix(version + _STEP) ^ seed + _STEP) ^ index + _STEP)


@compile_kernel
def uniform(state: Any) -> float:
    """Return a uniform random number in [0, 1)."""
    state[0] = state[0] + _STEP
    return float(mix(state[0]) >> np.uint64(11)) * _UNIT


@compile_kernel
def between(state: Any, low: float, high: float) -> float:
    """Return a uniform random number between two limits."""
    return low + (high - low) * uniform(state)


@compile_kernel
def log_between(state: Any, low: float, high: float) -> float:
    """Return a random number whose logarithm is uniform between the logarithms of two limits."""
    return low * (high / low) ** uniform(state)


@compile_kernel
def below(state: Any, limit: int) -> int:
    """Return a random integer from 0 to ``limit - 1``."""
    return min(int(uniform(state) * limit), limit - 1)


@compile_kernel
def normal(state: Any) -> float:
    """Return a standard normal random number, by the method of Box and Muller."""
    return sqrt(-2.0 * log(1.0 - uniform(state))) * np.cos(2.0 * pi * uniform(state))
