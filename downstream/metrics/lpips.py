"""Perceptual distances of images: ST-LPIPS, whose weights a package brings, and LPIPS, whose weights a user may have.

Both put two images through five stages of an AlexNet, make the features of every place a unit vector, and add up the
squared differences with learnt weights, averaged over the places::

    d(x, y) = sum over stages s of mean over places p of sum over channels c of w_sc (f_sc(x)_p - f_sc(y)_p)^2

They are different numbers and are named differently:

========  ===================================================  ==================================================
name      network                                              source
========  ===================================================  ==================================================
ST-LPIPS  AlexNet with stride 1 and blurred subsampling,       A. Ghildyal, F. Liu, *Shift-tolerant Perceptual
          trained on human judgements                          Similarity Metric*, ECCV 2022
LPIPS     AlexNet of ImageNet, unchanged, only w learnt        R. Zhang et al., *The Unreasonable Effectiveness of
          (version 0.1)                                        Deep Features as a Perceptual Metric*, CVPR 2018
========  ===================================================  ==================================================
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from downstream.metrics.image_checks import check_image_pairs
from downstream.metrics.pretrained.weights import fill_network, packaged_file
from spectral_ssl.ground.errors import UserError

WIDTHS = (64, 192, 384, 256, 256)  # channels of the five stages
SMALLEST_SIDE = {"ST-LPIPS": 21, "LPIPS": 31}  # below, a stage would have no place left
SMALLEST_LENGTH = 1e-10  # added to the length of a feature vector: a zero vector stays zero
# Mean and deviation of ImageNet's colours, of images in [-1, 1] (both papers).
COLOUR_MEAN, COLOUR_DEVIATION = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
IMAGES_AT_ONCE = 16

SHIPPED = ("weights", "vST0.0", "alex_shift_tolerant.pth")
TRUNK_FILE, HEADS_FILE = "alexnet.pth", "alex.pth"
# Where the five convolutions stand in the two files.
SHIFT_TOLERANT_TRUNK = ("net.slice1.0", "net.slice2.5", "net.slice3.9", "net.slice4.11", "net.slice5.13")
SHIFT_TOLERANT_BLURS = ("net.slice1.1", "net.slice2.4", "net.slice3.8")
TORCHVISION_TRUNK = ("features.0", "features.3", "features.6", "features.8", "features.10")


class BlurredSubsampling(nn.Module):
    """Every second place of the image blurred by (1, 2, 1) x (1, 2, 1) / 16, after mirroring 2 pixels at each side.

    R. Zhang, *Making Convolutional Networks Shift-Invariant Again*, ICML 2019.
    """

    kernel: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        row = torch.tensor([1.0, 2.0, 1.0]) / 4
        self.register_buffer("kernel", torch.outer(row, row).expand(channels, 1, 3, 3).clone())

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, (H + 3) // 2, (W + 3) // 2)."""
        padded = functional.pad(images, (2, 2, 2, 2), mode="reflect")
        return functional.conv2d(padded, self.kernel, stride=2, groups=images.shape[1])


class PerceptualDistance(nn.Module):
    """The network of one of the two distances. Without loaded weights it measures nothing: see ``load_distance``.

    Parameters
    ----------
    name : {"ST-LPIPS", "LPIPS"}
        Which one; the name under which its numbers are to be reported.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.convolutions = nn.ModuleList(
            [
                nn.Conv2d(3, 64, 11, stride=1 if name == "ST-LPIPS" else 4, padding=2),
                nn.Conv2d(64, 192, 5, padding=2),
                nn.Conv2d(192, 384, 3, padding=1),
                nn.Conv2d(384, 256, 3, padding=1),
                nn.Conv2d(256, 256, 3, padding=1),
            ]
        )
        blurred = (64, 64, 192) if name == "ST-LPIPS" else ()
        self.blurs = nn.ModuleList(BlurredSubsampling(channels) for channels in blurred)
        self.heads = nn.ParameterList(torch.zeros(1, width, 1, 1) for width in WIDTHS)
        self.register_buffer("mean", torch.tensor(COLOUR_MEAN).reshape(1, 3, 1, 1))
        self.register_buffer("deviation", torch.tensor(COLOUR_DEVIATION).reshape(1, 3, 1, 1))
        self.requires_grad_(False).eval()

    def features(self, images: Tensor) -> list[Tensor]:
        """Unit vectors of the five stages, each (B, width, h, w), of images (B, 3, H, W) in [-1, 1]."""
        values = (images - self.mean) / self.deviation
        stages = []
        for place, convolution in enumerate(self.convolutions):
            if self.blurs:
                if place in (1, 2):
                    values = self.blurs[place](functional.max_pool2d(values, 3, stride=1))
                values = convolution(values)
                if place == 0:
                    values = self.blurs[0](values)
            else:
                values = convolution(functional.max_pool2d(values, 3, stride=2) if place in (1, 2) else values)
            values = functional.relu(values)
            length = values.square().sum(dim=1, keepdim=True).sqrt()
            stages.append(values / (length + SMALLEST_LENGTH))
        return stages

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Distance of each pair, (B,), of two batches (B, 3, H, W) in [-1, 1]."""
        total = torch.zeros(len(first), dtype=first.dtype, device=first.device)
        for one, other, head in zip(self.features(first), self.features(second), self.heads, strict=True):
            total = total + ((one - other).square() * head).sum(dim=1).mean(dim=(1, 2))
        return total


def load_distance(weights: Path | None = None) -> PerceptualDistance:
    """The perceptual distance that can be computed here.

    Parameters
    ----------
    weights : Path, optional
        A folder with ``alexnet.pth``, the state dict of torchvision's AlexNet (IMAGENET1K_V1; published as
        ``alexnet-owt-7be5be79.pth``), and ``alex.pth``, LPIPS' linear weights of version 0.1: LPIPS. Without it:
        ST-LPIPS, with the weights that the package ``stlpips-pytorch`` brings (BSD 2-Clause).

    Returns
    -------
    PerceptualDistance
        float32, on the CPU, without gradients of its parameters. Its ``name`` says which distance it is.

    Raises
    ------
    UserError
        When the package or a file is missing, or holds other weights.
    """
    return _lpips(Path(weights)) if weights is not None else _shift_tolerant_lpips()


def perceptual_distances(network: PerceptualDistance, first: Any, second: Any) -> Tensor:
    """Distance of each image to its partner.

    Parameters
    ----------
    network : PerceptualDistance
        From ``load_distance``.
    first, second : Tensor or ndarray, shape (N, C, H, W), floating
        In [-1, 1], C = 1 (repeated to three channels) or 3, at least 21 (ST-LPIPS) or 31 (LPIPS) pixels a side.

    Returns
    -------
    Tensor, shape (N,)
        Not negative; 0 for equal images. Of the network's dtype: float32 agrees with float64 to about 1e-6.

    Raises
    ------
    UserError
        On images of other shapes or ranges.
    """
    one, other = check_image_pairs(first, second, colours=True)
    smallest = SMALLEST_SIDE[network.name]
    if min(one.shape[2:]) < smallest:
        found = f"{one.shape[2]} x {one.shape[3]}"
        do = f"give {smallest} pixels a side; images enlarged for it must be reported as such"
        raise UserError(f"images too small for {network.name}", found, do)
    distances = []
    with torch.no_grad():
        for start in range(0, len(one), IMAGES_AT_ONCE):
            part = slice(start, start + IMAGES_AT_ONCE)
            distances.append(network(*(_colour(images[part]).to(network.mean) for images in (one, other))))
    return torch.cat(distances)


def _colour(images: Tensor) -> Tensor:
    return images.expand(-1, 3, -1, -1)


def _shift_tolerant_lpips() -> PerceptualDistance:
    names = {f"blurs.{place}.kernel": f"{old}.filt" for place, old in enumerate(SHIFT_TOLERANT_BLURS)}
    names |= _trunk_names(SHIFT_TOLERANT_TRUNK) | _head_names()
    names |= {"mean": "scaling_layer.shift", "deviation": "scaling_layer.scale"}
    network = PerceptualDistance("ST-LPIPS")
    fill_network(network, packaged_file("stlpips-pytorch", *SHIPPED), names)
    return network


def _lpips(folder: Path) -> PerceptualDistance:
    network = PerceptualDistance("LPIPS")
    fill_network(network, folder / TRUNK_FILE, _trunk_names(TORCHVISION_TRUNK))
    fill_network(network, folder / HEADS_FILE, _head_names())
    return network


def _trunk_names(places: tuple[str, ...]) -> dict[str, str]:
    kinds = ("weight", "bias")
    return {f"convolutions.{place}.{kind}": f"{old}.{kind}" for place, old in enumerate(places) for kind in kinds}


def _head_names() -> dict[str, str]:
    return {f"heads.{place}": f"lin{place}.model.1.weight" for place in range(len(WIDTHS))}
