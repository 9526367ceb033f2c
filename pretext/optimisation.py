"""How a method asks to be trained, and the one place where gradients become steps.

A method's ``descents`` runs through a batch and hands out what it wants: each loss with the optimiser that shall step
on it, and rows that it must see of the whole batch. Whoever drives it follows the gradient, and then lets it go on::

    def descents(self, example, generator):
        ...
        yield Descent(self.optimizers["discriminator"], judgement)      # D has stepped when it goes on
        ...
        yield Descent(self.optimizers["main"], error)
        return {"loss": error.item()}

So the loops inside a method (latents that follow a gradient of their own, networks that step in turn) stay in its file,
and nothing in it knows whether the batch is in one piece. With the batch in pieces, in this process one after the other
(``train.accumulate``) or in several processes, each piece runs through a ``descents`` of its own; all are brought to
the same place, their gradients are added up, weighted by samples, and the optimiser steps once. This is the step on the
whole batch where the loss is a mean over samples, and for other losses where what they need of others was gathered.
"""

import math
from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from pretext.data.batch import Example
from pretext.randomness import Share, leads


class Descent(NamedTuple):
    """A loss that an optimiser shall step on. The answer to it is the whole batch's loss, a float.

    Attributes
    ----------
    optimizer : Optimizer
        Its parameters step; their gradients of before are forgotten.
    loss : Tensor, a scalar
        A mean over the samples at hand, unless ``part`` says otherwise.
    clip : float
        Limit of each value of the gradient; 0 for none.
    part : float, optional
        What part of the whole batch's loss this one is; by default the part of the samples.
    of_all : bool
        Whether the loss is the whole batch's already, of rows that were gathered; its gradient reaches those at hand.
    """

    optimizer: Optimizer
    loss: Tensor
    clip: float = 0.0
    part: float | None = None
    of_all: bool = False


class Gather(NamedTuple):
    """Rows that are wanted of the whole batch. The answer is a tuple of as many tensors, in the batch's order.

    Attributes
    ----------
    rows : tuple of Tensor, each (b, ...)
        Those at hand; in the answer they keep their gradient, and those of others have none.
    """

    rows: tuple[Tensor, ...]


Descents = Generator[Descent | Gather, Any, dict[str, float]]


class Together(Protocol):
    """Other processes that work on the same batch (``pretext.training.distributed``)."""

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors by their sums over all processes."""
        ...

    def gather(self, rows: Tensor) -> list[Tensor]:
        """The rows of all processes, in their order, this one's own in its place; without a gradient."""
        ...

    @property
    def place(self) -> int:
        """Where this process is in the order."""
        ...


class Products(Protocol):
    """In which precision layers compute (``pretext.training.precision``)."""

    def computing(self) -> AbstractContextManager[Any]:
        """What a forward pass runs in."""
        ...

    def backward(self, loss: Tensor) -> None:
        """Follow a loss back to its gradients."""
        ...

    def step(self, optimizer: Optimizer, clip: float) -> None:
        """Step on the gradients, each of whose values is limited if ``clip`` is not 0."""
        ...


class Plain:
    """Layers compute as their parameters are."""

    def computing(self) -> AbstractContextManager[Any]:
        """Nothing special."""
        return nullcontext()

    def backward(self, loss: Tensor) -> None:
        """Follow a loss back to its gradients."""
        loss.backward()

    def step(self, optimizer: Optimizer, clip: float) -> None:
        """Step on the gradients, each of whose values is limited if ``clip`` is not 0."""
        if clip:
            nn.utils.clip_grad_value_(parameters_of(optimizer), clip)
        optimizer.step()


PLAIN = Plain()


class Descending(Protocol):
    """What has ``descents``."""

    def descents(self, example: Example, generator: torch.Generator) -> Descents:
        """Run through a batch."""
        ...


def whole_step(method: Descending, example: Example, generator: torch.Generator) -> dict[str, float]:
    """Update the parameters on a batch in one piece; give the losses by name.

    Parameters
    ----------
    method : Method
        Trained in place.
    example : Example
        The batch.
    generator : torch.Generator
        Draws what is random in the step.

    Returns
    -------
    dict of str to float
    """
    return follow_descents(method.descents(example, generator))


def follow_descents(descents: Descents) -> dict[str, float]:
    """Let one ``descents`` on a whole batch run to its end."""
    return follow_parts([descents], [Share(0, 1, 1)])


def follow_parts(
    descents: Sequence[Descents],
    shares: Sequence[Share],
    together: Together | None = None,
    products: Products = PLAIN,
) -> dict[str, float]:
    """Let the ``descents`` of a batch's parts run to their end, side by side.

    Parameters
    ----------
    descents : sequence of Descents
        Of each part that this process has; all take the same way.
    shares : sequence of Share
        What the parts are of the batch.
    together : Together, optional
        The other processes, where there are some.
    products : Products
        Precision of the layers.

    Returns
    -------
    dict of str to float
        The losses of the parts, added up by their weights: of one process without others the batch's means.
    """
    answers: list[Any] = [None] * len(descents)
    while True:
        optimizer: Optimizer | None = None
        clip, value = 0.0, 0.0
        gathered: list[tuple[Tensor, ...]] = []
        results: list[dict[str, float]] = []
        for place, (descent, share) in enumerate(zip(descents, shares, strict=True)):
            try:
                with products.computing():
                    wanted = descent.send(answers[place])
            except StopIteration as stop:
                results.append(stop.value)
                continue
            if isinstance(wanted, Gather):
                gathered.append(wanted.rows)
                continue
            if optimizer is None:
                wanted.optimizer.zero_grad(set_to_none=True)
            optimizer, clip = wanted.optimizer, wanted.clip
            part = share.weight if wanted.part is None or share.idle else wanted.part
            # followed back at once, so that no two parts' graphs are held for it
            products.backward(wanted.loss if part == 1 or wanted.of_all else wanted.loss * part)
            value += part * wanted.loss.item()
            answers[place] = None
        if results:
            names = results[0]
            return {
                name: sum(share.weight * each[name] for share, each in zip(shares, results, strict=True))
                for name in names
            }
        if optimizer is not None:
            if together is not None:
                value = _add_up_gradients(optimizer, value, together)
            products.step(optimizer, clip)
            answers = [value] * len(descents)
        else:
            answers = _whole_rows(gathered, shares, together)


def parameters_of(optimizer: Optimizer) -> list[Tensor]:
    """All parameters of an optimiser."""
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _add_up_gradients(optimizer: Optimizer, value: float, together: Together) -> float:
    """Replace an optimiser's gradients by their sums over the processes; give the sum of the value."""
    gradients = [parameter.grad for parameter in parameters_of(optimizer) if parameter.grad is not None]
    joined = torch.tensor([value], dtype=torch.float64)
    together.add_up([*gradients, joined])
    return joined.item()


def _whole_rows(
    gathered: Sequence[tuple[Tensor, ...]], shares: Sequence[Share], together: Together | None
) -> list[tuple[Tensor, ...]]:
    """For each part the rows of all parts of all processes, its own with their gradient."""
    if len(gathered) == 1 and together is None:
        return [gathered[0]]
    answers: list[list[Tensor]] = [[] for _ in gathered]
    for column in zip(*gathered, strict=True):
        own = [rows[:0] if share.idle else rows for rows, share in zip(column, shares, strict=True)]
        lengths = [len(rows) for rows in own]
        mine = torch.cat([rows.detach() for rows in own])
        parts = [mine] if together is None else together.gather(mine)
        before = 0 if together is None else sum(len(rows) for rows in parts[: together.place])
        whole = torch.cat(parts)
        for place, rows in enumerate(own):
            start = before + sum(lengths[:place])
            answers[place].append(torch.cat([whole[:start], rows, whole[start + lengths[place] :]]))
    return [tuple(answer) for answer in answers]


def rate_at(step: int, warm_up: int, cosine_steps: int) -> float:
    """The part of the highest learning rate at a step: a straight rise, half a cosine to 0.01, and that ever after.

    With ``cosine_steps = 0``, where nobody said how long the training is, it does not fall.
    """
    rise = min(1.0, (step + 1) / max(warm_up, 1))
    fallen = min(step / cosine_steps, 1.0) if cosine_steps else 0.0
    return rise * (0.01 + 0.99 * (1 + math.cos(math.pi * fallen)) / 2)


def running_mean(network: nn.Module, decay: float) -> AveragedModel | None:
    """A copy of a network that takes no gradients, for ``follow``; None where the decay d is 0."""
    if not decay:
        return None
    mean = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(decay))
    mean.requires_grad_(False)
    return mean


def follow(mean: AveragedModel | None, network: nn.Module, generator: torch.Generator) -> None:
    """Take over a step of the network, once however many parts the batch is worked through in.

    ``generator`` is that of the part; the first one's counts the step.
    """
    if mean is not None and leads(generator):
        mean.update_parameters(network)
