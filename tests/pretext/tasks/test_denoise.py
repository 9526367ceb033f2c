"""The denoising task: what is corrupted, what counts, and that nothing but the seed decides."""

import numpy as np
import pytest
import torch

from data_prep.basis import Basis, harmonics_basis, pixel_basis, radial_basis, zernike_basis
from data_prep.layout import find_degrees
from data_prep.pipeline.shape_to_map import clouds_to_maps
from pretext.data.batch import Batch, Example
from pretext.data.standardise import Standardiser
from pretext.tasks.corruption.masks import draw_blocks
from pretext.tasks.corruption.sampling_noise import estimate_sampling_noise
from pretext.tasks.denoise import DenoiseConfig, denoise, denoise_problem, draw_bands
from spectral_ssl.ground.errors import UserError

VALID = torch.ones(2, 10, 10, dtype=torch.bool)


def corrupt(maps: torch.Tensor, valid: torch.Tensor, config: DenoiseConfig, generator: torch.Generator) -> Example:
    standardiser = Standardiser(zernike_basis(9, 2), torch.zeros(2, 10, 10), torch.ones(2, 10, 10), valid)
    return denoise(Batch(maps, standardiser), config, generator)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def maps(batch: int = 64) -> torch.Tensor:
    return torch.randn(batch, 2, 10, 10, generator=seeded(9)) + 3.0


def test_outside_the_block_the_condition_is_the_clean_map_and_inside_it_differs() -> None:
    clean = maps()
    example = corrupt(clean, VALID, DenoiseConfig(context_weight=0.25), seeded())
    inside = example.weight == 1
    assert torch.equal(example.target, clean)
    assert torch.equal(example.condition[~inside], clean[~inside])
    assert (example.condition[inside] != clean[inside]).all()
    assert set(example.weight.unique().tolist()) == {0.25, 1.0}


def test_hidden_blocks_are_zero_and_noised_ones_carry_noise_of_the_stated_size() -> None:
    clean = maps(500)
    hidden = corrupt(clean, VALID, DenoiseConfig(hidden_share=1.0), seeded())
    assert (hidden.condition[hidden.weight == 1] == 0).all()
    noised = corrupt(clean, VALID, DenoiseConfig(hidden_share=0.0, noise=0.5), seeded())
    noise = (noised.condition - clean)[noised.weight == 1]
    assert abs(noise.std().item() - 0.5) < 0.01
    assert abs(noise.mean().item()) < 0.01
    both = corrupt(clean, VALID, DenoiseConfig(hidden_share=0.5), seeded())
    share = ((both.condition == 0).sum(dim=(1, 2, 3)) > 0).float().mean().item()
    assert abs(share - 0.5) < 0.1


def test_empty_cells_stay_zero_and_weigh_nothing() -> None:
    valid = VALID.clone()
    valid[:, 5:] = False
    example = corrupt(maps() * valid, valid, DenoiseConfig(hidden_share=0.0), seeded())
    assert (example.condition[:, :, 5:] == 0).all()
    assert (example.weight[:, :, 5:] == 0).all()


def test_no_sample_weighs_nothing_even_when_the_block_misses_every_cell() -> None:
    valid = torch.zeros(2, 10, 10, dtype=torch.bool)
    valid[0, 0, 0] = True
    example = corrupt(maps(), valid, DenoiseConfig(context_weight=0.0, smallest=0.1, largest=0.1), seeded())
    assert (example.weight.sum(dim=(1, 2, 3)) > 0).all()


def test_blocks_are_rectangles_within_the_stated_sides_and_reach_every_cell() -> None:
    blocks = draw_blocks(2000, 10, 20, 0.3, 0.6, seeded())[:, 0]
    rows, columns = blocks.any(dim=2), blocks.any(dim=1)
    assert torch.equal(blocks, rows[:, :, None] & columns[:, None, :])
    for present, length in ((rows, 10), (columns, 20)):
        sides = present.sum(dim=1)
        assert sides.min() == 0.3 * length
        assert sides.max() == 0.6 * length
        assert (present.int().diff(dim=1).abs().sum(dim=1) <= 2).all()  # one piece
    assert blocks.any(dim=0).all()


def test_the_same_seed_gives_the_same_example_and_another_seed_another() -> None:
    first, second, other = (corrupt(maps(), VALID, DenoiseConfig(), seeded(seed)) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert not torch.equal(first.condition, other.condition)


@pytest.mark.parametrize(
    "settings", [{"largest": 1.5}, {"smallest": 0.9, "largest": 0.5}, {"hidden_share": -0.1}, {"noise": float("nan")}]
)
def test_settings_out_of_range_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(UserError, match="out of range"):
        DenoiseConfig(**settings)


# bands of degrees


@pytest.mark.parametrize("basis", [zernike_basis(9), zernike_basis(6, 3), harmonics_basis(7, 2), radial_basis(9)])
def test_bands_hold_whole_neighbouring_degrees_and_nothing_else(basis: Basis) -> None:
    bands = draw_bands(basis, 300, 0.2, 0.5, seeded())
    ell = torch.from_numpy(find_degrees(basis))
    widths = []
    for band in bands:
        chosen = ell[band].unique()
        assert torch.equal(chosen, torch.arange(chosen[0], chosen[-1] + 1))
        assert torch.equal(band, (ell >= chosen[0]) & (ell <= chosen[-1]))
        widths.append(len(chosen))
    assert min(widths) == round(0.2 * (basis.degree + 1))
    assert max(widths) == round(0.499 * (basis.degree + 1))
    assert torch.equal(bands.any(dim=0), ell >= 0)


def test_a_band_is_hidden_or_noised_and_the_rest_is_the_clean_map() -> None:
    clean = maps(200)
    hidden = corrupt(clean, VALID, DenoiseConfig(kind="band", hidden_share=1.0), seeded())
    inside = hidden.weight == 1
    assert (hidden.condition[inside] == 0).all()
    assert torch.equal(hidden.condition[~inside], clean[~inside])
    assert torch.equal(hidden.target, clean)
    noised = corrupt(clean, VALID, DenoiseConfig(kind="band", hidden_share=0.0, noise=0.5), seeded())
    assert abs((noised.condition - clean)[noised.weight == 1].std() - 0.5) < 0.01


# sampling noise


@pytest.fixture(scope="module")
def clouds() -> np.ndarray:
    """30 dense clouds on ellipsoids of any form and turn, each a little off the centre: (30, 4096, 3)."""
    generator = np.random.default_rng(0)
    points = generator.normal(size=(30, 4096, 3))
    points /= np.linalg.norm(points, axis=2, keepdims=True)
    turns = np.linalg.qr(generator.normal(size=(30, 3, 3)))[0]
    return (points * generator.uniform(0.2, 0.8, (30, 1, 3))) @ turns + generator.uniform(-0.1, 0.1, (30, 1, 3))


@pytest.mark.parametrize("basis", [zernike_basis(12), zernike_basis(5, 4), harmonics_basis(8, 5)])
def test_the_level_is_that_of_maps_made_from_so_many_drawn_points(basis: Basis, clouds: np.ndarray) -> None:
    whole = clouds_to_maps(clouds, basis)
    mean, std = whole.mean(axis=0), whole.std(axis=0)
    std[std < 1e-6] = 1.0
    standardiser = Standardiser.from_statistics(basis, torch.from_numpy(mean), torch.from_numpy(std))
    level = (estimate_sampling_noise(standardiser, 128) * standardiser.std).numpy()

    generator = np.random.default_rng(1)
    drawn = [clouds_to_maps(cloud[generator.integers(0, 4096, (60, 128))], basis) for cloud in clouds]
    variance = np.mean([maps.var(axis=0, ddof=1) for maps in drawn], axis=0)
    # shells assume nothing; Zernike moments take the points' distances to be spread as a Beta distribution is
    tolerance = 0.2 if basis.kind == "zernike" else 0.05
    for degree in range(1, basis.degree + 1):
        there = find_degrees(basis) == degree
        ratio = np.sqrt(np.square(level[there]).mean() / variance[there].mean())
        assert abs(ratio - 1) < tolerance, f"degree {degree}: {ratio}"
    assert (level[find_degrees(basis) < 0] == 0).all()


def test_the_noise_has_that_level_everywhere_and_falls_with_the_points() -> None:
    basis = zernike_basis(6, points=500)
    generator = np.random.default_rng(0)
    mean = torch.zeros(basis.shape)
    mean[:, 0, 0] = torch.from_numpy(clouds_to_maps(generator.uniform(-0.5, 0.5, (1, 4096, 3)), basis)[0, :, 0, 0])
    standardiser = Standardiser.from_statistics(basis, mean, torch.full(basis.shape, 0.2))
    batch = Batch(torch.zeros(4000, *basis.shape), standardiser)
    spread = {}
    for points in (0, 500, 2000):
        example = denoise(batch, DenoiseConfig(kind="sampling-noise", points=points), seeded())
        assert torch.equal(example.weight, standardiser.valid.expand_as(batch.maps).float())
        assert (example.condition[:, ~standardiser.valid] == 0).all()
        spread[points] = example.condition.std(dim=0)
        assert torch.allclose(
            spread[points], estimate_sampling_noise(standardiser, points or 500), rtol=0.06, atol=1e-6
        )
    assert torch.equal(spread[0], spread[500]), "by default as many points as the maps were made from"
    assert torch.allclose(spread[500], 2 * spread[2000], rtol=1e-3)


@pytest.mark.parametrize(
    ("kind", "basis", "message"),
    [
        ("band", pixel_basis(1, 8, 8), "task.kind=block"),
        ("sampling-noise", pixel_basis(1, 8, 8), "maps of kind 'pixels'"),
        ("sampling-noise", radial_basis(8), "maps of kind 'radial'"),
        ("sampling-noise", zernike_basis(8, 2), "radial channels"),
        ("sampling-noise", zernike_basis(8, points=0), "set task.points"),
    ],
)
def test_data_without_degrees_or_points_are_refused(kind: str, basis: Basis, message: str) -> None:
    with pytest.raises(UserError, match=message):
        denoise_problem(basis, DenoiseConfig(kind=kind))


def test_blocks_are_what_they_were() -> None:
    """The default's draws, in the order in which they have always been made."""
    generator, clean = seeded(5), maps(8)
    inside = draw_blocks(8, 10, 10, 0.3, 0.8, generator)
    noise = torch.randn(clean.shape, generator=generator)
    hide = torch.rand(8, 1, 1, 1, generator=generator) < 0.5
    expected = torch.where(inside, torch.where(hide, torch.zeros_like(clean), clean + noise), clean)
    assert torch.equal(corrupt(clean, VALID, DenoiseConfig(), seeded(5)).condition, expected)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"smallest": 1.0, "largest": 1.0, "hidden_share": 1.0}, "everything is hidden"),
        ({"smallest": 0.0, "largest": 0.0}, "nothing is hidden"),
        ({"hidden_share": 0.0, "noise": 0.0}, "nothing is hidden"),
    ],
)
def test_damage_of_everything_or_nothing_is_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(UserError, match=message):
        denoise_problem(zernike_basis(9), DenoiseConfig(**settings))
