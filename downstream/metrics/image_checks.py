"""What every measure asks of its images before it measures anything."""

from typing import Any

import torch
from torch import Tensor

from spectral_ssl.ground.errors import UserError

ROUNDING = 1e-5  # so far beyond [-1, 1] float32 arithmetic may carry a value


def check_images(what: str, images: Any, *, colours: bool = False) -> Tensor:
    """Images as a tensor, after the checks.

    Parameters
    ----------
    what : str
        What they are called in messages, e.g. ``"answers"``.
    images : Tensor or ndarray, shape (N, C, H, W), floating
        In [-1, 1].
    colours : bool
        Whether C must be 1 or 3, as networks trained on photographs ask.

    Returns
    -------
    Tensor, shape (N, C, H, W)
        Of the same dtype, on the CPU, without gradients.

    Raises
    ------
    UserError
        When there is no image, or the shape, the dtype or the range is another, or a value is not finite.
    """
    tensor = torch.as_tensor(images).detach().cpu()
    if tensor.ndim != 4 or 0 in tensor.shape:
        raise UserError(f"shape of the {what}", tuple(tensor.shape), "give (N, C, H, W), none of them 0")
    if not tensor.is_floating_point():
        raise UserError(f"dtype of the {what}", tensor.dtype, "give float32 or float64 in [-1, 1]")
    if colours and tensor.shape[1] not in (1, 3):
        raise UserError(f"channels of the {what}", tensor.shape[1], "give grey (1) or RGB (3) images")
    low, high = (float(value) for value in torch.aminmax(tensor))  # NaN if any value is
    if not (low >= -1 - ROUNDING and high <= 1 + ROUNDING):
        raise UserError(f"values of the {what}", f"{low:g} to {high:g}", "give [-1, 1]; clip a network's answers first")
    return tensor


def check_image_pairs(first: Any, second: Any, *, colours: bool = False) -> tuple[Tensor, Tensor]:
    """Two batches of images of one shape, each after ``check_images``.

    Raises
    ------
    UserError
        As ``check_images``, and when the shapes differ.
    """
    one, other = check_images("first images", first, colours=colours), check_images("second images", second)
    if one.shape != other.shape:
        raise UserError(
            "two batches of images of different shapes",
            f"{tuple(one.shape)} and {tuple(other.shape)}",
            "give the same objects in the same order",
        )
    return one, other
