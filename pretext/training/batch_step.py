"""One step on one batch: which rows this process works on, in how many parts, on which device, in which precision."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pretext.data.batch import Batch, Example
from pretext.data.training_split import TrainingMaps
from pretext.method import Method
from pretext.optimisation import PLAIN, Products, follow_parts
from pretext.randomness import Share, StepGenerator
from pretext.training.distributed import ALONE, Processes

CPU = torch.device("cpu")


class Part(NamedTuple):
    """Rows of a batch that are worked on together.

    Attributes
    ----------
    example : Example
        What the task made of them.
    generator : StepGenerator
        Draws what is random in the step; it knows which rows these are.
    share : Share
    """

    example: Example
    generator: StepGenerator
    share: Share


@dataclass(frozen=True, kw_only=True)
class BatchStep:
    """How this process steps.

    Attributes
    ----------
    processes : Processes
        It and the others.
    products : Products
        Precision of the layers.
    accumulate : int
        Parts into which its rows of a batch are divided.
    mixes : bool
        Whether the task mixes samples of a batch, so that it must be given the whole of it.
    device : torch.device
        Where the network is.
    """

    processes: Processes = field(default_factory=lambda: ALONE)
    products: Products = PLAIN
    accumulate: int = 1
    mixes: bool = False
    device: torch.device = CPU

    def parts(
        self,
        data: TrainingMaps,
        corrupt: Callable[[Batch, torch.Generator], Example],
        rows: Tensor,
        seeded: Callable[[], StepGenerator],
    ) -> list[Part]:
        """The parts of a batch, corrupted.

        Parameters
        ----------
        data : TrainingMaps
            The training split.
        corrupt : callable
            The task.
        rows : Tensor, shape (B,)
            Places in the split of the whole batch.
        seeded : callable
            Makes the step's generator, the same for all parts and processes.
        """
        found = []
        for share in self.processes.shares(len(rows), self.accumulate):
            generator, whole = seeded(), share.rows == share.total
            if not whole and not self.mixes:
                generator.share = share
            example = corrupt(data.batch(rows if self.mixes else rows[share.slice]), generator)
            if not whole and self.mixes:
                generator.share = share
                example = Example(*(part[share.slice] for part in example))
            if self.device != CPU:
                generator.at_home = self.device
                example = Example(*(part.to(self.device) for part in example))
            found.append(Part(example, generator, share))
        return found

    def step(self, method: Method, parts: Sequence[Part]) -> dict[str, float]:
        """Update the parameters once; give this process's part of the batch's mean losses."""
        self.processes.idle = parts[0].share.idle  # batches are made ahead of their step: said here, not there
        with self.there():
            return follow_parts(
                [method.descents(part.example, part.generator) for part in parts],
                [part.share for part in parts],
                self.processes if self.processes.several else None,
                self.products,
            )

    def whole(self, parts: Sequence[Part]) -> Example:
        """The example of the whole batch again, out of all parts of all processes."""
        own = [Example(*(rows[:0] if part.share.idle else rows for rows in part.example)) for part in parts]
        joined = Example(*(torch.cat(rows) for rows in zip(*own, strict=True)))
        if not self.processes.several:
            return joined
        return Example(*(torch.cat(self.processes.gather(rows)) for rows in joined))

    def there(self) -> AbstractContextManager[Any]:
        """A block in which new tensors are made where the network is."""
        return nullcontext() if self.device == CPU else self.device
