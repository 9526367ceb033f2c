"""First latents of one condition keep apart, and each by itself is uniform in its domain."""

import pytest
import torch
from made_up import seeded
from scipy.stats import kstest

from pretext.data.batch import Problem
from pretext.method import build_seeded
from pretext.methods.cgml.config import CGMLConfig
from pretext.methods.cgml.latent_path import draw_latents
from pretext.methods.cgml.model import CGML
from pretext.methods.cgml.spread_latents import MOST_DIMENSIONS, MOST_MODES, draw_spread_latents, find_directions
from pretext.randomness import Share, StepGenerator
from spectral_ssl.ground.config import build_config


@pytest.mark.parametrize(("dimensions", "modes"), [(1, 3), (2, 5), (3, 10), (8, 4)])
def test_each_latent_by_itself_is_uniform_in_the_ball(dimensions: int, modes: int) -> None:
    count = 4000
    latents = draw_spread_latents(modes * count, dimensions, "ball", seeded(), modes).view(modes, count, dimensions)
    independent = draw_latents(200_000, dimensions, "ball", seeded(1))
    for latent in latents:
        length = latent.norm(dim=1)
        assert length.max() <= 1 + 1e-6
        # The share of the volume within the length is uniform, and coordinates are those of independent latents.
        assert kstest(length.pow(dimensions).numpy(), "uniform").pvalue > 1e-4
        assert kstest(latent[:, 0].numpy(), independent[:, 0].numpy()).pvalue > 1e-4
        assert kstest(latent[:, -1].numpy(), independent[:, -1].numpy()).pvalue > 1e-4


@pytest.mark.parametrize(
    ("dimensions", "modes", "nearest", "independent"),
    [(3, 10, 0.398, 0.466), (8, 10, 0.799, 0.849)],  # the numbers of the file's docstring
)
def test_the_nearest_of_several_is_nearer(dimensions: int, modes: int, nearest: float, independent: float) -> None:
    targets = draw_latents(4000, dimensions, "ball", seeded(2))
    for draw, expected in ((draw_spread_latents, nearest), (draw_latents, independent)):
        latents = draw(modes * 4000, dimensions, "ball", seeded(3), modes).view(modes, 4000, dimensions)
        distance = (latents - targets).norm(dim=2).min(dim=0).values.mean().item()
        assert distance == pytest.approx(expected, abs=0.012)  # 4 standard errors of 4,000 distances would be 0.008


def test_directions_are_the_known_minima_of_thomsons_problem() -> None:
    for count, energy in ((2, 0.5), (4, 3.674235), (6, 9.985281), (12, 49.165253)):  # on the sphere
        assert torch.pdist(find_directions(count, 3)).reciprocal().sum().item() == pytest.approx(energy, rel=1e-3)


def test_the_sphere_has_unit_latents_and_a_line_has_both_ends() -> None:
    latents = draw_spread_latents(50, 4, "sphere", seeded(), 5)
    torch.testing.assert_close(latents.norm(dim=1), torch.ones(50))
    ends = draw_spread_latents(30, 1, "sphere", seeded(), 3).view(3, 10)
    assert torch.equal(ends[0], -ends[1])


@pytest.mark.parametrize(("dimensions", "modes"), [(MOST_DIMENSIONS + 1, 3), (2, MOST_MODES + 1), (4, 1)])
def test_too_many_or_a_single_one_are_independent(dimensions: int, modes: int) -> None:
    spread = draw_spread_latents(modes * 2, dimensions, "ball", seeded(), modes)
    assert torch.equal(spread, draw_latents(modes * 2, dimensions, "ball", seeded(), modes))


def test_processes_that_share_a_batch_draw_the_same_latents() -> None:
    whole = draw_spread_latents(5 * 6, 3, "ball", seeded(), 5).view(5, 6, 3)
    for start in (0, 2, 4):
        generator = StepGenerator()
        generator.manual_seed(seeded().initial_seed())
        generator.share = Share(start, 2, 6)
        part = draw_spread_latents(5 * 2, 3, "ball", generator, 5).view(5, 2, 3)
        torch.testing.assert_close(part, whole[:, start : start + 2])


def test_the_global_generator_is_left_as_it_was() -> None:
    before = torch.get_rng_state()
    find_directions.cache_clear()
    find_directions(7, 3)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("mode", ["inference", "bf16", "double"])
def test_they_are_the_same_wherever_they_are_first_drawn(mode: str) -> None:
    expected = draw_spread_latents(4 * 5, 3, "ball", seeded(), 4)
    find_directions.cache_clear()
    try:
        if mode == "double":
            torch.set_default_dtype(torch.float64)
        with torch.inference_mode(mode == "inference"), torch.autocast("cpu", torch.bfloat16, enabled=mode == "bf16"):
            directions = find_directions(4, 3)
            latents = None if mode == "double" else draw_spread_latents(4 * 5, 3, "ball", seeded(), 4)
    finally:
        torch.set_default_dtype(torch.float32)
    assert directions.dtype == torch.float32
    assert not directions.is_inference()
    if latents is not None:
        assert latents.dtype == torch.float32
        torch.testing.assert_close(latents.clone(), expected)


@pytest.mark.parametrize(("dynamics", "is_spread"), [("flow", True), ("equation-4", False)])
def test_predictions_of_a_flow_begin_at_them(dynamics: str, is_spread: bool) -> None:
    shape = (2, 9, 9)
    settings = {"width": 8, "code": 16, "hidden": 16, "latent": 3, "steps": 2, "dynamics": dynamics}
    config = build_config(CGMLConfig, settings, "method")
    method: CGML = build_seeded(CGML, 0, config, Problem(shape, shape, False))
    condition = torch.randn(2, *shape, generator=seeded())
    _, path = method.complete_along_path(condition, 5, seeded())
    draw = draw_spread_latents if is_spread else draw_latents
    torch.testing.assert_close(path.latents[0].flatten(0, 1), draw(10, 3, "ball", seeded(), 5))
