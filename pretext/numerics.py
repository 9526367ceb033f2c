"""What needs all digits, though the layers around it may compute in 16 bits (``pretext.training.precision``)."""

from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor


def full_precision(values: Tensor) -> AbstractContextManager[Any]:
    """A block in which nothing is computed in 16 bits."""
    return torch.autocast(values.device.type, enabled=False)


def in_full(values: Tensor) -> Tensor:
    """Values of 16 bits as float32, all others as they are."""
    return values.float() if values.dtype in (torch.bfloat16, torch.float16) else values
