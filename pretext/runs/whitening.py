"""Whiten features: principal components, each scaled to unit variance.

Nearest neighbours and classifiers with few labels compare features by distances and angles. The
dimensions of a network's features are correlated, so directions that many of them share outweigh
all others. Whitened features have no such directions. With mean m, standard deviation s and the
eigenvectors V and eigenvalues w of the correlation matrix of features x::

    y = ((x - m) / s) V w^(-1/2)    the E components of the largest w

They are fitted to shapes without labels.

Letters in shapes: N samples, D features, E components.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data_prep.basis import Basis
from data_prep.pipeline.shape_to_map import clouds_to_maps, samples_points
from data_prep.sources.universe import universe_clouds
from spectral_ssl.ground.errors import UserError

SEED = 1  # of the shapes of the universe to which features are whitened; trainings have seed 0 by default
UNIVERSE_SHAPES = 4096  # more than the features of the encoders that ship have dimensions
SMALLEST_VARIANCE = 1e-6  # of a component, relative to the largest one: smaller ones are rounding errors
LARGEST_FACTOR = 60_000.0  # of a feature; an encoder's file holds them as float16, whose largest number is 65504
SMALLEST_DEVIATION = 1e-3  # of a feature, relative to the largest one: smaller ones are nearly constant


@dataclass(frozen=True, eq=False)
class Whitening:
    """A linear map of features to whitened principal components.

    Attributes
    ----------
    mean : Tensor, shape (D,), float32
        Mean of the features.
    matrix : Tensor, shape (D, E), float32
        The product of the factors in the formula of this module.

    Examples
    --------
    >>> import numpy as np
    >>> features = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    >>> whitening = fit_whitening(features, 2)
    >>> whitening(torch.from_numpy(features)).shape
    torch.Size([50, 2])
    """

    mean: Tensor
    matrix: Tensor

    def __call__(self, features: Tensor) -> Tensor:
        """Compute components (B, E) of features (B, D)."""
        return (features - self.mean) @ self.matrix


def fit_whitening(features: NDArray[np.float32], components: int) -> Whitening:
    """Fit the whitening of features to samples without labels.

    Parameters
    ----------
    features : ndarray, shape (N, D), float32
        Features of many samples, at least 2.
    components : int
        Number E of components; fewer are taken if the features have a lower rank.

    Returns
    -------
    Whitening

    Raises
    ------
    UserError
        If a feature is not finite, or if all samples have the same features.

    Examples
    --------
    >>> import numpy as np
    >>> features = np.random.default_rng(0).normal(size=(500, 4)).astype(np.float32) @ np.diag([1, 2, 3, 4.0])
    >>> whitened = fit_whitening(features.astype(np.float32), 3)(torch.from_numpy(features).float())
    >>> bool(torch.allclose(torch.cov(whitened.T), torch.eye(3), atol=0.01))
    True
    """
    values = features.astype(np.float64)
    if not np.isfinite(values).all():
        raise UserError("features that are not finite", f"{int((~np.isfinite(values)).sum())} values", "train again")
    mean, deviation = values.mean(axis=0), values.std(axis=0)
    varies = deviation > SMALLEST_DEVIATION * max(float(deviation.max(initial=0.0)), 1e-30)
    if not varies.any():
        raise UserError("features to whiten", "the same features for all samples", "give more objects")
    inverse = np.where(varies, 1 / np.where(varies, deviation, 1.0), 0.0)
    standard = (values - mean) * inverse  # (N, D)
    variances, axes = np.linalg.eigh(standard.T @ standard / len(values))  # in ascending order
    order = np.argsort(-variances)[:components]
    order = order[variances[order] > SMALLEST_VARIANCE * variances[order[0]]]
    axes = axes[:, order]
    # The sign of an axis is arbitrary. With this rule it does not depend on the machine.
    axes *= np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    matrix = inverse[:, None] * axes / np.sqrt(variances[order])
    if np.abs(matrix).max() > LARGEST_FACTOR:
        raise UserError("features to whiten", "features of tiny variance", "ask for fewer components, or train again")
    return Whitening(torch.from_numpy(mean.astype(np.float32)), torch.from_numpy(matrix.astype(np.float32, order="C")))


def can_whiten(basis: Basis) -> bool:
    """Tell whether maps of a basis can be computed of the clouds of the universe."""
    return samples_points(basis.kind, basis.sampling) and basis.points > 0


def sample_universe_maps(basis: Basis, seed: int = SEED) -> NDArray[np.float32]:
    """Compute the maps (``UNIVERSE_SHAPES``, C, H, W) of shapes of the universe, to which a whitening can be fitted."""
    return clouds_to_maps(universe_clouds(np.arange(UNIVERSE_SHAPES), seed=seed, points=basis.points), basis)
