"""Compute single-layer features of images by k-means on small patches, without training a network.

A. Coates, H. Lee, A. Y. Ng, *An Analysis of Single-Layer Networks in Unsupervised Feature
Learning*, AISTATS 2011:

1. Patches x of 6 x 6 pixels are drawn from training images. Each patch is normalised:
   (x - mean) / sqrt(variance + 10).
2. ZCA whitening: x -> (x - mu) V (Lambda + 0.1)^-1/2 V', where V Lambda V' is the covariance of the
   patches.
3. k-means finds K centroids c_k.
4. Triangle activation at every position of an image: z_k = |x - c_k|,
   f_k = max(0, mean over k of z - z_k).
5. The sums of f over the four quadrants are the 4 K features.

The constant 10 belongs to pixel values from 0 to 255. Pixel values here are in [-1, 1], so it is
10 / 127.5^2. The paper uses up to 4000 centroids. The default here is smaller, and k-means works on
mini-batches (D. Sculley, *Web-Scale K-Means Clustering*, 2010).

Letters in shapes: N images of C x H x W pixels, P = C side^2 values of a patch, K centroids.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from pretext.networks.patch_dictionary import learn_dictionary, normalise_contrast
from spectral_ssl.ground.config import check_ranges, within
from spectral_ssl.ground.errors import UserError

BYTES_AT_ONCE = 2**22  # Distances held at a time; blocks that fit into the L2 cache are fastest.


@dataclass(frozen=True, kw_only=True)
class PatchConfig:
    """Settings of the k-means patch features.

    Attributes
    ----------
    side : int
        Side of a patch in pixels.
    centroids : int
        Number K of centroids.
    patches : int
        Number of patches drawn for whitening and k-means.
    stride : int
        Distance in pixels between neighbouring patches of an image.
    contrast : float
        Constant added to the variance of a patch, for pixel values from 0 to 255.
    whitening : float
        Constant added to the eigenvalues of the covariance.
    seed : int
        Seed of the patches and of k-means.

    Examples
    --------
    >>> from downstream.features import PatchConfig
    >>> PatchConfig(centroids=1600).side
    6
    """

    side: int = field(default=6, metadata=within(1, 64))
    centroids: int = field(default=400, metadata=within(1, 100_000))
    patches: int = field(default=100_000, metadata=within(2, 10_000_000))
    stride: int = field(default=1, metadata=within(1, 64))
    contrast: float = field(default=10.0, metadata=within(1e-6, 1e6))
    whitening: float = field(default=0.1, metadata=within(1e-6, 1e6))
    seed: int = field(default=0, metadata=within(0, 2**63 - 1))

    def __post_init__(self) -> None:
        check_ranges(self, "patches")


@dataclass(frozen=True, eq=False)
class PatchFeatures:
    """Whitening and centroids learnt from patches; a call computes the features of images.

    Attributes
    ----------
    config : PatchConfig
        Settings with which they were learnt.
    mean : Tensor, shape (P,)
        Mean of the normalised patches.
    whiten : Tensor, shape (P, P)
        Whitening matrix.
    centroids : Tensor, shape (K, P)
        Centroids of the whitened patches.
    """

    config: PatchConfig
    mean: Tensor
    whiten: Tensor
    centroids: Tensor

    def __call__(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Compute the features (N, 4 K), float32, of images (N, C, H, W) in [-1, 1]."""
        positions = _count_positions(images.shape[2], self.config) * _count_positions(images.shape[3], self.config)
        at_once = max(1, BYTES_AT_ONCE // (4 * positions * max(self.centroids.shape)))
        blocks = torch.from_numpy(np.asarray(images, np.float32)).split(at_once)
        return torch.cat([self._compute_block(block) for block in blocks]).numpy()

    def _compute_block(self, images: Tensor) -> Tensor:
        """Compute the features (B, 4 K) of images (B, C, H, W) in one piece."""
        side, stride = self.config.side, self.config.stride
        rows, columns = (_count_positions(length, self.config) for length in images.shape[2:])
        patches = functional.unfold(images, side, stride=stride).transpose(1, 2)  # (B, positions, P)
        values = (normalise_contrast(patches, self.config.contrast) - self.mean) @ self.whiten
        distances = torch.cdist(values, self.centroids.expand(len(images), -1, -1))
        active = (distances.mean(dim=2, keepdim=True) - distances).clamp(min=0).unflatten(1, (rows, columns))
        # Each sum is (B, K). With an odd number of positions the first half has one less.
        quadrants = [part.sum(dim=(1, 2)) for half in _halve(active, 1) for part in _halve(half, 2)]
        return torch.cat(quadrants, dim=1)


def learn_patch_features(images: NDArray[np.float32], config: PatchConfig | None = None) -> PatchFeatures:
    """Learn whitening and centroids from patches of images.

    Parameters
    ----------
    images : ndarray, shape (N, C, H, W), float32
        Images of the training split, in [-1, 1].
    config : PatchConfig, optional
        Settings; the defaults of ``PatchConfig`` if not given.

    Returns
    -------
    PatchFeatures
        Callable that maps images (N, C, H, W) to features (N, 4 K), float32.

    Raises
    ------
    UserError
        If the images are too small to have patches in each quadrant.

    Notes
    -----
    The formula and its source are those of this module. All values are computed in float32; the
    tests compare them with float64 to 1e-3.

    Examples
    --------
    >>> import numpy as np
    >>> from downstream.features import PatchConfig, learn_patch_features
    >>> images = np.random.default_rng(0).uniform(-1, 1, (8, 1, 9, 9)).astype(np.float32)
    >>> compute = learn_patch_features(images, PatchConfig(side=3, centroids=5, patches=200))
    >>> compute(images).shape
    (8, 20)
    """
    config = config or PatchConfig()
    if not has_quadrants(images.shape[1:], config):
        what_to_do = f"give images with more than {config.side} pixels on each side"
        raise UserError("images too small for patches", images.shape[1:], what_to_do)
    generator = np.random.default_rng(config.seed)
    patches = torch.from_numpy(_draw_patches(images, config, generator))
    learnt = learn_dictionary(patches, config.centroids, config.contrast, config.whitening, config.seed)
    return PatchFeatures(config, *learnt)


def has_quadrants(shape: tuple[int, ...], config: PatchConfig) -> bool:
    """Tell whether images of shape (C, H, W) are large enough to have patches in each quadrant."""
    return min(_count_positions(length, config) for length in shape[1:]) >= 2


def _draw_patches(
    images: NDArray[np.float32], config: PatchConfig, generator: np.random.Generator
) -> NDArray[np.float32]:
    """Draw patches (patches, P) at random positions of random images."""
    count, _, height, width = images.shape
    side = config.side
    tops = generator.integers(height - side + 1, size=config.patches)
    lefts = generator.integers(width - side + 1, size=config.patches)
    corners = zip(generator.integers(count, size=config.patches), tops, lefts, strict=True)
    return np.stack([images[row, :, top : top + side, left : left + side].ravel() for row, top, left in corners])


def _halve(values: Tensor, dimension: int) -> tuple[Tensor, Tensor]:
    """Split a tensor into two halves along a dimension."""
    half = values.shape[dimension] // 2
    return values.narrow(dimension, 0, half), values.narrow(dimension, half, values.shape[dimension] - half)


def _count_positions(length: int, config: PatchConfig) -> int:
    """Count the positions of a patch along a side of an image."""
    return (length - config.side) // config.stride + 1
