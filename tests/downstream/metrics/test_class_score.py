"""The classifier learns real maps, classifies samples, and its scores follow their formulas."""

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import write_random_maps

from data_prep.basis import pixel_basis, zernike_basis
from downstream.metrics.class_score import (
    add_label_noise,
    compute_class_score,
    match_classes,
    match_classes_by_neighbour,
    train_classifier,
)
from pretext.data.standardise import Standardiser
from pretext.tasks.image_views import ImageViewsConfig
from spectral_ssl.ground.errors import UserError


def test_classifier_learns_the_classes(tmp_path: Path) -> None:
    maps = write_random_maps(tmp_path / "maps.h5", zernike_basis(8), train=96, test=30)
    standardise = Standardiser.of(maps)
    classifier = train_classifier(maps, standardise, epochs=12, width=8, batch_size=16)
    assert classifier.test_accuracy > 0.8
    again = train_classifier(maps, standardise, epochs=12, width=8, batch_size=16)
    assert again.test_accuracy == classifier.test_accuracy
    rows = maps.rows("test")
    samples = standardise(maps.read(rows))[:, None]
    right = match_classes(classifier, samples, maps.labels[rows])
    assert right.shape == (30, 1)
    assert right.mean() == pytest.approx(classifier.test_accuracy)
    assert match_classes(classifier, samples, (maps.labels[rows] + 1) % 3).mean() < 0.2
    assert classifier.features(samples[:, 0]).shape == (30, 64)
    untrained = train_classifier(maps, standardise, epochs=0, width=8)
    assert untrained.test_accuracy < classifier.test_accuracy
    noise = train_classifier(maps, standardise, epochs=12, width=8, batch_size=16, label_noise=1.0)
    assert noise.test_accuracy < 0.4  # no label of its training was right


def test_views_depend_on_the_seed_and_need_images_of_their_size(tmp_path: Path) -> None:
    maps = write_random_maps(tmp_path / "maps.h5", pixel_basis(1, 16, 16), train=96, test=30)
    standardise, views = Standardiser.of(maps), ImageViewsConfig(crop=0.5, jittered=0.0, grey=0.0)
    found = [train_classifier(maps, standardise, epochs=4, width=4, batch_size=16, views=views) for _ in range(2)]
    same = [torch.equal(*pair) for pair in zip(*(each.network.parameters() for each in found), strict=True)]
    assert all(same)
    plain = train_classifier(maps, standardise, epochs=4, width=4, batch_size=16)
    assert any(
        not torch.equal(*pair) for pair in zip(plain.network.parameters(), found[0].network.parameters(), strict=True)
    )
    assert found[0].test_accuracy > 0.5
    with pytest.raises(UserError, match="the images' size"):
        train_classifier(maps, standardise, views=ImageViewsConfig(side=8))
    spectral = write_random_maps(tmp_path / "spectral.h5", zernike_basis(8))
    with pytest.raises(UserError, match="views are for images only"):
        train_classifier(spectral, Standardiser.of(spectral), views=views)


def test_label_noise_replaces_the_requested_share() -> None:
    labels = np.arange(1000) % 10
    for share in (0.0, 0.3, 1.0):
        noisy = add_label_noise(labels, 10, share, seed=2)
        assert np.mean(noisy != labels) == pytest.approx(share)
        assert noisy.min() >= 0
        assert noisy.max() <= 9


def test_the_nearest_real_map_decides() -> None:
    real = np.array([[[0.0, 0.0]], [[1.0, 1.0]], [[5.0, 5.0]]])
    samples = np.array([[[0.1, 0.0]], [[4.0, 6.0]], [[0.9, 0.9]]])
    right = match_classes_by_neighbour(real, np.array([0, 1, 2]), samples, np.array([0, 2, 0]))
    assert right.tolist() == [True, True, False]


def test_the_class_score_goes_from_one_to_the_number_of_classes() -> None:
    assert compute_class_score(np.zeros((7, 5))) == pytest.approx(1)
    assert compute_class_score(np.tile([9.0, 0, 0], (4, 1))) == pytest.approx(1)
    assert compute_class_score(1000 * np.eye(6)) == pytest.approx(6)
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(50, 4))
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    divergence = (shares * np.log(shares / shares.mean(axis=0))).sum(axis=1).mean()
    assert compute_class_score(logits) == pytest.approx(np.exp(divergence))


def test_what_cannot_be_classified_is_refused(tmp_path: Path) -> None:
    single = write_random_maps(tmp_path / "single.h5", zernike_basis(4), classes=1)
    with pytest.raises(UserError, match="a single class"):
        train_classifier(single, Standardiser.of(single))
    unlabelled = write_random_maps(tmp_path / "unlabelled.h5", zernike_basis(4), labelled=False)
    with pytest.raises(UserError, match="without a label"):
        train_classifier(unlabelled, Standardiser.of(unlabelled))
    untested = write_random_maps(tmp_path / "untested.h5", zernike_basis(4), test=0)
    with pytest.raises(UserError, match="training and a test split"):
        train_classifier(untested, Standardiser.of(untested))
