"""Regression: complete digits whose middle is hidden, by the error alone.

An encoder H turns the condition x into a bottleneck h, and a generator G turns h into a prediction
of the target y. This is the first baseline of the cGML paper ("L1 only"). There is one prediction
for each condition: where several completions are valid, it is their median.
"""

import torch
from shared import draw_batches, hide_middle, open_training_split, print_losses, read_steps

from pretext.data import Problem
from pretext.losses import sample_error
from pretext.networks import build_encoder_and_generator


def train(steps: int) -> None:
    """Train H and G."""
    torch.manual_seed(0)
    digits = open_training_split("digits")
    shape = digits.maps.basis.shape  # (C, H, W)
    problem = Problem(condition=shape, target=shape, bounded=True)
    encoder, generator, _ = build_encoder_and_generator(problem, width=32, code=64, latent=0)  # H, G
    optimiser = torch.optim.Adam([*encoder.parameters(), *generator.parameters()], lr=1e-3)
    for step, images in draw_batches(digits, steps):
        example = hide_middle(images)  # x, y and a weight w
        no_latent = images.new_empty(len(images), 0)
        prediction = generator(encoder(example.condition), no_latent)  # G(H(x))
        # E = sum_i w_i |G(H(x))_i - y_i| / sum_i w_i, where w is 1 in the hidden square
        loss = sample_error(prediction, example).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        print_losses(step, steps, loss=loss)


if __name__ == "__main__":
    train(read_steps(200))
