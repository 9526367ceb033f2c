"""Opening HDF5 files that a stranger may have made: one clear error, and no link out of the file is followed.

A file can announce far more than it holds: by values that were never written, by compression, by many strings or chunks
that are one and the same place in it. Our own files hold every value once and as it is, so nothing that is read from
them may take more room than the file has; what announces more is refused before any room is made for it.
"""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import overload

import h5py
import numpy as np
from numpy.typing import NDArray

from spectral_ssl.ground.errors import UserError

# In the file a string is its length (4 bytes), and the address (8) and number (4) of the place of its characters.
BYTES_OF_A_STRING = 16
MOST_ATTRIBUTE_BYTES = 64 << 20  # the names of classes, the config: a few thousand
MOST_BYTES_OF_A_CHUNK = 256 << 20  # of strings
LONGEST_WORD = 64  # of the names of splits
TEXTS_AT_ONCE = 10_000
# Datasets found plain, by the state of their file: adding up a million chunks at every reading would take its time.
_FOUND_PLAIN: set[tuple[object, ...]] = set()


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
    except (OSError, RuntimeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise UserError(
            "not a readable HDF5 file",
            f"{path} ({reason})",
            f"it is damaged or truncated: make it again with `{make_again}`",
        ) from error
    with file:
        if file.userblock_size:
            raise UserError("not a plain HDF5 file", f"a user block in {path}", f"make it again with `{make_again}`")
        found = schema_of(file)
        if found != schema:
            raise UserError(
                f"not a file of schema {schema!r}", f"{found[:80]!r} in {path}", f"make it again with `{make_again}`"
            )
        yield file


def schema_of(file: h5py.File) -> str:
    """What a file says it is; "nothing" where it does not say."""
    try:
        return attribute(file, "schema_version")
    except (KeyError, ValueError, OSError, RuntimeError):
        return "nothing"


def attribute(file: h5py.File, name: str) -> str:
    """A text attribute of a file.

    Raises
    ------
    KeyError
        When there is none of that name.
    ValueError
        When it is no single text, or longer than ``MOST_ATTRIBUTE_BYTES``.
    """
    if name not in file.attrs:
        raise KeyError(f"no attribute {name!r}")
    about = file.attrs.get_id(name)
    # a single string of variable length cannot be longer than the file; an array of them can be that many times over
    if about.shape != () or h5py.check_string_dtype(about.dtype) is None:
        raise ValueError(f"attribute {name!r} is no text")
    if about.get_storage_size() > MOST_ATTRIBUTE_BYTES:
        raise ValueError(f"attribute {name!r} of {about.get_storage_size()} bytes")
    value = file.attrs[name]
    return value.decode() if isinstance(value, bytes) else str(value)


def has_link(file: h5py.File, name: str) -> bool:
    """Whether there is anything of this name, without looking where it leads (``in`` would open an external file)."""
    return bool(file.id.links.exists(name.encode()))


def dataset(file: h5py.File, name: str, make_again: str) -> h5py.Dataset:
    """A dataset of numbers or texts whose values all lie in this very file, each for itself.

    Raises
    ------
    UserError
        When it is missing or not a dataset; its values would come from another file (external link, external storage,
        virtual dataset); it is of another type (references, lists); or it announces more than the file has (filters
        such as compression, values that were never written, many that share one place).
    """
    if not has_link(file, name) or file.id.links.get_info(name.encode()).type != h5py.h5l.TYPE_HARD:
        raise UserError(f"no dataset {name!r} in the file", file.filename, f"make it again with `{make_again}`")
    found = file[name]
    if not isinstance(found, h5py.Dataset) or found.is_virtual or found.external:
        raise UserError(f"{name!r} is not a plain dataset", file.filename, f"make it again with `{make_again}`")
    state = os.fstat(file.id.get_vfd_handle())  # of the file that is open, whatever lies at its path by now
    key = (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, name)
    wrong = "" if key in _FOUND_PLAIN else _not_plain(found)
    if not wrong:
        _FOUND_PLAIN.add(key)
    else:
        got = f"{wrong} in {file.filename}"
        raise UserError(f"{name!r} is not a plain dataset", got, f"make it again with `{make_again}`")
    return found


def _not_plain(found: h5py.Dataset) -> str:
    """Why a dataset is not of the kind that we write, or nothing."""
    if found.shape is None or not _plain_type(found.dtype):
        return f"values of type {found.dtype}"
    if found.id.get_create_plist().get_nfilters():
        return "compressed or otherwise filtered values"
    held, announced, size = found.id.get_storage_size(), found.size * found.id.get_type().get_size(), _file_size(found)
    if announced > held or held > size:
        return f"{announced} bytes announced, {held} stored, {size} in the file"
    return ""


def _plain_type(dtype: np.dtype) -> bool:
    """Whether values are numbers, texts, or rows of these: nothing that refers to another place or to Python."""
    if dtype.names is not None:
        return all(_plain_type(dtype[name]) for name in dtype.names)
    return dtype.kind in "biuf" or h5py.check_string_dtype(dtype) is not None


def _file_size(found: h5py.Dataset) -> int:
    return int(h5py.h5i.get_file_id(found.id).get_filesize())


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


def compact_texts(column: h5py.Dataset) -> Texts:
    """All strings of a one-dimensional string dataset, read block by block; raises as ``texts``."""
    check_texts(column)
    parts: list[bytes] = []
    lengths: list[NDArray[np.int64]] = []
    for start in range(0, len(column), TEXTS_AT_ONCE):
        block = [text.encode() for text in column.asstr()[start : start + TEXTS_AT_ONCE]]
        parts.append(b"".join(block))
        lengths.append(np.array([len(text) for text in block], np.int64))
    return Texts(b"".join(parts), np.cumsum(np.concatenate(lengths)) if lengths else np.empty(0, np.int64))


def texts(column: h5py.Dataset) -> tuple[str, ...]:
    """All strings of a one-dimensional string dataset.

    Raises
    ------
    ValueError
        When its values are no strings, or together longer than the file.
    """
    check_texts(column)
    return tuple(column.asstr()[:].tolist())


def check_texts(column: h5py.Dataset) -> None:
    """Raise a ValueError when the values of a dataset are no list of strings, or together longer than the file."""
    if column.ndim != 1 or h5py.check_string_dtype(column.dtype) is None:
        raise ValueError(f"{column.name} is no list of texts")
    check_lengths(column)


def short_texts(column: h5py.Dataset) -> np.ndarray:
    """All strings of a one-dimensional string dataset as an array, which gives each the room of the longest.

    They are read block by block: text by text they take five times the memory.

    Raises
    ------
    ValueError
        When its values are no strings, or one has more than ``LONGEST_WORD`` characters.
    """
    check_texts(column)
    blocks = [np.array([], dtype=str)]
    for start in range(0, len(column), TEXTS_AT_ONCE):
        found = column.asstr()[start : start + TEXTS_AT_ONCE].tolist()
        if max(map(len, found), default=0) > LONGEST_WORD:
            raise ValueError(f"a text of {max(map(len, found))} characters in {column.name}")
        blocks.append(np.array(found, dtype=str))
    return np.concatenate(blocks)


def name_list(file: h5py.File, name: str) -> tuple[str, ...]:
    """The texts of a JSON list in an attribute.

    Raises
    ------
    KeyError, ValueError, RecursionError
        When there is none, or it is none.
    """
    found = json.loads(attribute(file, name))
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise ValueError(f"attribute {name!r} is no list of texts")
    return tuple(found)


def check_lengths(column: h5py.Dataset) -> None:
    """See that the strings of a dataset are not longer together than the file: many can be one and the same place.

    Parameters
    ----------
    column : Dataset
        Of strings, or of rows of strings; as ``dataset`` gives it.

    Raises
    ------
    ValueError
        When they are.
    """
    file_size, total = _file_size(column), 0
    for block in _raw_blocks(column):
        words = np.frombuffer(block[: len(block) // BYTES_OF_A_STRING * BYTES_OF_A_STRING], "<u4").reshape(-1, 4)
        total += int(words[:, 0].sum(dtype=np.uint64))
        if total > file_size:
            raise ValueError(f"texts of {column.name} longer than the file")


def _raw_blocks(column: h5py.Dataset) -> Iterator[bytes]:
    """The bytes of a dataset of strings of variable length as they lie in the file; of fixed ones nothing."""
    dtype = column.dtype
    kinds = [dtype] if dtype.names is None else [dtype[name] for name in dtype.names]
    if any(kind.kind != "O" for kind in kinds):
        if any(kind.kind == "O" for kind in kinds):
            raise ValueError(f"{column.name} has texts of several kinds")
        return
    if column.size == 0:
        return
    places: list[tuple[int | None, int]] = [(column.id.get_offset(), column.id.get_storage_size())]
    if column.chunks is not None:
        starts = range(0, column.shape[0], column.chunks[0])
        chunks = [column.id.get_chunk_info_by_coord((start, *[0] * (column.ndim - 1))) for start in starts]
        places = [(chunk.byte_offset, chunk.size) for chunk in chunks]
    descriptor = column.file.id.get_vfd_handle()
    for offset, size in places:
        if offset is None or size > MOST_BYTES_OF_A_CHUNK:
            raise ValueError(f"{column.name} is stored in an unusual way")
        yield os.pread(descriptor, size, offset)
