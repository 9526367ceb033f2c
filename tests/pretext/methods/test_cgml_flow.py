"""cGML's flow of the latent: the distribution at its end, the error of its steps, and what it refuses."""

import math

import pytest
import torch
from torch import Tensor

from pretext.data.batch import Example, Problem
from pretext.losses.latent_path import path_losses
from pretext.method import build_seeded
from pretext.methods.cgml.config import CGMLConfig
from pretext.methods.cgml.flow import TIMES, VelocityField, flow_loss, integrate_flow
from pretext.methods.cgml.latent_path import draw_latents, infer_latents
from pretext.methods.cgml.model import CGML
from pretext.methods.cgml.spread_latents import draw_spread_latents
from pretext.networks.encoder_decoder import LatentOptimiser
from pretext.optimisation import run_whole_batch
from spectral_ssl.ground.config import build_config
from spectral_ssl.ground.errors import UserError

SAMPLES = 4000
CONDITIONS = 5
SPREAD = 0.06  # standard deviation of a mode


def seeded(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def make_conditions(kind: Tensor) -> Tensor:
    """A bottleneck (N, 5): which of the posteriors it is."""
    return torch.nn.functional.one_hot(kind, CONDITIONS).float()


def find_weight(kind: Tensor) -> Tensor:
    """The weight of the mode on the right, for each posterior with two modes (kinds 0 to 3)."""
    return torch.tensor([0.3, 0.1, 0.5, 0.8, 0.0])[kind]


def draw_last(kind: Tensor, generator: torch.Generator) -> Tensor:
    """Latents (N, 2) of the posteriors: two modes at x = +-0.6 of unequal weight, or a ring of radius 0.7 (kind 4)."""
    is_right = torch.rand(len(kind), generator=generator) < find_weight(kind)
    modes = torch.stack([torch.where(is_right, 0.6, -0.6), torch.zeros(len(kind))], dim=1)
    angle = 2 * math.pi * torch.rand(len(kind), generator=generator)
    ring = 0.7 * torch.stack([angle.cos(), angle.sin()], dim=1)
    noise = SPREAD * torch.randn(len(kind), 2, generator=generator)
    return torch.where(kind[:, None] == 4, ring, modes) + noise


def measure_sliced_wasserstein(first: Tensor, second: Tensor) -> float:
    """The mean over 64 directions of the 1-Wasserstein distance of two samples (N, 2) of one size."""
    angle = math.pi * torch.arange(64) / 64
    directions = torch.stack([angle.cos(), angle.sin()])  # (2, 64)
    return (sort(first @ directions) - sort(second @ directions)).abs().mean().item()


def sort(values: Tensor) -> Tensor:
    return values.sort(dim=0).values


@pytest.fixture(scope="module")
def fields() -> tuple[VelocityField, LatentOptimiser]:
    """Both kinds of Z, trained on pairs of latents with equally many steps."""
    torch.manual_seed(0)
    flow, equation_4 = VelocityField(CONDITIONS, 2, 48), LatentOptimiser(CONDITIONS, 2, 48)
    generator, steps = seeded(), 1200
    optimisers = [torch.optim.Adam(each.parameters(), lr=3e-3) for each in (flow, equation_4)]
    for step in range(steps):
        kind = torch.randint(CONDITIONS, (256,), generator=generator)
        bottleneck, last = make_conditions(kind), draw_last(kind, generator)
        first = draw_latents(len(kind), 2, "ball", generator)
        path = first + torch.linspace(0, 1, 5)[:, None, None] * (last - first)  # (5, N, 2)
        options = {"whole": True, "kind": "l2", "lipschitz": 0.0, "noise": 0.0}
        (path_loss,) = path_losses(equation_4, bottleneck, path, generator, **options)
        losses = flow_loss(flow, bottleneck, first, last, generator), path_loss
        for loss, optimiser in zip(losses, optimisers, strict=True):
            optimiser.param_groups[0]["lr"] = 3e-3 * 0.5 * (1 + math.cos(math.pi * step / steps))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return flow, equation_4


@pytest.mark.parametrize("kind", range(CONDITIONS))
@torch.no_grad()
def test_a_flow_has_the_posterior_and_equation_4_its_mean(
    fields: tuple[VelocityField, LatentOptimiser], kind: int
) -> None:
    flow, equation_4 = fields
    kinds = torch.full((SAMPLES,), kind)
    bottleneck, first = make_conditions(kinds), draw_latents(SAMPLES, 2, "ball", seeded(4))[None]
    options = {"steps": 16, "domain": "ball"}
    moved = integrate_flow(flow, bottleneck, first, solver="heun", **options).latents[-1, 0]
    by_equation_4 = infer_latents(equation_4, bottleneck, first, **options).latents[-1, 0]
    truth, other = draw_last(kinds, seeded(5)), draw_last(kinds, seeded(6))
    noise_floor = measure_sliced_wasserstein(truth, other)
    distance = measure_sliced_wasserstein(moved, truth)
    assert distance < noise_floor + 0.03
    # Two distant modes of equal weight survive equation 4. All else ends at one point or with other weights.
    assert kind == 2 or measure_sliced_wasserstein(by_equation_4, truth) > 3 * distance
    if kind == 4:
        radius = moved.norm(dim=1)
        assert radius.mean().item() == pytest.approx(0.7, abs=0.03)
        angle = torch.atan2(moved[:, 1], moved[:, 0])
        assert torch.histc(angle, 8, -math.pi, math.pi).min() > 0.75 * SAMPLES / 8
        return
    weight = find_weight(torch.tensor(kind)).item()
    # three standard errors of the counting, and two points for what the training left
    bound = 3 * math.sqrt(weight * (1 - weight) / SAMPLES) + 0.02
    assert (moved[:, 0] > 0).float().mean().item() == pytest.approx(weight, abs=bound)
    assert (moved[:, 0].abs() < 0.3).float().mean() < 0.03  # between the modes


@torch.no_grad()
def test_the_error_falls_with_the_steps_as_the_solver_says() -> None:
    field = VelocityField(8, 3, 32).double()
    torch.nn.init.normal_(field.last.weight, std=0.2, generator=seeded())
    bottleneck = torch.randn(6, 8, generator=seeded(), dtype=torch.float64)
    first = 0.2 * draw_latents(6, 3, "ball", seeded()).double()[None]
    exact = integrate_flow(field, bottleneck, first, steps=2000, solver="heun", domain="ball").latents[-1]
    assert (exact - first).norm(dim=-1).min() > 0.01  # it moves, and is not projected
    assert exact.norm(dim=-1).max() < 0.99
    for solver, order in (("euler", 1), ("heun", 2)):
        coarse, fine = (
            (integrate_flow(field, bottleneck, first, steps=steps, solver=solver, domain="ball").latents[-1] - exact)
            .norm()
            .item()
            for steps in (32, 64)
        )
        assert math.log2(coarse / fine) == pytest.approx(order, abs=0.15)


def test_the_loss_is_the_mean_square_worked_out_by_hand() -> None:
    first, last = torch.tensor([[0.0, 0.0], [0.5, -0.5]]), torch.tensor([[1.0, 0.0], [0.5, 0.5]])
    seen: list[tuple[Tensor, Tensor]] = []

    class Ones(VelocityField):
        def from_precomputed(self, precomputed: Tensor, latent: Tensor, time: Tensor) -> Tensor:
            seen.append((latent, time))
            return torch.ones_like(latent)

    loss = flow_loss(Ones(4, 2, 8), torch.zeros(2, 4), first, last, seeded())
    # errors (1 - 1, 1 - 0) and (1 - 0, 1 - 1)
    assert loss.item() == pytest.approx(0.5)
    ((latent, time),) = seen
    assert latent.shape == (2 * TIMES, 2)
    torch.testing.assert_close(latent[::2, 0], time[::2])  # z_s of the first sample
    # each eighth of the time has one
    assert (time[::2] * TIMES).floor().tolist() == list(range(TIMES))


def test_a_flow_is_trained_and_inferred_in_the_method() -> None:
    problem = Problem((2, 9, 9), (2, 9, 9), False)
    settings = {"width": 8, "code": 16, "hidden": 16, "latent": 4, "steps": 2, "dynamics": "flow", "flow_steps": 5}
    method: CGML = build_seeded(CGML, 0, build_config(CGMLConfig, settings, "method"), problem)
    assert isinstance(method.latent_optimiser, VelocityField)
    assert method.config.path.steps_at_inference == 5
    condition, target = torch.randn(2, 3, 2, 9, 9, generator=seeded())
    with torch.no_grad():
        path = method.infer_path(method.encoder(condition), 2, seeded())
    assert path.latents.shape == (6, 2, 3, 4)
    # a new field has no velocity
    torch.testing.assert_close(path.latents[-1].flatten(0, 1), draw_spread_latents(6, 4, "ball", seeded(), 2))
    first = run_whole_batch(method, Example(condition, target, torch.ones_like(target)), seeded())
    for _ in range(30):
        losses = run_whole_batch(method, Example(condition, target, torch.ones_like(target)), seeded())
    assert losses["path"] < first["path"]
    with torch.no_grad():
        path = method.infer_path(method.encoder(condition), 2, seeded())
    assert (path.latents[-1] - path.latents[0]).norm(dim=-1).min() > 0


def test_the_loss_and_the_path_are_double_if_the_latents_are() -> None:
    field = VelocityField(4, 2, 8).double()
    first, last = torch.zeros(3, 2, dtype=torch.float64), torch.ones(3, 2, dtype=torch.float64)
    bottleneck = torch.zeros(3, 4, dtype=torch.float64)
    assert flow_loss(field, bottleneck, first, last, seeded()).dtype == torch.float64
    path = integrate_flow(field, bottleneck, first[None], steps=2, solver="heun", domain="ball")
    assert path.latents.dtype == torch.float64


@torch.no_grad()
def test_the_end_lies_in_the_domain() -> None:
    field = VelocityField(4, 2, 8)
    torch.nn.init.constant_(field.last.bias, 5.0)
    for domain in ("ball", "sphere"):
        last = integrate_flow(
            field, torch.zeros(3, 4), torch.zeros(1, 3, 2), steps=3, solver="euler", domain=domain
        ).latents[-1]
        torch.testing.assert_close(last.norm(dim=-1), torch.ones(1, 3))


def test_mistakes_are_said() -> None:
    with pytest.raises(UserError, match="should be 'equation-4' or 'flow'"):
        build_config(CGMLConfig, {"dynamics": "flows"}, "method")
    with pytest.raises(UserError, match="flow_steps"):
        build_config(CGMLConfig, {"flow_steps": 0}, "method")
    with pytest.raises(UserError, match="a flow without steps to learn from"):
        build_config(CGMLConfig, {"dynamics": "flow", "steps": 0}, "method")
    problem = Problem((2, 9, 9), (2, 9, 9), False)
    settings = {"width": 2, "code": 4, "latent": 4000}
    with pytest.raises(UserError, match="more dimensions than the bottleneck h: got latent=4000"):
        CGML(build_config(CGMLConfig, {**settings, "dynamics": "flow"}, "method"), problem)
    CGML(build_config(CGMLConfig, settings, "method"), problem)  # runs of before may have it
    field = VelocityField(4, 2, 8)
    torch.nn.init.constant_(field.last.bias, torch.nan)
    with pytest.raises(UserError, match="velocity of the latent is not finite"):
        integrate_flow(field, torch.zeros(3, 4), torch.zeros(1, 3, 2), steps=3, solver="euler", domain="ball")
