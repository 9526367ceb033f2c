"""The base models of MR-GAN: noise makes the samples, what they share is computed once, small pictures are refused."""

import math
from typing import Any

import pytest
import torch
from made_up import seeded
from torch import Tensor

from pretext.data.batch import Example, Problem
from pretext.method import build_seeded
from pretext.methods.mr_gan.choose_networks import Base, BaseDiscriminator, build_generator, choose_base
from pretext.methods.mr_gan.dilated_generator import GlobalLocalDiscriminator, crop_around_hole
from spectral_ssl.ground.errors import UserError

SIDES = {"unet": 16, "residual": 16, "dilated": 20, "latent": 9}
BASES: list[Base] = ["unet", "residual", "dilated", "latent"]


def problem(base: str, channels: int = 2, side: int = 0) -> Problem:
    shape = (channels, side or SIDES[base], side or SIDES[base])
    return Problem(shape, shape, True, zoom=4 if base == "residual" else 1)


def make(base: Base, out_channels: int = 3, noise: int = 5, **given: Any) -> Any:
    def build() -> Any:
        return build_generator(base, problem(base, **given), out_channels, width=8, code=16, noise=noise, skips=True)

    return build_seeded(build, 0)


def conditions(base: str, size: int = 3, channels: int = 2, side: int = 0) -> Tensor:
    shape = problem(base, channels, side).condition
    maps = torch.randn(size, *shape, generator=seeded(1))
    if base == "residual":  # as the task shows a small picture
        maps = maps[..., ::4, ::4].repeat_interleave(4, dim=2).repeat_interleave(4, dim=3)
    return maps


@pytest.mark.parametrize("base", BASES)
def test_sharing_between_samples_changes_nothing(base: Base) -> None:
    """K samples of B conditions are the answers to B K conditions that are repeated, from the same noise."""
    network, given = make(base), conditions(base)
    together = network(given, 4, seeded())
    assert together.shape == (3, 4, 3, *given.shape[2:])
    one_by_one = network(given.repeat_interleave(4, dim=0), 1, seeded())
    torch.testing.assert_close(together.flatten(0, 1), one_by_one[:, 0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("base", BASES)
def test_samples_differ_by_noise_alone(base: Base) -> None:
    network, given = make(base), conditions(base)
    answers = network(given, 3, seeded())
    assert torch.equal(answers, network(given, 3, seeded()))
    assert (answers[:, 0] - answers[:, 1]).abs().mean() > 1e-3
    without = make(base, noise=0)
    single = without(given, 2)  # needs no generator
    assert torch.equal(single[:, 0], single[:, 1])
    # a sample depends on its own condition alone
    torch.testing.assert_close(without(given[1:2], 1)[0], without(given, 1)[1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("base", BASES)
def test_gradients_reach_every_parameter(base: Base) -> None:
    network, given = make(base), conditions(base)
    network(given, 2, seeded()).square().sum().backward()
    still = [name for name, value in network.named_parameters() if value.grad is None or not value.grad.abs().sum()]
    assert not still


@pytest.mark.parametrize(("side", "innermost"), [(8, 1), (16, 1), (21, 2), (64, 1)])
def test_the_unet_halves_down_to_a_point_and_gives_pictures_of_the_same_size(side: int, innermost: int) -> None:
    network, given = make("unet", side=side), conditions("unet", side=side)
    channels = 8 * min(2 ** (int(math.log2(side)) - 1), 8)
    assert network.features(given).shape == (3, channels * innermost**2)
    assert network(given, 2, seeded()).shape == (3, 2, 3, side, side)


def test_noise_enters_the_unet_at_the_three_innermost_levels_only() -> None:
    network = make("unet", noise=7, side=64)
    extra = [
        0 if isinstance(own, torch.nn.Identity) else own.in_channels - (skip.in_channels if level < 5 else 0)
        for level, (own, skip) in enumerate(zip(network.of_own, network.of_skip, strict=True))
    ]
    assert extra == [0, 0, 0, 7, 7, 7]


def test_the_residual_generator_reads_one_pixel_of_each_square() -> None:
    network, given = make("residual"), conditions("residual")
    other = given.clone()
    other[..., 1::4, :] = other[..., :, 2::4] = 99.0
    assert torch.equal(network(given, 2, seeded()), network(other, 2, seeded()))


def test_the_completion_network_sees_where_the_hole_is() -> None:
    network, given = make("dilated"), conditions("dilated")
    given[:, :, 4:8, 4:8] = 0.0
    seen = []
    network.before.register_forward_hook(lambda module, args, out: seen.append(args[0]))
    network.features(given)
    assert torch.equal(seen[0][:, -1], (given == 0).all(dim=1).float())
    assert seen[0][:, -1].sum() == 3 * 16


def test_the_local_discriminator_looks_around_the_hole() -> None:
    pictures = torch.arange(2 * 20 * 20.0).view(2, 1, 20, 20)
    weight = torch.zeros_like(pictures)
    weight[0, 0, 4:8, 6:10] = weight[1, 0, 18:, :3] = 1.0
    found = crop_around_hole(pictures, weight, (10, 10))
    assert torch.equal(found[0], pictures[0, :, 1:11, 3:13])  # the hole's middle is 6, 8
    assert torch.equal(found[1], pictures[1, :, 10:, :10])  # moved into the picture
    judge = build_seeded(GlobalLocalDiscriminator, 0, (1, 20, 20), 4)
    far = pictures.clone()
    far[0, 0, 0, 19] += 5.0  # outside the part, seen by the whole alone
    assert torch.equal(crop_around_hole(far, weight, (10, 10)), found)
    assert not torch.equal(judge(far, weight), judge(pictures, weight))


@pytest.mark.parametrize("base", BASES)
def test_judges_see_the_condition_where_the_paper_has_it_so_and_never_the_target(base: Base) -> None:
    judge = build_seeded(BaseDiscriminator, 0, base, problem(base), 8, 16)
    given, answers = conditions(base), conditions(base) + 1
    weight = torch.ones_like(answers)
    example = Example(given, torch.zeros_like(answers), weight)
    logits = judge(answers, example)
    assert torch.equal(logits, judge(answers, example._replace(target=answers)))
    same = torch.equal(logits, judge(answers, example._replace(condition=given + 1)))
    assert same == (base in ("residual", "dilated"))


def test_the_problem_chooses_the_base() -> None:
    shape = (3, 32, 32)
    assert choose_base("auto", Problem(shape, shape, True)) == "unet"
    assert choose_base("auto", Problem(shape, shape, True, zoom=4)) == "residual"
    assert choose_base("auto", Problem(shape, shape, True, hole=True)) == "dilated"
    assert choose_base("auto", Problem(shape, shape, False)) == "latent"
    assert choose_base("auto", Problem((1, 1, 1), (2, 1, 1), False)) == "latent"
    assert choose_base("latent", Problem(shape, shape, True)) == "latent"


@pytest.mark.parametrize(("base", "side"), [("unet", 7), ("dilated", 15), ("residual", 18)])
def test_pictures_smaller_than_the_stride_are_refused(base: Base, side: int) -> None:
    with pytest.raises(UserError, match="stride"):
        make(base, side=side)
