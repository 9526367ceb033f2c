"""Checks of files that torch wrote (checkpoints, weights, processed data), made before torch reads them.

``torch.load(..., weights_only=True)`` runs no code. It does not protect against three things: an
archive whose parts unpack to far more than the file holds, pickles that take all memory (see
``spectral_ssl.ground.pickles``), and tensors with a large shape whose elements are all the same
stored value. Nothing here imports torch.
"""

import zipfile
import zlib
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import IO, Any

from spectral_ssl.ground.pickles import Names, check_pickle

LARGEST_PICKLE = 64 << 20  # bytes of names, shapes and settings: a large network needs 100 000
MOST_PARTS = 1_000_000
OLD_PICKLES = 5  # a file of the old format begins with five: a number, a version, a system, the content, the keys

DTYPES = (
    *("uint8", "int8", "int16", "int32", "int64", "bool", "float16", "float32", "float64", "bfloat16"),
    *("complex64", "complex128"),
)
STORAGES = (
    *("Byte", "Char", "Short", "Int", "Long", "Bool", "Half", "Float", "Double", "BFloat16"),
    *("ComplexFloat", "ComplexDouble"),
)
# Storages come from the archive, by their number; nothing calls them or a type of numbers.
UNCALLED: frozenset[tuple[str, str]] = frozenset(
    {
        ("torch.storage", "UntypedStorage"),
        *(("torch", dtype) for dtype in DTYPES),
        *(("torch", f"{name}Storage") for name in STORAGES),
    }
)
# These are all the names in pickles of tensors in plain containers. torch allows more, such as
# arrays of any length.
ADMITTED: frozenset[tuple[str, str]] = frozenset(
    {
        ("collections", "OrderedDict"),
        ("torch", "Size"),
        ("torch", "device"),
        ("torch._utils", "_rebuild_tensor"),
        ("torch._utils", "_rebuild_tensor_v2"),
        ("torch._utils", "_rebuild_tensor_v3"),
        ("torch._utils", "_rebuild_parameter"),
    }
    | UNCALLED
)


def check_tensor_file(path: Path, admitted: Names = (), *, old: bool = False) -> None:
    """Check that a file of tensors needs no more memory than it has bytes, and names nothing but tensors.

    Parameters
    ----------
    path : Path
        The file.
    admitted : collection of (module, name)
        Names that its pickle may hold in addition to ``ADMITTED``.
    old : bool
        Whether the format from before 2020, which is no archive, is allowed: some published weights
        still have it.

    Raises
    ------
    ValueError
        If it is not such a file.
    OSError
        If it cannot be read.
    """
    size = path.stat().st_size
    names = ADMITTED | frozenset(admitted)
    with path.open("rb") as stream:
        if zipfile.is_zipfile(stream):
            stream.seek(0)
            check_pickle(BytesIO(_read_pickle(stream, size)), size, names, UNCALLED)
            return
        if not old:
            raise ValueError("not an archive of tensors")
        stream.seek(0)
        for _ in range(OLD_PICKLES):
            check_pickle(stream, size, names, UNCALLED)


def _read_pickle(stream: IO[bytes], size: int) -> bytes:
    """Read the pickle of an archive whose parts are stored without compression."""
    try:
        with zipfile.ZipFile(stream) as archive:
            parts = archive.infolist()
            if len(parts) > MOST_PARTS:
                raise ValueError(f"{len(parts)} parts")
            if any(part.compress_type != zipfile.ZIP_STORED for part in parts):
                raise ValueError("compressed parts")
            if sum(part.file_size for part in parts) > size:
                raise ValueError(f"parts of {sum(part.file_size for part in parts)} bytes in a file of {size}")
            pickles = [part for part in parts if part.filename.endswith("data.pkl")]
            if len(pickles) != 1 or pickles[0].file_size > LARGEST_PICKLE:
                raise ValueError("not one pickle, or one that is too long")
            return archive.read(pickles[0])
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:  # encrypted parts: RuntimeError
        raise ValueError(f"a damaged archive: {error}") from error


def check_tensors(content: Any) -> None:
    """Check that loaded tensors store as many values as their shapes announce.

    Parameters
    ----------
    content : dict, list, tuple or Tensor
        Nested containers, as ``torch.load`` returns them; other values are ignored.

    Raises
    ------
    ValueError
        If a shape announces more than the tensor stores: a copy of it would take more memory than
        the file has.
    """
    unchecked, checked = [content], set()
    while unchecked:
        value = unchecked.pop()
        if id(value) in checked:
            continue
        checked.add(id(value))
        if isinstance(value, Mapping):
            unchecked.extend(value.values())
        elif isinstance(value, list | tuple):
            unchecked.extend(value)
        elif hasattr(value, "untyped_storage"):
            stored = value.untyped_storage().nbytes()
            if value.numel() * value.element_size() > stored:
                raise ValueError(f"a tensor of shape {tuple(value.shape)} that stores {stored} bytes")
