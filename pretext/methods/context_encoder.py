"""Context encoder: regression with a discriminator of whole predictions (Pathak et al., CVPR 2016).

H and G are cGML's, without a latent::

    step D on     BCE(D(y), 1) / 2 + BCE(D(G(H(x))), 0) / 2
    step H, G on  0.999 E(G(H(x)), y) + 0.001 BCE(D(G(H(x))), 1)

E is the squared error, as in the paper. D takes the prediction alone, not the condition: the paper
found that a discriminator with the context detects the seam instead of the content. Where a value
has no weight, D takes the target's value (``pretext.losses.adversarial``). The paper trains H and G
at ten times D's learning rate, and so do the defaults.

Letters in shapes: B batch, C channels, S side lengths, F and s channels and side lengths of the
bottleneck h, K modes.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from pretext.data.batch import Example, Problem
from pretext.losses.adversarial import discriminator_loss, fill_from_target, generator_loss
from pretext.losses.reconstruction import Loss, check_loss, sample_error
from pretext.method import MethodDefaults
from pretext.networks.discriminators import GlobalDiscriminator, PointDiscriminator
from pretext.networks.encoder_decoder import build_encoder_and_generator, compute_bottleneck
from pretext.optimisation import OptimisationStep, OptimisationSteps
from spectral_ssl.ground.config import check_ranges, within


@dataclass(frozen=True, kw_only=True)
class ContextEncoderConfig:
    """Settings of the method.

    Attributes
    ----------
    loss : {"l1", "l2", "pyramid", "ssim"}
        E: mean absolute or mean squared error, or the absolute one and an error of images at several
        scales or of their structure (``pretext.losses.reconstruction``).
    reconstruction_weight, adversarial_weight : float
        Weights of E and of the adversarial term in the loss of H and G.
    skips : bool
        Whether activations of H are added to those of G.
    learning_rate, discriminator_learning_rate : float
        Learning rates of Adam for H and G, and for D.
    beta1 : float
        First decay rate of all Adam optimisers.
    width : int
        Channels after the first halving of the map, in D too.
    code : int
        Size of the code between H's convolutions and the bottleneck; for data without extent the
        width of all layers.
    """

    loss: Loss = "l2"
    reconstruction_weight: float = field(default=0.999, metadata=within(0.0, 1e6))
    adversarial_weight: float = field(default=0.001, metadata=within(0.0, 1e6))
    skips: bool = False
    learning_rate: float = field(default=1e-3, metadata=within(0.0, 10.0))
    discriminator_learning_rate: float = field(default=1e-4, metadata=within(0.0, 10.0))
    beta1: float = field(default=0.5, metadata=within(0.0, 0.9999))
    width: int = field(default=64, metadata=within(1, 4096))
    code: int = field(default=512, metadata=within(1, 65536))

    def __post_init__(self) -> None:
        check_ranges(self, "method")


class ContextEncoder(MethodDefaults, nn.Module):
    """H, G and D with their optimisers.

    Parameters
    ----------
    config : ContextEncoderConfig
        Settings.
    problem : Problem
        Shapes of the conditions and of the targets.
    """

    def __init__(self, config: ContextEncoderConfig, problem: Problem) -> None:
        super().__init__()
        check_loss(config.loss, problem)
        self.config = config
        self.problem = problem
        self.encoder, self.generator, _ = build_encoder_and_generator(problem, config.width, config.code, latent=0)
        self.discriminator: nn.Module
        if problem.target[1:] == (1, 1):
            self.discriminator = PointDiscriminator(problem.target[0], config.code)
        else:
            self.discriminator = GlobalDiscriminator(problem.target, config.width)
        main = [*self.encoder.parameters(), *self.generator.parameters()]
        betas = (config.beta1, 0.999)
        self.optimizers: dict[str, torch.optim.Optimizer] = {
            "main": torch.optim.Adam(main, lr=config.learning_rate, betas=betas, fused=True),
            "discriminator": torch.optim.Adam(
                self.discriminator.parameters(), lr=config.discriminator_learning_rate, betas=betas, fused=True
            ),
        }

    def optimisation_steps(self, example: Example, generator: torch.Generator) -> OptimisationSteps:
        """Step D, then H and G, once on a batch; no random numbers are drawn.

        Parameters
        ----------
        example : Example
            Conditions, targets and weights, each (B, C, S, S).
        generator : torch.Generator
            Not used.

        Returns
        -------
        dict of str to float
            ``loss`` (E), ``adversarial`` (the generator's other term), ``discriminator`` (loss of
            D).
        """
        prediction = self._predict(example.condition)
        fake = fill_from_target(prediction, example)
        discrimination = discriminator_loss(self.discriminator(example.target), self.discriminator(fake.detach()))
        yield OptimisationStep(self.optimizers["discriminator"], discrimination)

        self.discriminator.requires_grad_(False)  # D only passes gradients on to G
        error = sample_error(prediction, example, self.config.loss, self.problem).mean()
        adversarial = generator_loss(self.discriminator(fake))
        total = self.config.reconstruction_weight * error + self.config.adversarial_weight * adversarial
        yield OptimisationStep(self.optimizers["main"], total)
        self.discriminator.requires_grad_(True)
        return {"loss": error.item(), "adversarial": adversarial.item(), "discriminator": discrimination.item()}

    def _predict(self, condition: Tensor) -> Tensor:
        """Predict targets (B, C, S, S) for conditions (B, C, S, S)."""
        bottleneck, skips = compute_bottleneck(self.encoder, condition, self.config.skips)
        prediction: Tensor = self.generator(bottleneck, condition.new_empty(len(condition), 0), skips)
        return prediction

    def _sample_completions(self, condition: Tensor, modes: int, generator: torch.Generator) -> Tensor:
        """Repeat the one prediction for each condition (B, C, S, S) ``modes`` times: (B, K, C, S, S)."""
        return self._predict(condition)[:, None].repeat(1, modes, 1, 1, 1)
