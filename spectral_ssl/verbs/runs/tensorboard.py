"""The curves of a run for TensorBoard: ``metrics.jsonl`` written again as event files, also while it grows."""

import time
from pathlib import Path
from typing import Any

from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.progress import say
from spectral_ssl.ground.run_folder import is_locked, read_metrics, read_status
from spectral_ssl.ground.workspace import Workspace

TIMES = ("epoch", "step", "seconds")
SECONDS_BETWEEN_LOOKS = 2.0


def to_tensorboard(
    run: str | Path | None, folder: str | Path, *, follow: bool = False, workspace: str | Path | None = None
) -> Path:
    """Write the metrics of a run as scalars over the steps.

    Parameters
    ----------
    run : path or str, optional
        A run folder, or its name in the workspace; the latest by default, to follow the latest that is trained now.
    folder : path
        The folder that TensorBoard is to look into. The run gets a folder of its name there, which must not exist.
    follow : bool
        Whether to go on as the metrics grow, until the training ends. Nothing but files of the run is read, and the
        training knows nothing of it.
    workspace : path, optional
        See ``Workspace.find``.

    Returns
    -------
    Path
        The folder of the run.

    Raises
    ------
    UserError
        When there is no such run, it has no metrics (and is not followed), they were written there before, or
        TensorBoard is not installed.
    """
    place = Workspace.find(workspace)
    found = run_to_follow(run, place) if follow else place.find_run(run)
    metrics = found / "metrics.jsonl"
    follow = follow and _is_under_way(found)
    if not follow and not read_metrics(metrics):
        raise UserError("no metrics yet", str(metrics), "wait for the end of the first epoch")
    target = Path(folder) / found.name
    if target.exists():
        raise UserError("output exists already", str(target), "give another folder, or remove it")
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UserError(
            "TensorBoard", "not installed", "pip install 'spectral-ssl[tensorboard]', or read metrics.jsonl"
        ) from error
    if follow:
        say(f"following {found} until its training ends, or Ctrl-C; look at it with: tensorboard --logdir {folder}")
    with SummaryWriter(str(target)) as writer:
        written = 0
        while True:
            last_look = not (follow and _is_under_way(found))  # asked before reading: what came meanwhile is read
            rows = read_metrics(metrics)
            _add(writer, rows[written:])
            written = max(written, len(rows))  # a resumed run drops its last rows, and writes the same ones again
            if last_look:
                return target
            time.sleep(SECONDS_BETWEEN_LOOKS)


def run_to_follow(run: str | Path | None, place: Workspace) -> Path:
    """The run named, else the one under way that began last: it may have no checkpoint yet; else the latest."""
    if run is None:
        begun = sorted(place.runs(), key=lambda each: (each / "config.toml").stat().st_mtime_ns)
        run = next((each for each in reversed(begun) if _is_under_way(each)), None)
    return place.find_run(run)


def _add(writer: Any, rows: list[dict[str, Any]]) -> None:
    for row in rows:
        for name, value in row.items():
            if name not in TIMES and value is not None:
                writer.add_scalar(name, value, row["step"], walltime=row.get("seconds"))
    if rows:
        writer.flush()


def _is_under_way(run: Path) -> bool:
    """Whether a process trains there; one that has just begun has not said so in ``status.json`` yet."""
    state = read_status(run)["state"]
    return state == "running" or (state == "unknown" and is_locked(run))
