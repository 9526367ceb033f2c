"""A running mean of a generator's parameters, which answers are made with.

m <- d m + (1 - d) w after each step, beginning with the w after the first one (Karras et al., *Progressive growing of
GANs*, ICLR 2018, appendix A). A GAN's generator goes round what it is after; its mean is steadier.
"""

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from pretext.drawing import leads


def running_mean(network: nn.Module, decay: float) -> AveragedModel | None:
    """A copy of a network that takes no gradients, for ``follow``; None where the decay d is 0."""
    if not decay:
        return None
    mean = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(decay))
    mean.requires_grad_(False)
    return mean


def follow(mean: AveragedModel | None, network: nn.Module, generator: torch.Generator) -> None:
    """Take over a step of the network, once however many parts the batch is worked through in.

    ``generator`` is that of the part; the first one's counts the step.
    """
    if mean is not None and leads(generator):
        mean.update_parameters(network)
