"""The denoising task: what is corrupted, what counts, and that nothing but the seed decides."""

import pytest
import torch

from data_prep.basis import zernike_basis
from pretext.standardiser import Standardiser
from pretext.tasks.denoise import DenoiseConfig, denoise, random_blocks
from pretext.tasks.example import Batch, Example
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
    blocks = random_blocks(2000, 10, 20, 0.3, 0.6, seeded())[:, 0]
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
