"""The networks of MR-GAN by task: the paper's three base models, and cGML's networks for all other data.

========  =====================================  ==================================================
base      generator                              discriminator
========  =====================================  ==================================================
unet      ``unet``, of pix2pix                   patches of condition and sample
residual  ``residual_generator``, of SRGAN       the whole sample
dilated   ``dilated_generator``, of GLCIC        the whole sample, and a crop around the hole
latent    ``networks.latent_generator``, cGML's  patches (or points) of condition and sample
========  =====================================  ==================================================

``auto`` chooses by the problem: dilated for images with a hole, residual for images to be enlarged,
unet for other images, latent for spectral maps and for data without extent.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from pretext.data.batch import Example, Problem
from pretext.methods.mr_gan.dilated_generator import DilatedGenerator, GlobalLocalDiscriminator
from pretext.methods.mr_gan.residual_generator import EnlargementDiscriminator, ResidualGenerator
from pretext.methods.mr_gan.unet import UNet
from pretext.networks.discriminators import PatchDiscriminator, PointDiscriminator
from pretext.networks.latent_generator import LatentGenerator

Base = Literal["unet", "residual", "dilated", "latent"]
BaseName = Literal["auto", "unet", "residual", "dilated", "latent"]
SampleGenerator = UNet | ResidualGenerator | DilatedGenerator | LatentGenerator


def choose_base(name: BaseName, problem: Problem) -> Base:
    """Return the base of that name; for ``auto`` choose the one that suits the problem."""
    if name != "auto":
        return name
    if problem.target[1:] == (1, 1) or not problem.bounded:
        return "latent"
    if problem.zoom > 1:
        return "residual"
    return "dilated" if problem.hole else "unet"


def build_generator(
    base: Base, problem: Problem, out_channels: int, *, width: int, code: int, noise: int, skips: bool
) -> SampleGenerator:
    """Build the base's generator from conditions (B, C, S, S) to K samples of ``out_channels`` channels each.

    Raises
    ------
    UserError
        If the images are too small for it.
    """
    if base == "unet":
        return UNet(problem.condition, out_channels, width, noise)
    if base == "residual":
        return ResidualGenerator(problem.condition, out_channels, width, noise, problem.zoom)
    if base == "dilated":
        return DilatedGenerator(problem.condition, out_channels, width, noise)
    return LatentGenerator(problem, out_channels, width, code, noise, skips)


class BaseDiscriminator(nn.Module):
    """The base's discriminator: logits (B, P) that samples are real, from all that the base lets it see."""

    def __init__(self, base: Base, problem: Problem, width: int, code: int) -> None:
        super().__init__()
        self.sees_condition = base in ("unet", "latent")
        channels = problem.target[0] + (problem.condition[0] if self.sees_condition else 0)
        self.network: nn.Module
        if base == "dilated":
            self.network = GlobalLocalDiscriminator(problem.target, width)
        elif base == "residual":
            self.network = EnlargementDiscriminator(problem.target[0], width)
        elif problem.target[1:] == (1, 1):
            self.network = PointDiscriminator(channels, code)
        else:
            self.network = PatchDiscriminator((channels, *problem.target[1:]), width)

    def forward(self, samples: Tensor, example: Example) -> Tensor:
        """Compute logits (B, P) of samples (B, C', S, S) for an example's conditions; its target is not used."""
        logits: Tensor
        if isinstance(self.network, GlobalLocalDiscriminator):
            logits = self.network(samples, example.weight)
        else:
            logits = self.network(torch.cat([example.condition, samples], dim=1) if self.sees_condition else samples)
        return logits
