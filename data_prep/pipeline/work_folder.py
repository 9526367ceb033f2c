"""The hidden folder beside a map file in the making: what is finished there survives a kill and is not done again.

==================  ==================================================================================================
.NAME.prep/         beside NAME
lock                held by the one process that works here; the system gives it up when that process ends, however
manifest.json       the fingerprint: everything that the content of the map file depends on
00000017.shard      the outcomes of batch 17: a line of JSON (rows, failures, checksum), then the maps, then the clouds
maps.h5             the map file while it is put together from the shards
==================  ==================================================================================================

Shards appear by a rename, so a kill leaves whole ones only. They are not synced to the disk one by one, which would
cost more than making them: what a power failure tears is found by its checksum and made again.
"""

import json
import os
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from spectral_ssl.ground.errors import UserError

BEING_MADE = "another prep is making this file"
# What one object became: its map and the cloud it was made from (if wanted), or why there is no map.
Outcome = tuple[NDArray[np.float32], NDArray[np.float16] | None] | str
Fingerprint = Mapping[str, Any]


def get_work_folder(target: Path) -> Path:
    """The work folder of a map file."""
    return target.with_name(f".{target.name}.prep")


def describe_differences(found: Fingerprint, wanted: Fingerprint) -> str:
    """Where two fingerprints differ, as text for the user; empty where they agree."""
    return ", ".join(
        f"{name} {found.get(name)} against {value}" for name, value in wanted.items() if found.get(name) != value
    )


class WorkFolder:
    """The shards of one map file. Made by ``opened``, which holds the lock.

    Parameters
    ----------
    folder : Path
        The folder; it exists.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.assembled = folder / "maps.h5"
        self.removed = False
        self._manifest = folder / "manifest.json"

    def begin(self, fingerprint: Fingerprint, *, discard: bool) -> None:
        """Take over what is here, or clear it away.

        Parameters
        ----------
        fingerprint : mapping
            Of the work that is to be done now.
        discard : bool
            Whether shards of other work may be thrown away.

        Raises
        ------
        UserError
            When there are shards of other work and they may not be thrown away.
        """
        if not discard:
            self.refuse_other(fingerprint)
        plain = _as_read_again(fingerprint)
        if self._read_manifest() != plain:
            self._clear()
            temporary = self.folder / "manifest.part"
            temporary.write_text(json.dumps(plain, indent=2, sort_keys=True), encoding="utf-8")
            temporary.replace(self._manifest)

    def refuse_other(self, fingerprint: Fingerprint) -> None:
        """Make sure that there are no shards of other work; shards without a manifest are nobody's.

        Raises
        ------
        UserError
            When there are.
        """
        found = self._read_manifest()
        if found is None or not any(self.folder.glob("*.shard")):
            return
        if other := describe_differences(found, _as_read_again(fingerprint)):
            raise UserError(
                "an unfinished prep of the same file with other parameters or another source",
                f"{other} in {self.folder}",
                "repeat its command to finish it, add --overwrite to start anew, or choose another --out",
            )

    def holds(self, batch: int) -> bool:
        """Whether this batch is finished and sound; a damaged shard is removed."""
        try:
            self._parse(self._shard(batch).read_bytes())
        except FileNotFoundError:
            return False
        except (ValueError, KeyError, TypeError, RecursionError):
            self._shard(batch).unlink()
            return False
        return True

    def write(self, batch: int, outcomes: Sequence[Outcome]) -> None:
        """Keep the outcomes of one batch, in the order of its objects."""
        good = [outcome for outcome in outcomes if not isinstance(outcome, str)]
        parts = [values.tobytes() for values, _ in good]
        clouds = [cloud for _, cloud in good if cloud is not None]
        parts += [cloud.tobytes() for cloud in clouds]
        checksum = 0
        for part in parts:
            checksum = zlib.crc32(part, checksum)
        header = {
            "failures": [outcome if isinstance(outcome, str) else None for outcome in outcomes],
            "map": list(good[0][0].shape) if good else [],
            "cloud": list(clouds[0].shape) if clouds else [],
            "bytes": sum(map(len, parts)),
            "crc32": checksum,
        }
        temporary = self.folder / "shard.part"
        with temporary.open("wb") as stream:
            stream.write(json.dumps(header).encode() + b"\n")
            stream.writelines(parts)
        temporary.replace(self._shard(batch))

    def read(self, batch: int) -> list[Outcome]:
        """What ``write`` kept.

        Raises
        ------
        UserError
            When the shard is gone or was changed since it was written.
        """
        try:
            return self._parse(self._shard(batch).read_bytes())
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise UserError(
                "an unfinished prep was changed by someone else",
                f"{self._shard(batch)} ({error})",
                "start the same command again",
            ) from error

    def forget(self) -> None:
        """Throw all shards away."""
        self._clear()

    def remove(self) -> None:
        """Take the folder away. The manifest goes first: shards without one are never used."""
        self._clear()
        self.removed = True
        (self.folder / "lock").unlink(missing_ok=True)
        with suppress(OSError):  # not empty when another process made its own lock here in this very moment
            self.folder.rmdir()

    def _clear(self) -> None:
        self._manifest.unlink(missing_ok=True)
        for pattern in ("*.part", "*.shard", self.assembled.name):
            for path in self.folder.glob(pattern):
                path.unlink()

    def _shard(self, batch: int) -> Path:
        return self.folder / f"{batch:08d}.shard"

    def _read_manifest(self) -> dict[str, Any] | None:
        try:
            found = json.loads(self._manifest.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError, RecursionError):
            return None
        return found if isinstance(found, dict) else None

    @staticmethod
    def _parse(data: bytes) -> list[Outcome]:
        head, _, body = data.partition(b"\n")
        header = json.loads(head)
        if not isinstance(header, dict) or header.get("bytes") != len(body) or header.get("crc32") != zlib.crc32(body):
            raise ValueError("not what was written")
        failures: list[str | None] = header["failures"]
        rows = failures.count(None)
        split = 4 * rows * int(np.prod(header["map"])) if rows else 0
        maps = np.frombuffer(body[:split], np.float32).reshape(rows, *header["map"])
        clouds = np.frombuffer(body[split:], np.float16).reshape(rows, *header["cloud"]) if header["cloud"] else None
        outcomes: list[Outcome] = []
        row = 0
        for failure in failures:
            if failure is not None:
                outcomes.append(failure)
                continue
            outcomes.append((maps[row], None if clouds is None else clouds[row]))
            row += 1
        return outcomes


def _as_read_again(fingerprint: Fingerprint) -> dict[str, Any]:
    """As it comes out of a manifest: tuples become lists."""
    plain: dict[str, Any] = json.loads(json.dumps(fingerprint))
    return plain


@contextmanager
def open_work_folder(target: Path) -> Iterator[WorkFolder]:
    """Make or find the work folder of a map file and hold its lock.

    Parameters
    ----------
    target : Path
        The map file that is to be made.

    Yields
    ------
    WorkFolder
        Alone in its folder. A folder without shards is removed in the end, however the block ends.

    Raises
    ------
    UserError
        When the place cannot be written to, or another process is making the same file.
    """
    folder = get_work_folder(target)
    try:
        handle = _locked(folder)
    except BlockingIOError:
        raise UserError(BEING_MADE, str(target), "wait until it has finished, or choose another --out") from None
    except OSError as error:
        raise UserError(
            "cannot write there", f"{target} ({error.strerror})", "choose another --out or --workspace"
        ) from error
    work = WorkFolder(folder)
    try:
        yield work
    finally:
        # once removed, what is found under this name belongs to another process
        if not work.removed and not any(folder.glob("*.shard")):
            work.remove()
        handle.close()


def _locked(folder: Path) -> BinaryIO:
    """An open file in the folder that this process alone has locked."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "lock"
        try:
            handle = path.open("ab")
        except FileNotFoundError:
            continue  # the process before us removed the folder between the two lines
        if sys.platform == "win32":
            return handle
        import fcntl

        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            inode = path.stat().st_ino
        except FileNotFoundError:
            inode = None
        except OSError:
            handle.close()
            raise
        if inode == os.fstat(handle.fileno()).st_ino:
            return handle
        handle.close()  # that lock file was removed by the process before us: it guards nothing
