"""A residual perceptron on the coefficients of spectral maps.

It reads the standardised coefficients up to some order, together with their ring norms sqrt(c(k, l,
m)^2 + c(k, l, -m)^2). Ring norms do not change when an object turns about the vertical axis. They
are products, which a perceptron could only approximate. They are computed from the coefficients in
their original units and divided by their root mean square over the training set.

Letters in shapes: B batch, C, H, W of the map, N coefficients read, R rings, U hidden units, D
features.
"""

import numpy as np
import torch
from torch import Tensor, nn

from data_prep.layout import find_cells, find_orders, list_indices
from pretext.data.standardise import Standardiser


class Block(nn.Module):
    """x + f(x), where f is a normalisation and two layers, (B, U) -> (B, U)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))

    def forward(self, values: Tensor) -> Tensor:
        """Add f(values) to values (B, U)."""
        total: Tensor = values + self.layers(values)
        return total


class CoefficientEncoder(nn.Module):
    """An encoder of maps of coefficients, (B, C, H, W) -> (B, D).

    Parameters
    ----------
    standardise : Standardiser
        Basis and statistics of the maps; the basis must not be that of images.
    highest_order : int
        Highest order n of the coefficients that are read (l where the basis has no n); 0 for all.
    width : int
        Number U of units of the hidden layers.
    code : int
        Size D of the last layer.

    Examples
    --------
    >>> import torch
    >>> from data_prep import harmonics_basis
    >>> from pretext.data import Standardiser
    >>> from pretext.networks import CoefficientEncoder
    >>> basis = harmonics_basis(4, 2)
    >>> standardise = Standardiser.from_statistics(basis, torch.zeros(basis.shape), torch.ones(basis.shape))
    >>> encoder = CoefficientEncoder(standardise, highest_order=0, width=32, code=16)
    >>> encoder(torch.zeros(3, *basis.shape)).shape
    torch.Size([3, 16])
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
        order = find_orders(basis).reshape(-1)[find_cells(basis)]
        read = np.flatnonzero(order <= (highest_order or order.max()))
        m = list_indices(basis)[read, 2]
        rings = np.flatnonzero(m >= 0)
        # these buffers are not part of a checkpoint: they follow from the settings and the basis in
        # it
        self.register_buffer("places", torch.from_numpy(find_cells(basis)[read]), persistent=False)
        # the orders of one (k, l) run from -m to m, and either all of them are read or none
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
        """Compute the code (B, D) of standardised maps (B, C, H, W); the projector reads it."""
        return self.activations(maps)["code"]

    def activations(self, maps: Tensor) -> dict[str, Tensor]:
        """Compute all layers by name: ``block1``, ``block2`` (B, U) and ``code`` (B, D)."""
        values = maps.flatten(1)[:, self.places]  # (B, N)
        original = values * self.std + self.mean
        rings = torch.hypot(original[:, self.upper], original[:, self.lower]) / self.size  # (B, R)
        first = self.blocks[0](self.first(torch.cat([values, rings], dim=1)))
        second = self.blocks[1](first)
        return {"block1": first, "block2": second, "code": self.to_code(second)}

    def features(self, maps: Tensor) -> Tensor:
        """Compute the features of standardised maps (B, C, H, W): the code (B, D)."""
        return self(maps)
