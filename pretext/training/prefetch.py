"""Examples made one step ahead in a thread, while the network trains on the step before.

Everything random in a step follows from (seed, step). It does not matter which thread generates it,
or when.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

import torch

Work = TypeVar("Work")
Made = TypeVar("Made")


class Feeder(Generic[Work, Made]):
    """An iterator over ``make(piece)`` for each piece of work in order, one ahead. It must be closed.

    Parameters
    ----------
    make : callable
        Called in the thread, in order.
    work : iterable
        The pieces of work, iterated in the caller's thread.

    Attributes
    ----------
    waited : float
        Seconds for which the caller has waited so far.
    """

    def __init__(self, make: Callable[[Work], Made], work: Iterable[Work]) -> None:
        self.waited = 0.0
        self._pool = ThreadPoolExecutor(1, "feeder", initializer=torch.set_flush_denormal, initargs=(True,))
        self._made = self._make_ahead(make, work)

    def _make_ahead(self, make: Callable[[Work], Made], work: Iterable[Work]) -> Iterator[Made]:
        """Submit each piece before the result of the one before is taken."""
        ahead = None
        for piece in work:
            ahead, now = self._pool.submit(make, piece), ahead
            if now is not None:
                yield now.result()
        if ahead is not None:
            yield ahead.result()

    def __iter__(self) -> "Feeder[Work, Made]":
        return self

    def __next__(self) -> Made:
        started = time.monotonic()
        try:
            return next(self._made)
        finally:
            self.waited += time.monotonic() - started

    def __enter__(self) -> "Feeder[Work, Made]":
        return self

    def __exit__(self, *error: object) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
