"""Checkpoints: everything that a run needs to resume exactly, in one file that loads without unpickling code.

A checkpoint is written to a temporary file, synced and renamed. The one before it is kept as
``previous.pt``. Its content holds a digest of itself, because torch does not verify the checksums
in its own files: of 200 files with one flipped bit it loaded 200, each with a wrong number.
"""

import os
import shlex
import shutil
from dataclasses import dataclass, field
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
WITHOUT_DIGEST = "spectral-ssl checkpoint 1"  # written before there was a digest; still read


@dataclass
class Progress:
    """How far a run is. It is saved in every checkpoint, so that a run can resume within an epoch too.

    Attributes
    ----------
    epoch, batch, step : int
        Number of finished epochs, of finished batches of the current epoch, and of finished steps
        in all.
    samples : int
        Samples trained on since the last row of metrics.
    sums : dict of str to float
        Losses summed over those samples.
    seconds : float
        Time of training so far, over all parts of an interrupted run.
    unwatched : int
        Samples trained on since the feature statistics were last measured.
    scaling : dict of str to float
        The state of float16's factor, see ``pretext.training.precision``.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    samples: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    unwatched: int = 0
    scaling: dict[str, float] = field(default_factory=dict)

    def add_step(self, losses: dict[str, float], samples: int) -> None:
        """Count a finished step and add its losses."""
        for name, value in losses.items():
            self.sums[name] = self.sums.get(name, 0.0) + value * samples
        self.batch += 1
        self.step += 1
        self.samples += samples
        self.unwatched += samples

    def end_epoch(self) -> None:
        """Count a finished epoch."""
        self.epoch += 1
        self.batch = 0

    def take_means(self) -> dict[str, float]:
        """Return the mean losses since the last call, and start new sums."""
        means = {name: value / self.samples for name, value in self.sums.items()}
        self.samples, self.sums = 0, {}
        return means


class DamagedCheckpoint(UserError):
    """A checkpoint that is missing, torn, or not what was written."""


def save_checkpoint(
    folder: Path, method: Method, standardiser: Standardiser, config: str, progress: dict[str, Any]
) -> Path:
    """Write ``folder/last.pt``.

    Parameters
    ----------
    folder : Path
        The run's ``checkpoints`` folder.
    method : Method
        The method whose parameters and optimiser states are saved.
    standardiser : Standardiser
        Basis and statistics of the training data, saved with them.
    config : str
        The resolved config as TOML.
    progress : dict
        How far the run is: the fields of ``Progress``.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    UserError
        If it cannot be written, e.g. on a full disk; the existing checkpoints stay.
    """
    target = folder / "last.pt"
    content = {
        "format": FORMAT,
        "config": config,
        "basis": standardiser.basis.to_json(),
        "mean": standardiser.mean,
        "std": standardiser.std,
        "place": progress,
        "model": method.state_dict(),
        "optimizers": {name: optimizer.state_dict() for name, optimizer in method.optimizers.items()},
    }
    content["digest"] = content_digest(content)
    try:
        with atomic_path(target, make_folder=False) as temporary:
            save_tensors(content, temporary)
            if target.exists():
                _link(target, folder / "previous.pt")
    except OSError as error:
        name = shlex.quote(str(folder.parent))
        what_to_do = f"the previous one is kept: make room, then `spectral-ssl pretrain --resume {name}`"
        raise UserError("cannot write the checkpoint", f"{target} ({error.strerror or error})", what_to_do) from error
    return target


def _link(target: Path, previous: Path) -> None:
    """Give a file a second name in one step, so that ``previous`` is always whole."""
    with atomic_path(previous) as temporary:
        temporary.unlink()
        try:
            os.link(target, temporary)
        except OSError:  # file systems without hard links
            shutil.copyfile(target, temporary)


def save_tensors(content: dict[str, Any], path: Path) -> None:
    """Save like ``torch.save``, but raise the error of the operating system.

    Raises
    ------
    OSError
        If the file cannot be written. torch itself raises a RuntimeError about positions in the
        file.
    """
    with path.open("wb") as stream:
        recorder: Any = _Recorder(stream)
        try:
            torch.save(content, recorder)
        except RuntimeError as error:
            raise (recorder.error or error) from error


class _Recorder:
    """A stream for torch that remembers the operating system's error."""

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
    """Compute the SHA-256 of the values of nested dicts, lists and tuples, without the key ``digest``.

    Parameters
    ----------
    content : dict
        Tensors, numbers, texts, None, and dicts, lists and tuples of them.

    Returns
    -------
    str
        Hexadecimal digits.
    """
    digest = sha256()

    def feed(value: Any) -> None:
        if isinstance(value, torch.Tensor):
            digest.update(f"tensor {value.dtype} {tuple(value.shape)}".encode())
            # NumPy has no bfloat16, so the bytes are taken.
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
        If it is missing, or not what was written.
    UserError
        If it has another format.
    """
    if not path.is_file():
        raise DamagedCheckpoint("no checkpoint", str(path), "the run has not saved one yet; give another --run")
    what_to_do = "replace it with checkpoints/previous.pt"
    try:
        check_tensor_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
        check_tensors(content)
    except Exception as error:  # torch raises half a dozen types on damaged files
        reason = (str(error).splitlines() or [type(error).__name__])[0][:100]
        raise DamagedCheckpoint("damaged checkpoint", f"{path} ({reason})", what_to_do) from error
    format_found = content.get("format") if isinstance(content, dict) else None
    if format_found not in (FORMAT, WITHOUT_DIGEST):
        raise UserError(
            "checkpoint of another version", f"{format_found!r} in {path}, this version reads {FORMAT!r}", "train again"
        )
    content = dict(content)
    digest = content.pop("digest", None)
    if (format_found == FORMAT or digest is not None) and digest != content_digest(content):
        raise DamagedCheckpoint("damaged checkpoint", f"{path} (its digest differs)", what_to_do)
    return content


def load_last_good(folder: Path) -> tuple[dict[str, Any], Path]:
    """Load ``last.pt``, or with a warning ``previous.pt`` if the last one is damaged; return content and path.

    Parameters
    ----------
    folder : Path
        The run's ``checkpoints`` folder.

    Raises
    ------
    UserError
        If neither can be read.
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
            what_to_do = f"restore a copy of one, or train again with the settings in {folder.parent / 'config.toml'}"
            raise UserError("both checkpoints are damaged", f"{last} and {previous}", what_to_do) from error
        say(f"{error.what} {error.got}: using the previous one, {previous}, step {content['place']['step']}")
        return content, previous


def replace_damaged(folder: Path) -> None:
    """Replace a damaged ``last.pt`` by ``previous.pt``; the damaged file becomes ``damaged.pt``.

    Otherwise the next checkpoint would keep the damaged file as the previous one, and lose the
    sound one.
    """
    last = folder / "last.pt"
    if last.exists():
        last.replace(folder / "damaged.pt")
    _link(folder / "previous.pt", last)
