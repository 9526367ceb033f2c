"""The latent-space-conditioned GAN (Durall et al., VISAPP 2021) and its baselines.

This GAN is conditioned on features instead of labels. The code f = E(x) of an image x comes from a
frozen network E, which is not part of the method (``pretext.tasks.codes.from_code``). The
discriminator D never sees f. It sees pairs of images, and learns from neighbours in the space of
codes which two belong together. z ~ N(0, 1) is the noise of the generator G::

    adv  = log(1 - D([x, G(z, f)]))
    same = log D([x, nearest(x)])
    diff = log(1 - D([x, farthest(x)]))

    step G                 (algorithm 2: G's loss is adv)
    every n-th time: step D up on  a adv + s same + d diff

``pretext.losses.triple_coupled`` has D's loss. Settings of the task choose whether neighbours are
mined over the training split, or in the batch as printed. G's loss is the non-saturating
-log D([x, G(z, f)]) or, as printed, log(1 - D). D sees the sample that G made before its step, so
each sample is computed once.

The paper does not give the weights, n, z, the form of a pair, or learning rates. Here the two
images of a pair are concatenated along the channels. The rest is SNGAN's setting C: Adam 2e-4 with
beta (0.5, 0.999), one step of D for each step of G.

The setting ``conditioning`` selects the baselines:

* ``none`` is SNGAN. D sees single images and G noise alone. The task has ``features=none``.
* ``code`` is the paper's "standard approach". D sees single images and gets the code, as a
  conditional GAN gets the label. With ``features=labels`` it is a conditional GAN.

Four options are not in the paper. ``average`` makes samples with a moving average of G's
parameters (Karras et al., ICLR 2018, appendix A), which is steadier after a short training.
``reconstruction_weight`` adds the mean absolute difference between G(z, f) and x to G's loss, as in
pix2pix; it makes the samples of a code more alike. ``modulated`` gives noise and code to all stages
of G. ``code_weight`` adds the mean absolute difference between E(G(z, f)) and f to G's loss, both
standardised. It wants the content of the code and leaves everything else to the noise.

Letters in shapes: B batch, C channels, S side lengths, F and s channels and side lengths of D's
layers, D values of a code, K modes, Z dimensions of the noise.
"""

from collections.abc import Generator

import torch
from torch import Tensor, nn

from pretext.data.batch import Example, Problem
from pretext.losses.adversarial import generator_loss, real_fake_cross_entropy
from pretext.losses.reconstruction import sample_error
from pretext.losses.triple_coupled import triple_coupled_loss
from pretext.method import MethodDefaults
from pretext.methods.lsc_gan.config import LSCGANConfig
from pretext.methods.lsc_gan.networks import CodeGenerator, SpectralDiscriminator
from pretext.neighbours.exact import find_batch_neighbours
from pretext.numerics import to_full_precision
from pretext.optimisation import Gather, OptimisationStep, OptimisationSteps, moving_average, update_moving_average
from pretext.randomness import Share, count_batch_rows, randn
from spectral_ssl.ground.errors import UserError

SAMPLES_AT_ONCE = 512
SMALLEST_DEVIATION = 1e-6  # of a code's values, relative to the largest value
LOSS_NAMES = ("loss", "discriminator", "adversarial", "same", "different")


class LSCGAN(MethodDefaults, nn.Module):
    """The networks G and D with their optimisers.

    Parameters
    ----------
    config : LSCGANConfig
        The settings of the method.
    problem : Problem
        The shapes of codes and maps, as the task from-code describes them.

    Raises
    ------
    UserError
        If the condition is no code, or if the conditioning needs codes and there are none.
    """

    needs_whole_batches = True  # each forward pass of a part would update the spectral normalisation
    steps_done: Tensor
    code_mean: Tensor
    code_deviation: Tensor

    def __init__(self, config: LSCGANConfig, problem: Problem) -> None:
        super().__init__()
        _check_problem(config, problem)
        self.config, self.problem = config, problem
        self.sees_pairs = config.conditioning == "couples"
        networks, optimisation = config.networks, config.optimisation
        code = problem.condition[0] if config.conditioning != "none" else 0
        channels, height, width = problem.target
        valid = problem.standardise.valid if problem.standardise is not None else None
        self.generator = CodeGenerator(
            problem.target, networks.width, networks.latent, code, problem.bounded, valid, networks.modulated
        )
        discriminator_channels = 2 * channels if self.sees_pairs else channels
        discriminator_code = code if config.conditioning == "code" else 0
        self.discriminator = SpectralDiscriminator(
            (discriminator_channels, height, width), networks.width, discriminator_code
        )
        for parameter in self.parameters():
            if parameter.dim() == 4:  # a step takes a quarter less time in this memory format
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
        self.averaged = moving_average(self.generator, optimisation.average)
        self.register_buffer("steps_done", torch.zeros((), dtype=torch.int64))  # number of steps of G
        self.register_buffer("code_mean", torch.zeros(code))
        self.register_buffer("code_deviation", torch.ones(code))
        self.optimizers: dict[str, torch.optim.Optimizer] = {
            "main": self._adam(self.generator, optimisation.learning_rate),
            "discriminator": self._adam(self.discriminator, optimisation.discriminator_learning_rate),
        }

    def _adam(self, network: nn.Module, rate: float) -> torch.optim.Optimizer:
        betas = (self.config.optimisation.beta1, self.config.optimisation.beta2)
        return torch.optim.Adam(network.parameters(), lr=rate, betas=betas, fused=True)

    def learn_code_statistics(self, codes: Tensor) -> None:
        """Compute mean and deviation of the training split's codes (N, D); constant values become 0."""
        if len(self.code_mean):
            deviation = codes.std(dim=0, correction=0)
            self.code_mean.copy_(codes.mean(dim=0))
            constant = deviation <= SMALLEST_DEVIATION * codes.abs().max()
            self.code_deviation.copy_(torch.where(constant, torch.inf, deviation).clamp(max=1e30))

    @property
    def needs_extractor(self) -> bool:
        """Whether G's loss reads the codes of samples."""
        return self.config.losses.code_weight > 0

    def _code(self, condition: Tensor) -> Tensor:
        """Standardise the codes of conditions (B, D, 1, 1); return (B, D), or (B, 0) without conditioning."""
        if not len(self.code_mean):
            return condition.new_zeros(len(condition), 0)
        return (condition.flatten(1) - self.code_mean) / self.code_deviation

    def optimisation_steps(self, example: Example, generator: torch.Generator) -> OptimisationSteps:
        """Step G once on a batch, and D every n-th time.

        Parameters
        ----------
        example : Example
            Codes (B, D, 1, 1) and maps (B, C, S, S). Those of the neighbours follow, if the task
            finds them.
        generator : torch.Generator
            The source of z.

        Returns
        -------
        dict of str to float
            ``loss`` (G's), ``discriminator`` (D's weighted sum, 0 in steps without D), and D's mean
            output in [0, 1] for each kind of pair: ``adversarial``, ``same``, ``different``. For
            single images ``same`` is D's output for real ones, and ``different`` is 0. With a
            reconstruction loss there is ``error``, with a loss on codes ``code_error``. A batch
            of one sample has no neighbours and trains nothing.
        """
        settings = self.config.losses
        extra = {"error": settings.reconstruction_weight, "code_error": settings.code_weight}
        losses = dict.fromkeys([*LOSS_NAMES, *(name for name, weight in extra.items() if weight)], 0.0)
        batch = len(example.condition) // (1 + len(self.problem.followers))
        if count_batch_rows(batch, generator) < 2:
            return losses
        condition, real = example.condition[:batch], example.target[:batch]
        code = self._code(condition)
        fake = self.generator(self._noise(batch, generator), code)

        self.discriminator.requires_grad_(False)  # D only passes gradients on to G
        logits = self._discriminate(real, fake, code)
        loss = generator_loss(logits, settings.generator_loss)
        if settings.reconstruction_weight:
            without_neighbours = Example(*(part[:batch] for part in (example.condition, real, example.weight)))
            error = sample_error(fake, without_neighbours).mean()
            loss = loss + settings.reconstruction_weight * error
            losses["error"] = error.item()
        if settings.code_weight:
            code_error = self._compute_code_error(fake, code)
            loss = loss + settings.code_weight * code_error
            losses["code_error"] = code_error.item()
        yield OptimisationStep(self.optimizers["main"], loss)
        update_moving_average(self.averaged, self.generator, generator)
        self.discriminator.requires_grad_(True)

        losses |= {"loss": loss.item(), "adversarial": logits.detach().sigmoid().mean().item()}
        if int(self.steps_done) % self.config.optimisation.generator_updates == 0:
            losses |= yield from self._train_discriminator(example, real, fake.detach(), code, generator)
        self.steps_done += 1
        return losses

    def _compute_code_error(self, fake: Tensor, code: Tensor) -> Tensor:
        """Compute the mean absolute difference of the standardised codes of samples (B, C, S, S) from codes (B, D)."""
        if self.extractor is None:
            raise RuntimeError("a loss on codes without the network that computes them")
        return (self._code(to_full_precision(self.extractor(fake))) - code).abs().mean()

    def _noise(self, count: int, generator: torch.Generator) -> Tensor:
        return randn(count, self.config.networks.latent, generator=generator)

    def _discriminate(self, real: Tensor, other: Tensor, code: Tensor) -> Tensor:
        """Compute D's logits (B,) of pairs of real and other maps, both (B, C, S, S), or of the others alone."""
        if self.sees_pairs:
            other = torch.cat([real, other], dim=1)
        logits: Tensor = self.discriminator(other, code)
        return to_full_precision(logits)

    def _train_discriminator(
        self, example: Example, real: Tensor, fake: Tensor, code: Tensor, generator: torch.Generator
    ) -> OptimisationSteps:
        """Step D, and return its loss and its mean outputs."""
        if not self.sees_pairs:
            true, false = self._discriminate(real, torch.cat([real, fake]), code.repeat(2, 1)).chunk(2)
            loss = real_fake_cross_entropy(true, false)
            yield OptimisationStep(self.optimizers["discriminator"], loss)
            return {"discriminator": loss.item(), "same": true.detach().sigmoid().mean().item()}
        near, far = yield from self._neighbours(example, generator)
        others = torch.cat([near, far, fake])
        same, different, adversarial = self._discriminate(real.repeat(3, 1, 1, 1), others, code).chunk(3)
        loss = triple_coupled_loss(
            adversarial,
            same,
            different,
            adversarial_weight=self.config.losses.adversarial_weight,
            same_weight=self.config.losses.same_weight,
            different_weight=self.config.losses.different_weight,
        )
        yield OptimisationStep(self.optimizers["discriminator"], loss)
        return {"discriminator": loss.item()} | {
            name: logits.detach().sigmoid().mean().item()
            for name, logits in {"same": same, "different": different}.items()
        }

    def _neighbours(
        self, example: Example, generator: torch.Generator
    ) -> Generator[Gather, tuple[Tensor, ...], tuple[Tensor, Tensor]]:
        """Return the neighbours as ``neighbours`` does, found in the whole batch of all processes."""
        if len(self.problem.followers) == 2:
            return self.neighbours(example)
        samples = len(example.condition) // (1 + len(self.problem.followers))
        share: Share = getattr(generator, "share", None) or Share(0, samples, samples)
        codes, maps = yield Gather((example.condition[:samples].flatten(1), example.target[:samples]))
        return self.neighbours(example, (codes, maps), share.slice)

    def neighbours(
        self, example: Example, batch: tuple[Tensor, Tensor] | None = None, rows: slice = slice(None)
    ) -> tuple[Tensor, Tensor]:
        """Return the maps of each sample's nearest and farthest neighbour.

        Parameters
        ----------
        example : Example
            Codes and maps of the samples, followed by the neighbours that the task has found.
        batch : tuple of Tensor, optional
            Codes (N, D) and maps (N, C, S, S) in which the other neighbours are looked for; those
            of the example by default.
        rows : slice
            The rows of ``batch`` that the example holds.

        Returns
        -------
        near, far : Tensor, shape (B, C, S, S)
            The neighbours' maps.
        """
        samples, *following = example.target.chunk(1 + len(self.problem.followers))
        neighbours = dict(zip(self.problem.followers, following, strict=True))
        if len(neighbours) < 2:
            codes, maps = batch or (example.condition[: len(samples)].flatten(1), samples)
            near, far = find_batch_neighbours(codes, self.problem.metric)
            neighbours = {"nearest": maps[near[rows]], "farthest": maps[far[rows]]} | neighbours
        return neighbours["nearest"], neighbours["farthest"]

    def features(self, condition: Tensor) -> Tensor:
        """Compute D's last activations (B, F s s), which require a gradient."""
        *_, last = self._activations(condition).values()
        return last.flatten(1)

    def _activations(self, condition: Tensor) -> dict[str, Tensor]:
        """Compute D's activations (B, F, s, s) by name; each map (B, C, S, S) is paired with itself."""
        inputs = condition.repeat(1, 2, 1, 1) if self.sees_pairs else condition
        self.discriminator.eval()  # in training mode each pass would update the spectral normalisation
        activations = self.discriminator.activations(inputs)
        self.discriminator.train()
        return activations

    def _sample_completions(self, condition: Tensor, modes: int, generator: torch.Generator) -> Tensor:
        """Draw samples (B, K, C, S, S) for codes (B, D, 1, 1), each from its own noise."""
        parts, generate = [], self.averaged or self.generator
        for rows in condition.split(max(1, SAMPLES_AT_ONCE // modes)):  # a bound on memory
            code = self._code(rows).repeat_interleave(modes, dim=0)
            parts.append(generate(self._noise(len(code), generator), code).unflatten(0, (len(rows), modes)))
        return torch.cat(parts)


def _check_problem(config: LSCGANConfig, problem: Problem) -> None:
    """Raise a UserError unless the conditions are codes, if the settings need any."""
    if problem.condition[1:] != (1, 1) or problem.target[1:] == (1, 1):
        got = f"conditions {problem.condition}, targets {problem.target}"
        raise UserError("lsc-gan makes images from codes", got, "take the task from-code")
    if config.conditioning == "none" and (config.losses.reconstruction_weight or config.losses.code_weight):
        got, what_to_do = "method.conditioning = none", "set method.reconstruction_weight=0 and method.code_weight=0"
        raise UserError("without codes there is nothing to reconstruct", got, what_to_do)
    if config.conditioning != "none" and not problem.coded:
        what_to_do = "give --features RUN_OR_FILE, or set method.conditioning=none for a plain SNGAN"
        raise UserError("no codes to condition on", f"method.conditioning = {config.conditioning}", what_to_do)
