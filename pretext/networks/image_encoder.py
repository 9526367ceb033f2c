"""An encoder of pictures that is quick on a processor: few channels where there are many pixels.

Convolutions of 3 x 3 (the first of 5 x 5, every second pixel), each with batch normalisation and ReLU; between stages
the largest of 2 x 2 places is kept. Of each stage the averages over the four quadrants are handed out, beside the last
layer: early stages know colours and edges, late ones what the loss asked for. It has no size of its own: the same
network reads views of 24 pixels and pictures of 64.

Beside the convolutions there may be a layer of patch filters (``pretext.networks.patch_layer``), learnt before training; it is
handed out only: neither does the loss see it nor does it cost anything in training.

Letters in shapes: B batch, C, H, W of the pictures, D features.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from pretext.networks.patch_layer import PatchLayer


class PictureEncoder(nn.Module):
    """A stem and three stages of convolutions, and a last layer on their end's average.

    Parameters
    ----------
    channels : int
        C.
    width : int
        Channels of the first convolution; those of the stages are 2, 4 and 8 times as many.
    code : int
        Units of the last layer.
    filters : int
        Patch filters; 0 for none.
    """

    def __init__(self, channels: int, width: int, code: int, filters: int = 0) -> None:
        super().__init__()
        self.stem = convolution(channels, width, side=5, stride=2)
        widths = (width, 2 * width, 4 * width, 8 * width)
        self.stages = nn.ModuleList(convolution(before, after) for before, after in pairwise(widths))
        self.to_code = nn.Linear(widths[-1], code)
        self.patches = PatchLayer(channels, filters) if filters else None

    def stage_maps(self, maps: Tensor) -> list[Tensor]:
        """What each stage gives, (B, F, h, w) each, of pictures (B, C, H, W)."""
        # with the channels of a place side by side in memory all layers take less time
        current = self.stem(maps.contiguous(memory_format=torch.channels_last))
        given = []
        for place, stage in enumerate(self.stages):
            current = stage(functional.max_pool2d(current, 2, ceil_mode=True) if place else current)
            given.append(current)
        return given

    def code_of(self, last: Tensor) -> Tensor:
        """The last layer (B, code) of the last stage's maps (B, F, h, w)."""
        code: Tensor = torch.relu(self.to_code(last.mean(dim=(2, 3))))
        return code

    def forward(self, maps: Tensor) -> Tensor:
        """What the projector reads: (B, code) of pictures (B, C, H, W)."""
        return self.code_of(self.stage_maps(maps)[-1])

    def features(self, maps: Tensor) -> Tensor:
        """Quadrant averages of all stages, the last layer, the patches: (B, 4 (2 + 4 + 8) width + code + 4 filters)."""
        found = self.activations(maps).values()
        return torch.cat([part if part.dim() == 2 else _quadrants(part) for part in found], dim=1)

    def activations(self, maps: Tensor) -> dict[str, Tensor]:
        """What it computes, by name: ``stage1`` .. (B, F, h, w), ``code`` and, if there are filters, ``patches``.

        Batch normalisation uses the statistics of training: each picture by itself.
        """
        training = self.training
        self.eval()
        try:
            given = self.stage_maps(maps)
            found = {f"stage{number + 1}": part for number, part in enumerate(given)}
            found["code"] = self.code_of(given[-1])
            return found if self.patches is None else {**found, "patches": self.patches(maps)}
        finally:
            self.train(training)


def _quadrants(part: Tensor) -> Tensor:
    """Averages over 2 x 2 parts of (B, F, h, w): (B, 4 F)."""
    return functional.adaptive_avg_pool2d(part, 2).flatten(1)


def convolution(before: int, after: int, side: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution, batch normalisation, ReLU."""
    return nn.Sequential(
        nn.Conv2d(before, after, side, stride, side // 2, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)
    )
