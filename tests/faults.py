"""The faults that a run must survive; each strikes in a forked child process."""

import errno
import faulthandler
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
import torch._dynamo  # the first optimiser of a process imports it, which would take each child seconds
from figures_off import leave_out_figures
from method_cases import EPOCHS, STEPS, Case

import pretext.training.checkpoint
import pretext.training.trainer
import spectral_ssl.ground.files
from pretext.training.batch_step import BatchStep

# A fault is installed in a child process and strikes there at the n-th opportunity. The child never returns from it.


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def at_call(
    owner: Any, name: str, number: int, strike: Callable[..., Any], only: str = "", after: bool = False
) -> None:
    """Call ``strike`` with the arguments of the n-th call of ``owner.name`` (counting calls on files of one name)."""
    original, calls = getattr(owner, name), 0

    def wrapped(*args: Any, **options: Any) -> Any:
        nonlocal calls
        counts = not only or any(isinstance(arg, Path) and arg.name == only for arg in args)
        calls += counts
        if counts and calls == number and not after:
            strike(*args)
        result = original(*args, **options)
        if counts and calls == number and after:
            strike(*args)
        return result

    setattr(owner, name, wrapped)


def half_a_file(content: Any, path: Path) -> None:
    torch.save(content, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    kill()


def half_a_row(path: Path, row: dict[str, Any]) -> None:
    with path.open("a") as stream:
        stream.write('{"epoch": 1, "st')
    kill()


def full_disk(*_: Any) -> NoReturn:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def send(number: int) -> None:
    os.kill(os.getpid(), number)


def at_file(name: str, strike: Callable[[], Any], *, after: bool = False) -> Callable[[Case, int], None]:
    """Make a fault that strikes when a file of this name is published for the n-th time."""
    return lambda case, n: at_call(spectral_ssl.ground.files, "publish", n, lambda *_: strike(), only=name, after=after)


def in_step(strike: Callable[[], Any]) -> Callable[[Case, int], None]:
    """Make a fault that strikes at the end of the n-th step."""
    return lambda case, n: at_call(BatchStep, "step", n, lambda *_: strike(), after=True)


def in_trainer(name: str, strike: Callable[..., Any], *, after: bool = False) -> Callable[[Case, int], None]:
    """Make a fault that strikes at the n-th call of what the trainer calls by this name."""
    return lambda case, n: at_call(pretext.training.trainer, name, n, strike, after=after)


@dataclass(frozen=True)
class Fault:
    """What goes wrong, how often it could in a whole run, and the exit status that the run must have then."""

    install: Callable[[Case, int], None]
    opportunities: int
    status: int = -signal.SIGKILL


FAULTS = {
    "SIGKILL in a step": Fault(in_step(kill), STEPS),
    "SIGKILL, checkpoint half written": Fault(
        lambda case, n: at_call(pretext.training.checkpoint, "save_tensors", n, half_a_file), EPOCHS
    ),
    "SIGKILL, checkpoint written, not in its place": Fault(at_file("last.pt", kill), EPOCHS),
    "SIGKILL, checkpoint just put in its place": Fault(at_file("last.pt", kill, after=True), EPOCHS),
    "SIGKILL between previous and last checkpoint": Fault(at_file("previous.pt", kill, after=True), EPOCHS - 1),
    "SIGKILL, row of metrics just written": Fault(in_trainer("append_metrics", lambda *_: kill(), after=True), 6),
    "SIGKILL, row of metrics half written": Fault(in_trainer("append_metrics", half_a_row), 6),
    "SIGKILL, status not in its place": Fault(at_file("status.json", kill), EPOCHS + 1),
    "Ctrl-C in a step": Fault(in_step(lambda: send(signal.SIGINT)), STEPS - 1, 130),
    "SIGTERM in a step": Fault(in_step(lambda: send(signal.SIGTERM)), STEPS - 1, 143),
    "disk full at some sync": Fault(lambda case, n: at_call(os, "fsync", n, full_disk), 12, 2),
    "disk full in a row of metrics": Fault(in_trainer("append_metrics", full_disk), 6, 2),
}
Resume = Callable[[Path], None]  # resumes a run and checks that it ends well
OUTSIDE = "SIGKILL from outside, any time"


def tear(path: Path, draw: random.Random) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: draw.randrange(len(content))])


def turn_a_bit(path: Path, draw: random.Random) -> None:
    content = bytearray(path.read_bytes())
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    path.write_bytes(content)


# what can happen to the last checkpoint between two processes
DAMAGES: dict[str, Callable[[Path, random.Random], None]] = {
    "last checkpoint torn": tear,
    "a bit of the last checkpoint turned": turn_a_bit,
    "last checkpoint gone": lambda path, draw: path.unlink(),
}


# seconds after which a child that waits without end writes the stacks of all its threads to its log, and ends; the
# parent's own limit (pytest-timeout) can only show that it waits for the child
LONGEST = 240


def child(work: Callable[[], Any], log: Path, seconds: float | None = None) -> int:
    """Do work in a forked process, and return its exit status: 0, another one, or minus the signal that ended it.

    After ``seconds`` it is killed from outside. What it prints is added to ``log``.
    """
    process = forked(work, log)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(process, signal.SIGKILL)
    status = wait_for(process)
    if status == 1 and "Timeout (" in (text := log.read_text(errors="replace")):
        raise AssertionError(f"a child waited without end; its threads:\n{text}")
    return status


def wait_for(process: int) -> int:
    """Wait for a child, and return its exit status."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def forked(work: Callable[[], Any], log: Path) -> int:
    """Begin work in a forked process, and return its number."""
    sys.stdout.flush()
    sys.stderr.flush()
    process = os.fork()
    if process == 0:
        status = 1
        try:
            with log.open("ab") as stream:
                os.dup2(stream.fileno(), 1)
                os.dup2(stream.fileno(), 2)
            sys.stdout, sys.stderr = (os.fdopen(number, "w", closefd=False) for number in (1, 2))
            # no result may depend on these
            torch.manual_seed(os.getpid())
            np.random.seed(os.getpid())  # noqa: NPY002
            random.seed(os.getpid())
            leave_out_figures()
            faulthandler.dump_traceback_later(LONGEST, exit=True, file=sys.stderr)
            work()
            status = 0
        except SystemExit as error:
            status = error.code if isinstance(error.code, int) else int(error.code is not None)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    return process


def with_fault(case: Case, kind: str, number: int, work: Callable[[], Any]) -> Callable[[], Any]:
    """Return the work with a fault in it that strikes at the n-th opportunity."""

    def faulty() -> None:
        FAULTS[kind].install(case, number)
        work()

    return faulty


def assert_one_line(log: Path, *parts: str) -> None:
    """Check that an error was printed as one line with these parts, and without a traceback."""
    lines = [line for line in log.read_text().splitlines() if line.startswith("spectral-ssl:")]
    assert len(lines) == 1, log.read_text()
    assert all(part in lines[0] for part in parts), lines[0]
    assert "Traceback" not in log.read_text()
