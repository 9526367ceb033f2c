"""Compute perceptual distances of images: ST-LPIPS and LPIPS.

The weights of ST-LPIPS come with a package. The weights of LPIPS must be downloaded by the user.
Both distances compute the features of two images in five stages of an AlexNet. They scale the
features at every position to a unit vector. Then they add the squared differences with learnt
weights, averaged over all positions::

    d(x, y) = sum over stages s of mean over positions p of sum over channels c of
              w_sc (f_sc(x)_p - f_sc(y)_p)^2

The values of the two distances cannot be compared, so they have different names:

* ST-LPIPS: AlexNet with stride 1 and blurred subsampling, trained on human ratings. A. Ghildyal, F.
  Liu, *Shift-tolerant Perceptual Similarity Metric*, ECCV 2022.
* LPIPS: AlexNet of ImageNet, unchanged, with learnt weights w (version 0.1). R. Zhang et al., *The
  Unreasonable Effectiveness of Deep Features as a Perceptual Metric*, CVPR 2018.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from downstream.metrics.image_checks import check_image_pairs
from downstream.metrics.pretrained.weights import fill_network, find_packaged_file
from spectral_ssl.ground.errors import UserError

WIDTHS = (64, 192, 384, 256, 256)  # channels of the five stages
SMALLEST_SIDE = {"ST-LPIPS": 21, "LPIPS": 31}  # With smaller images a stage would have no position left.
SMALLEST_LENGTH = 1e-10  # Added to the length of a feature vector, so that a zero vector stays zero.
# Mean and deviation of the colours of ImageNet for images in [-1, 1] (both papers).
COLOUR_MEAN, COLOUR_DEVIATION = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
IMAGES_AT_ONCE = 16

SHIPPED = ("weights", "vST0.0", "alex_shift_tolerant.pth")
TRUNK_FILE, HEADS_FILE = "alexnet.pth", "alex.pth"
# Names of the five convolutions in the two files.
SHIFT_TOLERANT_TRUNK = ("net.slice1.0", "net.slice2.5", "net.slice3.9", "net.slice4.11", "net.slice5.13")
SHIFT_TOLERANT_BLURS = ("net.slice1.1", "net.slice2.4", "net.slice3.8")
TORCHVISION_TRUNK = ("features.0", "features.3", "features.6", "features.8", "features.10")


class BlurredSubsampling(nn.Module):
    """Blur with (1, 2, 1) x (1, 2, 1) / 16 and keep every second position.

    The image is mirrored by 2 pixels at each side first. R. Zhang, *Making Convolutional Networks
    Shift-Invariant Again*, ICML 2019.
    """

    kernel: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        row = torch.tensor([1.0, 2.0, 1.0]) / 4
        self.register_buffer("kernel", torch.outer(row, row).expand(channels, 1, 3, 3).clone())

    def forward(self, images: Tensor) -> Tensor:
        """Compute (B, C, (H + 3) // 2, (W + 3) // 2) from images (B, C, H, W)."""
        padded = functional.pad(images, (2, 2, 2, 2), mode="reflect")
        return functional.conv2d(padded, self.kernel, stride=2, groups=images.shape[1])


class PerceptualDistance(nn.Module):
    """Network of one of the two distances.

    Its distances are meaningful only with the weights that ``load_perceptual_distance`` loads.

    Parameters
    ----------
    name : {"ST-LPIPS", "LPIPS"}
        Name of the distance, under which its values must be reported.
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
        """Compute unit vectors of the five stages, each (B, width, h, w), of images (B, 3, H, W) in [-1, 1]."""
        values = (images - self.mean) / self.deviation
        stages = []
        for stage, convolution in enumerate(self.convolutions):
            if self.blurs:
                if stage in (1, 2):
                    values = self.blurs[stage](functional.max_pool2d(values, 3, stride=1))
                values = convolution(values)
                if stage == 0:
                    values = self.blurs[0](values)
            else:
                values = convolution(functional.max_pool2d(values, 3, stride=2) if stage in (1, 2) else values)
            values = functional.relu(values)
            length = values.square().sum(dim=1, keepdim=True).sqrt()
            stages.append(values / (length + SMALLEST_LENGTH))
        return stages

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Compute the distance of each pair, (B,), of two batches (B, 3, H, W) in [-1, 1]."""
        total = torch.zeros(len(first), dtype=first.dtype, device=first.device)
        for first_stage, second_stage, head in zip(
            self.features(first), self.features(second), self.heads, strict=True
        ):
            total = total + ((first_stage - second_stage).square() * head).sum(dim=1).mean(dim=(1, 2))
        return total


def load_perceptual_distance(weights: Path | None = None) -> PerceptualDistance:
    """Load the network of LPIPS or ST-LPIPS.

    Parameters
    ----------
    weights : Path, optional
        Folder with the weights of LPIPS. ``alexnet.pth`` is the state dict of torchvision's AlexNet
        (IMAGENET1K_V1, published as ``alexnet-owt-7be5be79.pth``). ``alex.pth`` holds the linear
        weights of LPIPS, version 0.1. Without a folder, ST-LPIPS is loaded with the weights of the
        package ``stlpips-pytorch`` (BSD 2-Clause).

    Returns
    -------
    PerceptualDistance
        Network in float32 on the CPU, whose parameters do not require gradients. Its ``name`` is
        the name of the distance.

    Raises
    ------
    UserError
        If the package or a file is missing, or a file holds other weights.

    Examples
    --------
    >>> from downstream.metrics import load_perceptual_distance
    >>> load_perceptual_distance().name
    'ST-LPIPS'
    """
    return _load_lpips(Path(weights)) if weights is not None else _load_shift_tolerant_lpips()


def perceptual_distances(network: PerceptualDistance, first: Any, second: Any) -> Tensor:
    """Compute the perceptual distance of each image of a batch to its partner.

    Parameters
    ----------
    network : PerceptualDistance
        Network loaded by ``load_perceptual_distance``.
    first, second : Tensor or ndarray, shape (N, C, H, W), floating
        Images in [-1, 1] with C = 1 (repeated to three channels) or C = 3. Each side must have at
        least 21 (ST-LPIPS) or 31 (LPIPS) pixels.

    Returns
    -------
    Tensor, shape (N,)
        Distances in the dtype of the network, at least 0, and 0 for equal images. float32 agrees
        with float64 to about 1e-6.

    Raises
    ------
    UserError
        If the images have other shapes or ranges.

    Notes
    -----
    The formula and its sources are those of this module. The tests compare ST-LPIPS and LPIPS with
    the published code to a relative difference of 1e-5.

    Examples
    --------
    >>> import torch
    >>> from downstream.metrics import load_perceptual_distance, perceptual_distances
    >>> images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    >>> perceptual_distances(load_perceptual_distance(), images, images).tolist()
    [0.0, 0.0]
    """
    first, second = check_image_pairs(first, second, colours=True)
    smallest = SMALLEST_SIDE[network.name]
    if min(first.shape[2:]) < smallest:
        got = f"{first.shape[2]} x {first.shape[3]}"
        do = f"give images of at least {smallest} x {smallest} pixels; if you enlarge images for this, report it"
        raise UserError(f"images too small for {network.name}", got, do)
    distances = []
    with torch.no_grad():
        for start in range(0, len(first), IMAGES_AT_ONCE):
            part = slice(start, start + IMAGES_AT_ONCE)
            distances.append(network(*(_repeat_grey(images[part]).to(network.mean) for images in (first, second))))
    return torch.cat(distances)


def _repeat_grey(images: Tensor) -> Tensor:
    """Repeat grey images (B, 1, H, W) to three channels; leave colour images as they are."""
    return images.expand(-1, 3, -1, -1)


def _load_shift_tolerant_lpips() -> PerceptualDistance:
    """Load ST-LPIPS with the weights of its package."""
    names = {f"blurs.{number}.kernel": f"{published}.filt" for number, published in enumerate(SHIFT_TOLERANT_BLURS)}
    names |= _trunk_names(SHIFT_TOLERANT_TRUNK) | _head_names()
    names |= {"mean": "scaling_layer.shift", "deviation": "scaling_layer.scale"}
    network = PerceptualDistance("ST-LPIPS")
    fill_network(network, find_packaged_file("stlpips-pytorch", *SHIPPED), names)
    return network


def _load_lpips(folder: Path) -> PerceptualDistance:
    """Load LPIPS with the weights of a folder."""
    network = PerceptualDistance("LPIPS")
    fill_network(network, folder / TRUNK_FILE, _trunk_names(TORCHVISION_TRUNK))
    fill_network(network, folder / HEADS_FILE, _head_names())
    return network


def _trunk_names(layers: tuple[str, ...]) -> dict[str, str]:
    """Pair the names of our convolutions with those of a published file."""
    kinds = ("weight", "bias")
    return {f"convolutions.{stage}.{kind}": f"{layer}.{kind}" for stage, layer in enumerate(layers) for kind in kinds}


def _head_names() -> dict[str, str]:
    """Pair the names of our linear weights with those of a published file."""
    return {f"heads.{stage}": f"lin{stage}.model.1.weight" for stage in range(len(WIDTHS))}
