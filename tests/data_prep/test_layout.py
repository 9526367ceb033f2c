"""The order of coefficients and the folded square."""

import numpy as np
import pytest

from data_prep import layout
from data_prep.basis import harmonics_basis, pixel_basis, zernike_basis
from spectral_ssl.ground.errors import UserError

BASES = [
    zernike_basis(1),
    zernike_basis(20),
    zernike_basis(7),
    zernike_basis(15, 8),
    zernike_basis(1, 1),
    harmonics_basis(6, 3),
]


def test_a_small_case_by_hand():
    basis = zernike_basis(3)
    listed = layout.list_indices(basis).tolist()
    assert listed[:5] == [[0, 0, 0], [0, 1, -1], [0, 1, 0], [0, 1, 1], [0, 2, -2]]
    assert listed[16:] == [[1, 0, 0], [1, 1, -1], [1, 1, 0], [1, 1, 1]]
    maps = layout.fold(np.arange(1, 21), basis)
    assert maps[0].tolist() == [[1, 2, 6, 12], [3, 4, 5, 11], [7, 8, 9, 10], [13, 14, 15, 16]]
    assert maps[1].tolist() == [[17, 18, 0, 0], [19, 20, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]


@pytest.mark.parametrize("basis", BASES)
def test_every_cell_follows_the_rule(basis):
    table = layout.list_indices(basis)
    maps = layout.fold(np.arange(len(table)), basis)
    for number, (k, ell, m) in enumerate(table):
        assert (maps[k, ell, m] if m >= 0 else maps[k, -m - 1, ell]) == number


@pytest.mark.parametrize("basis", BASES)
def test_fold_and_unfold_are_inverse(basis):
    generator = np.random.default_rng(0)
    table = layout.list_indices(basis)
    assert len({tuple(row) for row in table.tolist()}) == len(table)
    assert table.tolist() == sorted(table.tolist())
    values = generator.normal(size=(2, 3, len(table))).astype(np.float32)
    maps = layout.fold(values, basis)
    assert maps.shape == (2, 3, *basis.shape)
    assert maps.dtype == np.float32
    assert np.array_equal(layout.unfold(maps, basis), values)
    valid = layout.find_valid_cells(basis)
    assert valid.sum() == len(table)
    assert not maps[..., ~valid].any()
    assert maps[..., valid].all()


def test_counts():
    assert len(layout.list_indices(zernike_basis(20))) == 1771
    assert layout.find_valid_cells(zernike_basis(20)).mean() == 1771 / (11 * 21 * 21)
    assert layout.find_valid_cells(zernike_basis(15, 8)).all()
    assert layout.find_valid_cells(harmonics_basis(15, 8)).all()
    assert len(layout.list_indices(zernike_basis(15, 8))) == 2048


@pytest.mark.parametrize("basis", BASES)
def test_degrees_orders_and_signs(basis):
    k, ell, m = layout.list_indices(basis).T
    assert np.array_equal(layout.unfold(layout.find_degrees(basis), basis), ell)
    assert np.array_equal(layout.unfold(layout.find_azimuthal_orders(basis), basis), m)
    assert np.array_equal(
        layout.unfold(layout.find_orders(basis), basis), ell + 2 * k if basis.kind == "zernike" else ell
    )
    empty = ~layout.find_valid_cells(basis)
    assert (layout.find_degrees(basis)[empty] == -1).all()
    assert (layout.find_orders(basis)[empty] == -1).all()
    if basis.truncation == "triangular":
        assert layout.find_orders(basis).max() <= basis.degree


@pytest.mark.parametrize("basis", BASES)
def test_opposite_orders(basis):
    opposite = layout.find_opposite_cells(basis)
    assert np.array_equal(opposite[opposite], np.arange(opposite.size))
    assert np.array_equal(
        layout.find_azimuthal_orders(basis).ravel()[opposite], -layout.find_azimuthal_orders(basis).ravel()
    )
    assert np.array_equal(layout.find_degrees(basis).ravel()[opposite], layout.find_degrees(basis).ravel())


def test_images_have_no_coefficients():
    basis = pixel_basis(3, 4, 5)
    assert layout.find_valid_cells(basis).shape == (3, 4, 5)
    assert layout.find_valid_cells(basis).all()
    for refused in (
        lambda: layout.fold(np.zeros(60), basis),
        lambda: layout.unfold(np.zeros((3, 4, 5)), basis),
        lambda: layout.list_indices(basis),
        lambda: layout.find_degrees(basis),
    ):
        with pytest.raises(UserError, match="images"):
            refused()


def test_wrong_shapes_are_refused():
    with pytest.raises(UserError, match="1771"):
        layout.fold(np.zeros(1770), zernike_basis(20))
    with pytest.raises(UserError, match="21, 21"):
        layout.unfold(np.zeros((11, 21, 20)), zernike_basis(20))


def test_shared_tables_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        layout.list_indices(zernike_basis(2))[0, 0] = 5
