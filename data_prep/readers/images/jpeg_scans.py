"""Count the scans of a JPEG file before it is decoded.

A progressive JPEG sends its image in several scans, and the decoder goes through all pixels for each.
Cameras and programs write 1 to about 12. A file of 242 kB with 1200 scans takes minutes.
"""

import re
from pathlib import Path

from spectral_ssl.ground.errors import ObjectError

MOST_SCANS = 100  # the limit that libtiff has for JPEG data in TIFF files
MOST_DECODED = 1 << 30  # pixels times scans: 16 scans of the largest image, about ten seconds
MOST_BYTES = 1 << 28
START_OF_SCAN, END_OF_IMAGE = 0xDA, 0xD9
ALONE = {0x01, *range(0xD0, 0xD9)}  # markers without a length
_MARKER = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])", re.DOTALL)  # In a scan, 00 and D0 to D7 follow FF in the data.


def count_scans(data: bytes) -> int:
    """Count the scans of the first image of a JPEG file.

    Parameters
    ----------
    data : bytes
        The content of the file. Scans are counted up to its end, or to the first thing that is no
        JPEG.

    Returns
    -------
    int

    Examples
    --------
    >>> import io
    >>> from PIL import Image
    >>> from data_prep.readers.images.jpeg_scans import count_scans
    >>> stream = io.BytesIO()
    >>> Image.new("RGB", (16, 16)).save(stream, "JPEG", progressive=True)
    >>> count_scans(stream.getvalue())
    10
    """
    scans, position = 0, 2  # after the marker of the start
    while (found := _MARKER.search(data, position)) is not None:
        marker, position = found[1][0], found.end()
        if marker == END_OF_IMAGE:
            break
        if marker in ALONE:
            continue
        scans += marker == START_OF_SCAN
        position += max(int.from_bytes(data[position : position + 2], "big"), 2)
    return scans


def refuse_many_scans(path: Path, size: tuple[int, int]) -> None:
    """Raise an ObjectError if decoding a JPEG file of (width, height) pixels would take very long."""
    with path.open("rb") as stream:
        data = stream.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise ObjectError(f"a JPEG file of more than {MOST_BYTES >> 20} MiB")
    scans, pixels = count_scans(data), size[0] * size[1]
    if scans > MOST_SCANS or (scans > 1 and scans * pixels > MOST_DECODED):
        raise ObjectError(f"a JPEG file with {scans} scans of {pixels} pixels: save it without progression")
