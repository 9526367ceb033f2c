"""Masked maps of altered shapes: what is hidden, and that all maps are those of ``prep``."""

import numpy as np
import pytest
import torch

from data_prep.basis import Basis, harmonics_basis, pixel_basis, radial_basis, zernike_basis
from data_prep.geometry.unit_ball import move_to_unit_ball
from data_prep.layout import find_degrees
from data_prep.pipeline.shape_to_map import cloud_to_map, clouds_to_maps
from pretext.data.batch import Batch
from pretext.data.standardise import Standardiser
from pretext.tasks.corruption.clouds import alter_whole_clouds
from pretext.tasks.denoise import DenoiseConfig, denoise_problem
from pretext.tasks.mask_shape import MaskShapeConfig, mask_shape, mask_shape_problem
from spectral_ssl.ground.errors import UserError

BASES = [zernike_basis(8), zernike_basis(4, 3), harmonics_basis(5, 3)]
UNALTERED = {"stretch": 0.0, "turn": 0.0, "mirror": False}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch_of(basis: Basis, samples: int = 12) -> Batch:
    """Maps of boxes, standardised by their own statistics, and their clouds."""
    generator = np.random.default_rng(1)
    boxes = generator.uniform(-1, 1, (samples, 900, 3)) * generator.uniform(0.3, 1.0, (samples, 1, 3))
    clouds = np.stack([move_to_unit_ball(box) for box in boxes]).astype(np.float32)
    maps = clouds_to_maps(clouds, basis)
    mean, std = maps.mean(axis=0), maps.std(axis=0)
    std[std < 1e-6] = 1.0
    standardise = Standardiser.from_statistics(basis, torch.from_numpy(mean), torch.from_numpy(std))
    return Batch(standardise(maps), standardise, torch.from_numpy(clouds))


@pytest.mark.parametrize("basis", BASES)
def test_an_object_that_is_not_altered_keeps_its_map(basis: Basis) -> None:
    batch = batch_of(basis)
    example = mask_shape(batch, MaskShapeConfig(**UNALTERED, points=0), seeded())
    undo = batch.standardise.undo
    assert (undo(example.target) - undo(batch.maps)).abs().max() < 1e-3


@pytest.mark.parametrize("basis", BASES)
def test_the_target_is_the_map_of_the_altered_cloud(basis: Basis) -> None:
    batch = batch_of(basis)
    example = mask_shape(batch, MaskShapeConfig(stretch=0.4, turn=1.0), seeded(5))
    assert batch.points is not None
    altered = alter_whole_clouds(batch.points, seeded(5), stretch=0.4, turn=1.0, mirror=True)
    expected = np.stack([cloud_to_map(cloud, basis) for cloud in altered.numpy()])
    torch.testing.assert_close(example.target, batch.standardise(expected), rtol=1e-3, atol=1e-3)
    assert (example.target - batch.maps).abs().mean() > 0.1


@pytest.mark.parametrize("kind", ["block", "band"])
def test_inside_is_zero_and_outside_is_the_map_of_the_drawn_points(kind: str) -> None:
    batch = batch_of(zernike_basis(8))
    config = {"kind": kind, "context_weight": 0.25}
    everything = mask_shape(batch, MaskShapeConfig(**config, points=0), seeded())
    valid = batch.standardise.valid.expand_as(batch.maps)
    inside = (everything.weight == 1) & valid
    assert 0.05 < inside.sum() / valid.sum() < 0.95
    assert (everything.condition[inside] == 0).all()
    assert torch.equal(everything.condition[~inside], everything.target[~inside])
    assert (everything.weight[~valid] == 0).all()
    assert set(everything.weight.unique().tolist()) <= {0.0, 0.25, 1.0}
    # As many points as there are, in another order, have the same map; few have another.
    for points, is_same in ((900, True), (60, False)):
        drawn = mask_shape(batch, MaskShapeConfig(**config, points=points), seeded())
        assert torch.equal(drawn.target, everything.target)
        outside = (drawn.weight == 0.25) & valid
        difference = (drawn.condition - drawn.target)[outside].abs().max()
        assert (difference < 1e-3) == is_same


def test_a_band_hides_whole_degrees() -> None:
    batch = batch_of(zernike_basis(8))
    degrees = torch.from_numpy(find_degrees(batch.standardise.basis))
    example = mask_shape(batch, MaskShapeConfig(kind="band"), seeded())
    for weight in example.weight:
        for degree in range(9):
            assert len(weight[degrees == degree].unique()) == 1


def test_the_seed_decides_and_no_map_occurs_twice() -> None:
    batch = batch_of(zernike_basis(4, 3))
    first, second = (mask_shape(batch, MaskShapeConfig(), generator) for generator in (seeded(1), seeded(1)))
    assert torch.equal(first.condition, second.condition)
    other = mask_shape(batch, MaskShapeConfig(), seeded(2))
    assert (first.target - other.target).abs().flatten(1).amax(dim=1).min() > 0.05


def test_what_it_refuses() -> None:
    for basis in (pixel_basis(1, 8, 8), radial_basis(7)):
        with pytest.raises(UserError, match="mask-shape needs maps computed from points"):
            mask_shape_problem(basis, MaskShapeConfig())
    with pytest.raises(UserError, match="everything is hidden"):
        mask_shape_problem(zernike_basis(4), MaskShapeConfig(smallest=1.0, largest=1.0))
    with pytest.raises(UserError, match="nothing is hidden"):
        mask_shape_problem(zernike_basis(4), MaskShapeConfig(smallest=0.0, largest=0.0))
    with pytest.raises(UserError, match="needs clouds"):
        mask_shape(batch_of(zernike_basis(4))._replace(points=None), MaskShapeConfig(), seeded())


@pytest.mark.parametrize("kind", ["block", "band"])
def test_sizes_that_are_rounded_to_everything_are_refused(kind: str) -> None:
    basis = zernike_basis(8)  # 9 rows, columns and degrees
    for smallest in (0.95, 0.98):
        with pytest.raises(UserError, match="everything is hidden"):
            mask_shape_problem(basis, MaskShapeConfig(kind=kind, smallest=smallest, largest=1.0))
        with pytest.raises(UserError, match="everything is hidden"):
            denoise_problem(basis, DenoiseConfig(kind=kind, smallest=smallest, largest=1.0, hidden_share=1.0))
    config = MaskShapeConfig(kind=kind, smallest=0.9, largest=1.0, points=0)
    mask_shape_problem(basis, config)
    example = mask_shape(batch_of(basis, 40), config, seeded())
    assert (example.condition != 0).flatten(1).any(dim=1).any()
