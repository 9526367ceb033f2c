"""cGML and a joint embedding on one encoder: the features of a part should match those of the whole.

Each batch has two optimisation steps. First cGML's algorithm 1 (``pretext.methods.cgml.model``):
its encoder H, generator G and latent optimiser Z learn to complete the condition. Then the loss of
the joint embedding (VICReg, ``pretext.losses.vicreg``) on a projector behind H. Its two views are
the condition and the target: a part of an object and the whole object. Each of the two losses has
an Adam of its own, so their sizes do not compete. ``joint_rate`` sets the weight of the second one.

The task's condition and target must be maps of one shape (``complete-shape``, ``mask-shape``,
``denoise``, ``inpaint``).

Letters in shapes: B batch, C channels, S side lengths, D features, E dimensions of the embeddings.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from pretext.data.batch import Example, Problem
from pretext.losses.vicreg import vicreg_terms
from pretext.method import MethodDefaults
from pretext.methods.cgml.config import CGMLConfig
from pretext.methods.cgml.model import CGML
from pretext.methods.joint_embedding import build_projector
from pretext.numerics import to_full_precision
from pretext.optimisation import Gather, OptimisationStep, OptimisationSteps
from pretext.randomness import count_batch_rows
from spectral_ssl.ground.config import within
from spectral_ssl.ground.errors import UserError


@dataclass(frozen=True, kw_only=True)
class JointCGMLConfig(CGMLConfig):
    """Settings of cGML, and of the second loss.

    Attributes
    ----------
    projector : int
        Number E of dimensions of the embeddings and of the projector's hidden layers.
    invariance, variance, covariance : float
        Weights of VICReg's three terms.
    joint_rate : float
        Learning rate of the second loss, for H and the projector.
    """

    projector: int = field(default=512, metadata=within(1, 65536))
    invariance: float = field(default=25.0, metadata=within(0.0, 1e6))
    variance: float = field(default=25.0, metadata=within(0.0, 1e6))
    covariance: float = field(default=1.0, metadata=within(0.0, 1e6))
    joint_rate: float = field(default=1e-3, metadata=within(0.0, 10.0))


class JointCGML(MethodDefaults, nn.Module):
    """The networks H, G and Z and a projector with their optimisers.

    Parameters
    ----------
    config : JointCGMLConfig
        The settings of the method.
    problem : Problem
        The shapes of conditions and targets, which must be equal.

    Raises
    ------
    UserError
        If conditions and targets differ in shape, or if the schedule has two stages.
    """

    needs_whole_batches = True  # variances and covariances are taken over the whole batch
    training_parts = ("projector",)

    def __init__(self, config: JointCGMLConfig, problem: Problem) -> None:
        super().__init__()
        if problem.condition != problem.target:
            got = f"condition {problem.condition}, target {problem.target}"
            raise UserError("joint-cgml needs a condition and a target of one shape", got, "take complete-shape")
        schedule = config.optimisation.schedule
        if schedule != "joint":
            raise UserError("joint-cgml has one stage", f"method.optimisation.schedule = {schedule!r}", "leave it out")
        self.config = config
        self.completion = CGML(config, problem)
        with torch.no_grad():
            size = self.completion.encoder.features(torch.zeros(1, *problem.condition)).shape[1]
        self.projector = build_projector(size, config.projector)
        encoder = self.completion.encoder
        self.optimizers: dict[str, torch.optim.Optimizer] = {
            **self.completion.optimizers,
            "joint": torch.optim.Adam(
                [*encoder.parameters(), *self.projector.parameters()], lr=config.joint_rate, fused=True
            ),
        }

    def optimisation_steps(self, example: Example, generator: torch.Generator) -> OptimisationSteps:
        """Run algorithm 1 on a batch, then step on the joint loss.

        Parameters
        ----------
        example : Example
            Conditions, targets and weights, each (B, C, S, S). A batch of one sample trains with
            algorithm 1 only, because it has no variance.
        generator : torch.Generator
            The source of z_0 and of the noise of cGML's penalties.

        Returns
        -------
        dict of str to float
            The losses of cGML, and ``joint``.
        """
        self.completion.total_steps = self.total_steps
        losses = yield from self.completion.optimisation_steps(example, generator)
        if count_batch_rows(len(example.condition), generator) < 2:
            return {**losses, "joint": 0.0}
        features = self.completion.encoder.features(torch.cat([example.condition, example.target]))  # (2 B, D)
        first, second = yield Gather(tuple(to_full_precision(self.projector(features)).chunk(2)))  # (B, E)
        config = self.config
        invariance, variance, covariance = vicreg_terms(first, second)
        loss = config.invariance * invariance + config.variance * variance + config.covariance * covariance
        yield OptimisationStep(self.optimizers["joint"], loss, of_all=True)
        return {**losses, "joint": loss.item()}

    def _feature_network(self) -> nn.Module:
        """Return H, which both losses train. Features are taken before the projector."""
        return self.completion.encoder

    @property
    def latent_model(self) -> CGML:
        """The cGML model inside."""
        return self.completion

    def _sample_completions(self, condition: Tensor, modes: int, generator: torch.Generator) -> Tensor:
        """Predict completions (B, K, C, S, S) with the cGML model."""
        return self.completion.complete(condition, modes, generator)
