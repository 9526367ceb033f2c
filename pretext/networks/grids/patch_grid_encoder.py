"""A residual convolutional network on patches of the density that a spectral map stands for.

The density (``density``) is cut into patches of 3^3 cells, each of which becomes one cell of a
coarse grid with many channels. Two residual blocks and a halving follow. Nearly all products are
therefore of wide layers on few cells, which processors with bfloat16 matrix units compute at a high
rate. In the network of ``grid_encoder`` they are of narrow layers on many cells: here a step takes
twice as long for thirteen times as many products. The network has no layer on all cells at once, so
its parameters need 1.7 MB in 16 bits (``grid_encoder``: 17 MB).

Letters in shapes: B batch, C, H, W of the map, G side of the density's grid, F channels, F' = 3 F /
2 channels of the last convolution, D' size of the code.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from pretext.data.standardise import Standardiser
from pretext.networks.grids.density import DensityGrid

PATCH = 3  # cells on a side of a patch
BLOCKS = 2  # residual blocks
PARTS = 2  # the features are averages over so many parts of the cube along each axis: a coarse sense of position


class PatchGridEncoder(nn.Module):
    """A residual encoder of maps of Zernike moments, by way of patches of a grid, (B, C, H, W) -> (B, D').

    Parameters
    ----------
    standardise : Standardiser
        Basis and statistics of the maps.
    highest_order : int
        Highest order n of the coefficients that are read; 0 for all.
    grid : int
        Number G of cells on a side of the cube, a multiple of 3; other numbers are rounded up.
    width : int
        Channels F of the patches and of the residual blocks; the last convolution has 3 F / 2.
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
    >>> from pretext.networks import PatchGridEncoder
    >>> basis = zernike_basis(4)
    >>> standardise = Standardiser.from_statistics(basis, torch.zeros(basis.shape), torch.ones(basis.shape))
    >>> encoder = PatchGridEncoder(standardise, highest_order=0, grid=12, width=6, code=16)
    >>> maps = torch.zeros(3, *basis.shape)
    >>> encoder(maps).shape, encoder.features(maps).shape
    (torch.Size([3, 16]), torch.Size([3, 97]))
    """

    def __init__(self, standardise: Standardiser, highest_order: int, grid: int, width: int, code: int) -> None:
        super().__init__()
        last = 3 * width // 2
        # The difference from the mean density: what all objects share needs no channels.
        self.density = DensityGrid(standardise, highest_order, -(-grid // PATCH) * PATCH, with_mean=False)
        self.patches = _normalised(nn.Conv3d(1, width, PATCH, stride=PATCH, bias=False))
        self.blocks = nn.ModuleList(ResidualBlock(width) for _ in range(BLOCKS))
        self.halving = _normalised(nn.Conv3d(width, last, 3, stride=2, padding=1, bias=False))
        self.to_code = nn.Sequential(nn.Linear((PARTS**3 + 1) * last, code), nn.LayerNorm(code), nn.GELU())

    def forward(self, maps: Tensor) -> Tensor:
        """Compute the code (B, D') of standardised maps (B, C, H, W); the projector reads it."""
        return self._compute_layers(maps)["code"]

    def features(self, maps: Tensor) -> Tensor:
        """Compute the features (B, 9 F' + D') of standardised maps (B, C, H, W).

        They are averages of the last convolution over 2^3 parts of the cube, its largest values,
        and the code.
        """
        *_, last, code = self.activations(maps).values()
        return torch.cat([_pool(last), code], dim=1)

    def activations(self, maps: Tensor) -> dict[str, Tensor]:
        """Compute all layers by name: ``patches``, ``block1`` .. (B, F, G', G', G'), ``last`` and ``code`` (B, D').

        Batch normalisation uses the statistics of training, so the result for a map does not depend
        on the others.
        """
        training = self.training
        self.eval()
        try:
            return self._compute_layers(maps)
        finally:
            self.train(training)

    def _compute_layers(self, maps: Tensor) -> dict[str, Tensor]:
        """Compute all layers in the present mode of batch normalisation."""
        result: dict[str, Tensor] = {}
        density = self.density(maps)[:, None]  # (B, 1, G, G, G)
        # with channels last the convolutions of a processor need no copies
        activation = result["patches"] = self.patches(density.contiguous(memory_format=torch.channels_last_3d))
        for number, block in enumerate(self.blocks):
            activation = result[f"block{number + 1}"] = block(activation)
        result["last"] = self.halving(activation)  # (B, F', G' / 2, G' / 2, G' / 2)
        result["code"] = self.to_code(_pool(result["last"]))
        return result


class ResidualBlock(nn.Module):
    """Two 3D convolutions whose result is added to their input, (B, F, G, G, G) -> (B, F, G, G, G).

    Parameters
    ----------
    width : int
        Channels F.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = _normalised(nn.Conv3d(width, width, 3, padding=1, bias=False))
        self.second = nn.Conv3d(width, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm3d(width)
        nn.init.zeros_(self.norm.weight)  # an untrained block returns its input, so that training starts smoothly

    def forward(self, inputs: Tensor) -> Tensor:
        """Compute the block's output."""
        return torch.relu(inputs + self.norm(self.second(self.first(inputs))))


def _normalised(convolution: nn.Conv3d) -> nn.Sequential:
    """Append batch normalisation and a rectifier to a convolution."""
    return nn.Sequential(convolution, nn.BatchNorm3d(convolution.out_channels), nn.ReLU())


def _pool(last: Tensor) -> Tensor:
    """Compute averages over 2^3 parts and the largest values, (B, F', G, G, G) -> (B, 9 F')."""
    parts = functional.adaptive_avg_pool3d(last, PARTS).flatten(1)
    return torch.cat([parts, last.amax(dim=(2, 3, 4))], dim=1)
