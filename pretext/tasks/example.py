"""What a task is given, what it makes of that, and what it says of both beforehand."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from torch import Tensor

from pretext.standardiser import Standardiser


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
    """

    maps: Tensor
    standardise: Standardiser
    points: Tensor | None = None


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
    extra_error: Callable[[Tensor, Example], Tensor] | None = None
    standardise: Standardiser | None = field(default=None, compare=False)
