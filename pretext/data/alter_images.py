"""Alter training images at random, as pix2pix does: cut them out of slightly larger ones, and mirror them.

Few images are then learnt by heart less. Source: Isola et al., "Image-to-image translation with
conditional adversarial networks" (CVPR 2017), appendix 6.2: images of 256 pixels are resized to 286,
and a random part of 256 pixels is cut out.

Letters in shapes: B batch, C channels, H, W of the images.
"""

import torch
from torch import Tensor
from torch.nn import functional

from data_prep.basis import Basis
from pretext.randomness import rand
from spectral_ssl.ground.errors import UserError


def check_alterations(basis: Basis, enlarge: float, flip: bool) -> None:
    """Raise a UserError if maps of a basis that is not of images are to be altered as images."""
    has_no_extent = basis.shape[1:] == (1, 1)  # the toy
    if (enlarge or flip) and (basis.kind != "pixels" or has_no_extent):
        setting = "train.enlarge" if enlarge else "train.flip"
        do = "leave it out; tasks that read points have settings of their own, such as task.mirror"
        got = "data without extent" if has_no_extent else f"maps of kind {basis.kind!r}"
        raise UserError(f"{setting} alters images", got, do)


def alter_images(images: Tensor, enlarge: float, flip: bool, generator: torch.Generator) -> Tensor:
    """Cut each image out of an enlarged copy of itself, and mirror it with probability 1/2.

    Parameters
    ----------
    images : Tensor, shape (B, C, H, W), float32
        Images, or pairs of images with their channels joined, which are altered alike.
    enlarge : float
        Share by which both sides are enlarged (bilinear); the position of the part of the former size
        is uniform. With 0 the pixels are those of the image.
    flip : bool
        Whether images are mirrored left to right with probability 1/2.
    generator : torch.Generator
        The only source of random numbers.

    Returns
    -------
    Tensor, shape (B, C, H, W), float32
        Each value lies between the smallest and the largest of its image.

    Examples
    --------
    >>> import torch
    >>> image = torch.arange(6.0).view(1, 1, 2, 3)
    >>> alter_images(image, 0.0, False, torch.Generator().manual_seed(0)).equal(image)
    True
    """
    draws = rand(len(images), 3, generator=generator)
    is_mirrored = (draws[:, 0] < 0.5) & flip
    if enlarge:
        scale = 1 / (1 + enlarge)
        frames = torch.zeros(len(images), 2, 3)
        frames[:, 0, 0] = frames[:, 1, 1] = scale
        frames[:, :, 2] = (1 - scale) * (2 * draws[:, 1:] - 1)
        grid = functional.affine_grid(frames, list(images.shape), align_corners=False)
        images = functional.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return torch.where(is_mirrored[:, None, None, None], images.flip(3), images)
