"""Writing files so that a kill at any moment leaves the old file or the new one, never half of either."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

from spectral_ssl.ground.errors import UserError

LARGEST_TEXT = 64 << 20  # bytes of a list that comes with a data set: those of a million objects fit


@contextmanager
def atomic_path(target: Path, *, overwrite: bool = True) -> Iterator[Path]:
    """Give a temporary path in the target's own folder; sync and rename it to the target if the block succeeds.

    Parameters
    ----------
    target : Path
        Where the file shall stand in the end.
    overwrite : bool
        Whether an existing target may be replaced.

    Yields
    ------
    Path
        The temporary path to write to; removed if the block raises.

    Raises
    ------
    UserError
        When the target exists and may not be replaced, or its folder cannot be written to.
    """
    target = Path(target)
    refuse_existing(target, overwrite)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    except OSError as error:
        raise UserError(
            "cannot write there", f"{target} ({error.strerror})", "choose another --out or --workspace"
        ) from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        publish(temporary, target, overwrite=overwrite)
    finally:
        temporary.unlink(missing_ok=True)


def publish(temporary: Path, target: Path, *, overwrite: bool) -> None:
    """Sync a finished file and rename it to its target on the same file system.

    Raises
    ------
    UserError
        When the target exists and may not be replaced.
    """
    with temporary.open("rb+") as written:
        os.fsync(written.fileno())
    # mkstemp makes files private; what the user asked for gets the permissions any new file has
    mask = os.umask(0)
    os.umask(mask)
    temporary.chmod(0o666 & ~mask)
    refuse_existing(target, overwrite)
    temporary.replace(target)
    sync_folder(target.parent)


def refuse_existing(target: Path, overwrite: bool) -> None:
    """Raise a UserError if ``target`` exists and ``overwrite`` is false, or is a folder."""
    if target.is_dir() and overwrite:
        raise UserError("a folder where a file shall be written", str(target), "choose another --out")
    if target.exists() and not overwrite:
        raise UserError("output exists already", str(target), "choose another --out or add --overwrite")


def sync_folder(folder: Path) -> None:
    """Make a rename inside ``folder`` durable (a no-op where folders cannot be synced)."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def reserve_room(path: Path, size: int) -> None:
    """Make the file system set so many bytes aside for a file, where it can.

    Raises
    ------
    OSError
        When there is not so much room.
    """
    if not hasattr(os, "posix_fallocate"):
        return
    handle = os.open(path, os.O_RDWR)
    try:
        os.posix_fallocate(handle, 0, size)
    finally:
        os.close(handle)


def write_text(target: Path, text: str) -> None:
    """Write a small text file atomically, as UTF-8."""
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8")


def read_small_text(path: Path, most_bytes: int = LARGEST_TEXT) -> str:
    """The text of a list, a table or settings, UTF-8; what cannot be decoded is replaced.

    Raises
    ------
    UserError
        When the file is not there, cannot be read, or has more than ``most_bytes``.
    """
    try:
        if not path.is_file():
            raise UserError("no such file", str(path), "give another path")
        with path.open("rb") as stream:
            data = stream.read(most_bytes + 1)
    except OSError as error:
        raise UserError("a file that cannot be read", f"{path} ({error.strerror})", "see to its rights") from error
    if len(data) > most_bytes:
        raise UserError("a list or table that is too long", f"more than {most_bytes} bytes in {path}", "get it again")
    return data.decode(errors="replace")


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, as hexadecimal digits."""
    digest = sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
