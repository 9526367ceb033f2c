"""Random numbers that depend on a seed and a sample, and on nothing else.

Several processes may share a batch, or one process may work through it in parts
(``pretext.optimisation``). What is random in a sample must not depend on that division. Each
process therefore generates the numbers of the whole batch and keeps its own rows. Two processes
with half a batch each use the same numbers as one process with all of it. This costs little.

``rand``, ``randn`` and ``randint`` work like torch's functions, and respect a generator's
``share``. The CPU generates all numbers, so that they are the same on every device. They are then
moved to the generator's ``target_device``.
"""

from collections.abc import Callable
from hashlib import sha256
from typing import NamedTuple

import torch
from torch import Tensor


class Share(NamedTuple):
    """Consecutive rows of a batch.

    Attributes
    ----------
    start, rows : int
        The first row, and the number of rows, at least 1.
    total : int
        Number of rows of the whole batch.
    idle : bool
        Whether the row belongs to another process, because there are more processes than rows. An
        idle process works on that row, so that all processes take the same steps, and its result
        does not count.
    part : int
        Number of this part among the parts of one process, from 0.
    """

    start: int
    rows: int
    total: int
    idle: bool = False
    part: int = 0

    @property
    def weight(self) -> float:
        """The weight of this share's mean in the mean of the batch."""
        return 0.0 if self.idle else self.rows / self.total

    @property
    def slice(self) -> slice:
        """The rows as a slice of the batch."""
        return slice(self.start, self.start + self.rows)


class StepGenerator(torch.Generator):
    """A generator that knows which rows of a batch it serves, all by default, and on which device they are."""

    share: Share | None = None
    target_device: torch.device | None = None


def seeded_generator(*parts: int | str) -> StepGenerator:
    """Make a generator whose stream is a function of the parts, e.g. (seed, "step", 12)."""
    digest = sha256(":".join(str(part) for part in parts).encode()).digest()
    generator = StepGenerator()
    generator.manual_seed(int.from_bytes(digest[:8], "little") >> 1)
    return generator


def count_batch_rows(rows: int, generator: torch.Generator) -> int:
    """Count the rows of the whole batch, of which the generator serves ``rows``."""
    share = getattr(generator, "share", None)
    return rows if share is None else rows // share.rows * share.total


def is_main(generator: torch.Generator) -> bool:
    """Tell whether a generator serves the first part of a process's rows: that part counts the steps for all parts."""
    share: Share | None = getattr(generator, "share", None)
    return share is None or share.part == 0


def rand(*size: int, generator: torch.Generator | None, dtype: torch.dtype | None = None, rows_in: int = 0) -> Tensor:
    """Generate uniform numbers in [0, 1), like ``torch.rand``.

    Parameters
    ----------
    size : int
        Shape of the tensor. Its dimension ``rows_in`` is the number of rows, or a multiple of it if
        each row has several consecutive entries.
    generator : torch.Generator
        The source of the numbers.
    dtype : torch.dtype, optional
        Type of the numbers, torch's default type by default.
    rows_in : int
        The dimension that counts the rows of the batch.

    Returns
    -------
    Tensor
    """
    return _generate_rows(
        lambda whole: torch.rand(whole, generator=generator, dtype=dtype, device="cpu"), size, generator, rows_in
    )


def randn(*size: int, generator: torch.Generator | None, dtype: torch.dtype | None = None, rows_in: int = 0) -> Tensor:
    """Generate standard normal numbers, like ``torch.randn``; parameters as of ``rand``."""
    return _generate_rows(
        lambda whole: torch.randn(whole, generator=generator, dtype=dtype, device="cpu"), size, generator, rows_in
    )


def randint(high: int, *size: int, generator: torch.Generator) -> Tensor:
    """Generate integers below ``high``, like ``torch.randint``; the first dimension counts the rows of the batch."""
    return _generate_rows(
        lambda whole: torch.randint(high, whole, generator=generator, device="cpu"), size, generator, 0
    )


def _generate_rows(
    generate: Callable[[tuple[int, ...]], Tensor],
    size: tuple[int, ...],
    generator: torch.Generator | None,
    rows_in: int,
) -> Tensor:
    """Generate the numbers of the whole batch, and return those of the generator's rows."""
    share: Share | None = getattr(generator, "share", None)
    if share is None:
        numbers = generate(size)
    else:
        copies, rest = divmod(size[rows_in], share.rows)
        if rest:
            raise ValueError(f"{size[rows_in]} rows are not a multiple of {share.rows}")
        whole = (*size[:rows_in], copies * share.total, *size[rows_in + 1 :])
        numbers = generate(whole).narrow(rows_in, copies * share.start, size[rows_in]).contiguous()
    target: torch.device | None = getattr(generator, "target_device", None)
    return numbers if target is None else numbers.to(target)
