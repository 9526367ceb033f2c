"""H and G for data without extent: perceptrons of three layers, as in the first paper's toy (cGML, section 4).

They have the members of ``pretext.networks.encoder_decoder.Encoder`` and ``Generator`` that methods use. Letters in shapes: B batch,
C channels, F width of the layers, D dimensions of z.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn


class Prepared(NamedTuple):
    """What of a generator's work depends on the condition alone.

    Attributes
    ----------
    first : Tensor
        Its first layer on h: (B, F) here, (B, F', 2s, 2s) in ``pretext.networks.encoder_decoder``.
    skips : tuple of Tensor
        H's activations that are added to G's; none here.
    """

    first: Tensor
    skips: tuple[Tensor, ...]


class PerceptronEncoder(nn.Module):
    """H: (B, C, 1, 1) -> h (B, F, 1, 1)."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(channels, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width)
        )

    def forward(self, condition: Tensor) -> Tensor:
        """Bottleneck h, (B, F, 1, 1), of conditions (B, C, 1, 1)."""
        bottleneck: Tensor = self.layers(condition.flatten(1))[:, :, None, None]
        return bottleneck

    def features(self, condition: Tensor) -> Tensor:
        """What is handed out: the bottleneck, (B, F)."""
        bottleneck: Tensor = self(condition)
        return bottleneck.flatten(1)

    def with_skips(self, condition: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Bottleneck h, and no skips: there are none here."""
        return self(condition), ()

    def activations(self, condition: Tensor) -> dict[str, Tensor]:
        """What it computes, (B, F) by name: ``layer1``, ``layer2`` and ``bottleneck``."""
        first = self.layers[:2](condition.flatten(1))
        second = self.layers[2:4](first)
        return {"layer1": first, "layer2": second, "bottleneck": self.layers[4:](second)}


class PerceptronGenerator(nn.Module):
    """G: h (B, F, 1, 1) and z (B, D) -> (B, C, 1, 1); the first layer is split as in ``pretext.networks.encoder_decoder.Generator``."""

    def __init__(self, width: int, latent: int, out_channels: int, bounded: bool) -> None:
        super().__init__()
        self.bounded = bounded
        self.first_h = nn.Linear(width, width)
        self.first_z = nn.Linear(latent, width, bias=False) if latent else None
        self.rest = nn.Sequential(nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, out_channels))

    def prepare(self, bottleneck: Tensor, skips: tuple[Tensor, ...] = ()) -> Prepared:
        """The part of the first layer that depends on h (B, F, 1, 1) alone."""
        return Prepared(self.first_h(bottleneck.flatten(1)), skips)

    def from_prepared(self, prepared: Prepared, latent: Tensor) -> Tensor:
        """Answers (B, C, 1, 1) of prepared bottlenecks and latents (B, D)."""
        joined = prepared.first if self.first_z is None else prepared.first + self.first_z(latent)
        answer: Tensor = self.rest(joined)[:, :, None, None]
        return torch.tanh(answer) if self.bounded else answer

    def forward(self, bottleneck: Tensor, latent: Tensor, skips: tuple[Tensor, ...] = ()) -> Tensor:
        """Answers (B, C, 1, 1) of bottlenecks h (B, F, 1, 1) and latents z (B, D)."""
        return self.from_prepared(self.prepare(bottleneck), latent)
