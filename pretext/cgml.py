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

Where the sources leave a choice (spectral-ssl's choices, stated because equation 4 for images is in no public code):
E is the weighted mean of |error| over a sample's map, as on the poster; the inner loss is *summed* over samples, so
that a sample's path depends neither on the batch nor on the number of processes. beta = 30: the gradient of a mean over
2000 standardised coefficients is of order 1e-3, and with the poster's beta = 1 the latent did not move (ModelNet10, 4
minutes: mean last step 0.004 and error 0.6202 against 0.6205 at z_0; with 30, 0.24 and 0.433 against 0.460). Where z
decides more of the answer a smaller one is needed (tests/pretext/test_cgml.py uses 3). z lives in the unit ball
(``domain="sphere"``: on its surface); rho is regressed as a scalar; alpha = 1.

Letters in shapes: B batch, C channels, S side lengths, F and s channels and side lengths of h, D dimensions of z,
K modes.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from pretext.networks import Encoder, Generator, LatentOptimiser, plan
from pretext.tasks.example import Example
from spectral_ssl.ground.config import check_range

# Below this length a direction is noise of the last digits, and the step along it is left out.
SHORTEST_DIRECTION = 1e-6


@dataclass(frozen=True, kw_only=True)
class CGMLConfig:
    """Settings of the method.

    Attributes
    ----------
    latent : int
        Dimensions D of z (research code: 10 for most tasks).
    steps : int
        Latent steps M, in training and at inference.
    step_size, momentum : float
        beta and gamma of the latent's gradient steps.
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
    width : int
        Channels after the first halving of the map.
    code : int
        Size of the code between H's convolutions and the bottleneck.
    hidden : int
        Width of Z's two hidden layers.
    """

    latent: int = 10
    steps: int = 20
    step_size: float = 30.0
    momentum: float = 0.0
    domain: Literal["ball", "sphere"] = "ball"
    lipschitz: float = 0.1
    lipschitz_noise: float = 1e-3
    path_loss: Literal["l1", "l2"] = "l1"
    latent_updates: Literal["each-step", "whole-path"] = "each-step"
    learning_rate: float = 1e-3
    latent_learning_rate: float = 1e-4
    width: int = 64
    code: int = 512
    hidden: int = 512

    def __post_init__(self) -> None:
        check_range("method.latent", self.latent, 1, 4096)
        check_range("method.steps", self.steps, 0, 10_000)
        check_range("method.step_size", self.step_size, 0.0, 1e6)
        check_range("method.momentum", self.momentum, 0.0, 0.9999)
        check_range("method.lipschitz", self.lipschitz, 0.0, 1e6)
        check_range("method.lipschitz_noise", self.lipschitz_noise, 0.0, 1e3)
        check_range("method.learning_rate", self.learning_rate, 0.0, 10.0)
        check_range("method.latent_learning_rate", self.latent_learning_rate, 0.0, 10.0)
        check_range("method.width", self.width, 1, 4096)
        check_range("method.code", self.code, 1, 65536)
        check_range("method.hidden", self.hidden, 1, 65536)


class CGML(nn.Module):
    """H, G and Z with their optimisers.

    Parameters
    ----------
    config : CGMLConfig
        Settings.
    shape : tuple of int
        (C, H, W) of the conditions and of the answers.
    bounded : bool
        Whether answers lie in [-1, 1] (images) or anywhere (standardised coefficients).
    """

    def __init__(self, config: CGMLConfig, shape: tuple[int, int, int], bounded: bool) -> None:
        super().__init__()
        geometry = plan(shape, config.width)
        self.config = config
        self.encoder = Encoder(geometry, config.code)  # H
        self.generator = Generator(geometry, config.latent, shape[0], bounded)  # G
        self.latent_optimiser = LatentOptimiser(geometry, config.latent, config.hidden)  # Z
        main = [*self.encoder.parameters(), *self.generator.parameters()]
        self.optimizers: dict[str, torch.optim.Optimizer] = {
            "main": torch.optim.Adam(main, lr=config.learning_rate, fused=True),
            "latent": torch.optim.Adam(self.latent_optimiser.parameters(), lr=config.latent_learning_rate, fused=True),
        }

    def training_step(self, example: Example, generator: torch.Generator) -> dict[str, float]:
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
        bottleneck = self.encoder(example.condition)  # (B, F, s, s)
        path, start_error = self.latent_path(bottleneck.detach(), example, generator)  # (M + 1, B, D)
        path_loss = self._train_latent_optimiser(bottleneck.detach(), path, generator)

        latent = path[-1]  # (B, D), carries no gradient
        answer = self.generator(bottleneck, latent)  # (B, C, S, S)
        error = sample_error(answer, example).mean()
        e_h, e_z = self._noise(bottleneck, generator), self._noise(latent, generator)
        moved = self.generator(bottleneck + e_h, latent + e_z)
        lipschitz = sample_error(moved, example._replace(target=answer)).mean()
        self.optimizers["main"].zero_grad(set_to_none=True)
        (error + self.config.lipschitz * lipschitz).backward()
        self.optimizers["main"].step()

        last_move = (path[-1] - path[max(len(path) - 2, 0)]).norm(dim=1).mean()
        return {
            "loss": error.item(),
            "loss_start": start_error,
            "lipschitz": lipschitz.item(),
            "path": path_loss,
            "rho": last_move.item(),
        }

    def latent_path(self, bottleneck: Tensor, example: Example, generator: torch.Generator) -> tuple[Tensor, float]:
        """The latents z_0 .. z_M that descend the true error; this needs the target and is for training only.

        Parameters
        ----------
        bottleneck : Tensor, shape (B, F, s, s)
            h, detached.
        example : Example
            Gives target and weight.
        generator : torch.Generator
            Draws z_0.

        Returns
        -------
        path : Tensor, shape (M + 1, B, D)
            Each sample's path depends on that sample alone.
        start_error : float
            Mean error at z_0.
        """
        latent = self.draw_latents(len(bottleneck), generator)
        path = [latent]
        velocity = torch.zeros_like(latent)
        with torch.no_grad():
            start_error = sample_error(self.generator(bottleneck, latent), example).mean().item()
        # G is frozen here: without this each step would also compute the gradients of all its weights
        self.generator.requires_grad_(False)
        prepared = self.generator.prepare(bottleneck)
        for _ in range(self.config.steps):
            latent = latent.detach().requires_grad_()
            error = sample_error(self.generator.from_prepared(prepared, latent), example)  # (B,)
            (gradient,) = torch.autograd.grad(error.sum(), latent)
            velocity = self.config.momentum * velocity + self.config.step_size * gradient
            latent = self.project(latent.detach() - velocity)
            path.append(latent)
        self.generator.requires_grad_(True)
        return torch.stack(path), start_error

    def _train_latent_optimiser(self, bottleneck: Tensor, path: Tensor, generator: torch.Generator) -> float:
        """Step Z along the path (M + 1, B, D) and give its mean loss.

        The path was made by the true gradient and does not depend on Z, so stepping Z after the path is finished is
        the same as stepping it on the way.
        """
        moves = path[1:] - path[:-1]  # (M, B, D)
        lengths = moves.norm(dim=-1)  # (M, B)
        total = 0.0
        if self.config.latent_updates == "each-step":
            chunks = [slice(step, step + 1) for step in range(len(moves))]
        else:
            chunks = [slice(0, len(moves))] if len(moves) else []
        for chunk in chunks:
            here = path[:-1][chunk].flatten(0, 1)  # (m B, D)
            there, length = path[1:][chunk].flatten(0, 1), lengths[chunk].flatten(0, 1)
            repeats = chunk.stop - chunk.start
            prepared = self.latent_optimiser.prepare(bottleneck).repeat(repeats, 1)  # (m B, hidden)
            moved_bottleneck = bottleneck + self._noise(bottleneck, generator)
            prepared_moved = self.latent_optimiser.prepare(moved_bottleneck).repeat(repeats, 1)
            towards, rho = self.latent_optimiser.from_prepared(prepared, here)
            near, near_rho = self.latent_optimiser.from_prepared(prepared_moved, here + self._noise(here, generator))
            loss = self._distance(towards, rho, there, length)
            loss = loss + self.config.lipschitz * self._distance(near, near_rho, towards, rho)
            self.optimizers["latent"].zero_grad(set_to_none=True)
            loss.backward()
            self.optimizers["latent"].step()
            total += loss.item() / len(chunks)
        return total

    def _distance(self, towards: Tensor, rho: Tensor, there: Tensor, length: Tensor) -> Tensor:
        """L1 or squared distance between Z's outputs (m B, D), (m B) and what they shall be, a scalar."""
        joined = torch.cat([towards - there, (rho - length)[:, None]], dim=1)
        return joined.abs().mean() if self.config.path_loss == "l1" else joined.square().mean()

    def _noise(self, like: Tensor, generator: torch.Generator) -> Tensor:
        return self.config.lipschitz_noise * torch.randn(like.shape, generator=generator)

    @torch.no_grad()
    def encode(self, condition: Tensor) -> Tensor:
        """Bottleneck features.

        Parameters
        ----------
        condition : Tensor, shape (B, C, S, S), float32
            Standardised maps.

        Returns
        -------
        Tensor, shape (B, F s s), float32
        """
        features: Tensor = self.encoder(condition).flatten(1)
        return features

    @torch.no_grad()
    def complete(self, condition: Tensor, modes: int, generator: torch.Generator) -> Tensor:
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
        bottleneck = self.encoder(condition)
        prepared = self.generator.prepare(bottleneck)
        latents = self.infer_latents(bottleneck, modes, generator)  # (K, B, D)
        return torch.stack([self.generator.from_prepared(prepared, latent) for latent in latents], dim=1)

    @torch.no_grad()
    def infer_latents(self, bottleneck: Tensor, modes: int, generator: torch.Generator) -> Tensor:
        """Latents (K, B, D) that M steps of equation 4 lead to; bottleneck (B, F, s, s)."""
        batch = len(bottleneck)
        latent = self.draw_latents(modes * batch, generator)  # (K B, D)
        prepared = self.latent_optimiser.prepare(bottleneck).repeat(modes, 1)  # (K B, hidden)
        for _ in range(self.config.steps):
            towards, rho = self.latent_optimiser.from_prepared(prepared, latent)
            direction = towards - latent
            length = direction.norm(dim=1, keepdim=True)
            unit = torch.where(length > SHORTEST_DIRECTION, direction / length.clamp_min(SHORTEST_DIRECTION), 0.0)
            latent = self.project(latent + rho[:, None] * unit)
        return latent.view(modes, batch, -1)

    def draw_latents(self, count: int, generator: torch.Generator) -> Tensor:
        """First latents (count, D), uniform in the unit ball or on its surface."""
        direction = torch.randn(count, self.config.latent, generator=generator)
        direction = direction / direction.norm(dim=1, keepdim=True).clamp_min(1e-12)
        if self.config.domain == "sphere":
            return direction
        radius = torch.rand(count, 1, generator=generator) ** (1.0 / self.config.latent)
        return direction * radius

    def project(self, latent: Tensor) -> Tensor:
        """The nearest point of z's domain, sample by sample; (B, D) -> (B, D)."""
        length = latent.norm(dim=1, keepdim=True)
        if self.config.domain == "sphere":
            return latent / length.clamp_min(1e-12)
        return latent / length.clamp_min(1.0)


def sample_error(answer: Tensor, example: Example) -> Tensor:
    """E of each sample: the weighted mean of |answer - target| over its map; (B, C, S, S) -> (B,)."""
    weighted = (answer - example.target).abs() * example.weight
    return weighted.flatten(1).sum(dim=1) / example.weight.flatten(1).sum(dim=1)
