"""What several networks share: sizes of a map in them, a linear layer on oneDNN, the group normalisation.

The latent optimiser Z computes one large product in every step. On processors that are not Intel's,
torch's matrix product (MKL) reaches half the speed of oneDNN, the library of torch's convolutions
(AMD EPYC, one core, 128 x 4608 times 4608 x 512: 92 against 196 Gflop/s). torch has no public
switch for that, so ``apply_linear`` calls the operation that torch's compiler emits. Where the
operation is missing, or the data is not float32 on the processor, torch's own layer is used. The
sums are the same up to rounding.

Letters in shapes: R rows, I and O numbers of input and output values.
"""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

SMALLEST_GROUP = 16  # values that a group normalisation needs at least


class Geometry(NamedTuple):
    """The sizes of a map and of its activations in the networks.

    Attributes
    ----------
    channels, height, width : int
        C, H and W of the map.
    widths : tuple of int
        Channels after each halving.
    side : (int, int)
        Height and width of the bottleneck; the map is zero-padded to side x 2^levels.
    """

    channels: int
    height: int
    width: int
    widths: tuple[int, ...]
    side: tuple[int, int]

    @property
    def padding(self) -> tuple[int, int, int, int]:
        """(left, right, top, bottom) padding of the map."""
        factor = 2 ** len(self.widths)
        return (0, self.side[1] * factor - self.width, 0, self.side[0] * factor - self.height)

    @property
    def bottleneck(self) -> int:
        """Number of values of h."""
        return self.widths[-1] * self.side[0] * self.side[1]


def plan(shape: tuple[int, int, int], width: int, width_limit: int = 8) -> Geometry:
    """Choose the number of halvings and the widths for a map.

    There are log2(side) - 2 halvings, so that about 4x4 is left, but at least one.

    Parameters
    ----------
    shape : tuple of int
        (C, H, W) of the map.
    width : int
        Channels after the first halving; they double with each further one.
    width_limit : int
        Most channels, as a multiple of ``width``.

    Returns
    -------
    Geometry

    Examples
    --------
    >>> from pretext.networks import plan
    >>> plan((3, 32, 32), width=64).widths
    (64, 128, 256)
    """
    channels, height, length = shape
    levels = max(1, round(math.log2(min(height, length)) - 2))
    factor = 2**levels
    widths = tuple(width * min(2**level, width_limit) for level in range(levels))
    return Geometry(channels, height, length, widths, (math.ceil(height / factor), math.ceil(length / factor)))


def _multiply(rows: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Multiply rows (R, I) by the transpose of the weight (O, I) and add the bias (O)."""
    result: Tensor = torch.ops.mkldnn._linear_pointwise(rows, weight, bias, "none", [], "")
    return result


def _is_operation_correct() -> bool:
    """Check that this build of torch has the operation and that it computes the right values."""
    rows, weight, bias = torch.eye(3), torch.arange(6.0).view(2, 3), torch.tensor([1.0, -1.0])
    try:
        return torch.allclose(_multiply(rows, weight, bias), functional.linear(rows, weight, bias))
    except (AttributeError, RuntimeError, NotImplementedError):
        return False


# torch's counter of operations does not count this one, so code that counts sets ``available`` to
# False meanwhile
available = _is_operation_correct()


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(rows, weight)
        return _multiply(rows, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        rows, weight = ctx.saved_tensors
        of_rows = gradient @ weight if ctx.needs_input_grad[0] else None
        of_weight = _multiply(gradient.t().contiguous(), rows.t().contiguous(), None)
        return of_rows, of_weight, gradient.sum(dim=0)


def apply_linear(rows: Tensor, layer: nn.Linear) -> Tensor:
    """Compute the output of a linear layer with a bias.

    Parameters
    ----------
    rows : Tensor, shape (R, I), floating
        Inputs; oneDNN is used for float32 on the processor.
    layer : nn.Linear
        Layer of I inputs and O outputs.

    Returns
    -------
    Tensor, shape (R, O)

    Examples
    --------
    >>> import torch
    >>> from pretext.networks import apply_linear
    >>> layer = torch.nn.Linear(3, 2)
    >>> rows = torch.eye(3)
    >>> torch.allclose(apply_linear(rows, layer), layer(rows))
    True
    """
    weight, bias = layer.weight, layer.bias
    if available and rows.device.type == "cpu" and rows.dtype == weight.dtype == torch.float32:
        result: Tensor = _Linear.apply(rows, weight, bias)  # type: ignore[no-untyped-call]
        return result
    return functional.linear(rows, weight, bias)


def build_norm(channels: int, affine: bool = True, *, pixels: int = SMALLEST_GROUP) -> nn.Module:
    """Build a group normalisation of at most 8 groups, with weights of its own (``affine``) or without.

    Each sample is normalised by itself, so the result does not depend on its batch. Where few
    ``pixels`` are left, there are fewer groups: what is normalised over one or two values says
    nothing any more. Below 16 values there is no normalisation.
    """
    groups = math.gcd(8, channels)
    while groups > 1 and channels // groups * pixels < SMALLEST_GROUP:
        groups //= 2
    if channels // groups * pixels < SMALLEST_GROUP:
        return nn.Identity()
    return nn.GroupNorm(groups, channels, affine=affine)
