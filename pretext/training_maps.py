"""Maps as a network sees them: standardised tensors with the mask of cells that hold something."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data_prep.basis import Basis
from data_prep.layout import valid_cells
from data_prep.map_store import MapFile
from spectral_ssl.ground.errors import UserError

# Up to this size the maps are held in memory (a random read of HDF5 costs about as much as a training step).
LARGEST_IN_MEMORY = 4 * 2**30
# Standardised values beyond this are single outliers of nearly constant coefficients; they would own the gradient.
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
    """

    basis: Basis
    mean: Tensor
    std: Tensor
    valid: Tensor

    @staticmethod
    def of(maps: MapFile) -> "Standardiser":
        """The one whose statistics lie in a map file."""
        return Standardiser.from_statistics(maps.basis, torch.from_numpy(maps.mean), torch.from_numpy(maps.std))

    @staticmethod
    def from_statistics(basis: Basis, mean: Tensor, std: Tensor) -> "Standardiser":
        """The one with the given statistics."""
        return Standardiser(basis, mean, std, torch.from_numpy(valid_cells(basis)))

    @property
    def bounded(self) -> bool:
        """Whether standardised maps lie in [-1, 1]: so for images."""
        return self.basis.kind == "pixels"

    def __call__(self, maps: NDArray[np.float32]) -> Tensor:
        """Standardise maps (B, C, H, W); empty cells are 0, values are clipped at +-10."""
        standard = (torch.from_numpy(maps) - self.mean) / self.std * self.valid
        return standard.clamp_(-LARGEST_VALUE, LARGEST_VALUE)

    def undo(self, standard: Tensor) -> Tensor:
        """Back from standardised maps (..., C, H, W) to coefficients."""
        return (standard * self.std + self.mean) * self.valid


def check_same_basis(wanted: Basis, maps: MapFile) -> None:
    """Raise a UserError when a map file's basis differs from ``wanted`` in anything that changes its meaning."""
    conflicts = wanted.conflicts(maps.basis)
    if conflicts:
        raise UserError(
            "map file of another basis than the run's",
            f"{'; '.join(conflicts)} in {maps.path}",
            "prepare the data with the run's own basis",
        )


class TrainingMaps:
    """The maps of one split, handed out in standardised batches.

    Parameters
    ----------
    maps : MapFile
        Where they come from.
    split : str or None
        Which of them, None for all.

    Raises
    ------
    UserError
        When the split is empty, or values are not finite.
    """

    def __init__(self, maps: MapFile, split: str | None = "train") -> None:
        self.maps = maps
        self.rows = maps.rows(split)
        self.standardise = Standardiser.of(maps)
        if not len(self.rows):
            raise UserError(f"no maps in split {split!r}", str(maps.path), "give another map file")
        size = len(self.rows) * int(np.prod(maps.basis.shape)) * 4
        self._held = self.standardise(maps.read(self.rows)) if size <= LARGEST_IN_MEMORY else None
        if self._held is not None and not bool(torch.isfinite(self._held).all()):
            raise UserError(
                "maps that are not finite", str(maps.path), "run `spectral-ssl verify` on it and prepare it again"
            )

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, places: Tensor) -> Tensor:
        """Standardised maps (B, C, H, W) at places (B,) of the split."""
        if self._held is not None:
            return self._held[places]
        return self.standardise(self.maps.read(self.rows[places.numpy()]))
