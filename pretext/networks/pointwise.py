"""The encoder H and the generator G for data without extent: perceptrons of three layers.

Source: the first paper's toy (cGML, section 4). They have the members of
``pretext.networks.encoder_decoder.Encoder`` and ``Generator`` that methods use.

Letters in shapes: B batch, C channels, F width of the layers, D dimensions of z.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn


class Precomputed(NamedTuple):
    """The part of a generator's computation that depends on the condition alone.

    Attributes
    ----------
    first : Tensor
        Output of the first layer for h: (B, F) here, (B, F', 2s, 2s) in
        ``pretext.networks.encoder_decoder``.
    skips : tuple of Tensor
        Activations of H that are added to those of G; none here.
    """

    first: Tensor
    skips: tuple[Tensor, ...]


class PointwiseEncoder(nn.Module):
    """The encoder H from values to the bottleneck h, (B, C, 1, 1) -> (B, F, 1, 1).

    Parameters
    ----------
    channels : int
        Number C of values of a condition.
    width : int
        Units F of all layers.

    Examples
    --------
    >>> import torch
    >>> from pretext.networks import PointwiseEncoder
    >>> PointwiseEncoder(channels=1, width=16)(torch.zeros(2, 1, 1, 1)).shape
    torch.Size([2, 16, 1, 1])
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(channels, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width)
        )

    def forward(self, condition: Tensor) -> Tensor:
        """Compute the bottleneck h, (B, F, 1, 1), of conditions (B, C, 1, 1)."""
        bottleneck: Tensor = self.layers(condition.flatten(1))[:, :, None, None]
        return bottleneck

    def features(self, condition: Tensor) -> Tensor:
        """Compute the features of conditions (B, C, 1, 1): the flattened bottleneck, (B, F)."""
        bottleneck: Tensor = self(condition)
        return bottleneck.flatten(1)

    def with_skips(self, condition: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Compute the bottleneck h, (B, F, 1, 1), and an empty tuple: this encoder has no skips."""
        return self(condition), ()

    def activations(self, condition: Tensor) -> dict[str, Tensor]:
        """Compute all layers (B, F) by name: ``layer1``, ``layer2`` and ``bottleneck``."""
        first = self.layers[:2](condition.flatten(1))
        second = self.layers[2:4](first)
        return {"layer1": first, "layer2": second, "bottleneck": self.layers[4:](second)}


class PointwiseGenerator(nn.Module):
    """The generator G from bottleneck and latent to values, (B, F, 1, 1), (B, D) -> (B, C, 1, 1).

    The first layer is split as in ``pretext.networks.encoder_decoder.Generator``.

    Parameters
    ----------
    width : int
        Units F of all layers.
    latent : int
        Dimensions D of z; 0 for a generator that gives one output for each condition.
    out_channels : int
        Number C of values of a target.
    bounded : bool
        Whether outputs are squashed into [-1, 1].

    Examples
    --------
    >>> import torch
    >>> from pretext.networks import PointwiseGenerator
    >>> generator = PointwiseGenerator(width=16, latent=2, out_channels=3, bounded=False)
    >>> generator(torch.zeros(5, 16, 1, 1), torch.zeros(5, 2)).shape
    torch.Size([5, 3, 1, 1])
    """

    def __init__(self, width: int, latent: int, out_channels: int, bounded: bool) -> None:
        super().__init__()
        self.bounded = bounded
        self.first_h = nn.Linear(width, width)
        self.first_z = nn.Linear(latent, width, bias=False) if latent else None
        self.rest = nn.Sequential(nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, out_channels))

    def precompute(self, bottleneck: Tensor, skips: tuple[Tensor, ...] = ()) -> Precomputed:
        """Compute the part of the first layer that depends on h (B, F, 1, 1) alone."""
        return Precomputed(self.first_h(bottleneck.flatten(1)), skips)

    def from_precomputed(self, precomputed: Precomputed, latent: Tensor) -> Tensor:
        """Compute outputs (B, C, 1, 1) from the result of ``precompute`` and latents (B, D)."""
        joined = precomputed.first if self.first_z is None else precomputed.first + self.first_z(latent)
        values: Tensor = self.rest(joined)[:, :, None, None]
        return torch.tanh(values) if self.bounded else values

    def forward(self, bottleneck: Tensor, latent: Tensor, skips: tuple[Tensor, ...] = ()) -> Tensor:
        """Compute outputs (B, C, 1, 1) from bottlenecks h (B, F, 1, 1) and latents z (B, D)."""
        return self.from_precomputed(self.precompute(bottleneck), latent)
