"""A layer of patch filters that is learnt before training, from patches alone, and then stays.

At every place of a picture the patch x around it is brought to its own contrast and compared with K filters d_k, unit
vectors; f_k = max(0, d_k . w(x) - threshold), w the whitening, and the averages of f over the four quadrants are the
features. The filters are the directions of the centroids of ``pretext.networks.patch_dictionary``; the soft threshold is the
encoding of Coates and Ng, "The importance of encoding versus training with sparse coding and vector quantization"
(ICML 2011).
Before it has learnt, the filters are random directions and there is no whitening.

Letters in shapes: B batch, C, H, W of the pictures, P = C side^2 values of a patch, K filters.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from pretext.networks.patch_dictionary import learn_dictionary, own_contrast

SIDE = 6
CONTRAST = 10.0  # the source's, of pixel values from 0 to 255
WHITENING = 0.1
THRESHOLD = 0.5
PATCHES = 100_000
BYTES_AT_ONCE = 2**22  # of activations held at a time, as in downstream.features.kmeans_patches


class PatchLayer(nn.Module):
    """K filters of 6 x 6 pixels, averaged over quadrants.

    Parameters
    ----------
    channels : int
        C.
    filters : int
        K.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, channels: int, filters: int) -> None:
        super().__init__()
        size = channels * SIDE**2
        # buffers, for no gradient shall change them
        self.register_buffer("weight", functional.normalize(torch.randn(filters, size), dim=1))  # (K, P)
        self.register_buffer("bias", torch.full((filters,), -THRESHOLD))

    @property
    def dimensions(self) -> int:
        """Of the features: 4 K."""
        return 4 * len(self.weight)

    def learn(self, pictures: Tensor, generator: torch.Generator) -> None:
        """Learn the filters from patches of pictures (N, C, H, W) in [-1, 1]; the generator draws the patches."""
        patches = draw_patches(pictures, PATCHES, generator)
        seed = int(torch.randint(2**31 - 1, (), generator=generator))
        mean, whiten, centroids = learn_dictionary(patches, len(self.weight), CONTRAST, WHITENING, seed)
        weight = functional.normalize(centroids, dim=1) @ whiten.T
        self.weight[: len(weight)] = weight  # fewer where there are fewer patches than filters
        self.bias[: len(weight)] = -(weight @ mean) - THRESHOLD

    def forward(self, pictures: Tensor) -> Tensor:
        """Features (B, 4 K) of pictures (B, C, H, W) in [-1, 1]; smaller ones are filled up with their border."""
        lacking = [max(0, SIDE + 1 - length) for length in pictures.shape[:1:-1]]  # width, height
        pictures = functional.pad(pictures, (0, lacking[0], 0, lacking[1]), mode="replicate")
        rows, columns = (length - SIDE + 1 for length in pictures.shape[2:])
        if torch.compiler.is_exporting():  # a graph for any number of pictures cannot split off so and so many
            return self._block(pictures, rows, columns)
        at_once = max(1, BYTES_AT_ONCE // (4 * rows * columns * len(self.weight)))
        return torch.cat([self._block(block, rows, columns) for block in pictures.split(at_once)])

    def _block(self, pictures: Tensor, rows: int, columns: int) -> Tensor:
        patches = functional.unfold(pictures, SIDE).transpose(1, 2)  # (B, places, P)
        active = functional.linear(own_contrast(patches, CONTRAST), self.weight, self.bias).relu_()  # (B, places, K)
        active = active.unflatten(1, (rows, columns))
        halves = (slice(rows // 2), slice(rows // 2, None)), (slice(columns // 2), slice(columns // 2, None))
        return torch.cat([active[:, high, wide].mean(dim=(1, 2)) for high in halves[0] for wide in halves[1]], dim=1)


def draw_patches(pictures: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """So many patches (count, P) of pictures (N, C, H, W), each from anywhere in any of them."""
    height, width = pictures.shape[2:]
    if min(height, width) < SIDE:
        pictures = functional.pad(pictures, (0, max(0, SIDE - width), 0, max(0, SIDE - height)), mode="replicate")
    windows = pictures.unfold(2, SIDE, 1).unfold(3, SIDE, 1)  # (N, C, rows, columns, SIDE, SIDE), nothing is copied
    which = torch.randint(len(windows), (count,), generator=generator)
    top = torch.randint(windows.shape[2], (count,), generator=generator)
    left = torch.randint(windows.shape[3], (count,), generator=generator)
    return windows.transpose(1, 3).transpose(1, 2)[which, top, left].flatten(1)
