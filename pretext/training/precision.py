"""Training in 16 bits: layers multiply in 16 bits; sums, norms and losses are computed in 32.

Parameters, optimisers and exported features are always float32. torch's autocast chooses for each
operation. The smallest float16 number is 6e-8. With float16, losses are therefore multiplied by a
large factor before their gradients are computed. A step whose gradients are not finite is left out,
and the factor is halved (torch's GradScaler).
"""

from contextlib import AbstractContextManager
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from pretext.numerics import FLOAT32, Float32, LayerPrecision, parameters_of
from spectral_ssl.ground.errors import unknown_name

Precision = Literal["auto", "fp32", "bf16", "fp16"]
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class MixedPrecision(Float32):
    """Layers compute in 16 bits.

    Parameters
    ----------
    dtype : torch.dtype
        bfloat16 or float16.
    device : torch.device
        The device of the layers.
    """

    def __init__(self, dtype: torch.dtype, device: torch.device) -> None:
        self.dtype, self.device = dtype, device
        self.scaler = torch.amp.GradScaler(device.type) if dtype == torch.float16 else None

    def computing(self) -> AbstractContextManager[Any]:
        """Make a block under autocast."""
        return torch.autocast(self.device.type, self.dtype)

    def backward(self, loss: Tensor) -> None:
        """Compute the gradients of a loss; with float16, of the loss times the factor."""
        (self.scaler.scale(loss) if self.scaler else loss).backward()

    def step(self, optimizer: Optimizer, clip: float) -> None:
        """Step; with float16 only if the gradients are finite."""
        if self.scaler is None:
            super().step(optimizer, clip)
            return
        self.scaler.unscale_(optimizer)
        if clip:
            nn.utils.clip_grad_value_(parameters_of(optimizer), clip)
        self.scaler.step(optimizer)
        self.scaler.update()

    def state(self) -> dict[str, float]:
        """Return what a resumed run needs: the factor of float16."""
        return {} if self.scaler is None else dict(self.scaler.state_dict())

    def load_state(self, state: dict[str, float]) -> None:
        """Continue with the state of an interrupted run."""
        if self.scaler is not None and state:
            self.scaler.load_state_dict(dict(state))


def choose_precision(wanted: Precision, device: torch.device, source: str = "as set") -> tuple[LayerPrecision, str]:
    """Choose the precision of the layers.

    Parameters
    ----------
    wanted : {"auto", "fp32", "bf16", "fp16"}
        "auto" is bfloat16 on GPUs that support it, and float32 elsewhere.
    device : torch.device
        The device of the layers.
    source : str
        Who chose ``wanted`` unless it is "auto", for the reason.

    Returns
    -------
    precision : LayerPrecision
    reason : str
        The choice and its reason, for the user.
    """
    if wanted not in get_args(Precision):
        raise unknown_name("precision", wanted, get_args(Precision))
    if wanted == "auto":
        if device.type == "cuda" and torch.cuda.is_bf16_supported():
            return MixedPrecision(torch.bfloat16, device), "bf16: the GPU computes in it"
        why = "the GPU has no bf16" if device.type == "cuda" else f"the default on {device.type}"
        return FLOAT32, f"fp32: {why}"
    if wanted == "fp32":
        return FLOAT32, f"fp32: {source}"
    return MixedPrecision(DTYPES[wanted], device), f"{wanted}: {source}; parameters, sums and losses stay in fp32"
