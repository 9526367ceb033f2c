"""``runs show --tensorboard``: write the metrics of a run as event files, also while the run is trained."""

import time
from pathlib import Path
from typing import Any

from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.progress import say
from spectral_ssl.ground.run_folder import is_locked, read_metrics, read_status
from spectral_ssl.ground.workspace import Workspace

TIMES = ("epoch", "step", "seconds")
SECONDS_BETWEEN_READS = 2.0


def to_tensorboard(
    run: str | Path | None, folder: str | Path, *, follow: bool = False, workspace: str | Path | None = None
) -> Path:
    """Write the metrics of a run as scalars over the steps, for TensorBoard.

    Parameters
    ----------
    run : path or str, optional
        The run folder, or its name in the workspace; by default the latest run, with ``follow`` the
        latest in training.
    folder : path
        The folder for TensorBoard. The run gets a folder of its name in it, which must not exist.
    follow : bool
        Whether to continue until the training ends. Only files of the run are read; the training is
        not affected.
    workspace : path, optional
        The workspace folder, see ``Workspace.find``.

    Returns
    -------
    Path
        The new folder of the run.

    Raises
    ------
    UserError
        When there is no such run, it has no metrics and is not followed, the folder exists, or
        TensorBoard is not installed.

    Examples
    --------
    >>> import spectral_ssl
    >>> logs = spectral_ssl.to_tensorboard(run.folder, folder / "logs")
    >>> logs.name == run.folder.name
    True
    """
    home = Workspace.find(workspace)
    run_folder = find_run_to_follow(run, home) if follow else home.find_run(run)
    metrics = run_folder / "metrics.jsonl"
    follow = follow and _is_in_training(run_folder)
    if not follow and not read_metrics(metrics):
        raise UserError("no metrics yet", str(metrics), "wait for the end of the first epoch")
    target = Path(folder) / run_folder.name
    if target.exists():
        raise UserError("output exists already", str(target), "give another folder, or remove it")
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UserError(
            "TensorBoard", "not installed", "pip install 'spectral-ssl[tensorboard]', or read metrics.jsonl"
        ) from error
    if follow:
        say(
            f"following {run_folder} until its training ends, or Ctrl-C; look at it with: tensorboard --logdir {folder}"
        )
    with SummaryWriter(str(target)) as writer:
        written = 0
        while True:
            is_last = not (follow and _is_in_training(run_folder))  # tested before reading, so that no row is missed
            rows = read_metrics(metrics)
            _add(writer, rows[written:])
            written = max(written, len(rows))  # a resumed run drops its last rows and writes the same rows again
            if is_last:
                return target
            time.sleep(SECONDS_BETWEEN_READS)


def find_run_to_follow(run: str | Path | None, workspace: Workspace) -> Path:
    """Find a run by name; by default the newest in training, which may have no checkpoint, else the latest run."""
    if run is None:
        runs = sorted(workspace.runs(), key=lambda each: (each / "config.toml").stat().st_mtime_ns)
        run = next((each for each in reversed(runs) if _is_in_training(each)), None)
    return workspace.find_run(run)


def _add(writer: Any, rows: list[dict[str, Any]]) -> None:
    """Write rows of metrics."""
    for row in rows:
        for name, value in row.items():
            if name not in TIMES and value is not None:
                writer.add_scalar(name, value, row["step"], walltime=row.get("seconds"))
    if rows:
        writer.flush()


def _is_in_training(run: Path) -> bool:
    """Tell whether a process trains a run; in the first moments of a training ``status.json`` does not tell."""
    state = read_status(run)["state"]
    return state == "running" or (state == "unknown" and is_locked(run))
