"""``status.json``: how far a run is, and whether anyone is still at it."""

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.files import write_text

LOCK = "lock"


def write_status(run: Path, state: str, epoch: int, step: int) -> None:
    """Say in ``status.json`` how far a run is.

    Parameters
    ----------
    run : Path
        The run folder.
    state : {"running", "stopped", "failed", "finished"}
    epoch, step : int
        Finished ones.
    """
    status = {
        "state": state,
        "epoch": epoch,
        "step": step,
        "process": os.getpid(),
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
    write_text(run / "status.json", json.dumps(status) + "\n")


def read_status(run: Path) -> dict[str, Any]:
    """What ``status.json`` says; ``running`` is corrected to ``killed`` when no process holds the run's lock any more.

    Parameters
    ----------
    run : Path
        The run folder.

    Returns
    -------
    dict
        ``state``, ``epoch``, ``step``, ``process``, ``time``; the state ``unknown`` alone where there is no such file.
    """
    try:
        status = json.loads((run / "status.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {"state": "unknown"}
    if not isinstance(status, dict) or not isinstance(status.get("state"), str):
        return {"state": "unknown"}
    if status["state"] == "running" and not is_held(run):
        status["state"] = "killed"
    return status


@contextmanager
def held_run(run: Path) -> Iterator[None]:
    """Hold the lock of a run folder; the system gives it up when the process ends, however it ends.

    Raises
    ------
    UserError
        When another process trains there.
    """
    handle = (run / LOCK).open("ab")
    try:
        # who only asks (``is_held``) has it for an instant
        for _ in range(10):
            if _lock(handle):
                break
            time.sleep(0.05)
        else:
            raise UserError(
                "another process is training in this run", str(run), "wait for it, or train in another folder"
            )
        yield
    finally:
        handle.close()


def _lock(handle: BinaryIO) -> bool:
    """Take the lock on an open file, if it is free. Systems without such locks have none."""
    if sys.platform == "win32":
        return True
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # file systems without locks
        return True
    return True


def is_held(run: Path) -> bool:
    """Whether a process trains in a run folder; also where it cannot be told, as on systems without such locks."""
    try:
        handle = os.open(run / LOCK, os.O_RDWR)  # network file systems lock only what is open for writing
    except FileNotFoundError:
        return False
    except OSError:
        return True
    try:
        if sys.platform == "win32":
            return True
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(handle)
    return False
