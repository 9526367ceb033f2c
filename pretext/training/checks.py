"""Checks after each step and before each checkpoint: whether to continue, and whether every number is finite."""

import math
from collections.abc import Callable
from pathlib import Path

import torch

from pretext.data.batch import Example
from pretext.method import Method
from pretext.training.checkpoint import save_tensors
from pretext.training.distributed import ALONE, Distributed
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.files import atomic_path
from spectral_ssl.ground.run_folder import require_run


def agree(
    processes: Distributed, losses: dict[str, float], wishes: tuple[bool, ...]
) -> tuple[dict[str, float], tuple[bool, ...]]:
    """Sum the losses over all processes, and tell of each wish (to stop, to save ...) whether any process has it."""
    if not processes.has_others:
        return losses, wishes
    sums = processes.sum_values([*losses.values(), *map(float, wishes)])
    values, wished = sums[: len(losses)], sums[len(losses) :]
    return dict(zip(losses, values, strict=True)), tuple(value > 0 for value in wished)


def check_accumulation(method: Method, accumulate: int) -> None:
    """Raise a UserError if a batch is to be worked through in parts and the method needs it whole."""
    if accumulate > 1 and method.needs_whole_batches:
        got = f"train.accumulate = {accumulate}"
        what_to_do = "leave it out, because a loss needs the whole batch; lower train.batch_size, or add processes"
        raise UserError("the method does not work through a batch in parts", got, what_to_do)


def check_finite(
    losses: dict[str, float],
    step: int,
    run: Path,
    whole: Callable[[], Example],
    ids: list[str],
    processes: Distributed = ALONE,
) -> None:
    """Raise a UserError if a loss is not finite, before a checkpoint could be spoilt; the batch is saved.

    Parameters
    ----------
    losses : dict of str to float
        The batch's losses by name.
    step : int
        Number of the step, for the message.
    run : Path
        The run folder, where the batch is saved as ``failed-batch.pt``.
    whole : callable
        Returns the example of the whole batch; all processes must call it.
    ids : list of str
        The names of the batch's samples.
    processes : Distributed
        This process and the others of the run.
    """
    for name, value in losses.items():
        if not math.isfinite(value):
            example = whole()
            if not processes.is_main:
                raise processes.report_once(UserError("the loss is not finite", name, "see the main process's message"))
            require_run(run)
            dump = run / "failed-batch.pt"
            with atomic_path(dump, make_folder=False) as temporary:
                save_tensors({"step": step, "losses": losses, "ids": ids, **example._asdict()}, temporary)
            at = f"{name} = {value} at step {step}, {describe_suspect(example, ids)}"
            what_to_do = f"lower the learning rate or the latent step size; the batch is in {dump}"
            raise UserError("the loss is not finite", at, what_to_do)


def describe_suspect(example: Example, ids: list[str]) -> str:
    """Describe which samples of a batch are not finite; if all are finite, which one has the largest value."""
    largest = torch.stack([part.flatten(1).abs().amax(dim=1) for part in example])[:, : len(ids)].amax(dim=0)  # (B,)
    bad = [identity for identity, value in zip(ids, largest.tolist(), strict=True) if not math.isfinite(value)]
    if bad:
        return f"input not finite: {', '.join(bad[:3])}"
    at = int(largest.argmax())
    return f"inputs finite, the largest {largest[at]:.3g} in {ids[at]}"


def check_parameters(method: Method, step: int, processes: Distributed = ALONE) -> None:
    """Raise a UserError if a parameter is not finite, so that it cannot replace the last good checkpoint."""
    for name, value in method.state_dict().items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            what_to_do = "lower the learning rate; the last checkpoint is kept"
            raise processes.report_once(UserError("a parameter is not finite", f"{name} at step {step}", what_to_do))
