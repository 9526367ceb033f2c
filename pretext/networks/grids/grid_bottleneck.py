"""The encoder H of cGML and of regression for Zernike moments: a network on the density, and a layer that gives h.

Letters in shapes: B batch, C channels of the map, S its side lengths, F and s channels and side
lengths of h, D number of features.
"""

from typing import Literal, cast, get_args

import torch
from torch import Tensor, nn

from pretext.data.standardise import Standardiser
from pretext.networks.basic_layers import Geometry
from pretext.networks.grids.grid_encoder import GridEncoder
from pretext.networks.grids.pooled_grid_encoder import PooledGridEncoder
from spectral_ssl.ground.errors import UserError

GridName = Literal["grid", "pooled-grid"]
GRID_NAMES: tuple[str, ...] = get_args(GridName)
GRID = 20  # cells on a side of the grid


class GridBottleneck(nn.Module):
    """The encoder H for Zernike moments, (B, C, S, S) -> (B, F, s, s).

    Parameters
    ----------
    name : {"grid", "pooled-grid"}
        The network on the density: a ``GridEncoder`` or a ``PooledGridEncoder``.
    standardise : Standardiser
        Basis and statistics of the maps.
    geometry : Geometry
        Sizes of the map and of the bottleneck (``plan``).
    width : int
        Channels of the first convolution on the grid.
    code : int
        Size of the code.

    Raises
    ------
    UserError
        If the maps are not Zernike moments.

    Examples
    --------
    >>> import torch
    >>> from data_prep import zernike_basis
    >>> from pretext.data import Standardiser
    >>> from pretext.networks import GridBottleneck, plan
    >>> basis = zernike_basis(8)
    >>> standardise = Standardiser.from_statistics(basis, torch.zeros(basis.shape), torch.ones(basis.shape))
    >>> encoder = GridBottleneck("grid", standardise, plan(basis.shape, width=8), width=4, code=16)
    >>> encoder(torch.zeros(2, *basis.shape)).shape
    torch.Size([2, 8, 5, 5])
    """

    def __init__(self, name: GridName, standardise: Standardiser, geometry: Geometry, width: int, code: int) -> None:
        super().__init__()
        self.geometry = geometry
        build = {"grid": GridEncoder, "pooled-grid": PooledGridEncoder}[name]
        self.grid = cast("GridEncoder | PooledGridEncoder", build(standardise, 0, GRID, width, code))
        self.from_code = nn.Linear(code, geometry.bottleneck)

    def forward(self, condition: Tensor) -> Tensor:
        """Compute the bottleneck h, (B, F, s, s), of conditions (B, C, S, S)."""
        return self.activations(condition)["bottleneck"]

    def features(self, condition: Tensor) -> Tensor:
        """Compute the features of conditions (B, C, S, S): those of the grid, (B, D)."""
        return self.grid.features(condition)

    def activations(self, condition: Tensor) -> dict[str, Tensor]:
        """Compute all layers by name: those of the grid, and ``bottleneck`` (B, F, s, s)."""
        layers = self.grid.activations(condition)
        bottleneck = torch.relu(self.from_code(layers["code"]))
        return {**layers, "bottleneck": bottleneck.view(-1, self.geometry.widths[-1], *self.geometry.side)}

    def with_skips(self, condition: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Raise a UserError: the grid has no activations of the map's shape."""
        raise UserError("the grid encoders have no skips", "method.skips = true", "set method.skips=false")
