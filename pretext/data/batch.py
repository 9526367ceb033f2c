"""What a task is given, what it makes of that, and what it says of both beforehand."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from torch import Tensor

from data_prep.basis import PAIR, Basis
from pretext.data.standardise import Standardiser
from pretext.neighbours.exact import Metric
from spectral_ssl.ground.errors import UserError


class Batch(NamedTuple):
    """Clean data, as a task is given it.

    Attributes
    ----------
    maps : Tensor, shape (B, C, H, W), float32
        Standardised maps.
    standardise : Standardiser
        What standardised them; it knows their basis and which cells hold something.
    points : Tensor, shape (B, P, 3), float32, optional
        The clouds in the unit ball that the maps were made from, for tasks that ask for them.
    codes : Tensor, shape (B, D), float32, optional
        Features of the maps, for the task from-code.
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
        What the network sees.
    target : Tensor, shape (B, C', H, W)
        What it shall give.
    weight : Tensor, shape (B, C', H, W)
        How much each value of the target counts, >= 0; no sample is zero throughout.
    """

    condition: Tensor
    target: Tensor
    weight: Tensor


@dataclass(frozen=True)
class Problem:
    """What a task makes of data of some basis: all that a method must know to build its networks.

    Attributes
    ----------
    condition, target : tuple of int
        (C, H, W) and (C', H, W).
    bounded : bool
        Whether targets lie in [-1, 1] (images) or anywhere (standardised coefficients).
    hole : bool
        Whether the condition is the target with a part hidden, 0 in all channels, and only that part is asked for.
    zoom : int
        How many times smaller the picture is that the condition shows, each of its pixels repeated zoom x zoom times.
    coded : bool
        Whether the condition (D, 1, 1) is a code of the target: features of it, or its class.
    followers : tuple of str
        Of "nearest" and "farthest": in training B samples are followed by so many times B others, their neighbours in
        the space of codes, in the same order.
    metric : {"l1", "l2"}
        Distance of codes.
    extra_error : callable, optional
        A term of the error beside the weighted distance to the target: (answer, example) -> (B,).
    standardise : Standardiser, optional
        Basis and statistics of the data, for networks that take maps for what they stand for; added when a method is
        built for a run.
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


def need_pictures(
    task: str, basis: Basis, *, channels: int | None = None, smallest_side: int = 1, other: str = "denoise"
) -> None:
    """Raise a UserError unless a basis is that of single pictures as the task wants them.

    Parameters
    ----------
    task : str
        Its name, for the message.
    basis : Basis
        Of the map file.
    channels : int, optional
        How many colour channels it must have; any number by default.
    smallest_side : int
        Fewest rows and columns.
    other : str
        The task to name for data that is no pictures.
    """
    if basis.kind != "pixels":
        what_to_do = f"prepare pictures, e.g. `spectral-ssl prep --dataset cifar10`, or take the task {other}"
        raise UserError(f"the task {task} works on pictures", f"maps of kind {basis.kind!r}", what_to_do)
    if basis.layout == PAIR:
        what_to_do = "prepare one side of them with `--side A` or `--side B`, or take the task translate"
        raise UserError(f"the task {task} works on single pictures", "a map file of paired images", what_to_do)
    if channels is not None and basis.shape[0] != channels:
        kind = "colour" if channels == 3 else "grey"
        got = f"{basis.shape[0]} channels"
        raise UserError(f"the task {task} works on {kind} pictures", got, f"prepare pictures with {channels} channels")
    if min(basis.shape[1:]) < smallest_side:
        got = f"{basis.shape[1]} x {basis.shape[2]} pixels"
        what_to_do = f"prepare them with --size {max(32, smallest_side)}"
        raise UserError(f"the task {task} needs pictures of {smallest_side} pixels a side", got, what_to_do)
