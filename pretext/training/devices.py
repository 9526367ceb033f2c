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
    """Choose a device by name; with several GPUs each process uses one.

    Parameters
    ----------
    wanted : {"auto", "cpu", "cuda", "mps"}
        "auto" is the first of cuda and mps on which a layer can be computed, else the CPU.

    Returns
    -------
    torch.device

    Raises
    ------
    UserError
        If there is no device of that name, or not on this machine.
    """
    if wanted not in get_args(Device):
        raise unknown_name("device", wanted, get_args(Device))
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted == "auto":
        # a GPU that torch finds may still be one that this build of torch has no kernels for
        name = next(name for name, is_available in available.items() if is_available and _is_usable(name))
    else:
        name = wanted
    if not available[name]:
        raise UserError("no such device here", f"--device {wanted}", "take --device auto, or a torch built for it")
    if name == "cuda":
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device(name)


def _is_usable(name: str) -> bool:
    """Tell whether a device computes a convolution and its gradient."""
    if name == "cpu":
        return True
    try:
        weight = torch.ones(1, 1, 2, 2, 2, device=name, requires_grad=True)
        nn.functional.conv3d(torch.ones(1, 1, 2, 2, 2, device=name), weight).sum().backward()
        return weight.grad is not None and float(weight.grad.sum()) == 8
    except (RuntimeError, AssertionError, NotImplementedError):
        return False


def fit_device(method: Method, device: torch.device, wanted: str) -> torch.device:
    """Return the device for a method: MPS has no float64, which a few methods need.

    Parameters
    ----------
    method : Method
        The method to train.
    device : torch.device
        The device that ``choose_device`` returned.
    wanted : {"auto", "cpu", "cuda", "mps"}
        The device that was asked for.

    Returns
    -------
    torch.device
        The CPU in place of MPS if the method needs float64 and ``wanted`` is "auto".

    Raises
    ------
    UserError
        If the method needs float64 and MPS was asked for.
    """
    assert isinstance(method, nn.Module)
    tensors = [*method.parameters(), *method.buffers()]
    if device.type != "mps" or all(tensor.dtype != torch.float64 for tensor in tensors):
        return device
    if wanted == "auto":
        return torch.device("cpu")
    raise UserError("the method needs float64, which MPS does not have", f"--device {wanted}", "take --device cpu")


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
