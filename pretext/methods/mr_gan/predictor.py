"""The predictor of proxy MR-GAN: a generator without noise that predicts the centre and dispersion of the targets.

It is trained before the generator by maximum likelihood (``pretext.losses.moment_matching``). Then
it is frozen in the state with the best likelihood on held-out samples (MR-GAN, section 4.3 and
appendix B.1). A tenth of the training samples is held out: those whose target's bits sum to a
multiple of 10. The choice therefore depends neither on the order, nor on the batch, nor on what a
task hides, and a resumed run holds out the same samples. The held-out likelihood is averaged over a
twentieth of the training steps. The network's state is saved after each such interval if it is the
best so far.

All of this is in buffers, so that checkpoints hold it. Letters in shapes: B batch, C channels, S
side lengths.
"""

import math
from collections.abc import Callable, Generator
from typing import Any

import torch
from torch import Tensor, nn

from pretext.data.batch import Example
from pretext.losses.moment_matching import Family, Moments, likelihood
from pretext.numerics import to_full_precision
from pretext.optimisation import Gather, OptimisationStep

HELD_OUT = 10  # one sample of this many is held out
CHECKS = 20
# No data need dispersions outside exp of these limits; they would only overflow.
LOG_LIMITS = (-20.0, 20.0)


class Predictor(nn.Module):
    """A network of 2 C channels, its best state, and its training progress.

    Parameters
    ----------
    build : callable
        Builds the network: conditions (B, C, S, S), 1 -> (B, 1, 2 C', S, S). The first half of the
        channels is the centre.
    family : {"gaussian", "laplace"}
        Family of distributions whose centre and dispersion are predicted.
    bounded : bool
        Whether the centre lies in [-1, 1].
    steps : int
        Training steps.
    """

    steps_done: Tensor
    finished: Tensor
    best_loss: Tensor
    held_out_sum: Tensor
    held_out_count: Tensor

    def __init__(self, build: Callable[[], nn.Module], family: Family, bounded: bool, steps: int) -> None:
        super().__init__()
        self.family, self.bounded, self.steps = family, bounded, steps
        self.network, self.best = build(), build()
        self.best.load_state_dict(self.network.state_dict())
        self.best.requires_grad_(False)
        self.register_buffer("steps_done", torch.zeros((), dtype=torch.int64))
        self.register_buffer("finished", torch.zeros((), dtype=torch.bool))
        # The start is finite because checkpoints may hold finite numbers only.
        self.register_buffer("best_loss", torch.tensor(torch.finfo(torch.float64).max, dtype=torch.float64))
        self.register_buffer("held_out_sum", torch.zeros((), dtype=torch.float64))
        self.register_buffer("held_out_count", torch.zeros((), dtype=torch.int64))

    def _predict(self, network: nn.Module, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Predict centre and log dispersion, each (B, C', S, S)."""
        centre, log_dispersion = network(condition, 1)[:, 0].chunk(2, dim=1)
        centre, log_dispersion = to_full_precision(centre), to_full_precision(log_dispersion)
        return torch.tanh(centre) if self.bounded else centre, log_dispersion.clamp(*LOG_LIMITS)

    def _loss(self, example: Example, slack: float) -> Tensor:
        centre, log_dispersion = self._predict(self.network, example.condition)
        return likelihood(self.family, centre, log_dispersion, example.target, example.weight, slack)

    @torch.no_grad()
    def moments(self, condition: Tensor) -> Moments:
        """Predict centre and dispersion (B, C', S, S) for conditions (B, C, S, S) with the best state."""
        centre, log_dispersion = self._predict(self.best, condition)
        return Moments(centre, log_dispersion.exp())

    def optimisation_steps(
        self, example: Example, optimizer: torch.optim.Optimizer, slack: float, clip: float, counts: bool = True
    ) -> Generator[OptimisationStep | Gather, Any, float]:
        """Make one optimisation step on a batch without its held-out samples; return the loss.

        Parameters
        ----------
        example : Example
            Conditions, targets and weights, each (B, C, S, S).
        optimizer : Optimizer
            Optimiser of the network's parameters.
        slack : float
            Constant c of the likelihood.
        clip : float
            Limit of each value of the gradient.
        counts : bool
            Whether this part of the batch updates the counters, once for all parts.
        """
        held_out = held_out_samples(example.target)
        (everyone,) = yield Gather((held_out,))  # (rows of the whole batch,)
        if bool(everyone.all()):  # otherwise no sample would be left to learn from
            held_out, everyone = torch.zeros_like(held_out), torch.zeros_like(everyone)
        if bool(everyone.any()):
            loss, count = self.held_out_sum.new_zeros(1), held_out.sum()
            if count:
                with torch.no_grad():
                    loss = (self._loss(Example(*(part[held_out] for part in example)), slack).double() * count)[None]
            (losses,) = yield Gather((loss,))
            if counts:
                self.held_out_sum += losses.sum()
                self.held_out_count += everyone.sum()
        is_trained, part = ~held_out, float((~held_out).sum() / (~everyone).sum())
        # A rank without training samples takes the same steps as the others, on a sample of weight
        # 0.
        is_trained = is_trained if part else torch.arange(len(is_trained), device=is_trained.device) == 0
        loss = self._loss(Example(*(each[is_trained] for each in example)), slack)
        whole: float = yield OptimisationStep(optimizer, loss, clip=clip, part=part)
        if not counts:
            return whole
        self.steps_done += 1
        done = int(self.steps_done)
        if done % max(1, self.steps // CHECKS) == 0 or done == self.steps:
            self._keep_if_best()
        if done >= self.steps:
            self.finished.fill_(True)
        return whole

    def _keep_if_best(self) -> None:
        """Save the network's state if its held-out likelihood since the last check is the best or was not measured."""
        count = int(self.held_out_count)
        loss = float(self.held_out_sum) / count if count else math.nan
        if not loss >= float(self.best_loss):
            self.best.load_state_dict(self.network.state_dict())
            if count:
                self.best_loss.fill_(loss)
        self.held_out_sum.zero_()
        self.held_out_count.zero_()

    def copy_from(self, other: "Predictor") -> None:
        """Copy a trained predictor of the same network and mark the training as finished."""
        self.load_state_dict(other.state_dict())
        self.finished.fill_(True)


def held_out_samples(targets: Tensor) -> Tensor:
    """Select the held-out targets of (B, C, S, S), float32: a mask (B,) that depends on each target's bits alone."""
    bits = targets.flatten(1).contiguous().view(torch.int32).long()  # (B, values)
    return bits.sum(dim=1) % HELD_OUT == 0
