"""Standardised maps: the training mean subtracted, divided by the training standard deviation."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data_prep.basis import Basis
from data_prep.layout import find_valid_cells
from data_prep.maps.reader import MapFile

# Larger standardised values are single outliers of nearly constant coefficients. They would
# dominate the gradient.
LARGEST_VALUE = 10.0


@dataclass(frozen=True)
class Standardiser:
    """Subtracts the training mean and divides by the training standard deviation, coefficient by coefficient.

    Attributes
    ----------
    basis : Basis
        Meaning of the maps.
    mean, std : Tensor, shape (C, H, W), float32
        Statistics of the training split.
    valid : Tensor, shape (C, H, W), bool
        Which cells hold a coefficient.

    Examples
    --------
    >>> import numpy as np
    >>> from pretext.data import Standardiser
    >>> standardise = Standardiser.of(maps)
    >>> standard = standardise(maps.read())
    >>> bool(np.allclose(standardise.undo(standard), maps.read(), atol=0.01))
    True
    """

    basis: Basis
    mean: Tensor
    std: Tensor
    valid: Tensor

    @staticmethod
    def of(maps: MapFile) -> "Standardiser":
        """Make a standardiser with the statistics that a map file holds."""
        return Standardiser.from_statistics(maps.basis, torch.from_numpy(maps.mean), torch.from_numpy(maps.std))

    @staticmethod
    def from_statistics(basis: Basis, mean: Tensor, std: Tensor) -> "Standardiser":
        """Make a standardiser with these statistics."""
        return Standardiser(basis, mean, std, torch.from_numpy(find_valid_cells(basis)))

    @property
    def bounded(self) -> bool:
        """Whether standardised maps are in [-1, 1], as those of images are."""
        return self.basis.kind == "pixels"

    def __call__(self, maps: NDArray[np.float32]) -> Tensor:
        """Standardise maps (B, C, H, W); empty cells become 0, and values are clipped at +-10."""
        standard = (torch.from_numpy(maps) - self.mean) / self.std * self.valid
        return standard.clamp_(-LARGEST_VALUE, LARGEST_VALUE)

    def undo(self, standard: Tensor) -> Tensor:
        """Compute coefficients from standardised maps (..., C, H, W)."""
        return (standard * self.std + self.mean) * self.valid
