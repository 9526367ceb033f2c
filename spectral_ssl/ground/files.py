"""Files that are written whole: after a kill at any moment the old file or the new one is there, never a part.

Also here: reading small text files, and the digest of a file.
"""

import glob
import json
import math
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from spectral_ssl.ground.errors import UserError

LARGEST_TEXT = 64 << 20  # bytes of a list that comes with a data set: lists of a million objects fit


def expand_home(path: str | Path) -> Path:
    """Replace a leading ``~`` or ``~USER`` of a path; a path of no known user stays as it is.

    ``Path.expanduser`` raises a RuntimeError for such a user.

    Examples
    --------
    >>> expand_home("~no-such-user/parts")
    PosixPath('~no-such-user/parts')
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


@contextmanager
def atomic_path(target: Path, *, overwrite: bool = True, make_folder: bool = True) -> Iterator[Path]:
    """Yield a temporary path in the folder of the target; sync and rename it to the target if the block succeeds.

    Parameters
    ----------
    target : Path
        Path of the finished file.
    overwrite : bool
        Whether an existing target may be replaced.
    make_folder : bool
        Whether a missing folder of the target is made.

    Yields
    ------
    Path
        The temporary path to write to; it is removed if the block raises.

    Raises
    ------
    UserError
        If the target exists and may not be replaced, or its folder cannot be written to.
    """
    target = Path(target)
    refuse_existing(target, overwrite)
    try:
        if make_folder:
            target.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned(target)
        handle, name = tempfile.mkstemp(prefix=temporary_prefix(target), suffix=".part", dir=target.parent)
    except OSError as error:
        raise UserError(
            "cannot write there", f"{target} ({error.strerror})", "choose another --out or --workspace"
        ) from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        publish(temporary, target, overwrite=overwrite)
    except OSError as error:
        if error.filename is None:  # as on a full disk
            error.filename = str(target)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def temporary_prefix(target: Path) -> str:
    """Return the start of the temporary name of a target, which tells who writes it."""
    return f".{target.name}.{_name_system()}-{os.getpid()}."


def remove_abandoned(target: Path) -> None:
    """Remove what killed processes have left of the same target since this machine started: files or folders.

    Processes of another machine, of another container, or before the last start are taken to be
    alive, because a shared disk may hold the files of all of them.
    """
    own = _name_system()
    if not own:
        return
    for rest in target.parent.glob(f".{glob.escape(target.name)}.*.part"):
        writer = rest.name.removeprefix(f".{target.name}.").partition(".")[0]
        system, _, process = writer.partition("-")
        if system == own and process.isdecimal() and not _is_alive(int(process)):
            with suppress(OSError):  # another user's
                shutil.rmtree(rest) if rest.is_dir() else rest.unlink()


@lru_cache(maxsize=1)
def _name_system() -> str:
    """Return a short name of what numbers processes: a start of a machine and a container; empty if it is unknown."""
    try:
        start = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
        container = Path("/proc/self/ns/pid").stat().st_ino
    except (OSError, ValueError):  # not Linux
        return ""
    return sha256(f"{start} {container}".encode()).hexdigest()[:8]


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # Another user's process, or a number that no process has.
        return True
    return True


def publish(temporary: Path, target: Path, *, overwrite: bool) -> None:
    """Sync a finished file and rename it to its target on the same file system.

    Raises
    ------
    UserError
        If the target exists and may not be replaced.
    """
    with temporary.open("rb+") as written:
        os.fsync(written.fileno())
    # mkstemp makes private files, but a file that the user asked for needs the usual permissions of
    # a new file
    mask = os.umask(0)
    os.umask(mask)
    temporary.chmod(0o666 & ~mask)
    refuse_existing(target, overwrite)
    temporary.replace(target)
    sync_folder(target.parent)


def refuse_empty(**paths: object) -> None:
    """Raise a UserError if a path is an empty text, which ``Path`` would read as the current folder.

    Parameters
    ----------
    **paths
        Name of the argument -> path.

    Examples
    --------
    >>> from spectral_ssl.ground.files import refuse_empty
    >>> refuse_empty(data="")
    Traceback (most recent call last):
    ...
    spectral_ssl.ground.errors.UserError: data is an empty path: got ''; give a path, . for the current folder
    """
    for name, path in paths.items():
        if path == "":
            raise UserError(f"{name} is an empty path", "''", "give a path, . for the current folder")


def refuse_existing(target: Path, overwrite: bool) -> None:
    """Raise a UserError if ``target`` is a folder, or exists and ``overwrite`` is false."""
    if target.is_dir() and overwrite:
        raise UserError("the output path is a folder", str(target), "choose another --out")
    if target.exists() and not overwrite:
        raise UserError("output exists already", str(target), "choose another --out or add --overwrite")


def sync_folder(folder: Path) -> None:
    """Make a rename inside ``folder`` durable; do nothing on systems that cannot sync folders."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def reserve_room(path: Path, size: int) -> None:
    """Reserve ``size`` bytes on the disk for a file, on systems that can do so.

    Raises
    ------
    OSError
        If the disk has less space.
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


def write_json(target: Path, value: Any) -> None:
    """Write nested dicts and lists atomically as indented JSON; NaN becomes null."""
    write_text(target, json.dumps(replace_nan(value), indent=1, allow_nan=False) + "\n")


def replace_nan(value: Any) -> Any:
    """Return the same nested dicts and lists with None for NaN, which JSON does not have."""
    if isinstance(value, dict):
        return {key: replace_nan(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [replace_nan(part) for part in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def read_small_text(path: Path, most_bytes: int = LARGEST_TEXT) -> str:
    """Read a list, a table or settings as UTF-8; bytes that cannot be decoded are replaced.

    Raises
    ------
    UserError
        If the file is missing, cannot be read, or has more than ``most_bytes``.
    """
    try:
        if not path.is_file():
            raise UserError("no such file", str(path), "give another path")
        with path.open("rb") as stream:
            data = stream.read(most_bytes + 1)
    except OSError as error:
        raise UserError("cannot read the file", f"{path} ({error.strerror})", "check its permissions") from error
    if len(data) > most_bytes:
        raise UserError("the list or table is too long", f"more than {most_bytes} bytes in {path}", "download it again")
    return data.decode(errors="replace")


def hash_file(path: Path) -> str:
    """Compute the SHA-256 of a file's bytes, as hexadecimal digits."""
    digest = sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
