"""The losses push the right way, couples are of known neighbours, baselines see what they should, resuming is exact."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from made_up import seeded

from data_prep.basis import zernike_basis
from data_prep.layout import find_valid_cells
from pretext.data.batch import Example, Problem
from pretext.data.standardise import Standardiser
from pretext.method import build_seeded
from pretext.methods.lsc_gan.config import LSCGANConfig
from pretext.methods.lsc_gan.model import LSCGAN
from pretext.optimisation import run_optimisation_steps, run_whole_batch
from spectral_ssl.ground.config import build_config
from spectral_ssl.ground.errors import UserError

D = 3
PROBLEM = Problem((D, 1, 1), (1, 8, 8), True, coded=True)
TINY: dict[str, Any] = {"width": 4, "latent": 4}


def example(samples: int = 8, problem: Problem = PROBLEM, seed: int = 1) -> Example:
    rows = samples * (1 + len(problem.followers))
    generator = seeded(seed)
    target = 2 * torch.rand(rows, *problem.target, generator=generator) - 1
    return Example(torch.randn(rows, D, 1, 1, generator=generator), target, torch.ones_like(target))


def build(problem: Problem = PROBLEM, **settings: Any) -> LSCGAN:
    method: LSCGAN = build_seeded(LSCGAN, 0, build_config(LSCGANConfig, {**TINY, **settings}, "method"), problem)
    return method


def judgements(method: LSCGAN, case: Example, fake: torch.Tensor) -> dict[str, float]:
    near, far = method.neighbours(case)
    real = case.target[: len(near)]
    method.discriminator.eval()
    with torch.no_grad():
        found = {name: method.discriminator(torch.cat([real, other], dim=1)).mean().item()
                 for name, other in {"same": near, "different": far, "adversarial": fake}.items()}  # fmt: skip
    method.discriminator.train()
    return found


@pytest.mark.parametrize(
    ("kind", "weights"),
    [("adversarial", (1, 0, 0)), ("same", (0, 1, 0)), ("different", (0, 0, 1))],
)
def test_each_loss_pushes_the_discriminator_its_way(kind: str, weights: tuple[float, ...]) -> None:
    names = ("adversarial_weight", "same_weight", "different_weight")
    method = build(**dict(zip(names, weights, strict=True)), discriminator_learning_rate=1e-2)
    case = example()
    fake = 2 * torch.rand(8, 1, 8, 8, generator=seeded(5)) - 1
    before = judgements(method, case, fake)
    for _ in range(5):
        code = method._code(case.condition)
        run_optimisation_steps(method._train_discriminator(case, case.target, fake, code, seeded()))
    change = {name: value - before[name] for name, value in judgements(method, case, fake).items()}
    assert change[kind] > 0.01 if kind == "same" else change[kind] < -0.01


def test_the_sum_is_the_papers() -> None:
    weights = {"adversarial_weight": 0.5, "same_weight": 2.0, "different_weight": 0.25}
    method, case = build(**weights), example()
    fake = torch.zeros(8, 1, 8, 8)
    twin = build(**weights)
    near, far = twin.neighbours(case)
    couples = torch.cat([torch.cat([case.target, other], dim=1) for other in (near, far, fake)])
    same, different, adversarial = torch.sigmoid(twin.discriminator(couples)).chunk(3)
    # equation 5, which D ascends
    objective = 0.5 * (1 - adversarial).log().mean() + 2 * same.log().mean() + 0.25 * (1 - different).log().mean()
    found = run_optimisation_steps(
        method._train_discriminator(case, case.target, fake, method._code(case.condition), seeded())
    )
    assert found["discriminator"] == pytest.approx(-objective.item(), rel=1e-5)


def test_neighbours_of_the_batch_are_those_of_the_codes() -> None:
    case = example(6)
    codes = case.condition.flatten(1)
    distances = (codes[:, None] - codes[None]).abs().sum(dim=2)
    near, far = build().neighbours(case)
    for row in range(6):
        others = [other for other in range(6) if other != row]
        assert torch.equal(near[row], case.target[min(others, key=lambda other: distances[row, other])])
        assert torch.equal(far[row], case.target[max(others, key=lambda other: distances[row, other])])


def test_neighbours_that_follow_are_taken() -> None:
    for followers in (("nearest",), ("farthest",), ("nearest", "farthest")):
        problem = replace(PROBLEM, followers=followers)
        case = example(4, problem)
        found = dict(zip(("nearest", "farthest"), build(problem).neighbours(case), strict=True))
        for place, side in enumerate(followers, 1):
            assert torch.equal(found[side], case.target[4 * place : 4 * place + 4])
    losses = run_whole_batch(build(problem), case, seeded())
    assert all(np.isfinite(value) for value in losses.values())


def test_the_generator_descends_what_the_discriminator_says() -> None:
    for loss in ("non-saturating", "minimax"):
        method, case = build(generator_loss=loss, learning_rate=1e-3, discriminator_learning_rate=0.0), example()
        values = [run_whole_batch(method, case, seeded(3))["adversarial"] for _ in range(30)]
        assert values[-1] > values[0]  # the same couples seem more and more alike to D


def test_answers_are_made_with_the_running_mean_of_the_generators_parameters() -> None:
    method, case = build(average=0.75), example()
    means: list[torch.Tensor] = []
    for _ in range(4):
        run_optimisation_steps(method.optimisation_steps(case, seeded()))
        now = [parameter.detach().clone() for parameter in method.generator.parameters()]
        means = [0.75 * mean + 0.25 * each for mean, each in zip(means, now, strict=True)] if means else now
    answers = method.complete(case.condition, 2, seeded(7))
    method.averaged = None
    assert (method.complete(case.condition, 2, seeded(7)) - answers).abs().max() > 1e-4
    with torch.no_grad():
        for parameter, mean in zip(method.generator.parameters(), means, strict=True):
            parameter.copy_(mean)
    torch.testing.assert_close(method.complete(case.condition, 2, seeded(7)), answers)


def test_modulation_by_nothing_is_the_generator_without_it_and_each_stage_is_reached() -> None:
    plain, modulated = build(), build(modulated=True)
    names = plain.generator.state_dict().keys()
    assert set(modulated.generator.state_dict()) > set(names)
    modulated.generator.load_state_dict(plain.generator.state_dict(), strict=False)
    noise, code = torch.randn(2, 4, generator=seeded()), torch.randn(2, D, generator=seeded(1))
    for layer in modulated.generator.modulate:
        torch.nn.init.zeros_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    expected = plain.generator(noise, code)
    assert torch.equal(modulated.generator(noise, code), expected)
    for layer in modulated.generator.modulate:
        torch.nn.init.constant_(layer.bias, 0.5)
        assert (modulated.generator(noise, code) - expected).abs().max() > 1e-4
        torch.nn.init.zeros_(layer.bias)


def read_code(images: torch.Tensor) -> torch.Tensor:
    """A stand-in for the network that computes codes: the means of three rows of an image."""
    return images[:, 0, :D].mean(dim=2)


def test_the_loss_on_codes_is_the_difference_of_standardised_codes_and_pulls_samples_to_theirs() -> None:
    case = example()
    coded = case._replace(condition=read_code(case.target)[:, :, None, None])
    method = build(code_weight=300.0, reconstruction_weight=0.0, learning_rate=1e-2)
    assert method.needs_extractor
    assert not build().needs_extractor
    with pytest.raises(RuntimeError, match="without the network"):
        run_optimisation_steps(method.optimisation_steps(coded, seeded()))
    method = build(code_weight=300.0, learning_rate=1e-2)
    method.extractor = read_code
    method.learn_code_statistics(coded.condition.flatten(1))
    code = method._code(coded.condition)
    with torch.no_grad():
        fake = method.generator(method._noise(8, seeded()), code)
        mean, deviation = code_statistics(coded.condition.flatten(1))
        expected = ((read_code(fake) - mean) / deviation - (coded.condition.flatten(1) - mean) / deviation).abs().mean()
    first = run_optimisation_steps(method.optimisation_steps(coded, seeded()))
    assert first["code_error"] == pytest.approx(expected.item(), rel=1e-5)
    plain = run_optimisation_steps(build().optimisation_steps(coded, seeded()))
    assert "code_error" not in plain
    for step in range(40):
        last = run_optimisation_steps(method.optimisation_steps(coded, seeded(step)))
    assert last["code_error"] < 0.5 * first["code_error"]
    with pytest.raises(UserError, match="nothing to reconstruct"):
        build(conditioning="none", code_weight=1.0)


def code_statistics(codes: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return codes.mean(dim=0), codes.std(dim=0, correction=0)


def test_the_reconstruction_loss_is_the_mean_absolute_difference_to_the_codes_own_sample() -> None:
    problem = replace(PROBLEM, followers=("nearest", "farthest"))
    case = example(problem=problem)
    found = {
        weight: run_optimisation_steps(build(problem, reconstruction_weight=weight).optimisation_steps(case, seeded()))
        for weight in (0.0, 3.0)
    }
    twin = build(problem)
    samples = twin.generator(twin._noise(8, seeded()), twin._code(case.condition[:8]))
    error = (samples - case.target[:8]).abs().mean().item()
    assert found[3.0]["error"] == pytest.approx(error, rel=1e-5)
    assert "error" not in found[0.0]
    assert found[3.0]["loss"] == pytest.approx(found[0.0]["loss"] + 3 * error, rel=1e-5)
    method = build(problem, reconstruction_weight=100.0, adversarial_weight=0.0, learning_rate=1e-2)
    errors = [run_optimisation_steps(method.optimisation_steps(case, seeded()))["error"] for _ in range(60)]
    assert errors[-1] < 0.6 * errors[0]
    with pytest.raises(UserError, match="nothing to reconstruct"):
        build(conditioning="none", reconstruction_weight=1.0)


def test_the_discriminator_steps_every_nth_time() -> None:
    method = build(generator_updates=3)
    stepped = [run_whole_batch(method, example(), seeded(step))["discriminator"] > 0 for step in range(6)]
    assert stepped == [True, False, False, True, False, False]


def test_all_layers_of_the_discriminator_are_spectrally_normalised() -> None:
    method = build(conditioning="code")
    for step in range(60):
        run_whole_batch(method, example(seed=step), seeded(step))
    layers = [module for module in method.discriminator.modules()
              if isinstance(module, torch.nn.Conv2d | torch.nn.Linear)]  # fmt: skip
    assert len(layers) == 5
    for layer in layers:
        largest = torch.linalg.matrix_norm(layer.weight.flatten(1), ord=2).item()
        assert largest == pytest.approx(1, abs=0.15)


def test_what_depends_on_the_code() -> None:
    codes = torch.randn(2, D, 1, 1, generator=seeded(4))
    for conditioning, tied in (("couples", True), ("code", True), ("none", False)):
        problem = PROBLEM if tied else replace(PROBLEM, coded=False)
        method = build(problem, conditioning=conditioning)
        first, second = method.complete(codes, 3, seeded())
        alone = method.complete(codes[1:], 3, seeded())[0]
        assert first.shape == (3, 1, 8, 8)
        assert not torch.equal(first[0], first[1])  # noise of its own
        # with the same noise another code gives another picture, if codes are looked at
        assert torch.equal(alone, method.complete(codes[:1], 3, seeded())[0]) != tied
        assert torch.isfinite(second).all()


def test_encoding_changes_nothing_and_sees_no_code() -> None:
    for conditioning in ("couples", "code", "none"):
        method = build(conditioning=conditioning)
        before = {name: value.clone() for name, value in method.state_dict().items()}
        maps = example().target
        features = method.encode(maps)
        assert torch.equal(features[:3], method.encode(maps[:3]))
        assert all(torch.equal(value, before[name]) for name, value in method.state_dict().items())


def test_codes_are_standardised_and_constant_values_count_for_nothing() -> None:
    method = build()
    codes = torch.cat([5 + 3 * torch.randn(500, 2, generator=seeded()), torch.full((500, 1), 7.0)], dim=1)
    method.learn_code_statistics(codes)
    standard = method._code(codes[:, :, None, None])
    assert standard[:, :2].std(dim=0, correction=0) == pytest.approx(1, abs=1e-4)
    assert standard.mean(dim=0).abs().max() < 1e-5
    assert (standard[:, 2] == 0).all()
    assert all(torch.isfinite(value).all() for value in method.state_dict().values())


def test_empty_cells_of_spectral_maps_stay_empty() -> None:
    basis = zernike_basis(6)
    shape = basis.shape
    standardise = Standardiser.from_statistics(basis, torch.zeros(shape), torch.ones(shape))
    method = build(Problem((D, 1, 1), shape, False, coded=True, standardise=standardise))
    answers = method.complete(torch.zeros(2, D, 1, 1), 2, seeded())
    assert answers.shape == (2, 2, *shape)
    assert (answers[..., ~torch.from_numpy(find_valid_cells(basis))] == 0).all()


@pytest.mark.parametrize(("side", "halvings"), [(32, 3), (64, 4), (128, 5)])
def test_larger_pictures_have_more_layers(side: int, halvings: int) -> None:
    method = build(Problem((D, 1, 1), (3, side, side), True, coded=True))
    assert len(method.generator.grow) == halvings
    assert method.complete(torch.zeros(1, D, 1, 1), 2, seeded()).shape == (1, 2, 3, side, side)
    assert method.encode(torch.zeros(1, 3, side, side)).shape[0] == 1


def test_a_single_sample_teaches_nothing() -> None:
    method = build()
    before = {name: value.clone() for name, value in method.state_dict().items()}
    assert set(run_whole_batch(method, example(1), seeded()).values()) == {0.0}
    assert all(torch.equal(value, before[name]) for name, value in method.state_dict().items())


@pytest.mark.parametrize("conditioning", ["couples", "code", "none"])
def test_layers_are_those_of_the_discriminator_and_leave_it_as_it_was(conditioning: str) -> None:
    method = build(conditioning=conditioning)
    maps = example().target
    before = {name: value.clone() for name, value in method.state_dict().items()}
    found = method.layers(maps)
    names = [name for name in found if "-" not in name]
    assert {name: found[name].shape[1] for name in names} == {"stage1": 4, "stage2": 8}  # 8 pixels, then 4
    assert torch.equal(found["stage2-flat"], method.encode(maps))
    assert method.features(maps).requires_grad
    assert not method.encode(maps).requires_grad
    method.features(maps).sum().backward()
    assert method.discriminator.layers[0].parametrizations.weight.original.grad.abs().sum() > 0
    assert method.discriminator.training
    assert all(torch.equal(value, before[name]) for name, value in method.state_dict().items())
