"""Compute the density that a map of Zernike moments stands for, on the cells of a cube.

In a map the neighbours of a coefficient (l, m) are not neighbours in space, so a convolution over
the map assumes too much. The density

    f(x) = sum_klm c_klm Z_klm(x)    on the cells of a cube around the unit ball

is the product of the coefficients with a constant matrix. There neighbours are neighbours in space,
and a part of an object looks the same wherever it lies. Zernike moments up to order n resolve about
pi / n: 0.16 at n = 20, which is one and a half cells of a grid of 20^3.

Letters in shapes: B batch, C, H, W of the map, N coefficients read, G side of the grid.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from data_prep.basis import Basis
from data_prep.layout import find_cells, find_orders
from data_prep.transforms.zernike import zernike_functions
from pretext.data.standardise import Standardiser
from spectral_ssl.ground.errors import UserError


class DensityGrid(nn.Module):
    """The density of standardised maps on a grid, (B, C, H, W) -> (B, G, G, G); it has no parameters.

    Parameters
    ----------
    standardise : Standardiser
        Basis and statistics of the maps.
    highest_order : int
        Highest order n of the coefficients that are read; 0 for all.
    grid : int
        Number G of cells on a side of the cube.
    with_mean : bool
        Whether the mean density of the training split is included. Without it the result is the
        difference from that mean.

    Raises
    ------
    UserError
        If the maps are not Zernike moments.

    Examples
    --------
    >>> import torch
    >>> from data_prep import zernike_basis
    >>> from pretext.data import Standardiser
    >>> basis = zernike_basis(4)
    >>> standardise = Standardiser.from_statistics(basis, torch.zeros(basis.shape), torch.ones(basis.shape))
    >>> density = DensityGrid(standardise, highest_order=0, grid=8)
    >>> density(torch.ones(3, *basis.shape)).shape
    torch.Size([3, 8, 8, 8])
    """

    matrix: Tensor
    places: Tensor
    mean: Tensor
    std: Tensor

    def __init__(self, standardise: Standardiser, highest_order: int, grid: int, with_mean: bool = True) -> None:
        super().__init__()
        basis = standardise.basis
        if basis.kind != "zernike":
            raise UserError("the grid encoder reads Zernike moments", f"kind {basis.kind!r}", "set encoder=perceptron")
        order = find_orders(basis).reshape(-1)[find_cells(basis)]
        read = np.flatnonzero(order <= (highest_order or order.max()))
        places = torch.from_numpy(find_cells(basis)[read])
        self.grid = grid
        mean = standardise.mean.flatten()[places]
        # these buffers are not part of a checkpoint: they follow from the settings, the basis and
        # the statistics in it
        self.register_buffer("matrix", _density_matrix(basis, read, grid), persistent=False)  # (G^3, N)
        self.register_buffer("places", places, persistent=False)
        self.register_buffer("mean", mean if with_mean else torch.zeros_like(mean), persistent=False)
        self.register_buffer("std", standardise.std.flatten()[places], persistent=False)

    def forward(self, maps: Tensor) -> Tensor:
        """Compute the density (B, G, G, G) of standardised maps; it is 0 outside the ball."""
        coefficients = maps.flatten(1)[:, self.places] * self.std + self.mean  # (B, N)
        return (coefficients @ self.matrix.T).unflatten(1, (self.grid, self.grid, self.grid))


def _density_matrix(basis: Basis, read: NDArray[np.intp], grid: int) -> Tensor:
    """Compute the coefficients' functions on the cells of the cube, (G^3, N) float32."""
    if torch.get_default_device().type == "meta":
        # Only shapes are wanted. The values took 0.09 s of the 0.25 s in which `load` loaded an encoder.
        return torch.empty(grid**3, len(read))
    centres = (np.arange(grid) + 0.5) * (2 / grid) - 1
    points = np.stack(np.meshgrid(centres, centres, centres, indexing="ij"), axis=-1).reshape(-1, 3)
    inside = np.linalg.norm(points, axis=1) <= 1  # the functions are not defined outside the ball
    matrix = np.zeros((len(points), len(read)), np.float32)
    matrix[inside] = zernike_functions(points[inside], basis)[:, read]
    return torch.from_numpy(matrix)
