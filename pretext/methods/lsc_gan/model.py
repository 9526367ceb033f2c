"""The latent-space-conditioned GAN (Durall et al., VISAPP 2021), and the baselines it is compared with.

A GAN conditioned on features in place of labels. E is frozen and not here: the condition is f = E(x) already
(``pretext.tasks.codes.from_code``). D never sees f. It judges couples of images and learns from neighbours in the space of f
which two belong together::

    adv  = log(1 - D([x, G(z, f)]))         f is the code of x, z ~ N(0, 1)
    same = log D([x, nearest(x)])
    diff = log(1 - D([x, farthest(x)]))

    step G                 (algorithm 2: G's loss is adv)
    every n-th time: step D up on  a adv + s same + d diff

Neighbours are mined over the training split, or in the batch as printed (settings of the task). The printed algorithm
has a plus before both gradients; here only D ascends. G's loss is the non-saturating -log D([x, G(z, f)]) or, as
printed, log(1 - D). D judges the sample that G made before its step, so that it is made once. The paper says nothing of
the weights, n, z, how a couple enters D (here: side by side in channels), nor of rates; what stands here are SNGAN's
(``pretext.methods.lsc_gan.networks``), Adam 2e-4 with beta (0.5, 0.999), its setting C, with one step of D for each of G.

Baselines are settings of ``conditioning``:

* ``none``: SNGAN. D sees single images, G noise alone; the task's ``features=none``.
* ``code``: what the paper calls the standard approach. D sees single images and is told the code, as a conditional GAN
  is told the label. With ``features=labels`` it is one.

Not in the paper, and off by default: ``average``, answers by a running mean of G's parameters (Karras et al., ICLR
2018, appendix A), steadier than G after a short training; ``reconstruction_weight``, G's loss gets the mean absolute
difference between G(z, f) and x, as pix2pix has it, which makes the samples of one code more alike; ``modulated``,
noise and code reach all stages of G.

Letters in shapes: B batch, C channels, S side lengths, D values of a code, K modes, Z dimensions of the noise.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from pretext.data.batch import Example, Problem
from pretext.losses.adversarial import generator_loss, real_fake_cross_entropy
from pretext.losses.reconstruction import sample_error
from pretext.losses.triple_coupled import triple_coupled_loss
from pretext.method import MethodDefaults
from pretext.methods.lsc_gan.networks import CodeGenerator, SpectralDiscriminator
from pretext.neighbours.exact import find_batch_neighbours
from pretext.numerics import to_full_precision
from pretext.optimisation import Gather, OptimisationStep, OptimisationSteps, moving_average, update_moving_average
from pretext.randomness import Share, count_batch_rows, randn
from spectral_ssl.ground.config import check_range
from spectral_ssl.ground.errors import UserError

ANSWERS_AT_ONCE = 512
SMALLEST_DEVIATION = 1e-6  # of a code's values, relative to the largest


@dataclass(frozen=True, kw_only=True)
class LSCGANConfig:
    """Settings of the method.

    Attributes
    ----------
    conditioning : {"couples", "code", "none"}
        What ties answers to codes: couples of images, D being told the code, or nothing.
    adversarial_weight, same_weight, different_weight : float
        a, s and d, of D's losses; couples only.
    reconstruction_weight : float
        Of the mean absolute difference between a sample and that whose code it was made from; 0: none.
    average : float
        Decay of the running mean of G's parameters that answers are made with; 0: answers are made with G itself.
    modulated : bool
        Whether noise and code also scale and shift G's channels after each normalisation.
    generator_loss : {"non-saturating", "minimax"}
        -log D or log(1 - D).
    generator_updates : int
        n, steps of G for each of D.
    latent : int
        Z, dimensions of the noise.
    width : int
        Channels of G and D at full side.
    learning_rate, discriminator_learning_rate : float
        Of Adam for G, and for D.
    beta1, beta2 : float
        Of both Adams.
    """

    conditioning: Literal["couples", "code", "none"] = "couples"
    adversarial_weight: float = 1.0
    same_weight: float = 1.0
    different_weight: float = 1.0
    reconstruction_weight: float = 0.0
    average: float = 0.0
    modulated: bool = False
    generator_loss: Literal["non-saturating", "minimax"] = "non-saturating"
    generator_updates: int = 1
    latent: int = 128
    width: int = 64
    learning_rate: float = 2e-4
    discriminator_learning_rate: float = 2e-4
    beta1: float = 0.5
    beta2: float = 0.999

    def __post_init__(self) -> None:
        check_range("method.adversarial_weight", self.adversarial_weight, 0.0, 1e6)
        check_range("method.same_weight", self.same_weight, 0.0, 1e6)
        check_range("method.different_weight", self.different_weight, 0.0, 1e6)
        check_range("method.reconstruction_weight", self.reconstruction_weight, 0.0, 1e6)
        check_range("method.average", self.average, 0.0, 0.999999)
        check_range("method.generator_updates", self.generator_updates, 1, 1000)
        check_range("method.latent", self.latent, 1, 4096)
        check_range("method.width", self.width, 1, 4096)
        check_range("method.learning_rate", self.learning_rate, 0.0, 10.0)
        check_range("method.discriminator_learning_rate", self.discriminator_learning_rate, 0.0, 10.0)
        check_range("method.beta1", self.beta1, 0.0, 0.9999)
        check_range("method.beta2", self.beta2, 0.0, 0.999999)


class LSCGAN(MethodDefaults, nn.Module):
    """G and D with their optimisers.

    Parameters
    ----------
    config : LSCGANConfig
        Settings.
    problem : Problem
        Of the task from-code.

    Raises
    ------
    UserError
        When the condition is no code, or there is none where one is needed.
    """

    needs_whole_batches = True  # spectral normalisation moves on with each part
    steps_done: Tensor
    code_mean: Tensor
    code_deviation: Tensor

    def __init__(self, config: LSCGANConfig, problem: Problem) -> None:
        super().__init__()
        if problem.condition[1:] != (1, 1) or problem.target[1:] == (1, 1):
            got = f"conditions {problem.condition}, targets {problem.target}"
            raise UserError("lsc-gan makes pictures from codes", got, "take the task from-code")
        if config.conditioning == "none" and config.reconstruction_weight:
            got, what_to_do = "method.conditioning = none", "set method.reconstruction_weight=0"
            raise UserError("without codes there is nothing to reconstruct", got, what_to_do)
        if config.conditioning != "none" and not problem.coded:
            what_to_do = "give --features RUN_OR_FILE, or set method.conditioning=none for a plain SNGAN"
            raise UserError("no codes to condition on", f"method.conditioning = {config.conditioning}", what_to_do)
        self.config, self.problem = config, problem
        code = problem.condition[0] if config.conditioning != "none" else 0
        channels, *side = problem.target
        seen = 2 * channels if config.conditioning == "couples" else channels
        valid = problem.standardise.valid if problem.standardise is not None else None
        self.generator = CodeGenerator(
            problem.target, config.width, config.latent, code, problem.bounded, valid, config.modulated
        )
        told = code if config.conditioning == "code" else 0
        self.discriminator = SpectralDiscriminator((seen, side[0], side[1]), config.width, told)
        for parameter in self.parameters():
            if parameter.dim() == 4:  # with channels side by side in memory a step takes a quarter less time
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
        self.averaged = moving_average(self.generator, config.average)
        self.register_buffer("steps_done", torch.zeros((), dtype=torch.int64))  # of G
        self.register_buffer("code_mean", torch.zeros(code))
        self.register_buffer("code_deviation", torch.ones(code))
        self.optimizers: dict[str, torch.optim.Optimizer] = {
            "main": self._adam(self.generator, config.learning_rate),
            "discriminator": self._adam(self.discriminator, config.discriminator_learning_rate),
        }

    def _adam(self, network: nn.Module, rate: float) -> torch.optim.Optimizer:
        betas = (self.config.beta1, self.config.beta2)
        return torch.optim.Adam(network.parameters(), lr=rate, betas=betas, fused=True)

    def learn_code_statistics(self, codes: Tensor) -> None:
        """Learn mean and deviation of the training split's codes (N, D); a constant value counts for nothing."""
        if len(self.code_mean):
            deviation = codes.std(dim=0, correction=0)
            self.code_mean.copy_(codes.mean(dim=0))
            constant = deviation <= SMALLEST_DEVIATION * codes.abs().max()
            self.code_deviation.copy_(torch.where(constant, torch.inf, deviation).clamp(max=1e30))

    def _code(self, condition: Tensor) -> Tensor:
        """Standardised codes (B, D) of conditions (B, D, 1, 1); (B, 0) without conditioning."""
        if not len(self.code_mean):
            return condition.new_zeros(len(condition), 0)
        return (condition.flatten(1) - self.code_mean) / self.code_deviation

    def optimisation_steps(self, example: Example, generator: torch.Generator) -> OptimisationSteps:
        """Step G, and D every n-th time, once on a batch.

        Parameters
        ----------
        example : Example
            Codes (B, D, 1, 1) and maps (B, C, S, S), followed by those of the neighbours, if the task looks for them.
        generator : torch.Generator
            Draws z.

        Returns
        -------
        dict of str to float
            ``loss`` (G's), ``discriminator`` (D's weighted sum, 0 in steps without), and the mean judgement of each
            kind of couple, D in [0, 1]: ``adversarial``, ``same``, ``different`` (single images without couples: same
            is real, different 0), and ``error`` where there is a reconstruction loss. A batch of one sample has no
            neighbours: nothing is learnt from it.
        """
        names = ["loss", "discriminator", "adversarial", "same", "different"]
        found = dict.fromkeys([*names, "error"] if self.config.reconstruction_weight else names, 0.0)
        batch = len(example.condition) // (1 + len(self.problem.followers))
        if count_batch_rows(batch, generator) < 2:
            return found
        condition, real = example.condition[:batch], example.target[:batch]
        code = self._code(condition)
        fake = self.generator(self._noise(batch, generator), code)

        self.discriminator.requires_grad_(False)  # it only hands gradients on to G
        judged = self._judge(real, fake, code)
        loss = generator_loss(judged, self.config.generator_loss)
        if self.config.reconstruction_weight:
            own = Example(*(part[:batch] for part in (example.condition, real, example.weight)))
            error = sample_error(fake, own).mean()
            loss = loss + self.config.reconstruction_weight * error
            found["error"] = error.item()
        yield OptimisationStep(self.optimizers["main"], loss)
        update_moving_average(self.averaged, self.generator, generator)
        self.discriminator.requires_grad_(True)

        found |= {"loss": loss.item(), "adversarial": judged.detach().sigmoid().mean().item()}
        if int(self.steps_done) % self.config.generator_updates == 0:
            found |= yield from self._train_discriminator(example, real, fake.detach(), code, generator)
        self.steps_done += 1
        return found

    def _noise(self, count: int, generator: torch.Generator) -> Tensor:
        return randn(count, self.config.latent, generator=generator)

    def _judge(self, real: Tensor, other: Tensor, code: Tensor) -> Tensor:
        """Logits (B,) of couples of real maps and others, both (B, C, S, S), or of the others alone."""
        if self.config.conditioning == "couples":
            other = torch.cat([real, other], dim=1)
        logits: Tensor = self.discriminator(other, code)
        return to_full_precision(logits)

    def _train_discriminator(
        self, example: Example, real: Tensor, fake: Tensor, code: Tensor, generator: torch.Generator
    ) -> OptimisationSteps:
        """Step D; give its loss and its judgements."""
        config = self.config
        if config.conditioning != "couples":
            true, false = self._judge(real, torch.cat([real, fake]), code.repeat(2, 1)).chunk(2)
            loss = real_fake_cross_entropy(true, false)
            yield OptimisationStep(self.optimizers["discriminator"], loss)
            return {"discriminator": loss.item(), "same": true.detach().sigmoid().mean().item()}
        near, far = yield from self._neighbours(example, generator)
        same, different, adversarial = self._judge(real.repeat(3, 1, 1, 1), torch.cat([near, far, fake]), code).chunk(3)
        loss = triple_coupled_loss(
            adversarial,
            same,
            different,
            adversarial_weight=config.adversarial_weight,
            same_weight=config.same_weight,
            different_weight=config.different_weight,
        )
        yield OptimisationStep(self.optimizers["discriminator"], loss)
        judgements = {"same": same, "different": different}
        return {"discriminator": loss.item()} | {
            name: logits.detach().sigmoid().mean().item() for name, logits in judgements.items()
        }

    def _neighbours(
        self, example: Example, generator: torch.Generator
    ) -> Generator[Gather, tuple[Tensor, ...], tuple[Tensor, Tensor]]:
        """Maps of the nearest and of the farthest neighbours, both (B, C, S, S): those that follow, or of the batch."""
        if len(self.problem.followers) == 2:
            return self.neighbours(example)
        samples = len(example.condition) // (1 + len(self.problem.followers))
        share: Share = getattr(generator, "share", None) or Share(0, samples, samples)
        # mined among all, wherever they are
        codes, maps = yield Gather((example.condition[:samples].flatten(1), example.target[:samples]))
        return self.neighbours(example, (codes, maps), share.slice)

    def neighbours(
        self, example: Example, batch: tuple[Tensor, Tensor] | None = None, rows: slice = slice(None)
    ) -> tuple[Tensor, Tensor]:
        """Maps of the nearest and of the farthest neighbours, both (B, C, S, S): those that follow, or of the batch.

        ``batch`` are codes (N, D) and maps (N, C, S, S) of the whole of it, where the example is the given rows of it.
        """
        samples, *following = example.target.chunk(1 + len(self.problem.followers))
        given = dict(zip(self.problem.followers, following, strict=True))
        if len(given) < 2:
            codes, maps = batch or (example.condition[: len(samples)].flatten(1), samples)
            near, far = find_batch_neighbours(codes, self.problem.metric)
            given = {"nearest": maps[near[rows]], "farthest": maps[far[rows]]} | given
        return given["nearest"], given["farthest"]

    def features(self, condition: Tensor) -> Tensor:
        """What ``encode`` gives, with a gradient."""
        *_, last = self._activations(condition).values()
        return last.flatten(1)

    def _activations(self, condition: Tensor) -> dict[str, Tensor]:
        """D's activations (B, F, s, s) by name, of maps (B, C, S, S) each coupled with itself."""
        couples = condition.repeat(1, 2, 1, 1) if self.config.conditioning == "couples" else condition
        self.discriminator.eval()  # in training mode each look would move its spectral normalisation on
        found = self.discriminator.activations(couples)
        self.discriminator.train()
        return found

    def _sample_completions(self, condition: Tensor, modes: int, generator: torch.Generator) -> Tensor:
        """Samples (B, K, C, S, S) for codes (B, D, 1, 1), each from noise of its own."""
        parts, generate = [], self.averaged or self.generator
        for rows in condition.split(max(1, ANSWERS_AT_ONCE // modes)):  # so that memory does not grow with their number
            code = self._code(rows).repeat_interleave(modes, dim=0)
            parts.append(generate(self._noise(len(code), generator), code).unflatten(0, (len(rows), modes)))
        return torch.cat(parts)
