"""What the engine, the probes and the verbs expect of a pretext method."""

from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from pretext.data.batch import Example
from pretext.optimisation import Descents


class Method(Protocol):
    """A pretext method: one file of this folder, an ``nn.Module`` with these members.

    Attributes
    ----------
    optimizers : dict of str to Optimizer
        All optimisers, so that checkpoints hold all of them.
    answers : bool
        Whether there is a ``complete``; a method may give features only.
    total_steps : int
        Steps of the whole training. The engine sets it before the first one, for learning rates that depend on it.
    """

    optimizers: dict[str, Optimizer]
    answers: bool
    total_steps: int

    def training_step(self, example: Example, generator: torch.Generator) -> dict[str, float]:
        """Update the parameters once on a batch; give the losses by name, ``"loss"`` being the one to watch."""
        ...

    def descents(self, example: Example, generator: torch.Generator) -> Descents:
        """What ``training_step`` does, handed out piece by piece (``pretext.optimisation``)."""
        ...

    def encode(self, condition: Tensor) -> Tensor:
        """Features (B, D) of maps (B, C, H, W). No argument could carry a target."""
        ...

    def features(self, condition: Tensor) -> Tensor:
        """What ``encode`` gives, with a gradient: for fine-tuning."""
        ...

    def layers(self, condition: Tensor) -> dict[str, Tensor]:
        """Features (B, D) of the encoder's layers by name (``pretext.networks.feature_layers``), with a gradient."""
        ...

    def complete(self, condition: Tensor, modes: int, generator: torch.Generator) -> Tensor:
        """Several answers (B, modes, C', H, W) to conditions (B, C, H, W). No argument could carry a target.

        Methods with ``answers = False`` lack this member.
        """
        ...

    def parameters(self) -> Iterator[nn.Parameter]:
        """All that can be trained, as of ``nn.Module``."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Parameters, as of ``nn.Module``."""
        ...

    def load_state_dict(self, state_dict: Any) -> Any:
        """Take parameters over, as of ``nn.Module``."""
        ...


@runtime_checkable
class LearnsFirst(Protocol):
    """A method that learns something from clean maps before its first step; a resumed run does not do it again."""

    def learn_first(self, maps: Tensor, generator: torch.Generator) -> None:
        """Learn from standardised maps (N, C, H, W), some of the training split."""
        ...


def build_seeded(build: type[nn.Module], seed: int, *arguments: Any) -> Any:
    """Make a module whose initial parameters depend on ``seed`` alone; torch's global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build(*arguments)
