"""MR-GAN: the moments of several samples match those of a predictor (Lee et al., ICLR 2019).

The predictor P gives for each condition x the mean and the log variance of the target y. The
generator G draws K samples y_1 .. y_K for x. A reconstruction loss would drive their variance to
zero. The moment loss (section 4, variant proxy-MR2) compares their mean mu and their variance s2
with those of P, mu^ and s2^. The discriminator D of ``pix2pix.py`` makes the samples look real.
"""

import torch
from shared import draw_batches, hide_middle, open_training_split, print_losses, read_steps

from pretext.data import Problem
from pretext.losses import (
    Moments,
    discriminator_loss,
    fill_from_target,
    find_variant,
    gaussian_likelihood,
    generator_loss,
    moment_losses,
)
from pretext.networks import LatentGenerator, PatchDiscriminator

SAMPLES = 8  # K
SLACK = 0.01  # added to the squared errors, so that no variance can fall to 0


def train(steps: int) -> None:
    """Train P for half of the steps; then D and G on each batch."""
    torch.manual_seed(0)
    noise = torch.Generator().manual_seed(0)
    digits = open_training_split("digits")
    channels, *side = shape = digits.maps.basis.shape  # (C, H, W)
    problem = Problem(condition=shape, target=shape, bounded=True)
    predictor = LatentGenerator(problem, 2 * channels, width=16, code=64, noise=0, skips=False)  # P
    generator = LatentGenerator(problem, channels, width=16, code=64, noise=16, skips=False)  # G
    discriminator = PatchDiscriminator((2 * channels, *side), width=16)  # D
    of_predictor = torch.optim.Adam(predictor.parameters(), lr=1e-3)
    main = torch.optim.Adam(generator.parameters(), lr=1e-3, betas=(0.5, 0.999))
    other = torch.optim.Adam(discriminator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    for step, images in draw_batches(digits, steps):
        x, y, weight = example = hide_middle(images)
        mean, log_variance = predictor(x, 1)[:, 0].chunk(2, dim=1)
        if step < steps // 2:  # ((y - mu^)^2 / s2^ + log s2^) / 2, the likelihood of y
            likelihood = gaussian_likelihood(mean, log_variance, y, weight, SLACK)
            of_predictor.zero_grad()
            likelihood.backward()
            of_predictor.step()
            print_losses(step, steps, likelihood=likelihood)
            continue

        samples = torch.tanh(generator(x, SAMPLES, noise))  # (B, K, C, H, W)
        real = torch.cat([x, y], dim=1)
        fake = torch.cat([x, fill_from_target(samples[:, 0], example)], dim=1)
        of_discriminator = discriminator_loss(discriminator(real), discriminator(fake.detach()))
        other.zero_grad()
        of_discriminator.backward()
        other.step()

        predicted = Moments(mean.detach(), log_variance.detach().exp())
        # (mu - mu^)^2 and (s2 - s2^)^2
        centre, dispersion = moment_losses(find_variant("gaussian-proxy-mr2"), samples, weight, predicted=predicted)
        loss = 10 * centre + 10 * dispersion
        main.zero_grad()
        (loss + generator_loss(discriminator(fake))).backward()
        main.step()
        print_losses(step, steps, loss=loss, centre=centre, dispersion=dispersion, discriminator=of_discriminator)


if __name__ == "__main__":
    train(read_steps(200))
