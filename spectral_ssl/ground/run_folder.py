"""``status.json``: how far a run is, and whether anyone is still at it."""

import json
import math
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


def append_metrics(path: Path, row: dict[str, Any]) -> None:
    """Add one row and flush it. Numbers that are not finite are written as null, which JSON can say."""
    finite = {
        key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in row.items()
    }
    with path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(finite, allow_nan=False) + "\n")


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """All complete rows; a last line that a kill or a full disk cut short is left out."""
    if not path.exists():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            break
        if isinstance(row, dict) and isinstance(row.get("step"), int):
            rows.append(row)
    return rows


def drop_metrics_after(path: Path, step: int) -> None:
    """Keep the rows up to ``step``: a resumed run writes the later ones again."""
    kept = [row for row in read_metrics(path) if row["step"] <= step]
    write_text(path, "".join(json.dumps(row) + "\n" for row in kept))


def sync_metrics(path: Path) -> None:
    """Bring the rows to the disk: before a checkpoint, after which a resumed run does not write them again."""
    if path.exists():
        with path.open("rb+") as written:
            os.fsync(written.fileno())
