"""Rotations and mirrors of maps in torch equal those in numpy, and are differentiable."""

import numpy as np
import pytest
import torch

from data_prep.basis import Basis, harmonics_basis, pixel_basis, radial_basis, zernike_basis
from data_prep.layout import fold, list_indices
from data_prep.pipeline.shape_to_map import cloud_to_map
from data_prep.transforms import rotation
from pretext.data.augment import SpectralAugment
from spectral_ssl.ground.errors import UserError

BASES = [zernike_basis(7), zernike_basis(4, 3), harmonics_basis(5, 2), radial_basis(6)]


def _maps(basis: Basis, count: int = 5) -> np.ndarray:
    return fold(np.random.default_rng(0).normal(size=(count, len(list_indices(basis)))), basis)


@pytest.mark.parametrize("basis", BASES, ids=lambda basis: f"{basis.kind}-{basis.truncation}")
def test_rotations_and_mirrors_equal_those_in_numpy(basis: Basis) -> None:
    maps, augment = _maps(basis), SpectralAugment(basis)
    angles = np.array([0.0, 0.3, -2.0, 3.1, 7.0])
    turned = augment.rotate(torch.from_numpy(maps), torch.from_numpy(angles)).numpy()
    np.testing.assert_allclose(turned, rotation.rotate_about_vertical(maps, basis, angles), atol=1e-13)
    assert np.abs(turned[1:] - maps[1:]).max() > 0.1
    chosen = torch.tensor([True, False, True, True, False])
    for axis in ("x", "y"):
        mirrored = augment.mirror(torch.from_numpy(maps), axis, chosen).numpy()
        expected = np.where(chosen.numpy()[:, None, None, None], rotation.mirror(maps, basis, axis), maps)
        np.testing.assert_array_equal(mirrored, expected)
        assert not np.array_equal(mirrored, maps)


def test_rotated_maps_equal_the_maps_of_rotated_points() -> None:
    basis = zernike_basis(10)
    points = np.random.default_rng(1).uniform(-0.5, 0.5, (300, 3))
    angle = 0.7
    cosine, sine = np.cos(angle), np.sin(angle)
    turned = points @ np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]]).T
    given = torch.from_numpy(cloud_to_map(points, basis)[None])
    found = SpectralAugment(basis).rotate(given, torch.tensor([angle]))
    np.testing.assert_allclose(found[0].numpy(), cloud_to_map(turned, basis), atol=2e-6)


def test_standardised_maps_are_rotated_as_coefficients() -> None:
    basis = zernike_basis(6)
    maps = _maps(basis)
    generator = np.random.default_rng(2)
    mean, std = generator.normal(size=basis.shape), generator.uniform(0.5, 2, basis.shape)
    angles = np.linspace(-3, 3, 5)
    standard = torch.from_numpy((maps - mean) / std)
    turned = SpectralAugment(basis, mean, std).rotate(standard, torch.from_numpy(angles))
    expected = (rotation.rotate_about_vertical(maps, basis, angles) - mean) / std
    np.testing.assert_allclose(turned.numpy(), expected, atol=1e-12)
    plain = SpectralAugment(basis).rotate(standard, torch.from_numpy(angles))
    assert (plain - turned).abs().max() > 0.1  # the statistics matter


def test_gradients() -> None:
    basis = zernike_basis(3)
    augment = SpectralAugment(basis, np.full(basis.shape, 0.2), np.full(basis.shape, 1.5))
    maps = torch.from_numpy(_maps(basis, 2)).requires_grad_()
    angles = torch.tensor([0.4, -1.3], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(augment.rotate, (maps, angles))
    chosen = torch.tensor([True, False])
    assert torch.autograd.gradcheck(lambda given: augment.mirror(given, "x", chosen), (maps,))


def test_random_rotations_depend_on_the_generator_alone() -> None:
    basis = zernike_basis(5)
    maps, augment = torch.from_numpy(_maps(basis, 64)).float(), SpectralAugment(basis)
    one, same, other = (augment.random(maps, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    # Norms do not change under rotations about the vertical and upright mirrors.
    rings = [np.sort(np.linalg.norm(values.numpy().reshape(64, -1), axis=1)) for values in (maps, one)]
    np.testing.assert_allclose(rings[0], rings[1], rtol=1e-5)
    still = augment.random(maps, torch.Generator().manual_seed(1), most=0.0)
    unmoved = (still == maps).flatten(1).all(dim=1)
    assert 10 < int(unmoved.sum()) < 54
    assert not augment.state_dict()


def test_wrong_shapes_and_bases_raise_user_errors() -> None:
    basis = zernike_basis(3)
    augment = SpectralAugment(basis)
    maps = torch.zeros(2, *basis.shape)
    with pytest.raises(UserError, match="that of images"):
        SpectralAugment(pixel_basis(1, 4, 4))
    with pytest.raises(UserError, match="only one"):
        SpectralAugment(basis, mean=np.zeros(basis.shape))
    with pytest.raises(UserError, match="shape of the statistics"):
        SpectralAugment(basis, np.zeros(3), np.ones(3))
    with pytest.raises(UserError, match="shape of the maps"):
        augment.rotate(maps[0], torch.zeros(2))
    with pytest.raises(UserError, match="shape of the angles"):
        augment.rotate(maps, torch.zeros(3))
    with pytest.raises(UserError, match="choice"):
        augment.mirror(maps, "x", torch.zeros(2))
    with pytest.raises(UserError, match="axis"):
        augment.mirror(maps, "z", torch.ones(2, dtype=torch.bool))
