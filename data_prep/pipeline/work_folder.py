"""The hidden folder next to an unfinished map file: finished batches in it survive a kill and are not repeated.

==================  ==================================================================================================
.NAME.prep/         the folder, next to NAME
lock                held by the process that works here; the system releases it when that process ends or is killed
manifest.json       the fingerprint: everything that the content of the map file depends on
00000017.shard      the outcomes of batch 17: a line of JSON (failures, notes, checksum), then the maps, then the clouds
maps.h5             the map file while it is assembled from the shards
==================  ==================================================================================================

A rename publishes each shard, so a kill leaves only complete shards. Shards are not synced to the
disk one by one, because that would take longer than computing them. A checksum finds shards that a
power failure damaged, and they are computed again.
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
# The outcome of an object: its map, the cloud (None if clouds are not stored) and the notes of its
# reader, or the reason of its failure.
Outcome = tuple[NDArray[np.float32], NDArray[np.float16] | None, tuple[str, ...]] | str
Fingerprint = Mapping[str, Any]


def get_work_folder(target: Path) -> Path:
    """Return the path of a map file's work folder."""
    return target.with_name(f".{target.name}.prep")


# Entries of a fingerprint whose values say nothing to the user.
IN_WORDS = {
    "digest of the source": "other files, classes or splits",
    "objects": "other objects",
    "times of the files": "files that were written since",
    "method": "another version of this program",
}


def describe_differences(existing: Fingerprint, wanted: Fingerprint) -> str:
    """Describe the differences of two fingerprints for the user; return an empty string if they agree."""
    return ", ".join(
        IN_WORDS.get(name, f"{name} {existing.get(name)} against {value}")
        for name, value in wanted.items()
        if existing.get(name) != value
    )


class WorkFolder:
    """The shards of one map file. ``open_work_folder`` creates this object and holds the lock.

    Parameters
    ----------
    folder : Path
        An existing folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.assembled = folder / "maps.h5"
        self.removed = False
        self._manifest = folder / "manifest.json"

    def begin(self, fingerprint: Fingerprint, *, discard: bool) -> None:
        """Use the existing shards if they belong to this work; otherwise delete them.

        Parameters
        ----------
        fingerprint : mapping
            Fingerprint of the current work.
        discard : bool
            Whether shards of other work may be deleted.

        Raises
        ------
        UserError
            When there are shards of other work and they may not be deleted.
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
        """Raise a UserError if there are shards of other work; shards without a manifest do not count.

        Raises
        ------
        UserError
            When there are such shards.
        """
        manifest = self._read_manifest()
        if manifest is None or not any(self.folder.glob("*.shard")):
            return
        if other := describe_differences(manifest, _as_read_again(fingerprint)):
            raise UserError(
                "an unfinished prep of the same file with other parameters or another source",
                f"{other} in {self.folder}",
                "repeat its command to finish it, add --overwrite to start again, or choose another --out",
            )

    def has_batch(self, batch: int) -> bool:
        """Check whether this batch is finished and undamaged; remove a damaged shard."""
        try:
            self._parse(self._shard(batch).read_bytes())
        except FileNotFoundError:
            return False
        except (ValueError, KeyError, TypeError, RecursionError):
            self._shard(batch).unlink()
            return False
        return True

    def write(self, batch: int, outcomes: Sequence[Outcome]) -> None:
        """Store the outcomes of one batch, in the order of its objects."""
        good = [outcome for outcome in outcomes if not isinstance(outcome, str)]
        parts = [values.tobytes() for values, _, _ in good]
        clouds = [cloud for _, cloud, _ in good if cloud is not None]
        parts += [cloud.tobytes() for cloud in clouds]
        checksum = 0
        for part in parts:
            checksum = zlib.crc32(part, checksum)
        header = {
            "failures": [outcome if isinstance(outcome, str) else None for outcome in outcomes],
            "notes": [notes for _, _, notes in good],
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
        """Read the outcomes that ``write`` stored.

        Raises
        ------
        UserError
            When the shard is missing or has changed since it was written.
        """
        try:
            return self._parse(self._shard(batch).read_bytes())
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise UserError(
                "another program changed an unfinished prep",
                f"{self._shard(batch)} ({error})",
                "run the same command again",
            ) from error

    def discard_shards(self) -> None:
        """Delete all shards."""
        self._clear()

    def remove(self) -> None:
        """Delete the folder. The manifest goes first, because shards without a manifest are never used."""
        self._clear()
        self.removed = True
        (self.folder / "lock").unlink(missing_ok=True)
        with suppress(OSError):  # The folder is not empty if another process has just created its lock here.
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
            manifest = json.loads(self._manifest.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError, RecursionError):
            return None
        return manifest if isinstance(manifest, dict) else None

    @staticmethod
    def _parse(data: bytes) -> list[Outcome]:
        head, _, body = data.partition(b"\n")
        header = json.loads(head)
        if not isinstance(header, dict) or header.get("bytes") != len(body) or header.get("crc32") != zlib.crc32(body):
            raise ValueError("the content has changed")
        failures: list[str | None] = header["failures"]
        notes: list[list[str]] = header["notes"]
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
            outcomes.append((maps[row], None if clouds is None else clouds[row], tuple(notes[row])))
            row += 1
        return outcomes


def _as_read_again(fingerprint: Fingerprint) -> dict[str, Any]:
    """Return the fingerprint as a manifest stores it: tuples become lists."""
    plain: dict[str, Any] = json.loads(json.dumps(fingerprint))
    return plain


@contextmanager
def open_work_folder(target: Path) -> Iterator[WorkFolder]:
    """Create or find the work folder of a map file, and hold its lock.

    Parameters
    ----------
    target : Path
        Path of the map file to prepare.

    Yields
    ------
    WorkFolder
        The locked folder. A folder without shards is removed at the end of the block, also after an
        exception.

    Raises
    ------
    UserError
        When the folder is not writable, or another process is making the same file.
    """
    folder = get_work_folder(target)
    try:
        handle = _lock(folder)
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
        # After the removal, a folder of this name belongs to another process.
        if not work.removed and not any(folder.glob("*.shard")):
            work.remove()
        handle.close()


def _lock(folder: Path) -> BinaryIO:
    """Return an open file in the folder that only this process has locked."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "lock"
        try:
            handle = path.open("ab")
        except FileNotFoundError:
            continue  # Another process has removed the folder between these two lines.
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
        handle.close()  # Another process has removed this lock file, so it protects nothing.
