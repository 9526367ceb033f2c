"""Where cGML's latent z lives, and how it moves at inference (cGML, equation 4). Nothing here has seen a target.

Letters in shapes: B batch, K modes, D dimensions of z, T steps, F and s channels and side lengths of the bottleneck h.
"""

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from pretext.networks.encoder_decoder import LatentOptimiser
from pretext.randomness import rand, randn

Domain = Literal["ball", "sphere"]

# Below this length a direction is noise of the last digits, and the step along it is left out.
SHORTEST_DIRECTION = 1e-6


class InferredPath(NamedTuple):
    """How latents moved at inference.

    Attributes
    ----------
    latents : Tensor, shape (T + 1, K, B, D)
        z_0 .. z_T.
    rho : Tensor, shape (T, K, B)
        The lengths Z predicted.
    steps : Tensor, shape (K, B), int64
        Steps until the latent had converged (``tolerance``); T where it had not. Those that settle it are not counted.
    """

    latents: Tensor
    rho: Tensor
    steps: Tensor


def draw_latents(count: int, dimensions: int, domain: Domain, generator: torch.Generator, modes: int = 1) -> Tensor:
    """First latents (count, D), uniform in the unit ball or on its surface: those of a batch, ``modes`` times over."""
    size = modes, count // modes
    direction = randn(*size, dimensions, generator=generator, rows_in=1).flatten(0, 1)
    direction = direction / direction.norm(dim=1, keepdim=True).clamp_min(1e-12)
    if domain == "sphere":
        return direction
    radius = rand(*size, 1, generator=generator, rows_in=1).flatten(0, 1) ** (1.0 / dimensions)
    return direction * radius


def project(latent: Tensor, domain: Domain) -> Tensor:
    """The nearest point of z's domain, sample by sample; (B, D) -> (B, D)."""
    length = latent.norm(dim=1, keepdim=True)
    if domain == "sphere":
        return latent / length.clamp_min(1e-12)
    return latent / length.clamp_min(1.0)


def follow(
    latent_optimiser: LatentOptimiser,
    bottleneck: Tensor,
    first: Tensor,
    *,
    steps: int,
    domain: Domain,
    use_rho: bool = True,
    tolerance: float = 0.0,
    settle: int = 0,
) -> InferredPath:
    """Move latents as Z says: z_{t+1} = z_t + rho (r - z_t) / |r - z_t| (cGML, equation 4).

    Parameters
    ----------
    latent_optimiser : LatentOptimiser
        Z.
    bottleneck : Tensor, shape (B, F, s, s)
        h.
    first : Tensor, shape (K, B, D)
        z_0.
    steps : int
        T.
    domain : {"ball", "sphere"}
        Where z is kept.
    use_rho : bool
        Without it the update is z_{t+1} = r.
    tolerance : float
        A latent whose next step would be shorter than this has converged and stays where it is, until it settles.
    settle : int
        The last steps, which go to r itself, for converged latents too.

    Returns
    -------
    InferredPath
    """
    modes, batch, dimensions = first.shape
    latent = first.reshape(-1, dimensions)  # (K B, D)
    prepared = latent_optimiser.precompute(bottleneck).repeat(modes, 1)  # (K B, hidden)
    taken = torch.full((modes * batch,), steps)
    moving = torch.ones(modes * batch, 1, dtype=torch.bool)
    latents, lengths = [latent], []
    for step in range(steps):
        towards, rho = latent_optimiser.from_precomputed(prepared, latent)
        direction = towards - latent
        length = direction.norm(dim=1, keepdim=True)
        settling = step >= steps - settle
        if use_rho and not settling:
            unit = torch.where(length > SHORTEST_DIRECTION, direction / length.clamp_min(SHORTEST_DIRECTION), 0.0)
            move, move_length = rho[:, None] * unit, rho[:, None]
        else:
            move, move_length = direction, length
        converged = moving & (move_length < tolerance)
        taken[converged[:, 0]] = step
        moving = moving & ~converged
        latent = torch.where(moving | settling, project(latent + move, domain), latent)
        latents.append(latent)
        lengths.append(rho)
    return InferredPath(
        torch.stack(latents).view(steps + 1, modes, batch, dimensions),
        torch.stack(lengths).view(steps, modes, batch) if lengths else torch.empty(0, modes, batch),
        taken.view(modes, batch),
    )
