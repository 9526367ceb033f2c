"""The flow of cGML's latent: Z regresses a velocity, and inference integrates it.

Equation 4 of the paper moves z towards E[z_{t+1} | z_t, h] (or the median, with ``path_loss=l1``). If
the good latents of a condition form a continuum, this field has few fixed points, and all first
latents end there (docs/cgml.md shows it). A flow moves the distribution of the first latents to the *distribution* of
the last ones instead (Lipman et al., Flow matching for generative modeling, ICLR 2023; Liu et al.,
Flow straight and fast, ICLR 2023).

Training keeps the gradient steps of algorithm 1, which lead from z_0 to z_M. For a time s, uniform
in [0, 1)::

    z_s = (1 - s) z_0 + s z_M
    step Z on  mean of (V(h, z_s, s) - (z_M - z_0))^2

The minimum is V = E[z_M - z_0 | h, z_s, s]. The solution of dz/ds = V(h, z, s) then has the same
distribution as z_s at every time s. Inference draws z_0 and integrates to s = 1.

Letters in shapes: B batch, K modes, D dimensions of z, T steps, R times for each sample, N latents
of any kind, F and s channels and side lengths of h.
"""

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from pretext.methods.cgml.latent_path import Domain, InferredPath, project
from pretext.numerics import full_precision, to_full_precision
from pretext.randomness import rand
from spectral_ssl.ground.errors import UserError

Solver = Literal["euler", "heun"]

TIMES = 4  # times s for each sample and batch, evenly spaced; with 8, Z takes a third of a step on maps
FREQUENCIES = 8  # of the sines and cosines by which the network knows the time
BLOCKS = 2


class VelocityBlock(nn.Module):
    """A residual block whose activations are scaled and shifted, (N, hidden) -> (N, hidden)."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.first = nn.Linear(hidden, hidden)
        self.second = nn.Linear(hidden, hidden)

    def forward(self, hidden: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        """Compute the output (N, hidden) of activations, their scales and shifts, each (N, hidden)."""
        return hidden + self.second(functional.silu(self.first(functional.silu(hidden)) * (1 + scale) + shift))


class VelocityField(nn.Module):
    """The latent optimiser Z as a velocity, (B, F, s, s), (B, D), (B) -> (B, D).

    z passes through residual blocks. h and the time scale and shift the activations of each block
    (FiLM; Perez et al., AAAI 2018). The part of h is computed once for all latents and times. A new
    network has the velocity 0 everywhere.

    Parameters
    ----------
    bottleneck : int
        Number of values F s s of h.
    latent : int
        Dimensions D of z.
    hidden : int
        Units of the hidden layers.

    Examples
    --------
    >>> import torch
    >>> field = VelocityField(bottleneck=32, latent=4, hidden=16)
    >>> field(torch.ones(2, 32), torch.zeros(2, 4), torch.zeros(2)).shape
    torch.Size([2, 4])
    """

    def __init__(self, bottleneck: int, latent: int, hidden: int) -> None:
        super().__init__()
        self.first_h = nn.Linear(bottleneck, hidden)
        self.second_h = nn.Linear(hidden, 2 * BLOCKS * hidden)
        self.first_s = nn.Linear(2 * FREQUENCIES, hidden)
        self.second_s = nn.Linear(hidden, 2 * BLOCKS * hidden)
        self.first_z = nn.Linear(latent, hidden)
        self.blocks = nn.ModuleList(VelocityBlock(hidden) for _ in range(BLOCKS))
        self.last = nn.Linear(hidden, latent)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def precompute(self, bottleneck: Tensor) -> Tensor:
        """Compute the part that depends on h alone, (B, F, s, s) -> (B, 2 blocks hidden)."""
        with full_precision(bottleneck):
            flat = to_full_precision(bottleneck.flatten(1))
            # The size of h changes while H is trained. Without this, the first layer would have to follow.
            hidden = self.first_h(functional.layer_norm(flat, flat.shape[1:]))
            result: Tensor = self.second_h(functional.silu(hidden))
        return result

    def from_precomputed(self, precomputed: Tensor, latent: Tensor, time: Tensor) -> Tensor:
        """Compute velocities (N, D) from the result of ``precompute``, latents (N, D) and times (N) or (1)."""
        with full_precision(precomputed):
            angles = math.pi * time[:, None] * torch.arange(1, FREQUENCIES + 1, device=time.device)  # (N, FREQUENCIES)
            hidden = functional.silu(self.first_s(torch.cat([angles.sin(), angles.cos()], dim=1)))
            modulation = (precomputed + self.second_s(hidden)).chunk(2 * BLOCKS, dim=1)  # each (N, hidden)
            hidden = self.first_z(latent)
            for block, scale, shift in zip(self.blocks, modulation[::2], modulation[1::2], strict=True):
                hidden = block(hidden, scale, shift)
            velocity: Tensor = self.last(functional.silu(hidden))
        return velocity

    def forward(self, bottleneck: Tensor, latent: Tensor, time: Tensor) -> Tensor:
        """Compute velocities (B, D) from bottlenecks h (B, F, s, s), latents z (B, D) and times (B)."""
        return self.from_precomputed(self.precompute(bottleneck), latent, time)


def flow_loss(
    field: VelocityField, bottleneck: Tensor, first: Tensor, last: Tensor, generator: torch.Generator
) -> Tensor:
    """Compute the mean squared error of the velocity on the straight lines between pairs of latents.

    Parameters
    ----------
    field : VelocityField
        Z.
    bottleneck : Tensor, shape (B, F, s, s)
        The bottleneck h, detached.
    first, last : Tensor, shape (B, D)
        The latents z_0 and z_M of each sample.
    generator : torch.Generator
        The source of the times. The R times of a sample are 1/R apart, so that they cover [0, 1)
        evenly.

    Returns
    -------
    Tensor
        A scalar with a graph to Z's parameters.

    Examples
    --------
    >>> import torch
    >>> field = VelocityField(bottleneck=8, latent=3, hidden=16)
    >>> first, last = torch.zeros(2, 3), torch.ones(2, 3)
    >>> flow_loss(field, torch.zeros(2, 8), first, last, torch.Generator().manual_seed(0)).item()
    1.0
    """
    offset = rand(len(first), generator=generator, dtype=first.dtype)  # (B,)
    times = torch.arange(TIMES, dtype=offset.dtype, device=offset.device)[:, None]
    time = ((times + offset) / TIMES).flatten()  # (R B,)
    start, end = first.repeat(TIMES, 1), last.repeat(TIMES, 1)  # (R B, D)
    latent = start + time[:, None] * (end - start)
    precomputed = field.precompute(bottleneck).repeat(TIMES, 1)  # (R B, ...)
    velocity = field.from_precomputed(precomputed, latent, time)  # (R B, D)
    return (velocity - (end - start)).square().mean()


def integrate_flow(
    field: VelocityField, bottleneck: Tensor, first: Tensor, *, steps: int, solver: Solver, domain: Domain
) -> InferredPath:
    """Move latents along the velocity from time 0 to time 1.

    Parameters
    ----------
    field : VelocityField
        Z.
    bottleneck : Tensor, shape (B, F, s, s)
        The bottleneck h of each condition.
    first : Tensor, shape (K, B, D)
        The first latents z_0.
    steps : int
        Number T of steps of equal length, at least 1.
    solver : {"euler", "heun"}
        One evaluation of Z for each step, or two: the error falls with T or with T^2.
    domain : {"ball", "sphere"}
        The domain of z. The last latents are projected to it. The lines of the training run through
        the ball, also between points of the sphere.

    Returns
    -------
    InferredPath
        ``rho`` holds the lengths of the steps; no latent converges early.

    Raises
    ------
    UserError
        When a velocity is not finite.

    Examples
    --------
    >>> import torch
    >>> field = VelocityField(bottleneck=8, latent=3, hidden=16)
    >>> path = integrate_flow(
    ...     field, torch.zeros(2, 8), torch.zeros(5, 2, 3), steps=4, solver="euler", domain="ball"
    ... )
    >>> path.latents.shape
    torch.Size([5, 5, 2, 3])
    """
    modes, batch, dimensions = first.shape
    latent = first.reshape(-1, dimensions)  # (K B, D)
    precomputed = field.precompute(bottleneck).repeat(modes, 1)  # (K B, ...)
    latents = [latent]
    for step in range(steps):
        now = torch.full((1,), step / steps, dtype=latent.dtype, device=latent.device)
        velocity = field.from_precomputed(precomputed, latent, now)
        if solver == "heun":
            ahead = field.from_precomputed(precomputed, latent + velocity / steps, now + 1 / steps)
            velocity = (velocity + ahead) / 2
        latent = latent + velocity / steps
        if step == steps - 1:
            latent = project(latent, domain)
        latents.append(latent)
    if not latent.isfinite().all():
        do = "train again with a lower latent_learning_rate, or check the condition"
        raise UserError("the velocity of the latent is not finite", f"after {steps} steps", do)
    path = torch.stack(latents).view(steps + 1, modes, batch, dimensions)
    return InferredPath(path, (path[1:] - path[:-1]).norm(dim=-1), torch.full((modes, batch), steps))
