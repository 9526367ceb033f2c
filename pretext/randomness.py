"""Random numbers of a part of a batch: those that the whole batch would have had in these rows.

A batch may be worked through by several processes, or by one in several parts (``pretext.optimisation``). Whatever is random
in a sample must not depend on who works on it. So all draw the whole batch's numbers, from equal generators, and keep
their own rows: two processes with half the batch each draw what one process draws, and drawing costs little.

``rand`` and ``randn`` are torch's, but for a generator that has a ``share``. Numbers are drawn by the processor, on
every device the same, and then moved to where the generator is ``at_home``.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


class Share(NamedTuple):
    """Some neighbouring rows of a batch.

    Attributes
    ----------
    start, rows : int
        The first row and their number, at least 1.
    total : int
        Rows of the whole batch.
    idle : bool
        Whether there are more processes than rows and this is another one's row: worked on, so that all processes take
        the same steps together, and not counted.
    part : int
        Which of this process's parts it is.
    """

    start: int
    rows: int
    total: int
    idle: bool = False
    part: int = 0

    @property
    def weight(self) -> float:
        """The part of the batch's mean that this share's mean makes up."""
        return 0.0 if self.idle else self.rows / self.total

    @property
    def slice(self) -> slice:
        """Of the rows."""
        return slice(self.start, self.start + self.rows)


class StepGenerator(torch.Generator):
    """A generator that knows which rows of a batch are worked on, all by default, and on which device."""

    share: Share | None = None
    at_home: torch.device | None = None


def batch_rows(rows: int, generator: torch.Generator) -> int:
    """How many rows the whole batch has of which the generator's user has ``rows``."""
    share = getattr(generator, "share", None)
    return rows if share is None else rows // share.rows * share.total


def leads(generator: torch.Generator) -> bool:
    """Whether its user has the first of a process's parts of the batch: it counts the steps, for all of them."""
    share: Share | None = getattr(generator, "share", None)
    return share is None or share.part == 0


def rand(*size: int, generator: torch.Generator | None, dtype: torch.dtype | None = None, rows_in: int = 0) -> Tensor:
    """Uniform numbers in [0, 1), as ``torch.rand``.

    Parameters
    ----------
    size : int
        Of a tensor whose dimension ``rows_in`` has the rows, or for each row equally many of its own, side by side.
    generator : torch.Generator
    dtype : torch.dtype, optional
    rows_in : int
        The dimension of the batch.

    Returns
    -------
    Tensor
    """
    return _rows_of(
        lambda whole: torch.rand(whole, generator=generator, dtype=dtype, device="cpu"), size, generator, rows_in
    )


def randn(*size: int, generator: torch.Generator | None, dtype: torch.dtype | None = None, rows_in: int = 0) -> Tensor:
    """Standard normal numbers, as ``torch.randn``; see ``rand``."""
    return _rows_of(
        lambda whole: torch.randn(whole, generator=generator, dtype=dtype, device="cpu"), size, generator, rows_in
    )


def randint(high: int, *size: int, generator: torch.Generator) -> Tensor:
    """Integers below ``high``, as ``torch.randint``; the first dimension is that of the batch, see ``rand``."""
    return _rows_of(lambda whole: torch.randint(high, whole, generator=generator, device="cpu"), size, generator, 0)


def _rows_of(
    draw: Callable[[tuple[int, ...]], Tensor], size: tuple[int, ...], generator: torch.Generator | None, rows_in: int
) -> Tensor:
    share: Share | None = getattr(generator, "share", None)
    if share is None:
        drawn = draw(size)
    else:
        copies, rest = divmod(size[rows_in], share.rows)
        if rest:
            raise ValueError(f"{size[rows_in]} rows are not {share.rows} times the same number")
        whole = (*size[:rows_in], copies * share.total, *size[rows_in + 1 :])
        drawn = draw(whole).narrow(rows_in, copies * share.start, size[rows_in]).contiguous()
    at_home: torch.device | None = getattr(generator, "at_home", None)
    return drawn if at_home is None else drawn.to(at_home)
