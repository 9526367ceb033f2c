"""Unpacking of an untrusted archive: only regular files and folders, all inside one folder, within limits.

The limits are MOST_MEMBERS files, and as many bytes as the caller allows, counted while unpacking.
Names and tables of contents are in memory while they are read, and have limits too. Deflate (zip
and gzip) is the only accepted compression: others may need gigabytes of memory before the first
byte.
"""

import gzip
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any

from spectral_ssl.ground.errors import UserError

MOST_MEMBERS = 500_000
MOST_CONTENTS = 128 << 20  # Limit of bytes of a .zip file's table of contents.
MOST_AT_ONCE = 4 << 20  # Limit of bytes that a .tar file may request in one read; no valid name is longer.
BLOCK = 1 << 20
GZIP = b"\x1f\x8b"
LONGEST_NAME = 4096
SKIPPED = ("__MACOSX", ".DS_Store")
DAMAGED = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)
Member = tuple[str, IO[bytes] | None]  # A name and its content; None for a folder.


def unpack(archive: Path, folder: Path, most_bytes: int) -> list[Path]:
    """Unpack a .zip, .tar or .tar.gz into a folder.

    Everything is written to a new subfolder first, which contains no links. The entries move to the
    folder after the whole archive has been read, so a partial content never looks like a data set.

    Parameters
    ----------
    archive : Path
        Path of the archive.
    folder : Path
        Folder for the archive's top-level entries.
    most_bytes : int
        Limit of the unpacked bytes, independent of the sizes that the archive states.

    Returns
    -------
    list of Path
        The top-level entries.

    Raises
    ------
    UserError
        When the archive is damaged or exceeds a limit, has links, devices or names that lead out of
        the folder, or one of its top-level entries exists already.
    """
    partial = folder / ".unpacking"
    shutil.rmtree(partial, ignore_errors=True)  # An interrupted attempt may have left it.
    partial.mkdir(parents=True)
    try:
        left = most_bytes
        with _open_members(archive, most_bytes) as members:
            for number, (name, content) in enumerate(members):
                if number >= MOST_MEMBERS:
                    raise _refuse(archive, f"more than {MOST_MEMBERS} files")
                target = partial / _check_name(archive, name)
                if content is None:
                    target.mkdir(parents=True, exist_ok=True)
                else:
                    target.parent.mkdir(parents=True, exist_ok=True)
                    left = _write(archive, content, target, left)
        entries = sorted(partial.iterdir())
        if not entries:
            raise _refuse(archive, "it is empty")
        present = [entry.name for entry in entries if (folder / entry.name).exists()]
        if present:
            raise UserError(
                "the entries exist already", f"{', '.join(present[:3])} in {folder}", "move them away first"
            )
        return [entry.rename(folder / entry.name) for entry in entries]
    except DAMAGED as error:
        raise _refuse(archive, str(error)) from error
    except OSError as error:
        advice = "check the disk and the folder's permissions"
        raise UserError("cannot unpack", f"{archive} ({error})", advice) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


class _LimitedStream:
    """A stream with limits: ``MOST_AT_ONCE`` bytes per read, and in total ``most_bytes`` plus headers.

    tarfile reads a name in one call, with the length that the archive states.
    """

    def __init__(self, archive: Path, stream: IO[bytes], most_bytes: int) -> None:
        self._archive, self._stream = archive, stream
        # Each file may have a header and padding to a block of 512 bytes, and a long name doubles
        # them.
        self._most = most_bytes + 4096 * MOST_MEMBERS

    def read(self, size: int) -> bytes:
        if not 0 <= size <= MOST_AT_ONCE:
            raise _refuse(self._archive, f"a header of {size} bytes")
        return self._stream.read(size)

    def tell(self) -> int:
        return self._stream.tell()

    def seek(self, offset: int) -> int:
        if not 0 <= offset <= self._most:
            raise _refuse(self._archive, "unpacks to more than it should")
        return self._stream.seek(offset)


@contextmanager
def _open_members(archive: Path, most_bytes: int) -> Iterator[Iterator[Member]]:
    if zipfile.is_zipfile(archive):
        _check_contents(archive)
        with zipfile.ZipFile(archive) as packed:
            yield _zip_members(archive, packed)
        return
    with archive.open("rb") as stream:
        is_gzip = stream.read(2) == GZIP
        stream.seek(0)
        unpacked: Any = gzip.GzipFile(fileobj=stream) if is_gzip else stream
        # The members are read in their order, so the stream need not be searched by name.
        limited: Any = _LimitedStream(archive, unpacked, most_bytes)
        with tarfile.open(fileobj=limited, mode="r:") as packed_tar:
            yield _tar_members(archive, packed_tar)


def _check_contents(archive: Path) -> None:
    """Raise a UserError if a .zip file's table of contents is larger than ``MOST_CONTENTS``."""
    with archive.open("rb") as stream:
        stream.seek(max(0, archive.stat().st_size - (1 << 16) - 22))
        end = stream.read()
    start = end.rfind(b"PK\5\6")
    size = int.from_bytes(end[start + 12 : start + 16], "little")
    # With Zip64 the size is in another record. Only a larger table needs that.
    is_zip64 = size == 0xFFFFFFFF or end[max(0, start - 20) : start].startswith(b"PK\6\7")
    if start < 0 or is_zip64 or size > MOST_CONTENTS:
        raise _refuse(archive, f"a table of contents of {'many' if is_zip64 else size} bytes")


def _zip_members(archive: Path, packed: zipfile.ZipFile) -> Iterator[Member]:
    for info in packed.infolist():
        kind = info.external_attr >> 28  # The upper four bits of a Unix mode; 0 from systems without modes.
        if kind not in (0, 0o4, 0o10):
            raise _refuse(archive, f"{info.filename!r} is neither a file nor a folder")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or info.flag_bits & 1:
            raise _refuse(archive, f"{info.filename!r} is encrypted or has an unusual compression")
        if _is_skipped(info.filename):
            continue
        if info.is_dir():
            yield info.filename, None
        else:
            with packed.open(info) as content:
                yield info.filename, content


def _tar_members(archive: Path, packed: tarfile.TarFile) -> Iterator[Member]:
    for info in packed:
        if not (info.isreg() or info.isdir()) or info.issparse():
            raise _refuse(archive, f"{info.name!r} is neither a file nor a folder")
        if not _is_skipped(info.name):
            yield info.name, None if info.isdir() else packed.extractfile(info)


def _is_skipped(name: str) -> bool:
    return any(part in SKIPPED for part in PurePosixPath(name).parts)


def _check_name(archive: Path, name: str) -> PurePosixPath:
    """Return the name as a path; raise a UserError unless it stays inside the folder."""
    path = PurePosixPath(name)
    if len(name) > LONGEST_NAME or not name.isprintable():
        raise _refuse(archive, f"the name {name[:60]!r}")
    if path.is_absolute() or ".." in path.parts or any(sign in name for sign in ("\\", ":", "\0")):
        raise _refuse(archive, f"the name {name[:60]!r} leads out of the folder")
    return path


def _write(archive: Path, content: IO[bytes], target: Path, left: int) -> int:
    """Write one file; return the number of bytes that may still be unpacked."""
    with target.open("xb") as stream:
        while block := content.read(BLOCK):
            left -= len(block)
            if left < 0:
                raise _refuse(archive, "unpacks to more than it should")
            stream.write(block)
    return left


def _refuse(archive: Path, reason: str) -> UserError:
    return UserError("the archive is damaged or unsafe", f"{archive} ({reason})", "get it again, or unpack it by hand")
