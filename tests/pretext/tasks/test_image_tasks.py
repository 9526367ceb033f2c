"""The tasks on pictures: what is hidden, what is asked for, what counts, and what is refused."""

from typing import Any

import numpy as np
import pytest
import torch
from made_up import pictures, seeded

from data_prep.basis import Basis, pixel_basis, zernike_basis
from pretext.data.batch import Example
from pretext.losses.reconstruction import sample_error
from pretext.tasks.alternate import AlternateConfig, alternate
from pretext.tasks.catalogue import TASKS
from pretext.tasks.colorize import (
    ColorizeConfig,
    colorize,
    compute_spread_error,
    lab_to_rgb,
    lightness_view,
    rgb_to_lab,
    to_rgb,
)
from pretext.tasks.corrupted import CorruptedConfig, corrupt_halves, draw_others
from pretext.tasks.inpaint import InpaintConfig, inpaint, inpaint_problem
from pretext.tasks.translate import TranslateConfig, translate
from spectral_ssl.ground.errors import UserError

ON_SINGLE_PICTURES = ("corrupted", "alternate", "inpaint", "colorize")
IMAGE_TASKS = (*ON_SINGLE_PICTURES, "translate")


def batch_for(task: str, samples: int = 6) -> Any:
    channels = {"colorize": 3, "translate": 6}.get(task, 1)
    return pictures(samples, channels, 32, paired=task == "translate")


@pytest.mark.parametrize("task", IMAGE_TASKS)
def test_examples_are_what_the_problem_says_and_the_seed_alone_decides(task: str) -> None:
    entry, batch = TASKS[task], batch_for(task)
    config = entry.config()
    problem = entry.problem(batch.standardise.basis, config)
    before = batch.maps.clone()
    first, second = (entry.apply(batch, config, seeded(1)) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert torch.equal(batch.maps, before), "the data themselves are left alone"
    assert first.condition.shape[1:] == problem.condition
    assert first.target.shape[1:] == first.weight.shape[1:] == problem.target
    assert problem.bounded
    assert first.target.abs().max() <= 1
    assert (first.weight >= 0).all()
    assert (first.weight.sum(dim=(1, 2, 3)) > 0).all()
    assert entry.view(batch, config).shape[1:] == problem.condition
    # a right answer has no error but the task's own term
    assert (sample_error(first.target, first) == 0).all()


@pytest.mark.parametrize("task", ["corrupted", "alternate", "inpaint"])
@pytest.mark.parametrize("size", [28, 32, 64])
def test_the_hidden_part_cannot_be_seen_and_all_of_it_counts(task: str, size: int) -> None:
    batch = pictures(8, 1, size)
    other = batch._replace(maps=batch.maps.clone())
    example = TASKS[task].apply(batch, TASKS[task].config(), seeded())
    hidden = example.weight > 0
    assert (example.condition[hidden] == 0).all()
    assert hidden.any(dim=(1, 2, 3)).all()
    assert (~hidden).any(dim=(1, 2, 3)).all()
    other.maps[hidden] = 0.123  # what was in the hole changes nothing that is seen
    # overlapping would show the hole of one image in the top half of another
    config = CorruptedConfig(share=0.0) if task == "corrupted" else TASKS[task].config()
    seen, clean = (TASKS[task].apply(either, config, seeded()) for either in (other, batch))
    assert torch.equal(seen.condition, clean.condition)


# corrupted


def test_a_fifth_of_the_images_is_overlapped_in_the_top_half_with_another() -> None:
    batch = pictures(2000, 1, 8)
    example = corrupt_halves(batch, CorruptedConfig(), seeded())
    changed = (example.target != batch.maps).flatten(1).any(dim=1)
    assert abs(changed.float().mean() - 0.2) < 0.03
    assert torch.equal(example.target[:, :, 4:], batch.maps[:, :, 4:])
    assert (example.target[:, :, :4] >= batch.maps[:, :, :4] - 1e-6).all(), "ink is added"
    again = corrupt_halves(batch, CorruptedConfig(), seeded(1))
    assert not torch.equal(changed, (again.target != batch.maps).flatten(1).any(dim=1)), "drawn anew for each batch"


def test_overlap_of_blank_and_ink_is_ink_and_replacing_puts_the_other_half_in() -> None:
    batch = pictures(2, 1, 8)
    batch.maps[0], batch.maps[1] = -1.0, 0.5
    both = corrupt_halves(batch, CorruptedConfig(share=1.0), seeded()).target
    assert (both[:, :, :4] == 0.5).all()  # no ink and some is some
    batch.maps[0] = 0.25
    both = corrupt_halves(batch, CorruptedConfig(share=1.0), seeded()).target
    assert (both[:, :, :4] == 1).all()  # clipped
    replaced = corrupt_halves(batch, CorruptedConfig(share=1.0, overlap="replace"), seeded()).target
    assert (replaced[0, :, :4] == 0.5).all()
    assert (replaced[1, :, :4] == 0.25).all()


@pytest.mark.parametrize("seen", ["spoilt", "clean"])
def test_what_shows_around_the_hidden_rectangle(seen: str) -> None:
    batch = pictures(50, 1, 28)
    example = corrupt_halves(batch, CorruptedConfig(share=1.0, seen=seen, largest=0.7), seeded())
    around = example.weight == 0
    expected = example.target if seen == "spoilt" else batch.maps
    assert torch.equal(example.condition[around], expected[around])
    assert (example.weight[:, :, 14:] == 0).all()


def test_others_are_never_the_same_unless_there_is_only_one() -> None:
    others = draw_others(1000, seeded())
    assert (others != torch.arange(1000)).all()
    assert set(draw_others(200, seeded()).tolist()) <= set(range(200))
    alone = pictures(1, 1, 8)
    assert torch.equal(corrupt_halves(alone, CorruptedConfig(share=1.0), seeded()).target, alone.maps)


# alternate


def test_the_hole_and_the_line_are_the_posters() -> None:
    batch = pictures(400, 1, 32)
    example = alternate(batch, AlternateConfig(mark="line"), seeded())
    hole = torch.zeros(32, 32, dtype=torch.bool)
    hole[4:14, 4:20] = True
    assert torch.equal(example.weight[0, 0] > 0, hole)
    line = torch.zeros(32, 32, dtype=torch.bool)
    line[8:11, 6:16] = True
    marked = (example.target == 1).flatten(2).sum(dim=2)[:, 0] == line.sum()
    assert abs(marked.float().mean() - 0.3) < 0.07
    assert torch.equal(example.target[marked][0, 0] == 1, line)
    assert torch.equal(example.target[~marked], batch.maps[~marked])


@pytest.mark.parametrize("size", [8, 28, 32, 64])
@pytest.mark.parametrize("mark", ["box", "line"])
def test_nothing_in_the_condition_tells_of_the_mark(size: int, mark: str) -> None:
    batch = pictures(4, 1, size)
    with_mark, without = (alternate(batch, AlternateConfig(rate=rate, mark=mark), seeded()) for rate in (1.0, 0.0))
    assert torch.equal(with_mark.condition, without.condition)
    differs = with_mark.target != without.target
    assert differs.flatten(1).any(dim=1).all()
    assert (with_mark.weight[differs] == 1).all()


def test_the_posters_batches_are_marked_throughout_or_not_at_all() -> None:
    batch = pictures(8, 1, 32)
    seen = set()
    for seed in range(40):
        target = alternate(batch, AlternateConfig(rate=0.5, together=True), seeded(seed)).target
        seen.add((target != batch.maps).flatten(1).any(dim=1).sum().item())
    assert seen == {0, 8}


# inpaint


@pytest.mark.parametrize("mask", ["squares", "centre", "irregular"])
def test_a_fixed_share_hides_it_everywhere(mask: str) -> None:
    batch = pictures(20, 3, 64)
    for share in (0.1, 0.15, 0.25):
        weight = inpaint(batch, InpaintConfig(mask=mask, share=share), seeded()).weight
        hidden = (weight > 0).float().mean(dim=(1, 2, 3))
        assert (hidden - share).abs().max() < 0.01
        assert len(hidden.unique()) == 1


@pytest.mark.parametrize("mask", ["squares", "irregular"])
def test_shares_are_drawn_between_the_limits(mask: str) -> None:
    weight = inpaint(pictures(300, 1, 64), InpaintConfig(mask=mask, smallest=0.1, largest=0.4), seeded()).weight
    hidden = weight.mean(dim=(1, 2, 3))
    assert 0.09 < hidden.min() < 0.12
    assert 0.38 < hidden.max() < 0.41


def test_the_border_counts_as_asked() -> None:
    config = InpaintConfig(share=0.1, hole_weight=0.2, border_weight=1.0, border=5)
    example = inpaint(pictures(20, 3, 64), config, seeded())
    assert torch.equal(example.weight.unique(), torch.tensor([0.0, 0.2, 1.0]))
    assert (example.condition[example.weight == 1] == example.target[example.weight == 1]).all()
    assert ((example.weight == 1).sum() > 0).all()


@pytest.mark.parametrize(
    "settings",
    [{"share": 1.0}, {"share": -0.1}, {"smallest": 0.0}, {"largest": 1.0}, {"smallest": 0.5}, {"border": -1}],
)
def test_masks_of_everything_or_nothing_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="out of range"):
        InpaintConfig(**settings)


@pytest.mark.parametrize("mask", ["squares", "centre", "irregular"])
def test_so_are_those_that_rounding_makes_so(mask: str) -> None:
    with pytest.raises(UserError, match="would cover nothing"):
        inpaint_problem(pixel_basis(1, 8, 8), InpaintConfig(mask=mask, share=0.001))
    with pytest.raises(UserError, match="would cover everything"):
        inpaint_problem(pixel_basis(1, 4, 4), InpaintConfig(mask=mask, share=0.98))


# colorize


def test_colours_agree_with_another_library() -> None:
    color = pytest.importorskip("skimage.color")
    batch = pictures(2, 3, 16)
    lab = rgb_to_lab(batch.maps).permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(lab, color.rgb2lab((batch.maps.permute(0, 2, 3, 1).numpy() + 1) / 2), atol=0.05)


def test_known_colours() -> None:
    # red, green and blue of sRGB; tables of them differ by some hundredths, as the digits of their matrices do
    corners = torch.tensor([[1.0, -1, -1], [-1, 1, -1], [-1, -1, 1], [1, 1, 1], [-1, -1, -1]])
    lab = rgb_to_lab(corners[:, :, None, None])[:, :, 0, 0]
    known = [[53.24, 80.09, 67.20], [87.74, -86.18, 83.18], [32.30, 79.19, -107.86], [100, 0, 0], [0, 0, 0]]
    np.testing.assert_allclose(lab.numpy(), known, atol=0.05)


def test_there_and_back() -> None:
    batch = pictures(3, 3, 16)
    assert (lab_to_rgb(rgb_to_lab(batch.maps)) - batch.maps).abs().max() < 1e-5
    example = colorize(batch, ColorizeConfig(), seeded())
    assert example.condition.min() >= -1
    assert example.condition.max() <= 1
    assert (to_rgb(example.condition, example.target) - batch.maps).abs().max() < 1e-5
    assert torch.equal(lightness_view(batch, ColorizeConfig()), example.condition)


def test_greys_have_no_colour_and_no_colour_of_srgb_is_clipped() -> None:
    ramp = torch.linspace(-1, 1, 33)
    grey = ramp[:, None, None, None].expand(-1, 3, 1, 1)
    assert rgb_to_lab(grey)[:, 1:].abs().max() < 1e-4
    cube = torch.cartesian_prod(ramp, ramp, ramp)[:, :, None, None]
    assert 100 < rgb_to_lab(cube)[:, 1:].abs().max() < 110


def test_the_extra_error_is_the_divergence_from_uniform() -> None:
    entry, batch = TASKS["colorize"], pictures(5, 3, 16)
    example = entry.apply(batch, entry.config(), seeded())
    problem = entry.problem(batch.standardise.basis, entry.config())
    assert problem.extra_error is not None
    # far from the border a constant stays constant under the blur; there it falls off a little
    even = problem.extra_error(torch.full_like(example.target, 0.5), example)
    peaked = torch.zeros_like(example.target)
    peaked[:, :, 8, 8] = 1.0
    scarce = problem.extra_error(20 * peaked, example)
    assert (even < 1e-2).all()
    assert (scarce > 10 * even).all()
    grey = problem.extra_error(torch.zeros_like(example.target), example)
    assert grey.abs().max() < 1e-6  # the same everywhere is uniform
    # against the formula, by hand
    answer = torch.rand(1, 2, 6, 6, generator=seeded(), dtype=torch.float64)
    first = Example(*(part[:1] for part in example))
    expected = 0.0
    bell = np.exp(-0.5 * np.arange(-2, 3) ** 2)
    for channel in answer[0].numpy():
        padded = np.pad(np.abs(channel), 2)
        kernel = np.outer(bell, bell) / bell.sum() ** 2
        blurred = [[(padded[y : y + 5, x : x + 5] * kernel).sum() for x in range(6)] for y in range(6)]
        chances = np.exp(np.maximum(blurred, 1e-4))
        chances /= chances.sum()
        expected += (chances * np.log(chances * 36)).sum()
    assert compute_spread_error(answer, first, 0.5).item() == pytest.approx(0.5 * expected, rel=1e-9)
    # a sample's term depends on that sample alone, and moves the answer
    several = torch.randn(5, 2, 16, 16, generator=seeded(), requires_grad=True)
    values = problem.extra_error(several, example)
    alone = problem.extra_error(several[2:3], example)
    assert torch.allclose(values[2:3], alone)
    assert torch.autograd.grad(values.sum(), several)[0].abs().sum() > 0


def test_without_weight_there_is_no_extra_term() -> None:
    entry = TASKS["colorize"]
    assert entry.problem(pixel_basis(3, 32, 32), ColorizeConfig(uniform_weight=0.0)).extra_error is None


# translate


@pytest.mark.parametrize("direction", ["AtoB", "BtoA"])
def test_both_directions(direction: str) -> None:
    batch = pictures(4, 6, 16, paired=True)
    config = TranslateConfig(direction=direction)
    example = translate(batch, config, seeded())
    left, right = batch.maps[:, :3], batch.maps[:, 3:]
    expected = (left, right) if direction == "AtoB" else (right, left)
    assert torch.equal(example.condition, expected[0])
    assert torch.equal(example.target, expected[1])
    assert torch.equal(TASKS["translate"].view(batch, config), expected[0])


# data that will not do


@pytest.mark.parametrize(
    ("task", "basis", "message"),
    [
        *((task, zernike_basis(8), "works on images") for task in IMAGE_TASKS if task != "translate"),
        *((task, pixel_basis(6, 32, 32, paired=True), "single images") for task in IMAGE_TASKS if task != "translate"),
        ("translate", pixel_basis(3, 32, 32), "prepare facades or pairs:PATH"),
        ("translate", zernike_basis(8), "prepare facades or pairs:PATH"),
        ("colorize", pixel_basis(1, 32, 32), "prepare images with 3 channels"),
        ("alternate", pixel_basis(1, 6, 6), "--size"),
        ("corrupted", pixel_basis(1, 3, 3), "--size"),
    ],
)
def test_data_a_task_cannot_work_on_are_refused(task: str, basis: Basis, message: str) -> None:
    with pytest.raises(UserError, match=message):
        TASKS[task].problem(basis, TASKS[task].config())


@pytest.mark.parametrize(
    ("config", "settings"),
    [
        (CorruptedConfig, {"share": 1.5}),
        (CorruptedConfig, {"smallest": 0.9, "largest": 0.5}),
        (AlternateConfig, {"rate": -0.1}),
        (ColorizeConfig, {"uniform_weight": float("nan")}),
    ],
)
def test_settings_out_of_range_are_refused(config: type, settings: dict[str, float]) -> None:
    with pytest.raises(UserError, match="out of range"):
        config(**settings)
