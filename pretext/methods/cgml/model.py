"""cGML: conditional generation by learning how the latent moves (Ramasinghe et al., ICLR 2021).

One condition x may have several valid answers y. The bottleneck h = H(x) and a latent z give an answer G(h, z); which
answer it is depends on z alone. In training, y is known and z is moved down the gradient of the error; the network Z
watches these moves. At inference y is unknown and z moves as Z has learnt. There is no adversary.

Training, one batch (poster's Algorithm 1; order of the last step as in the poster's code)::

    h = H(x);  z_0 ~ U(unit ball);  m = 0
    for t = 0 .. M-1:                                  # H and G frozen
        g       = grad_z  sum over samples of E(z_t),  E(z) = L1(G(h, z), y)
        m       = gamma m + beta g
        z_{t+1} = project(z_t - m),  rho_t = |z_{t+1} - z_t|
        step Z on  L1(Z(h, z_t), (z_{t+1}, rho_t)) + lambda L1(Z(h+e, z_t+e), Z(h, z_t))
    step H, G on  L1(G(h, z_M), y) + lambda L1(G(h+e, z_M+e), G(h, z_M))

Inference (paper, equation 4), r and rho being Z's outputs::

    z_{t+1} = z_t + rho (r - z_t) / |r - z_t|

Options the paper or the poster name: without rho (``use_rho=false``) the update is z_{t+1} = r; in two stages H and G
are trained first and Z afterwards, on a G that stands still; E is L1 or MSE. The order of Z's and G's steps within a
batch is no option, because it changes nothing: the path of z carries no gradient, and Z is no part of what H and G
minimise.

Where the sources leave a choice (spectral-ssl's choices, stated because equation 4 for images is in no public code):
E is the weighted mean of |error| over a sample's map, as on the poster; the inner loss is *summed* over samples, so
that a sample's path depends neither on the batch nor on the number of processes. beta = 30: the gradient of a mean over
2000 standardised coefficients is of order 1e-3, and with the poster's beta = 1 the latent did not move (ModelNet10, 4
minutes: mean last step 0.004 and error 0.6202 against 0.6205 at z_0; with 30, 0.24 and 0.433 against 0.460). Where z
decides more of the answer a smaller one is needed (tests/pretext/test_cgml.py uses 3). z lives in the unit ball
(``domain="sphere"``: on its surface); rho is regressed as a scalar; alpha = 1.

Beyond the sources, and off by default (``inferred_weight``): H and G are also trained where inference ends. K latents
are drawn and moved by Z, and of the K answers the one nearest to y counts, so that none of the modes is given up::

    step H, G on  ... + weight min_k E(zhat_k)

So are two changes of how latents move: steps beta g |g|^(p-1) in training (``step_power`` p), and last steps of
inference to r itself (``settle``).

Letters in shapes: B batch, C channels, S side lengths, F and s channels and side lengths of h, D dimensions of z,
K modes.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from pretext.data.batch import Example, Problem
from pretext.losses.flow import PathLoss, path_losses
from pretext.losses.reconstruction import Loss, sample_error
from pretext.method import MethodDefaults
from pretext.methods.cgml.latent_path import Domain, InferredPath, draw_latents, follow, project
from pretext.networks.encoder_decoder import (
    BottleneckEncoderName,
    LatentOptimiser,
    build_encoder_and_generator,
    compute_bottleneck,
)
from pretext.networks.pointwise import Precomputed
from pretext.optimisation import OptimisationStep, OptimisationSteps, rate_at
from pretext.randomness import is_main, randn
from spectral_ssl.ground.config import check_range

SHORTEST_GRADIENT = 1e-12  # below it there is no direction


@dataclass(frozen=True, kw_only=True)
class CGMLConfig:
    """Settings of the method.

    Attributes
    ----------
    latent : int
        Dimensions D of z (research code: 10 for most tasks).
    steps : int
        Latent steps M, in training and, unless ``inference_steps`` says otherwise, at inference.
    inference_steps : int
        Most steps of equation 4; 0 means M.
    tolerance : float
        At inference a latent whose step would be shorter than this has converged and stays.
    use_rho : bool
        Equation 4 (true), or the update without the length rho: z_{t+1} = r.
    loss : {"l1", "l2"}
        E: mean absolute or mean squared error.
    schedule : {"joint", "two-stage"}
        Z along with H and G, or after them.
    first_stage : int
        Steps of the first stage, where there are two.
    inferred_weight : float
        Weight of a term of this project's own on H and G: E of the best of ``inferred_answers`` answers whose latents
        Z moved, as at inference. Without it G is only ever trained at latents that have seen the truth.
    inferred_answers : int
        Answers of which the best counts there. With one of them all modes are drawn to their middle.
    latent_gain : float
        How many times larger G's weights of z start than those of h. The few rows of z are hardly heard beside those of
        h: on photographs of 64 pixels z stayed where it was with 1 (latent steps of 0.004), and moved with
        sqrt(channels of h / dimensions of z).
    skips : bool
        Whether activations of H are added to those of G.
    step_size, momentum : float
        beta and gamma of the latent's gradient steps.
    step_power : float
        p, 1 in the paper: a step is beta g |g|^(p-1), |g| being the length of a sample's own gradient. Below 1 the
        latents of answers that differ little, whose gradients are small, travel nearly as far as the others'.
    settle : int
        Of the steps at inference the last ones, which go to r itself whatever rho says: rho is the length of steps that
        lead somewhere, and keeps a latent that has arrived swinging about the place.
    domain : {"ball", "sphere"}
        Where z lives: the unit ball (poster) or its surface (poster's code).
    lipschitz : float
        lambda, weight of the Lipschitz noise penalties on G and on Z.
    lipschitz_noise : float
        Standard deviation of their noise e.
    path_loss : {"l1", "l2"}
        Loss of Z: l1 (poster) regresses the median of the next latents, l2 (toy codes) their mean.
    latent_updates : {"each-step", "whole-path"}
        Step Z after every latent step (the algorithm), or once on all M of them (M times fewer updates, faster).
    learning_rate, latent_learning_rate : float
        Of Adam for H and G, and for Z.
    decay : {"none", "cosine"}
        Whether both rates fall over the training, epochs times steps an epoch, by half a cosine to a hundredth.
    encoder : {"map", "grid"}
        H as convolutions over the map as an image, or, for Zernike moments, over the density that they stand for.
    width : int
        Channels after the first halving of the map.
    code : int
        Size of the code between H's convolutions and the bottleneck.
    hidden : int
        Width of Z's two hidden layers.
    """

    latent: int = 10
    steps: int = 20
    inference_steps: int = 0
    tolerance: float = 0.0
    use_rho: bool = True
    loss: Loss = "l1"
    schedule: Literal["joint", "two-stage"] = "joint"
    first_stage: int = 1000
    inferred_weight: float = 0.0
    inferred_answers: int = 4
    latent_gain: float = 1.0
    skips: bool = False
    step_size: float = 30.0
    momentum: float = 0.0
    step_power: float = 1.0
    settle: int = 0
    domain: Domain = "ball"
    lipschitz: float = 0.1
    lipschitz_noise: float = 1e-3
    path_loss: PathLoss = "l1"
    latent_updates: Literal["each-step", "whole-path"] = "each-step"
    learning_rate: float = 1e-3
    latent_learning_rate: float = 1e-4
    decay: Literal["none", "cosine"] = "none"
    encoder: BottleneckEncoderName = "map"
    width: int = 64
    code: int = 512
    hidden: int = 512

    def __post_init__(self) -> None:
        check_range("method.latent", self.latent, 1, 4096)
        check_range("method.steps", self.steps, 0, 10_000)
        check_range("method.inference_steps", self.inference_steps, 0, 10_000)
        check_range("method.tolerance", self.tolerance, 0.0, 2.0)
        check_range("method.first_stage", self.first_stage, 0, 1_000_000_000)
        check_range("method.inferred_weight", self.inferred_weight, 0.0, 1e6)
        check_range("method.inferred_answers", self.inferred_answers, 1, 1000)
        check_range("method.step_size", self.step_size, 0.0, 1e6)
        check_range("method.latent_gain", self.latent_gain, 0.0, 1e6)
        check_range("method.momentum", self.momentum, 0.0, 0.9999)
        check_range("method.step_power", self.step_power, 0.0, 1.0)
        check_range("method.settle", self.settle, 0, 10_000)
        check_range("method.lipschitz", self.lipschitz, 0.0, 1e6)
        check_range("method.lipschitz_noise", self.lipschitz_noise, 0.0, 1e3)
        check_range("method.learning_rate", self.learning_rate, 0.0, 10.0)
        check_range("method.latent_learning_rate", self.latent_learning_rate, 0.0, 10.0)
        check_range("method.width", self.width, 1, 4096)
        check_range("method.code", self.code, 1, 65536)
        check_range("method.hidden", self.hidden, 1, 65536)


class CGML(MethodDefaults, nn.Module):
    """H, G and Z with their optimisers.

    Parameters
    ----------
    config : CGMLConfig
        Settings.
    problem : Problem
        Shapes of the conditions and of the answers.
    """

    steps_done: Tensor

    def __init__(self, config: CGMLConfig, problem: Problem) -> None:
        super().__init__()
        self.config = config
        self.problem = problem
        self.encoder, self.generator, size = build_encoder_and_generator(
            problem, config.width, config.code, config.latent, config.latent_gain, config.encoder
        )
        self.latent_optimiser = LatentOptimiser(size, config.latent, config.hidden)  # Z
        self.register_buffer("steps_done", torch.zeros((), dtype=torch.int64))  # the stage depends on it
        main = [*self.encoder.parameters(), *self.generator.parameters()]
        self.optimizers: dict[str, torch.optim.Optimizer] = {
            "main": torch.optim.Adam(main, lr=config.learning_rate, fused=True),
            "latent": torch.optim.Adam(self.latent_optimiser.parameters(), lr=config.latent_learning_rate, fused=True),
        }

    def optimisation_steps(self, example: Example, generator: torch.Generator) -> OptimisationSteps:
        """Algorithm 1 on one batch.

        Parameters
        ----------
        example : Example
            Conditions, targets and weights, each (B, C, S, S).
        generator : torch.Generator
            Draws z_0 and the noise of the penalties.

        Returns
        -------
        dict of str to float
            ``loss`` (error at z_M), ``loss_start`` (error at z_0), ``lipschitz``, ``path`` (loss of Z), ``rho`` (mean
            length of the last latent step).
        """
        self._set_rates()
        first_stage = bool(self.steps_done < self.config.first_stage)
        train_main = self.config.schedule == "joint" or first_stage
        train_latent = self.config.schedule == "joint" or not first_stage
        with torch.set_grad_enabled(train_main):
            bottleneck, skips = compute_bottleneck(self.encoder, example.condition, self.config.skips)  # (B, F, s, s)
            # what depends on h alone is computed once, for the latent path and for the last answer
            prepared = self.generator.precompute(bottleneck, skips)
        frozen = Precomputed(prepared.first.detach(), tuple(skip.detach() for skip in prepared.skips))
        first = self._first_latents(1, len(bottleneck), generator)[0]  # (B, D)
        path, start_error = self.latent_path(frozen, example, first)  # (M + 1, B, D)
        path_loss = 0.0
        if train_latent:
            path_loss = yield from self._train_latent_optimiser(bottleneck.detach(), path, generator)

        latent = path[-1]  # (B, D), carries no gradient
        with torch.set_grad_enabled(train_main):
            answer = self.generator.from_precomputed(prepared, latent)  # (B, C, S, S)
            error = self.error(answer, example).mean()
            e_h, e_z = self._noise(bottleneck, generator), self._noise(latent, generator)
            moved = self.generator(bottleneck + e_h, latent + e_z, skips)
            lipschitz = sample_error(moved, example._replace(target=answer), self.config.loss).mean()
            inferred = self._inferred_error(prepared, bottleneck, example, generator)
        if train_main:
            total = error + self.config.lipschitz * lipschitz + self.config.inferred_weight * inferred
            yield OptimisationStep(self.optimizers["main"], total)
        if is_main(generator):
            self.steps_done += 1

        last_move = (path[-1] - path[max(len(path) - 2, 0)]).norm(dim=1).mean()
        return {
            "loss": error.item(),
            "loss_start": start_error,
            "lipschitz": lipschitz.item(),
            "path": path_loss,
            "rho": last_move.item(),
        }

    def _set_rates(self) -> None:
        """The learning rates of this step."""
        if self.config.decay == "none":
            return
        part = rate_at(int(self.steps_done), 0, self.total_steps)
        rates = {"main": self.config.learning_rate, "latent": self.config.latent_learning_rate}
        for name, rate in rates.items():
            for group in self.optimizers[name].param_groups:
                group["lr"] = rate * part

    def _inferred_error(
        self, prepared: Precomputed, bottleneck: Tensor, example: Example, generator: torch.Generator
    ) -> Tensor:
        """Mean over the batch of the smallest E among the answers at latents that Z moved, a scalar."""
        if not self.config.inferred_weight:
            return torch.zeros(())
        with torch.no_grad():
            latents = self.infer_path(bottleneck, self.config.inferred_answers, generator).latents[-1]  # (K, B, D)
        errors = [self.error(self.generator.from_precomputed(prepared, latent), example) for latent in latents]
        return torch.stack(errors).amin(0).mean()

    @property
    def latent_model(self) -> "CGML":
        """This model itself."""
        return self

    def describe_untrained(self, step: int) -> str:
        """Say that Z is not trained yet, if its stage has not begun after ``step`` steps."""
        if self.config.schedule == "two-stage" and step <= self.config.first_stage:
            return f"the latent optimiser Z is not trained yet: its stage begins after step {self.config.first_stage}"
        return ""

    def error(self, answer: Tensor, example: Example) -> Tensor:
        """E of each sample, (B,)."""
        return sample_error(answer, example, self.config.loss, self.problem)

    def _first_latents(self, modes: int, batch: int, generator: torch.Generator) -> Tensor:
        """Random z_0, (K, B, D)."""
        drawn = draw_latents(modes * batch, self.config.latent, self.config.domain, generator, modes)
        return drawn.view(modes, batch, -1)

    def latent_path(self, prepared: Precomputed, example: Example, first: Tensor) -> tuple[Tensor, float]:
        """The latents z_0 .. z_M that descend the true error; this needs the target: for training and the oracle only.

        Parameters
        ----------
        prepared : Precomputed
            What of G depends on the condition alone, detached.
        example : Example
            Gives target and weight.
        first : Tensor, shape (B, D)
            z_0.

        Returns
        -------
        path : Tensor, shape (M + 1, B, D)
            Each sample's path depends on that sample alone.
        start_error : float
            Mean error at z_0.
        """
        latent = first
        path = [latent]
        velocity = torch.zeros_like(latent)
        if not self.config.steps:
            with torch.no_grad():
                return latent[None], self.error(
                    self.generator.from_precomputed(prepared, latent), example
                ).mean().item()
        start_error = 0.0
        # G is frozen here: without this each step would also compute the gradients of all its weights
        self.generator.requires_grad_(False)
        for _ in range(self.config.steps):
            latent = latent.detach().requires_grad_()
            error = self.error(self.generator.from_precomputed(prepared, latent), example)  # (B,)
            if len(path) == 1:
                start_error = error.mean().item()
            (gradient,) = torch.autograd.grad(error.sum(), latent)
            if self.config.step_power < 1:
                length = gradient.norm(dim=1, keepdim=True).clamp_min(SHORTEST_GRADIENT)  # (B, 1)
                gradient = gradient * length ** (self.config.step_power - 1)
            velocity = self.config.momentum * velocity + self.config.step_size * gradient
            latent = project(latent.detach() - velocity, self.config.domain)
            path.append(latent)
        self.generator.requires_grad_(True)
        return torch.stack(path), start_error

    def _train_latent_optimiser(
        self, bottleneck: Tensor, path: Tensor, generator: torch.Generator
    ) -> Generator[OptimisationStep, float, float]:
        """Step Z along the path (M + 1, B, D), or once on the whole of it, and give its mean loss."""
        config, total, steps = self.config, 0.0, 0
        for loss in path_losses(
            self.latent_optimiser,
            bottleneck,
            path,
            generator,
            whole=config.latent_updates == "whole-path",
            kind=config.path_loss,
            lipschitz=config.lipschitz,
            noise=config.lipschitz_noise,
        ):
            whole = yield OptimisationStep(self.optimizers["latent"], loss)
            total, steps = total + whole, steps + 1
        return total / max(steps, 1)

    def _noise(self, like: Tensor, generator: torch.Generator) -> Tensor:
        return self.config.lipschitz_noise * randn(*like.shape, generator=generator)

    def _sample_completions(self, condition: Tensor, modes: int, generator: torch.Generator) -> Tensor:
        """Several answers to each condition, by equation 4 from as many random latents.

        Parameters
        ----------
        condition : Tensor, shape (B, C, S, S), float32
            Corrupted maps.
        modes : int
            Number K of answers.
        generator : torch.Generator
            Draws the first latents.

        Returns
        -------
        Tensor, shape (B, K, C, S, S), float32
        """
        bottleneck, skips = compute_bottleneck(self.encoder, condition, self.config.skips)
        latents = self.infer_path(bottleneck, modes, generator).latents[-1]  # (K, B, D)
        return self._decode(bottleneck, skips, latents)

    @torch.no_grad()
    def complete_along_path(
        self,
        condition: Tensor,
        modes: int,
        generator: torch.Generator,
        at: Sequence[int] | None = None,
        first: Tensor | None = None,
    ) -> tuple[Tensor, InferredPath]:
        """The answers of ``complete`` while they form (paper, figure 6).

        Parameters
        ----------
        condition, modes, generator
            As in ``complete``; equal ones give the same last answers.
        at : sequence of int, optional
            Which steps to give, 0 being the first latent; all T + 1 by default.
        first : Tensor, shape (K, B, D), optional
            Given first latents in place of random ones, kept in z's domain.

        Returns
        -------
        answers : Tensor, shape (len(at), B, K, C, S, S), float32
        path : InferredPath
            The whole of it.
        """
        bottleneck, skips = compute_bottleneck(self.encoder, condition, self.config.skips)
        path = self.infer_path(bottleneck, modes, generator, first)
        wanted = range(len(path.latents)) if at is None else at
        return torch.stack([self._decode(bottleneck, skips, path.latents[step]) for step in wanted]), path

    def oracle(self, example: Example, modes: int, generator: torch.Generator) -> Tensor:
        """Answers (B, K, C, S, S) whose latents followed the gradient of the TRUE error: an upper bound, no inference.

        From the same generator the latents start where those of ``complete`` do.
        """
        with torch.no_grad():
            bottleneck, skips = compute_bottleneck(self.encoder, example.condition, self.config.skips)
            prepared = self.generator.precompute(bottleneck, skips)
        first = self._first_latents(modes, len(bottleneck), generator)  # (K, B, D)
        # mode by mode, so that memory does not grow with their number
        last = torch.stack([self.latent_path(prepared, example, latent)[0][-1] for latent in first])
        with torch.no_grad():
            return self._decode(bottleneck, skips, last)

    @torch.no_grad()
    def infer_path(
        self, bottleneck: Tensor, modes: int, generator: torch.Generator, first: Tensor | None = None
    ) -> InferredPath:
        """How K latents for each bottleneck (B, F, s, s), random or given ones (K, B, D), move at inference."""
        config = self.config
        if first is None:
            first = self._first_latents(modes, len(bottleneck), generator)
        return follow(
            self.latent_optimiser,
            bottleneck,
            project(first.flatten(0, 1), config.domain).view_as(first),
            steps=config.inference_steps or config.steps,
            domain=config.domain,
            use_rho=config.use_rho,
            tolerance=config.tolerance,
            settle=config.settle,
        )

    def _decode(self, bottleneck: Tensor, skips: tuple[Tensor, ...], latents: Tensor) -> Tensor:
        """Answers (B, K, C, S, S) of bottlenecks (B, F, s, s) and latents (K, B, D)."""
        prepared = self.generator.precompute(bottleneck, skips)
        return torch.stack([self.generator.from_precomputed(prepared, latent) for latent in latents], dim=1)
