"""Features that rotations do not change, and that other changes do."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from data_prep.basis import harmonics_basis, pixel_basis, zernike_basis
from data_prep.layout import fold, list_indices
from data_prep.transforms.invariants import degree_norms, ring_norms
from data_prep.transforms.shell_harmonics import shell_moments
from data_prep.transforms.zernike import zernike_moments
from spectral_ssl.ground.errors import UserError

BASES = [zernike_basis(20), zernike_basis(15, 8), harmonics_basis(12, 4)]


def clouds(objects, points, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, size=(objects, points, 3)) / np.sqrt(3)


def transform(points, basis):
    if basis.kind == "sh":
        return fold(shell_moments(points, basis.degree, basis.radial, dtype=np.float64), basis)
    radial = None if basis.truncation == "triangular" else basis.radial
    return fold(zernike_moments(points, basis.degree, radial=radial, dtype=np.float64), basis)


@pytest.mark.parametrize("basis", BASES)
def test_norms_match_their_formulas(basis):
    table = list_indices(basis)
    values = np.random.default_rng(0).normal(size=(2, len(table)))
    maps = fold(values, basis)
    blocks = sorted({(k, ell) for k, ell, _ in table.tolist()})
    expected = [
        np.sqrt(sum(values[:, i] ** 2 for i in np.flatnonzero((table[:, :2] == block).all(axis=1)))) for block in blocks
    ]
    assert degree_norms(maps, basis) == pytest.approx(np.stack(expected, axis=1), rel=1e-14)
    row_of = {tuple(row): number for number, row in enumerate(table.tolist())}
    rings = [(k, ell, m) for k, ell, m in table.tolist() if m >= 0]
    ring_values = [
        np.abs(values[:, row_of[k, ell, 0]])
        if m == 0
        else np.hypot(values[:, row_of[k, ell, m]], values[:, row_of[k, ell, -m]])
        for k, ell, m in rings
    ]
    assert np.array_equal(ring_norms(maps, basis), np.stack(ring_values, axis=1))


@pytest.mark.parametrize("basis", BASES)
def test_unchanged_by_rotations(basis):
    points = clouds(2, 80)
    maps = transform(points, basis)
    anyhow = transform(points @ Rotation.random(random_state=0).as_matrix().T, basis)
    upright = transform(points @ Rotation.from_euler("z", 1.3).as_matrix().T, basis)
    assert np.abs(degree_norms(anyhow, basis) - degree_norms(maps, basis)).max() < 1e-14
    assert np.abs(ring_norms(upright, basis) - ring_norms(maps, basis)).max() < 1e-14
    # Other changes must change them.
    assert np.abs(ring_norms(anyhow, basis) - ring_norms(maps, basis)).max() > 0.01
    assert np.abs(degree_norms(maps[:1], basis) - degree_norms(maps[1:], basis)).max() > 0.01


def test_shapes_and_dtypes():
    basis = zernike_basis(20)
    maps = np.ones((3, 2, *basis.shape), np.float32)
    assert degree_norms(maps, basis).shape == (3, 2, 121)
    assert ring_norms(maps, basis).shape == (3, 2, sum((20 - 2 * k + 1) * (20 - 2 * k + 2) // 2 for k in range(11)))
    assert degree_norms(maps, basis).dtype == ring_norms(maps, basis).dtype == np.float32
    assert degree_norms(np.zeros((0, *basis.shape)), basis).shape == (0, 121)


@pytest.mark.parametrize("norms", [degree_norms, ring_norms])
def test_images_are_refused(norms):
    with pytest.raises(UserError, match="images"):
        norms(np.zeros((1, 4, 4)), pixel_basis(1, 4, 4))
