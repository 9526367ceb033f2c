"""pix2pix: a conditional GAN with an L1 term (Isola et al., CVPR 2017).

H and G are cGML's, with activations of H added to those of G (the paper's U-Net concatenates
them)::

    z ~ N(0, 1);  a = G(d(H(x)), z)
    step D on     BCE(D(x, y), 1) / 2 + BCE(D(x, a), 0) / 2
    step H, G on  BCE(D(x, a), 1) + 100 E(a, y)

E is the mean absolute error. D classifies patches of condition and prediction. Predictions differ
by z, drawn anew for each, and by d: dropout of the bottleneck's channels, in training and at
inference. The paper uses both and found that its generator learnt to ignore z; its dropout is on
layers of the decoder. Where a value has no weight, D takes the target's value
(``pretext.losses.adversarial``). Adam's settings are the paper's.

Letters in shapes: B batch, C channels, S side lengths, F and s channels and side lengths of the
bottleneck h, D dimensions of z, K modes.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from pretext.data.batch import Example, Problem
from pretext.losses.adversarial import discriminator_loss, fill_from_target, generator_loss
from pretext.losses.reconstruction import Loss, check_loss, sample_error
from pretext.method import MethodDefaults
from pretext.networks.discriminators import PatchDiscriminator, PointDiscriminator
from pretext.networks.encoder_decoder import build_encoder_and_generator, compute_bottleneck
from pretext.optimisation import OptimisationStep, OptimisationSteps
from pretext.randomness import rand, randn
from spectral_ssl.ground.config import check_ranges, within


@dataclass(frozen=True, kw_only=True)
class Pix2PixConfig:
    """Settings of the method.

    Attributes
    ----------
    latent : int
        Dimensions D of z; 0 leaves it out.
    dropout : float
        Share of the bottleneck's channels that are dropped, drawn anew for each prediction.
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

    latent: int = field(default=10, metadata=within(0, 4096))
    dropout: float = field(default=0.5, metadata=within(0.0, 0.99))
    loss: Loss = "l1"
    reconstruction_weight: float = field(default=100.0, metadata=within(0.0, 1e6))
    adversarial_weight: float = field(default=1.0, metadata=within(0.0, 1e6))
    skips: bool = True
    learning_rate: float = field(default=2e-4, metadata=within(0.0, 10.0))
    discriminator_learning_rate: float = field(default=2e-4, metadata=within(0.0, 10.0))
    beta1: float = field(default=0.5, metadata=within(0.0, 0.9999))
    width: int = field(default=64, metadata=within(1, 4096))
    code: int = field(default=512, metadata=within(1, 65536))

    def __post_init__(self) -> None:
        check_ranges(self, "method")


class Pix2Pix(MethodDefaults, nn.Module):
    """H, G and D with their optimisers.

    Parameters
    ----------
    config : Pix2PixConfig
        Settings.
    problem : Problem
        Shapes of the conditions and of the targets.
    """

    def __init__(self, config: Pix2PixConfig, problem: Problem) -> None:
        super().__init__()
        check_loss(config.loss, problem)
        self.config = config
        self.problem = problem
        self.encoder, self.generator, _ = build_encoder_and_generator(problem, config.width, config.code, config.latent)
        channels = problem.condition[0] + problem.target[0]
        self.discriminator: nn.Module
        if problem.target[1:] == (1, 1):
            self.discriminator = PointDiscriminator(channels, config.code)
        else:
            self.discriminator = PatchDiscriminator((channels, *problem.target[1:]), config.width)
        main = [*self.encoder.parameters(), *self.generator.parameters()]
        betas = (config.beta1, 0.999)
        self.optimizers: dict[str, torch.optim.Optimizer] = {
            "main": torch.optim.Adam(main, lr=config.learning_rate, betas=betas, fused=True),
            "discriminator": torch.optim.Adam(
                self.discriminator.parameters(), lr=config.discriminator_learning_rate, betas=betas, fused=True
            ),
        }

    def optimisation_steps(self, example: Example, generator: torch.Generator) -> OptimisationSteps:
        """Step D, then H and G, once on a batch.

        Parameters
        ----------
        example : Example
            Conditions, targets and weights, each (B, C, S, S).
        generator : torch.Generator
            Draws z and the dropped channels.

        Returns
        -------
        dict of str to float
            ``loss`` (E), ``adversarial`` (the generator's other term), ``discriminator`` (loss of
            D).
        """
        bottleneck, skips = compute_bottleneck(self.encoder, example.condition, self.config.skips)
        prediction = self._predict(bottleneck, skips, generator)
        fake = torch.cat([example.condition, fill_from_target(prediction, example)], dim=1)
        real = torch.cat([example.condition, example.target], dim=1)
        discrimination = discriminator_loss(self.discriminator(real), self.discriminator(fake.detach()))
        yield OptimisationStep(self.optimizers["discriminator"], discrimination)

        self.discriminator.requires_grad_(False)  # D only passes gradients on to G
        error = sample_error(prediction, example, self.config.loss, self.problem).mean()
        adversarial = generator_loss(self.discriminator(fake))
        total = self.config.reconstruction_weight * error + self.config.adversarial_weight * adversarial
        yield OptimisationStep(self.optimizers["main"], total)
        self.discriminator.requires_grad_(True)
        return {"loss": error.item(), "adversarial": adversarial.item(), "discriminator": discrimination.item()}

    def _predict(self, bottleneck: Tensor, skips: tuple[Tensor, ...], generator: torch.Generator) -> Tensor:
        """Predict (B, C, S, S) for each bottleneck (B, F, s, s), with a z and a dropout of its own."""
        latent = randn(len(bottleneck), self.config.latent, generator=generator)
        if self.config.dropout:
            keep = rand(*bottleneck.shape[:2], generator=generator) >= self.config.dropout  # (B, F)
            bottleneck = bottleneck * (keep / (1.0 - self.config.dropout))[:, :, None, None]
        prediction: Tensor = self.generator(bottleneck, latent, skips)
        return prediction

    def _sample_completions(self, condition: Tensor, modes: int, generator: torch.Generator) -> Tensor:
        """Draw predictions (B, K, C, S, S) for conditions (B, C, S, S), each with a z and a dropout of its own."""
        bottleneck, skips = compute_bottleneck(self.encoder, condition, self.config.skips)
        return torch.stack([self._predict(bottleneck, skips, generator) for _ in range(modes)], dim=1)
