"""Rotation prediction: which of four rotations was applied to an image (RotNet: Gidaris et al., ICLR 2018).

Each image is rotated by 0, 90, 180 and 270 degrees. The network predicts the rotation, a label that
needs no person. What it learns for that are its features.
"""

import torch
from shared import draw_batches, open_training_split, print_losses, read_steps
from torch import nn

from pretext.networks import ImageEncoder

ROTATIONS = 4  # K


def train(steps: int) -> None:
    """Train the network."""
    torch.manual_seed(0)
    digits = open_training_split("digits")
    encoder = ImageEncoder(channels=1, width=16, code=64)
    classifier = nn.Linear(64, ROTATIONS)
    optimiser = torch.optim.Adam([*encoder.parameters(), *classifier.parameters()], lr=1e-3)
    for step, images in draw_batches(digits, steps):
        rotated = torch.cat([torch.rot90(images, number, dims=(2, 3)) for number in range(ROTATIONS)])
        labels = torch.arange(ROTATIONS).repeat_interleave(len(images))
        logits = classifier(encoder(rotated))
        # -1/K sum_y log F^y(g(x | y)): the log probability of rotation y for the image rotated by y
        loss = nn.functional.cross_entropy(logits, labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        print_losses(step, steps, loss=loss, accuracy=(logits.argmax(dim=1) == labels).float().mean())


if __name__ == "__main__":
    train(read_steps(150))
