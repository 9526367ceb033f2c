"""BicycleGAN: a conditional GAN whose latent can be read off its predictions (Zhu et al., NeurIPS 2017).

H and G predict the target y from the condition x and a latent z. Q predicts from an image the mean
and the log variance of the latent that made it. Two cycles are trained together: y -> z -> y (the
paper's cVAE-GAN) and z -> y -> z (its cLR-GAN). D is that of ``pix2pix.py``, one for both cycles.
"""

import torch
from shared import draw_batches, hide_middle, open_training_split, print_losses, read_steps
from torch import nn

from pretext.data import Problem
from pretext.losses import discriminator_loss, fill_from_target, generator_loss, sample_error
from pretext.networks import Encoder, PatchDiscriminator, build_encoder_and_generator, plan

LATENT = 8  # dimensions of z


def train(steps: int) -> None:
    """Train D, then H, G and Q, on each batch."""
    torch.manual_seed(0)
    digits = open_training_split("digits")
    channels, *side = shape = digits.maps.basis.shape  # (C, H, W)
    problem = Problem(condition=shape, target=shape, bounded=True)
    encoder, generator, size = build_encoder_and_generator(problem, width=32, code=64, latent=LATENT)  # H, G
    reader = nn.Sequential(Encoder(plan(shape, width=32), code=64), nn.Flatten(), nn.Linear(size, 2 * LATENT))  # Q
    discriminator = PatchDiscriminator((2 * channels, *side), width=32)  # D
    networks = nn.ModuleList([encoder, generator, reader])
    main = torch.optim.Adam(networks.parameters(), lr=1e-3, betas=(0.5, 0.999))
    other = torch.optim.Adam(discriminator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    for step, images in draw_batches(digits, steps):
        x, y, _ = example = hide_middle(images)
        mean, log_variance = reader(y).chunk(2, dim=1)  # Q(y)
        encoded = mean + torch.exp(log_variance / 2) * torch.randn_like(mean)  # z1 ~ Q(y)
        drawn = torch.randn_like(mean)  # z2 ~ N(0, 1)
        h = encoder(x)
        first, second = generator(h, encoded), generator(h, drawn)  # a1 = G(h, z1), a2 = G(h, z2)
        real = torch.cat([x, y], dim=1)
        fakes = [torch.cat([x, fill_from_target(fake, example)], dim=1) for fake in (first, second)]

        judgements = [discriminator_loss(discriminator(real), discriminator(fake.detach())) for fake in fakes]
        of_discriminator = torch.stack(judgements).mean()
        other.zero_grad()
        of_discriminator.backward()
        other.step()

        adversarial = sum(generator_loss(discriminator(fake)) for fake in fakes)  # for both cycles
        error = sample_error(first, example).mean()  # E(a1, y), of the cVAE-GAN
        # KL(Q(y) || N(0, 1)), of the cVAE-GAN
        divergence = (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1).mean() / 2
        # |Q(a2) - z2|, of the cLR-GAN: its gradient reaches H and G, not Q
        reader.requires_grad_(False)
        latent = (reader(second)[:, :LATENT] - drawn).abs().mean()
        reader.requires_grad_(True)
        main.zero_grad()
        (adversarial + 10 * error + 0.01 * divergence + 0.5 * latent).backward()
        main.step()
        print_losses(step, steps, loss=error, latent=latent, divergence=divergence, discriminator=of_discriminator)


if __name__ == "__main__":
    train(read_steps(150))
