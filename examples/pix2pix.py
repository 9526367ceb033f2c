"""pix2pix: a conditional GAN with noise and an L1 term (Isola et al., CVPR 2017).

H and G predict the target y from the condition x and noise z. The discriminator D sees the
condition next to an image and gives a logit for each patch: "this patch is real".
"""

import torch
from shared import draw_batches, hide_middle, open_training_split, print_losses, read_steps

from pretext.data import Problem
from pretext.losses import discriminator_loss, fill_from_target, generator_loss, sample_error
from pretext.networks import PatchDiscriminator, build_encoder_and_generator

LATENT = 8  # dimensions of z


def train(steps: int) -> None:
    """Train D, then H and G, on each batch."""
    torch.manual_seed(0)
    digits = open_training_split("digits")
    channels, *side = shape = digits.maps.basis.shape  # (C, H, W)
    problem = Problem(condition=shape, target=shape, bounded=True)
    encoder, generator, _ = build_encoder_and_generator(problem, width=32, code=64, latent=LATENT)  # H, G
    discriminator = PatchDiscriminator((2 * channels, *side), width=32)  # D
    main = torch.optim.Adam([*encoder.parameters(), *generator.parameters()], lr=1e-3, betas=(0.5, 0.999))
    other = torch.optim.Adam(discriminator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    for step, images in draw_batches(digits, steps):
        x, y, _ = example = hide_middle(images)
        z = torch.randn(len(images), LATENT)
        prediction = generator(encoder(x), z)  # G(H(x), z)
        real = torch.cat([x, y], dim=1)
        fake = torch.cat([x, fill_from_target(prediction, example)], dim=1)

        # equation 1, for D: -log D(x, y) - log(1 - D(x, G(H(x), z))), halved
        of_discriminator = discriminator_loss(discriminator(real), discriminator(fake.detach()))
        other.zero_grad()
        of_discriminator.backward()
        other.step()

        adversarial = generator_loss(discriminator(fake))  # equation 1, for G: -log D(x, G(H(x), z))
        error = sample_error(prediction, example).mean()  # equation 3
        main.zero_grad()
        (adversarial + 100 * error).backward()  # equation 4
        main.step()
        print_losses(step, steps, loss=error, adversarial=adversarial, discriminator=of_discriminator)


if __name__ == "__main__":
    train(read_steps(200))
