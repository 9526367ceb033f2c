"""One step on one batch: which rows this process works on, in how many parts, on which device, in which precision."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pretext.data.batch import Batch, Example
from pretext.data.training_split import TrainingData
from pretext.method import Method
from pretext.numerics import FLOAT32, LayerPrecision
from pretext.optimisation import run_parts
from pretext.randomness import Share, StepGenerator
from pretext.training.distributed import ALONE, Distributed

CPU = torch.device("cpu")


class Part(NamedTuple):
    """Rows of a batch that go through the network together.

    Attributes
    ----------
    example : Example
        What the task made of them.
    generator : StepGenerator
        The source of everything random in the step; it knows which rows these are.
    share : Share
        Which rows of the batch they are.
    """

    example: Example
    generator: StepGenerator
    share: Share


@dataclass(frozen=True, kw_only=True)
class BatchStep:
    """How this process takes a step.

    Attributes
    ----------
    processes : Distributed
        This process and the others of the run.
    precision : LayerPrecision
        The precision of the layers.
    accumulate : int
        Number of parts into which the process's rows of a batch are divided.
    mixes : bool
        Whether the task mixes samples of a batch, so that it must get the whole batch.
    device : torch.device
        The device of the network.
    """

    processes: Distributed = field(default_factory=lambda: ALONE)
    precision: LayerPrecision = FLOAT32
    accumulate: int = 1
    mixes: bool = False
    device: torch.device = CPU

    def parts(
        self,
        data: TrainingData,
        corrupt: Callable[[Batch, torch.Generator], Example],
        rows: Tensor,
        seeded: Callable[[], StepGenerator],
    ) -> list[Part]:
        """Read and corrupt this process's parts of a batch.

        Parameters
        ----------
        data : TrainingData
            The training split, or a stream of new shapes.
        corrupt : callable
            The task: (batch, generator) -> Example.
        rows : Tensor, shape (B,)
            The whole batch, as positions in the data.
        seeded : callable
            Makes the step's generator, the same for all parts and processes.

        Returns
        -------
        list of Part
        """
        parts = []
        for share in self.processes.shares(len(rows), self.accumulate):
            generator, is_whole = seeded(), share.rows == share.total
            if not is_whole and not self.mixes:
                generator.share = share
            example = corrupt(data.batch(rows if self.mixes else rows[share.slice]), generator)
            if not is_whole and self.mixes:
                generator.share = share
                example = Example(*(part[share.slice] for part in example))
            if self.device != CPU:
                generator.target_device = self.device
                example = Example(*(part.to(self.device) for part in example))
            parts.append(Part(example, generator, share))
        return parts

    def step(self, method: Method, parts: Sequence[Part]) -> dict[str, float]:
        """Update the parameters once, and return this process's share of the batch's mean losses."""
        # Batches are made ahead of their step, so this is set here and not when they are made.
        self.processes.idle = parts[0].share.idle
        with self.on_device():
            return run_parts(
                [method.optimisation_steps(part.example, part.generator) for part in parts],
                [part.share for part in parts],
                self.processes if self.processes.has_others else None,
                self.precision,
            )

    def whole(self, parts: Sequence[Part]) -> Example:
        """Join the parts of all processes into the example of the whole batch."""
        local = [Example(*(rows[:0] if part.share.idle else rows for rows in part.example)) for part in parts]
        joined = Example(*(torch.cat(rows) for rows in zip(*local, strict=True)))
        if not self.processes.has_others:
            return joined
        return Example(*(torch.cat(self.processes.gather(rows)) for rows in joined))

    def on_device(self) -> AbstractContextManager[Any]:
        """Make a block in which new tensors are created on the network's device."""
        return nullcontext() if self.device == CPU else self.device
