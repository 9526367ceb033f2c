"""Several processes that train one network: their ranks, their messages, and each one's rows of a batch.

torch's launcher starts the processes (``torchrun --nproc-per-node 2 -m spectral_ssl pretrain``).
They exchange messages by gloo, or by nccl if the networks are on GPUs. Each process has the whole
network and works on its rows of each batch. Before each step of an optimiser, one message sums the
gradients of all processes (``pretext.optimisation``).

torch's DistributedDataParallel is not used. It hooks into *one* backward pass of *one* forward
pass, but the methods here step several networks in turn within a batch, freeze some of them
meanwhile, and follow gradients of latents (cGML).

Letters in shapes: B rows of a batch.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from itertools import pairwise
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from pretext.randomness import Share
from spectral_ssl.ground.errors import ReportedElsewhere, UserError
from spectral_ssl.ground.terminal import count_restarts, process_rank, world_size

# A process that sends nothing for this long counts as dead. The others wait this long while the
# main process prepares data.
TIMEOUT = timedelta(hours=2)

Result = TypeVar("Result")


class Distributed:
    """A process, as one of the processes of a run.

    Parameters
    ----------
    rank : int
        Number of this process, from 0.
    world_size : int
        Number of processes.
    device : torch.device
        The device that messages must be on.
    """

    def __init__(self, rank: int = 0, world_size: int = 1, device: torch.device | None = None) -> None:
        self.rank, self.world_size = rank, world_size
        self.device = device or torch.device("cpu")
        self.idle = False  # whether the rows of the step belong to another process, see ``Share``

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes files and messages."""
        return self.rank == 0

    @property
    def has_others(self) -> bool:
        """Whether there are other processes."""
        return self.world_size > 1

    def shares(self, rows: int, parts: int = 1) -> list[Share]:
        """Divide this process's rows of a batch into ``parts``, or fewer if there are not so many rows."""
        start, stop = (rows * rank // self.world_size for rank in (self.rank, self.rank + 1))
        if start == stop:
            return [Share(min(start, rows - 1), 1, rows, idle=True)]
        parts = min(parts, stop - start)
        edges = [start + (stop - start) * part // parts for part in range(parts + 1)]
        return [Share(first, last - first, rows, part=part) for part, (first, last) in enumerate(pairwise(edges))]

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """Replace floating-point tensors of one dtype by their sums over all processes, in one message."""
        joined = torch.cat([tensor.reshape(-1).to(self.device) for tensor in tensors])
        with explain_lost_process():
            dist.all_reduce(joined)
        for tensor, part in zip(tensors, joined.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(part.view(tensor.shape))

    def gather(self, rows: Tensor) -> list[Tensor]:
        """Return the rows (b, ...) of all processes by rank; their numbers may differ, the other dimensions may not."""
        sent = rows.detach().to(self.device)
        sent = sent.to(torch.uint8) if rows.dtype == torch.bool else sent
        lengths = [torch.zeros(1, dtype=torch.int64, device=self.device) for _ in range(self.world_size)]
        with explain_lost_process():
            dist.all_gather(lengths, torch.tensor([len(rows)], device=self.device))
            longest = max(int(length) for length in lengths)
            padded = torch.cat([sent, sent.new_zeros(longest - len(sent), *sent.shape[1:])])
            received = [torch.empty_like(padded) for _ in range(self.world_size)]
            dist.all_gather(received, padded)
        return [part[: int(length)].to(rows.device, rows.dtype) for part, length in zip(received, lengths, strict=True)]

    def sum_values(self, values: Sequence[float]) -> list[float]:
        """Sum each value over all processes."""
        if not self.has_others:
            return list(values)
        joined = torch.tensor(values, dtype=torch.float64)
        if self.device.type == "mps":
            joined = joined.float()
        joined = joined.to(self.device)
        with explain_lost_process():
            dist.all_reduce(joined)
        return [float(value) for value in joined]

    def copy_from_main(self, module: nn.Module) -> None:
        """Copy the main process's parameters and buffers into all others."""
        if self.has_others:
            with torch.no_grad(), explain_lost_process():
                for tensor in (*module.parameters(), *module.buffers()):
                    sent = tensor.detach().to(self.device).contiguous()
                    sent = sent.to(torch.uint8) if sent.dtype == torch.bool else sent
                    dist.broadcast(sent, 0)
                    tensor.copy_(sent)

    def check_equal(self, module: nn.Module) -> None:
        """Raise a UserError unless the networks of all processes are still the same."""
        if not self.has_others:
            return
        sums = torch.stack([parameter.detach().cpu().double().sum() for parameter in module.parameters()])
        gathered = self.gather(sums[None])
        if not all(torch.equal(gathered[0], other) for other in gathered):
            what_to_do = "resume from the last checkpoint with --resume, and report it: this should not happen"
            raise self.report_once(UserError("the processes no longer agree", "their parameters differ", what_to_do))

    def report_once(self, error: UserError) -> UserError:
        """Return an error that all processes raise at this point; only the main process prints it."""
        return error if self.is_main else ReportedElsewhere(error.what, error.got, error.do)

    def run_on_main(self, work: Callable[[], Result]) -> Result:
        """Run ``work`` in the main process, and return its result in all; if it raises, all processes raise."""
        if not self.has_others:
            return work()
        outcome: list[Any] = [None, None]  # the result, the error
        try:
            if self.is_main:
                try:
                    outcome = [work(), None]
                except BaseException as error:
                    outcome = [None, str(error) or type(error).__name__]
                    raise
        finally:
            with explain_lost_process():
                dist.broadcast_object_list(outcome, 0, device=self.device)
        if outcome[1] is not None:
            raise ReportedElsewhere("the main process failed", outcome[1], "see its message")
        result: Result = outcome[0]
        return result

    def run_in_turn(self, work: Sequence[Callable[[], Result]]) -> Iterator[Result]:
        """Distribute independent pieces of work over the processes; the main process gets the results in order.

        Parameters
        ----------
        work : sequence of callable
            The pieces, the same in all processes. One process runs each piece.

        Yields
        ------
        object
            The results, in the main process. The other processes must iterate too, and get nothing.
        """
        for start in range(0, len(work), self.world_size):
            mine = work[start + self.rank]() if start + self.rank < len(work) else None
            if not self.has_others:
                yield mine  # type: ignore[misc]
                continue
            received: list[Any] | None = [None] * self.world_size if self.is_main else None
            with explain_lost_process():
                dist.gather_object(mine, received, 0)
            if received is not None:
                yield from received[: len(work) - start]

    def share_with_all(self, results: Iterable[Result]) -> list[Result]:
        """List in all processes the results that the main process gets from ``run_in_turn``."""
        listed = list(results)
        return self.run_on_main(lambda: listed)


ALONE = Distributed()


@contextmanager
def explain_lost_process() -> Iterator[None]:
    """Turn the error of a message that does not arrive into a UserError that says what it means."""
    try:
        yield
    except RuntimeError as error:  # what torch raises when a process has ended
        reason = (str(error).splitlines() or ["no message"])[0][:120]
        what_to_do = "see its message; `spectral-ssl pretrain --resume RUN` resumes from the last checkpoint"
        raise UserError("another process of this run has ended", reason, what_to_do) from error


@contextmanager
def join_processes(device: torch.device | None = None) -> Iterator[Distributed]:
    """Join the processes that the launcher started for this run.

    Parameters
    ----------
    device : torch.device, optional
        The device of the networks. If a machine has several GPUs, each of its processes uses one.

    Yields
    ------
    Distributed
        ``ALONE`` if there is no other process.
    """
    if world_size() == 1:
        yield ALONE
        return
    device = device or torch.device("cpu")
    was_joined = dist.is_initialized()
    if not was_joined:
        if device.type == "cuda":
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        backend = "nccl" if device.type == "cuda" else "gloo"
        try:
            # The launcher's store outlives a restart. Names of its own keep a new start from
            # finding addresses of dead processes.
            store, rank, size = next(iter(rendezvous("env://", timeout=TIMEOUT)))
            store = PrefixStore(f"start {count_restarts()} of {size}", store)
            dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=TIMEOUT)
        except (RuntimeError, ValueError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
            raise UserError("the processes do not find each other", reason, "start them with torchrun") from error
    try:
        messages = torch.device("cuda", torch.cuda.current_device()) if device.type == "cuda" else torch.device("cpu")
        yield Distributed(process_rank(), world_size(), messages)
    finally:
        if not was_joined:
            dist.destroy_process_group()
