"""Which networks MR-GAN takes for which task: the paper's three base models, and cGML's for all other data.

========  ==================================================  ====================================================
base      generator                                           discriminator
========  ==================================================  ====================================================
unet      ``pretext.methods.mr_gan.unet``, pix2pix                           of patches, sees condition and answer
residual  ``pretext.methods.mr_gan.residual_generator``, SRGAN               of whole answers
dilated   ``pretext.methods.mr_gan.dilated_generator``, GLCIC                of the whole answer and of a part around the hole
latent    ``pretext.networks.latent_generator``, cGML                  of patches, or of points; sees condition and answer
========  ==================================================  ====================================================

With ``auto`` the problem decides: pictures with a hole are dilated's, those to be made larger residual's, other
pictures unet's; spectral maps and data without extent go to latent.
"""

from typing import Literal

import torch
from torch import Tensor, nn

from pretext.data.batch import Example, Problem
from pretext.methods.mr_gan.dilated_generator import DilatedGenerator, GlobalLocalDiscriminator
from pretext.methods.mr_gan.residual_generator import ResidualGenerator
from pretext.methods.mr_gan.unet import UNet
from pretext.networks.discriminators import GlobalDiscriminator, PatchDiscriminator, PointDiscriminator
from pretext.networks.latent_generator import LatentGenerator

Base = Literal["unet", "residual", "dilated", "latent"]
BaseName = Literal["auto", "unet", "residual", "dilated", "latent"]
SampleGenerator = UNet | ResidualGenerator | DilatedGenerator | LatentGenerator


def choose_base(name: BaseName, problem: Problem) -> Base:
    """The base of that name, or the one that suits the problem."""
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
    """A generator of the base, conditions (B, C, S, S) to K answers of ``out_channels`` channels each.

    Raises
    ------
    UserError
        When pictures are too small for it.
    """
    if base == "unet":
        return UNet(problem.condition, out_channels, width, noise)
    if base == "residual":
        return ResidualGenerator(problem.condition, out_channels, width, noise, problem.zoom)
    if base == "dilated":
        return DilatedGenerator(problem.condition, out_channels, width, noise)
    return LatentGenerator(problem, out_channels, width, code, noise, skips)


class Judge(nn.Module):
    """The base's discriminator, given all that there is to see: (B, P) logits that answers are real."""

    def __init__(self, base: Base, problem: Problem, width: int, code: int) -> None:
        super().__init__()
        self.sees_condition = base in ("unet", "latent")
        channels = problem.target[0] + (problem.condition[0] if self.sees_condition else 0)
        self.network: nn.Module
        if base == "dilated":
            self.network = GlobalLocalDiscriminator(problem.target, width)
        elif base == "residual":
            self.network = GlobalDiscriminator(problem.target, width)
        elif problem.target[1:] == (1, 1):
            self.network = PointDiscriminator(channels, code)
        else:
            self.network = PatchDiscriminator((channels, *problem.target[1:]), width)

    def forward(self, answers: Tensor, example: Example) -> Tensor:
        """Logits (B, P) of answers (B, C', S, S) to an example's conditions; its target is not looked at."""
        logits: Tensor
        if isinstance(self.network, GlobalLocalDiscriminator):
            logits = self.network(answers, example.weight)
        else:
            logits = self.network(torch.cat([example.condition, answers], dim=1) if self.sees_condition else answers)
        return logits
