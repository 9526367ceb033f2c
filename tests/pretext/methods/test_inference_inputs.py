"""Nothing that a method computes at inference depends on a target, not even by what training left behind."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from method_cases import Case, cases
from torch import Tensor

from pretext.data.batch import Example, Problem
from pretext.methods.catalogue import METHODS
from pretext.optimisation import run_whole_batch

SAMPLES, STEPS = 6, 6  # MR-GAN's predictor is finished after 4 steps


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def make_example(problem: Problem, target_seed: int) -> Example:
    """Make random conditions, always the same, with random targets and weights that depend on the seed."""
    condition = torch.randn(SAMPLES, *problem.condition, generator=seeded(1))
    target = torch.randn(SAMPLES, *problem.target, generator=seeded(target_seed))
    weight = torch.rand(SAMPLES, *problem.target, generator=seeded(target_seed + 1)) + 0.1
    return Example(condition, target.tanh() if problem.bounded else target, weight)


def outputs(method: Any, problem: Problem) -> Iterator[tuple[str, Tensor]]:
    """Compute everything that the method can compute at inference, by name."""
    maps = torch.randn(SAMPLES, *problem.target, generator=seeded(2))  # what the task's view shows the encoder
    condition = make_example(problem, 3).condition
    yield "encode", method.encode(maps)
    yield "features", method.features(maps)
    yield from method.layers(maps).items()
    if method.has_completions:
        yield "complete", method.complete(condition, 2, seeded())
    if method.latent_model is not None:
        predictions, path = method.latent_model.complete_along_path(condition, 2, seeded())
        yield from {"predictions along the path": predictions, "latents": path.latents}.items()
    moments = method.predicted_moments(condition)
    if moments is not None:
        yield from {"centre": moments.centre, "dispersion": moments.dispersion}.items()


@pytest.mark.parametrize("case", cases(), ids=str)
def test_no_bit_of_an_output_depends_on_targets_or_weights(case: Case) -> None:
    method, problem = case.build()
    state = {name: value.clone() for name, value in method.state_dict().items()}
    seen = []
    for target_seed in (10, 20):
        for step in range(STEPS):  # training sees the targets
            run_whole_batch(method, make_example(problem, target_seed), seeded(step))
        trained = {name: value.clone() for name, value in method.state_dict().items()}
        method.load_state_dict(state)  # with the same parameters again, nothing of them may be left
        seen.append((trained, dict(outputs(method, problem))))
    (first_state, first), (second_state, second) = seen
    # The check is only worth something if training depends on the targets.
    assert any(not torch.equal(first_state[name], second_state[name]) for name in state)
    assert first.keys() == second.keys()
    for name in first:
        assert torch.equal(first[name], second[name]), name
    assert first["encode"].std() > 0


def test_every_method_is_tested() -> None:
    assert {case.method for case in cases()} == set(METHODS)
