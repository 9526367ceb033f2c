"""The latent z of cGML: its domain, and how it moves at inference (cGML, equation 4).

Nothing in this file is given a target. Z is the latent optimiser and h the bottleneck of a
condition.

Letters in shapes: B batch, K modes, D dimensions of z, T steps, F and s channels and side lengths
of h.
"""

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from pretext.networks.encoder_decoder import LatentOptimiser
from pretext.randomness import rand, randn

Domain = Literal["ball", "sphere"]

# A direction shorter than this is rounding noise, and the latent does not step along it.
SHORTEST_DIRECTION = 1e-6


class InferredPath(NamedTuple):
    """The path of latents at inference.

    Attributes
    ----------
    latents : Tensor, shape (T + 1, K, B, D)
        The latents z_0 .. z_T.
    rho : Tensor, shape (T, K, B)
        The step lengths that Z predicted.
    steps : Tensor, shape (K, B), int64
        Number of steps until the latent converged (``tolerance``); T if it did not. Settling steps
        do not count.
    """

    latents: Tensor
    rho: Tensor
    steps: Tensor


def draw_latents(count: int, dimensions: int, domain: Domain, generator: torch.Generator, modes: int = 1) -> Tensor:
    """Draw first latents, uniform in the unit ball or on its surface.

    Parameters
    ----------
    count : int
        Number of latents: the batch size times ``modes``.
    dimensions : int
        Number D of dimensions.
    domain : {"ball", "sphere"}
        The unit ball or its surface.
    generator : torch.Generator
        The source of randomness.
    modes : int
        Number of latents of each sample.

    Returns
    -------
    Tensor, shape (count, D), float32
        The first latents of all samples, then the second ones, and so on.
    """
    size = modes, count // modes
    direction = randn(*size, dimensions, generator=generator, rows_in=1).flatten(0, 1)
    direction = direction / direction.norm(dim=1, keepdim=True).clamp_min(1e-12)
    if domain == "sphere":
        return direction
    radius = rand(*size, 1, generator=generator, rows_in=1).flatten(0, 1) ** (1.0 / dimensions)
    return direction * radius


def project(latent: Tensor, domain: Domain) -> Tensor:
    """Move each latent to the nearest point of its domain, (B, D) -> (B, D)."""
    length = latent.norm(dim=1, keepdim=True)
    if domain == "sphere":
        return latent / length.clamp_min(1e-12)
    return latent / length.clamp_min(1.0)


def infer_latents(
    latent_optimiser: LatentOptimiser,
    bottleneck: Tensor,
    first: Tensor,
    *,
    steps: int,
    domain: Domain,
    use_rho: bool = True,
    rho_factor: float = 1.0,
    tolerance: float = 0.0,
    settle: int = 0,
) -> InferredPath:
    """Move latents as Z predicts: z_{t+1} = z_t + alpha rho (r - z_t) / |r - z_t| (cGML, equation 4).

    Parameters
    ----------
    latent_optimiser : LatentOptimiser
        Z, which predicts r and rho.
    bottleneck : Tensor, shape (B, F, s, s)
        The bottleneck h of each condition.
    first : Tensor, shape (K, B, D)
        The first latents z_0.
    steps : int
        Number T of steps.
    domain : {"ball", "sphere"}
        The domain that z is projected to after each step.
    use_rho : bool
        Whether rho is used. Without it the update is z_{t+1} = r.
    rho_factor : float
        alpha. Z learns the mean length of a step, and the paper's rho is alpha times that.
    tolerance : float
        A latent whose next step would be shorter than this has converged. It stays, until it
        settles.
    settle : int
        Number of last steps that go to r itself, for converged latents too.

    Returns
    -------
    InferredPath
    """
    modes, batch, dimensions = first.shape
    latent = first.reshape(-1, dimensions)  # (K B, D)
    precomputed = latent_optimiser.precompute(bottleneck).repeat(modes, 1)  # (K B, hidden)
    steps_to_converge = torch.full((modes * batch,), steps)
    is_moving = torch.ones(modes * batch, 1, dtype=torch.bool)
    latents, lengths = [latent], []
    for step in range(steps):
        towards, rho = latent_optimiser.from_precomputed(precomputed, latent)
        rho = rho_factor * rho
        direction = towards - latent
        length = direction.norm(dim=1, keepdim=True)
        is_settling = step >= steps - settle
        if use_rho and not is_settling:
            unit = torch.where(length > SHORTEST_DIRECTION, direction / length.clamp_min(SHORTEST_DIRECTION), 0.0)
            move, move_length = rho[:, None] * unit, rho[:, None]
        else:
            move, move_length = direction, length
        converged = is_moving & (move_length < tolerance)
        steps_to_converge[converged[:, 0]] = step
        is_moving = is_moving & ~converged
        latent = torch.where(is_moving | is_settling, project(latent + move, domain), latent)
        latents.append(latent)
        lengths.append(rho)
    return InferredPath(
        torch.stack(latents).view(steps + 1, modes, batch, dimensions),
        torch.stack(lengths).view(steps, modes, batch) if lengths else torch.empty(0, modes, batch),
        steps_to_converge.view(modes, batch),
    )
