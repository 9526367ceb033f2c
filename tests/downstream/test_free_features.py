"""Principal components and k-means patch features."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from downstream.features.kmeans_patches import PatchConfig, has_quadrants, learn_patch_features
from downstream.features.pca import COMPONENTS, compute_pca_features, fit_reduction, reduce_features
from spectral_ssl.ground.errors import UserError

SMALL = PatchConfig(side=3, centroids=6, patches=500)


def images(count: int = 20, side: int = 9, channels: int = 2) -> NDArray[np.float32]:
    smooth = np.random.default_rng(0).normal(size=(count, channels, side, side)).cumsum(axis=2).cumsum(axis=3)
    return (smooth / np.abs(smooth).max()).astype(np.float32)


@pytest.mark.parametrize(("rows", "dimensions"), [(50, 8), (20, 40), (500, 300)])
def test_components_are_those_of_the_covariance_of_train(rows: int, dimensions: int) -> None:
    generator = np.random.default_rng(0)
    values = (generator.normal(size=(rows + 30, dimensions)) * np.geomspace(10, 0.1, dimensions)).astype(np.float32)
    train = np.arange(rows)
    found = compute_pca_features(values, train)
    assert found.shape == (rows + 30, min(COMPONENTS, dimensions, rows))
    centred = values - values[train].mean(axis=0)
    spread, directions = np.linalg.eigh(np.cov(values[train].T.astype(np.float64)))
    wanted = centred @ directions[:, ::-1][:, :3]
    np.testing.assert_allclose(np.abs(found[:, :3]), np.abs(wanted), atol=2e-3)
    np.testing.assert_allclose(found[train].var(axis=0, ddof=1)[:3], spread[::-1][:3], rtol=1e-3)


def test_components_do_not_depend_on_the_test_split() -> None:
    values = np.random.default_rng(0).normal(size=(60, 10)).astype(np.float32)
    other = values.copy()
    other[40:] += 5
    train = np.arange(40)
    np.testing.assert_array_equal(compute_pca_features(values, train)[train], compute_pca_features(other, train)[train])


def test_a_reduction_keeps_distances_of_standardised_features_and_orders_by_variance() -> None:
    generator = np.random.default_rng(3)
    mixed = generator.normal(size=(200, 12)) @ generator.normal(size=(12, 12))
    values = (mixed * np.geomspace(1, 1e3, 12)).astype(np.float32)
    all_of_them = reduce_features(fit_reduction(values, 12), values)
    standardised = (values - values.mean(axis=0)) / values.std(axis=0)
    between = [np.linalg.norm(each[:50, None] - each[None, :50], axis=2) for each in (all_of_them, standardised)]
    np.testing.assert_allclose(*between, atol=1e-4)
    covariance = np.cov(all_of_them.T)
    np.testing.assert_allclose(covariance, np.diag(np.diag(covariance)), atol=1e-4)
    assert (np.diff(np.diag(covariance)) <= 0).all()
    few = reduce_features(fit_reduction(values, 3), values)
    assert few.dtype == np.float32
    np.testing.assert_allclose(few, all_of_them[:, :3], atol=1e-4)
    for wrong, said in ((np.nan, "not finite"), (0.0, "constant features")):
        with pytest.raises(UserError, match=said):
            fit_reduction(np.where(values > 1e9, values, np.float32(wrong)), 3)
    with pytest.raises(UserError, match="13 of 200 training samples with 12 features"):
        fit_reduction(values, 13)


def test_patch_features_follow_the_formula_at_every_place() -> None:
    pictures = images()
    learnt = learn_patch_features(pictures, SMALL)
    found = learnt(pictures)
    assert found.shape == (20, 4 * 6)
    assert found.dtype == np.float32
    active = np.zeros((7, 7, 6))
    for top in range(7):
        for left in range(7):
            patch = pictures[4, :, top : top + 3, left : left + 3].ravel().astype(np.float64)
            patch = (patch - patch.mean()) / np.sqrt(patch.var(ddof=1) + 10 / 127.5**2)
            white = (patch - learnt.mean.numpy()) @ learnt.whiten.numpy()
            distance = np.linalg.norm(white - learnt.centroids.numpy(), axis=1)
            active[top, left] = np.maximum(0, distance.mean() - distance)
    wanted = [
        active[rows, columns].sum(axis=(0, 1))
        for rows in (slice(3), slice(3, 7))
        for columns in (slice(3), slice(3, 7))
    ]
    np.testing.assert_allclose(found[4], np.concatenate(wanted), rtol=1e-3, atol=1e-3)


def test_whitening_makes_patches_white_up_to_its_regularisation() -> None:
    pictures = images(60)
    learnt = learn_patch_features(pictures, PatchConfig(side=3, centroids=2, patches=5000, whitening=1e-3))
    windows = torch.nn.functional.unfold(torch.from_numpy(pictures), 3).transpose(1, 2).reshape(-1, 18)
    centred = windows - windows.mean(dim=1, keepdim=True)
    contrast = centred / (centred.square().sum(dim=1, keepdim=True) / 17 + 10 / 127.5**2).sqrt()
    spread = np.linalg.eigvalsh(np.cov(((contrast - learnt.mean) @ learnt.whiten).T.numpy()))
    assert spread.max() < 1.2
    assert np.median(spread) > 0.7
    assert spread.min() < 0.01  # a patch without its mean has one direction fewer


def test_patch_features_are_those_of_a_seed_and_of_whole_images_in_any_number() -> None:
    pictures = images()
    learnt, again = (learn_patch_features(pictures, SMALL) for _ in range(2))
    assert torch.equal(learnt.centroids, again.centroids)
    np.testing.assert_allclose(learnt(pictures)[7:8], learnt(pictures[7:8]), rtol=1e-4, atol=1e-4)
    other = learn_patch_features(pictures, PatchConfig(side=3, centroids=6, patches=500, seed=1))
    assert not torch.equal(learnt.centroids, other.centroids)


def test_images_without_room_for_quadrants_are_refused() -> None:
    assert has_quadrants((1, 7, 7), PatchConfig())
    assert not has_quadrants((1, 6, 9), PatchConfig())
    with pytest.raises(UserError, match="too small"):
        learn_patch_features(images(side=6), PatchConfig(centroids=2, patches=10))
    with pytest.raises(UserError, match="centroids"):
        PatchConfig(centroids=0)
