"""Weight files in the format of safetensors: named tensors, without code.

Format: https://github.com/huggingface/safetensors, section "Format". Eight bytes hold the length N
of the header, little-endian. N bytes of JSON follow, which name each tensor with its type, its shape
and its range of bytes. The values come after it.

The format is read here, not by the library of the same name, because a weight file may come from a
stranger: sizes are compared with those of the file before memory is reserved, and each fault is one
line.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

LONGEST_HEADER = 1 << 20  # bytes: 10,000 tensors need about as many
LARGEST_FILE = 2 << 30  # bytes
ALIGNMENT = 8  # bytes; the header is filled with spaces up to a multiple of it
TYPES: dict[str, torch.dtype] = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
NAMES = {dtype: name for name, dtype in TYPES.items()}


def write_weights(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, str] | None = None) -> None:
    """Write tensors to a file; equal tensors give equal bytes.

    Parameters
    ----------
    path : Path
        The file.
    tensors : mapping of str to Tensor
        Tensors of any shape, on any device.
    about : mapping of str to str, optional
        Texts for the header.
    """
    header: dict[str, Any] = {"__metadata__": dict(about)} if about else {}
    end = 0
    # Larger types come first, so that every tensor is aligned, as the library writes them.
    order = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
    for name in order:
        start, end = end, end + tensors[name].numel() * tensors[name].element_size()
        shape = list(tensors[name].shape)
        header[name] = {"dtype": NAMES[tensors[name].dtype], "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    with path.open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        for name in order:
            values = tensors[name].detach().cpu().contiguous().reshape(-1)
            stream.write(values.view(torch.uint8).numpy().tobytes())


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a file.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    dict of str to Tensor
        Read-only views of the file's bytes in memory, which must not be changed in place.

    Raises
    ------
    ValueError
        If the file is not of this format, or is damaged.
    OSError
        If it cannot be read.
    """
    if not path.is_file():
        raise ValueError("no regular file")
    size = path.stat().st_size
    if size > LARGEST_FILE:
        raise ValueError(f"{size >> 20} MiB, more than {LARGEST_FILE >> 20}")
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if not 2 <= length <= min(LONGEST_HEADER, size - 8):
            raise ValueError(f"a header of {length} bytes in a file of {size}")
        header = _parse_header(stream.read(length))
        _check_ranges(header, size - 8 - length)
        data = bytearray(stream.read(size - 8 - length))
    if len(data) != size - 8 - length:
        raise ValueError("the file ends early")
    tensors: dict[str, Tensor] = {}
    for name, (dtype, shape, start, end) in header.items():
        if start == end:
            tensors[name] = torch.empty(shape, dtype=dtype)
            continue
        count = (end - start) // dtype.itemsize
        tensors[name] = torch.frombuffer(data, dtype=dtype, count=count, offset=start).view(shape)
    return tensors


def _parse_header(text: bytes) -> dict[str, tuple[torch.dtype, tuple[int, ...], int, int]]:
    """Return type, shape, first and last byte of each tensor.

    Raises
    ------
    ValueError
        If the text is no such header.
    """
    try:
        entries = json.loads(text.decode(), object_pairs_hook=_refuse_doubles)
        entries.pop("__metadata__", None)
        header = {}
        for name, entry in entries.items():
            numbers = (*entry["shape"], *entry["data_offsets"])
            if any(type(number) is not int or number < 0 for number in numbers):
                raise ValueError(f"{name}: a size that is no whole number")
            start, end = entry["data_offsets"]
            header[name] = (TYPES[entry["dtype"]], tuple(entry["shape"]), start, end)
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise ValueError(f"an unreadable header: {str(error)[:60]}") from error
    return header


def _refuse_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build a dict of pairs, none of which may have the name of another."""
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("a name that occurs twice")
    return values


def _check_ranges(header: Mapping[str, tuple[torch.dtype, tuple[int, ...], int, int]], size: int) -> None:
    """Check that the tensors fill ``size`` bytes without gaps and overlaps, each with as many as its shape needs."""
    position = 0
    for name, (dtype, shape, start, end) in sorted(header.items(), key=lambda item: item[1][2:]):
        if start != position or end - start != math.prod(shape) * dtype.itemsize:
            raise ValueError(f"{name}: bytes {start} to {end} for shape {list(shape)[:8]}")
        if start % dtype.itemsize:
            raise ValueError(f"{name}: values that are not aligned")
        position = end
    if position != size:
        raise ValueError(f"tensors of {position} bytes in a file with {size}")
