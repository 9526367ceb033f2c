"""Compressed datasets of HDF5 files from elsewhere, looked through before HDF5 unpacks them."""

import math
import zlib
from pathlib import Path
from typing import Any

import h5py

MOST_BYTES_OF_A_CHUNK = 256 << 20


def check_chunks(found: h5py.Dataset) -> None:
    """See that each compressed chunk unpacks to what it should: HDF5 itself makes room for whatever comes out.

    Raises
    ------
    ValueError
        When one does not, or the values were never written.
    """
    filters = found.id.get_create_plist()
    names = [filters.get_filter(number)[0] for number in range(filters.get_nfilters())]
    if names[-1:] != [h5py.h5z.FILTER_DEFLATE] or any(name != h5py.h5z.FILTER_SHUFFLE for name in names[:-1]):
        if names or found.id.get_storage_size() < found.size * found.dtype.itemsize:
            raise ValueError(f"{found.name}: values that are missing or packed in another way than by gzip")
        return
    size = math.prod(found.chunks) * found.dtype.itemsize
    if size > MOST_BYTES_OF_A_CHUNK or found.id.get_num_chunks() != math.prod(
        math.ceil(side / part) for side, part in zip(found.shape, found.chunks, strict=True)
    ):
        raise ValueError(f"{found.name}: chunks of {size} bytes, or some that are missing")

    def check(chunk: Any) -> None:
        if chunk.filter_mask:
            return
        with Path(found.file.filename).open("rb") as stream:
            stream.seek(chunk.byte_offset)
            packed = stream.read(chunk.size)
        unpacker = zlib.decompressobj()
        if len(unpacker.decompress(packed, size + 1)) != size or not unpacker.eof:
            raise ValueError(f"{found.name}: a chunk that does not unpack to {size} bytes")

    found.id.chunk_iter(check)
