"""A layer of patch filters that is learnt from patches before training and then fixed.

At every position of an image, the contrast of the patch x is normalised, and the patch is compared
with K filters d_k, which are unit vectors: f_k = max(0, d_k . w(x) - threshold), where w is the
whitening. The features are the averages of f over the four quadrants. The filters are the
directions of the centroids of ``pretext.networks.patch_dictionary``. The soft threshold is the
encoding of Coates and Ng, "The importance of encoding versus training with sparse coding and vector
quantization" (ICML 2011). Before the layer has learnt, its filters are random directions without
whitening.

Letters in shapes: B batch, C, H, W of the images, P = C side^2 values of a patch, K filters.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from pretext.networks.patch_dictionary import learn_dictionary, normalise_contrast

SIDE = 6
CONTRAST = 10.0  # as in the source, for pixel values from 0 to 255
WHITENING = 0.1
THRESHOLD = 0.5
PATCHES = 100_000
BYTES_AT_ONCE = 2**22  # of activations in memory at a time, as in downstream.features.kmeans_patches


class PatchLayer(nn.Module):
    """K filters of 6 x 6 pixels, averaged over quadrants, (B, C, H, W) -> (B, 4 K).

    Parameters
    ----------
    channels : int
        Number C of channels of the images.
    filters : int
        Number K of filters.

    Examples
    --------
    >>> import torch
    >>> from pretext.networks import PatchLayer
    >>> layer = PatchLayer(channels=3, filters=8)
    >>> layer(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 32])
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, channels: int, filters: int) -> None:
        super().__init__()
        size = channels * SIDE**2
        # they are buffers because no gradient may change them
        self.register_buffer("weight", functional.normalize(torch.randn(filters, size), dim=1))  # (K, P)
        self.register_buffer("bias", torch.full((filters,), -THRESHOLD))

    @property
    def dimensions(self) -> int:
        """Number of features, 4 K."""
        return 4 * len(self.weight)

    def learn(self, images: Tensor, generator: torch.Generator) -> None:
        """Learn the filters from random patches of images (N, C, H, W) in [-1, 1]."""
        patches = draw_patches(images, PATCHES, generator)
        seed = int(torch.randint(2**31 - 1, (), generator=generator))
        mean, whiten, centroids = learn_dictionary(patches, len(self.weight), CONTRAST, WHITENING, seed)
        weight = functional.normalize(centroids, dim=1) @ whiten.T
        self.weight[: len(weight)] = weight  # there may be fewer patches than filters
        self.bias[: len(weight)] = -(weight @ mean) - THRESHOLD

    def forward(self, images: Tensor) -> Tensor:
        """Compute features (B, 4 K) of images (B, C, H, W) in [-1, 1].

        Images of less than 7 pixels a side are padded by repeating their border.
        """
        missing = [max(0, SIDE + 1 - length) for length in images.shape[:1:-1]]  # width, height
        images = functional.pad(images, (0, missing[0], 0, missing[1]), mode="replicate")
        rows, columns = (length - SIDE + 1 for length in images.shape[2:])
        if torch.compiler.is_exporting():  # an exported graph takes any number of images and cannot split them
            return self._encode_block(images, rows, columns)
        at_once = max(1, BYTES_AT_ONCE // (4 * rows * columns * len(self.weight)))
        return torch.cat([self._encode_block(block, rows, columns) for block in images.split(at_once)])

    def _encode_block(self, images: Tensor, rows: int, columns: int) -> Tensor:
        """Compute the features of images that are processed together."""
        patches = normalise_contrast(functional.unfold(images, SIDE).transpose(1, 2), CONTRAST)  # (B, positions, P)
        active = functional.linear(patches, self.weight, self.bias).relu_()  # (B, positions, K)
        active = active.unflatten(1, (rows, columns))
        halves = (slice(rows // 2), slice(rows // 2, None)), (slice(columns // 2), slice(columns // 2, None))
        return torch.cat([active[:, high, wide].mean(dim=(1, 2)) for high in halves[0] for wide in halves[1]], dim=1)


def draw_patches(images: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Draw patches (count, P) from images (N, C, H, W).

    Each patch comes from a random position of a random image.
    """
    height, width = images.shape[2:]
    if min(height, width) < SIDE:
        images = functional.pad(images, (0, max(0, SIDE - width), 0, max(0, SIDE - height)), mode="replicate")
    windows = images.unfold(2, SIDE, 1).unfold(3, SIDE, 1)  # (N, C, rows, columns, SIDE, SIDE), a view
    number = torch.randint(len(windows), (count,), generator=generator)
    top = torch.randint(windows.shape[2], (count,), generator=generator)
    left = torch.randint(windows.shape[3], (count,), generator=generator)
    return windows.transpose(1, 3).transpose(1, 2)[number, top, left].flatten(1)
