"""Checkpoints: everything a run needs to go on exactly, in one file that loads without unpickling code.

A checkpoint is written to a temporary file, synced and renamed; the one before it is kept as ``previous.pt``. Its
content carries a digest of itself, because torch does not look at the checksums in its own files: of 200 files with one
bit turned over it loaded 200, each with a wrong number in it.
"""

import os
import shutil
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

from pretext.data.standardise import Standardiser
from pretext.method import Method
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.files import atomic_path
from spectral_ssl.ground.progress import say
from spectral_ssl.ground.tensor_files import check_tensor_file, check_tensors

FORMAT = "spectral-ssl checkpoint 2"
WITHOUT_DIGEST = "spectral-ssl checkpoint 1"  # of versions before the digest; still read


class DamagedCheckpoint(UserError):
    """A checkpoint that is missing, torn, or not what was written."""


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
        How far the run is, see ``pretext.training.trainer.Place``.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    UserError
        When it cannot be written, e.g. on a full disk; the checkpoints that are there stay.
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
    content["digest"] = content_digest(content)
    try:
        with atomic_path(target) as temporary:
            save_tensors(content, temporary)
            if target.exists():
                _keep(target, folder / "previous.pt")
    except OSError as error:
        what_to_do = f"the one before it is kept: make room, then `spectral-ssl pretrain --resume {folder.parent}`"
        raise UserError("cannot write the checkpoint", f"{target} ({error.strerror or error})", what_to_do) from error
    return target


def _keep(target: Path, previous: Path) -> None:
    """Give a file a second name, in one step: ``previous`` is always whole."""
    with atomic_path(previous) as temporary:
        temporary.unlink()
        try:
            os.link(target, temporary)
        except OSError:  # file systems without hard links
            shutil.copyfile(target, temporary)


def save_tensors(content: dict[str, Any], path: Path) -> None:
    """``torch.save`` that says what the system said.

    Raises
    ------
    OSError
        When the file cannot be written. torch itself raises a RuntimeError about positions in the file.
    """
    with path.open("wb") as stream:
        recorder: Any = _Recorder(stream)
        try:
            torch.save(content, recorder)
        except RuntimeError as error:
            raise (recorder.error or error) from error


class _Recorder:
    """A stream for torch that remembers the system's error."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        try:
            return int(self.stream.write(data))
        except OSError as error:
            self.error = self.error or error
            raise

    def flush(self) -> None:
        self.stream.flush()


def content_digest(content: dict[str, Any]) -> str:
    """SHA-256 over the values of nested dicts, lists and tuples, but for the key ``digest``.

    Parameters
    ----------
    content : dict
        Of tensors, numbers, texts, None, and dicts, lists and tuples of such.

    Returns
    -------
    str
        Hexadecimal digits.
    """
    digest = sha256()

    def feed(value: Any) -> None:
        if isinstance(value, torch.Tensor):
            digest.update(f"tensor {value.dtype} {tuple(value.shape)}".encode())
            # .numpy() knows no bfloat16: bytes are bytes
            digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
        elif isinstance(value, dict):
            digest.update(f"dict {len(value)}".encode())
            for key, part in value.items():
                feed(key)
                feed(part)
        elif isinstance(value, list | tuple):
            digest.update(f"{type(value).__name__} {len(value)}".encode())
            for part in value:
                feed(part)
        else:
            digest.update(f"{type(value).__name__} {value!r}".encode())

    feed({key: value for key, value in content.items() if key != "digest"})
    return digest.hexdigest()


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint without unpickling code.

    Raises
    ------
    DamagedCheckpoint
        When it is missing, or not what was written.
    UserError
        When it is of another format.
    """
    if not path.is_file():
        raise DamagedCheckpoint("no checkpoint", str(path), "the run has not saved one yet; give another --run")
    what_to_do = "put checkpoints/previous.pt in its place"
    try:
        check_tensor_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
        check_tensors(content)
    except Exception as error:  # torch raises half a dozen types on damaged files, RuntimeError and pickle's among them
        reason = (str(error).splitlines() or [type(error).__name__])[0][:100]
        raise DamagedCheckpoint("damaged checkpoint", f"{path} ({reason})", what_to_do) from error
    found = content.get("format") if isinstance(content, dict) else None
    if found not in (FORMAT, WITHOUT_DIGEST):
        raise UserError(
            "checkpoint of another version", f"{found!r} in {path}, this version reads {FORMAT!r}", "train again"
        )
    content = dict(content)
    digest = content.pop("digest", None)
    if (found == FORMAT or digest is not None) and digest != content_digest(content):
        raise DamagedCheckpoint("damaged checkpoint", f"{path} (its digest is another)", what_to_do)
    return content


def load_last_good(folder: Path) -> tuple[dict[str, Any], Path]:
    """The content and the path of ``last.pt``; where it is damaged, with a warning, those of ``previous.pt``.

    Parameters
    ----------
    folder : Path
        The run's ``checkpoints`` folder.

    Raises
    ------
    UserError
        When neither can be read.
    """
    last, previous = folder / "last.pt", folder / "previous.pt"
    try:
        return load_checkpoint(last), last
    except DamagedCheckpoint as error:
        if not previous.is_file():
            raise
        try:
            content = load_checkpoint(previous)
        except DamagedCheckpoint:
            what_to_do = f"put a copy of one back, or train again with the settings in {folder.parent / 'config.toml'}"
            raise UserError("both checkpoints are damaged", f"{last} and {previous}", what_to_do) from error
        say(f"{error.what} {error.got}: taking the one before it, {previous}, step {content['place']['step']}")
        return content, previous


def put_aside_damaged(folder: Path) -> None:
    """Put ``previous.pt`` in the place of a damaged ``last.pt``, which becomes ``damaged.pt``.

    Else the next checkpoint would keep the damaged one as the previous, and lose the sound one.
    """
    last = folder / "last.pt"
    if last.exists():
        last.replace(folder / "damaged.pt")
    _keep(folder / "previous.pt", last)
