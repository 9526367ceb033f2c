"""Opening HDF5 files that a stranger may have made: one clear error, and no link out of the file is followed."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, overload

import h5py
import numpy as np
from numpy.typing import NDArray

from spectral_ssl.ground.errors import UserError


@contextmanager
def open_hdf5(path: Path, schema: str, make_again: str) -> Iterator[h5py.File]:
    """Open a file of ours for reading and check that it says what it should be.

    Parameters
    ----------
    path : Path
        The file.
    schema : str
        What its attribute ``schema_version`` must be, e.g. ``"spectral-ssl maps 1"``.
    make_again : str
        The command that makes such a file, for the message.

    Yields
    ------
    h5py.File
        Open for reading.

    Raises
    ------
    UserError
        When the file is missing, truncated, not HDF5, or of another schema.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError("no such file", str(path), f"make it with `{make_again}` or give another path")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        reason = str(error).splitlines()[0][:120]
        raise UserError(
            "not a readable HDF5 file",
            f"{path} ({reason})",
            f"it is damaged or truncated: make it again with `{make_again}`",
        ) from error
    with file:
        found = file.attrs.get("schema_version", "nothing")
        if found != schema:
            raise UserError(
                f"not a file of schema {schema!r}", f"{found!r} in {path}", f"make it again with `{make_again}`"
            )
        yield file


def dataset(file: h5py.File, name: str, make_again: str) -> h5py.Dataset:
    """A dataset whose values lie in this very file.

    Raises
    ------
    UserError
        When it is missing, not a dataset, or its values would come from another file (external link, external
        storage, virtual dataset).
    """
    link: Any = file.get(name, getlink=True)
    if not isinstance(link, h5py.HardLink):
        raise UserError(f"no dataset {name!r} in the file", file.filename, f"make it again with `{make_again}`")
    found = file[name]
    if not isinstance(found, h5py.Dataset) or found.is_virtual or found.external:
        raise UserError(f"{name!r} is not a plain dataset", file.filename, f"make it again with `{make_again}`")
    return found


class Texts(Sequence[str]):
    """Many texts in one piece of memory: a quarter of what as many Python texts take.

    Parameters
    ----------
    joined : bytes
        All of them, UTF-8.
    ends : ndarray, shape (N,), int64
        Where each ends.
    """

    def __init__(self, joined: bytes, ends: NDArray[np.int64]) -> None:
        self._joined, self._ends = joined, ends

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, place: int) -> str: ...

    @overload
    def __getitem__(self, place: slice) -> tuple[str, ...]: ...

    def __getitem__(self, place: int | slice) -> str | tuple[str, ...]:
        if isinstance(place, slice):
            return tuple(self[row] for row in range(*place.indices(len(self))))
        row = range(len(self))[place]
        return self._joined[int(self._ends[row - 1]) if row else 0 : int(self._ends[row])].decode()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return len(self) == len(other) and all(one == two for one, two in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]


TEXTS_AT_ONCE = 10_000


def compact_texts(column: h5py.Dataset) -> Texts:
    """All strings of a one-dimensional string dataset, read block by block."""
    parts: list[bytes] = []
    lengths: list[NDArray[np.int64]] = []
    for start in range(0, len(column), TEXTS_AT_ONCE):
        block = [text.encode() for text in column.asstr()[start : start + TEXTS_AT_ONCE]]
        parts.append(b"".join(block))
        lengths.append(np.array([len(text) for text in block], np.int64))
    return Texts(b"".join(parts), np.cumsum(np.concatenate(lengths)) if lengths else np.empty(0, np.int64))


def texts(column: h5py.Dataset) -> tuple[str, ...]:
    """All strings of a one-dimensional string dataset."""
    return tuple(str(value) for value in column.asstr()[:])
