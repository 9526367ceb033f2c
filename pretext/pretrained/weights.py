"""Weight files in the format of safetensors: named tensors, without code.

The library ``safetensors`` checks the header against the bytes. Added here: a file that comes from
a stranger must be a regular one, with limits on its size and on that of its header, and every fault
is a ``ValueError`` of one line.
"""

from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

LONGEST_HEADER = 1 << 20  # bytes: 10,000 tensors need about as many; the library allows 100 MB
LARGEST_FILE = 2 << 30  # bytes
LONGEST_REASON = 100  # characters; a reason may quote names from the file
# The key by which other programs know PyTorch. The library writes several keys in random order, so
# that equal tensors would give different bytes.
ABOUT = {"format": "pt"}


def write_weights(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors to a file; equal tensors give equal bytes.

    Parameters
    ----------
    path : Path
        The file.
    tensors : mapping of str to Tensor
        Tensors of any shape, on any device.
    """
    # The library refuses tensors that share memory or are not contiguous, therefore all are copied.
    copies = {
        name: values.detach().cpu().clone(memory_format=torch.contiguous_format) for name, values in tensors.items()
    }
    # The library reports a full disk as a SafetensorError, Python as the OSError that callers expect.
    path.write_bytes(safetensors.torch.save(copies, ABOUT))


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read the tensors of a file.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    dict of str to Tensor
        The tensors in memory of their own, sorted by name.

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
        stream.seek(0)
        data = stream.read(size)
    try:
        tensors = safetensors.torch.load(data)
    # The library reads types and sizes that PyTorch does not have; the other errors come from those.
    except (SafetensorError, KeyError, RuntimeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"not readable as safetensors: {reason[:LONGEST_REASON]}") from error
    return dict(sorted(tensors.items()))
