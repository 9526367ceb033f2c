"""Turning maps about the vertical and mirroring them, in torch: batched, differentiable, on any device.

About the vertical the pair c(m), c(-m) turns by the angle m a, and a mirror changes signs::

    c'(m) = cos(m a) c(m) - sin(m a) c(-m),  c'(-m) = sin(m a) c(m) + cos(m a) c(-m)    for m > 0
    x -> -x: (-1)^m for m >= 0, -(-1)^m for m < 0;    y -> -y: -1 for m < 0

Both are exact and cost less than reading the map again. ``data_prep.transforms.rotation`` has the same for numpy, with general
rotations; the tests hold the two together.
"""

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from data_prep.basis import Basis
from data_prep.layout import find_azimuthal_orders, find_opposite_cells
from spectral_ssl.ground.errors import UserError


class SpectralAugment(torch.nn.Module):
    """Turns and mirrors of the maps of one basis.

    Parameters
    ----------
    basis : Basis
        Not of images.
    mean, std : arrays of shape (C, H, W), optional
        Where maps were standardised, the statistics used: the formulas hold for the coefficients themselves, so that
        maps are taken back, moved, and standardised again.

    Raises
    ------
    UserError
        When the basis is that of images, or only one of the statistics is given or its shape is another.
    """

    _order: torch.Tensor
    _partner: torch.Tensor
    _mean: torch.Tensor
    _std: torch.Tensor

    def __init__(self, basis: Basis, mean: NDArray[np.floating] | None = None, std: NDArray[np.floating] | None = None):
        super().__init__()
        if (mean is None) != (std is None):
            raise UserError("statistics of the maps", "only one of mean and std", "give both or none")
        order = find_azimuthal_orders(basis).reshape(-1)  # refuses images
        statistics = []
        for default, given in ((0.0, mean), (1.0, std)):
            values = np.full(basis.shape, default) if given is None else np.asarray(given, np.float64)
            if values.shape != basis.shape:
                raise UserError("shape of the statistics", values.shape, f"give {basis.shape}")
            statistics.append(torch.from_numpy(values.reshape(-1)))
        self.shape = basis.shape
        # not part of a checkpoint: they follow from the basis and the map file
        self.register_buffer("_order", torch.from_numpy(order), persistent=False)
        self.register_buffer("_partner", torch.from_numpy(find_opposite_cells(basis)), persistent=False)
        self.register_buffer("_mean", statistics[0], persistent=False)
        self.register_buffer("_std", statistics[1], persistent=False)

    def rotate(self, maps: torch.Tensor, angles: torch.Tensor) -> torch.Tensor:
        """Turn each object about the vertical by its own angle.

        Parameters
        ----------
        maps : Tensor, shape (B, C, H, W), floating
        angles : Tensor, shape (B,), floating
            Radians, from +x towards +y.

        Returns
        -------
        Tensor, shape (B, C, H, W), of the maps' dtype
            Differentiable in maps and angles.

        Raises
        ------
        UserError
            When shapes do not fit.

        Notes
        -----
        Absolute error: a few roundings of the coefficient pair. Angles m a are multiplied in the angles' dtype: in
        float32 at m = 20 and a = 6 their rounding is 7e-6.
        """
        values = self._coefficients(maps)
        if angles.shape != maps.shape[:1]:
            raise UserError("shape of the angles", tuple(angles.shape), f"give ({maps.shape[0]},)")
        phase = angles[:, None] * self._order.to(angles.dtype)
        # sin(m a) is negative for the sine coefficients, m < 0: their sign in the formula
        turned = phase.cos().to(maps.dtype) * values - phase.sin().to(maps.dtype) * values[:, self._partner]
        return self._maps(turned, maps)

    def mirror(self, maps: torch.Tensor, axis: Literal["x", "y"], chosen: torch.Tensor) -> torch.Tensor:
        """Mirror the chosen objects by changing the sign of one horizontal coordinate.

        Parameters
        ----------
        maps : Tensor, shape (B, C, H, W), floating
        axis : {"x", "y"}
            The coordinate that changes its sign.
        chosen : Tensor, shape (B,), bool
            Which objects are mirrored.

        Returns
        -------
        Tensor, shape (B, C, H, W), of the maps' dtype
            Differentiable in maps; exact where they are not standardised.

        Raises
        ------
        UserError
            When shapes do not fit or the axis is unknown.
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
        """Turn each object by an angle within ``most`` either way and mirror every second one, at random.

        Parameters
        ----------
        maps : Tensor, shape (B, C, H, W), floating
        generator : torch.Generator
            On the CPU, so that the draw is the same on every device.
        most : float
            Radians.

        Returns
        -------
        Tensor, shape (B, C, H, W)
        """
        count = maps.shape[0]
        angles = (2 * torch.rand(count, generator=generator, dtype=torch.float64) - 1) * most
        chosen = torch.rand(count, generator=generator) < 0.5
        return self.rotate(self.mirror(maps, "y", chosen.to(maps.device)), angles.to(maps.device, maps.dtype))

    def _coefficients(self, maps: torch.Tensor) -> torch.Tensor:
        if maps.ndim != 4 or tuple(maps.shape[1:]) != self.shape:
            raise UserError("shape of the maps", tuple(maps.shape), f"give (B, {', '.join(map(str, self.shape))})")
        return maps.flatten(1) * self._std.to(maps.dtype) + self._mean.to(maps.dtype)

    def _maps(self, values: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        return ((values - self._mean.to(like.dtype)) / self._std.to(like.dtype)).reshape(like.shape)
