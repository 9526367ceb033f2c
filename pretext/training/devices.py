"""Where a network is trained: on the processor, or on a GPU. Nothing but training happens there.

No line of this has ever run on a GPU; it is written by torch's manual and tested as far as a processor can.
"""

import os
import shutil
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from pretext.method import Method
from spectral_ssl.ground.errors import UserError, unknown_name

Device = Literal["auto", "cpu", "cuda", "mps"]


def choose_device(wanted: str = "cpu") -> torch.device:
    """The device of that name; "auto" is a GPU if there is one. Of several GPUs each process takes its own.

    Raises
    ------
    UserError
        When there is none of that name.
    """
    if wanted not in get_args(Device):
        raise unknown_name("device", wanted, get_args(Device))
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    name = next(name for name, found in there.items() if found) if wanted == "auto" else wanted
    if not there[name]:
        raise UserError("no such device here", f"--device {wanted}", "take --device auto, or a torch built for it")
    if name == "cuda":
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device(name)


def move(method: Method, device: torch.device) -> None:
    """Bring a method to a device, with what its optimisers remember."""
    if device.type == "cpu":
        return
    assert isinstance(method, nn.Module)
    method.to(device)
    for optimizer in method.optimizers.values():
        for state in optimizer.state.values():
            state |= {name: part.to(device) if isinstance(part, Tensor) else part for name, part in state.items()}


def compile_networks(method: Method) -> None:
    """Let torch's compiler make kernels of a method's networks when they are first called.

    Raises
    ------
    UserError
        When there is no compiler.
    """
    compilers = [os.environ.get("CXX", ""), "g++", "clang++"]
    if not any(name and shutil.which(name) for name in compilers):
        raise UserError("no compiler for --compile", "neither g++ nor clang++", "install one, or leave --compile out")
    assert isinstance(method, nn.Module)
    for network in method.children():
        compiled: Any = network
        compiled.compile()
