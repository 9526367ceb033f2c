"""A residual perceptron on the coefficients of spectral maps.

It reads the standardised coefficients up to some order, and beside them their ring norms sqrt(c(k, l, m)^2 +
c(k, l, -m)^2), which no turn about the vertical changes: products, which a perceptron would have to put together. They
are those of the coefficients in their own units, divided by their root mean square.

Letters in shapes: B batch, C, H, W of the map, N coefficients read, R rings, D features.
"""

import numpy as np
import torch
from torch import Tensor, nn

from data_prep.layout import cells, index, orders
from pretext.data.standardise import Standardiser


class Block(nn.Module):
    """x + f(x) with f two layers behind a normalisation, (B, W) -> (B, W)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))

    def forward(self, values: Tensor) -> Tensor:
        """The sum."""
        total: Tensor = values + self.layers(values)
        return total


class PerceptronEncoder(nn.Module):
    """Maps of coefficients to features.

    Parameters
    ----------
    standardise : Standardiser
        Basis and statistics of the maps; the basis must not be that of images.
    highest_order : int
        Highest order n of the coefficients that are read (l where the basis has no n); 0 for all.
    width : int
        Units of the hidden layers.
    code : int
        Size D of the last layer.
    """

    places: Tensor
    upper: Tensor
    lower: Tensor
    mean: Tensor
    std: Tensor
    size: Tensor

    def __init__(self, standardise: Standardiser, highest_order: int, width: int, code: int) -> None:
        super().__init__()
        basis = standardise.basis
        order = orders(basis).reshape(-1)[cells(basis)]
        read = np.flatnonzero(order <= (highest_order or order.max()))
        m = index(basis)[read, 2]
        rings = np.flatnonzero(m >= 0)
        # not part of a checkpoint: they follow from the settings and the basis in it
        self.register_buffer("places", torch.from_numpy(cells(basis)[read]), persistent=False)
        # the orders of one (k, l) run from -m to m, and all of them are read or none
        self.register_buffer("upper", torch.from_numpy(rings), persistent=False)
        self.register_buffer("lower", torch.from_numpy(rings - 2 * m[rings]), persistent=False)
        mean, std = standardise.mean.flatten()[self.places], standardise.std.flatten()[self.places]
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("std", std, persistent=False)
        power = mean.square() + std.square()
        size = (power[self.upper] + power[self.lower]).sqrt().clamp(min=1e-6)
        self.register_buffer("size", size, persistent=False)
        self.first = nn.Linear(len(m) + len(rings), width)
        self.blocks = nn.Sequential(Block(width), Block(width))
        self.to_code = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, code), nn.GELU())

    def forward(self, maps: Tensor) -> Tensor:
        """What the projector reads and the features are: (B, D) of standardised maps (B, C, H, W)."""
        return self.activations(maps)["code"]

    def activations(self, maps: Tensor) -> dict[str, Tensor]:
        """What it computes, by name: ``block1``, ``block2`` (B, W) and ``code`` (B, D)."""
        values = maps.flatten(1)[:, self.places]  # (B, N)
        plain = values * self.std + self.mean
        rings = torch.hypot(plain[:, self.upper], plain[:, self.lower]) / self.size  # (B, R)
        first = self.blocks[0](self.first(torch.cat([values, rings], dim=1)))
        second = self.blocks[1](first)
        return {"block1": first, "block2": second, "code": self.to_code(second)}

    def features(self, maps: Tensor) -> Tensor:
        """The same (B, D)."""
        return self(maps)
