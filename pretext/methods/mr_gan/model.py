"""MR-GAN: a conditional GAN whose K samples match the moments of the data (Lee, Ha and Kim, ICLR 2019).

A reconstruction loss drives the variance of a GAN's samples to zero. MR-GAN replaces it by a moment
loss on K samples of each condition (``pretext.losses.moment_matching``). The distribution of the
data minimises this loss too. For the condition x, the target y, the generator G, the discriminator
D and the predictor P::

    first, for the proxy variants:  step P on  likelihood(P(x); y)            # then P is frozen, in its best state
    y_k = G(x, z_k), z_k ~ N(0, 1), k = 1 .. K
    every n-th step:  step D on     BCE(D(y), 1) / 2 + BCE(D(y_1), 0) / 2
    step G on  w mean_k BCE(D(y_k), 1) + l1 M1(y_1 .. y_K) + l2 M2(y_1 .. y_K) + r mean_k E(y_k, y)

M1 and M2 are the variant's two terms, centre and dispersion, against y or against P(x). Without
proxy all is in M1. r E is the reconstruction loss of the joint objective in appendix F; r is 0 by
default. The baselines are settings:

* variant=none, reconstruction_weight=100, samples=1: the same networks with noise and a
  reconstruction loss;
* variant=none, samples=1: GAN only;
* variant=none, reconstruction_weight=1, adversarial_weight=0, samples=1: L1 (or L2) only.

P is G without noise and with twice the output channels (``pretext.methods.mr_gan.predictor``).
``pretext.methods.mr_gan.choose_networks`` lists the networks. The optimisers are those of appendix
B.1: Adam with AMSGrad, 1e-4, weight decay 1e-4, gradients clipped by value at 0.5.

Differences from the paper:

* D sees the first sample of each condition of G's own batch. The paper draws larger batches for D
  and P.
* Inputs lie in [-1, 1] and are not standardised by channel.
* Group normalisation replaces batch normalisation.

Letters in shapes: B batch, K samples, C channels, S side lengths, D number of features.
"""

from collections.abc import Generator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from pretext.data.batch import Example, Problem
from pretext.losses.adversarial import discriminator_loss, fill_from_target, generator_loss
from pretext.losses.moment_matching import Family, MomentLosses, Moments, find_variant, moment_losses, thin_gradient
from pretext.losses.reconstruction import check_loss, sample_error
from pretext.method import MethodDefaults
from pretext.methods.mr_gan.choose_networks import BaseDiscriminator, build_generator, choose_base
from pretext.methods.mr_gan.config import MRGANConfig
from pretext.methods.mr_gan.predictor import Predictor
from pretext.networks.latent_generator import repeat
from pretext.numerics import to_full_precision
from pretext.optimisation import OptimisationStep, OptimisationSteps, moving_average, update_moving_average
from pretext.randomness import is_main

SAMPLES_AT_ONCE = 512
LOSS_NAMES = ("loss", "centre", "dispersion", "error", "adversarial", "discriminator", "predictor")


class MRGAN(MethodDefaults, nn.Module):
    """The networks G, D and P with their optimisers.

    Parameters
    ----------
    config : MRGANConfig
        The settings of the method.
    problem : Problem
        The shapes of conditions and targets.

    Raises
    ------
    UserError
        If images are too small for the networks.
    """

    steps_done: Tensor
    judgement: Tensor

    def __init__(self, config: MRGANConfig, problem: Problem) -> None:
        super().__init__()
        check_loss(config.losses.loss, problem, "method.losses.loss")
        self.config = config
        self.problem = problem
        self.variant = None if config.variant == "none" else find_variant(config.variant)
        networks, optimisation = config.networks, config.optimisation
        self.base = base = choose_base(networks.base, problem)
        build = partial(build_generator, base, problem, width=networks.width, code=networks.code, skips=networks.skips)
        channels = problem.target[0]
        self.generator = build(channels, noise=networks.noise_channels)
        self.averaged = moving_average(self.generator, config.experimental.average)
        self.discriminator = BaseDiscriminator(base, problem, networks.width, networks.code)
        self.register_buffer("steps_done", torch.zeros((), dtype=torch.int64))  # number of steps of G
        # D's last loss. It is in checkpoints under this name.
        self.register_buffer("judgement", torch.zeros((), dtype=torch.float64))
        self.optimizers: dict[str, torch.optim.Optimizer] = {
            "main": self._adam(self.generator, optimisation.learning_rate),
            "discriminator": self._adam(self.discriminator, optimisation.discriminator_learning_rate),
        }
        self.predictor: Predictor | None = None
        if self.variant is not None and self.variant.proxy:
            self.predictor = Predictor(
                partial(build, 2 * channels, noise=0),
                self.variant.family,
                problem.bounded,
                config.proxy.predictor_steps,
            )
            self.optimizers["predictor"] = self._adam(self.predictor.network, optimisation.learning_rate)

    def _adam(self, network: nn.Module, rate: float) -> torch.optim.Optimizer:
        betas, decay = (self.config.optimisation.beta1, 0.999), self.config.optimisation.weight_decay
        return torch.optim.Adam(
            network.parameters(), lr=rate, betas=betas, weight_decay=decay, amsgrad=True, fused=True
        )

    def optimisation_steps(self, example: Example, generator: torch.Generator) -> OptimisationSteps:
        """Step P until it is trained; then step G, and D every n-th time.

        Parameters
        ----------
        example : Example
            Conditions, targets and weights, each (B, C, S, S).
        generator : torch.Generator
            The source of the noise.

        Returns
        -------
        dict of str to float
            ``loss`` (G's loss without D's term, or P's likelihood in its steps), ``centre`` and
            ``dispersion`` (M1 and M2), ``error`` (E), ``adversarial`` (D's term of G's loss),
            ``discriminator`` (D's last loss), and ``predictor`` (P's likelihood). A loss that is
            not part of a step is 0.
        """
        losses = dict.fromkeys(LOSS_NAMES, 0.0)
        if self.predictor is not None and not bool(self.predictor.finished):
            likelihood = yield from self._predictor_steps(self.predictor, example, generator)
            return losses | {"loss": likelihood, "predictor": likelihood}
        config, weights = self.config, self.config.losses
        graded = config.graded_samples or config.samples  # k
        with_gradient = self._samples(self.generator, example.condition, graded, generator)  # (B, k, C, S, S)
        samples = with_gradient  # (B, K, C, S, S)
        if graded < config.samples:
            with torch.no_grad():
                rest = self._samples(self.generator, example.condition, config.samples - graded, generator)
            samples = thin_gradient(with_gradient, rest)
        clip, steps_of_d = config.optimisation.clip, config.optimisation.generator_updates
        if weights.adversarial_weight and int(self.steps_done) % steps_of_d == 0:
            loss = self._discriminator_loss(example, samples[:, 0].detach())
            self.judgement.fill_((yield OptimisationStep(self.optimizers["discriminator"], loss, clip=clip)))
        repeated, flat = Example(*(repeat(part, config.samples) for part in example)), samples.flatten(0, 1)
        error = sample_error(flat, repeated, weights.loss, self.problem).mean()
        centre, dispersion = self._moment_losses(example, samples)
        loss = weights.centre_weight * centre + weights.dispersion_weight * dispersion
        loss = loss + weights.reconstruction_weight * error
        total = loss
        if weights.adversarial_weight:
            self.discriminator.requires_grad_(False)  # D only passes gradients on to G
            flat, repeated = with_gradient.flatten(0, 1), Example(*(repeat(part, graded) for part in example))
            adversarial = generator_loss(self.discriminator(fill_from_target(flat, repeated), repeated))
            total = loss + weights.adversarial_weight * adversarial
            losses["adversarial"] = adversarial.item()
        yield OptimisationStep(self.optimizers["main"], total, clip=clip)
        update_moving_average(self.averaged, self.generator, generator)
        self.discriminator.requires_grad_(True)
        if is_main(generator):
            self.steps_done += 1
        terms = {"loss": loss, "centre": centre, "dispersion": dispersion, "error": error}
        losses |= {name: term.item() for name, term in terms.items()}
        return losses | {"discriminator": float(self.judgement)}

    def _predictor_steps(
        self, predictor: Predictor, example: Example, generator: torch.Generator
    ) -> Generator[Any, Any, float]:
        """Step P once on a batch, and return its likelihood."""
        slack, clip = self.config.losses.slack, self.config.optimisation.clip
        optimizer = self.optimizers["predictor"]
        return (yield from predictor.optimisation_steps(example, optimizer, slack, clip, is_main(generator)))

    def _moment_losses(self, example: Example, samples: Tensor) -> MomentLosses:
        """Compute the variant's terms on samples (B, K, C, S, S); 0 if there is no variant."""
        if self.variant is None:
            return MomentLosses(samples.new_zeros(()), samples.new_zeros(()))
        predicted = None if self.predictor is None else self.predictor.moments(example.condition)
        return moment_losses(
            self.variant,
            samples,
            example.weight,
            target=example.target,
            predicted=predicted,
            slack=self.config.losses.slack,
        )

    def _discriminator_loss(self, example: Example, samples: Tensor) -> Tensor:
        """Compute D's loss on targets and on one sample (B, C, S, S) of each condition."""
        real = self.discriminator(example.target, example)
        return discriminator_loss(real, self.discriminator(fill_from_target(samples, example), example))

    def _samples(self, network: nn.Module, condition: Tensor, samples: int, generator: torch.Generator) -> Tensor:
        """Draw K samples (B, K, C, S, S) of G, or of its moving average, for each condition (B, C, S, S)."""
        predictions: Tensor = network(condition, samples, generator)
        # Moments of few samples need full precision, whatever precision the layers computed in.
        predictions = to_full_precision(predictions)
        return torch.tanh(predictions) if self.problem.bounded else predictions

    def _feature_network(self) -> nn.Module:
        """Return G, whose features are activations before the first noise; for the U-Net the innermost one."""
        return self.generator

    def _sample_completions(self, condition: Tensor, modes: int, generator: torch.Generator) -> Tensor:
        """Draw completions (B, K, C, S, S) of conditions (B, C, S, S), each from its own noise."""
        parts = condition.split(max(1, SAMPLES_AT_ONCE // modes))  # a bound on memory
        network = self.averaged or self.generator
        return torch.cat([self._samples(network, part, modes, generator) for part in parts])

    @property
    def moment_family(self) -> Family:
        """The family of the variant's moments; without a variant means and variances are reported."""
        return self.variant.family if self.variant is not None else "gaussian"

    @property
    def reusable_predictor(self) -> Predictor | None:
        """The predictor P, which a later run on the same data and task may reuse."""
        return self.predictor

    def predicted_moments(self, condition: Tensor) -> Moments | None:
        """Predict centre and dispersion (B, C, S, S) of conditions (B, C, S, S); None for variants without P."""
        return None if self.predictor is None else self.predictor.moments(condition)
