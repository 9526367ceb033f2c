"""A convolutional encoder of images that is fast on a processor.

It has few channels where there are many pixels.

It consists of 3 x 3 convolutions (the first one is 5 x 5 with stride 2), each followed by batch
normalisation and ReLU, with 2 x 2 max pooling between stages. The second and the third stage may
also have residual blocks of two convolutions (He et al., CVPR 2016). The features are the averages of
every stage over the four quadrants, and the last layer: early stages encode colours and edges, late
stages what the loss requires. The network works at any image size; the same one reads views of 24
pixels and images of 64.

It may also have a layer of patch filters (``pretext.networks.patch_layer``), which is learnt before
training. Its output is part of the features only: the loss does not depend on it, and it takes no
time in training.

Letters in shapes: B batch, C, H, W of the images, F, h, w of a stage, D features.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from pretext.networks.patch_layer import PatchLayer


class ImageEncoder(nn.Module):
    """An encoder of images, (B, C, H, W) -> (B, D).

    It has a stem, three stages of convolutions, and a last layer on the average of the last stage.

    Parameters
    ----------
    channels : int
        Number C of channels of the images.
    width : int
        Channels of the first convolution; the stages have 2, 4 and 8 times as many.
    code : int
        Number of units of the last layer.
    filters : int
        Number of patch filters; 0 for none.
    blocks : int
        Number of residual blocks of the second and of the third stage.
    mirrored : bool
        Whether each layer is the mean of those of an image and of its mirror image (left to right),
        for features. Training reads images as they are.

    Examples
    --------
    >>> import torch
    >>> from pretext.networks import ImageEncoder
    >>> encoder = ImageEncoder(channels=3, width=8, code=64)
    >>> images = torch.zeros(2, 3, 32, 32)
    >>> encoder(images).shape, encoder.features(images).shape
    (torch.Size([2, 64]), torch.Size([2, 512]))
    """

    def __init__(
        self, channels: int, width: int, code: int, filters: int = 0, *, blocks: int = 0, mirrored: bool = False
    ) -> None:
        super().__init__()
        self.mirrored = mirrored
        self.stem = build_convolution(channels, width, side=5, stride=2)
        widths = (width, 2 * width, 4 * width, 8 * width)
        self.stages = nn.ModuleList(
            nn.Sequential(
                *build_convolution(before, after).children(),
                *(ResidualBlock(after) for _ in range(blocks if number else 0)),
            )
            for number, (before, after) in enumerate(pairwise(widths))
        )
        self.to_code = nn.Linear(widths[-1], code)
        self.patches = PatchLayer(channels, filters) if filters else None

    def compute_stages(self, images: Tensor) -> list[Tensor]:
        """Compute the output of each stage, (B, F, h, w), for images (B, C, H, W)."""
        # all layers are faster if the channels of a pixel are adjacent in memory
        current = self.stem(images.contiguous(memory_format=torch.channels_last))
        outputs = []
        for number, stage in enumerate(self.stages):
            current = stage(functional.max_pool2d(current, 2, ceil_mode=True) if number else current)
            outputs.append(current)
        return outputs

    def compute_code(self, last: Tensor) -> Tensor:
        """Compute the last layer (B, code) from the output of the last stage (B, F, h, w)."""
        code: Tensor = torch.relu(self.to_code(last.mean(dim=(2, 3))))
        return code

    def forward(self, images: Tensor) -> Tensor:
        """Compute the code (B, code) of images (B, C, H, W); the projector reads it."""
        return self.compute_code(self.compute_stages(images)[-1])

    def features(self, images: Tensor) -> Tensor:
        """Compute the features (B, 4 (2 + 4 + 8) width + code + 4 filters) of images (B, C, H, W).

        They are the quadrant averages of all stages, the code and the output of the patch filters.
        """
        parts = self.activations(images).values()
        return torch.cat([part if part.dim() == 2 else _average_quadrants(part) for part in parts], dim=1)

    def activations(self, images: Tensor) -> dict[str, Tensor]:
        """Compute all layers by name: ``stage1`` .. (B, F, h, w), ``code`` and perhaps ``patches``.

        Batch normalisation uses the statistics of training, so the result for an image does not
        depend on the others.
        """
        training = self.training
        self.eval()
        try:
            layers = self._compute_layers(images)
            if not self.mirrored:
                return layers
            others = self._compute_layers(images.flip(-1))
            return {name: (layer + others[name]) / 2 for name, layer in layers.items()}
        finally:
            self.train(training)

    def _compute_layers(self, images: Tensor) -> dict[str, Tensor]:
        """Compute all layers by name, for images (B, C, H, W) as they are."""
        outputs = self.compute_stages(images)
        result = {f"stage{number + 1}": output for number, output in enumerate(outputs)}
        result["code"] = self.compute_code(outputs[-1])
        return result if self.patches is None else {**result, "patches": self.patches(images)}


class ResidualBlock(nn.Module):
    """Two convolutions whose result is added to their input, (B, F, h, w) -> (B, F, h, w).

    Parameters
    ----------
    width : int
        Number F of channels.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        first, second = build_convolution(width, width), build_convolution(width, width)
        self.layers = nn.Sequential(*first.children(), *list(second.children())[:2])  # the second ReLU follows the sum

    def forward(self, current: Tensor) -> Tensor:
        """Compute relu(x + f(x)) of activations x, (B, F, h, w)."""
        return torch.relu(current + self.layers(current))


def _average_quadrants(part: Tensor) -> Tensor:
    """Average (B, F, h, w) over 2 x 2 parts of the image: (B, 4 F)."""
    return functional.adaptive_avg_pool2d(part, 2).flatten(1)


def build_convolution(before: int, after: int, side: int = 3, stride: int = 1) -> nn.Sequential:
    """Build a convolution, followed by batch normalisation and ReLU."""
    return nn.Sequential(
        nn.Conv2d(before, after, side, stride, side // 2, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)
    )
