"""MR-GAN: a conditional GAN whose K samples match the moments of the data (Lee, Ha and Kim, ICLR 2019).

A reconstruction loss drives the variance of a GAN's answers to zero. In its place stands a moment loss on K samples for
each condition (``pretext.losses.moment_matching``), whose minimum the data's own distribution is too::

    first, for the proxy variants:  step P on  likelihood(P(x); y)            # then P is frozen, in its best state
    y_k = G(x, z_k), z_k ~ N(0, 1), k = 1 .. K
    every n-th step:  step D on     BCE(D(y), 1) / 2 + BCE(D(y_1), 0) / 2
    step G on  w mean_k BCE(D(y_k), 1) + l1 M1(y_1 .. y_K) + l2 M2(y_1 .. y_K) + r mean_k E(y_k, y)

M1 and M2 are the variant's two terms (centre and dispersion; without proxy all is in M1), against y or against P(x).
r E is the reconstruction loss of the joint objective in appendix F; it is 0 by itself. The baselines are settings:

* variant=none, reconstruction_weight=100, samples=1: the same networks with noise and a reconstruction loss;
* variant=none, samples=1: GAN only;
* variant=none, reconstruction_weight=1, adversarial_weight=0, samples=1: L1 (or L2) only.

P is G without noise, with twice the channels (``pretext.methods.mr_gan.predictor``). Networks: ``pretext.methods.mr_gan.choose_networks``. Optimisers
as in appendix B.1: Adam with AMSGrad, 1e-4, weight decay 1e-4, gradients clipped by value at 0.5. Differences: D sees
the first of each condition's samples, from the same batch as G, where the paper draws larger batches for D and P;
inputs are not standardised by channel (they lie in [-1, 1]); group normalisation in place of batch normalisation.

Letters in shapes: B batch, K samples, C channels, S side lengths, D number of features.
"""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from pretext.data.batch import Example, Problem
from pretext.losses.adversarial import discriminator_loss, fill_from_target, generator_loss
from pretext.losses.moment_matching import Family, MomentLosses, Moments, find_variant, moment_losses, thin_gradient
from pretext.losses.reconstruction import Loss, sample_error
from pretext.method import MethodDefaults
from pretext.methods.mr_gan.choose_networks import BaseName, Judge, build_generator, choose_base
from pretext.methods.mr_gan.predictor import Predictor
from pretext.networks.latent_generator import repeat
from pretext.numerics import to_full_precision
from pretext.optimisation import OptimisationStep, OptimisationSteps, moving_average, update_moving_average
from pretext.randomness import is_main
from spectral_ssl.ground.config import check_range
from spectral_ssl.ground.errors import UserError

ANSWERS_AT_ONCE = 512


@dataclass(frozen=True, kw_only=True)
class MRGANConfig:
    """Settings of the method.

    Attributes
    ----------
    variant : str
        {gaussian, laplace}-{mr, proxy-mr}{1, 2}, or none for a plain conditional GAN.
    base : {"auto", "unet", "residual", "dilated", "latent"}
        Networks; by itself those of the task.
    samples : int
        K, samples for each condition in training.
    graded_samples : int
        Of the K those whose gradient is computed, K/k times it in place of all; 0 for all. The mean of the gradient is
        the same before clipping, its noise larger, and a step costs little more than K passes forward.
    centre_weight, dispersion_weight : float
        l1 and l2, of the variant's two terms; the second is for proxy-mr2 alone.
    slack : float
        c, added to the errors in the likelihoods, of which dispersions stay above.
    adversarial_weight : float
        w, of the discriminator's judgement in G's loss; 0 leaves D out.
    reconstruction_weight : float
        r, of every sample's own error.
    loss : {"l1", "l2"}
        E: mean absolute or mean squared error.
    average : float
        Decay of the running mean of G's parameters that answers are made with; 0: answers are made with G itself.
    generator_updates : int
        n, steps of G for each of D.
    predictor_steps : int
        Steps of P, before those of G.
    predictor : str
        Folder of a run whose trained P shall be taken over; its data and task must be this run's.
    noise_channels : int
        Channels of noise where it is joined, or dimensions of z (latent).
    skips : bool
        Of latent: whether activations of the encoder are added to those of the generator.
    learning_rate, discriminator_learning_rate : float
        Of Adam for G and P, and for D.
    beta1 : float
        Of all Adams: how much of the mean gradient is remembered.
    weight_decay : float
        Of all Adams.
    clip : float
        Limit of each value of a gradient.
    width : int
        Channels of the first layer of G and P, and after D's first halving.
    code : int
        Of latent: size of the code; for data without extent the width of all layers.
    """

    variant: str = "gaussian-proxy-mr2"
    base: BaseName = "auto"
    samples: int = 10
    graded_samples: int = 0
    centre_weight: float = 10.0
    dispersion_weight: float = 10.0
    slack: float = 0.0
    adversarial_weight: float = 1.0
    reconstruction_weight: float = 0.0
    loss: Loss = "l1"
    average: float = 0.0
    generator_updates: int = 1
    predictor_steps: int = 1000
    predictor: str = ""
    noise_channels: int = 32
    skips: bool = False
    learning_rate: float = 1e-4
    discriminator_learning_rate: float = 1e-4
    beta1: float = 0.5
    weight_decay: float = 1e-4
    clip: float = 0.5
    width: int = 64
    code: int = 512

    def __post_init__(self) -> None:
        variant = None if self.variant == "none" else find_variant(self.variant)
        check_range("method.samples", self.samples, 1, 1000)
        if self.graded_samples > self.samples:
            got = f"method.graded_samples = {self.graded_samples}, method.samples = {self.samples}"
            raise UserError("a gradient of more samples than there are", got, "set method.graded_samples=0 for all")
        check_range("method.graded_samples", self.graded_samples, 0, self.samples)
        if variant is not None and variant.moments == 2 and self.samples < 2:
            what_to_do = f"set method.samples to 10, or take {self.variant.replace('mr2', 'mr1')}"
            raise UserError("one sample has no second moment", f"method.samples = 1 with {self.variant}", what_to_do)
        check_range("method.centre_weight", self.centre_weight, 0.0, 1e6)
        check_range("method.dispersion_weight", self.dispersion_weight, 0.0, 1e6)
        check_range("method.slack", self.slack, 0.0, 1e3)
        check_range("method.adversarial_weight", self.adversarial_weight, 0.0, 1e6)
        check_range("method.reconstruction_weight", self.reconstruction_weight, 0.0, 1e6)
        if variant is None and not self.adversarial_weight and not self.reconstruction_weight:
            raise UserError("nothing to minimise", "variant = none and no weights", "set method.reconstruction_weight")
        check_range("method.average", self.average, 0.0, 0.999999)
        check_range("method.generator_updates", self.generator_updates, 1, 1000)
        check_range("method.predictor_steps", self.predictor_steps, 1, 1_000_000_000)
        check_range("method.noise_channels", self.noise_channels, 1, 4096)
        check_range("method.learning_rate", self.learning_rate, 0.0, 10.0)
        check_range("method.discriminator_learning_rate", self.discriminator_learning_rate, 0.0, 10.0)
        check_range("method.beta1", self.beta1, 0.0, 0.9999)
        check_range("method.weight_decay", self.weight_decay, 0.0, 10.0)
        check_range("method.clip", self.clip, 1e-9, 1e9)
        check_range("method.width", self.width, 1, 4096)
        check_range("method.code", self.code, 1, 65536)


class MRGAN(MethodDefaults, nn.Module):
    """G, D and P with their optimisers.

    Parameters
    ----------
    config : MRGANConfig
        Settings.
    problem : Problem
        Shapes of the conditions and of the answers.

    Raises
    ------
    UserError
        When pictures are too small for the networks.
    """

    steps_done: Tensor
    judgement: Tensor

    def __init__(self, config: MRGANConfig, problem: Problem) -> None:
        super().__init__()
        self.config = config
        self.problem = problem
        self.variant = None if config.variant == "none" else find_variant(config.variant)
        self.base = base = choose_base(config.base, problem)
        build = partial(build_generator, base, problem, width=config.width, code=config.code, skips=config.skips)
        channels = problem.target[0]
        self.generator = build(channels, noise=config.noise_channels)
        self.averaged = moving_average(self.generator, config.average)  # not in the paper
        self.discriminator = Judge(base, problem, config.width, config.code)
        self.register_buffer("steps_done", torch.zeros((), dtype=torch.int64))  # of G
        self.register_buffer("judgement", torch.zeros((), dtype=torch.float64))  # D's last loss
        self.optimizers: dict[str, torch.optim.Optimizer] = {
            "main": self._adam(self.generator, config.learning_rate),
            "discriminator": self._adam(self.discriminator, config.discriminator_learning_rate),
        }
        self.predictor: Predictor | None = None
        if self.variant is not None and self.variant.proxy:
            self.predictor = Predictor(
                partial(build, 2 * channels, noise=0),
                self.variant.family,
                problem.bounded,
                config.predictor_steps,
            )
            self.optimizers["predictor"] = self._adam(self.predictor.network, config.learning_rate)

    def _adam(self, network: nn.Module, rate: float) -> torch.optim.Optimizer:
        betas, decay = (self.config.beta1, 0.999), self.config.weight_decay
        return torch.optim.Adam(
            network.parameters(), lr=rate, betas=betas, weight_decay=decay, amsgrad=True, fused=True
        )

    def optimisation_steps(self, example: Example, generator: torch.Generator) -> OptimisationSteps:
        """Step P as long as it is its turn; then G, and D every n-th time.

        Parameters
        ----------
        example : Example
            Conditions, targets and weights, each (B, C, S, S).
        generator : torch.Generator
            Draws the noise.

        Returns
        -------
        dict of str to float
            ``loss`` (G's without the adversary, or P's likelihood in its steps), ``centre`` and ``dispersion`` (M1 and
            M2), ``error`` (E), ``adversarial`` (G's other term), ``discriminator`` (D's, of its last step), and
            ``predictor`` (P's likelihood); what plays no part in a step is 0.
        """
        names = ("loss", "centre", "dispersion", "error", "adversarial", "discriminator", "predictor")
        found = dict.fromkeys(names, 0.0)
        if self.predictor is not None and not bool(self.predictor.finished):
            optimizer = self.optimizers["predictor"]
            config, counts = self.config, is_main(generator)
            likelihood = yield from self.predictor.optimisation_steps(
                example, optimizer, config.slack, config.clip, counts
            )
            return found | {"loss": likelihood, "predictor": likelihood}
        config = self.config
        graded = config.graded_samples or config.samples  # k
        own = self._samples(self.generator, example.condition, graded, generator)  # (B, k, C, S, S)
        samples = own  # (B, K, C, S, S)
        if graded < config.samples:
            with torch.no_grad():
                rest = self._samples(self.generator, example.condition, config.samples - graded, generator)
            samples = thin_gradient(own, rest)
        if config.adversarial_weight and int(self.steps_done) % config.generator_updates == 0:
            loss = self._judge(example, samples[:, 0].detach())
            self.judgement.fill_((yield OptimisationStep(self.optimizers["discriminator"], loss, clip=config.clip)))
        many, flat = Example(*(repeat(part, config.samples) for part in example)), samples.flatten(0, 1)
        error = sample_error(flat, many, config.loss, self.problem).mean()
        centre, dispersion = self._moment_losses(example, samples)
        loss = config.centre_weight * centre + config.dispersion_weight * dispersion
        loss = loss + config.reconstruction_weight * error
        total = loss
        if config.adversarial_weight:
            self.discriminator.requires_grad_(False)  # it only hands gradients on to G
            flat, many = own.flatten(0, 1), Example(*(repeat(part, graded) for part in example))
            adversarial = generator_loss(self.discriminator(fill_from_target(flat, many), many))
            total = loss + config.adversarial_weight * adversarial
            found["adversarial"] = adversarial.item()
        yield OptimisationStep(self.optimizers["main"], total, clip=config.clip)
        update_moving_average(self.averaged, self.generator, generator)
        self.discriminator.requires_grad_(True)
        if is_main(generator):
            self.steps_done += 1
        parts = {"loss": loss, "centre": centre, "dispersion": dispersion, "error": error}
        found |= {name: part.item() for name, part in parts.items()}
        return found | {"discriminator": float(self.judgement)}

    def _moment_losses(self, example: Example, samples: Tensor) -> MomentLosses:
        """The variant's terms on samples (B, K, C, S, S); 0 where there is no variant."""
        if self.variant is None:
            return MomentLosses(samples.new_zeros(()), samples.new_zeros(()))
        predicted = None if self.predictor is None else self.predictor.moments(example.condition)
        return moment_losses(
            self.variant,
            samples,
            example.weight,
            target=example.target,
            predicted=predicted,
            slack=self.config.slack,
        )

    def _judge(self, example: Example, answers: Tensor) -> Tensor:
        """D's loss on targets and on one answer (B, C, S, S) to each."""
        real = self.discriminator(example.target, example)
        return discriminator_loss(real, self.discriminator(fill_from_target(answers, example), example))

    def _samples(self, network: nn.Module, condition: Tensor, samples: int, generator: torch.Generator) -> Tensor:
        """K answers (B, K, C, S, S) of G, or of its mean, to each condition (B, C, S, S)."""
        answers: Tensor = network(condition, samples, generator)
        answers = to_full_precision(answers)  # moments of few samples need all digits, whatever the layers computed in
        return torch.tanh(answers) if self.problem.bounded else answers

    def _feature_network(self) -> nn.Module:
        """Return G: its features and activations are those before the first noise; the U-Net's innermost activation."""
        return self.generator

    def _sample_completions(self, condition: Tensor, modes: int, generator: torch.Generator) -> Tensor:
        """Answers (B, K, C, S, S) to conditions (B, C, S, S), each from noise of its own."""
        rows = condition.split(max(1, ANSWERS_AT_ONCE // modes))  # so that memory does not grow with their number
        network = self.averaged or self.generator
        return torch.cat([self._samples(network, part, modes, generator) for part in rows])

    @property
    def moment_family(self) -> Family:
        """The family of the variant's moments; without a variant means and variances are reported."""
        return self.variant.family if self.variant is not None else "gaussian"

    @property
    def reusable_predictor(self) -> Predictor | None:
        """P, which a later run on the same data and task may reuse."""
        return self.predictor

    def predicted_moments(self, condition: Tensor) -> Moments | None:
        """P's centre and dispersion (B, C, S, S) for conditions (B, C, S, S); None for variants without P."""
        return None if self.predictor is None else self.predictor.moments(condition)
