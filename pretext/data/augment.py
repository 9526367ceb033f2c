"""Rotate maps about the vertical and mirror them, in torch: batched, differentiable, on any device.

A rotation by a about the vertical rotates the pair c(m), c(-m) by the angle m a. A mirror changes
signs::

    c'(m) = cos(m a) c(m) - sin(m a) c(-m),  c'(-m) = sin(m a) c(m) + cos(m a) c(-m)    for m > 0
    x -> -x: (-1)^m for m >= 0, -(-1)^m for m < 0;    y -> -y: -1 for m < 0

Both are exact and cost less than reading the map again. ``data_prep.transforms.rotation`` computes
the same in numpy, and general rotations. Tests compare the two.
"""

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from data_prep.basis import Basis
from data_prep.layout import find_azimuthal_orders, find_opposite_cells
from spectral_ssl.ground.errors import UserError


class SpectralAugment(torch.nn.Module):
    """Rotations and mirrors of the maps of one basis.

    Parameters
    ----------
    basis : Basis
        The basis of the maps, not that of images.
    mean, std : arrays of shape (C, H, W), optional
        The statistics with which maps are standardised. The formulas hold for the coefficients
        themselves, so that maps are converted to coefficients, moved, and standardised again.

    Raises
    ------
    UserError
        If the basis is that of images, if only one of the statistics is given, or if a shape is
        wrong.

    Examples
    --------
    >>> import torch
    >>> from data_prep import zernike_basis
    >>> from pretext.data import SpectralAugment
    >>> basis = zernike_basis(degree=4)
    >>> augment = SpectralAugment(basis)
    >>> maps = torch.randn(8, *basis.shape, generator=torch.Generator().manual_seed(0))
    >>> turned = augment.rotate(maps, torch.full((8,), torch.pi))
    >>> torch.allclose(augment.rotate(turned, torch.full((8,), torch.pi)), maps, atol=1e-5)
    True
    >>> augment.random(maps, torch.Generator().manual_seed(0)).shape
    torch.Size([8, 3, 5, 5])
    """

    _order: torch.Tensor
    _partner: torch.Tensor
    _mean: torch.Tensor
    _std: torch.Tensor

    def __init__(self, basis: Basis, mean: NDArray[np.floating] | None = None, std: NDArray[np.floating] | None = None):
        super().__init__()
        if (mean is None) != (std is None):
            raise UserError("statistics of the maps", "only one of mean and std", "give both or none")
        order = find_azimuthal_orders(basis).reshape(-1)  # raises a UserError for images
        statistics = []
        for default, statistic in ((0.0, mean), (1.0, std)):
            values = np.full(basis.shape, default) if statistic is None else np.asarray(statistic, np.float64)
            if values.shape != basis.shape:
                raise UserError("shape of the statistics", values.shape, f"give {basis.shape}")
            statistics.append(torch.from_numpy(values.reshape(-1)))
        self.shape = basis.shape
        # They are not part of a checkpoint, because they follow from the basis and the map file.
        self.register_buffer("_order", torch.from_numpy(order), persistent=False)
        self.register_buffer("_partner", torch.from_numpy(find_opposite_cells(basis)), persistent=False)
        self.register_buffer("_mean", statistics[0], persistent=False)
        self.register_buffer("_std", statistics[1], persistent=False)

    def rotate(self, maps: torch.Tensor, angles: torch.Tensor) -> torch.Tensor:
        """Rotate each object about the vertical by its own angle.

        Parameters
        ----------
        maps : Tensor, shape (B, C, H, W), floating
            The objects' maps.
        angles : Tensor, shape (B,), floating
            Angles in radians, from +x towards +y.

        Returns
        -------
        Tensor, shape (B, C, H, W), of the maps' dtype
            Differentiable in maps and angles.

        Raises
        ------
        UserError
            If shapes do not fit.

        Notes
        -----
        Absolute error: a few roundings of the coefficient pair. Angles m a are multiplied in the
        angles' dtype: in float32 at m = 20 and a = 6 their rounding is 7e-6.
        """
        values = self._coefficients(maps)
        if angles.shape != maps.shape[:1]:
            raise UserError("shape of the angles", tuple(angles.shape), f"give ({maps.shape[0]},)")
        phase = angles[:, None] * self._order.to(angles.dtype)
        # sin(m a) is negative for the sine coefficients, m < 0, which gives their sign in the
        # formula.
        rotated = phase.cos().to(maps.dtype) * values - phase.sin().to(maps.dtype) * values[:, self._partner]
        return self._maps(rotated, maps)

    def mirror(self, maps: torch.Tensor, axis: Literal["x", "y"], chosen: torch.Tensor) -> torch.Tensor:
        """Mirror the chosen objects by changing the sign of one horizontal coordinate.

        Parameters
        ----------
        maps : Tensor, shape (B, C, H, W), floating
            The objects' maps.
        axis : {"x", "y"}
            The coordinate that changes its sign.
        chosen : Tensor, shape (B,), bool
            Which objects are mirrored.

        Returns
        -------
        Tensor, shape (B, C, H, W), of the maps' dtype
            Differentiable in maps; exact if they are not standardised.

        Raises
        ------
        UserError
            If shapes do not fit or the axis is unknown.
        """
        values = self._coefficients(maps)
        if chosen.shape != maps.shape[:1] or chosen.dtype != torch.bool:
            raise UserError("choice of objects", tuple(chosen.shape), f"give ({maps.shape[0]},) bool")
        signs = torch.where(self._order < 0, -1, 1)
        if axis == "x":
            signs = signs * (1 - 2 * (self._order % 2))
        elif axis != "y":
            raise UserError("axis of the mirror", repr(axis), "give 'x' or 'y'")
        mirrored = torch.where(chosen[:, None], values * signs.to(maps.dtype), values)
        return self._maps(mirrored, maps)

    def random(self, maps: torch.Tensor, generator: torch.Generator, most: float = float(np.pi)) -> torch.Tensor:
        """Rotate each object by a random angle of at most ``most`` either way, and mirror each with probability 1/2.

        Parameters
        ----------
        maps : Tensor, shape (B, C, H, W), floating
            The objects' maps.
        generator : torch.Generator
            The source of the random numbers, on the CPU, so that they are the same on every device.
        most : float
            Largest angle in radians.

        Returns
        -------
        Tensor, shape (B, C, H, W)
        """
        count = maps.shape[0]
        angles = (2 * torch.rand(count, generator=generator, dtype=torch.float64) - 1) * most
        chosen = torch.rand(count, generator=generator) < 0.5
        return self.rotate(self.mirror(maps, "y", chosen.to(maps.device)), angles.to(maps.device, maps.dtype))

    def _coefficients(self, maps: torch.Tensor) -> torch.Tensor:
        """Compute the coefficients (B, C H W) of standardised maps."""
        if maps.ndim != 4 or tuple(maps.shape[1:]) != self.shape:
            raise UserError("shape of the maps", tuple(maps.shape), f"give (B, {', '.join(map(str, self.shape))})")
        return maps.flatten(1) * self._std.to(maps.dtype) + self._mean.to(maps.dtype)

    def _maps(self, values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        """Standardise coefficients (B, C H W) into maps of the shape and dtype of ``like``."""
        return ((values - self._mean.to(like.dtype)) / self._std.to(like.dtype)).reshape(like.shape)
