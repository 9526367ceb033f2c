"""What a task gets, what it makes of that, and what it says of both beforehand."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from torch import Tensor

from data_prep.basis import PAIR, Basis
from pretext.data.standardise import Standardiser
from pretext.neighbours.exact import Metric
from spectral_ssl.ground.errors import UserError


class Batch(NamedTuple):
    """Clean data, the input of a task.

    Attributes
    ----------
    maps : Tensor, shape (B, C, H, W), float32
        Standardised maps; of shape (B, 0) for a task that reads the clouds alone, if the maps would
        have to be computed.
    standardise : Standardiser
        Their basis and statistics, and which cells hold a value.
    points : Tensor, shape (B, P, 3), float32, optional
        The clouds in the unit ball that the maps were made from, for tasks that need them.
    codes : Tensor, shape (B, D), float32, optional
        Features of the maps, for the task from-code.

    Examples
    --------
    >>> import torch
    >>> from pretext.data import Batch, Standardiser
    >>> batch = Batch(torch.from_numpy(maps.read()[:4]), Standardiser.of(maps))
    >>> batch.maps.shape, batch.points is None
    (torch.Size([4, 1, 16, 16]), True)
    """

    maps: Tensor
    standardise: Standardiser
    points: Tensor | None = None
    codes: Tensor | None = None


class Example(NamedTuple):
    """What a task makes of a batch.

    Attributes
    ----------
    condition : Tensor, shape (B, C, H, W)
        The input of the network.
    target : Tensor, shape (B, C', H, W)
        What the network must predict.
    weight : Tensor, shape (B, C', H, W)
        Weight of each value of the target in the error, >= 0. No sample has weight 0 everywhere.

    Examples
    --------
    >>> import torch
    >>> from pretext.data import Example
    >>> target = torch.ones(2, 1, 4, 4)
    >>> hidden = torch.zeros(4, 4).index_fill(0, torch.tensor([1, 2]), 1.0).expand_as(target)
    >>> example = Example(condition=target * (1 - hidden), target=target, weight=hidden)
    >>> example.condition[0, 0, :, 0]
    tensor([1., 0., 0., 1.])
    """

    condition: Tensor
    target: Tensor
    weight: Tensor


@dataclass(frozen=True)
class Problem:
    """What a task makes of data of some basis: everything that a method must know to build its networks.

    Attributes
    ----------
    condition, target : tuple of int
        Shapes (C, H, W) of conditions and (C', H, W) of targets.
    bounded : bool
        Whether targets are in [-1, 1] (images) or anywhere (standardised coefficients).
    hole : bool
        Whether the condition is the target with a hidden part, 0 in all channels, and only that
        part is to be predicted.
    zoom : int
        Factor by which the image in the condition is smaller; each of its pixels is repeated zoom x
        zoom times.
    coded : bool
        Whether the condition (D, 1, 1) is a code of the target: features of it, or its class.
    followers : tuple of str
        Some of "nearest" and "farthest". In training each batch of B samples is followed by B
        neighbours for each of these, in the same order. They are neighbours in the space of codes.
    metric : {"l1", "l2"}
        Distance of codes.
    extra_error : callable, optional
        A term of the error in addition to the weighted distance to the target: (prediction,
        example) -> (B,).
    standardise : Standardiser, optional
        Basis and statistics of the data, for networks that use what maps represent. It is set when
        a method is built for a run.

    Examples
    --------
    >>> from pretext.data import Problem
    >>> Problem(condition=(1, 28, 28), target=(3, 28, 28), bounded=True).hole
    False
    """

    condition: tuple[int, int, int]
    target: tuple[int, int, int]
    bounded: bool
    hole: bool = False
    zoom: int = 1
    coded: bool = False
    followers: tuple[str, ...] = ()
    metric: Metric = "l1"
    extra_error: Callable[[Tensor, Example], Tensor] | None = None
    standardise: Standardiser | None = field(default=None, compare=False)


def require_images(
    task: str, basis: Basis, *, channels: int | None = None, smallest_side: int = 1, other: str = "denoise"
) -> None:
    """Raise a UserError unless a basis is that of single images as the task needs them.

    Parameters
    ----------
    task : str
        The task's name, for the message.
    basis : Basis
        The basis of the map file.
    channels : int, optional
        Required number of colour channels; any number by default.
    smallest_side : int
        Smallest allowed number of rows and columns.
    other : str
        The task that the message recommends for data that are no images.
    """
    if basis.kind != "pixels":
        what_to_do = f"prepare images, e.g. `spectral-ssl prep --dataset cifar10`, or take the task {other}"
        raise UserError(f"the task {task} works on images", f"maps of kind {basis.kind!r}", what_to_do)
    if basis.layout == PAIR:
        what_to_do = "prepare one side of them with `--side A` or `--side B`, or take the task translate"
        raise UserError(f"the task {task} works on single images", "a map file of paired images", what_to_do)
    if channels is not None and basis.shape[0] != channels:
        kind = "colour" if channels == 3 else "grey"
        got = f"{basis.shape[0]} channels"
        raise UserError(f"the task {task} works on {kind} images", got, f"prepare images with {channels} channels")
    if min(basis.shape[1:]) < smallest_side:
        got = f"{basis.shape[1]} x {basis.shape[2]} pixels"
        what_to_do = f"prepare them with --size {max(32, smallest_side)}"
        raise UserError(f"the task {task} needs images of {smallest_side} pixels a side", got, what_to_do)
