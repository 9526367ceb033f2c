"""Spreading batches over worker processes, here or on a Dask cluster, through joblib."""

import os
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import lru_cache
from typing import Any, TypeVar

from spectral_ssl.ground.errors import UserError

_Batch = TypeVar("_Batch")
_Result = TypeVar("_Result")

# joblib hands out new work whether or not the results before it were taken. So that results of a slow disk's writer do
# not pile up, it gets the work in rounds of this many batches for each worker; the workers wait at the end of each
# round for the last one, which costs about one part in twice this number.
ROUND = 64
SECONDS_TO_CONNECT = 20
SECONDS_BETWEEN_LOOKS = 0.5  # of a worker, at whether its parent is still there


def run_batches(
    work: Callable[[_Batch], _Result],
    batches: Sequence[tuple[int, _Batch]],
    workers: int,
    scheduler: str | None = None,
) -> Generator[tuple[int, _Result], None, None]:
    """Apply a function to all batches.

    Parameters
    ----------
    work : callable
        Takes one batch; picklable, and pure but for reading files.
    batches : sequence of (number, batch)
        What to do; the numbers are given back with the results.
    workers : int
        Processes on this machine, each with one native thread; 0 or 1 for none beside this one.
    scheduler : str, optional
        Address of a Dask scheduler, e.g. ``tcp://10.0.0.1:8786``, whose workers are used instead.

    Yields
    ------
    number, result
        In the order in which they are finished.

    Raises
    ------
    UserError
        When Dask is not installed, or no scheduler or worker answers at the address.
    """
    if scheduler is None and workers <= 1:
        for number, batch in batches:
            yield number, work(batch)
        return
    import joblib  # 0.2 s at import

    with ExitStack() as stack:
        if scheduler is None:
            # more native threads would only fight for the same cores
            stack.enter_context(joblib.parallel_config(backend="loky", n_jobs=workers, inner_max_num_threads=1))
        else:
            client = stack.enter_context(_connected(scheduler))
            workers = _count_workers(client, scheduler)
            stack.enter_context(joblib.parallel_config(backend="dask", client=client))
        parent = os.getpid() if scheduler is None else None
        options = {"return_as": "generator_unordered", "pre_dispatch": "3*n_jobs", "batch_size": 1}
        parallel = stack.enter_context(joblib.Parallel(**options))
        for start in range(0, len(batches), ROUND * workers):
            calls = (
                joblib.delayed(_numbered)(work, parent, *pair) for pair in batches[start : start + ROUND * workers]
            )
            with closing(parallel(calls)) as results, _said_clearly(scheduler):
                yield from results


@contextmanager
def _said_clearly(scheduler: str | None) -> Iterator[None]:
    """Turn the death of workers into a user's error."""
    from joblib.externals.loky.process_executor import BrokenProcessPool

    try:
        yield
    except BrokenProcessPool as error:
        raise UserError(
            "a worker process was killed", "most often because memory ran out", "repeat the command with fewer workers"
        ) from error
    except OSError as error:  # of joblib or distributed; readers' errors are results
        if scheduler is None:
            raise UserError(
                "worker processes cannot be started or reached",
                str(error.strerror or error),
                "repeat the command to go on where it stopped, with --workers 0 if it comes again",
            ) from error
        raise UserError(
            "lost the Dask cluster", f"{scheduler} ({error})", "repeat the command to go on where it stopped"
        ) from error


def _numbered(work: Callable[[_Batch], _Result], parent: int | None, number: int, batch: _Batch) -> tuple[int, _Result]:
    if parent is not None and parent != os.getpid():
        _end_with(parent)
    return number, work(batch)


@lru_cache(maxsize=1)  # one watch in each worker
def _end_with(parent: int) -> None:
    """Let this worker process end soon after its parent, even when that was killed.

    By themselves workers notice after minutes, or never where the pipe to the parent is full, and hold 180 MB each.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(SECONDS_BETWEEN_LOOKS)
        os._exit(1)

    if sys.platform != "win32":  # there the number stays when the parent has gone
        threading.Thread(target=watch, daemon=True).start()


def _connected(scheduler: str) -> Any:
    try:
        from distributed import Client
    except ImportError:
        raise UserError(
            "Dask is not installed", f"--scheduler {scheduler}", "pip install 'spectral-ssl[dask]', or leave it out"
        ) from None
    try:
        return Client(scheduler, timeout=SECONDS_TO_CONNECT, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:  # nobody there; no such host; not an address
        raise UserError(
            "no Dask scheduler answers", f"{scheduler} ({type(error).__name__}: {error})", "start `dask scheduler`"
        ) from error


def _count_workers(client: Any, scheduler: str) -> int:
    try:
        client.wait_for_workers(1, timeout=SECONDS_TO_CONNECT)
    except TimeoutError:
        raise UserError(
            "the Dask scheduler has no workers", scheduler, f"start `dask worker {scheduler} --nthreads 1`"
        ) from None
    return sum(client.ncores().values())
