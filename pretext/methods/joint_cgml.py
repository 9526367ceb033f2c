"""cGML and joint embedding on one encoder: what completes a part shall also know the part from its whole.

Each batch is stepped twice. First cGML's algorithm 1 (``pretext.methods.cgml.model``): H, G and Z learn to complete the condition.
Then the joint embedding's loss (``pretext.methods.joint_embedding``, VICReg) on a projector behind H: the condition and the
target, a part of an object and the whole of it, are two views and shall have the same embeddings. Each of the two
losses has its own Adam: neither's size matters to the other, ``joint_rate`` weighs the second.

The task's condition and target must be maps of one shape (``complete-shape``, ``denoise``, ``inpaint``).

Letters in shapes: B batch, C channels, S side lengths, D features, E dimensions of the embeddings.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pretext.data.batch import Example, Problem
from pretext.losses.vicreg import vicreg_terms
from pretext.method import MethodDefaults
from pretext.methods.cgml.model import CGML, CGMLConfig
from pretext.methods.joint_embedding import projector
from pretext.numerics import to_full_precision
from pretext.optimisation import Gather, OptimisationStep, OptimisationSteps
from pretext.randomness import count_batch_rows
from spectral_ssl.ground.config import check_range
from spectral_ssl.ground.errors import UserError


@dataclass(frozen=True, kw_only=True)
class JointCGMLConfig(CGMLConfig):
    """Settings of cGML, and of the second loss.

    Attributes
    ----------
    projector : int
        Dimensions E of the embeddings and of the projector's hidden layers.
    invariance, variance, covariance : float
        Weights of VICReg's three terms.
    joint_rate : float
        Learning rate of the second loss, for H and the projector.
    """

    projector: int = 512
    invariance: float = 25.0
    variance: float = 25.0
    covariance: float = 1.0
    joint_rate: float = 1e-3

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("method.projector", self.projector, 1, 65536)
        check_range("method.invariance", self.invariance, 0.0, 1e6)
        check_range("method.variance", self.variance, 0.0, 1e6)
        check_range("method.covariance", self.covariance, 0.0, 1e6)
        check_range("method.joint_rate", self.joint_rate, 0.0, 10.0)


class JointCGML(MethodDefaults, nn.Module):
    """H, G, Z and a projector with their optimisers.

    Parameters
    ----------
    config : JointCGMLConfig
        Settings.
    problem : Problem
        Shapes of the conditions and of the answers, which must be the same.

    Raises
    ------
    UserError
        When condition and target differ in shape, or two stages are asked for.
    """

    needs_whole_batches = True  # variances and covariances are of all of it

    def __init__(self, config: JointCGMLConfig, problem: Problem) -> None:
        super().__init__()
        if problem.condition != problem.target:
            got = f"condition {problem.condition}, target {problem.target}"
            raise UserError("joint-cgml needs a condition and a target of one shape", got, "take complete-shape")
        if config.schedule != "joint":
            raise UserError("joint-cgml has one stage", f"method.schedule = {config.schedule!r}", "leave it out")
        self.config = config
        self.completion = CGML(config, problem)
        with torch.no_grad():
            size = self.completion.encoder.features(torch.zeros(1, *problem.condition)).shape[1]
        self.projector = projector(size, config.projector)
        encoder = self.completion.encoder
        self.optimizers: dict[str, torch.optim.Optimizer] = {
            **self.completion.optimizers,
            "joint": torch.optim.Adam(
                [*encoder.parameters(), *self.projector.parameters()], lr=config.joint_rate, fused=True
            ),
        }

    def optimisation_steps(self, example: Example, generator: torch.Generator) -> OptimisationSteps:
        """Algorithm 1 on a batch, then the joint loss on it.

        Parameters
        ----------
        example : Example
            Conditions, targets and weights, each (B, C, S, S). Of a batch of one only algorithm 1 learns.
        generator : torch.Generator
            Draws z_0 and the noise of cGML's penalties.

        Returns
        -------
        dict of str to float
            Those of cGML, and ``joint``.
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
        """Return H, which both losses train; features are from before the projector."""
        return self.completion.encoder

    @property
    def latent_model(self) -> CGML:
        """The cGML inside."""
        return self.completion

    def _sample_completions(self, condition: Tensor, modes: int, generator: torch.Generator) -> Tensor:
        """Answers (B, K, C, S, S), as of cGML."""
        return self.completion.complete(condition, modes, generator)
