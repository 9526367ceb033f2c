"""Checkpoints: everything a run needs to go on exactly, in one file that loads without unpickling code.

A checkpoint is written to a temporary file, synced and renamed; the one before it is kept as ``previous.pt``.
"""

import os
import shutil
from pathlib import Path
from typing import Any

import torch

from pretext.method import Method
from pretext.standardiser import Standardiser
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.files import atomic_path
from spectral_ssl.ground.tensor_files import check_tensor_file, check_tensors

FORMAT = "spectral-ssl checkpoint 1"


def save_checkpoint(
    folder: Path, method: Method, standardiser: Standardiser, config: str, place: dict[str, Any]
) -> Path:
    """Write ``folder/last.pt``.

    Parameters
    ----------
    folder : Path
        The run's ``checkpoints`` folder.
    method : Method
        Its parameters and the state of all its optimisers are saved.
    standardiser : Standardiser
        Basis and statistics of the training data, saved along.
    config : str
        The resolved config, TOML.
    place : dict
        How far the run is, see ``pretext.engine.Place``.

    Returns
    -------
    Path
        The file written.
    """
    target = folder / "last.pt"
    content = {
        "format": FORMAT,
        "config": config,
        "basis": standardiser.basis.to_json(),
        "mean": standardiser.mean,
        "std": standardiser.std,
        "place": place,
        "model": method.state_dict(),
        "optimizers": {name: optimizer.state_dict() for name, optimizer in method.optimizers.items()},
    }
    with atomic_path(target) as temporary:
        torch.save(content, temporary)
        if target.exists():
            previous = folder / "previous.pt"
            previous.unlink(missing_ok=True)
            try:
                os.link(target, previous)
            except OSError:  # file systems without hard links
                shutil.copyfile(target, previous)
    return target


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint without unpickling code.

    Raises
    ------
    UserError
        When it is missing, damaged, or of another format.
    """
    if not path.is_file():
        raise UserError("no checkpoint", str(path), "the run has not saved one yet; give another --run")
    try:
        check_tensor_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
        check_tensors(content)
    except Exception as error:  # torch raises half a dozen types on damaged files, RuntimeError and pickle's among them
        reason = (str(error).splitlines() or [type(error).__name__])[0][:100]
        raise UserError(
            "damaged checkpoint", f"{path} ({reason})", "put checkpoints/previous.pt in its place"
        ) from error
    found = content.get("format") if isinstance(content, dict) else None
    if found != FORMAT:
        raise UserError(
            "checkpoint of another version", f"{found!r} in {path}, this version reads {FORMAT!r}", "train again"
        )
    return dict(content)
