"""Batch normalisation over the rows of all processes: the layer gives what it would give for the whole batch.

torch's SyncBatchNorm does the same on GPUs, and does not work on a CPU.

    mean = sum over all rows x / n;  variance = sum (x - mean)^2 / n;  y = (x - mean) /
    sqrt(variance + eps) w + b

Letters in shapes: B rows, C channels.
"""

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from pretext.numerics import to_full_precision
from pretext.training.distributed import Distributed


class _Sum(torch.autograd.Function):
    """The sum of a tensor over all processes. Its gradient is summed too, because all processes use the sum."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, processes: Distributed) -> Tensor:
        ctx.processes = processes
        total = values.clone()
        processes.add_up([total])
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        total = gradient.clone()
        ctx.processes.add_up([total])
        return total, None


def share_statistics(module: nn.Module, processes: Distributed) -> None:
    """Make all batch normalisation in a module use the rows of all processes; parameters and buffers are unchanged."""
    if processes.has_others:
        for layer in module.modules():
            if isinstance(layer, _BatchNorm):
                layer.forward = partial(_normalise, layer, layer.forward, processes)  # type: ignore[method-assign]


def _normalise(layer: _BatchNorm, plain_forward: Any, processes: Distributed, inputs: Tensor) -> Tensor:
    """Compute the layer's output (B, C, ...) for this process's rows."""
    if not layer.training or not torch.is_grad_enabled():
        result: Tensor = plain_forward(inputs)
        return result
    values = to_full_precision(inputs)
    dimensions = [dimension for dimension in range(values.dim()) if dimension != 1]
    shape = [1, -1] + [1] * (values.dim() - 2)
    counted = 0.0 if processes.idle else 1.0
    local = values.sum(dim=dimensions) * counted
    count = torch.full_like(local[:1], counted * values.numel() / values.shape[1])
    joined = _Sum.apply(torch.cat([local, count.detach()]), processes)  # type: ignore[no-untyped-call]
    number = joined[-1].detach()
    mean = joined[:-1] / number
    centred = values - mean.view(shape)
    squares = centred.square().sum(dim=dimensions) * counted
    variance = _Sum.apply(squares, processes) / number  # type: ignore[no-untyped-call]
    with torch.no_grad():
        if layer.running_mean is not None and layer.running_var is not None and layer.num_batches_tracked is not None:
            layer.num_batches_tracked += 1
            rate = 1.0 / float(layer.num_batches_tracked) if layer.momentum is None else layer.momentum
            layer.running_mean.lerp_(mean, rate)
            layer.running_var.lerp_(variance * number / (number - 1).clamp(min=1), rate)
    normal = centred * torch.rsqrt(variance + layer.eps).view(shape)
    if layer.weight is not None:
        normal = normal * layer.weight.view(shape) + layer.bias.view(shape)
    return normal.to(inputs.dtype)
