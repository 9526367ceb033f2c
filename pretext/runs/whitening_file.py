"""The whitening of a trained run, ``whitening.safetensors`` in its folder.

The file names the checkpoint whose features it whitens. So a run that is trained on has plain
features until its whitening is fitted again at the end.
"""

from pathlib import Path

import torch

from pretext.pretrained.weights import read_weights, write_weights
from pretext.runs.whitening import Whitening
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.files import atomic_path
from spectral_ssl.ground.run_folder import WHITENING_FILE, digest_features


def write_whitening(folder: Path, whitening: Whitening, digest: str) -> None:
    """Write the whitening of a run.

    Parameters
    ----------
    folder : Path
        The run folder.
    whitening : Whitening
        The whitening of its features.
    digest : str
        SHA-256 of the checkpoint that gives the features, 64 hexadecimal digits.

    Examples
    --------
    >>> import torch
    >>> write_whitening(folder, Whitening(torch.zeros(3), torch.eye(3)), "ab" * 32)
    >>> whitening, digest = read_whitening(folder, "ab" * 32)
    >>> whitening.matrix.shape, digest == "ab" * 32
    (torch.Size([3, 3]), False)
    >>> read_whitening(folder, "cd" * 32) == (None, "cd" * 32)
    True
    """
    of = torch.frombuffer(bytearray.fromhex(digest), dtype=torch.uint8)
    with atomic_path(folder / WHITENING_FILE) as temporary:
        write_weights(temporary, {"mean": whitening.mean, "matrix": whitening.matrix, "checkpoint": of})


def read_whitening(folder: Path, digest: str) -> tuple[Whitening | None, str]:
    """Read the whitening of a run, and compute the digest of all that its features depend on.

    Parameters
    ----------
    folder : Path
        The run folder.
    digest : str
        SHA-256 of the checkpoint, 64 hexadecimal digits.

    Returns
    -------
    whitening : Whitening or None
        None if there is none for this checkpoint.
    digest : str
        That of the checkpoint and of its whitening. Stored features that have the digest of the
        checkpoint alone are not whitened, so they are not taken for these.

    Raises
    ------
    UserError
        If the file is damaged.
    """
    path = folder / WHITENING_FILE
    if not path.is_file():
        return None, digest
    try:
        tensors = read_weights(path)
        mean, matrix, of = (tensors[name] for name in ("mean", "matrix", "checkpoint"))
        shapes = f"shapes {tuple(mean.shape)} and {tuple(matrix.shape)}"
        if mean.ndim != 1 or matrix.ndim != 2 or len(mean) != len(matrix) or not matrix.numel():
            raise ValueError(shapes)
        if {mean.dtype, matrix.dtype} != {torch.float32} or of.dtype != torch.uint8 or of.ndim != 1:
            raise ValueError(f"{mean.dtype}, {matrix.dtype} and {of.dtype}")
        if not (mean.isfinite().all() and matrix.isfinite().all()):
            raise ValueError("NaN or infinity")
        if bytes(of.tolist()).hex() != digest:
            return None, digest
        return Whitening(mean, matrix), digest_features(digest, path)
    except (KeyError, ValueError) as error:
        do = "delete it: the features are then not whitened"
        raise UserError("damaged whitening of the run", f"{path} ({error})", do) from error
    except OSError as error:
        raise UserError("cannot read the whitening", f"{path} ({error.strerror})", "check its permissions") from error
