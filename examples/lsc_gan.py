"""LSC-GAN: a GAN that is conditioned on features without showing them to D (Durall et al., VISAPP 2021).

A fixed extractor gives the code f of an image x; here f are the principal components of x. G makes
an image from noise z and the code. D sees pairs of images and learns from neighbours in the space
of codes which two belong together.
"""

import torch
from shared import draw_batches, open_training_split, print_losses, read_steps
from torch import nn

from pretext.losses import generator_loss, triple_coupled_loss
from pretext.networks import Generator, GlobalDiscriminator, plan

CODE, LATENT = 16, 16  # numbers of values of f and of z


def train(steps: int) -> None:
    """Train G, then D, on each batch: algorithm 2."""
    torch.manual_seed(0)
    digits = open_training_split("digits")
    channels, *side = shape = digits.maps.basis.shape  # (C, H, W)
    training = torch.stack([image for image, _ in digits]).flatten(1)
    components = torch.pca_lowrank(training, CODE)[2]  # (C H W, CODE)
    geometry = plan(shape, width=32)
    from_code = nn.Sequential(nn.Linear(CODE, geometry.bottleneck), nn.Unflatten(1, (-1, *geometry.side)))
    generator = Generator(geometry, LATENT, channels, bounded=True)  # G, with ``from_code``
    discriminator = GlobalDiscriminator((2 * channels, *side), width=32)  # D
    main = torch.optim.Adam([*from_code.parameters(), *generator.parameters()], lr=2e-4, betas=(0.5, 0.999))
    other = torch.optim.Adam(discriminator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    for step, x in draw_batches(digits, steps):
        f = x.flatten(1) @ components
        fake = generator(from_code(f), torch.randn(len(x), LATENT))  # G(z, f)
        loss = generator_loss(discriminator(torch.cat([x, fake], dim=1)))  # -log D([x, G(z, f)])
        main.zero_grad()
        loss.backward()
        main.step()

        # algorithm 1: the nearest and the farthest other sample of the batch, in L1
        distances = torch.cdist(f, f, p=1)
        farthest = x[distances.argmax(dim=1)]
        nearest = x[distances.fill_diagonal_(torch.inf).argmin(dim=1)]
        pairs = [torch.cat([x, image], dim=1) for image in (fake.detach(), nearest, farthest)]
        # -(log(1 - D([x, G(z, f)])) + log D([x, nearest]) + log(1 - D([x, farthest])))
        of_discriminator = triple_coupled_loss(*(discriminator(pair) for pair in pairs))
        other.zero_grad()
        of_discriminator.backward()
        other.step()
        print_losses(step, steps, loss=of_discriminator, generator=loss)


if __name__ == "__main__":
    train(read_steps(200))
