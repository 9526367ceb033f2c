"""Regression: the encoder and generator of cGML without a latent, trained on the error alone.

The first baseline of the cGML paper ("L1 only"): one prediction for each condition. Where several
targets are valid, the optimum is their median (L1) or their mean (L2), which need not be valid
itself.

Letters in shapes: B batch, C channels, S side lengths, F and s channels and side lengths of the
bottleneck h, K modes.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from pretext.data.batch import Example, Problem
from pretext.losses.reconstruction import Loss, check_loss, sample_error
from pretext.method import MethodDefaults
from pretext.networks.encoder_decoder import BottleneckEncoderName, build_encoder_and_generator, compute_bottleneck
from pretext.optimisation import OptimisationStep, OptimisationSteps
from spectral_ssl.ground.config import check_ranges, within


@dataclass(frozen=True, kw_only=True)
class RegressionConfig:
    """Settings of the method.

    Attributes
    ----------
    loss : {"l1", "l2", "pyramid", "ssim"}
        E: mean absolute or mean squared error, or the absolute one and an error of images at several
        scales or of their structure (``pretext.losses.reconstruction``).
    skips : bool
        Whether activations of H are added to those of G.
    learning_rate : float
        Learning rate of Adam.
    encoder : {"map", "grid", "pooled-grid"}
        Encoder H, as in cGML.
    width : int
        Channels after the first halving of the map; they double with each further one.
    width_limit : int
        Most channels of a layer, as a multiple of ``width``, as in cGML.
    code : int
        Size of the code between H's convolutions and the bottleneck.
    residual : bool
        Whether the condition is added to the prediction, as in cGML.
    """

    loss: Loss = "l1"
    skips: bool = False
    learning_rate: float = field(default=1e-3, metadata=within(0.0, 10.0))
    encoder: BottleneckEncoderName = "map"
    width: int = field(default=64, metadata=within(1, 4096))
    width_limit: int = field(default=8, metadata=within(1, 1024))
    code: int = field(default=512, metadata=within(1, 65536))
    residual: bool = False

    def __post_init__(self) -> None:
        check_ranges(self, "method")


class Regression(MethodDefaults, nn.Module):
    """H and G with their optimiser.

    Parameters
    ----------
    config : RegressionConfig
        Settings.
    problem : Problem
        Shapes of the conditions and of the targets.
    """

    def __init__(self, config: RegressionConfig, problem: Problem) -> None:
        super().__init__()
        check_loss(config.loss, problem)
        self.config = config
        self.problem = problem
        self.encoder, self.generator, _ = build_encoder_and_generator(
            problem,
            config.width,
            config.code,
            latent=0,
            encoder=config.encoder,
            residual=config.residual,
            width_limit=config.width_limit,
        )
        self.optimizers: dict[str, torch.optim.Optimizer] = {
            "main": torch.optim.Adam(self.parameters(), lr=config.learning_rate, fused=True)
        }

    def optimisation_steps(self, example: Example, generator: torch.Generator) -> OptimisationSteps:
        """Step H and G once on a batch; no random numbers are drawn.

        Parameters
        ----------
        example : Example
            Conditions, targets and weights, each (B, C, S, S).
        generator : torch.Generator
            Not used.

        Returns
        -------
        dict of str to float
            ``loss``.
        """
        error = sample_error(self._predict(example.condition), example, self.config.loss, self.problem).mean()
        yield OptimisationStep(self.optimizers["main"], error)
        return {"loss": error.item()}

    def _predict(self, condition: Tensor) -> Tensor:
        """Predict targets (B, C, S, S) for conditions (B, C, S, S)."""
        bottleneck, skips = compute_bottleneck(self.encoder, condition, self.config.skips, self.config.residual)
        prediction: Tensor = self.generator(bottleneck, condition.new_empty(len(condition), 0), skips)
        return prediction

    def _sample_completions(self, condition: Tensor, modes: int, generator: torch.Generator) -> Tensor:
        """Repeat the one prediction for each condition (B, C, S, S) ``modes`` times: (B, K, C, S, S)."""
        return self._predict(condition)[:, None].repeat(1, modes, 1, 1, 1)
