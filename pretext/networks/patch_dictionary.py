"""A dictionary of small image patches: contrast normalisation, whitening and k-means.

Source: A. Coates, H. Lee, A. Y. Ng, *An Analysis of Single-Layer Networks in Unsupervised Feature
Learning*, AISTATS 2011.

1. The contrast of each patch x is normalised: (x - mean) / sqrt(variance + 10).
2. Patches are ZCA-whitened: x -> (x - mu) V (Lambda + 0.1)^-1/2 V', where V Lambda V' is their
   covariance.
3. k-means finds K centroids c_k, on mini-batches (D. Sculley, *Web-Scale K-Means Clustering*,
   2010).

The 10 is for pixel values from 0 to 255. Here values lie in [-1, 1], so it becomes 10 / 127.5^2.

Letters in shapes: N patches, P = C side^2 values of a patch, K centroids.
"""

from typing import NamedTuple

import torch
from torch import Tensor

BYTE_SCALE = 127.5


class PatchDictionary(NamedTuple):
    """Statistics and centroids of patches.

    Attributes
    ----------
    mean : Tensor, shape (P,)
        Mean mu of the contrast-normalised patches.
    whiten : Tensor, shape (P, P)
        Whitening matrix.
    centroids : Tensor, shape (K, P)
        Centroids of the whitened patches.
    """

    mean: Tensor
    whiten: Tensor
    centroids: Tensor


def learn_dictionary(patches: Tensor, centroids: int, contrast: float, whitening: float, seed: int) -> PatchDictionary:
    """Learn the whitening and the centroids of patches.

    Parameters
    ----------
    patches : Tensor, shape (N, P), float32 or float64
        Patches with values in [-1, 1]; the dictionary has their dtype.
    centroids : int
        Number K of centroids; N if it is larger than N.
    contrast : float
        Constant added to a patch's variance, for pixel values from 0 to 255.
    whitening : float
        Constant added to the eigenvalues of the covariance.
    seed : int
        Seed of k-means.

    Returns
    -------
    PatchDictionary
    """
    from sklearn.cluster import MiniBatchKMeans

    normal = normalise_contrast(patches, contrast)
    mean = normal.mean(dim=0)
    centred = (normal - mean).double()
    values, vectors = torch.linalg.eigh(centred.T @ centred / (len(centred) - 1))
    whiten = (vectors * (values.clamp(min=0) + whitening).rsqrt()) @ vectors.T
    white = (centred @ whiten).float()
    clusters = MiniBatchKMeans(min(centroids, len(white)), batch_size=4096, n_init=1, random_state=seed).fit(
        white.numpy()
    )
    return PatchDictionary(mean, whiten.to(mean), torch.from_numpy(clusters.cluster_centers_).to(mean))


def normalise_contrast(patches: Tensor, contrast: float) -> Tensor:
    """Normalise the contrast of patches (..., P).

    Their mean is subtracted, and they are divided by the root of their sample variance plus a
    constant.

    ``contrast`` is that constant, for pixel values from 0 to 255.
    """
    centred = patches - patches.mean(dim=-1, keepdim=True)
    variance = centred.square().sum(dim=-1, keepdim=True) / max(patches.shape[-1] - 1, 1)
    return centred / (variance + contrast / BYTE_SCALE**2).sqrt()
