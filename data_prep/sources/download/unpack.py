"""Unpacking an archive of somebody else's making: plain files and folders only, nothing outside, no more than stated.

Stated limits: MOST_MEMBERS files, and as many bytes as the caller allows, counted as they come out. What stands between
the files (names, tables of contents) is held in memory while it is read and has limits of its own. Of the ways to
compress only gzip's is read: the others may ask for gigabytes of memory before they give a byte.
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
MOST_CONTENTS = 128 << 20  # bytes of a .zip file's table of contents
MOST_AT_ONCE = 4 << 20  # bytes that a .tar file may want read at once: a longer name than that is none
BLOCK = 1 << 20
GZIP = b"\x1f\x8b"
LONGEST_NAME = 4096
SKIPPED = ("__MACOSX", ".DS_Store")
DAMAGED = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)
Member = tuple[str, IO[bytes] | None]  # a name and its content, None for a folder


def unpack(archive: Path, folder: Path, most_bytes: int) -> list[Path]:
    """Unpack a .zip, .tar or .tar.gz into a folder.

    Everything is written to a new folder inside first, where no link can lie, and moved when the archive was read to
    its end: what was unpacked halfway is never taken for a data set.

    Parameters
    ----------
    archive : Path
        The archive.
    folder : Path
        Where its top-level entries shall lie.
    most_bytes : int
        Refused when more than this comes out, whatever the archive says of its sizes.

    Returns
    -------
    list of Path
        The top-level entries.

    Raises
    ------
    UserError
        When the archive is damaged, is larger than stated, has links or devices or names that lead out of the folder,
        or one of its top-level entries is there already.
    """
    half = folder / ".unpacking"
    shutil.rmtree(half, ignore_errors=True)  # of an interrupted attempt
    half.mkdir(parents=True)
    try:
        left = most_bytes
        with _members(archive, most_bytes) as members:
            for number, (name, content) in enumerate(members):
                if number >= MOST_MEMBERS:
                    raise _refused(archive, f"more than {MOST_MEMBERS} files")
                target = half / _inside(archive, name)
                if content is None:
                    target.mkdir(parents=True, exist_ok=True)
                else:
                    target.parent.mkdir(parents=True, exist_ok=True)
                    left = _write(archive, content, target, left)
        entries = sorted(half.iterdir())
        if not entries:
            raise _refused(archive, "nothing in it")
        present = [entry.name for entry in entries if (folder / entry.name).exists()]
        if present:
            raise UserError("there already", f"{', '.join(present[:3])} in {folder}", "move it away first")
        return [entry.rename(folder / entry.name) for entry in entries]
    except DAMAGED as error:
        raise _refused(archive, str(error)) from error
    except OSError as error:
        raise UserError("cannot unpack", f"{archive} ({error})", "look at the disk and the folder's rights") from error
    finally:
        shutil.rmtree(half, ignore_errors=True)


class _Slowly:
    """A stream that gives no more than ``MOST_AT_ONCE`` bytes at once, and ``most_bytes`` and some more in all.

    tarfile reads a name at once, however long it is said to be, and whatever it unpacks to.
    """

    def __init__(self, archive: Path, stream: IO[bytes], most_bytes: int) -> None:
        self._archive, self._stream = archive, stream
        # each file may have a header and be filled up to a block of 512 bytes, twice over with a long name
        self._most = most_bytes + 4096 * MOST_MEMBERS

    def read(self, size: int) -> bytes:
        if not 0 <= size <= MOST_AT_ONCE:
            raise _refused(self._archive, f"a header of {size} bytes")
        return self._stream.read(size)

    def tell(self) -> int:
        return self._stream.tell()

    def seek(self, place: int) -> int:
        if not 0 <= place <= self._most:
            raise _refused(self._archive, "unpacks to more than it should")
        return self._stream.seek(place)


@contextmanager
def _members(archive: Path, most_bytes: int) -> Iterator[Iterator[Member]]:
    if zipfile.is_zipfile(archive):
        _check_contents(archive)
        with zipfile.ZipFile(archive) as packed:
            yield _zip_members(archive, packed)
        return
    with archive.open("rb") as stream:
        packs = stream.read(2) == GZIP
        stream.seek(0)
        unpacked: Any = gzip.GzipFile(fileobj=stream) if packs else stream
        # the members are met in their order, and none of them is looked for by its name
        slowly: Any = _Slowly(archive, unpacked, most_bytes)
        with tarfile.open(fileobj=slowly, mode="r:") as packed_tar:
            yield _tar_members(archive, packed_tar)


def _check_contents(archive: Path) -> None:
    """Refuse a .zip file with a table of contents that is larger than one of so many files can be."""
    with archive.open("rb") as stream:
        stream.seek(max(0, archive.stat().st_size - (1 << 16) - 22))
        end = stream.read()
    place = end.rfind(b"PK\5\6")
    size = int.from_bytes(end[place + 12 : place + 16], "little")
    # stands elsewhere, because it is larger than that, or for no good reason
    far = size == 0xFFFFFFFF or end[max(0, place - 20) : place].startswith(b"PK\6\7")
    if place < 0 or far or size > MOST_CONTENTS:
        raise _refused(archive, f"a table of contents of {'many' if far else size} bytes")


def _zip_members(archive: Path, packed: zipfile.ZipFile) -> Iterator[Member]:
    for info in packed.infolist():
        kind = info.external_attr >> 28  # the upper four bits of a Unix mode, 0 where the maker knew none
        if kind not in (0, 0o4, 0o10):
            raise _refused(archive, f"{info.filename!r} is neither a file nor a folder")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or info.flag_bits & 1:
            raise _refused(archive, f"{info.filename!r} is encrypted or packed in an unusual way")
        if _skipped(info.filename):
            continue
        if info.is_dir():
            yield info.filename, None
        else:
            with packed.open(info) as content:
                yield info.filename, content


def _tar_members(archive: Path, packed: tarfile.TarFile) -> Iterator[Member]:
    for info in packed:
        if not (info.isreg() or info.isdir()) or info.issparse():
            raise _refused(archive, f"{info.name!r} is neither a file nor a folder")
        if not _skipped(info.name):
            yield info.name, None if info.isdir() else packed.extractfile(info)


def _skipped(name: str) -> bool:
    return any(part in SKIPPED for part in PurePosixPath(name).parts)


def _inside(archive: Path, name: str) -> PurePosixPath:
    """The name, if it stays inside the folder it is unpacked to."""
    path = PurePosixPath(name)
    if len(name) > LONGEST_NAME or not name.isprintable():
        raise _refused(archive, f"the name {name[:60]!r}")
    if path.is_absolute() or ".." in path.parts or any(sign in name for sign in ("\\", ":", "\0")):
        raise _refused(archive, f"the name {name[:60]!r} leads out of the folder")
    return path


def _write(archive: Path, content: IO[bytes], target: Path, left: int) -> int:
    """Write one file; give how many bytes may still come."""
    with target.open("xb") as stream:
        while block := content.read(BLOCK):
            left -= len(block)
            if left < 0:
                raise _refused(archive, "unpacks to more than it should")
            stream.write(block)
    return left


def _refused(archive: Path, reason: str) -> UserError:
    return UserError("not a sound archive", f"{archive} ({reason})", "get it again, or unpack it by hand")
