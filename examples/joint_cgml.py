"""Joint cGML: the losses of cGML and of the joint embedding on one encoder.

``cgml.py`` and ``joint_embedding.py`` explain the two losses. Here the encoder H of cGML also has a
projector. The condition x, a digit whose middle is hidden, and the target y, the whole digit, are
the two views. To stay short, this example leaves out the latent optimiser Z, which ``cgml.py``
trains next to H and G.
"""

import torch
from shared import draw_batches, hide_middle, open_training_split, print_losses, read_steps
from torch import nn

from pretext.data import Problem
from pretext.losses import sample_error, vicreg_terms
from pretext.networks import build_encoder_and_generator

LATENT, MOVES, BETA, EMBEDDING = 10, 5, 30.0, 128


def train(steps: int) -> None:
    """Train H and G by cGML, then H and the projector by VICReg, on each batch."""
    torch.manual_seed(0)
    digits = open_training_split("digits")
    shape = digits.maps.basis.shape  # (C, H, W)
    problem = Problem(condition=shape, target=shape, bounded=True)
    encoder, generator, size = build_encoder_and_generator(problem, width=16, code=64, latent=LATENT)  # H, G
    projector = nn.Sequential(
        nn.Linear(size, EMBEDDING), nn.BatchNorm1d(EMBEDDING), nn.ReLU(), nn.Linear(EMBEDDING, EMBEDDING)
    )
    # each loss has an optimiser of its own, so that the size of one does not matter to the other
    main = torch.optim.Adam([*encoder.parameters(), *generator.parameters()], lr=1e-3)
    joint = torch.optim.Adam([*encoder.parameters(), *projector.parameters()], lr=1e-3)
    for step, images in draw_batches(digits, steps):
        example = hide_middle(images)
        h = encoder(example.condition)
        z = nn.functional.normalize(torch.randn(len(images), LATENT))  # here on the unit sphere
        for _ in range(MOVES):  # algorithm 1: the latent z follows the gradient of the error E
            z.requires_grad_()
            error = sample_error(generator(h.detach(), z), example)
            (gradient,) = torch.autograd.grad(error.sum(), z)
            z = nn.functional.normalize(z.detach() - BETA * gradient)
        loss = sample_error(generator(h, z), example).mean()  # E(z_M)
        main.zero_grad()
        loss.backward()
        main.step()

        embeddings = projector(encoder.features(torch.cat([example.condition, example.target])))
        invariance, variance, covariance = vicreg_terms(*embeddings.chunk(2))
        embedding_loss = 25 * invariance + 25 * variance + covariance
        joint.zero_grad()
        embedding_loss.backward()
        joint.step()
        print_losses(step, steps, loss=loss, joint=embedding_loss)


if __name__ == "__main__":
    train(read_steps(150))
