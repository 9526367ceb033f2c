"""The files by which others follow a run: its lock, ``status.json`` and ``metrics.jsonl``.

``lock``           held by the process that trains in the folder, so that no second one starts there
``status.json``    state, epoch and step of the run
``metrics.jsonl``  one row of numbers for each logged step, as a JSON object on a line
"""

import json
import math
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.files import hash_file, write_text

LOCK = "lock"
WHITENING_FILE = "whitening.safetensors"  # see pretext/runs/whitening_file.py


@contextmanager
def lock_run(run: Path) -> Iterator[None]:
    """Hold the lock of a run folder within this block; the operating system frees it however the process ends.

    Raises
    ------
    UserError
        If another process trains there.
    """
    handle = (run / LOCK).open("ab")
    try:
        for _ in range(10):  # `is_locked` of another process holds the lock for an instant
            if _try_lock(handle):
                break
            time.sleep(0.05)
        else:
            raise UserError(
                "another process is training in this run", str(run), "wait for it, or train in another folder"
            )
        yield
    finally:
        handle.close()


def is_locked(run: Path) -> bool:
    """Tell whether a process trains in a run folder; True where this is unknown, as on systems without file locks."""
    try:
        handle = os.open(run / LOCK, os.O_RDWR)  # network file systems lock only files that are open for writing
    except FileNotFoundError:
        return False
    except OSError:  # a read-only disk, or another user's run
        try:
            handle = os.open(run / LOCK, os.O_RDONLY)
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


def _try_lock(handle: BinaryIO) -> bool:
    """Lock an open file; return False if another process holds its lock. Systems without file locks lock nothing."""
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


def require_run(run: Path) -> None:
    """Raise a UserError if a run folder is gone: writing into it would make half of it again."""
    if not (run / "config.toml").is_file():
        what_to_do = "train again, and remove or rename a run only when no process trains it"
        raise UserError("the run folder is gone", f"no {run / 'config.toml'}", what_to_do)


def write_status(run: Path, state: str, epoch: int, step: int) -> None:
    """Write the state of a run to ``status.json``.

    Parameters
    ----------
    run : Path
        The run folder.
    state : {"running", "stopped", "failed", "finished"}
        The state of the run.
    epoch, step : int
        Numbers of finished epochs and steps.

    Raises
    ------
    UserError
        If the folder is gone.
    """
    status = {
        "state": state,
        "epoch": epoch,
        "step": step,
        "process": os.getpid(),
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
    require_run(run)
    write_text(run / "status.json", json.dumps(status) + "\n")


def read_status(run: Path) -> dict[str, Any]:
    """Read ``status.json``; the state ``running`` becomes ``killed`` if no process holds the lock of the run.

    Parameters
    ----------
    run : Path
        The run folder.

    Returns
    -------
    dict
        ``state``, ``epoch``, ``step``, ``process``, ``time``. Without a readable file, ``state``
        alone, ``unknown``.
    """
    try:
        status = json.loads((run / "status.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {"state": "unknown"}
    if not isinstance(status, dict) or not isinstance(status.get("state"), str):
        return {"state": "unknown"}
    if status["state"] == "running" and not is_locked(run):
        status["state"] = "killed"
    return status


def append_metrics(path: Path, row: dict[str, Any]) -> None:
    """Append one row to ``metrics.jsonl``; numbers that are not finite become null, because JSON has none."""
    finite = {
        key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in row.items()
    }
    with path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(finite, allow_nan=False) + "\n")


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Read all complete rows; a last line that a kill or a full disk has cut short is left out."""
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
    """Remove the rows after ``step``: a resumed run writes them again."""
    rows = [row for row in read_metrics(path) if row["step"] <= step]
    write_text(path, "".join(json.dumps(row) + "\n" for row in rows))


def sync_metrics(path: Path) -> None:
    """Sync the rows to the disk. A checkpoint needs this first: a run resumed from it does not write them again."""
    if path.exists():
        with path.open("rb+") as written:
            os.fsync(written.fileno())


def digest_features(checkpoint: str, whitening: Path) -> str:
    """Compute the digest of all that whitened features depend on.

    Parameters
    ----------
    checkpoint : str
        SHA-256 of the checkpoint.
    whitening : Path
        The file of the whitening.

    Examples
    --------
    >>> (folder / "whitening.safetensors").write_bytes(b"...")
    3
    >>> digest_features("ab" * 32, folder / "whitening.safetensors")[:8]
    '80b1a812'
    """
    return sha256(f"{checkpoint} {hash_file(whitening)}".encode()).hexdigest()
