"""What is looked at after each step and before each checkpoint: do all go on, and is every number finite?"""

import math
from collections.abc import Callable
from pathlib import Path

import torch

from pretext.data.batch import Example
from pretext.method import Method
from pretext.training.checkpoint import save_tensors
from pretext.training.distributed import ALONE, Processes
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.files import atomic_path


def agree(
    processes: Processes, losses: dict[str, float], wishes: tuple[bool, ...]
) -> tuple[dict[str, float], tuple[bool, ...]]:
    """The losses of the whole batch, and of each wish (to stop, to save ...) whether any process has it."""
    if not processes.several:
        return losses, wishes
    found = processes.sums([*losses.values(), *map(float, wishes)])
    values, wished = found[: len(losses)], found[len(losses) :]
    return dict(zip(losses, values, strict=True)), tuple(value > 0 for value in wished)


def check_accumulation(method: Method, accumulate: int) -> None:
    """Raise a UserError when a batch shall be worked through in parts and the method needs it in one."""
    if accumulate > 1 and getattr(method, "whole_batches", False):
        got = f"train.accumulate = {accumulate}"
        what_to_do = "leave it out: here a loss is of the whole batch; lower train.batch_size, or add processes"
        raise UserError("the method does not work through a batch in parts", got, what_to_do)


def check_finite(
    losses: dict[str, float],
    step: int,
    run: Path,
    whole: Callable[[], Example],
    ids: list[str],
    processes: Processes = ALONE,
) -> None:
    """Raise a UserError when a loss is NaN or infinite, before a checkpoint could be spoilt; the batch is saved."""
    for name, value in losses.items():
        if not math.isfinite(value):
            example = whole()
            if not processes.first:
                raise processes.once(UserError("the loss is not finite", name, "see what the first process says"))
            dump = run / "failed-batch.pt"
            with atomic_path(dump, overwrite=True) as temporary:
                save_tensors({"step": step, "losses": losses, "ids": ids, **example._asdict()}, temporary)
            at = f"{name} = {value} at step {step}, {suspect(example, ids)}"
            what_to_do = f"lower the learning rate or the latent step size; the batch is in {dump}"
            raise UserError("the loss is not finite", at, what_to_do)


def suspect(example: Example, ids: list[str]) -> str:
    """Which samples of a batch are not finite, in words; if none is, which has the largest value."""
    largest = torch.stack([part.flatten(1).abs().amax(dim=1) for part in example])[:, : len(ids)].amax(dim=0)  # (B,)
    bad = [identity for identity, value in zip(ids, largest.tolist(), strict=True) if not math.isfinite(value)]
    if bad:
        return f"input not finite: {', '.join(bad[:3])}"
    at = int(largest.argmax())
    return f"inputs finite, the largest {largest[at]:.3g} in {ids[at]}"


def check_parameters(method: Method, step: int, processes: Processes = ALONE) -> None:
    """Raise a UserError when a parameter is not finite, so that it cannot take the last good checkpoint's place."""
    for name, value in method.state_dict().items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            what_to_do = "lower the learning rate; the last checkpoint is kept"
            raise processes.once(UserError("a parameter is not finite", f"{name} at step {step}", what_to_do))
