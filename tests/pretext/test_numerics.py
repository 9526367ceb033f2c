"""Z's large layer on oneDNN against torch's own, values and gradients."""

import pytest
import torch

from pretext.networks import basic_layers


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_values_and_gradients_are_those_of_torch(dtype: torch.dtype) -> None:
    draws = torch.Generator().manual_seed(0)
    layer = torch.nn.Linear(70, 33).to(dtype)
    rows, wanted = (torch.randn(9, size, generator=draws).to(dtype) for size in (70, 33))
    rows.requires_grad_()
    found = []
    for output in (basic_layers.apply_linear(rows, layer), layer(rows)):
        found.append((output, *torch.autograd.grad(output, (rows, layer.weight, layer.bias), wanted)))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_without_it_the_layer_is_torchs_own(monkeypatch: pytest.MonkeyPatch) -> None:
    layer, rows = torch.nn.Linear(5, 3), torch.ones(2, 5)
    monkeypatch.setattr(basic_layers, "available", False)
    monkeypatch.setattr(basic_layers, "_multiply", None)
    assert torch.equal(basic_layers.apply_linear(rows, layer), layer(rows))
