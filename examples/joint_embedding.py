"""Joint embedding: two views of a shape get the same features (VICReg: Bardes et al., ICLR 2022).

A view is the shape's spectral map, rotated about the vertical by a random angle and mirrored with
probability 1/2. An encoder f gives features, a projector g embeddings Z = g(f(x)).
"""

import torch
from shared import draw_batches, open_training_split, print_losses, read_steps
from torch import nn

from pretext.data import SpectralAugment, Standardiser
from pretext.losses import vicreg_terms
from pretext.networks import CoefficientEncoder

FEATURES, EMBEDDING = 64, 128


def train(steps: int) -> None:
    """Train encoder and projector."""
    torch.manual_seed(0)
    angles = torch.Generator().manual_seed(0)
    shapes = open_training_split("shapes", degree=8)
    maps = shapes.maps
    augment = SpectralAugment(maps.basis, maps.mean, maps.std)
    encoder = CoefficientEncoder(Standardiser.of(maps), highest_order=0, width=128, code=FEATURES)  # f
    projector = nn.Sequential(  # g
        nn.Linear(FEATURES, EMBEDDING), nn.BatchNorm1d(EMBEDDING), nn.ReLU(), nn.Linear(EMBEDDING, EMBEDDING)
    )
    optimiser = torch.optim.AdamW([*encoder.parameters(), *projector.parameters()], lr=2e-3)
    for step, batch in draw_batches(shapes, steps, size=128):
        views = torch.cat([augment.random(batch, angles) for _ in range(2)])
        first, second = projector(encoder(views)).chunk(2)  # Z, Z'
        # equations 5, 1 and 4: s(Z, Z'), then v and c of both views
        invariance, variance, covariance = vicreg_terms(first, second)
        loss = 25 * invariance + 25 * variance + covariance  # equation 6
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        print_losses(step, steps, loss=loss, invariance=invariance, variance=variance, covariance=covariance)


if __name__ == "__main__":
    train(read_steps(100))
