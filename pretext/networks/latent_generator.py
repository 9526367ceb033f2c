"""A generator of K samples for each condition, made of cGML's encoder and generator.

The noise is one vector z ~ N(0, 1) for each sample, tiled over the bottleneck
(``pretext.networks.encoder_decoder``). Data without extent uses perceptrons of three layers
(``pretext.networks.pointwise``). The part that depends on the condition alone is computed once for
all its samples.

Letters in shapes: B batch, K samples, C channels, S side lengths, F and s those of the bottleneck,
D dimensions of z.
"""

from dataclasses import replace

import torch
from torch import Tensor, nn

from pretext.data.batch import Problem
from pretext.networks.encoder_decoder import build_encoder_and_generator
from pretext.networks.pointwise import Precomputed
from pretext.randomness import randn


class LatentGenerator(nn.Module):
    """A generator of K unbounded samples for each condition, (B, C, S, S) -> (B, K, C', S, S).

    Parameters
    ----------
    problem : Problem
        Shapes of condition and target.
    out_channels : int
        Number C' of channels of the samples; it may differ from that of the target.
    width : int
        Channels after the first halving.
    code : int
        Size of the code; for data without extent the width of all layers.
    noise : int
        Dimensions D of z; 0 for a network whose K samples are equal.
    skips : bool
        Whether activations of the encoder are added to those of the generator.

    Examples
    --------
    >>> import torch
    >>> from pretext.data import Problem
    >>> from pretext.networks import LatentGenerator
    >>> images = Problem(condition=(1, 28, 28), target=(1, 28, 28), bounded=True)
    >>> network = LatentGenerator(images, out_channels=1, width=8, code=16, noise=4, skips=False)
    >>> network(torch.zeros(2, 1, 28, 28), 5, torch.Generator().manual_seed(0)).shape
    torch.Size([2, 5, 1, 28, 28])
    """

    def __init__(self, problem: Problem, out_channels: int, width: int, code: int, noise: int, skips: bool) -> None:
        super().__init__()
        self.noise, self.skips = noise, skips
        unbounded = replace(problem, target=(out_channels, *problem.target[1:]), bounded=False)
        self.encoder, self.generator, _ = build_encoder_and_generator(unbounded, width, code, noise)

    def activations(self, condition: Tensor) -> dict[str, Tensor]:
        """Compute the encoder's layers by name."""
        return self.encoder.activations(condition)

    def features(self, condition: Tensor) -> Tensor:
        """Compute the features of conditions (B, C, S, S): the flattened bottleneck (B, F s s)."""
        bottleneck: Tensor = self.encoder(condition)
        return bottleneck.flatten(1)

    def forward(self, condition: Tensor, samples: int, generator: torch.Generator | None = None) -> Tensor:
        """Generate K samples for each condition.

        Parameters
        ----------
        condition : Tensor, shape (B, C, S, S)
            Conditions.
        samples : int
            Number K of samples for each.
        generator : torch.Generator, optional
            The random number generator of z; not needed without z.

        Returns
        -------
        Tensor, shape (B, K, C', S, S)
        """
        bottleneck, skips = self.encoder.with_skips(condition)
        shared = self.generator.precompute(bottleneck, skips if self.skips else ())
        repeated = Precomputed(repeat(shared.first, samples), tuple(repeat(skip, samples) for skip in shared.skips))
        latent = randn(len(condition) * samples, self.noise, generator=generator) if self.noise else None
        maps = self.generator.from_precomputed(repeated, condition.new_empty(0, 0) if latent is None else latent)
        return maps.unflatten(0, (len(condition), samples))


def draw_noise(like: Tensor, samples: int, channels: int, generator: torch.Generator | None) -> Tensor:
    """Draw standard normal noise to join to K samples of each map.

    Parameters
    ----------
    like : Tensor, shape (B, C, H, W)
        The maps that the noise is joined to.
    samples : int
        Number K of samples; each has noise of its own.
    channels : int
        Channels of the noise; with 0 no random numbers are drawn.
    generator : torch.Generator, optional
        The random number generator; not needed without channels.

    Returns
    -------
    Tensor, shape (B K, channels, H, W)
    """
    shape = (len(like) * samples, channels, *like.shape[2:])
    if not channels:
        return like.new_empty(shape)
    # the maps have this memory format too, in which convolutions are faster
    return randn(*shape, generator=generator).contiguous(memory_format=torch.channels_last)


def add_shared(separate: Tensor, shared: Tensor) -> Tensor:
    """Add the part that samples share (B, C, H, W) to that of each sample (B K, C, H, W)."""
    return (separate.unflatten(0, (len(shared), -1)) + shared[:, None]).flatten(0, 1)


def repeat(shared: Tensor, samples: int) -> Tensor:
    """Repeat the part that the samples of a condition share, (B, C, H, W) -> (B K, C, H, W)."""
    return shared.repeat_interleave(samples, dim=0) if samples > 1 else shared
