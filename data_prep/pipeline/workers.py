"""Distribution of batches over worker processes, on this machine or on a Dask cluster, through joblib."""

import asyncio
import os
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from spectral_ssl.ground.errors import UserError

_Batch = TypeVar("_Batch")
_Result = TypeVar("_Result")

# joblib starts new work without waiting for the consumer of the results. With a slow disk the
# results would fill the memory. So joblib gets the work in rounds of this many batches per worker.
# At the end of a round the workers wait for the last one, which costs about one part in twice this
# number.
ROUND = 64
MEMORY_OF_A_CONTAINER = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
SECONDS_TO_CONNECT = 20
SECONDS_BETWEEN_CHECKS = 0.5  # Interval at which a worker checks that its parent is alive.


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
        Function of one batch; picklable, with no side effect except reading files.
    batches : sequence of (number, batch)
        The batches. Their numbers come back with the results.
    workers : int
        Number of worker processes on this machine, each with one native thread; 0 or 1 to work in
        this process.
    scheduler : str, optional
        Address of a Dask scheduler, such as ``tcp://10.0.0.1:8786``, whose workers are used
        instead.

    Yields
    ------
    number, result
        Results in the order in which they finish.

    Raises
    ------
    UserError
        When Dask is not installed, or no scheduler or worker responds at the address.
    """
    if scheduler is None and workers <= 1:
        for number, batch in batches:
            yield number, work(batch)
        return
    import joblib  # The import takes 0.2 s.

    with ExitStack() as stack:
        if scheduler is None:
            # More native threads would compete for the same cores.
            stack.enter_context(joblib.parallel_config(backend="loky", n_jobs=workers, inner_max_num_threads=1))
        else:
            client = stack.enter_context(_connect(scheduler))
            workers = _count_workers(client, scheduler)
            stack.enter_context(joblib.parallel_config(backend="dask", client=client))
        parent = os.getpid() if scheduler is None else None
        share = _count_memory() // (workers + 1) if scheduler is None else 0
        options = {"return_as": "generator_unordered", "pre_dispatch": "3*n_jobs", "batch_size": 1}
        parallel = stack.enter_context(joblib.Parallel(**options))
        for start in range(0, len(batches), ROUND * workers):
            calls = (
                joblib.delayed(_numbered)(work, parent, share, *pair)
                for pair in batches[start : start + ROUND * workers]
            )
            with closing(parallel(calls)) as results, _explain_failures(scheduler):
                yield from results


@contextmanager
def _explain_failures(scheduler: str | None) -> Iterator[None]:
    """Raise a UserError when workers die or cannot be reached."""
    from joblib.externals.loky.process_executor import BrokenProcessPool

    try:
        yield
    except BrokenProcessPool as error:
        raise UserError(
            "a worker process was killed", "most often because memory ran out", "repeat the command with fewer workers"
        ) from error
    except OSError as error:  # The error is of joblib or distributed, because errors of readers are results.
        if scheduler is None:
            raise UserError(
                "worker processes cannot be started or reached",
                str(error.strerror or error),
                "repeat the command to resume, with --workers 0 if the error comes again",
            ) from error
        raise UserError("lost the Dask cluster", f"{scheduler} ({error})", "repeat the command to resume") from error


def _numbered(
    work: Callable[[_Batch], _Result], parent: int | None, share: int, number: int, batch: _Batch
) -> tuple[int, _Result]:
    if parent is not None and parent != os.getpid():
        _end_with(parent)
        if share:
            _limit_memory(share)
    return number, work(batch)


def _count_memory() -> int:
    """Return the bytes of memory of this machine or container, or 0 where processes cannot be limited."""
    if sys.platform != "linux":
        return 0
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in MEMORY_OF_A_CONTAINER:
        with suppress(OSError, ValueError):  # "max" is no number
            limits.append(int(Path(path).read_text(encoding="ascii")))
    return min(limits)


@lru_cache(maxsize=1)  # so that the limit does not grow with the process
def _limit_memory(share: int) -> None:
    """Let this worker process have ``share`` bytes more than it has now.

    Without a limit the system kills a worker whose object needs more memory than there is, and the
    whole preparation ends. With it the allocation fails, and the object is one of the failures.
    """
    if sys.platform != "linux":
        return
    import resource

    size = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    limit = size + share if most == resource.RLIM_INFINITY else min(size + share, most)
    resource.setrlimit(resource.RLIMIT_AS, (limit, most))


@lru_cache(maxsize=1)  # so that each worker starts one thread
def _end_with(parent: int) -> None:
    """Make this worker process end soon after its parent, even if the parent is killed.

    Otherwise workers notice the end of the parent after minutes, or never if the pipe to the parent
    is full. Each of them holds 180 MB.
    """

    def poll() -> None:
        while os.getppid() == parent:
            time.sleep(SECONDS_BETWEEN_CHECKS)
        os._exit(1)

    if sys.platform != "win32":  # On Windows the parent's number stays after its end.
        threading.Thread(target=poll, daemon=True).start()


def _connect(scheduler: str) -> Any:
    try:
        from distributed import Client
    except ImportError:
        raise UserError(
            "Dask is not installed", f"--scheduler {scheduler}", "pip install 'spectral-ssl[dask]', or leave it out"
        ) from None
    try:
        # In a thread of its own, because a notebook has an event loop in this one.
        with ThreadPoolExecutor(1) as pool:
            pool.submit(asyncio.run, asyncio.wait_for(_greet(scheduler), SECONDS_TO_CONNECT)).result()
        return Client(scheduler, timeout=SECONDS_TO_CONNECT, set_as_default=False)
    # No process there, no such host, not an address, no certificate, or another version. A server that speaks first
    # announces petabytes.
    except (OSError, ValueError, TypeError, MemoryError, RuntimeError, ImportError) as error:
        reason = f"{type(error).__name__}: {error}".rstrip(": ")
        raise UserError("no Dask scheduler responds", f"{scheduler} ({reason})", "start `dask scheduler`") from error


async def _greet(scheduler: str) -> None:
    """Ask a scheduler for Dask's greeting, then hang up.

    ``Client`` waits without end for a server that accepts connections and says nothing. A ``Client``
    whose constructor fails at a wrong address closes itself when it is collected as garbage, and
    can wait there without end for its own thread.
    """
    import dask
    from distributed.comm.core import connect
    from distributed.security import Security

    if dask.config.get("distributed.client.security-loader", None):
        return  # Only Client knows how to call it.
    # certificates of Dask's own config, as Client uses them
    comm = await connect(scheduler, timeout=SECONDS_TO_CONNECT, **Security().get_connection_args("client"))
    await comm.write({"op": "identity", "reply": True})
    found = await comm.read()
    comm.abort()
    kind = found.get("type") if isinstance(found, dict) else None
    if kind != "Scheduler":  # the address of a worker, whose replies Client does not understand
        raise ValueError(f"a {kind} responds")


def _count_workers(client: Any, scheduler: str) -> int:
    try:
        client.wait_for_workers(1, timeout=SECONDS_TO_CONNECT)
    except TimeoutError:
        raise UserError(
            "the Dask scheduler has no workers", scheduler, f"start `dask worker {scheduler} --nthreads 1`"
        ) from None
    return sum(client.ncores().values())
