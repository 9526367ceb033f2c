"""cGML's encoder and generator as a generator of K samples: for spectral maps, the toys, and any other data.

The noise is one vector z ~ N(0, 1) for each sample, tiled over the bottleneck (``pretext.networks.encoder_decoder``); data without
extent goes through perceptrons of three layers (``pretext.networks.pointwise``). What depends on the condition alone is
computed once. Letters in shapes: B batch, K samples, C channels, S side lengths, D dimensions of z.
"""

from dataclasses import replace

import torch
from torch import Tensor, nn

from pretext.data.batch import Problem
from pretext.networks.encoder_decoder import encoder_and_generator
from pretext.networks.pointwise import Prepared
from pretext.randomness import randn


class LatentGenerator(nn.Module):
    """Conditions (B, C, S, S) to K answers each, (B, K, C', S, S), without a bound.

    Parameters
    ----------
    problem : Problem
        Shapes of condition and target.
    out_channels : int
        C', which need not be the target's.
    width, code : int
        As of ``encoder_and_generator``.
    noise : int
        Dimensions D of z; 0 for a network that answers once.
    skips : bool
        Whether activations of the encoder are added to those of the generator.
    """

    def __init__(self, problem: Problem, out_channels: int, width: int, code: int, noise: int, skips: bool) -> None:
        super().__init__()
        self.noise, self.skips = noise, skips
        wanted = replace(problem, target=(out_channels, *problem.target[1:]), bounded=False)
        self.encoder, self.generator, _ = encoder_and_generator(wanted, width, code, noise)

    def activations(self, condition: Tensor) -> dict[str, Tensor]:
        """The encoder's own, by name."""
        return self.encoder.activations(condition)

    def features(self, condition: Tensor) -> Tensor:
        """The bottleneck (B, F s s)."""
        bottleneck: Tensor = self.encoder(condition)
        return bottleneck.flatten(1)

    def forward(self, condition: Tensor, samples: int, generator: torch.Generator | None = None) -> Tensor:
        """K answers (B, K, C', S, S) to each condition (B, C, S, S); ``generator`` draws z."""
        bottleneck, skips = self.encoder.with_skips(condition)
        prepared = self.generator.prepare(bottleneck, skips if self.skips else ())
        many = Prepared(repeat(prepared.first, samples), tuple(repeat(skip, samples) for skip in prepared.skips))
        latent = randn(len(condition) * samples, self.noise, generator=generator) if self.noise else None
        answer = self.generator.from_prepared(many, condition.new_empty(0, 0) if latent is None else latent)
        return answer.unflatten(0, (len(condition), samples))


def draw_noise(like: Tensor, samples: int, channels: int, generator: torch.Generator | None) -> Tensor:
    """Standard normal maps (B K, channels, H, W) beside maps (B, C, H, W), another one for each sample.

    Without channels nothing is drawn and no generator is needed.
    """
    shape = (len(like) * samples, channels, *like.shape[2:])
    if not channels:
        return like.new_empty(shape)
    # beside maps of this memory format, which the convolutions take less time on
    return randn(*shape, generator=generator).contiguous(memory_format=torch.channels_last)


def add_shared(own: Tensor, shared: Tensor) -> Tensor:
    """Each sample's own part (B K, C, H, W) and what the samples of a condition share (B, C, H, W): (B K, C, H, W)."""
    return (own.unflatten(0, (len(shared), -1)) + shared[:, None]).flatten(0, 1)


def repeat(shared: Tensor, samples: int) -> Tensor:
    """What the samples share (B, C, H, W), once for each of them: (B K, C, H, W)."""
    return shared.repeat_interleave(samples, dim=0) if samples > 1 else shared
