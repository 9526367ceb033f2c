"""Completing shapes: which points are taken away, and that the rest goes through the same transform as any cloud."""

import numpy as np
import pytest
import torch

from data_prep.basis import Basis, harmonics_basis, pixel_basis, radial_basis, zernike_basis
from data_prep.geometry.unit_ball import move_to_unit_ball
from data_prep.pipeline.shape_to_map import cloud_to_map, clouds_to_maps
from pretext.data.batch import Batch
from pretext.data.standardise import Standardiser
from pretext.tasks.complete_shape import (
    CompleteShapeConfig,
    complete_shape,
    complete_shape_problem,
    draw_selected,
    select_outside_half_space,
    select_visible,
)
from pretext.tasks.corruption.clouds import draw_directions
from spectral_ssl.ground.errors import UserError

BASES = [zernike_basis(8), zernike_basis(4, 3), harmonics_basis(5, 3)]
NOTHING = {"smallest": 0.0, "largest": 0.0}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def spheres(samples: int, points: int = 1500) -> np.ndarray:
    """Points on unit spheres, (samples, points, 3) float64."""
    vectors = np.random.default_rng(0).normal(size=(samples, points, 3))
    return vectors / np.linalg.norm(vectors, axis=2, keepdims=True)


def batch_of(basis: Basis, samples: int = 12) -> Batch:
    """Maps of ellipsoids as ``prep`` makes them, standardised by their own statistics, and float16 clouds."""
    forms = np.random.default_rng(1).uniform(0.3, 1.0, (samples, 1, 3))
    clouds = np.stack([move_to_unit_ball(cloud) for cloud in spheres(samples) * forms])
    maps = np.stack([cloud_to_map(cloud, basis) for cloud in clouds])
    mean, std = maps.mean(axis=0), maps.std(axis=0)
    std[std < 1e-6] = 1.0
    standardise = Standardiser.from_statistics(basis, torch.from_numpy(mean), torch.from_numpy(std))
    return Batch(standardise(maps), standardise, torch.from_numpy(clouds.astype(np.float16).astype(np.float32)))


@pytest.mark.parametrize("basis", BASES)
def test_where_nothing_is_removed_the_condition_is_the_target(basis: Basis) -> None:
    batch = batch_of(basis)
    whole = batch.standardise.undo(batch.maps)
    for settings in (NOTHING, {"kind": "view", "depth": 2.0}):
        example = complete_shape(batch, CompleteShapeConfig(**settings), seeded())
        assert torch.equal(example.target, batch.maps)
        # the clouds are stored as float16 (relative 5e-4), the maps are made before that; points that this brings
        # over the edge of a shell are what is more
        difference = (batch.standardise.undo(example.condition) - whole).abs().max()
        assert difference < (2e-3 if basis.kind == "zernike" else 5e-3)
        assert torch.equal(example.weight, batch.standardise.valid.expand_as(batch.maps).float())


def test_the_part_goes_through_the_transform_of_prep() -> None:
    batch = batch_of(BASES[0], samples=5)
    example = complete_shape(batch, CompleteShapeConfig(), seeded(3))
    # the same draws in the same order
    generator = seeded(3)
    directions = draw_directions(5, generator)
    removed = 0.3 + 0.3 * torch.rand(5, generator=generator)
    for row in range(5):
        cloud = batch.points[row].numpy()
        cloud = cloud / np.maximum(np.linalg.norm(cloud, axis=1, keepdims=True), 1)
        nearest = np.argsort(cloud @ directions[row].numpy())[: 1500 - round(1500 * removed[row].item())]
        expected = batch.standardise(cloud_to_map(cloud[nearest], BASES[0])[None])[0]
        assert (example.condition[row] - expected).abs().max() < 1e-3
        assert (example.condition[row] - example.target[row]).abs().max() > 0.5


def test_half_spaces_remove_the_asked_share_and_one_side() -> None:
    clouds = torch.from_numpy(spheres(50).astype(np.float32))
    directions = draw_directions(50, seeded())
    removed = torch.linspace(0, 0.99, 50)
    kept = select_outside_half_space(clouds, directions, removed)
    assert torch.equal(1500 - kept.sum(dim=1), (removed.double() * 1500).round().long())
    along = (clouds * directions[:, None]).sum(dim=2)
    for row in range(1, 50):
        assert along[row][kept[row]].max() <= along[row][~kept[row]].min() + 1e-6
    assert (select_outside_half_space(clouds, directions, torch.ones(50)).sum(dim=1) == 1).all(), "something stays"


def test_directions_are_spread_over_the_sphere() -> None:
    directions = draw_directions(20_000, seeded())
    assert torch.allclose(directions.norm(dim=1), torch.ones(20_000), atol=1e-5)
    assert directions.mean(dim=0).abs().max() < 0.02
    assert (directions.T @ directions / 20_000 - torch.eye(3) / 3).abs().max() < 0.02


def test_a_view_shows_the_near_side_of_a_sphere_and_hides_what_lies_behind() -> None:
    clouds = torch.from_numpy(spheres(20, 4000).astype(np.float32)) * 0.8
    directions = draw_directions(20, seeded())
    kept = select_visible(clouds, directions, cells=12, depth=0.2)
    along = (clouds * directions[:, None]).sum(dim=2) / 0.8
    assert kept[along > 0.6].float().mean() > 0.999
    assert kept[along < -0.6].float().mean() < 0.001
    assert 0.35 < kept.float().mean() < 0.5  # at the rim it looks along the surface and sees less of it
    # a sheet seen from the front is seen whole; the one behind it is not
    grid = torch.cartesian_prod(torch.linspace(-0.5, 0.5, 50), torch.linspace(-0.5, 0.5, 50))
    sheets = torch.cat([torch.cat([grid, torch.full((2500, 1), height)], dim=1) for height in (0.4, -0.4)])[None]
    seen = select_visible(sheets, torch.tensor([[0.0, 0.0, 1.0]]), cells=12, depth=0.2)[0]
    assert seen[:2500].all()
    assert not seen[2500:].any()


def test_drawn_points_are_kept_ones_each_as_often_as_the_next() -> None:
    clouds = torch.arange(10.0)[None, :, None].expand(3, 10, 3)
    kept = torch.zeros(3, 10, dtype=torch.bool)
    kept[0, 2:5], kept[1, :], kept[2, 7] = True, True, True
    drawn, stay = draw_selected(clouds, kept, 6, seeded())
    assert stay.all()
    assert drawn.shape == (3, 6, 3)
    assert sorted(drawn[0, :, 0].tolist()) == [2, 2, 3, 3, 4, 4]
    assert len(drawn[1, :, 0].unique()) == 6
    assert (drawn[2] == 7).all()


@pytest.mark.parametrize("settings", [{}, {"kind": "view"}, {"points": 300}, {"recentre": True}])
def test_the_seed_alone_decides(settings: dict[str, object]) -> None:
    batch, config = batch_of(BASES[0]), CompleteShapeConfig(**settings)
    before = batch.points.clone()
    first, second, other = (complete_shape(batch, config, seeded(seed)) for seed in (1, 1, 2))
    assert torch.equal(first.condition, second.condition)
    assert not torch.equal(first.condition, other.condition)
    assert torch.equal(batch.points, before)
    assert torch.isfinite(first.condition).all()


def test_a_recentred_part_is_what_prep_makes_of_it_as_a_cloud() -> None:
    batch = batch_of(BASES[2], samples=4)
    config = CompleteShapeConfig(smallest=0.5, largest=0.5, recentre=True)
    example = complete_shape(batch, config, seeded(4))
    directions = draw_directions(4, seeded(4))
    for row in range(4):
        cloud = batch.points[row].numpy()
        cloud = cloud / np.maximum(np.linalg.norm(cloud, axis=1, keepdims=True), 1)
        part = cloud[np.argsort(cloud @ directions[row].numpy())[:750]]
        expected = batch.standardise(cloud_to_map(move_to_unit_ball(part), BASES[2])[None])[0]
        assert (example.condition[row] - expected).abs().max() < 1e-3


def test_fewer_points_give_a_noisier_map_of_the_same_part() -> None:
    batch = batch_of(BASES[0])
    full, few = (complete_shape(batch, CompleteShapeConfig(points=points), seeded()) for points in (0, 400))
    undone = [batch.standardise.undo(example.condition) for example in (full, few)]
    difference = (undone[0] - undone[1]).square().mean().sqrt()
    assert 0 < difference < 0.05
    assert difference < 0.3 * (undone[0] - batch.standardise.undo(batch.maps)).square().mean().sqrt()


def test_points_that_rounding_brought_out_of_the_ball_are_taken_back() -> None:
    batch = batch_of(BASES[0], samples=3)
    farthest = batch.points.norm(dim=2).amax(dim=1)[:, None, None]
    outside = batch._replace(points=batch.points / farthest * 1.0005)
    example = complete_shape(outside, CompleteShapeConfig(**NOTHING), seeded())
    whole = batch.standardise.undo(example.target)
    assert (batch.standardise.undo(example.condition) - whole).abs().max() < 1e-2


@pytest.mark.parametrize("threads", [1, 3])
def test_batches_are_transformed_as_single_clouds_are(threads: int) -> None:
    clouds = spheres(7, 100) * 0.9
    for basis in BASES:
        expected = np.stack([cloud_to_map(cloud, basis) for cloud in clouds])
        assert np.array_equal(clouds_to_maps(clouds, basis, threads=threads), expected)


@pytest.mark.parametrize("basis", [pixel_basis(1, 8, 8), radial_basis(8)])
def test_data_without_points_are_refused(basis: Basis) -> None:
    with pytest.raises(UserError, match="--keep-points"):
        complete_shape_problem(basis, CompleteShapeConfig())


def test_a_batch_without_clouds_is_refused() -> None:
    with pytest.raises(UserError, match="--keep-points"):
        complete_shape(batch_of(BASES[0])._replace(points=None), CompleteShapeConfig(), seeded())


@pytest.mark.parametrize("settings", [{"largest": 1.0}, {"smallest": 0.9, "largest": 0.5}, {"cells": 0}, {"depth": -1}])
def test_settings_out_of_range_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(UserError, match="out of range"):
        CompleteShapeConfig(**settings)


def test_altered_objects_are_whole_objects_of_their_own() -> None:
    batch = batch_of(BASES[0], samples=5)
    config = CompleteShapeConfig(smallest=0.0, largest=1e-9, stretch=0.3, turn=1.0, mirror=True)
    example = complete_shape(batch, config, seeded())
    # nothing is removed, so that the part is the altered whole, which is not the object as it was
    torch.testing.assert_close(example.condition, example.target, atol=2e-4, rtol=0)
    assert ((example.target - batch.maps).abs().amax(dim=(1, 2, 3)) > 0.1).all()
    plain = complete_shape(batch, CompleteShapeConfig(), seeded())
    torch.testing.assert_close(plain.target, batch.maps, atol=0, rtol=0)
