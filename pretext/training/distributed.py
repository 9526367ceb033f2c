"""Several processes that train one network: who they are, what they hand each other, and how each finds its rows.

They are started by torch's own launcher (``torchrun --nproc-per-node 2 -m spectral_ssl pretrain``) and talk by gloo, or
by nccl where the networks are on GPUs. Each has the whole network, works on its rows of each batch, and gradients are
summed before each step of an optimiser, all of them in one message (``pretext.optimisation``). torch's
DistributedDataParallel is not used: it hooks into *one* backward pass of *one* forward pass, while the methods here
step several networks in turn within a batch, freeze some of them meanwhile, and follow gradients of latents (cGML).

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
from spectral_ssl.ground.errors import SaidByAnother, UserError
from spectral_ssl.ground.terminal import process_count, process_place, restarts

# A process that is waited for longer than this is taken for dead. The others wait while the first prepares data.
PATIENCE = timedelta(hours=2)

Result = TypeVar("Result")


class Processes:
    """One process and the others beside it.

    Parameters
    ----------
    place, count : int
        This process's place in the order, from 0, and how many there are.
    device : torch.device
        Where messages must lie.
    """

    def __init__(self, place: int = 0, count: int = 1, device: torch.device | None = None) -> None:
        self.place, self.count = place, count
        self.device = device or torch.device("cpu")
        self.idle = False  # whether the rows under way are not this process's own, see ``Share``

    @property
    def first(self) -> bool:
        """Whether it is the one that writes and speaks."""
        return self.place == 0

    @property
    def several(self) -> bool:
        """Whether there are others."""
        return self.count > 1

    def shares(self, rows: int, parts: int = 1) -> list[Share]:
        """Its rows of a batch, in so many parts (fewer where there are not so many rows)."""
        start, stop = (rows * place // self.count for place in (self.place, self.place + 1))
        if start == stop:
            return [Share(min(start, rows - 1), 1, rows, idle=True)]
        parts = min(parts, stop - start)
        edges = [start + (stop - start) * part // parts for part in range(parts + 1)]
        return [Share(first, last - first, rows, part=part) for part, (first, last) in enumerate(pairwise(edges))]

    def add_up(self, tensors: Sequence[Tensor]) -> None:
        """Replace floating tensors of one dtype by their sums over all processes, in one message."""
        joined = torch.cat([tensor.reshape(-1).to(self.device) for tensor in tensors])
        with hearing():
            dist.all_reduce(joined)
        for tensor, part in zip(tensors, joined.split([tensor.numel() for tensor in tensors]), strict=True):
            tensor.copy_(part.view(tensor.shape))

    def gather(self, rows: Tensor) -> list[Tensor]:
        """The rows (b, ...) of all processes in their order; their numbers may differ, the other dimensions not."""
        sent = rows.detach().to(self.device)
        sent = sent.to(torch.uint8) if rows.dtype == torch.bool else sent
        lengths = [torch.zeros(1, dtype=torch.int64, device=self.device) for _ in range(self.count)]
        with hearing():
            dist.all_gather(lengths, torch.tensor([len(rows)], device=self.device))
            longest = max(int(length) for length in lengths)
            padded = torch.cat([sent, sent.new_zeros(longest - len(sent), *sent.shape[1:])])
            found = [torch.empty_like(padded) for _ in range(self.count)]
            dist.all_gather(found, padded)
        return [part[: int(length)].to(rows.device, rows.dtype) for part, length in zip(found, lengths, strict=True)]

    def sums(self, values: Sequence[float]) -> list[float]:
        """The sums of values over all processes."""
        if not self.several:
            return list(values)
        joined = torch.tensor(values, dtype=torch.float64)
        if self.device.type == "mps":
            joined = joined.float()
        joined = joined.to(self.device)
        with hearing():
            dist.all_reduce(joined)
        return [float(value) for value in joined]

    def take_over(self, module: nn.Module) -> None:
        """Give all the first process's parameters and buffers."""
        if self.several:
            with torch.no_grad(), hearing():
                for tensor in (*module.parameters(), *module.buffers()):
                    sent = tensor.detach().to(self.device).contiguous()
                    sent = sent.to(torch.uint8) if sent.dtype == torch.bool else sent
                    dist.broadcast(sent, 0)
                    tensor.copy_(sent)

    def check_alike(self, module: nn.Module) -> None:
        """Raise a UserError when the processes' networks are not the same any more."""
        if not self.several:
            return
        own = torch.stack([parameter.detach().cpu().double().sum() for parameter in module.parameters()])
        found = self.gather(own[None])
        if not all(torch.equal(found[0], other) for other in found):
            what_to_do = "go on from the last checkpoint with --resume, and report it: this should not happen"
            raise self.once(UserError("the processes have come apart", "other parameters in each", what_to_do))

    def once(self, error: UserError) -> UserError:
        """An error that all processes raise at the same place: one of them shall say it."""
        return error if self.first else SaidByAnother(error.what, error.got, error.do)

    def by_first(self, work: Callable[[], Result]) -> Result:
        """What the first process's ``work`` gives, for all of them; if it raises, all do."""
        if not self.several:
            return work()
        answer: list[Any] = [None, None]
        try:
            if self.first:
                try:
                    answer = [work(), None]
                except BaseException as error:
                    answer = [None, str(error) or type(error).__name__]
                    raise
        finally:
            with hearing():
                dist.broadcast_object_list(answer, 0, device=self.device)
        if answer[1] is not None:
            raise SaidByAnother("the first process failed", answer[1], "see what it says")
        result: Result = answer[0]
        return result

    def in_turn(self, work: Sequence[Callable[[], Result]]) -> Iterator[Result]:
        """Results of independent pieces of work, done by all processes together, in order, to the first process.

        Parameters
        ----------
        work : sequence of callable
            The same in all processes. Each piece is done by one of them.

        Yields
        ------
        object
            In the first process; in the others, which must iterate too, nothing.
        """
        for start in range(0, len(work), self.count):
            mine = work[start + self.place]() if start + self.place < len(work) else None
            if not self.several:
                yield mine  # type: ignore[misc]
                continue
            found: list[Any] | None = [None] * self.count if self.first else None
            with hearing():
                dist.gather_object(mine, found, 0)
            if found is not None:
                yield from found[: len(work) - start]

    def for_all(self, results: Iterable[Result]) -> list[Result]:
        """What the first process has got ``in_turn``, for all."""
        listed = list(results)
        return self.by_first(lambda: listed)


ALONE = Processes()


@contextmanager
def hearing() -> Iterator[None]:
    """Say in one line what it means when a message does not get through."""
    try:
        yield
    except RuntimeError as error:  # what torch raises when a process has gone
        reason = (str(error).splitlines() or ["no answer"])[0][:120]
        what_to_do = "see what it says; `spectral-ssl pretrain --resume RUN` goes on from the last checkpoint"
        raise UserError("another process of this run has ended", reason, what_to_do) from error


@contextmanager
def together(device: torch.device | None = None) -> Iterator[Processes]:
    """All processes that the launcher started for this run; ``ALONE`` where there is none but this.

    Parameters
    ----------
    device : torch.device, optional
        Where the networks are; of several GPUs each process of a machine takes its own.

    Yields
    ------
    Processes
    """
    if process_count() == 1:
        yield ALONE
        return
    device = device or torch.device("cpu")
    own = dist.is_initialized()
    if not own:
        if device.type == "cuda":
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        backend = "nccl" if device.type == "cuda" else "gloo"
        try:
            # the launcher's store outlives a restart: with names of its own a new start finds no addresses of the dead
            store, place, count = next(iter(rendezvous("env://", timeout=PATIENCE)))
            store = PrefixStore(f"start {restarts()} of {count}", store)
            dist.init_process_group(backend, store=store, rank=place, world_size=count, timeout=PATIENCE)
        except (RuntimeError, ValueError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
            raise UserError("the processes do not find each other", reason, "start them with torchrun") from error
    try:
        messages = torch.device("cuda", torch.cuda.current_device()) if device.type == "cuda" else torch.device("cpu")
        yield Processes(process_place(), process_count(), messages)
    finally:
        if not own:
            dist.destroy_process_group()
