"""Single-layer features of images: how much k-means on small patches already knows.

A. Coates, H. Lee, A. Y. Ng, *An Analysis of Single-Layer Networks in Unsupervised Feature Learning*, AISTATS 2011:

1. patches x of 6 x 6 pixels, drawn from training images; each its own contrast: (x - mean) / sqrt(variance + 10);
2. ZCA whitening: x -> (x - mu) V (Lambda + 0.1)^-1/2 V', with V Lambda V' the covariance of the patches;
3. K centroids c_k by k-means;
4. triangle activation at every place of an image: z_k = |x - c_k|, f_k = max(0, mean over k of z - z_k);
5. sums of f over the four quadrants: 4 K features.

The 10 belongs to pixel values from 0 to 255; here they are in [-1, 1], so it is 10 / 127.5^2. The paper's K goes up to
4000; the default here is small, and k-means works on mini-batches (D. Sculley, *Web-Scale K-Means Clustering*, 2010).
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from pretext.networks.patch_dictionary import learn_dictionary, own_contrast
from spectral_ssl.ground.config import check_range
from spectral_ssl.ground.errors import UserError

BYTES_AT_ONCE = 2**22  # of distances held at a time: what the processor's second cache holds is quickest


@dataclass(frozen=True, kw_only=True)
class PatchConfig:
    """How the features are learnt.

    Attributes
    ----------
    side : int
        Pixels on a side of a patch.
    centroids : int
        K.
    patches : int
        Drawn for whitening and k-means.
    stride : int
        Pixels from one place to the next.
    contrast : float
        Added to a patch's variance, of pixel values from 0 to 255.
    whitening : float
        Added to the eigenvalues of the covariance.
    seed : int
        Of patches and k-means.
    """

    side: int = 6
    centroids: int = 400
    patches: int = 100_000
    stride: int = 1
    contrast: float = 10.0
    whitening: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        check_range("side of patches", self.side, 1, 64)
        check_range("centroids", self.centroids, 1, 100_000)
        check_range("patches", self.patches, 2, 10_000_000)
        check_range("stride", self.stride, 1, 64)
        check_range("contrast", self.contrast, 1e-6, 1e6)
        check_range("whitening", self.whitening, 1e-6, 1e6)


@dataclass(frozen=True, eq=False)
class PatchFeatures:
    """What was learnt from patches, ready for images.

    Attributes
    ----------
    config : PatchConfig
    mean : Tensor, shape (P,)
        Of the normalised patches, P = C side^2.
    whiten : Tensor, shape (P, P)
    centroids : Tensor, shape (K, P)
    """

    config: PatchConfig
    mean: Tensor
    whiten: Tensor
    centroids: Tensor

    def __call__(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Features (N, 4 K) float32 of images (N, C, H, W)."""
        places = _places(images.shape[2], self.config) * _places(images.shape[3], self.config)
        at_once = max(1, BYTES_AT_ONCE // (4 * places * max(self.centroids.shape)))
        blocks = torch.from_numpy(np.asarray(images, np.float32)).split(at_once)
        return torch.cat([self._block(block) for block in blocks]).numpy()

    def _block(self, images: Tensor) -> Tensor:
        side, stride = self.config.side, self.config.stride
        rows, columns = (_places(length, self.config) for length in images.shape[2:])
        patches = functional.unfold(images, side, stride=stride).transpose(1, 2)  # (B, places, P)
        values = (own_contrast(patches, self.config.contrast) - self.mean) @ self.whiten
        distances = torch.cdist(values, self.centroids.expand(len(images), -1, -1))
        active = (distances.mean(dim=2, keepdim=True) - distances).clamp(min=0).unflatten(1, (rows, columns))
        quadrants = [
            part.sum(dim=(1, 2)) for half in _halves(active, 1) for part in _halves(half, 2)
        ]  # each (B, K); of an odd number of places the first half has one less
        return torch.cat(quadrants, dim=1)


def learn_patch_features(images: NDArray[np.float32], config: PatchConfig | None = None) -> PatchFeatures:
    """Learn centroids from patches of images.

    Parameters
    ----------
    images : ndarray, shape (N, C, H, W), float32
        Of the training split, in [-1, 1].
    config : PatchConfig, optional

    Returns
    -------
    PatchFeatures

    Raises
    ------
    UserError
        When the images are too small for quadrants of patches.
    """
    config = config or PatchConfig()
    if not has_quadrants(images.shape[1:], config):
        raise UserError("images too small for patches", images.shape[1:], f"give more than {config.side} pixels a side")
    generator = np.random.default_rng(config.seed)
    patches = torch.from_numpy(_draw_patches(images, config, generator))
    learnt = learn_dictionary(patches, config.centroids, config.contrast, config.whitening, config.seed)
    return PatchFeatures(config, *learnt)


def has_quadrants(shape: tuple[int, ...], config: PatchConfig) -> bool:
    """Whether images (C, H, W) are large enough for patches in each quadrant."""
    return min(_places(length, config) for length in shape[1:]) >= 2


def _draw_patches(
    images: NDArray[np.float32], config: PatchConfig, generator: np.random.Generator
) -> NDArray[np.float32]:
    count, _, height, width = images.shape
    side = config.side
    tops = generator.integers(height - side + 1, size=config.patches)
    lefts = generator.integers(width - side + 1, size=config.patches)
    places = zip(generator.integers(count, size=config.patches), tops, lefts, strict=True)
    return np.stack([images[row, :, top : top + side, left : left + side].ravel() for row, top, left in places])


def _halves(values: Tensor, dimension: int) -> tuple[Tensor, Tensor]:
    half = values.shape[dimension] // 2
    return values.narrow(dimension, 0, half), values.narrow(dimension, half, values.shape[dimension] - half)


def _places(length: int, config: PatchConfig) -> int:
    return (length - config.side) // config.stride + 1
