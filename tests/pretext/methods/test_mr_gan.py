"""MR-GAN: what a step moves, that the predictor comes first and is kept at its best, that inference sees no target."""

from itertools import combinations
from typing import Any

import pytest
import torch
from made_up import seeded
from torch import nn

from pretext.data.batch import Example, Problem
from pretext.losses.moment_matching import VARIANTS, likelihood
from pretext.method import build_seeded
from pretext.methods.mr_gan.config import MRGANConfig
from pretext.methods.mr_gan.model import MRGAN
from pretext.methods.mr_gan.predictor import Predictor, held_out_samples
from pretext.optimisation import OptimisationSteps, run_optimisation_steps, run_whole_batch
from spectral_ssl.ground.config import build_config
from spectral_ssl.ground.errors import UserError

SHAPE = (2, 9, 9)
SMALL = {"width": 8, "code": 16, "noise_channels": 4, "samples": 3, "predictor_steps": 2, "learning_rate": 1e-3}
PICTURES = {
    "translate": Problem((3, 16, 16), (3, 16, 16), True),
    "super-resolve": Problem((3, 16, 16), (3, 16, 16), True, zoom=4),
    "inpaint": Problem((3, 16, 16), (3, 16, 16), True, hole=True),
    "colorize": Problem((1, 16, 16), (2, 16, 16), True),
    "map": Problem(SHAPE, SHAPE, False),
    "point": Problem((1, 1, 1), (2, 1, 1), False),
}


def make(name: str = "map", seed: int = 0, **settings: object) -> Any:
    config = build_config(MRGANConfig, {**SMALL, **settings}, "method")
    return build_seeded(MRGAN, seed, config, PICTURES[name])


def batch(name: str = "map", size: int = 5, seed: int = 1) -> Example:
    problem = PICTURES[name]
    condition = torch.randn(size, *problem.condition, generator=seeded(seed))
    target = torch.randn(size, *problem.target, generator=seeded(seed + 100))
    weight = torch.ones_like(target)
    if problem.hole:
        weight[..., :4] = 0.0
    return Example(condition, target.tanh() if problem.bounded else target, weight)


def ready(name: str = "map", **settings: object) -> Any:
    """A method whose predictor is trained already, if it has one."""
    method = make(name, **settings)
    while method.predictor is not None and not method.predictor.finished:
        run_whole_batch(method, batch(name, seed=int(method.predictor.steps_done)), seeded())
    return method


def moved(method: Any, before: dict[str, torch.Tensor]) -> set[str]:
    """Which networks have other parameters than before."""
    return {
        ".".join(name.split(".")[: 2 if name.startswith("predictor") else 1])
        for name, value in method.named_parameters()
        if not torch.equal(value, before[name])
    }


def parameters(method: Any) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in method.named_parameters()}


@pytest.mark.parametrize("name", PICTURES)
def test_no_network_remembers_targets(name: str) -> None:
    method, example = ready(name), batch(name)
    state = {key: value.clone() for key, value in method.state_dict().items()}
    answers, features = [], []
    for shift in (0.0, 100.0):
        run_whole_batch(method, example._replace(target=example.target + shift), seeded())
        method.load_state_dict(state)
        answers.append(method.complete(example.condition, 3, seeded()))
        features.append(method.encode(example.condition))
    assert torch.equal(answers[0], answers[1])
    assert torch.equal(features[0], features[1])
    assert answers[0].shape == (5, 3, *PICTURES[name].target)
    assert not torch.equal(answers[0][:, 0], answers[0][:, 1])
    assert answers[0].abs().max() <= 1 or not PICTURES[name].bounded
    torch.testing.assert_close(method.encode(example.condition[2:3])[0], features[0][2], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", PICTURES)
def test_layers_are_features_of_each_sample_by_itself(name: str) -> None:
    method, example = make(name), batch(name)
    layers = method.layers(example.condition)
    assert len(layers) >= 1
    for layer, features in layers.items():
        assert features.shape[0] == 5
        assert features.dim() == 2
        torch.testing.assert_close(method.layers(example.condition[1:2])[layer][0], features[1], rtol=1e-4, atol=1e-5)
    assert method.features(example.condition).requires_grad
    assert torch.equal(method.features(example.condition), method.encode(example.condition))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("name", ["inpaint", "point"])
def test_every_variant_trains_first_its_predictor_and_then_the_others(variant: str, name: str) -> None:
    method = make(name, variant=variant, weight_decay=0.0)
    if VARIANTS[variant].proxy:
        for step in range(2):
            before = parameters(method)
            losses = run_whole_batch(method, batch(name, seed=step), seeded(step))
            assert moved(method, before) - {"predictor.best"} == {"predictor.network"}
            assert losses["loss"] == losses["predictor"] != 0
    before = parameters(method)
    losses = run_whole_batch(method, batch(name), seeded())
    assert moved(method, before) == {"generator", "discriminator"}
    assert losses["centre"] != 0
    assert (losses["dispersion"] != 0) == (variant.endswith("proxy-mr2"))
    assert all(torch.isfinite(torch.tensor(list(losses.values()))))
    weights = method.config.losses.centre_weight, method.config.losses.dispersion_weight
    expected = weights[0] * losses["centre"] + weights[1] * losses["dispersion"]
    assert losses["loss"] == pytest.approx(expected, rel=1e-4)


def test_every_parameter_that_learns_has_one_optimiser() -> None:
    method = make()
    held = [
        id(parameter)
        for optimizer in method.optimizers.values()
        for group in optimizer.param_groups
        for parameter in group["params"]
    ]
    assert sorted(held) == sorted(id(value) for value in method.parameters() if value.requires_grad)
    for optimizer in method.optimizers.values():
        assert optimizer.defaults["amsgrad"]
        assert optimizer.defaults["weight_decay"] == 1e-4
    assert {name for name, value in method.named_parameters() if not value.requires_grad} == {
        f"predictor.best.{name}" for name, _ in method.predictor.best.named_parameters()
    }


def test_the_discriminator_steps_once_in_n_steps_of_the_generator() -> None:
    method = ready(generator_updates=3)
    history, judgements = [], []
    for step in range(6):
        before = parameters(method)
        losses = run_whole_batch(method, batch(), seeded(step))
        history.append("discriminator" in moved(method, before))
        judgements.append(losses["discriminator"])
    assert history == [True, False, False, True, False, False]
    assert judgements[0] == judgements[2] != judgements[3] == judgements[5]  # of its last step
    assert judgements[0] > 0


def test_gradients_are_clipped_by_value() -> None:
    method = ready(clip=1e-3)
    run_whole_batch(method, batch(), seeded())
    largest = max(value.grad.abs().max().item() for value in method.generator.parameters())
    assert largest == pytest.approx(1e-3)


@pytest.mark.parametrize("adversarial", [0.0, 1.0])
def test_without_a_variant_it_is_a_plain_gan_with_a_reconstruction_loss(adversarial: float) -> None:
    settings = {"variant": "none", "reconstruction_weight": 2.0, "adversarial_weight": adversarial}
    method, example = make(**settings), batch()
    answers = method.complete(example.condition, 3, seeded())
    before = parameters(method)
    losses = run_whole_batch(method, example, seeded())
    expected = (answers - example.target[:, None]).abs().mean().item()
    assert losses["error"] == pytest.approx(expected, rel=1e-4)
    assert losses["loss"] == pytest.approx(2 * expected, rel=1e-4)
    assert (losses["centre"], losses["predictor"]) == (0, 0)
    assert moved(method, before) == ({"generator", "discriminator"} if adversarial else {"generator"})
    assert (losses["adversarial"] > 0) == bool(adversarial)


@pytest.mark.parametrize("name", ["translate", "super-resolve", "inpaint", "map"])
def test_with_a_gradient_of_one_sample_all_are_still_drawn_and_judged(name: str) -> None:
    method = ready(name, samples=4, graded_samples=1)
    drawn, judged, draw, judge = [], [], method._samples, method._moment_losses

    def drawing(network: nn.Module, condition: torch.Tensor, samples: int, generator: torch.Generator) -> Any:
        found = draw(network, condition, samples, generator)
        drawn.append((samples, found.requires_grad))
        return found

    def judging(example: Example, samples: torch.Tensor) -> Any:
        judged.append(samples.detach())
        return judge(example, samples)

    method._samples, method._moment_losses = drawing, judging
    before = parameters(method)
    run_whole_batch(method, batch(name), seeded())
    assert drawn == [(1, True), (3, False)]
    (samples,) = judged
    assert samples.shape[:2] == (5, 4)
    for one, other in combinations(range(4), 2):
        assert not torch.equal(samples[:, one], samples[:, other])  # each of noise of its own
    assert {"generator", "discriminator"} <= moved(method, before)


def test_a_gradient_of_more_samples_than_there_are_is_refused_with_what_to_do() -> None:
    with pytest.raises(UserError, match=r"more samples than there are.*set method.graded_samples=0"):
        make(samples=1, graded_samples=2, variant="none")


def test_the_error_falls_on_l1_alone() -> None:
    settings = {"variant": "none", "reconstruction_weight": 1.0, "adversarial_weight": 0.0, "samples": 1}
    method, example = make("translate", **settings), batch("translate")
    errors = [run_whole_batch(method, example, seeded(step))["error"] for step in range(60)]
    assert errors[-1] < 0.8 * errors[0]


# The predictor.


def test_a_tenth_is_held_out_by_the_target_alone_wherever_it_stands() -> None:
    targets = torch.randn(3000, 2, 3, 3, generator=seeded())
    held_out = held_out_samples(targets)
    assert 0.07 < held_out.float().mean() < 0.13
    order = torch.randperm(3000, generator=seeded(1))
    assert torch.equal(held_out_samples(targets[order]), held_out[order])
    assert torch.equal(held_out_samples(targets[7:8]), held_out[7:8])


def linear_predictor(steps: int) -> Predictor:
    """Predicts one number and its spread from another."""

    class Line(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(1, 2)

        def forward(self, condition: torch.Tensor, samples: int) -> torch.Tensor:
            return self.layer(condition.flatten(1))[:, None, :, None, None]

    predictor: Predictor = build_seeded(Predictor, 0, Line, "gaussian", False, steps)
    return predictor


def line(step: int, size: int = 200) -> Example:
    x = torch.randn(size, 1, 1, 1, generator=seeded(step))
    target = 2 * x + 1 + 0.5 * torch.randn(size, 1, 1, 1, generator=seeded(10_000 + step))
    return Example(x, target, torch.ones_like(target))


def train_predictor(predictor: Predictor, example: Example, optimizer: torch.optim.Optimizer) -> None:
    def optimisation_steps() -> OptimisationSteps:
        loss = yield from predictor.optimisation_steps(example, optimizer, 0.0, 10.0)
        return {"loss": loss}

    run_optimisation_steps(optimisation_steps())


def test_the_predictor_finds_conditional_mean_and_variance() -> None:
    predictor = linear_predictor(steps=600)
    optimizer = torch.optim.Adam(predictor.network.parameters(), lr=0.02)
    for step in range(600):
        assert not predictor.finished
        train_predictor(predictor, line(step), optimizer)
    assert predictor.finished
    found = predictor.moments(torch.tensor([-1.0, 0.0, 2.0])[:, None, None, None])
    torch.testing.assert_close(found.centre.flatten(), torch.tensor([-1.0, 1.0, 5.0]), atol=0.15, rtol=0)
    torch.testing.assert_close(found.dispersion.flatten(), torch.full((3,), 0.25), atol=0.06, rtol=0)


def test_what_is_held_out_does_not_move_the_predictor_and_its_best_state_is_kept() -> None:
    predictor = linear_predictor(steps=40)
    optimizer = torch.optim.SGD(predictor.network.parameters(), lr=0.05)
    example = line(0)
    held_out = held_out_samples(example.target)
    other = example._replace(condition=torch.where(held_out[:, None, None, None], 77.0, example.condition))
    states = []
    for given in (example, other):
        twin = linear_predictor(steps=40)
        train_predictor(twin, given, torch.optim.SGD(twin.network.parameters(), lr=0.05))
        states.append(twin.network.layer.weight.clone())
    assert torch.equal(*states)

    def held_out_loss(network: nn.Module) -> float:
        total = 0.0
        for step in range(100, 110):
            part = line(step)
            centre, log_dispersion = network(part.condition, 1)[:, 0].chunk(2, dim=1)
            total += likelihood("gaussian", centre, log_dispersion, part.target, part.weight, 0.0).item()
        return total / 10

    for step in range(40):
        # from step 20 on it is taught the opposite, but what is held out stays as it was
        given = line(step)
        if step >= 20:
            wrong = torch.where(held_out_samples(given.target)[:, None, None, None], given.condition, -given.condition)
            given = given._replace(condition=wrong)
        train_predictor(predictor, given, optimizer)
    assert held_out_loss(predictor.best) < held_out_loss(predictor.network) - 0.3


# Mistakes.


def test_a_second_moment_needs_two_samples_and_names_are_checked() -> None:
    with pytest.raises(UserError, match="graded_samples"):
        MRGANConfig(samples=3, graded_samples=4)
    with pytest.raises(UserError, match=r"second moment.*mr1"):
        MRGANConfig(variant="laplace-mr2", samples=1)
    assert MRGANConfig(variant="laplace-mr1", samples=1).samples == 1
    with pytest.raises(UserError, match="did you mean 'laplace-mr1'"):
        MRGANConfig(variant="laplacian-mr1")
    with pytest.raises(UserError, match="nothing to minimise"):
        build_config(MRGANConfig, {"variant": "none", "adversarial_weight": 0.0}, "method")


def test_answers_are_made_with_the_running_mean_of_the_generators_parameters() -> None:
    method = ready(average=0.75)
    means: list[torch.Tensor] = []
    for step in range(4):
        run_optimisation_steps(method.optimisation_steps(batch(seed=step), seeded(step)))
        now = [parameter.detach().clone() for parameter in method.generator.parameters()]
        means = [0.75 * mean + 0.25 * each for mean, each in zip(means, now, strict=True)] if means else now
    condition = batch().condition
    answers = method.complete(condition, 2, seeded(7))
    method.averaged = None
    assert (method.complete(condition, 2, seeded(7)) - answers).abs().max() > 1e-5
    with torch.no_grad():
        for parameter, mean in zip(method.generator.parameters(), means, strict=True):
            parameter.copy_(mean)
    torch.testing.assert_close(method.complete(condition, 2, seeded(7)), answers)
