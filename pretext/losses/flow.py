"""How Z learns where latents move: its losses along a path that the true gradient made (cGML, algorithm 1).

For each step of the path, e being noise::

    L1(Z(h, z_t), (z_{t+1}, rho_t)) + lambda L1(Z(h+e, z_t+e), Z(h, z_t)),    rho_t = |z_{t+1} - z_t|

The path does not depend on Z, so that stepping Z after the path is finished is the same as stepping it on the way.

Letters in shapes: B batch, D dimensions of z, M latent steps, F and s channels and side lengths of the bottleneck h.
"""

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor

from pretext.networks.encoder_decoder import LatentOptimiser
from pretext.randomness import randn

PathLoss = Literal["l1", "l2"]


def path_losses(
    latent_optimiser: LatentOptimiser,
    bottleneck: Tensor,
    path: Tensor,
    generator: torch.Generator,
    *,
    whole: bool,
    kind: PathLoss,
    lipschitz: float,
    noise: float,
) -> Iterator[Tensor]:
    """Z's loss at each step of a path, or one on the whole of it; whoever asks steps Z before asking for the next.

    Parameters
    ----------
    latent_optimiser : LatentOptimiser
        Z.
    bottleneck : Tensor, shape (B, F, s, s)
        h, detached.
    path : Tensor, shape (M + 1, B, D)
        z_0 .. z_M.
    generator : torch.Generator
        Draws the noise e.
    whole : bool
        One loss, of all steps at once.
    kind : {"l1", "l2"}
        Mean absolute or mean squared distance.
    lipschitz, noise : float
        lambda, and the standard deviation of e.

    Yields
    ------
    Tensor
        A scalar with a graph to Z's parameters.
    """
    lengths = (path[1:] - path[:-1]).norm(dim=-1)  # (M, B)
    if not len(lengths):
        return
    flat = bottleneck.flatten(1)  # (B, F s s)
    # h and h + e go through Z as one batch, whose rows of h + e are drawn anew each time
    both = flat.repeat(2, 1)  # (2 B, F s s)
    for part in torch.arange(len(lengths)).split(len(lengths) if whole else 1):
        here, there, length = path[part].flatten(0, 1), path[part + 1].flatten(0, 1), lengths[part].flatten()
        torch.add(flat, noise * randn(*flat.shape, generator=generator), out=both[len(flat) :])
        prepared = latent_optimiser.prepare(both).unflatten(0, (2, 1, -1))  # (2, 1, B, hidden)
        prepared = prepared.expand(-1, len(part), -1, -1).flatten(0, 2)  # (2 m B, hidden)
        moved = here + noise * randn(len(part), len(flat), here.shape[1], generator=generator, rows_in=1).flatten(0, 1)
        said, said_rho = latent_optimiser.from_prepared(prepared, torch.cat([here, moved]))  # (2 m B, D), (2 m B)
        (towards, near), (rho, near_rho) = said.chunk(2), said_rho.chunk(2)
        loss = distance(towards, rho, there, length, kind)
        yield loss + lipschitz * distance(near, near_rho, towards, rho, kind)


def distance(towards: Tensor, rho: Tensor, there: Tensor, length: Tensor, kind: PathLoss) -> Tensor:
    """L1 or squared distance between Z's outputs (m B, D), (m B) and what they shall be, a scalar."""
    joined = torch.cat([towards - there, (rho - length)[:, None]], dim=1)
    return joined.abs().mean() if kind == "l1" else joined.square().mean()
