"""In which precision layers compute while they are trained: the products in 16 bits, sums, norms and losses in 32.

Parameters, optimisers and exported features are float32 always. torch's autocast chooses for each operation. With
float16, whose smallest number is 6e-8, losses are multiplied by a large factor before they are followed back, and a
step whose gradients are not finite is left out while the factor is halved (torch's GradScaler).
"""

from contextlib import AbstractContextManager
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from pretext.optimisation import PLAIN, Plain, Products, parameters_of
from spectral_ssl.ground.errors import unknown_name

Precision = Literal["auto", "fp32", "bf16", "fp16"]
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Mixed(Plain):
    """Layers compute in 16 bits.

    Parameters
    ----------
    dtype : torch.dtype
        bfloat16 or float16.
    device : torch.device
        Where they are.
    """

    def __init__(self, dtype: torch.dtype, device: torch.device) -> None:
        self.dtype, self.device = dtype, device
        self.scaler = torch.amp.GradScaler(device.type) if dtype == torch.float16 else None

    def computing(self) -> AbstractContextManager[Any]:
        """Under autocast."""
        return torch.autocast(self.device.type, self.dtype)

    def backward(self, loss: Tensor) -> None:
        """Follow a loss back, float16 with its factor."""
        (self.scaler.scale(loss) if self.scaler else loss).backward()

    def step(self, optimizer: Optimizer, clip: float) -> None:
        """Step, float16 only on finite gradients."""
        if self.scaler is None:
            super().step(optimizer, clip)
            return
        self.scaler.unscale_(optimizer)
        if clip:
            nn.utils.clip_grad_value_(parameters_of(optimizer), clip)
        self.scaler.step(optimizer)
        self.scaler.update()

    def state(self) -> dict[str, float]:
        """What a resumed run needs of it."""
        return {} if self.scaler is None else dict(self.scaler.state_dict())

    def take(self, state: dict[str, float]) -> None:
        """Go on from a state."""
        if self.scaler is not None and state:
            self.scaler.load_state_dict(dict(state))


def choose_precision(wanted: Precision, device: torch.device) -> tuple[Products, str]:
    """What computes in a precision, and why it is that one.

    Parameters
    ----------
    wanted : {"auto", "fp32", "bf16", "fp16"}
        "auto": bfloat16 on GPUs that have it, float32 elsewhere.
    device : torch.device

    Returns
    -------
    products : Products
    reason : str
        For the user.
    """
    if wanted not in get_args(Precision):
        raise unknown_name("precision", wanted, get_args(Precision))
    if wanted == "auto":
        if device.type == "cuda" and torch.cuda.is_bf16_supported():
            return Mixed(torch.bfloat16, device), "bf16: the GPU computes in it"
        why = "the GPU has no bf16" if device.type == "cuda" else f"the default on {device.type}"
        return PLAIN, f"fp32: {why}"
    if wanted == "fp32":
        return PLAIN, "fp32: as set"
    return Mixed(DTYPES[wanted], device), f"{wanted}: as set; parameters, sums and losses stay in fp32"
