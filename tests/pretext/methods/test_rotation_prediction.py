"""Rotations can be told, features come from the layer asked for, unsuitable data are refused."""

from typing import Any

import pytest
import torch
from made_up import seeded

from pretext.data.batch import Example, Problem
from pretext.method import build_seeded
from pretext.methods.rotation_prediction import RotationPrediction, RotationPredictionConfig
from pretext.optimisation import run_whole_batch
from spectral_ssl.ground.errors import UserError

PROBLEM = Problem((1, 1, 1), (1, 16, 16), True)


def build(problem: Problem = PROBLEM, **settings: Any) -> RotationPrediction:
    method: RotationPrediction = build_seeded(RotationPrediction, 0, RotationPredictionConfig(**settings), problem)
    return method


def upright(samples: int, seed: int = 0) -> Example:
    """Pictures that are brighter at the top."""
    noise = 0.3 * torch.randn(samples, 1, 16, 16, generator=seeded(seed))
    pictures = (noise + torch.linspace(0.8, -0.8, 16)[:, None]).clamp(-1, 1)
    return Example(torch.zeros(samples, 1, 1, 1), pictures, torch.ones_like(pictures))


def test_it_learns_which_way_up_pictures_are() -> None:
    method = build(width=4)
    first = run_whole_batch(method, upright(8), seeded())
    for step in range(25):
        last = run_whole_batch(method, upright(8, step), seeded())
    assert last["accuracy"] > 0.9
    assert last["loss"] < first["loss"]


def test_the_condition_plays_no_part() -> None:
    case = upright(4)
    one, other = build(width=4), build(width=4)
    run_whole_batch(one, case, seeded())
    run_whole_batch(other, case._replace(condition=torch.ones(4, 1, 1, 1)), seeded())
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in one.state_dict().items())


@pytest.mark.parametrize(
    ("settings", "features"),
    [
        ({"width": 4, "layer": 1, "pool": 0}, 4 * 16 * 16),
        ({"width": 4, "layer": 3, "pool": 2}, 16 * 2 * 2),
        ({"network": "alexnet", "side": 64, "layer": 2, "pool": 0}, 192 * 3 * 3),
        ({"network": "alexnet", "side": 64, "layer": 5, "pool": 1}, 256),
    ],
)
def test_features_are_the_layers(settings: dict[str, Any], features: int) -> None:
    method = build(**settings)
    pictures = upright(3).target
    found = method.encode(pictures)
    assert found.shape == (3, features)
    assert torch.allclose(found[:1], method.encode(pictures[:1]), atol=1e-5)
    assert not torch.allclose(found[0], found[1])


def test_every_stage_is_a_layer_and_the_default_is_made_of_one() -> None:
    method = build(width=4, layer=2, pool=2)
    pictures = upright(3).target
    found = method.layers(pictures)
    names = [name for name in found if "-" not in name]
    assert names == ["stage1", "stage2", "stage3", "stage4"]
    assert {name: found[name].shape[1] for name in names} == {"stage1": 4, "stage2": 8, "stage3": 16, "stage4": 32}
    assert torch.equal(found["stage2-parts"], method.encode(pictures))
    assert all(values.requires_grad for values in found.values())
    assert method.features(pictures).requires_grad
    assert not method.encode(pictures).requires_grad


def test_unsuitable_data_are_refused() -> None:
    with pytest.raises(UserError, match="square images"):
        build(Problem((1, 1, 1), (1, 16, 12), True))
    with pytest.raises(UserError, match="square images"):
        build(Problem((1, 1, 1), (4, 16, 16), False))
    with pytest.raises(UserError, match="too small for alexnet"):
        build(network="alexnet")
