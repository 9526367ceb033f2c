"""Short tests for ``doctor``: the transforms, and a method that learns."""

import math
import time
from importlib import import_module

import numpy as np

# Largest absolute deviation from orthonormality of the functions in float64; measured 2.4e-15 and
# 2.7e-15.
ORTHONORMAL_WITHIN = 1e-13
# Largest deviation of the float32 moments in maps from the sum of the functions in float64
# (docs/spectral-maps.md).
MOMENTS_WITHIN = 1e-6
DEGREE = 8
STEPS = 10
SAMPLES = 8


def zernike_orthonormality() -> float:
    """Measure how far the inner products of all Zernike functions up to ``DEGREE`` are from 0 and 1.

    Returns
    -------
    float
        max |<Z_i, Z_j> - delta_ij|, integrated over the unit ball by a quadrature that is exact for
        these degrees.
    """
    from data_prep.basis import zernike_basis
    from data_prep.transforms.zernike import zernike_functions

    nodes, across = np.polynomial.legendre.leggauss(DEGREE + 2)
    azimuth = 2 * np.pi * np.arange(2 * DEGREE + 1) / (2 * DEGREE + 1)
    r, z, phi = np.meshgrid((nodes + 1) / 2, nodes, azimuth, indexing="ij")
    ring = r * np.sqrt(1 - z**2)
    points = np.stack([ring * np.cos(phi), ring * np.sin(phi), r * z], axis=-1).reshape(-1, 3)
    mass = (r**2 * across[:, None, None] / 2 * across[None, :, None] * (2 * np.pi / (2 * DEGREE + 1))).ravel()
    values = zernike_functions(points, zernike_basis(DEGREE))
    return float(np.abs(values.T @ (mass[:, None] * values) - np.eye(values.shape[1])).max())


def harmonics_orthonormality() -> float:
    """Measure the same for spherical harmonics on the unit sphere."""
    from data_prep.transforms.shell_harmonics import spherical_harmonics

    nodes, across = np.polynomial.legendre.leggauss(DEGREE + 2)
    azimuth = 2 * np.pi * np.arange(2 * DEGREE + 1) / (2 * DEGREE + 1)
    z, phi = np.meshgrid(nodes, azimuth, indexing="ij")
    ring = np.sqrt(1 - z**2)
    directions = np.stack([ring * np.cos(phi), ring * np.sin(phi), z], axis=-1).reshape(-1, 3)
    mass = np.repeat(across * (2 * np.pi / (2 * DEGREE + 1)), len(azimuth))
    values = np.asarray(spherical_harmonics(directions, DEGREE)).reshape(len(directions), -1)
    return float(np.abs(values.T @ (mass[:, None] * values) - np.eye(values.shape[1])).max())


def moments_error() -> float:
    """Measure how far the compiled float32 moments of a cloud are from the mean of the functions over its points."""
    from data_prep.basis import zernike_basis
    from data_prep.transforms.zernike import zernike_functions, zernike_moments

    draw = np.random.default_rng(0)
    cloud = draw.normal(size=(512, 3))
    cloud *= (draw.random(512) ** (1 / 3) / np.linalg.norm(cloud, axis=1))[:, None]
    exact = zernike_functions(cloud, zernike_basis(DEGREE)).mean(axis=0)
    return float(np.abs(zernike_moments(cloud[None], DEGREE)[0] - exact).max())


def losses_of_training() -> list[float]:
    """Compute the losses of ``STEPS`` steps of the method regression, always on the same batch of the task denoise.

    Returns
    -------
    list of float
        The losses; they fall on a sound machine.
    """
    import torch

    from data_prep.basis import zernike_basis
    from data_prep.layout import find_valid_cells
    from pretext.data.batch import Batch
    from pretext.data.standardise import Standardiser
    from pretext.method import build_seeded
    from pretext.methods.regression import Regression, RegressionConfig
    from pretext.optimisation import run_whole_batch
    from pretext.randomness import seeded_generator
    from pretext.tasks.denoise import DenoiseConfig, denoise, denoise_problem

    basis = zernike_basis(DEGREE)
    standardise = Standardiser.from_statistics(basis, torch.zeros(basis.shape), torch.ones(basis.shape))
    maps = np.random.default_rng(0).normal(size=(SAMPLES, *basis.shape)).astype(np.float32) * find_valid_cells(basis)
    task = DenoiseConfig()
    config = RegressionConfig(width=4, code=16)
    method = build_seeded(Regression, 0, config, denoise_problem(basis, task))
    method.total_steps = STEPS
    example = denoise(Batch(standardise(maps), standardise), task, seeded_generator(0, "self-test"))
    return [run_whole_batch(method, example, seeded_generator(0, "step", step))["loss"] for step in range(STEPS)]


def transforms() -> tuple[bool, str, float]:
    """Test the transforms; return whether they are exact enough, how exact they are, and the seconds of the test."""
    started = time.monotonic()
    zernike, harmonics, moments = zernike_orthonormality(), harmonics_orthonormality(), moments_error()
    seconds = time.monotonic() - started
    well = max(zernike, harmonics) <= ORTHONORMAL_WITHIN and moments <= MOMENTS_WITHIN
    numbers = (
        f"orthonormal within {zernike:.1e} (Zernike), {harmonics:.1e} (harmonics), allowed {ORTHONORMAL_WITHIN:.0e}; "
        f"float32 moments within {moments:.1e}, allowed {MOMENTS_WITHIN:.0e}; {seconds:.1f} s"
    )
    return well, numbers, seconds


def training() -> tuple[bool, str, float]:
    """Train a small network on one batch; return whether its loss falls, the losses, and the seconds of the test."""
    for module in ("pretext.training.trainer", "pretext.methods.regression", "pretext.tasks.denoise"):
        import_module(module)  # the imports must not count as time of the training
    started = time.monotonic()
    losses = losses_of_training()
    seconds = time.monotonic() - started
    well = all(map(math.isfinite, losses)) and losses[-1] < losses[0]
    return well, f"loss {losses[0]:.3f} to {losses[-1]:.3f} in {STEPS} steps; {seconds:.1f} s", seconds
