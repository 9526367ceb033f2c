"""Checks of the size that a file announces, before a reader allocates memory: glTF, text, compressed HDF5.

A glTF file is a table of contents that may name the same numbers many times. A megabyte can
announce a hundred million triangles, or arrays that are in no buffer and would be filled with
zeros.
"""

import math
import zlib
from pathlib import Path
from typing import Any

import h5py

from spectral_ssl.ground.errors import ObjectError

LARGEST_FILE = 256 << 20  # bytes; the largest ModelNet mesh has 200 MB
MOST_NODES = 20_000
MOST_BUFFERS = 64
MOST_CORNERS = 1 << 26  # vertices and corners of faces in all parts, counted once per appearance in the scene
MOST_ACCESSOR_BYTES = 1 << 30
MOST_INSTANCES = 1 << 20  # Instances of one node; each takes 500 bytes for its matrix and temporary values.
MOST_ZEROS = 1 << 22  # elements of a sparse array that starts as zeros, so that the file need not hold them
MOST_WORDS = 1 << 24  # Measured: a reader needs up to 130 bytes per word, 2 GiB for this number.


def check_words(data: bytes) -> None:
    """Check that a text has at most ``MOST_WORDS`` words.

    Raises
    ------
    ObjectError
        When it has more, counted by the spaces, commas and line ends between words.
    """
    gaps = sum(data.count(sign) for sign in (b" ", b"\t", b"\n", b",", b"\r"))
    if gaps > MOST_WORDS:
        raise ObjectError(f"a text of {gaps} words, more than {MOST_WORDS}")


MOST_JSON_PARTS = 1 << 22  # objects, lists and members; 20 million empty objects in 60 MB took 1.8 GiB


def check_json(data: bytes) -> None:
    """Check that a JSON text has at most ``MOST_JSON_PARTS`` parts, counted by brackets and commas.

    Raises
    ------
    ObjectError
        When it has more. Brackets and commas in strings count too; base64 has none.
    """
    parts = sum(data.count(sign) for sign in (b"{", b"[", b","))
    if parts > MOST_JSON_PARTS:
        raise ObjectError(f"a table of contents of {parts} parts, more than {MOST_JSON_PARTS}")


MOST_BYTES_OF_A_CHUNK = 256 << 20


def check_chunks(column: h5py.Dataset) -> None:
    """Check that each compressed chunk unpacks to its announced size; HDF5 itself would allocate any size.

    Raises
    ------
    ValueError
        When a chunk has another size, or values were never written.
    """
    filters = column.id.get_create_plist()
    names = [filters.get_filter(number)[0] for number in range(filters.get_nfilters())]
    if names[-1:] != [h5py.h5z.FILTER_DEFLATE] or any(name != h5py.h5z.FILTER_SHUFFLE for name in names[:-1]):
        if names or column.id.get_storage_size() < column.size * column.dtype.itemsize:
            raise ValueError(f"{column.name}: values are missing, or compressed by another method than gzip")
        return
    size = math.prod(column.chunks) * column.dtype.itemsize
    if size > MOST_BYTES_OF_A_CHUNK or column.id.get_num_chunks() != math.prod(
        math.ceil(side / part) for side, part in zip(column.shape, column.chunks, strict=True)
    ):
        raise ValueError(f"{column.name}: chunks of {size} bytes, or missing chunks")

    def check(chunk: Any) -> None:
        if chunk.filter_mask:
            return
        with Path(column.file.filename).open("rb") as stream:
            stream.seek(chunk.byte_offset)
            packed = stream.read(chunk.size)
        unpacker = zlib.decompressobj()
        if len(unpacker.decompress(packed, size + 1)) != size or not unpacker.eof:
            raise ValueError(f"{column.name}: a chunk that does not unpack to {size} bytes")

    column.id.chunk_iter(check)
