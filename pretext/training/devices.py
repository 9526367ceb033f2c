"""Devices on which networks are trained: the CPU or a GPU. Everything but training runs on the CPU.

This module has never run on a GPU. It follows torch's manual, and its tests run on a CPU.
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
    """Choose a device by name; "auto" is a GPU if there is one. With several GPUs each process uses one.

    Raises
    ------
    UserError
        If this machine has no such device.
    """
    if wanted not in get_args(Device):
        raise unknown_name("device", wanted, get_args(Device))
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    name = next(name for name, is_available in available.items() if is_available) if wanted == "auto" else wanted
    if not available[name]:
        raise UserError("no such device here", f"--device {wanted}", "take --device auto, or a torch built for it")
    if name == "cuda":
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device(name)


def move_to_device(method: Method, device: torch.device) -> None:
    """Move a method and the states of its optimisers to a device."""
    if device.type == "cpu":
        return
    assert isinstance(method, nn.Module)
    method.to(device)
    for optimizer in method.optimizers.values():
        for state in optimizer.state.values():
            state |= {name: part.to(device) if isinstance(part, Tensor) else part for name, part in state.items()}


def compile_networks(method: Method) -> None:
    """Compile a method's networks by torch's compiler when they are first called.

    Raises
    ------
    UserError
        If there is no C++ compiler.
    """
    compilers = [os.environ.get("CXX", ""), "g++", "clang++"]
    if not any(name and shutil.which(name) for name in compilers):
        raise UserError("no compiler for --compile", "neither g++ nor clang++", "install one, or leave --compile out")
    assert isinstance(method, nn.Module)
    for network in method.children():
        compiled: Any = network
        compiled.compile()
