"""The contract of a pretext method: what the training loop, the probes and the verbs use of it.

A method is an ``nn.Module`` with the members of ``Method``. ``MethodDefaults`` has those that most
methods share, so that a method's own file holds what is special about it.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from pretext.data.batch import Example
from pretext.losses.moment_matching import Family, Moments
from pretext.networks.feature_layers import pool_activations
from pretext.optimisation import OptimisationSteps


class LatentModel(Protocol):
    """A model whose latent moves step by step at inference (cGML, ``pretext.methods.cgml.model``)."""

    config: Any
    encoder: Any
    generator: Any
    latent_optimiser: Any

    def infer_path(
        self, bottleneck: Tensor, modes: int, generator: torch.Generator, first: Tensor | None = None
    ) -> Any:
        """Move ``modes`` latents of each bottleneck, and return their path."""
        ...

    def complete_along_path(
        self,
        condition: Tensor,
        modes: int,
        generator: torch.Generator,
        at: Sequence[int] | None = None,
        first: Tensor | None = None,
    ) -> tuple[Tensor, Any]:
        """Decode the latents at some steps of their path: predictions (len(at), B, modes, C', H, W) and the path."""
        ...

    def oracle(self, example: Example, modes: int, generator: torch.Generator) -> Tensor:
        """Predict from latents that follow the gradient of the true error: an upper bound, no inference."""
        ...


class ReusablePredictor(Protocol):
    """A part of a method that is trained first, and that a later run on the same data and task may reuse."""

    family: Family
    finished: Tensor
    steps: int
    steps_done: Tensor

    def copy_from(self, other: Any) -> None:
        """Copy a trained predictor of the same network and mark the training as finished."""
        ...


class Method(Protocol):
    """A pretext method.

    Attributes
    ----------
    optimizers : dict of str to Optimizer
        All optimisers; checkpoints hold their states.
    has_completions : bool
        Whether ``complete`` can be called. Some methods learn features only.
    needs_whole_batches : bool
        Whether a batch cannot be worked through in parts (``train.accumulate``).
    total_steps : int
        Number of steps of the whole training, for learning rates that depend on it. The training
        loop sets it before the first step.
    extractor : callable or None
        The frozen network that computed the codes, images (B, C, H, W) -> codes (B, D), if
        ``needs_extractor``. It is set before the training and is no part of checkpoints.
    """

    optimizers: dict[str, Optimizer]
    has_completions: bool
    needs_whole_batches: bool
    total_steps: int
    extractor: Callable[[Tensor], Tensor] | None

    def optimisation_steps(self, example: Example, generator: torch.Generator) -> OptimisationSteps:
        """Work through a batch and yield each loss with its optimiser (``pretext.optimisation``).

        The returned losses by name have a ``"loss"``, the one that progress lines show.
        """
        ...

    def encode(self, condition: Tensor) -> Tensor:
        """Compute features (B, D) of conditions (B, C, H, W) for use; they require no gradient."""
        ...

    def features(self, condition: Tensor) -> Tensor:
        """Compute the features of ``encode`` for fine-tuning; they require a gradient."""
        ...

    def layers(self, condition: Tensor) -> dict[str, Tensor]:
        """Compute features (B, D) of all layers by name, as ``pretext.networks.feature_layers`` describes."""
        ...

    def complete(self, condition: Tensor, modes: int, generator: torch.Generator) -> Tensor:
        """Predict ``modes`` completions (B, modes, C', H, W) of each condition (B, C, H, W).

        Only for methods with ``has_completions``.
        """
        ...

    @property
    def latent_model(self) -> LatentModel | None:
        """The model whose latent moves at inference, if there is one: for figures of its path and for ``evaluate``."""
        ...

    @property
    def reusable_predictor(self) -> ReusablePredictor | None:
        """The part that a later run may reuse, if there is one; the config then has a field ``proxy.predictor``."""
        ...

    @property
    def moment_family(self) -> Family | None:
        """The family of moments that completions are trained to match; None if they are not."""
        ...

    def predicted_moments(self, condition: Tensor) -> Moments | None:
        """Predict centre and dispersion of the completions (B, C', H, W) directly; None without such a predictor."""
        ...

    @property
    def needs_extractor(self) -> bool:
        """Whether training calls ``extractor``, the frozen network that computed the codes."""
        ...

    def learn_code_statistics(self, codes: Tensor) -> None:
        """Learn what the method must know of the training split's codes (N, D), before the first step of a new run."""
        ...

    def describe_untrained(self, step: int) -> str:
        """Describe what is still untrained after ``step`` steps, for the user; an empty text if nothing is."""
        ...

    def parameters(self) -> Iterator[nn.Parameter]:
        """List all parameters, as ``nn.Module`` does."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return parameters and buffers by name, as ``nn.Module`` does."""
        ...

    def load_state_dict(self, state_dict: Any) -> Any:
        """Load parameters and buffers, as ``nn.Module`` does."""
        ...

    def feature_state(self) -> dict[str, Tensor]:
        """Return the parameters and buffers of ``state_dict`` that use after training needs, by name."""
        ...


class MethodDefaults:
    """The members that most methods share.

    A method inherits from this class and from ``nn.Module``. It has an ``encoder``, a network with
    ``features`` and ``activations``; if its features come from another network, it overrides
    ``_feature_network``, or ``features`` and ``_activations``. It defines ``_sample_completions``
    if it has completions. All of these are given conditions only, so none can depend on a target.
    """

    has_completions = True
    needs_whole_batches = False
    total_steps = 0
    extractor: Callable[[Tensor], Tensor] | None = None
    training_parts: tuple[str, ...] = ()  # attributes that hold networks which only training needs
    encoder: Any

    @torch.no_grad()
    def encode(self, condition: Tensor) -> Tensor:
        """Compute features (B, D) of standardised maps (B, C, H, W); they require no gradient."""
        return self.features(condition)

    def features(self, condition: Tensor) -> Tensor:
        """Compute the features of ``encode``; they require a gradient."""
        features: Tensor = self._feature_network().features(condition)
        return features

    def layers(self, condition: Tensor) -> dict[str, Tensor]:
        """Compute features (B, D) of all layers by name, as ``pretext.networks.feature_layers`` describes."""
        return pool_activations(self._activations(condition))

    def _feature_network(self) -> Any:
        """Return the network whose ``features`` and ``activations`` are used."""
        return self.encoder

    def _activations(self, condition: Tensor) -> dict[str, Tensor]:
        """Compute the activations of the feature network's layers by name."""
        activations: dict[str, Tensor] = self._feature_network().activations(condition)
        return activations

    @torch.no_grad()
    def complete(self, condition: Tensor, modes: int, generator: torch.Generator) -> Tensor:
        """Predict several completions of each condition.

        Parameters
        ----------
        condition : Tensor, shape (B, C, H, W), float32
            Standardised conditions, as the task makes them.
        modes : int
            Number K of completions of each condition.
        generator : torch.Generator
            The source of everything random in the completions.

        Returns
        -------
        Tensor, shape (B, K, C', H, W), float32
        """
        return self._sample_completions(condition, modes, generator)

    def _sample_completions(self, condition: Tensor, modes: int, generator: torch.Generator) -> Tensor:
        """Predict completions (B, K, C', H, W); the method's own part of ``complete``."""
        raise NotImplementedError(f"{type(self).__name__} learns features only")

    def feature_state(self) -> dict[str, Tensor]:
        """Return the parameters and buffers by name, without those of ``training_parts``."""
        state: dict[str, Tensor] = self.state_dict()  # type: ignore[attr-defined]  # of nn.Module
        return {name: value for name, value in state.items() if name.split(".")[0] not in self.training_parts}

    @property
    def latent_model(self) -> LatentModel | None:
        """None: no latent moves at inference."""
        return None

    @property
    def reusable_predictor(self) -> ReusablePredictor | None:
        """None: no part can be reused by another run."""
        return None

    @property
    def moment_family(self) -> Family | None:
        """None: completions are not trained to match moments."""
        return None

    def predicted_moments(self, condition: Tensor) -> Moments | None:
        """Return None: moments are not predicted."""
        return None

    @property
    def needs_extractor(self) -> bool:
        """False: no network other than the method's own is called in training."""
        return False

    def learn_code_statistics(self, codes: Tensor) -> None:
        """Learn nothing of the codes."""

    def describe_untrained(self, step: int) -> str:
        """Return an empty text: all parts are trained from the first step on."""
        return ""


@runtime_checkable
class LearnsBeforeTraining(Protocol):
    """A method that learns something from clean maps before its first step; a resumed run does not repeat it."""

    def learn_before_training(self, maps: Tensor, generator: torch.Generator) -> None:
        """Learn from standardised maps (N, C, H, W), some of the training split."""
        ...


def build_seeded(build: type[nn.Module], seed: int, *arguments: Any) -> Any:
    """Build a module whose initial parameters depend on ``seed`` alone; torch's global generator is left unchanged."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build(*arguments)
