"""Views: each alteration does what it says, and the map of a view is what prep would make of its points."""

import math

import numpy as np
import pytest
import torch

from data_prep.basis import Basis, harmonics_basis, pixel_basis, radial_basis, zernike_basis
from data_prep.geometry.unit_ball import move_to_unit_ball
from data_prep.pipeline.shape_to_map import clouds_to_maps
from data_prep.transforms.principal_frame import HALF_TURNS, UPRIGHT_HALF_TURNS, apply_half_turn
from pretext.data.batch import Batch
from pretext.data.standardise import Standardiser
from pretext.tasks.corruption.clouds import draw_rotations, make_turns, scale_into_unit_ball
from pretext.tasks.views import (
    ViewsConfig,
    alter_clouds,
    draw_linear_maps,
    inference_views,
    principal_view,
    sample_points,
    select_remaining,
    views,
    views_problem,
)
from spectral_ssl.ground.errors import UserError

STILL = {"crop": 0.0, "points": 0, "stretch": 0.0, "mirror": False, "turn": 0.0}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def boxes(samples: int = 20, points: int = 600) -> torch.Tensor:
    """Clouds of boxes of any form in the unit ball, (samples, points, 3)."""
    generator = np.random.default_rng(0)
    forms = generator.uniform(0.3, 1, (samples, 1, 3))
    return torch.from_numpy(
        np.stack([move_to_unit_ball(c) for c in generator.uniform(-1, 1, (samples, points, 3)) * forms])
    )


def batch_of(basis: Basis, points: torch.Tensor) -> Batch:
    maps = clouds_to_maps(points.numpy(), basis)
    mean, std = maps.mean(axis=0), maps.std(axis=0)
    std[std < 1e-6] = 1.0
    standardise = Standardiser.from_statistics(basis, torch.from_numpy(mean), torch.from_numpy(std))
    return Batch(standardise(maps), standardise, points)


@pytest.mark.parametrize("basis", [zernike_basis(6), zernike_basis(4, 2), harmonics_basis(4, 2)])
def test_unaltered_views_are_the_maps_of_prep(basis: Basis) -> None:
    batch = batch_of(basis, boxes(6))
    example = views(batch, ViewsConfig(**STILL), seeded())
    # the points come in another order: sums differ by rounding
    torch.testing.assert_close(example.condition, batch.maps, atol=2e-3, rtol=0)
    torch.testing.assert_close(example.target, batch.maps, atol=2e-3, rtol=0)
    assert torch.equal(example.weight, batch.standardise.valid.expand_as(batch.maps).float())


def test_equal_seeds_give_equal_views_and_the_two_views_differ() -> None:
    batch = batch_of(zernike_basis(6), boxes())
    config = ViewsConfig(points=200, jitter=0.01)
    one, two, other = (views(batch, config, seeded(seed)) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
    assert not torch.equal(one.condition, other.condition)
    assert ((one.condition - one.target).abs().amax(dim=(1, 2, 3)) > 0.1).all()


def test_a_crop_removes_the_asked_share_at_one_side() -> None:
    clouds = boxes()
    removed = torch.linspace(0, 0.95, len(clouds))
    directions = torch.nn.functional.normalize(torch.randn(len(clouds), 3, generator=seeded()), dim=1)
    kept = select_remaining(clouds, directions, removed)
    assert kept.sum(dim=1).tolist() == [600 - round(600 * share) for share in removed.double().tolist()]
    along = (clouds * directions[:, None]).sum(dim=2)
    for row, keep in enumerate(kept):
        if not keep.all():
            assert along[row][keep].max() < along[row][~keep].min()
    assert select_remaining(clouds, directions, torch.ones(len(clouds))).any(dim=1).all()


def test_points_are_drawn_from_the_kept_ones_and_repeated_only_where_they_are_too_few() -> None:
    clouds, kept = boxes(3, 100), torch.zeros(3, 100, dtype=torch.bool)
    kept[0, ::2], kept[1, 7], kept[2] = True, True, True
    drawn = sample_points(clouds, kept, 50, seeded())
    assert drawn.shape == (3, 50, 3)
    for row in range(3):
        allowed = {tuple(point) for point in clouds[row][kept[row]].tolist()}
        chosen = [tuple(point) for point in drawn[row].tolist()]
        assert set(chosen) <= allowed
        assert len(set(chosen)) == min(50, len(allowed))
    assert not torch.equal(drawn, sample_points(clouds, kept, 50, seeded(1)))


def test_the_law_of_the_stretch_and_of_the_mirror() -> None:
    config = ViewsConfig(stretch=0.4, turn=0.0)
    matrices = draw_linear_maps(4000, config, seeded())
    diagonal = matrices.diagonal(dim1=1, dim2=2)
    assert torch.equal(matrices, torch.diag_embed(diagonal))
    logs = diagonal.abs().log()  # uniform in +-0.4: standard deviation 0.4 / sqrt(3)
    assert logs.abs().max() <= 0.4
    torch.testing.assert_close(logs.mean(dim=0), torch.zeros(3).double(), atol=0.015, rtol=0)
    torch.testing.assert_close(logs.std(dim=0), torch.full((3,), 0.4 / math.sqrt(3)).double(), atol=0.01, rtol=0)
    torch.testing.assert_close(torch.corrcoef(logs.T), torch.eye(3).double(), atol=0.06, rtol=0)
    negative = (diagonal < 0).double().mean(dim=0)
    assert negative[2] == 0
    assert (negative[:2] - 0.5).abs().max() < 0.04


def test_turns_keep_the_vertical_and_stay_within_their_angle() -> None:
    matrices = draw_linear_maps(2000, ViewsConfig(stretch=0.0, mirror=False, turn=0.5), seeded())
    up = torch.tensor([0.0, 0.0, 1.0]).double()
    assert torch.equal(matrices @ up, up.expand(2000, 3))
    angles = torch.atan2(matrices[:, 1, 0], matrices[:, 0, 0])
    assert angles.abs().max() <= 0.5
    assert abs(angles.std().item() - 0.5 / math.sqrt(3)) < 0.02
    torch.testing.assert_close(matrices @ matrices.transpose(1, 2), torch.eye(3).double().expand(2000, 3, 3))


def test_any_pose_is_uniform() -> None:
    rotations = draw_rotations(4000, seeded())
    torch.testing.assert_close(rotations @ rotations.transpose(1, 2), torch.eye(3).double().expand(4000, 3, 3))
    torch.testing.assert_close(torch.linalg.det(rotations), torch.ones(4000).double())
    # every column is uniform on the sphere: each coordinate uniform in [-1, 1]; the trace is 0 on average
    assert rotations.mean(dim=0).abs().max() < 0.04
    assert (rotations.square().mean(dim=0) - 1 / 3).abs().max() < 0.02
    assert (rotations[:, 2, 2] < -0.5).double().mean().item() == pytest.approx(0.25, abs=0.03)
    tilted = draw_linear_maps(10, ViewsConfig(pose="any", stretch=0.0, mirror=False), seeded())
    assert (tilted[:, 2, 2] < 0.999).all()


def test_views_on_principal_axes_do_not_depend_on_the_pose_but_for_the_signs_of_the_axes() -> None:
    points, config = boxes(6), ViewsConfig(pose="principal", **STILL)
    poses = draw_rotations(6, seeded(5)).to(points.dtype)
    basis = zernike_basis(6)
    plain = Standardiser.from_statistics(basis, torch.zeros(basis.shape), torch.ones(basis.shape))  # clips nothing
    batch = batch_of(basis, points)._replace(standardise=plain)
    here = views(batch, config, seeded())
    there = views(batch._replace(points=points @ poses.transpose(1, 2)), config, seeded())
    torch.testing.assert_close(here.condition, here.target, atol=2e-3, rtol=0)  # one frame for both views
    ways = torch.stack([half_turned(batch, there.condition, signs) for signs in HALF_TURNS])  # (4, B, K, L+1, L+1)
    assert (ways - here.condition).abs().amax(dim=(2, 3, 4)).amin(dim=0).max() < 0.02
    # over many draws all four ways come about
    drawn = torch.stack([views(batch, config, seeded(seed)).condition for seed in range(20)])
    nearest = (drawn[:, None] - ways).abs().amax(dim=(3, 4, 5)).argmin(dim=1)
    assert set(nearest.flatten().tolist()) == {0, 1, 2, 3}


def test_upright_views_on_principal_axes_do_not_depend_on_the_turn_about_the_vertical() -> None:
    points, config = boxes(6), ViewsConfig(pose="principal-upright", **STILL)
    angles = torch.linspace(0.3, 6.0, 6).double()
    basis = zernike_basis(6)
    plain = Standardiser.from_statistics(basis, torch.zeros(basis.shape), torch.ones(basis.shape))
    batch = batch_of(basis, points)._replace(standardise=plain)
    turned = points @ make_turns(angles).transpose(1, 2).to(points.dtype)
    assert torch.allclose(turned[..., 2], points[..., 2])
    here = views(batch, config, seeded())
    there = views(batch._replace(points=turned), config, seeded())
    ways = torch.stack([half_turned(batch, there.condition, signs) for signs in UPRIGHT_HALF_TURNS])
    assert (ways - here.condition).abs().amax(dim=(2, 3, 4)).amin(dim=0).max() < 0.02
    maps = clouds_to_maps(turned.numpy(), basis)
    two = torch.stack(list(inference_views(maps, plain, config)))
    assert len(two) == 2
    # what is looked at in training is one of the two that features are taken from
    assert (two - here.condition).abs().amax(dim=(2, 3, 4)).amin(dim=0).max() < 0.02


def half_turned(batch: Batch, maps: torch.Tensor, signs: tuple[int, int, int]) -> torch.Tensor:
    standardise = batch.standardise
    return standardise(apply_half_turn(standardise.undo(maps).numpy(), standardise.basis, signs))


def test_features_look_once_at_a_map_and_four_times_at_one_on_its_principal_axes() -> None:
    basis = zernike_basis(6)
    batch = batch_of(basis, boxes(4))
    maps = clouds_to_maps(boxes(4).numpy(), basis)
    for pose in ("upright", "any"):
        (only,) = inference_views(maps, batch.standardise, ViewsConfig(pose=pose))
        assert torch.equal(only, batch.maps)
    config = ViewsConfig(pose="principal")
    poses = draw_rotations(4, seeded(3)).to(torch.float32)
    turned = clouds_to_maps((boxes(4) @ poses.transpose(1, 2)).numpy(), basis)
    four, again = (torch.stack(list(inference_views(each, batch.standardise, config))) for each in (maps, turned))
    assert four.shape == (4, *batch.maps.shape)
    # the same four for every pose, in another order: whatever does not see the order is the same
    torch.testing.assert_close(four.mean(dim=0), again.mean(dim=0), atol=0.01, rtol=0)
    torch.testing.assert_close(four.std(dim=0), again.std(dim=0), atol=0.01, rtol=0)
    torch.testing.assert_close(principal_view(batch, config), four[0], atol=0.01, rtol=0)


@pytest.mark.parametrize("reach", [1.0, 0.9])
def test_the_unit_ball_is_that_of_prep(reach: float) -> None:
    clouds = boxes(5, 333) * 3 + torch.tensor([1.0, -2.0, 5.0])
    expected = np.stack([move_to_unit_ball(cloud.numpy(), reach=reach) for cloud in clouds])
    np.testing.assert_allclose(scale_into_unit_ball(clouds, reach).numpy(), expected, atol=2e-6)
    assert (scale_into_unit_ball(torch.ones(2, 9, 3)) == 0).all()


def test_jitter_moves_points_by_its_standard_deviation() -> None:
    clouds = scale_into_unit_ball(
        torch.cat([boxes(4, 3000), torch.ones(4, 1, 3)], dim=1)
    )  # a corner that sets the size
    moved = alter_clouds(clouds, ViewsConfig(**{**STILL, "jitter": 0.05}), 1.0, seeded())
    assert (moved.norm(dim=2) < 1).all()
    # the same points as without jitter, which draws after everything else
    still = alter_clouds(clouds, ViewsConfig(**STILL), 1.0, seeded())
    matched = moved * (still * moved).sum(dim=(1, 2), keepdim=True) / moved.square().sum(dim=(1, 2), keepdim=True)
    assert (matched - still).std().item() == pytest.approx(0.05, rel=0.15)


def test_what_has_no_clouds_is_refused() -> None:
    for basis in (pixel_basis(1, 8, 8), radial_basis(4)):
        with pytest.raises(UserError, match="computed from points"):
            views_problem(basis, ViewsConfig())
    batch = batch_of(zernike_basis(4), boxes(2))
    with pytest.raises(UserError, match="--keep-points"):
        views(batch._replace(points=None), ViewsConfig(), seeded())
    with pytest.raises(UserError, match="crop"):
        ViewsConfig(crop=1.0)
