"""BicycleGAN: what its terms are, what moves what, and that it tells two modes apart."""

from typing import Any

import pytest
import torch
from made_up import seeded
from torch.distributions import Normal, kl_divergence
from torch.nn import functional

from pretext.data.batch import Example, Problem
from pretext.losses.adversarial import fill_from_target
from pretext.losses.reconstruction import sample_error
from pretext.method import build_seeded
from pretext.methods.bicycle_gan import BicycleGAN, BicycleGANConfig
from pretext.optimisation import run_whole_batch

SHAPE = (2, 9, 9)


def make(problem: Problem | None = None, **settings: object) -> Any:
    config = BicycleGANConfig(**{"width": 8, "code": 16, "latent": 4, "learning_rate": 1e-3, **settings})
    return build_seeded(BicycleGAN, 0, config, problem or Problem(SHAPE, SHAPE, False))


def batch(shape: tuple[int, int, int] = SHAPE) -> Example:
    condition, target = torch.randn(2, 5, *shape, generator=seeded(1))
    return Example(condition, target, torch.rand(5, *shape, generator=seeded(2)) + 0.1)


def test_completions_of_one_condition_differ() -> None:
    method, example = make(), batch()
    answers = method.complete(example.condition, 3, seeded())
    assert answers.shape == (5, 3, *SHAPE)
    assert torch.equal(answers, method.complete(example.condition, 3, seeded()))
    assert not torch.allclose(answers[:, 0], answers[:, 1])


def test_the_terms_are_those_of_the_paper() -> None:
    method, example = make(discriminator_learning_rate=0.0), batch()
    example = example._replace(weight=example.weight * (example.weight > 0.5))  # D ignores what has no weight
    with torch.no_grad():
        mean, log_variance = method.reader(example.target)
        drawn = torch.randn(2, 5, 4, generator=seeded())
        bottleneck, skips = method.encoder.with_skips(example.condition)
        first = method.generator(bottleneck, mean + torch.exp(log_variance / 2) * drawn[0], skips)
        second = method.generator(bottleneck, drawn[1], skips)
        first_logits = [method.discriminators[0](maps) for maps in (example.target, fill_from_target(first, example))]
        second_logits = [method.discriminators[1](maps) for maps in (example.target, fill_from_target(second, example))]
        # -log D of the two predictions: a sum over scales and a mean over the two discriminators and their patches.
        judged = [-functional.logsigmoid(scale).mean() for scale in (*first_logits[1], *second_logits[1])]
        real = [-functional.logsigmoid(scale).mean() for scale in (*first_logits[0], *second_logits[0])]
        fake = [-functional.logsigmoid(-scale).mean() for scale in (*first_logits[1], *second_logits[1])]
        expected = {
            "adversarial": sum(judged).item() / 2,
            "discriminator": sum(real + fake).item() / 4,
            "loss": sample_error(first, example).mean().item(),
            "latent": (method.reader(second)[0] - drawn[1]).abs().mean().item(),
            "divergence": kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(0, 1)).sum(dim=1).mean().item(),
        }
    losses = run_whole_batch(method, example, seeded())
    for name, value in expected.items():
        assert losses[name] == pytest.approx(value, rel=1e-4), name


def test_the_discriminators_do_not_see_the_condition() -> None:
    method, example = make(), batch()
    seen: list[torch.Tensor] = []
    for discriminator in method.discriminators:
        discriminator.register_forward_hook(lambda module, given, output: seen.append(given[0]))
    run_whole_batch(method, example, seeded())
    assert [maps.shape[1] for maps in seen] == [example.target.shape[1]] * 6  # real and two kinds of fake, both D
    assert torch.equal(seen[0], example.target)


@pytest.mark.parametrize("term", ["latent_weight", "divergence_weight"])
def test_the_latent_error_teaches_the_generator_and_not_the_reader(term: str) -> None:
    nothing = {"reconstruction_weight": 0.0, "adversarial_weight": 0.0, "divergence_weight": 0.0, "latent_weight": 0.0}
    method = make(**{**nothing, term: 1.0})
    before = {name: value.clone() for name, value in method.named_parameters()}
    run_whole_batch(method, batch(), seeded())
    moved = {name.split(".")[0] for name, value in method.named_parameters() if not torch.equal(value, before[name])}
    expected = {"encoder", "generator"} if term == "latent_weight" else {"reader"}
    assert moved == expected | {"discriminators"}


def test_a_step_moves_every_parameter_and_each_has_one_optimiser() -> None:
    method = make()
    before = {name: value.clone() for name, value in method.named_parameters()}
    run_whole_batch(method, batch(), seeded())
    still = [name for name, value in method.named_parameters() if torch.equal(value, before[name])]
    assert not still
    groups = [group for optimizer in method.optimizers.values() for group in optimizer.param_groups]
    held = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(held) == sorted(id(value) for value in method.parameters())


def test_two_modes_are_told_apart() -> None:
    problem = Problem((1, 1, 1), (1, 1, 1), False)
    rates = {"learning_rate": 3e-3, "discriminator_learning_rate": 1e-3}
    # a heavier KL than the paper's 0.01, so that both modes lie where z is drawn from after few steps
    method = make(problem, latent=1, code=32, divergence_weight=0.5, **rates)
    nothing, weight = torch.zeros(64, 1, 1, 1), torch.ones(64, 1, 1, 1)
    for step in range(300):
        target = torch.randint(2, (64, 1, 1, 1), generator=seeded(step)) * 2.0 - 1
        run_whole_batch(method, Example(nothing, target, weight), seeded(1000 + step))
    answers = method.complete(nothing[:1], 200, seeded(5)).flatten()
    assert 0.2 < (answers > 0).float().mean() < 0.8
    assert ((answers.abs() - 1).abs() < 0.4).float().mean() > 0.7
