"""The encoder of images and its layer of patch filters: formulas, sizes, what is learnt when."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

import spectral_ssl
from data_prep.basis import pixel_basis
from data_prep.maps.reader import MapFile, open_maps
from data_prep.maps.writer import MapWriter
from downstream.features.kmeans_patches import PatchConfig, learn_patch_features
from pretext.data.batch import Example, Problem
from pretext.method import LearnsBeforeTraining, build_seeded
from pretext.methods.joint_embedding import JointEmbedding, JointEmbeddingConfig
from pretext.networks.image_encoder import ImageEncoder
from pretext.networks.patch_dictionary import learn_dictionary, normalise_contrast
from pretext.networks.patch_layer import CONTRAST, SIDE, THRESHOLD, PatchLayer, draw_patches
from pretext.optimisation import run_whole_batch
from spectral_ssl.ground.config import build_config

SETTINGS = ("width=4", "code=8", "projector=12", "filters=5", "side=10", "batch_size=8", "warm_up=1")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(count: int = 12, channels: int = 3, height: int = 14, width: int = 11) -> Tensor:
    """Smooth images: running sums of noise."""
    steps = torch.randn(count, channels, height, width, generator=seeded(1))
    sums = steps.cumsum(dim=2).cumsum(dim=3)
    return sums / sums.abs().amax(dim=(1, 2, 3), keepdim=True)


def image_file(path: Path, channels: int = 3, side: int = 12) -> MapFile:
    basis = pixel_basis(channels, side, side)
    maps = images(32, channels, side, side).numpy()
    with MapWriter(
        path, basis, source="made-up", source_digest="0", classes=["a", "b"], count=32, created_by="test"
    ) as writer:
        ids, labels = [f"image-{row}" for row in range(32)], [row % 2 for row in range(32)]
        writer.append(maps, ids, labels, ["train"] * 20 + ["test"] * 12)
    return open_maps(path)


def test_the_patch_layer_follows_its_formula_at_every_place() -> None:
    given = images()
    layer = build_seeded(PatchLayer, 0, 3, 7)
    layer.learn(given, seeded())
    found = layer(given)
    assert found.shape == (12, 28)
    dictionary = learn_dictionary(draw_patches(given, 100_000, seeded()), 7, CONTRAST, 0.1, drawn_seed(given))
    directions = functional.normalize(dictionary.centroids, dim=1)
    active = torch.zeros(9, 6, 7)
    for top in range(9):
        for left in range(6):
            patch = given[4, :, top : top + SIDE, left : left + SIDE].flatten()
            white = (normalise_contrast(patch, CONTRAST) - dictionary.mean) @ dictionary.whiten
            active[top, left] = (directions @ white - THRESHOLD).clamp(min=0)
    parts = [active[rows, columns].mean(dim=(0, 1)) for rows in halves(9) for columns in halves(6)]
    torch.testing.assert_close(found[4], torch.cat(parts), atol=1e-3, rtol=1e-3)


def drawn_seed(given: Tensor) -> int:
    generator = seeded()
    draw_patches(given, 100_000, generator)
    return int(torch.randint(2**31 - 1, (), generator=generator))


def halves(count: int) -> tuple[slice, slice]:
    return slice(count // 2), slice(count // 2, None)


def test_patches_are_those_of_the_images() -> None:
    # the value of each pixel says where it is
    places = torch.arange(5 * 9 * 8).view(5, 1, 9, 8).float()
    patches = draw_patches(places, 4000, seeded())
    first = patches[:, 0].long()
    offsets = (torch.arange(SIDE)[:, None] * 8 + torch.arange(SIDE)).flatten()
    assert torch.equal(patches.long(), first[:, None] + offsets)
    which, top, left = first // 72, first % 72 // 8, first % 8
    for drawn, count in ((which, 5), (top, 4), (left, 3)):
        shares = torch.bincount(drawn) / 4000
        assert len(shares) == count
        assert (shares - 1 / count).abs().max() < 0.03


def test_whitened_patches_are_white_and_the_baseline_learns_the_same_dictionary() -> None:
    given = images(40)
    patches = draw_patches(given, 20_000, seeded())
    dictionary = learn_dictionary(patches, 4, CONTRAST, 1e-6, 0)
    white = ((normalise_contrast(patches, CONTRAST) - dictionary.mean) @ dictionary.whiten).double()
    values = torch.linalg.eigvalsh(white.T @ white / len(white))
    # one direction is missing: patches have no mean
    assert values[0] < 0.05
    assert (values[5:] - 1).abs().max() < 0.05
    learnt = learn_patch_features(given.numpy(), PatchConfig(centroids=4, patches=2000))
    assert learnt.centroids.shape == (4, 108)


@pytest.mark.parametrize(("height", "width"), [(32, 32), (64, 48), (9, 7), (3, 2)])
def test_one_encoder_reads_images_of_any_size(height: int, width: int) -> None:
    encoder = build_seeded(ImageEncoder, 0, 3, 4, 8, 5)
    given = images(6, 3, height, width)
    features = encoder.features(given)
    assert features.shape == (6, 4 * 14 * 4 + 8 + 20)
    assert torch.isfinite(features).all()
    assert encoder.training
    torch.testing.assert_close(encoder.features(given[2:3]), features[2:3], atol=1e-5, rtol=1e-4)


def test_mirrored_features_do_not_tell_an_image_from_its_mirror_image() -> None:
    given = images(6, 3, 32, 24)
    plain, mirrored = (build_seeded(partial(ImageEncoder, mirrored=both), 0, 3, 4, 8, 5) for both in (False, True))
    features = mirrored.features(given)
    torch.testing.assert_close(features, mirrored.features(given.flip(-1)), atol=1e-6, rtol=1e-5)
    expected = (plain.features(given) + plain.features(given.flip(-1))) / 2
    torch.testing.assert_close(features, expected, atol=1e-6, rtol=1e-5)
    assert not torch.allclose(plain.features(given), plain.features(given.flip(-1)), atol=1e-2)
    assert torch.equal(plain.eval()(given), mirrored.eval()(given))  # training is the same


@torch.no_grad()
def test_residual_blocks_add_to_the_second_and_third_stage() -> None:
    encoder = build_seeded(partial(ImageEncoder, blocks=2), 0, 3, 4, 8).eval()
    given = images(6, 3, 32, 24)
    first, second, third = encoder.compute_stages(given)
    assert [len(stage) for stage in encoder.stages] == [3, 5, 5]
    expected = encoder.stages[1][:3](functional.max_pool2d(first, 2, ceil_mode=True))
    for block in encoder.stages[1][3:]:
        change = block.layers(expected)
        assert change.min() < 0
        expected = torch.relu(expected + change)
    torch.testing.assert_close(second, expected)
    assert third.shape == (6, 32, 4, 3)


def test_the_loss_leaves_the_filters_alone_and_clean_images_change_them() -> None:
    problem = Problem((3, 12, 12), (3, 12, 12), True)
    config = build_config(JointEmbeddingConfig, {"width": 4, "code": 8, "projector": 12, "filters": 5}, "method")
    method = build_seeded(JointEmbedding, 0, config, problem)
    assert isinstance(method, LearnsBeforeTraining)
    drawn = method.encoder.patches.weight.clone()
    first = method.encode(images(12, 3, 12, 12))
    example = Example(images(12, 3, 12, 12), images(12, 3, 12, 12).flip(3), torch.ones(12, 3, 12, 12))
    run_whole_batch(method, example, seeded())
    assert torch.equal(method.encoder.patches.weight, drawn)
    method.learn_before_training(images(12, 3, 12, 12), seeded())
    assert not torch.equal(method.encoder.patches.weight, drawn)
    second = method.encode(images(12, 3, 12, 12))
    assert not torch.equal(first[:, -20:], second[:, -20:])
    plain = build_seeded(
        JointEmbedding,
        0,
        build_config(JointEmbeddingConfig, {"width": 4, "code": 8, "projector": 12}, "method"),
        problem,
    )
    plain.learn_before_training(images(12, 3, 12, 12), seeded())  # nothing to learn
    assert plain.encode(images(12, 3, 12, 12)).shape[1] == first.shape[1] - 20


@pytest.mark.parametrize(("recipe", "channels"), [("joint-embedding-cifar10", 3), ("joint-embedding-facades", 1)])
def test_a_recipe_trains_on_images_exports_and_is_probed(
    recipe: str, channels: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    maps = image_file(tmp_path / "images.h5", channels)
    run = spectral_ssl.pretrain(maps, recipe=recipe, epochs=2, settings=SETTINGS, out=tmp_path / "run")
    path = spectral_ssl.export(run, data=maps, out=tmp_path / "features.h5")
    assert path.is_file()
    features = run.encode_file(maps)
    assert features.shape == (32, 4 * 14 * 4 + 8 + 20)
    assert len(np.unique(features, axis=0)) == 32
    monkeypatch.setattr(
        "downstream.probes.compared_features.PatchConfig", lambda: PatchConfig(centroids=4, patches=500)
    )
    table = spectral_ssl.probe(maps, run=run, seeds=1, probes=["linear"])
    names = [row["features"] for row in table["rows"]]
    assert names == ["raw pixels", "PCA", "k-means patches", "untrained network", "trained network"]
