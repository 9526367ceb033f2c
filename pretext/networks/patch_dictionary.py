"""What small patches of pictures are made of: contrast normalisation, whitening, k-means.

A. Coates, H. Lee, A. Y. Ng, *An Analysis of Single-Layer Networks in Unsupervised Feature Learning*, AISTATS 2011:

1. patches x of some pixels a side; each its own contrast: (x - mean) / sqrt(variance + 10);
2. ZCA whitening: x -> (x - mu) V (Lambda + 0.1)^-1/2 V', with V Lambda V' the covariance of the patches;
3. K centroids c_k by k-means.

The 10 belongs to pixel values from 0 to 255; here they are in [-1, 1], so it is 10 / 127.5^2. k-means works on
mini-batches (D. Sculley, *Web-Scale K-Means Clustering*, 2010).

Letters in shapes: N patches, P = C side^2 values of a patch, K centroids.
"""

from typing import NamedTuple

import torch
from torch import Tensor

BYTE_SCALE = 127.5


class PatchDictionary(NamedTuple):
    """What was learnt from patches.

    Attributes
    ----------
    mean : Tensor, shape (P,)
        Of the normalised patches.
    whiten : Tensor, shape (P, P)
    centroids : Tensor, shape (K, P)
    """

    mean: Tensor
    whiten: Tensor
    centroids: Tensor


def learn_dictionary(patches: Tensor, centroids: int, contrast: float, whitening: float, seed: int) -> PatchDictionary:
    """Whitening and centroids of patches.

    Parameters
    ----------
    patches : Tensor, shape (N, P), float32
        In [-1, 1].
    centroids : int
        K; as many as there are patches where it is more.
    contrast : float
        Added to a patch's variance, of pixel values from 0 to 255.
    whitening : float
        Added to the eigenvalues of the covariance.
    seed : int
        Of k-means.

    Returns
    -------
    PatchDictionary
    """
    from sklearn.cluster import MiniBatchKMeans

    normal = own_contrast(patches, contrast)
    mean = normal.mean(dim=0)
    centred = (normal - mean).double()
    values, vectors = torch.linalg.eigh(centred.T @ centred / (len(centred) - 1))
    whiten = (vectors * (values.clamp(min=0) + whitening).rsqrt()) @ vectors.T
    white = (centred @ whiten).float()
    clusters = MiniBatchKMeans(min(centroids, len(white)), batch_size=4096, n_init=1, random_state=seed).fit(
        white.numpy()
    )
    return PatchDictionary(mean, whiten.float(), torch.from_numpy(clusters.cluster_centers_).float())


def own_contrast(patches: Tensor, contrast: float) -> Tensor:
    """Patches (..., P) without their mean, over the root of their sample variance plus a little."""
    centred = patches - patches.mean(dim=-1, keepdim=True)
    variance = centred.square().sum(dim=-1, keepdim=True) / max(patches.shape[-1] - 1, 1)
    return centred / (variance + contrast / BYTE_SCALE**2).sqrt()
