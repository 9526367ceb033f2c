"""k-means patch features against their formula."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from downstream.features.kmeans_patches import PatchConfig, has_quadrants, learn_patch_features
from spectral_ssl.ground.errors import UserError

SMALL = PatchConfig(side=3, centroids=6, patches=500)


def images(count: int = 20, side: int = 9, channels: int = 2) -> NDArray[np.float32]:
    smooth = np.random.default_rng(0).normal(size=(count, channels, side, side)).cumsum(axis=2).cumsum(axis=3)
    return (smooth / np.abs(smooth).max()).astype(np.float32)


def test_patch_features_follow_the_formula_at_every_place() -> None:
    samples = images()
    learnt = learn_patch_features(samples, SMALL)
    found = learnt(samples)
    assert found.shape == (20, 4 * 6)
    assert found.dtype == np.float32
    active = np.zeros((7, 7, 6))
    for top in range(7):
        for left in range(7):
            patch = samples[4, :, top : top + 3, left : left + 3].ravel().astype(np.float64)
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
    samples = images(60)
    learnt = learn_patch_features(samples, PatchConfig(side=3, centroids=2, patches=5000, whitening=1e-3))
    windows = torch.nn.functional.unfold(torch.from_numpy(samples), 3).transpose(1, 2).reshape(-1, 18)
    centred = windows - windows.mean(dim=1, keepdim=True)
    contrast = centred / (centred.square().sum(dim=1, keepdim=True) / 17 + 10 / 127.5**2).sqrt()
    spread = np.linalg.eigvalsh(np.cov(((contrast - learnt.mean) @ learnt.whiten).T.numpy()))
    assert spread.max() < 1.2
    assert np.median(spread) > 0.7
    assert spread.min() < 0.01  # a patch without its mean has one direction fewer


def test_patch_features_are_those_of_a_seed_and_of_whole_images_in_any_number() -> None:
    samples = images()
    learnt, again = (learn_patch_features(samples, SMALL) for _ in range(2))
    assert torch.equal(learnt.centroids, again.centroids)
    np.testing.assert_allclose(learnt(samples)[7:8], learnt(samples[7:8]), rtol=1e-4, atol=1e-4)
    other = learn_patch_features(samples, PatchConfig(side=3, centroids=6, patches=500, seed=1))
    assert not torch.equal(learnt.centroids, other.centroids)


def test_images_without_room_for_quadrants_are_refused() -> None:
    assert has_quadrants((1, 7, 7), PatchConfig())
    assert not has_quadrants((1, 6, 9), PatchConfig())
    with pytest.raises(UserError, match="too small"):
        learn_patch_features(images(side=6), PatchConfig(centroids=2, patches=10))
    with pytest.raises(UserError, match="centroids"):
        PatchConfig(centroids=0)
