"""pix2pix: a conditional GAN with an L1 term (Isola et al., CVPR 2017).

H and G are cGML's, with activations of H added to those of G (the paper's U-Net joins them side by side)::

    z ~ N(0, 1);  a = G(d(H(x)), z)
    step D on     BCE(D(x, y), 1) / 2 + BCE(D(x, a), 0) / 2
    step H, G on  BCE(D(x, a), 1) + 100 E(a, y)

E is the mean absolute error, D judges patches and sees the condition beside the answer. What makes answers differ is
z, drawn anew for each, and d: dropout of the bottleneck's channels, in training and at inference. The paper names
both and found that its generator learnt to ignore z; its dropout is on layers of the decoder. Where a value has no
weight, D sees the target's (``pretext.networks.discriminators``). Adam's settings are the paper's.

Letters in shapes: B batch, C channels, S side lengths, F and s channels and side lengths of the bottleneck h,
D dimensions of z, K modes.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pretext.data.batch import Example, Problem
from pretext.losses.reconstruction import Loss, sample_error
from pretext.networks.discriminators import (
    PatchDiscriminator,
    PointDiscriminator,
    discriminator_loss,
    generator_loss,
    shown,
)
from pretext.networks.encoder_decoder import bottleneck_of, encoder_and_generator
from pretext.networks.feature_layers import pooled
from pretext.optimisation import Descent, Descents, whole_step
from pretext.randomness import rand, randn
from spectral_ssl.ground.config import check_range


@dataclass(frozen=True, kw_only=True)
class Pix2PixConfig:
    """Settings of the method.

    Attributes
    ----------
    latent : int
        Dimensions D of z; 0 leaves it out.
    dropout : float
        Share of the bottleneck's channels that are left out, other ones for each answer.
    loss : {"l1", "l2"}
        E: mean absolute or mean squared error.
    reconstruction_weight, adversarial_weight : float
        Of E and of the discriminator's judgement in the loss of H and G.
    skips : bool
        Whether activations of H are added to those of G.
    learning_rate, discriminator_learning_rate : float
        Of Adam for H and G, and for D.
    beta1 : float
        Of all Adams: how much of the mean gradient is remembered.
    width : int
        Channels after the first halving of the map, in D too.
    code : int
        Size of the code between H's convolutions and the bottleneck; for data without extent the width of all layers.
    """

    latent: int = 10
    dropout: float = 0.5
    loss: Loss = "l1"
    reconstruction_weight: float = 100.0
    adversarial_weight: float = 1.0
    skips: bool = True
    learning_rate: float = 2e-4
    discriminator_learning_rate: float = 2e-4
    beta1: float = 0.5
    width: int = 64
    code: int = 512

    def __post_init__(self) -> None:
        check_range("method.latent", self.latent, 0, 4096)
        check_range("method.dropout", self.dropout, 0.0, 0.99)
        check_range("method.reconstruction_weight", self.reconstruction_weight, 0.0, 1e6)
        check_range("method.adversarial_weight", self.adversarial_weight, 0.0, 1e6)
        check_range("method.learning_rate", self.learning_rate, 0.0, 10.0)
        check_range("method.discriminator_learning_rate", self.discriminator_learning_rate, 0.0, 10.0)
        check_range("method.beta1", self.beta1, 0.0, 0.9999)
        check_range("method.width", self.width, 1, 4096)
        check_range("method.code", self.code, 1, 65536)


class Pix2Pix(nn.Module):
    """H, G and D with their optimisers.

    Parameters
    ----------
    config : Pix2PixConfig
        Settings.
    problem : Problem
        Shapes of the conditions and of the answers.
    """

    answers = True
    training_step = whole_step  # a batch in one piece

    def __init__(self, config: Pix2PixConfig, problem: Problem) -> None:
        super().__init__()
        self.config = config
        self.problem = problem
        self.encoder, self.generator, _ = encoder_and_generator(problem, config.width, config.code, config.latent)
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

    def descents(self, example: Example, generator: torch.Generator) -> Descents:
        """Step D, then H and G, once on a batch.

        Parameters
        ----------
        example : Example
            Conditions, targets and weights, each (B, C, S, S).
        generator : torch.Generator
            Draws z and the channels that are left out.

        Returns
        -------
        dict of str to float
            ``loss`` (E), ``adversarial`` (the generator's other term), ``discriminator`` (loss of D).
        """
        bottleneck, skips = bottleneck_of(self.encoder, example.condition, self.config.skips)
        answer = self._answer(bottleneck, skips, generator)
        seen = torch.cat([example.condition, shown(answer, example)], dim=1)
        real = torch.cat([example.condition, example.target], dim=1)
        judgement = discriminator_loss(self.discriminator(real), self.discriminator(seen.detach()))
        yield Descent(self.optimizers["discriminator"], judgement)

        self.discriminator.requires_grad_(False)  # it only hands gradients on to G
        error = sample_error(answer, example, self.config.loss, self.problem).mean()
        adversarial = generator_loss(self.discriminator(seen))
        total = self.config.reconstruction_weight * error + self.config.adversarial_weight * adversarial
        yield Descent(self.optimizers["main"], total)
        self.discriminator.requires_grad_(True)
        return {"loss": error.item(), "adversarial": adversarial.item(), "discriminator": judgement.item()}

    def _answer(self, bottleneck: Tensor, skips: tuple[Tensor, ...], generator: torch.Generator) -> Tensor:
        """One answer (B, C, S, S) to each bottleneck (B, F, s, s), with a z and a dropout of its own."""
        latent = randn(len(bottleneck), self.config.latent, generator=generator)
        if self.config.dropout:
            keep = rand(*bottleneck.shape[:2], generator=generator) >= self.config.dropout  # (B, F)
            bottleneck = bottleneck * (keep / (1.0 - self.config.dropout))[:, :, None, None]
        answer: Tensor = self.generator(bottleneck, latent, skips)
        return answer

    @torch.no_grad()
    def encode(self, condition: Tensor) -> Tensor:
        """Bottleneck features (B, F s s) of maps (B, C, S, S), without dropout."""
        return self.features(condition)

    def features(self, condition: Tensor) -> Tensor:
        """The same with a gradient, for whoever trains on."""
        return self.encoder.features(condition)

    def layers(self, condition: Tensor) -> dict[str, Tensor]:
        """The encoder's layers, see ``pretext.networks.feature_layers``: features (B, D) by name, with a gradient."""
        return pooled(self.encoder.activations(condition))

    @torch.no_grad()
    def complete(self, condition: Tensor, modes: int, generator: torch.Generator) -> Tensor:
        """Answers (B, K, C, S, S) to conditions (B, C, S, S), each from a z and a dropout of its own."""
        bottleneck, skips = bottleneck_of(self.encoder, condition, self.config.skips)
        return torch.stack([self._answer(bottleneck, skips, generator) for _ in range(modes)], dim=1)
