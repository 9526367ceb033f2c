"""Check the images that are passed to a metric."""

from typing import Any

import torch
from torch import Tensor

from spectral_ssl.ground.errors import UserError

ROUNDING = 1e-5  # float32 arithmetic may carry a value so far beyond [-1, 1].


def check_images(what: str, images: Any, *, colours: bool = False) -> Tensor:
    """Check images and return them as a tensor.

    Parameters
    ----------
    what : str
        Name of the images in messages, e.g. ``"predictions"``.
    images : Tensor or ndarray, shape (N, C, H, W), floating
        Images in [-1, 1].
    colours : bool
        Whether C must be 1 or 3, as networks trained on photographs require.

    Returns
    -------
    Tensor, shape (N, C, H, W)
        Images of the same dtype, on the CPU, that do not require gradients.

    Raises
    ------
    UserError
        If there is no image, or the shape, the dtype or the range is wrong, or a value is not
        finite.
    """
    tensor = torch.as_tensor(images).detach().cpu()
    if tensor.ndim != 4 or 0 in tensor.shape:
        raise UserError(f"shape of the {what}", tuple(tensor.shape), "give (N, C, H, W), none of them 0")
    if not tensor.is_floating_point():
        raise UserError(f"dtype of the {what}", tensor.dtype, "give float32 or float64 in [-1, 1]")
    if colours and tensor.shape[1] not in (1, 3):
        raise UserError(f"channels of the {what}", tensor.shape[1], "give grey (1) or RGB (3) images")
    low, high = (float(value) for value in torch.aminmax(tensor))  # Both are NaN if any value is NaN.
    if not (low >= -1 - ROUNDING and high <= 1 + ROUNDING):
        raise UserError(f"values of the {what}", f"{low:g} to {high:g}", "give [-1, 1]; clip predictions first")
    return tensor


def check_image_pairs(first: Any, second: Any, *, colours: bool = False) -> tuple[Tensor, Tensor]:
    """Check two batches of images of the same shape and return them as tensors.

    Parameters
    ----------
    first, second : Tensor or ndarray, shape (N, C, H, W), floating
        Images in [-1, 1].
    colours : bool
        Whether C must be 1 or 3.

    Returns
    -------
    first, second : Tensor, shape (N, C, H, W)
        The images, see ``check_images``.

    Raises
    ------
    UserError
        In all cases of ``check_images``, and if the shapes differ.
    """
    first, second = check_images("first images", first, colours=colours), check_images("second images", second)
    if first.shape != second.shape:
        raise UserError(
            "two batches of images of different shapes",
            f"{tuple(first.shape)} and {tuple(second.shape)}",
            "give the same objects in the same order",
        )
    return first, second
