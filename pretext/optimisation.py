"""How a method is trained: it hands out losses, and this module turns their gradients into optimisation steps.

A method's ``optimisation_steps`` is a Python generator that works through a batch. It yields an
``OptimisationStep`` (a loss and the optimiser that steps on it), or a ``Gather`` (rows that it
needs of the whole batch). The caller computes the gradient and steps, and then resumes the method::

    def optimisation_steps(self, example, generator):
        ...
        yield OptimisationStep(self.optimizers["discriminator"], discriminator_loss)
        ...                                                     # D has stepped when this line runs
        yield OptimisationStep(self.optimizers["main"], error)
        return {"loss": error.item()}

Loops inside a method stay in its own file: latents that follow a gradient of their own, networks
that step in turn. The method does not know whether the batch is in one piece. If the batch is in
parts (``train.accumulate``, or several processes), each part runs through an ``optimisation_steps``
of its own. All parts are brought to the same ``yield``, their gradients are summed with the number
of samples as weights, and the optimiser steps once. This equals the step on the whole batch if the
loss is a mean over samples; other losses must gather the rows that they need.
"""

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from pretext.data.batch import Example
from pretext.numerics import FLOAT32, LayerPrecision, parameters_of
from pretext.randomness import Share, is_main


class OptimisationStep(NamedTuple):
    """A loss and the optimiser that steps on it. The ``yield`` returns the loss of the whole batch, a float.

    Attributes
    ----------
    optimizer : Optimizer
        The optimiser whose parameters step; their earlier gradients are cleared first.
    loss : Tensor, a scalar
        A mean over the samples at hand, unless ``part`` is given.
    clip : float
        Limit of each value of the gradient; 0 for none.
    part : float, optional
        The loss's weight in the loss of the whole batch; by default the share of the samples.
    of_all : bool
        Whether the loss already is that of the whole batch, computed from gathered rows. Its
        gradient then reaches the rows at hand.
    """

    optimizer: Optimizer
    loss: Tensor
    clip: float = 0.0
    part: float | None = None
    of_all: bool = False


class Gather(NamedTuple):
    """A request for rows of the whole batch. The ``yield`` returns a tuple of as many tensors, in the batch's order.

    Attributes
    ----------
    rows : tuple of Tensor, each (b, ...)
        The rows at hand. In the result they keep their gradient; the rows of others require no
        gradient.
    """

    rows: tuple[Tensor, ...]


OptimisationSteps = Generator[OptimisationStep | Gather, Any, dict[str, float]]


class ProcessGroup(Protocol):
    """The processes that work on one batch (``pretext.training.distributed``)."""

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors by their sums over all processes."""
        ...

    def gather(self, rows: Tensor) -> list[Tensor]:
        """Return the rows of all processes in the order of their ranks; they require no gradient."""
        ...

    @property
    def rank(self) -> int:
        """The number of this process in the order, from 0."""
        ...

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes files and messages."""
        ...


class HasOptimisationSteps(Protocol):
    """An object with ``optimisation_steps``."""

    def optimisation_steps(self, example: Example, generator: torch.Generator) -> OptimisationSteps:
        """Work through a batch."""
        ...


def run_whole_batch(method: HasOptimisationSteps, example: Example, generator: torch.Generator) -> dict[str, float]:
    """Update the parameters on a batch in one piece.

    Parameters
    ----------
    method : Method
        The method, trained in place.
    example : Example
        The batch.
    generator : torch.Generator
        The source of everything random in the step.

    Returns
    -------
    dict of str to float
        The losses by name.
    """
    return run_optimisation_steps(method.optimisation_steps(example, generator))


def run_optimisation_steps(steps: OptimisationSteps) -> dict[str, float]:
    """Run one ``optimisation_steps`` on a whole batch to its end, and return the losses by name."""
    return run_parts([steps], [Share(0, 1, 1)])


def run_parts(
    parts: Sequence[OptimisationSteps],
    shares: Sequence[Share],
    group: ProcessGroup | None = None,
    precision: LayerPrecision = FLOAT32,
) -> dict[str, float]:
    """Run the ``optimisation_steps`` of a batch's parts to their end, in step with each other.

    Parameters
    ----------
    parts : sequence of OptimisationSteps
        One for each part that this process has; all yield the same requests in the same order.
    shares : sequence of Share
        Which rows of the batch each part is.
    group : ProcessGroup, optional
        The processes that share the batch, if there are several.
    precision : LayerPrecision
        The precision of the layers.

    Returns
    -------
    dict of str to float
        The weighted sums of the parts' losses. If one process has the whole batch, these are the
        batch's means.
    """
    replies: list[Any] = [None] * len(parts)
    while True:
        requests = _Requests()
        for index, (part, share) in enumerate(zip(parts, shares, strict=True)):
            try:
                with precision.computing():
                    request = part.send(replies[index])
            except StopIteration as stop:
                requests.results.append(stop.value)
                continue
            if isinstance(request, Gather):
                requests.gathered.append(request.rows)
            else:
                requests.add_gradient(request, share, precision)
                replies[index] = None
        if requests.results:
            return _weighted_sums(requests.results, shares)
        if requests.optimizer is not None:
            value = requests.value
            if group is not None:
                value = _add_up_gradients(requests.optimizer, value, group)
            precision.step(requests.optimizer, requests.clip)
            replies = [value] * len(parts)
        else:
            replies = _whole_rows(requests.gathered, shares, group)


@dataclass
class _Requests:
    """What the parts of a batch have yielded, or returned, at one point.

    Attributes
    ----------
    optimizer : Optimizer or None
        The optimiser that must step.
    clip, value : float
        Limit of the gradient's values, and the weighted sum of the parts' losses.
    gathered : list of tuple of Tensor
        For each part the rows that it shares.
    results : list of dict
        For each part its losses, at the end.
    """

    optimizer: Optimizer | None = None
    clip: float = 0.0
    value: float = 0.0
    gathered: list[tuple[Tensor, ...]] = field(default_factory=list)
    results: list[dict[str, float]] = field(default_factory=list)

    def add_gradient(self, request: OptimisationStep, share: Share, precision: LayerPrecision) -> None:
        """Add the gradient of a part's loss; at once, so that the graphs of two parts are never held together."""
        if self.optimizer is None:
            request.optimizer.zero_grad(set_to_none=True)
        self.optimizer, self.clip = request.optimizer, request.clip
        weight = share.weight if request.part is None or share.idle else request.part
        precision.backward(request.loss if weight == 1 or request.of_all else request.loss * weight)
        self.value += weight * request.loss.item()


def _weighted_sums(results: Sequence[dict[str, float]], shares: Sequence[Share]) -> dict[str, float]:
    """Sum the parts' losses with the parts' weights."""
    return {
        name: sum(share.weight * each[name] for share, each in zip(shares, results, strict=True)) for name in results[0]
    }


def _add_up_gradients(optimizer: Optimizer, value: float, group: ProcessGroup) -> float:
    """Replace an optimiser's gradients by their sums over the processes, and return the sum of the value."""
    gradients = [parameter.grad for parameter in parameters_of(optimizer) if parameter.grad is not None]
    joined = torch.tensor([value], dtype=torch.float64)
    group.add_up([*gradients, joined])
    return joined.item()


def _whole_rows(
    gathered: Sequence[tuple[Tensor, ...]], shares: Sequence[Share], group: ProcessGroup | None
) -> list[tuple[Tensor, ...]]:
    """Collect for each part the rows of all parts of all processes; the part's own rows keep their gradient."""
    if len(gathered) == 1 and group is None:
        return [gathered[0]]
    replies: list[list[Tensor]] = [[] for _ in gathered]
    for column in zip(*gathered, strict=True):
        local = [rows[:0] if share.idle else rows for rows, share in zip(column, shares, strict=True)]
        lengths = [len(rows) for rows in local]
        mine = torch.cat([rows.detach() for rows in local])
        parts = [mine] if group is None else group.gather(mine)
        before = 0 if group is None else sum(len(rows) for rows in parts[: group.rank])
        whole = torch.cat(parts)
        for index, rows in enumerate(local):
            start = before + sum(lengths[:index])
            replies[index].append(torch.cat([whole[:start], rows, whole[start + lengths[index] :]]))
    return [tuple(reply) for reply in replies]


def rate_at(step: int, warm_up: int, cosine_steps: int) -> float:
    """Compute the learning rate at a step, relative to the highest rate.

    The rate rises linearly over ``warm_up`` steps, falls to 0.01 by half a cosine over
    ``cosine_steps``, and stays there. With ``cosine_steps = 0``, when the length of the training is
    unknown, it does not fall.
    """
    rise = min(1.0, (step + 1) / max(warm_up, 1))
    progress = min(step / cosine_steps, 1.0) if cosine_steps else 0.0
    return rise * (0.01 + 0.99 * (1 + math.cos(math.pi * progress)) / 2)


def moving_average(network: nn.Module, decay: float) -> AveragedModel | None:
    """Copy a network whose parameters will be the exponential moving average of the network's own.

    The copy requires no gradient. Update it with ``update_moving_average``. With ``decay = 0``
    there is none: None.
    """
    if not decay:
        return None
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(decay))
    average.requires_grad_(False)
    return average


def update_moving_average(average: AveragedModel | None, network: nn.Module, generator: torch.Generator) -> None:
    """Update the moving average after a step of the network, once however many parts the batch has.

    ``generator`` is the part's; only the first part of a process updates.
    """
    if average is not None and is_main(generator):
        average.update_parameters(network)
