"""A convolutional network on the density that a spectral map stands for (``density``).

Letters in shapes: B batch, C, H, W of the map, G side of the grid, F channels, D' size of the last
layer.
"""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from pretext.data.standardise import Standardiser
from pretext.networks.basic_layers import build_norm
from pretext.networks.grids.density import DensityGrid

PARTS = 2  # the features are averages over so many parts of the cube along each axis: a coarse sense of position


class GridEncoder(nn.Module):
    """An encoder of maps of Zernike moments, by way of a grid, (B, C, H, W) -> (B, D').

    Parameters
    ----------
    standardise : Standardiser
        Basis and statistics of the maps.
    highest_order : int
        Highest order n of the coefficients that are read; 0 for all.
    grid : int
        Number G of cells on a side of the cube.
    width : int
        Channels F of the first two convolutions; the third has twice as many.
    code : int
        Size D' of the last layer, which the projector reads.

    Raises
    ------
    UserError
        If the maps are not Zernike moments.

    Examples
    --------
    >>> import torch
    >>> from data_prep import zernike_basis
    >>> from pretext.data import Standardiser
    >>> from pretext.networks import GridEncoder
    >>> basis = zernike_basis(4)
    >>> standardise = Standardiser.from_statistics(basis, torch.zeros(basis.shape), torch.ones(basis.shape))
    >>> encoder = GridEncoder(standardise, highest_order=0, grid=8, width=4, code=16)
    >>> maps = torch.zeros(3, *basis.shape)
    >>> encoder(maps).shape, encoder.features(maps).shape
    (torch.Size([3, 16]), torch.Size([3, 80]))
    """

    def __init__(self, standardise: Standardiser, highest_order: int, grid: int, width: int, code: int) -> None:
        super().__init__()
        self.density = DensityGrid(standardise, highest_order, grid)
        # most of the work is done at half the grid's resolution: at full resolution a training of
        # the same duration has fewer steps
        widths, strides = (1, width, width, 2 * width), (2, 1, 2)
        self.stages = nn.ModuleList(
            nn.Sequential(nn.Conv3d(before, after, 3, stride=stride, padding=1), build_norm(after), nn.ReLU())
            for (before, after), stride in zip(pairwise(widths), strides, strict=True)
        )
        side = math.ceil(math.ceil(grid / 2) / 2)
        self.to_code = nn.Sequential(nn.Linear(widths[-1] * side**3, code), nn.LayerNorm(code), nn.GELU())

    def forward(self, maps: Tensor) -> Tensor:
        """Compute the code (B, D') of standardised maps (B, C, H, W); the projector reads it."""
        return self.activations(maps)["code"]

    def features(self, maps: Tensor) -> Tensor:
        """Compute the features (B, 8 * 2 F + D') of standardised maps (B, C, H, W).

        They are averages of the last convolution over 2^3 parts of the cube, and the code.
        """
        *_, last, code = self.activations(maps).values()
        return torch.cat([functional.adaptive_avg_pool3d(last, PARTS).flatten(1), code], dim=1)

    def activations(self, maps: Tensor) -> dict[str, Tensor]:
        """Compute all layers by name: ``stage1`` .. (B, F, G', G', G') and ``code`` (B, D')."""
        result: dict[str, Tensor] = {}
        activation = self.density(maps)[:, None]  # (B, 1, G, G, G)
        for number, stage in enumerate(self.stages):
            activation = result[f"stage{number + 1}"] = stage(activation)
        result["code"] = self.to_code(activation.flatten(1))  # (B, D')
        return result
