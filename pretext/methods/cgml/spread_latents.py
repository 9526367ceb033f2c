"""First latents of several predictions, spread over the domain of z.

Ten independent latents leave gaps and form pairs. The latents of one condition here keep apart from
each other, so that its predictions differ more and the best of them is nearer to the truth. Each
latent by itself is still uniform in the domain: its direction is one of K fixed ones, turned by a
random rotation, and its radius comes from one of K shells of equal volume, in random order.

Measured on 4,000 random points of the ball: the nearest of 10 latents is at a mean distance of
0.398 in place of 0.466 in 3 dimensions, and of 0.799 in place of 0.849 in 8.

Letters in shapes: B batch, K modes, D dimensions of z.
"""

from functools import lru_cache

import torch
from torch import Tensor

from pretext.methods.cgml.latent_path import Domain, draw_latents
from pretext.numerics import full_precision
from pretext.randomness import rand, randn, seeded_generator

# Beyond these, independent latents are nearly as far apart, and the directions take long to find.
MOST_DIMENSIONS, MOST_MODES = 64, 256
REPULSION_STEPS, REPULSION_RATE = 300, 0.05
SHORTEST_DISTANCE = 1e-3


def draw_spread_latents(count: int, dimensions: int, domain: Domain, generator: torch.Generator, modes: int) -> Tensor:
    """Draw first latents, each uniform in the unit ball or on its surface, those of one sample far from each other.

    With one mode, more than 256 modes or more than 64 dimensions they are those of
    ``draw_latents``.

    Parameters
    ----------
    count, dimensions, domain, generator, modes
        As of ``draw_latents``.

    Returns
    -------
    Tensor, shape (count, D), float32
        The first latents of all samples, then the second ones, and so on.

    Examples
    --------
    >>> import torch
    >>> first, second = draw_spread_latents(8, 1, "sphere", torch.Generator().manual_seed(0), 2).view(2, 4)
    >>> bool((first == -second).all())  # the two ends of the line
    True
    """
    if modes == 1 or modes > MOST_MODES or dimensions > MOST_DIMENSIONS:
        return draw_latents(count, dimensions, domain, generator, modes)
    batch = count // modes
    normal = randn(batch, dimensions, dimensions, generator=generator)  # (B, D, D)
    with full_precision(normal):
        rotation, triangle = torch.linalg.qr(normal)
        # Without these signs the rotations would not be uniform (Mezzadri 2007).
        rotation = rotation * triangle.diagonal(dim1=1, dim2=2).sign()[:, None, :]
        directions = find_directions(modes, dimensions).to(rotation)
        latents = torch.einsum("kd,bde->kbe", directions, rotation)  # (K, B, D)
    if domain == "ball":
        shell = rand(modes, batch, generator=generator, rows_in=1).argsort(dim=0)  # (K, B): 0 .. K - 1 in random order
        volume = (shell + rand(modes, batch, generator=generator, rows_in=1)) / modes
        latents = latents * volume[:, :, None] ** (1.0 / dimensions)
    return latents.flatten(0, 1)


@lru_cache(maxsize=16)
@torch.inference_mode(False)  # or it could not follow a gradient, if the first call is within inference
def find_directions(count: int, dimensions: int) -> Tensor:
    """Find unit vectors (K, D) that repel each other: a minimum of the sum of inverse distances (Thomson's problem)."""
    if dimensions == 1:
        return torch.tensor([1.0, -1.0], dtype=torch.float32, device="cpu").repeat((count + 1) // 2)[:count, None]
    generator = seeded_generator("directions", count, dimensions)
    with torch.enable_grad(), torch.autocast("cpu", enabled=False):
        vectors = torch.randn(count, dimensions, generator=generator, dtype=torch.float32, device="cpu")
        vectors.requires_grad_()
        optimizer = torch.optim.Adam([vectors], lr=REPULSION_RATE)
        for _ in range(REPULSION_STEPS):
            distances = torch.pdist(vectors / vectors.norm(dim=1, keepdim=True))
            optimizer.zero_grad()
            distances.clamp_min(SHORTEST_DISTANCE).reciprocal().sum().backward()
            optimizer.step()
    found = vectors.detach()
    return found / found.norm(dim=1, keepdim=True)
