"""The predictor of proxy MR-GAN: a generator without noise that says centre and dispersion of the answers.

It is trained before the generator by maximum likelihood (``pretext.losses.moment_matching``) and then frozen, in the state whose
likelihood on held-out samples was best (MR-GAN, section 4.3 and appendix B.1). A tenth of the training samples is held
out from it, by their targets alone: those whose bits sum to a multiple of 10. So which ones they are depends neither on
the order nor on the batch nor on what a task hides, and a stopped run goes on with the same ones. Their likelihood is
averaged over a twentieth of its steps, and then the network is kept if it is the best so far.

All of this is in buffers, so that checkpoints hold it. Letters in shapes: B batch, C channels, S side lengths.
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

HELD_OUT = 10  # one of so many samples
CHECKS = 20
# dispersions outside exp of these are numbers no data needs; they would only overflow
LOG_LIMITS = (-20.0, 20.0)


class Predictor(nn.Module):
    """A network of 2 C channels, the best state it was in, and how far it is.

    Parameters
    ----------
    build : callable
        Makes the network: conditions (B, C, S, S), 1 -> (B, 1, 2 C', S, S), the first half the centre.
    family : {"gaussian", "laplace"}
        Whose centre and dispersion it predicts.
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
        # not infinite: checkpoints hold finite numbers only
        self.register_buffer("best_loss", torch.tensor(torch.finfo(torch.float64).max, dtype=torch.float64))
        self.register_buffer("held_out_sum", torch.zeros((), dtype=torch.float64))
        self.register_buffer("held_out_count", torch.zeros((), dtype=torch.int64))

    def _predict(self, network: nn.Module, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Centre and log dispersion, each (B, C', S, S)."""
        centre, log_dispersion = network(condition, 1)[:, 0].chunk(2, dim=1)
        centre, log_dispersion = to_full_precision(centre), to_full_precision(log_dispersion)
        return torch.tanh(centre) if self.bounded else centre, log_dispersion.clamp(*LOG_LIMITS)

    def _loss(self, example: Example, slack: float) -> Tensor:
        centre, log_dispersion = self._predict(self.network, example.condition)
        return likelihood(self.family, centre, log_dispersion, example.target, example.weight, slack)

    @torch.no_grad()
    def moments(self, condition: Tensor) -> Moments:
        """Centre and dispersion (B, C', S, S) that the best state predicts for conditions (B, C, S, S)."""
        centre, log_dispersion = self._predict(self.best, condition)
        return Moments(centre, log_dispersion.exp())

    def optimisation_steps(
        self, example: Example, optimizer: torch.optim.Optimizer, slack: float, clip: float, counts: bool = True
    ) -> Generator[OptimisationStep | Gather, Any, float]:
        """Step the network once on a batch, without what is held out of it; give the loss.

        Parameters
        ----------
        example : Example
            Conditions, targets and weights, each (B, C, S, S).
        optimizer : Optimizer
            Of the network's parameters.
        slack : float
            c of the likelihood.
        clip : float
            Limit of each value of the gradient.
        counts : bool
            Whether this part of a batch counts the step for all of them.
        """
        held_out = held_out_samples(example.target)
        (everyone,) = yield Gather((held_out,))  # of the whole batch
        if bool(everyone.all()):  # nothing would be left to learn from
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
        kept, part = ~held_out, float((~held_out).sum() / (~everyone).sum())
        # a process with none left takes the same steps as the others, on one that does not count
        kept = kept if part else torch.arange(len(kept), device=kept.device) == 0
        loss = self._loss(Example(*(each[kept] for each in example)), slack)
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
        """Keep the network's state if its held-out likelihood since the last time is the best, or was not measured."""
        count = int(self.held_out_count)
        loss = float(self.held_out_sum) / count if count else math.nan
        if not loss >= float(self.best_loss):
            self.best.load_state_dict(self.network.state_dict())
            if count:
                self.best_loss.fill_(loss)
        self.held_out_sum.zero_()
        self.held_out_count.zero_()

    def take(self, other: "Predictor") -> None:
        """Take over a trained predictor of the same network and be finished."""
        self.load_state_dict(other.state_dict())
        self.finished.fill_(True)


def held_out_samples(targets: Tensor) -> Tensor:
    """Which targets (B, C, S, S), float32, are held out: (B,) bool, a function of each one's bits alone."""
    bits = targets.flatten(1).contiguous().view(torch.int32).long()  # (B, values)
    return bits.sum(dim=1) % HELD_OUT == 0
