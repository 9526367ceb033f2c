"""BicycleGAN: a conditional GAN whose latent can be recovered from its predictions (Zhu et al., NeurIPS 2017).

This is the MR-GAN paper's baseline for diversity. H and G are cGML's, with activations of H added
to those of G. Q predicts the latent of an image, as mean and log variance of a Gaussian. Two cycles
are trained together::

    y -> z -> y    z1 = mean + sqrt(variance) e,  (mean, variance) = Q(y);   a1 = G(H(x), z1)
    z -> y -> z    z2 ~ N(0, 1);                                             a2 = G(H(x), z2)
    step D1, D2 on  BCE(Di(y), 1) / 2 + BCE(Di(ai), 0) / 2
    step H, G, Q on BCE(D1(a1), 1) + BCE(D2(a2), 1) + 10 E(a1, y) + 0.01 KL(Q(y) || N(0, 1)) + 0.5 |Q(a2) - z2|

KL is summed over the latent's dimensions. The last term is the mean absolute error of Q's mean; its
gradient goes to H and G, not to Q. As in the paper's code there are two discriminators, which do
not see the condition. Each classifies patches at two scales, whose losses are added. The loss is
that of pix2pix (the paper's code has least squares). Both cycles are trained on the whole
batch (in the paper's code on one half each).

Letters in shapes: B batch, C channels, S side lengths, F and s channels and side lengths of the
bottleneck h, D dimensions of z, K modes.
"""

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from pretext.data.batch import Example, Problem
from pretext.losses.adversarial import discriminator_loss, fill_from_target, generator_loss
from pretext.losses.reconstruction import Loss, check_loss, sample_error
from pretext.method import MethodDefaults
from pretext.networks.discriminators import PointDiscriminator, TwoScaleDiscriminator
from pretext.networks.encoder_decoder import build_encoder_and_generator, compute_bottleneck
from pretext.optimisation import OptimisationStep, OptimisationSteps
from pretext.randomness import randn
from spectral_ssl.ground.config import check_ranges, within

LOG_LIMITS = (-20.0, 20.0)  # limits of log variances


@dataclass(frozen=True, kw_only=True)
class BicycleGANConfig:
    """Settings of the method.

    Attributes
    ----------
    latent : int
        Dimensions D of z.
    loss : {"l1", "l2", "pyramid", "ssim"}
        E: mean absolute or mean squared error, or the absolute one and an error of images at several
        scales or of their structure (``pretext.losses.reconstruction``).
    reconstruction_weight, adversarial_weight, divergence_weight, latent_weight : float
        Weights of E, of each adversarial term, of KL, and of the latent's error.
    skips : bool
        Whether activations of H are added to those of G.
    learning_rate, discriminator_learning_rate : float
        Learning rates of Adam for H, G and Q, and for D1 and D2.
    beta1 : float
        First decay rate of all Adam optimisers.
    width : int
        Channels after the first halving of the map, in Q and D too.
    code : int
        Size of the code between H's convolutions and the bottleneck; for data without extent the
        width of all layers.
    """

    latent: int = field(default=8, metadata=within(1, 4096))
    loss: Loss = "l1"
    reconstruction_weight: float = field(default=10.0, metadata=within(0.0, 1e6))
    adversarial_weight: float = field(default=1.0, metadata=within(0.0, 1e6))
    divergence_weight: float = field(default=0.01, metadata=within(0.0, 1e6))
    latent_weight: float = field(default=0.5, metadata=within(0.0, 1e6))
    skips: bool = True
    learning_rate: float = field(default=2e-4, metadata=within(0.0, 10.0))
    discriminator_learning_rate: float = field(default=2e-4, metadata=within(0.0, 10.0))
    beta1: float = field(default=0.5, metadata=within(0.0, 0.9999))
    width: int = field(default=64, metadata=within(1, 4096))
    code: int = field(default=512, metadata=within(1, 65536))

    def __post_init__(self) -> None:
        check_ranges(self, "method")


class LatentEncoder(nn.Module):
    """The network Q from images (B, C, S, S) to mean and log variance of the latent, (B, D) each."""

    def __init__(self, problem: Problem, width: int, code: int, latent: int) -> None:
        super().__init__()
        image_problem = replace(problem, condition=problem.target)
        self.encoder, _, size = build_encoder_and_generator(image_problem, width, code, latent=0)
        self.last = nn.Linear(size, 2 * latent)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Predict mean and log variance of the latents of images."""
        mean, log_variance = self.last(self.encoder(images).flatten(1)).chunk(2, dim=1)
        return mean, log_variance.clamp(*LOG_LIMITS)


def _logits_by_scale(discriminator: nn.Module, maps: Tensor) -> tuple[Tensor, ...]:
    """Compute the logits (B, P) of maps (B, C, S, S) at each scale of a discriminator."""
    logits = discriminator(maps)
    return logits if isinstance(logits, tuple) else (logits,)


class BicycleGAN(MethodDefaults, nn.Module):
    """H, G, Q, D1 and D2 with their optimisers.

    Parameters
    ----------
    config : BicycleGANConfig
        Settings.
    problem : Problem
        Shapes of the conditions and of the targets.
    """

    def __init__(self, config: BicycleGANConfig, problem: Problem) -> None:
        super().__init__()
        check_loss(config.loss, problem)
        self.config = config
        self.problem = problem
        self.encoder, self.generator, _ = build_encoder_and_generator(problem, config.width, config.code, config.latent)
        self.reader = LatentEncoder(problem, config.width, config.code, config.latent)
        self.discriminators = nn.ModuleList(
            PointDiscriminator(problem.target[0], config.code)
            if problem.target[1:] == (1, 1)
            else TwoScaleDiscriminator(problem.target, config.width)
            for _ in range(2)
        )
        main = [*self.encoder.parameters(), *self.generator.parameters(), *self.reader.parameters()]
        betas = (config.beta1, 0.999)
        self.optimizers: dict[str, torch.optim.Optimizer] = {
            "main": torch.optim.Adam(main, lr=config.learning_rate, betas=betas, fused=True),
            "discriminator": torch.optim.Adam(
                self.discriminators.parameters(), lr=config.discriminator_learning_rate, betas=betas, fused=True
            ),
        }

    def optimisation_steps(self, example: Example, generator: torch.Generator) -> OptimisationSteps:
        """Step D1 and D2, then H, G and Q, once on a batch.

        Parameters
        ----------
        example : Example
            Conditions, targets and weights, each (B, C, S, S).
        generator : torch.Generator
            Draws e and z2.

        Returns
        -------
        dict of str to float
            ``loss`` (E of a1), ``divergence`` (KL), ``latent`` (error of the latent that Q predicts
            from a2), ``adversarial`` and ``discriminator`` (mean of the two, each the sum of its
            scales).
        """
        config = self.config
        bottleneck, skips = compute_bottleneck(self.encoder, example.condition, self.config.skips)
        mean, log_variance = self.reader(example.target)  # (B, D) each
        drawn = randn(2, *mean.shape, generator=generator, rows_in=1)
        latents = [mean + torch.exp(log_variance / 2) * drawn[0], drawn[1]]  # z1, z2
        predictions = [self.generator(bottleneck, latent, skips) for latent in latents]  # a1, a2
        fakes = [fill_from_target(prediction, example) for prediction in predictions]
        discrimination = self._discriminator_loss(example.target, [fake.detach() for fake in fakes])
        yield OptimisationStep(self.optimizers["discriminator"], discrimination)

        self.discriminators.requires_grad_(False)  # they only pass gradients on to G
        losses = [
            generator_loss(logits)
            for discriminator, fake in zip(self.discriminators, fakes, strict=True)
            for logits in _logits_by_scale(discriminator, fake)
        ]
        adversarial = torch.stack(losses).sum() / 2
        error = sample_error(predictions[0], example, config.loss, self.problem).mean()
        divergence = (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1).mean() / 2
        # If Q were trained on this term, Q and G could hide z in details that have no meaning.
        self.reader.requires_grad_(False)
        latent = (self.reader(predictions[1])[0] - latents[1]).abs().mean()
        self.reader.requires_grad_(True)
        total = 2 * config.adversarial_weight * adversarial + config.reconstruction_weight * error
        total = total + config.divergence_weight * divergence + config.latent_weight * latent
        yield OptimisationStep(self.optimizers["main"], total)
        self.discriminators.requires_grad_(True)
        parts = {"loss": error, "divergence": divergence, "latent": latent, "adversarial": adversarial}
        return {name: part.item() for name, part in parts.items()} | {"discriminator": discrimination.item()}

    def _discriminator_loss(self, real: Tensor, fakes: list[Tensor]) -> Tensor:
        """Average the losses of the two discriminators, each on the predictions of its own cycle."""
        losses = [
            discriminator_loss(real_logits, fake_logits)
            for discriminator, fake in zip(self.discriminators, fakes, strict=True)
            for real_logits, fake_logits in zip(
                _logits_by_scale(discriminator, real), _logits_by_scale(discriminator, fake), strict=True
            )
        ]
        return torch.stack(losses).sum() / 2

    def _sample_completions(self, condition: Tensor, modes: int, generator: torch.Generator) -> Tensor:
        """Draw predictions (B, K, C, S, S) for conditions (B, C, S, S), each with a z ~ N(0, 1)."""
        bottleneck, skips = compute_bottleneck(self.encoder, condition, self.config.skips)
        latents = randn(modes, len(condition), self.config.latent, generator=generator, rows_in=1)
        return torch.stack([self.generator(bottleneck, latent, skips) for latent in latents], dim=1)
