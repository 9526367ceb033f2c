"""The baselines of cGML: what they minimise, what moves what, and that none of them can see the target at inference."""

from typing import Any

import pytest
import torch
from torch.nn import functional

from pretext.data.batch import Example, Problem
from pretext.losses.adversarial import fill_from_target
from pretext.losses.reconstruction import sample_error
from pretext.method import build_seeded
from pretext.methods.catalogue import METHODS
from pretext.optimisation import run_whole_batch

SHAPE = (2, 9, 9)
SMALL = {
    "regression": {"width": 8, "code": 16},
    "context-encoder": {"width": 8, "code": 16},
    "pix2pix": {"width": 8, "code": 16, "latent": 4, "learning_rate": 1e-3},
}
NAMES = sorted(SMALL)


def make(name: str, problem: Problem | None = None, seed: int = 0, **settings: object) -> Any:
    entry = METHODS[name]
    return build_seeded(
        entry.build, seed, entry.config(**{**SMALL[name], **settings}), problem or Problem(SHAPE, SHAPE, False)
    )


def batch(size: int = 5, shape: tuple[int, int, int] = SHAPE) -> Example:
    condition, target = torch.randn(2, size, *shape, generator=seeded(1))
    weight = torch.rand(size, *shape, generator=seeded(2)) + 0.1
    return Example(condition, target, weight)


def seeded(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", NAMES)
def test_equal_seeds_give_equal_answers_and_only_pix2pix_has_several(name: str) -> None:
    method, example = make(name), batch()
    answers = method.complete(example.condition, 3, seeded())
    assert answers.shape == (5, 3, *SHAPE)
    assert torch.equal(answers, method.complete(example.condition, 3, seeded()))
    assert torch.equal(answers[:, 0], answers[:, 1]) == (name != "pix2pix")
    torch.testing.assert_close(method.encode(example.condition[3:4])[0], method.encode(example.condition)[3])


@pytest.mark.parametrize("settings", [{"dropout": 0.0}, {"latent": 0}])
def test_noise_and_dropout_each_make_answers_of_pix2pix_differ(settings: dict[str, object]) -> None:
    answers = make("pix2pix", **settings).complete(batch().condition, 2, seeded())
    assert not torch.allclose(answers[:, 0], answers[:, 1])


def test_dropout_keeps_the_mean_of_the_bottleneck() -> None:
    method = make("pix2pix", dropout=0.75)
    seen = []
    method.generator.forward = lambda bottleneck, latent, skips: seen.append(bottleneck)
    method._predict(torch.ones(4000, 16, 2, 2), (), seeded())
    assert set(seen[0].unique().tolist()) == {0.0, 4.0}
    # standard deviation of one value is sqrt(3), of the mean of 64000 0.007
    assert abs(seen[0].mean().item() - 1) < 0.03
    assert torch.equal(seen[0][..., 0, 0], seen[0][..., 1, 1])


@pytest.mark.parametrize("name", NAMES)
def test_a_step_moves_every_parameter_and_each_has_one_optimiser(name: str) -> None:
    method = make(name)
    before = {key: value.clone() for key, value in method.named_parameters()}
    losses = run_whole_batch(method, batch(), seeded())
    assert "loss" in losses
    for key, value in method.named_parameters():
        assert not torch.equal(value, before[key]), f"{key} did not move"
        assert value.requires_grad
    held = [
        id(parameter)
        for optimizer in method.optimizers.values()
        for group in optimizer.param_groups
        for parameter in group["params"]
    ]
    assert sorted(held) == sorted(id(parameter) for parameter in method.parameters())


@pytest.mark.parametrize("name", ["context-encoder", "pix2pix"])
@pytest.mark.parametrize("still", ["main", "discriminator"])
def test_each_optimiser_moves_only_its_own_network(name: str, still: str) -> None:
    rate = "learning_rate" if still == "main" else "discriminator_learning_rate"
    method = make(name, **{rate: 0.0})
    before = {key: value.clone() for key, value in method.named_parameters()}
    run_whole_batch(method, batch(), seeded())
    for key, value in method.named_parameters():
        moved = not torch.equal(value, before[key])
        assert moved == (key.startswith("discriminator") == (still == "main")), key


@pytest.mark.parametrize("name", NAMES)
def test_the_watched_loss_is_the_error_of_the_answer_before_the_step(name: str) -> None:
    problem = Problem(SHAPE, SHAPE, False, extra_error=lambda answer, example: answer.square().flatten(1).sum(dim=1))
    method, example = make(name, problem), batch()
    answer = method.complete(example.condition, 1, seeded())[:, 0]
    expected = sample_error(answer, example, method.config.loss, problem).mean().item()
    assert run_whole_batch(method, example, seeded())["loss"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ["context-encoder", "pix2pix"])
def test_adversarial_losses_are_those_of_the_papers(name: str) -> None:
    method, example = make(name, discriminator_learning_rate=0.0), batch()
    example = example._replace(weight=(example.weight > 0.5).float())
    answer = method.complete(example.condition, 1, seeded())[:, 0]
    fake = torch.where(example.weight > 0, answer, example.target)
    if name == "pix2pix":
        real, fake = (torch.cat([example.condition, maps], dim=1) for maps in (example.target, fake))
    else:
        real = example.target
    with torch.no_grad():
        of_real, of_fake = torch.sigmoid(method.discriminator(real)), torch.sigmoid(method.discriminator(fake))
    one, zero = torch.ones_like(of_real), torch.zeros_like(of_real)
    judgement = functional.binary_cross_entropy(of_real, one) + functional.binary_cross_entropy(of_fake, zero)
    losses = run_whole_batch(method, example, seeded())
    assert losses["discriminator"] == pytest.approx(judgement.item() / 2, rel=1e-4)
    assert losses["adversarial"] == pytest.approx(functional.binary_cross_entropy(of_fake, one).item(), rel=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_the_loss_falls_and_ends_near_the_target(name: str) -> None:
    method = make(name, width=16)
    pattern = torch.randn(1, *SHAPE, generator=seeded(0)).sign().expand(16, -1, -1, -1)
    example = Example(torch.zeros(16, *SHAPE), pattern, torch.ones(16, *SHAPE))
    losses = [run_whole_batch(method, example, seeded(step))["loss"] for step in range(120)]
    assert losses[-1] < 0.3 * losses[0]
    assert (method.complete(example.condition[:1], 2, seeded()) - pattern[0]).abs().mean() < 0.4


@pytest.mark.parametrize("name", ["context-encoder", "pix2pix"])
def test_the_adversary_alone_draws_answers_to_the_targets(name: str) -> None:
    """Without any reconstruction term the mean of the answers must come to that of the targets."""
    rates = {"learning_rate": 2e-3, "discriminator_learning_rate": 2e-3}
    method = make(name, reconstruction_weight=0.0, adversarial_weight=1.0, **rates)
    weight, nothing = torch.ones(16, *SHAPE), torch.zeros(16, *SHAPE)
    means = []
    for step in range(100):
        target = 2 + 0.3 * torch.randn(16, *SHAPE, generator=seeded(step))
        run_whole_batch(method, Example(nothing, target, weight), seeded(1000 + step))
        means.append(method.complete(nothing[:4], 4, seeded(5)).mean().item())
    assert abs(means[0]) < 0.5
    assert sum(means[-20:]) / 20 > 1.2


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("bounded", [True, False])
@pytest.mark.parametrize(
    ("condition", "target"),
    [
        ((1, 1, 1), (3, 1, 1)),
        ((1, 8, 8), (2, 8, 8)),
        ((8, 16, 16), (8, 16, 16)),
        ((11, 21, 21), (11, 21, 21)),
        ((1, 7, 13), (1, 7, 13)),
        ((1, 64, 64), (2, 64, 64)),
    ],
)
def test_maps_of_any_size_are_trained_on(
    name: str, bounded: bool, condition: tuple[int, int, int], target: tuple[int, int, int]
) -> None:
    method = make(name, Problem(condition, target, bounded), width=4)
    example = Example(batch(2, condition).condition, *batch(2, target)[1:])
    losses = run_whole_batch(method, example, seeded())
    assert all(torch.isfinite(torch.tensor(list(losses.values()))))
    answers = method.complete(example.condition, 2, seeded())
    assert answers.shape == (2, 2, *target)
    assert answers.abs().max() <= 1.0 or not bounded


@pytest.mark.parametrize("name", NAMES)
def test_skips_hand_on_what_the_bottleneck_loses(name: str) -> None:
    example, problem = batch(5, (2, 16, 16)), Problem((2, 16, 16), (2, 16, 16), False)
    plain, with_skips = make(name, problem, skips=False), make(name, problem, skips=True)
    torch.testing.assert_close(plain.encode(example.condition), with_skips.encode(example.condition))
    answers = [method.complete(example.condition, 1, seeded()) for method in (plain, with_skips)]
    assert not torch.allclose(*answers)


def test_values_without_weight_are_shown_as_the_target_has_them() -> None:
    example = batch()
    weight = (example.weight > 0.5).float()
    seen = fill_from_target(torch.full_like(example.target, 7.0), example._replace(weight=weight))
    assert torch.equal(seen[weight == 0], example.target[weight == 0])
    assert (seen[weight > 0] == 7.0).all()
