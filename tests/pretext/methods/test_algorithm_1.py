"""cGML against the literal transcription of algorithm 1: the same draws must give the same parameters."""

from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest
import torch

from pretext.data.batch import Example, Problem
from pretext.method import build_seeded
from pretext.methods.cgml.config import CGMLConfig
from pretext.methods.cgml.model import CGML
from pretext.optimisation import run_whole_batch
from spectral_ssl.ground.config import build_config

# this folder has the name of a package, so that its files are loaded by path
SPEC = spec_from_file_location("algorithm_1", Path(__file__).with_name("algorithm_1.py"))
assert SPEC is not None
assert SPEC.loader is not None
MODULE = module_from_spec(SPEC)
SPEC.loader.exec_module(MODULE)


@pytest.fixture(autouse=True)
def _double() -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


@pytest.mark.parametrize(
    ("shape", "bounded", "settings"),
    [
        ((2, 9, 9), False, {}),
        ((3, 32, 32), True, {}),
        ((2, 16, 16), False, {"momentum": 0.5, "domain": "sphere", "loss": "l2", "path_loss": "l2"}),
    ],
)
def test_training_steps_equal_the_transcription(
    shape: tuple[int, int, int], bounded: bool, settings: dict[str, object]
) -> None:
    small = {"width": 4, "code": 8, "hidden": 8, "latent": 3, "steps": 4, "lipschitz_noise": 0.1}
    config = build_config(CGMLConfig, {**small, **settings}, "method")
    method: CGML = build_seeded(CGML, 0, config, Problem(shape, shape, bounded))
    literal = MODULE.Algorithm1(method)
    before = method.generator.first_z.weight.detach().clone()
    draws = torch.Generator().manual_seed(1)
    for step in range(4):
        condition, target = torch.randn(2, 5, *shape, generator=draws)
        example = Example(condition, target, torch.rand(5, *shape, generator=draws) + 0.1)
        ours = run_whole_batch(method, example, torch.Generator().manual_seed(step))
        theirs = literal.training_step(example, torch.Generator().manual_seed(step))
        assert ours == pytest.approx(theirs, rel=1e-8, abs=1e-12)
    assert not torch.allclose(before, method.generator.first_z.weight, rtol=1e-3)

    copied: CGML = build_seeded(CGML, 7, config, Problem(shape, shape, bounded))
    literal.copy_into(copied)
    for (name, theirs), own in zip(copied.named_parameters(), method.parameters(), strict=True):
        torch.testing.assert_close(theirs, own, rtol=1e-7, atol=1e-9, msg=name)
