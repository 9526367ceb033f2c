"""cGML: conditional generation by learning how the latent moves (Ramasinghe et al., ICLR 2021).

A condition x may have several valid completions y. The encoder H gives the bottleneck h = H(x).
The generator G predicts G(h, z), and the latent z alone selects the completion. In training y is
known, and z moves down the gradient of the error E. The latent optimiser Z learns to predict these
moves. At inference y is unknown, and Z moves z. There is no discriminator.

Training on one batch (the poster's Algorithm 1; order of the last step as in the poster's code)::

    h = H(x);  z_0 ~ U(unit ball);  m = 0
    for t = 0 .. M-1:                                  # H and G frozen
        g       = grad_z  sum over samples of E(z_t),  E(z) = L1(G(h, z), y)
        m       = gamma m + beta g
        z_{t+1} = project(z_t - m),  rho_t = |z_{t+1} - z_t|
        step Z on  L1(Z(h, z_t), (z_{t+1}, rho_t)) + lambda L1(Z(h+e, z_t+e), Z(h, z_t))
    step H, G on  L1(G(h, z_M), y) + lambda L1(G(h+e, z_M+e), G(h, z_M))

Inference (paper, equation 4), where r and rho are Z's outputs::

    z_{t+1} = z_t + rho (r - z_t) / |r - z_t|

The order of Z's and G's steps within a batch changes nothing. The path of z carries no gradient,
and Z is not part of the loss of H and G.

The sources leave some choices open; equation 4 for images is in no public code. The choices here:

* E is the weighted mean of |error| over a sample's map, as on the poster.
* The inner loss is *summed* over samples. So a sample's path depends neither on the batch nor on
  the number of processes.
* beta = 30. The gradient of a mean over 2000 standardised coefficients is of order 1e-3, and with
  the poster's beta = 1 the latent did not move (docs/experiments.md). If z affects more of the
  prediction, a smaller beta is needed; tests/pretext/methods/test_cgml.py uses 3.
* rho is regressed as a scalar; the paper's alpha is 1 here, or ``rho_factor``.

Beyond the sources, ``inferred_weight`` also trains H and G where inference ends. K latents are
drawn and moved by Z. Of the K predictions, the one nearest to y counts, so no mode is lost::

    step H, G on  ... + weight min_k E(zhat_k)

Letters in shapes: B batch, C channels, S side lengths, F and s channels and side lengths of h,
D dimensions of z, K modes.
"""

from collections.abc import Callable, Generator, Sequence

import torch
from torch import Tensor, nn

from pretext.data.batch import Example, Problem
from pretext.losses.latent_path import path_losses
from pretext.losses.reconstruction import Loss, check_loss, sample_error
from pretext.method import MethodDefaults
from pretext.methods.cgml.config import CGMLConfig
from pretext.methods.cgml.flow import VelocityField, flow_loss, integrate_flow
from pretext.methods.cgml.latent_path import InferredPath, draw_latents, infer_latents, project
from pretext.methods.cgml.spread_latents import draw_spread_latents
from pretext.networks.encoder_decoder import LatentOptimiser, build_encoder_and_generator, compute_bottleneck
from pretext.networks.pointwise import Precomputed
from pretext.optimisation import OptimisationStep, OptimisationSteps, rate_at
from pretext.randomness import is_main, randn
from spectral_ssl.ground.errors import UserError

SHORTEST_GRADIENT = 1e-12  # a shorter gradient has no direction


class CGML(MethodDefaults, nn.Module):
    """The networks H, G and Z with their optimisers.

    Parameters
    ----------
    config : CGMLConfig
        The settings of the method.
    problem : Problem
        The shapes of conditions and targets.
    """

    steps_done: Tensor

    def __init__(self, config: CGMLConfig, problem: Problem) -> None:
        super().__init__()
        check_loss(config.optimisation.loss, problem, "method.optimisation.loss")
        check_loss(config.latent_loss, problem, "method.experimental.latent_loss")
        self.config = config
        self.problem = problem
        networks, optimisation, latent = config.networks, config.optimisation, config.path.latent
        self.encoder, self.generator, size = build_encoder_and_generator(
            problem,
            networks.width,
            networks.code,
            latent,
            networks.latent_gain,
            networks.encoder,
            modulate=networks.modulate,
            residual=networks.residual,
            width_limit=networks.width_limit,
        )
        is_flow = config.path.dynamics == "flow"
        if is_flow and latent > size:
            got = f"latent={latent}, bottleneck of {size} values"
            raise UserError("the latent z has more dimensions than the bottleneck h", got, "give a smaller latent")
        kind: type[LatentOptimiser | VelocityField] = VelocityField if is_flow else LatentOptimiser
        self.latent_optimiser = kind(size, latent, networks.hidden)
        # The stage of training depends on this count, so it is saved in checkpoints.
        self.register_buffer("steps_done", torch.zeros((), dtype=torch.int64))
        main = [*self.encoder.parameters(), *self.generator.parameters()]
        self.optimizers: dict[str, torch.optim.Optimizer] = {
            "main": torch.optim.Adam(main, lr=optimisation.learning_rate, fused=True),
            "latent": torch.optim.Adam(
                self.latent_optimiser.parameters(), lr=optimisation.latent_learning_rate, fused=True
            ),
        }

    def optimisation_steps(self, example: Example, generator: torch.Generator) -> OptimisationSteps:
        """Run algorithm 1 on one batch.

        Parameters
        ----------
        example : Example
            Conditions, targets and weights, each (B, C, S, S).
        generator : torch.Generator
            The source of z_0 and of the penalties' noise.

        Returns
        -------
        dict of str to float
            ``loss`` (error at z_M), ``loss_start`` (error at z_0), ``lipschitz`` (penalty on G),
            ``path`` (loss of Z), ``rho`` (mean length of the last latent step).
        """
        settings = self.config.optimisation
        self._set_rates()
        is_first_stage = bool(self.steps_done < settings.first_stage)
        train_main = settings.schedule == "joint" or is_first_stage
        train_latent = settings.schedule == "joint" or not is_first_stage
        with torch.set_grad_enabled(train_main):
            bottleneck, skips = self._bottleneck(example.condition)  # (B, F, s, s)
            # The part of G that depends on h alone serves all latent steps and the last prediction.
            precomputed = self.generator.precompute(bottleneck, skips)
        frozen = Precomputed(precomputed.first.detach(), tuple(skip.detach() for skip in precomputed.skips))
        first = self._choose_first(frozen, example, generator)  # (B, D)
        path, start_error = self.latent_path(frozen, example, first)  # (M + 1, B, D)
        path_loss = 0.0
        if train_latent:
            path_loss = yield from self._train_latent_optimiser(bottleneck.detach(), path, generator)

        latent = path[-1]  # (B, D), carries no gradient
        with torch.set_grad_enabled(train_main):
            prediction = self.generator.from_precomputed(precomputed, latent)  # (B, C, S, S)
            error = self.error(prediction, example).mean()
            e_h, e_z = self._noise(bottleneck, generator), self._noise(latent, generator)
            lipschitz = torch.zeros(())
            if settings.lipschitz:
                shifted = self.generator(bottleneck + e_h, latent + e_z, skips)
                lipschitz = sample_error(shifted, example._replace(target=prediction), settings.loss).mean()
            inferred = self._inferred_error(precomputed, bottleneck, example, generator)
        if train_main:
            total = error + settings.lipschitz * lipschitz + settings.inferred_weight * inferred
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
        """Set the learning rates of this step."""
        settings = self.config.optimisation
        if settings.decay == "none":
            return
        factor = rate_at(int(self.steps_done), 0, self.total_steps)
        rates = {"main": settings.learning_rate, "latent": settings.latent_learning_rate}
        for name, rate in rates.items():
            for group in self.optimizers[name].param_groups:
                group["lr"] = rate * factor

    def _inferred_error(
        self, precomputed: Precomputed, bottleneck: Tensor, example: Example, generator: torch.Generator
    ) -> Tensor:
        """Compute the smallest E among predictions at latents that Z moved; return the batch mean, a scalar."""
        settings = self.config.optimisation
        if not settings.inferred_weight:
            return torch.zeros(())
        with torch.no_grad():
            latents = self.infer_path(bottleneck, settings.inferred_answers, generator).latents[-1]  # (K, B, D)
        errors = [self.error(self.generator.from_precomputed(precomputed, latent), example) for latent in latents]
        return torch.stack(errors).amin(0).mean()

    @property
    def latent_model(self) -> "CGML":
        """The model itself."""
        return self

    def describe_untrained(self, step: int) -> str:
        """Say that Z is not trained yet, if its stage has not begun after ``step`` steps."""
        settings = self.config.optimisation
        if settings.schedule == "two-stage" and step <= settings.first_stage:
            return f"the latent optimiser Z is not trained yet: its stage begins after step {settings.first_stage}"
        return ""

    def error(self, prediction: Tensor, example: Example, loss: Loss | None = None) -> Tensor:
        """Compute E of each sample, (B,), or another loss of it."""
        return sample_error(prediction, example, loss or self.config.optimisation.loss, self.problem)

    def _bottleneck(self, condition: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Compute h (B, F, s, s) of conditions (B, C, S, S), and H's activations that G takes as skips."""
        return compute_bottleneck(self.encoder, condition, self.config.networks.skips, self.config.networks.residual)

    def _first_latents(
        self, modes: int, batch: int, generator: torch.Generator, draw: Callable[..., Tensor] = draw_latents
    ) -> Tensor:
        """Draw random z_0, (K, B, D)."""
        latents = draw(modes * batch, self.config.path.latent, self.config.path.domain, generator, modes)
        return latents.view(modes, batch, -1)

    @torch.no_grad()
    def _choose_first(self, frozen: Precomputed, example: Example, generator: torch.Generator) -> Tensor:
        """Draw candidates for z_0 and return the one of each sample with the smallest true error, (B, D)."""
        count = self.config.optimisation.candidates
        candidates = self._first_latents(count, len(example.condition), generator)  # (K, B, D)
        if len(candidates) == 1:
            return candidates[0]
        loss = self.config.latent_loss
        errors = [self.error(self.generator.from_precomputed(frozen, each), example, loss) for each in candidates]
        nearest = torch.stack(errors).argmin(dim=0)  # (B,)
        return candidates[nearest, torch.arange(len(nearest), device=nearest.device)]

    def latent_path(self, precomputed: Precomputed, example: Example, first: Tensor) -> tuple[Tensor, float]:
        """Compute the latents z_0 .. z_M that follow the gradient of the true error; this needs the target.

        Parameters
        ----------
        precomputed : Precomputed
            The part of G that depends on the condition alone, detached.
        example : Example
            The batch with targets and weights.
        first : Tensor, shape (B, D)
            The first latents z_0.

        Returns
        -------
        path : Tensor, shape (M + 1, B, D)
            The latents. Each sample's path depends on that sample alone.
        start_error : float
            Mean error at z_0.
        """
        settings, loss = self.config.path, self.config.latent_loss
        is_other = loss != self.config.optimisation.loss
        latent, path = first, [first]
        velocity = torch.zeros_like(latent)
        if not settings.steps:
            with torch.no_grad():
                error = self.error(self.generator.from_precomputed(precomputed, latent), example)
                return latent[None], error.mean().item()
        start_error = 0.0
        # If G were not frozen, each latent step would also compute the gradients of all its weights.
        self.generator.requires_grad_(False)
        for _ in range(settings.steps):
            latent = latent.detach().requires_grad_()
            prediction = self.generator.from_precomputed(precomputed, latent)  # (B, C, S, S)
            error = self.error(prediction, example, loss)  # (B,)
            if len(path) == 1:
                # The loss of the whole step is compared with this, so it must be of the same kind.
                start_error = (self.error(prediction.detach(), example) if is_other else error).mean().item()
            (gradient,) = torch.autograd.grad(error.sum(), latent)
            if settings.step_power < 1:
                length = gradient.norm(dim=1, keepdim=True).clamp_min(SHORTEST_GRADIENT)  # (B, 1)
                gradient = gradient * length ** (settings.step_power - 1)
            velocity = settings.momentum * velocity + settings.step_size * gradient
            latent = project(latent.detach() - velocity, settings.domain)
            path.append(latent)
        self.generator.requires_grad_(True)
        return torch.stack(path), start_error

    def _train_latent_optimiser(
        self, bottleneck: Tensor, path: Tensor, generator: torch.Generator
    ) -> Generator[OptimisationStep, float, float]:
        """Step Z at each latent of the path (M + 1, B, D), or once on the whole path; return its mean loss."""
        settings, total, steps = self.config.optimisation, 0.0, 0
        if isinstance(self.latent_optimiser, VelocityField):
            # The nearest of several candidates no longer has the distribution of the latents that
            # inference begins at, so the flow begins at other ones.
            is_chosen = self.config.optimisation.candidates > 1
            first = self._first_latents(1, len(bottleneck), generator)[0] if is_chosen else path[0]  # (B, D)
            loss = flow_loss(self.latent_optimiser, bottleneck, first, path[-1], generator)
            return (yield OptimisationStep(self.optimizers["latent"], loss))
        for loss in path_losses(
            self.latent_optimiser,
            bottleneck,
            path,
            generator,
            whole=self.config.experimental.latent_updates == "whole-path",
            kind=settings.path_loss,
            lipschitz=settings.lipschitz,
            noise=settings.lipschitz_noise,
        ):
            batch_loss = yield OptimisationStep(self.optimizers["latent"], loss)
            total, steps = total + batch_loss, steps + 1
        return total / max(steps, 1)

    def _noise(self, like: Tensor, generator: torch.Generator) -> Tensor:
        """Draw the noise e of the Lipschitz penalties, of the shape of ``like``."""
        return self.config.optimisation.lipschitz_noise * randn(*like.shape, generator=generator)

    def _sample_completions(self, condition: Tensor, modes: int, generator: torch.Generator) -> Tensor:
        """Predict completions (B, K, C, S, S) from K random latents that Z moves."""
        bottleneck, skips = self._bottleneck(condition)
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
        """Predict completions at several steps of the latents' path (paper, figure 6).

        Parameters
        ----------
        condition : Tensor, shape (B, C, S, S), float32
            Standardised conditions.
        modes : int
            Number K of completions of each condition.
        generator : torch.Generator
            The source of the first latents. A generator in the same state gives the completions of
            ``complete`` at the last step.
        at : sequence of int, optional
            Steps to decode, where 0 is the first latent; all T + 1 by default.
        first : Tensor, shape (K, B, D), optional
            First latents to use instead of random ones. They are projected to z's domain.

        Returns
        -------
        predictions : Tensor, shape (len(at), B, K, C, S, S), float32
            The predictions at the steps ``at``.
        path : InferredPath
            The whole path.
        """
        bottleneck, skips = self._bottleneck(condition)
        path = self.infer_path(bottleneck, modes, generator, first)
        steps = range(len(path.latents)) if at is None else at
        return torch.stack([self._decode(bottleneck, skips, path.latents[step]) for step in steps]), path

    def oracle(self, example: Example, modes: int, generator: torch.Generator) -> Tensor:
        """Predict (B, K, C, S, S) from latents that follow the gradient of the TRUE error.

        This is a bound and no inference. The latents start as in training, at the nearest of several
        candidates or independently, also where those of ``complete`` keep apart.
        """
        with torch.no_grad():
            bottleneck, skips = self._bottleneck(example.condition)
            precomputed = self.generator.precompute(bottleneck, skips)
        if self.config.optimisation.candidates > 1:
            first = torch.stack([self._choose_first(precomputed, example, generator) for _ in range(modes)])
        else:
            first = self._first_latents(modes, len(bottleneck), generator)  # (K, B, D)
        # One mode at a time, so that memory does not grow with their number.
        last = torch.stack([self.latent_path(precomputed, example, latent)[0][-1] for latent in first])
        with torch.no_grad():
            return self._decode(bottleneck, skips, last)

    @torch.no_grad()
    def infer_path(
        self, bottleneck: Tensor, modes: int, generator: torch.Generator, first: Tensor | None = None
    ) -> InferredPath:
        """Move K latents of each bottleneck (B, F, s, s) as at inference; ``first`` (K, B, D) is random by default."""
        settings = self.config.path
        if first is None:
            draw = draw_spread_latents if settings.dynamics == "flow" else draw_latents
            first = self._first_latents(modes, len(bottleneck), generator, draw)
        first = project(first.flatten(0, 1), settings.domain).view_as(first)
        if isinstance(self.latent_optimiser, VelocityField):
            steps, solver = settings.flow_steps, settings.flow_solver
            return integrate_flow(
                self.latent_optimiser, bottleneck, first, steps=steps, solver=solver, domain=settings.domain
            )
        return infer_latents(
            self.latent_optimiser,
            bottleneck,
            first,
            steps=settings.steps_at_inference,
            domain=settings.domain,
            use_rho=settings.use_rho,
            rho_factor=self.config.experimental.rho_factor,
            tolerance=self.config.experimental.tolerance,
            settle=settings.settle,
        )

    def _decode(self, bottleneck: Tensor, skips: tuple[Tensor, ...], latents: Tensor) -> Tensor:
        """Predict (B, K, C, S, S) from bottlenecks (B, F, s, s) and latents (K, B, D)."""
        precomputed = self.generator.precompute(bottleneck, skips)
        return torch.stack([self.generator.from_precomputed(precomputed, latent) for latent in latents], dim=1)
