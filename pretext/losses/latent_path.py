"""The losses of cGML's latent optimiser Z along a path of gradient steps.

Source: cGML, algorithm 1. For each step of the path, with noise e::

    L1(Z(h, z_t), (z_{t+1}, rho_t)) + lambda L1(Z(h+e, z_t+e), Z(h, z_t))

with rho_t = |z_{t+1} - z_t|.

The path does not depend on Z. So it makes no difference whether Z is optimised while the path is
computed or after it.

Letters in shapes: B batch, D dimensions of z, M latent steps, m of these taken together, F and s
channels and side lengths of the bottleneck h.
"""

from collections.abc import Iterator
from typing import Literal, Protocol

import torch
from torch import Tensor

from pretext.randomness import randn

PathLoss = Literal["l1", "l2"]


class PathPredictor(Protocol):
    """A network that predicts the next latent and the length of the step to it.

    ``pretext.networks.encoder_decoder.LatentOptimiser`` is one.
    """

    def precompute(self, bottleneck: Tensor) -> Tensor:
        """Compute the part that depends on h alone, (B, F s s) -> (B, hidden)."""
        ...

    def from_precomputed(self, precomputed: Tensor, latent: Tensor) -> tuple[Tensor, Tensor]:
        """Compute next latents (B, D) and step lengths (B) from ``precomputed`` and z (B, D)."""
        ...


def path_losses(
    latent_optimiser: PathPredictor,
    bottleneck: Tensor,
    path: Tensor,
    generator: torch.Generator,
    *,
    whole: bool,
    kind: PathLoss,
    lipschitz: float,
    noise: float,
) -> Iterator[Tensor]:
    """Yield Z's loss at each step of a path, or a single loss on the whole path.

    The caller must let Z's optimiser step before it asks for the next loss.

    Parameters
    ----------
    latent_optimiser : PathPredictor
        Z.
    bottleneck : Tensor, shape (B, F, s, s)
        The bottleneck h, detached.
    path : Tensor, shape (M + 1, B, D)
        The latents z_0 .. z_M.
    generator : torch.Generator
        The random number generator of the noise e.
    whole : bool
        Whether a single loss of all steps is yielded.
    kind : {"l1", "l2"}
        Mean absolute or mean squared distance.
    lipschitz : float
        The weight lambda.
    noise : float
        The standard deviation of e.

    Yields
    ------
    Tensor
        A scalar with a graph to Z's parameters.

    Examples
    --------
    >>> import torch
    >>> from pretext.losses import path_losses
    >>> from pretext.networks import LatentOptimiser
    >>> generator = torch.Generator().manual_seed(0)
    >>> optimiser, path = LatentOptimiser(bottleneck=8, latent=3, hidden=16), torch.zeros(5, 2, 3)
    >>> losses = path_losses(
    ...     optimiser, torch.zeros(2, 8), path, generator, whole=False, kind="l1", lipschitz=0.1, noise=0.1
    ... )
    >>> len(list(losses))  # of the four steps
    4
    """
    lengths = (path[1:] - path[:-1]).norm(dim=-1)  # (M, B)
    if not len(lengths):
        return
    flat = bottleneck.flatten(1)  # (B, F s s)
    # h and h + e pass through Z as one batch; only the rows of h + e are computed anew for each
    # step
    both = flat.repeat(2, 1)  # (2 B, F s s)
    for part in torch.arange(len(lengths)).split(len(lengths) if whole else 1):
        current, following = path[part].flatten(0, 1), path[part + 1].flatten(0, 1)  # (m B, D)
        length = lengths[part].flatten()
        torch.add(flat, noise * randn(*flat.shape, generator=generator), out=both[len(flat) :])
        precomputed = latent_optimiser.precompute(both).unflatten(0, (2, 1, -1))  # (2, 1, B, hidden)
        precomputed = precomputed.expand(-1, len(part), -1, -1).flatten(0, 2)  # (2 m B, hidden)
        shift = randn(len(part), len(flat), current.shape[1], generator=generator, rows_in=1).flatten(0, 1)
        latents = torch.cat([current, current + noise * shift])
        predicted, predicted_rho = latent_optimiser.from_precomputed(precomputed, latents)  # (2 m B, D), (2 m B)
        (towards, noisy_towards), (rho, noisy_rho) = predicted.chunk(2), predicted_rho.chunk(2)
        loss = distance(towards, rho, following, length, kind)
        yield loss + lipschitz * distance(noisy_towards, noisy_rho, towards, rho, kind)


def distance(towards: Tensor, rho: Tensor, following: Tensor, length: Tensor, kind: PathLoss) -> Tensor:
    """Compute the mean distance between Z's outputs and what they should be.

    Parameters
    ----------
    towards, following : Tensor, shape (m B, D)
        The predicted and the true next latents.
    rho, length : Tensor, shape (m B,)
        The predicted and the true step lengths.
    kind : {"l1", "l2"}
        Mean absolute or mean squared distance.

    Returns
    -------
    Tensor, a scalar
    """
    joined = torch.cat([towards - following, (rho - length)[:, None]], dim=1)
    return joined.abs().mean() if kind == "l1" else joined.square().mean()
