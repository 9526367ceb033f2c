"""Context encoder: regression, and a discriminator that sees whole images (Pathak et al., CVPR 2016).

H and G predict the target y from the condition x, as in ``regression.py``. The discriminator D sees
an image alone, without its condition, and gives the logit of "this image is real".
"""

import torch
from shared import draw_batches, hide_middle, open_training_split, print_losses, read_steps

from pretext.data import Problem
from pretext.losses import discriminator_loss, fill_from_target, generator_loss, sample_error
from pretext.networks import GlobalDiscriminator, build_encoder_and_generator


def train(steps: int) -> None:
    """Train D, then H and G, on each batch."""
    torch.manual_seed(0)
    digits = open_training_split("digits")
    shape = digits.maps.basis.shape  # (C, H, W)
    problem = Problem(condition=shape, target=shape, bounded=True)
    encoder, generator, _ = build_encoder_and_generator(problem, width=32, code=64, latent=0)  # H, G
    discriminator = GlobalDiscriminator(shape, width=32)  # D
    # the paper trains H and G at ten times the rate of D
    main = torch.optim.Adam([*encoder.parameters(), *generator.parameters()], lr=1e-3, betas=(0.5, 0.999))
    other = torch.optim.Adam(discriminator.parameters(), lr=1e-4, betas=(0.5, 0.999))
    for step, images in draw_batches(digits, steps):
        example = hide_middle(images)
        prediction = generator(encoder(example.condition), images.new_empty(len(images), 0))  # G(H(x))
        fake = fill_from_target(prediction, example)  # outside the hole D sees the true image

        # equation 2, for D: -log D(y) - log(1 - D(G(H(x)))), halved
        of_discriminator = discriminator_loss(discriminator(images), discriminator(fake.detach()))
        other.zero_grad()
        of_discriminator.backward()
        other.step()

        reconstruction = sample_error(prediction, example, "l2").mean()  # equation 1
        adversarial = generator_loss(discriminator(fake))  # equation 2, for G: -log D(G(H(x)))
        main.zero_grad()
        (0.999 * reconstruction + 0.001 * adversarial).backward()  # equation 3
        main.step()
        print_losses(step, steps, loss=reconstruction, adversarial=adversarial, discriminator=of_discriminator)


if __name__ == "__main__":
    train(read_steps(200))
