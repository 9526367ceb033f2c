"""A linear layer on oneDNN, the library of torch's convolutions, for the one large product that Z does at every step.

On processors that are not Intel's, torch's matrix product (MKL) reaches half the speed of oneDNN (AMD EPYC, one core,
128 x 4608 times 4608 x 512: 92 against 196 Gflop/s). torch has no public switch for that; the operation used here is
the one its compiler emits. Where it is missing or not for such numbers, the layer is torch's own. The sums are the
same up to rounding.

Letters in shapes: R rows, I and O numbers of values before and after.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional


def _product(rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Rows (R, I) times the transpose of the weight (O, I), and the bias (O)."""
    result: Tensor = torch.ops.mkldnn._linear_pointwise(rows, weight, bias, "none", [], "")
    return result


def _works() -> bool:
    """Whether this build of torch has the operation and it gives what it should."""
    rows, weight, bias = torch.eye(3), torch.arange(6.0).view(2, 3), torch.tensor([1.0, -1.0])
    try:
        return torch.allclose(_product(rows, weight, bias), functional.linear(rows, weight, bias))
    except (AttributeError, RuntimeError, NotImplementedError):
        return False


# torch's counter of operations does not know this one: whoever counts sets it to False meanwhile
available = _works()


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(rows, weight)
        return _product(rows, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        rows, weight = ctx.saved_tensors
        of_rows = gradient @ weight if ctx.needs_input_grad[0] else None
        of_weight = _product(gradient.t().contiguous(), rows.t().contiguous(), None)
        return of_rows, of_weight, gradient.sum(dim=0)


def linear(rows: Tensor, layer: nn.Linear) -> Tensor:
    """The layer's output (R, O) of rows (R, I)."""
    weight, bias = layer.weight, layer.bias
    if available and rows.device.type == "cpu" and rows.dtype == weight.dtype == torch.float32:
        result: Tensor = _Linear.apply(rows, weight, bias)  # type: ignore[no-untyped-call]
        return result
    return functional.linear(rows, weight, bias)


def norm(channels: int) -> nn.GroupNorm:
    """Group normalisation, at most 8 groups of channels: each sample by itself, whatever batch it is in."""
    return nn.GroupNorm(math.gcd(8, channels), channels)
