"""In which precision layers compute: what a precision must provide, float32, and blocks that always need float32.

``pretext.training.precision`` adds the 16-bit formats and chooses among them.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


def full_precision(values: Tensor) -> AbstractContextManager[Any]:
    """Make a block in which nothing is computed in 16 bits."""
    return torch.autocast(values.device.type, enabled=False)


def to_full_precision(values: Tensor) -> Tensor:
    """Convert 16-bit values to float32, and return all others unchanged."""
    return values.float() if values.dtype in (torch.bfloat16, torch.float16) else values


class LayerPrecision(Protocol):
    """What the training loop needs of a precision."""

    def computing(self) -> AbstractContextManager[Any]:
        """Make the block in which forward passes run."""
        ...

    def backward(self, loss: Tensor) -> None:
        """Compute the gradients of a loss."""
        ...

    def step(self, optimizer: Optimizer, clip: float) -> None:
        """Step on the gradients, each of whose values is limited to ``clip`` unless that is 0."""
        ...


class Float32:
    """Layers compute in the precision of their parameters."""

    def computing(self) -> AbstractContextManager[Any]:
        """Make a block that changes nothing."""
        return nullcontext()

    def backward(self, loss: Tensor) -> None:
        """Compute the gradients of a loss."""
        loss.backward()

    def step(self, optimizer: Optimizer, clip: float) -> None:
        """Step on the gradients, each of whose values is limited to ``clip`` unless that is 0."""
        if clip:
            nn.utils.clip_grad_value_(parameters_of(optimizer), clip)
        optimizer.step()


FLOAT32 = Float32()


def parameters_of(optimizer: Optimizer) -> list[Tensor]:
    """List all parameters of an optimiser."""
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]
