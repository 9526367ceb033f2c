"""The ways of z and of the condition through the generator: modulation, the residual path, candidates."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from pretext.data.batch import Example, Problem
from pretext.method import build_seeded
from pretext.methods.cgml import model
from pretext.methods.cgml.config import CGMLConfig
from pretext.methods.cgml.model import CGML
from pretext.methods.regression import Regression, RegressionConfig
from pretext.networks.basic_layers import plan
from pretext.networks.encoder_decoder import Generator, build_encoder_and_generator
from pretext.optimisation import run_whole_batch
from spectral_ssl.ground.config import build_config
from spectral_ssl.ground.errors import UserError

MAPS = Problem((3, 17, 17), (3, 17, 17), False)
SMALL = {"width": 8, "code": 16, "hidden": 16, "steps": 2, "dynamics": "flow"}


def seeded(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*size: int, seed: int = 3) -> Tensor:
    return torch.randn(*size, generator=seeded(seed))


def make_generator(**ways: bool) -> Generator:
    torch.manual_seed(0)
    return Generator(plan((3, 32, 32), 8), latent=32, out_channels=3, bounded=False, **ways)


@torch.no_grad()
def test_z_scales_and_shifts_as_written_out() -> None:
    generator = make_generator(modulate=True)
    bottleneck, latent = normal(2, 32, 4, 4), normal(2, 32, seed=4)
    activation = generator.first_h(bottleneck) + generator.first_z(latent[:, :, None, None].expand(-1, -1, 4, 4))
    layers = [(None, generator.first_norm), *((grow[0], grow[1]) for grow in generator.grow)]
    assert len(generator.modulate) == len(layers)
    for (convolve, norm), modulate in zip(layers, generator.modulate, strict=True):
        activation = norm(activation if convolve is None else convolve(activation))
        scale, shift = (latent @ modulate.weight.T).chunk(2, dim=1)
        activation = functional.relu(activation * (1 + scale[:, :, None, None]) + shift[:, :, None, None])
    torch.testing.assert_close(generator(bottleneck, latent), generator.last(activation))


@torch.no_grad()
def test_a_residual_path_adds_the_condition() -> None:
    generator = make_generator(residual=True)
    bottleneck, latent, condition = normal(2, 32, 4, 4), normal(2, 32), normal(2, 3, 32, 32)
    zero = generator(bottleneck, latent, (torch.zeros_like(condition),))
    weights = (generator(bottleneck, latent, (condition,)) - zero) / condition
    assert weights.min() > 0
    assert weights.max() < 1
    assert weights.median() == pytest.approx(torch.sigmoid(torch.tensor(2.0)).item(), abs=0.05)
    torch.nn.init.zeros_(generator.last.weight)
    torch.nn.init.zeros_(generator.last.bias)
    torch.testing.assert_close(generator(bottleneck, latent, (condition,)), torch.sigmoid(generator.around) * condition)


def test_modulation_changes_no_other_first_weights() -> None:
    """``test_older_runs`` compares networks without it with those of earlier versions."""
    plain, changed = make_generator(), make_generator(modulate=True)
    torch.testing.assert_close(plain.first_h.weight, changed.first_h.weight, rtol=0, atol=0)
    torch.testing.assert_close(plain.grow[-1][0].weight, changed.grow[-1][0].weight, rtol=0, atol=0)
    assert {"modulate", "around"}.isdisjoint(name.split(".")[0] for name in plain.state_dict())


@pytest.mark.parametrize("ways", [{"modulate": True}, {"residual": True}])
def test_methods_train_and_complete_with_them(ways: dict[str, object]) -> None:
    method: CGML = build_seeded(CGML, 0, build_config(CGMLConfig, {**SMALL, **ways}, "method"), MAPS)
    condition, target = normal(2, 4, 3, 17, 17)
    example = Example(condition, target, torch.ones_like(target))
    first = run_whole_batch(method, example, seeded())
    for _ in range(15):
        losses = run_whole_batch(method, example, seeded())
    assert losses["loss"] < first["loss"]
    answers = method.complete(condition, 3, seeded())
    assert answers.shape == (4, 3, 3, 17, 17)
    # a sample's predictions do not depend on its batch
    alone = method.complete(condition[:1], 1, seeded())
    with torch.no_grad():
        latent = method.infer_path(method.encoder(condition[:1]), 1, seeded()).latents[-1]
        bottleneck, skips = method._bottleneck(condition)
        whole = method._decode(bottleneck, skips, latent.expand(-1, 4, -1))
    torch.testing.assert_close(whole[:1], alone, atol=1e-5, rtol=1e-4)


def test_regression_has_the_residual_path_too() -> None:
    method = build_seeded(Regression, 0, build_config(RegressionConfig, {"width": 8, "residual": True}, "method"), MAPS)
    condition = normal(4, 3, 17, 17)
    answer = method.complete(condition, 1, seeded())[:, 0]
    correlation = torch.corrcoef(torch.stack([answer.flatten(), condition.flatten()]))[0, 1]
    assert correlation > 0.9


def test_what_does_not_fit_is_refused() -> None:
    images = Problem((3, 32, 32), (3, 32, 32), True)
    with pytest.raises(UserError, match="a residual path is for spectral maps of one shape: got images"):
        build_encoder_and_generator(images, 8, 16, 4, residual=True)
    for condition in ((1, 1, 1), (3, 1, 1)):
        with pytest.raises(UserError, match="a residual path is for spectral maps of one shape: got maps"):
            build_encoder_and_generator(Problem(condition, (3, 1, 1), False), 8, 16, 4, residual=True)
    with pytest.raises(UserError, match="z modulates the layers of convolutions: got data without extent"):
        build_encoder_and_generator(Problem((3, 1, 1), (3, 1, 1), False), 8, 16, 4, modulate=True)
    with pytest.raises(
        UserError, match=r"several first latents are for the flow: got method\.optimisation\.candidates"
    ):
        build_config(CGMLConfig, {"candidates": 2}, "method")


@torch.no_grad()
def test_the_nearest_candidate_begins_the_descent() -> None:
    settings = {**SMALL, "latent": 4, "candidates": 6, "latent_gain": 8.0}
    method: CGML = build_seeded(CGML, 0, build_config(CGMLConfig, settings, "method"), MAPS)
    condition, target = normal(2, 5, 3, 17, 17)
    example = Example(condition, target, torch.ones_like(target))
    bottleneck, skips = method._bottleneck(condition)
    precomputed = method.generator.precompute(bottleneck, skips)
    chosen = method._choose_first(precomputed, example, seeded())
    tried = method._first_latents(6, 5, seeded())
    errors = torch.stack(
        [method.error(method.generator.from_precomputed(precomputed, each), example) for each in tried]
    )
    for sample in range(5):
        torch.testing.assert_close(chosen[sample], tried[errors[:, sample].argmin(), sample])
    # one candidate is the first latent of the paper, drawn as before
    one: CGML = build_seeded(CGML, 0, build_config(CGMLConfig, {**settings, "candidates": 1}, "method"), MAPS)
    torch.testing.assert_close(
        one._choose_first(precomputed, example, seeded()), one._first_latents(1, 5, seeded())[0], rtol=0, atol=0
    )


@pytest.mark.parametrize("candidates", [1, 6])
def test_the_flow_begins_where_inference_does(candidates: int, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {**SMALL, "latent": 4, "candidates": candidates}
    method: CGML = build_seeded(CGML, 0, build_config(CGMLConfig, settings, "method"), MAPS)
    chosen: list[Tensor] = []
    begun: list[Tensor] = []
    choose, loss = method._choose_first, model.flow_loss
    monkeypatch.setattr(method, "_choose_first", lambda *given: chosen.append(choose(*given)) or chosen[-1])
    monkeypatch.setattr(model, "flow_loss", lambda *given: begun.append(given[2]) or loss(*given))
    condition, target = normal(2, 5, 3, 17, 17)
    run_whole_batch(method, Example(condition, target, torch.ones_like(target)), seeded())
    generator = seeded()
    drawn = [method._first_latents(count, 5, generator) for count in (candidates, 1)]
    # the nearest of several no longer has the distribution of first latents, so another one is drawn
    expected = drawn[0][0] if candidates == 1 else drawn[1][0]
    torch.testing.assert_close(begun[0], expected, rtol=0, atol=0)
    assert torch.equal(begun[0], chosen[0]) == (candidates == 1)


@pytest.mark.parametrize("candidates", [1, 6])
def test_the_oracle_begins_where_training_does(candidates: int) -> None:
    settings = {**SMALL, "latent": 4, "candidates": candidates, "latent_gain": 8.0, "step_size": 0.0}
    method: CGML = build_seeded(CGML, 0, build_config(CGMLConfig, settings, "method"), MAPS)
    condition, target = normal(2, 5, 3, 17, 17)
    example = Example(condition, target, torch.ones_like(target))
    bottleneck, skips = method._bottleneck(condition)
    precomputed = method.generator.precompute(bottleneck, skips)
    predictions = method.oracle(example, 2, seeded())  # (5, 2, C, S, S); steps of no length
    generator = seeded()
    if candidates == 1:
        first = method._first_latents(2, 5, generator)
    else:
        first = torch.stack([method._choose_first(precomputed, example, generator) for _ in range(2)])
    for number, latent in enumerate(first):
        torch.testing.assert_close(predictions[:, number], method.generator.from_precomputed(precomputed, latent))


@pytest.mark.parametrize(("side", "channels"), [(32, 256), (64, 512), (128, 1024), (256, 2048)])
def test_widths_without_a_limit_are_those_of_the_papers_networks(side: int, channels: int) -> None:
    paper = plan((3, side, side), width=64, width_limit=32)
    assert (paper.widths[-1], paper.bottleneck) == (channels, 16 * channels)
    assert plan((3, side, side), width=64).widths[-1] == min(channels, 512)


def test_a_width_limit_reaches_encoder_and_generator() -> None:
    images = Problem(condition=(3, 128, 128), target=(3, 128, 128), bounded=True)
    encoder, generator, size = build_encoder_and_generator(images, width=2, code=8, latent=3, width_limit=16)
    assert size == 4 * 4 * 32
    condition = torch.zeros(2, 3, 128, 128)
    assert generator(encoder(condition), torch.zeros(2, 3)).shape == condition.shape
