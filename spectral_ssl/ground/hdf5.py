"""Safe reading of HDF5 files that a stranger may have made: one clear error, and no link to another file is followed.

A file can announce far more than it stores: by values that were never written, by compression, or
by many strings or chunks that share one address. Our own files store every value once and without
compression. Nothing that is read from them may therefore take more memory than the file has bytes.
A file that announces more is refused before memory is allocated for it.
"""

import errno
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

# In the file a string is its length (4 bytes), and the address (8) and index (4) of its characters.
BYTES_OF_A_STRING = 16
# The class names and the config need a few thousand. As JSON, each byte can take 30 bytes of memory.
MOST_ATTRIBUTE_BYTES = 4 << 20
MOST_BYTES_OF_A_CHUNK = 256 << 20  # in a dataset of strings
LONGEST_WORD = 64  # characters in the name of a split
TEXTS_AT_ONCE = 10_000
# Datasets that passed the check, by the state of their file: adding up a million chunks at every
# read would be slow.
_CHECKED: set[tuple[object, ...]] = set()


@contextmanager
def open_hdf5(path: Path, schema: str, make_again: str) -> Iterator[h5py.File]:
    """Open one of our files for reading and check its schema.

    Parameters
    ----------
    path : Path
        The file.
    schema : str
        The value that its attribute ``schema_version`` must have, e.g. ``"spectral-ssl maps 1"``.
    make_again : str
        The command that makes such a file, for the message.

    Yields
    ------
    h5py.File
        The file, open for reading.

    Raises
    ------
    UserError
        If the file is missing, truncated, not HDF5, of another schema, or open in another program
        that writes it.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError("no such file", str(path), f"make it with `{make_again}` or give another path")
    try:
        file = h5py.File(path, "r")
    except (OSError, RuntimeError) as error:
        # A file that cannot be opened does not say what it held.
        damaged = "it is damaged or truncated: make it again (maps: `prep`; features: `embed` or `export`)"
        raise explain_open_error(path, error, damaged) from error
    with file:
        if file.userblock_size:
            raise UserError("not a plain HDF5 file", f"a user block in {path}", f"make it again with `{make_again}`")
        stored = read_schema(file)
        if stored != schema:
            raise UserError(
                f"not a file of schema {schema!r}", f"{stored[:80]!r} in {path}", f"make it again with `{make_again}`"
            )
        yield file


def explain_open_error(path: Path, error: OSError | RuntimeError, damaged: str) -> UserError:
    """Make the error for an HDF5 file that h5py could not open: in use, not permitted, or damaged.

    Parameters
    ----------
    path : Path
        The file.
    error : OSError or RuntimeError
        The error of h5py.
    damaged : str
        What the user can do if the file is damaged.

    Returns
    -------
    UserError
        The error, for the caller to raise.
    """
    text = str(error)
    reason = (text.splitlines() or [type(error).__name__])[0][:120]
    number = error.errno if isinstance(error, OSError) else None
    if number in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
        do = "copy it to a local disk, or set HDF5_USE_FILE_LOCKING=FALSE if no other program writes it"
        return UserError("a file system without locks", f"{path} ({reason})", do)
    # a writer holds a lock; without locks it leaves a mark in the file
    if number == errno.EAGAIN or "unable to lock file" in text or "already open for write" in text:
        do = "wait until it has written the file, or close it there; the file itself is not at fault"
        return UserError("the file is open in another program", str(path), do)
    if isinstance(error, PermissionError):
        return UserError("no permission to read the file", str(path), "change its permissions, or copy it")
    return UserError("not a readable HDF5 file", f"{path} ({reason})", damaged)


def read_schema(file: h5py.File) -> str:
    """Return the schema that a file states; "nothing" if it states none."""
    try:
        return read_attribute(file, "schema_version")
    except (KeyError, ValueError, OSError, RuntimeError):
        return "nothing"


def read_attribute(file: h5py.File, name: str) -> str:
    """Read a text attribute of a file.

    Raises
    ------
    KeyError
        If there is no attribute of that name.
    ValueError
        If it is not a single text, or longer than ``MOST_ATTRIBUTE_BYTES``.
    """
    if name not in file.attrs:
        raise KeyError(f"no attribute {name!r}")
    about = file.attrs.get_id(name)
    # a single string of variable length is never longer than the file, but an array can repeat a
    # long one many times
    if about.shape != () or h5py.check_string_dtype(about.dtype) is None:
        raise ValueError(f"attribute {name!r} is not a text")
    if about.get_storage_size() > MOST_ATTRIBUTE_BYTES:
        raise ValueError(f"attribute {name!r} of {about.get_storage_size()} bytes")
    value = file.attrs[name]
    # The stored size of a text of variable length is that of its address.
    if len(value if isinstance(value, bytes) else value.encode()) > MOST_ATTRIBUTE_BYTES:
        raise ValueError(f"attribute {name!r} of {len(value)} characters")
    return value.decode() if isinstance(value, bytes) else str(value)


def has_link(file: h5py.File, name: str) -> bool:
    """Tell whether a link of this name exists, without following it (``in`` would open an external file)."""
    return bool(file.id.links.exists(name.encode()))


def open_dataset(file: h5py.File, name: str, make_again: str) -> h5py.Dataset:
    """Open a dataset of numbers or texts whose values are all stored in this file, each on its own.

    Raises
    ------
    UserError
        If it is missing or not a dataset, if its values come from another file (external link,
        external storage, virtual dataset), if they have another type (references, lists), or if it
        announces more than the file stores (filters such as compression, values that were never
        written, many values at one address).
    """
    if not has_link(file, name) or file.id.links.get_info(name.encode()).type != h5py.h5l.TYPE_HARD:
        raise UserError(f"no dataset {name!r} in the file", file.filename, f"make it again with `{make_again}`")
    dataset = file[name]
    if not isinstance(dataset, h5py.Dataset) or dataset.is_virtual or dataset.external:
        raise UserError(f"{name!r} is not a plain dataset", file.filename, f"make it again with `{make_again}`")
    # the state of the open file: by now another file may have its path
    state = os.fstat(file.id.get_vfd_handle())
    key = (state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, name)
    problem = "" if key in _CHECKED else _find_problem(dataset)
    if not problem:
        _CHECKED.add(key)
    else:
        got = f"{problem} in {file.filename}"
        raise UserError(f"{name!r} is not a plain dataset", got, f"make it again with `{make_again}`")
    return dataset


def _find_problem(dataset: h5py.Dataset) -> str:
    """Return in words how a dataset differs from those that we write; "" if it does not."""
    if dataset.shape is None or not _is_plain_type(dataset.dtype):
        return f"values of type {dataset.dtype}"
    if dataset.id.get_create_plist().get_nfilters():
        return "compressed or otherwise filtered values"
    stored, size = dataset.id.get_storage_size(), _read_file_size(dataset)
    announced = dataset.size * dataset.id.get_type().get_size()
    if announced > stored or stored > size:
        return f"{announced} bytes announced, {stored} stored, {size} in the file"
    return ""


def _is_plain_type(dtype: np.dtype) -> bool:
    """Tell whether values are numbers, texts, or rows of these, not references or Python objects."""
    if dtype.names is not None:
        return all(_is_plain_type(dtype[name]) for name in dtype.names)
    return dtype.kind in "biuf" or h5py.check_string_dtype(dtype) is not None


def _read_file_size(dataset: h5py.Dataset) -> int:
    return int(h5py.h5i.get_file_id(dataset.id).get_filesize())


class Texts(Sequence[str]):
    """Many texts in one block of memory: a quarter of the memory of as many Python texts.

    Parameters
    ----------
    joined : bytes
        All texts in a row, as UTF-8.
    ends : ndarray, shape (N,), int64
        The offset at which each text ends.
    """

    def __init__(self, joined: bytes, ends: NDArray[np.int64]) -> None:
        self._joined, self._ends = joined, ends

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[str, ...]: ...

    def __getitem__(self, index: int | slice) -> str | tuple[str, ...]:
        if isinstance(index, slice):
            return tuple(self[row] for row in range(*index.indices(len(self))))
        row = range(len(self))[index]
        return self._joined[int(self._ends[row - 1]) if row else 0 : int(self._ends[row])].decode()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return len(self) == len(other) and all(mine == theirs for mine, theirs in zip(self, other, strict=True))


def read_compact_texts(column: h5py.Dataset) -> Texts:
    """Read all strings of a one-dimensional string dataset, block by block; raises as ``read_texts``."""
    check_texts(column)
    parts: list[bytes] = []
    lengths: list[NDArray[np.int64]] = []
    for start in range(0, len(column), TEXTS_AT_ONCE):
        block = [text.encode() for text in column.asstr()[start : start + TEXTS_AT_ONCE]]
        parts.append(b"".join(block))
        lengths.append(np.array([len(text) for text in block], np.int64))
    return Texts(b"".join(parts), np.cumsum(np.concatenate(lengths)) if lengths else np.empty(0, np.int64))


def read_texts(column: h5py.Dataset) -> tuple[str, ...]:
    """Read all strings of a one-dimensional string dataset.

    Raises
    ------
    ValueError
        If its values are not strings, or together longer than the file.
    """
    check_texts(column)
    return tuple(column.asstr()[:].tolist())


def check_texts(column: h5py.Dataset) -> None:
    """Raise a ValueError if the values of a dataset are not a list of strings, or together longer than the file."""
    if column.ndim != 1 or h5py.check_string_dtype(column.dtype) is None:
        raise ValueError(f"{column.name} is not a list of texts")
    check_lengths(column)


def read_short_texts(column: h5py.Dataset) -> np.ndarray:
    """Read all strings of a one-dimensional string dataset as an array, where each takes the memory of the longest.

    The strings are read block by block, because reading them one by one takes five times the
    memory.

    Raises
    ------
    ValueError
        If its values are not strings, or one has more than ``LONGEST_WORD`` characters.
    """
    check_texts(column)
    blocks = [np.array([], dtype=str)]
    for start in range(0, len(column), TEXTS_AT_ONCE):
        block = column.asstr()[start : start + TEXTS_AT_ONCE].tolist()
        if max(map(len, block), default=0) > LONGEST_WORD:
            raise ValueError(f"a text of {max(map(len, block))} characters in {column.name}")
        blocks.append(np.array(block, dtype=str))
    return np.concatenate(blocks)


def read_name_list(file: h5py.File, name: str) -> tuple[str, ...]:
    """Read the texts of a JSON list in an attribute.

    Raises
    ------
    KeyError, ValueError, RecursionError
        If there is no such attribute, or it is not such a list.
    """
    names = json.loads(read_attribute(file, name))
    if not isinstance(names, list) or not all(isinstance(each, str) for each in names):
        raise ValueError(f"attribute {name!r} is not a list of texts")
    return tuple(names)


def check_lengths(column: h5py.Dataset) -> None:
    """Check that the strings of a dataset are together not longer than the file: many can share one address.

    Parameters
    ----------
    column : Dataset
        Dataset of strings, or of rows of strings, as ``open_dataset`` returns it.

    Raises
    ------
    ValueError
        If they are longer.
    """
    file_size, total = _read_file_size(column), 0
    for block in _read_raw_blocks(column):
        words = np.frombuffer(block[: len(block) // BYTES_OF_A_STRING * BYTES_OF_A_STRING], "<u4").reshape(-1, 4)
        total += int(words[:, 0].sum(dtype=np.uint64))
        if total > file_size:
            raise ValueError(f"texts of {column.name} longer than the file")


def _read_raw_blocks(column: h5py.Dataset) -> Iterator[bytes]:
    """Yield the stored bytes of a dataset of strings of variable length; nothing for strings of fixed length."""
    dtype = column.dtype
    kinds = [dtype] if dtype.names is None else [dtype[name] for name in dtype.names]
    if any(kind.kind != "O" for kind in kinds):
        if any(kind.kind == "O" for kind in kinds):
            raise ValueError(f"{column.name} mixes values of fixed and variable length")
        return
    if column.size == 0:
        return
    blocks: list[tuple[int | None, int]] = [(column.id.get_offset(), column.id.get_storage_size())]
    if column.chunks is not None:
        starts = range(0, column.shape[0], column.chunks[0])
        chunks = [column.id.get_chunk_info_by_coord((start, *[0] * (column.ndim - 1))) for start in starts]
        blocks = [(chunk.byte_offset, chunk.size) for chunk in chunks]
    descriptor = column.file.id.get_vfd_handle()
    for offset, size in blocks:
        if offset is None or size > MOST_BYTES_OF_A_CHUNK:
            raise ValueError(f"{column.name} is stored in an unusual way")
        yield os.pread(descriptor, size, offset)
