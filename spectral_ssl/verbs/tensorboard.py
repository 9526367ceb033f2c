"""The curves of a run for TensorBoard: ``metrics.jsonl`` written again as event files."""

from pathlib import Path

from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.metrics_log import read_metrics
from spectral_ssl.ground.workspace import Workspace

TIMES = ("epoch", "step", "seconds")


def to_tensorboard(run: str | Path | None, folder: str | Path, *, workspace: str | Path | None = None) -> Path:
    """Write the metrics of a run as scalars over the steps.

    Parameters
    ----------
    run : path or str, optional
        A run folder, or its name in the workspace; the latest by default.
    folder : path
        The folder that TensorBoard is to look into. The run gets a folder of its name there, which must not exist.
    workspace : path, optional
        See ``Workspace.find``.

    Returns
    -------
    Path
        The folder of the run.

    Raises
    ------
    UserError
        When there is no such run, it has no metrics, they were written there before, or TensorBoard is not installed.
    """
    found = Workspace.find(workspace).find_run(run)
    rows = read_metrics(found / "metrics.jsonl")
    if not rows:
        raise UserError("no metrics yet", str(found / "metrics.jsonl"), "wait for the end of the first epoch")
    target = Path(folder) / found.name
    if target.exists():
        raise UserError("output exists already", str(target), "give another folder, or remove it")
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise UserError(
            "TensorBoard", "not installed", "pip install 'spectral-ssl[tensorboard]', or read metrics.jsonl"
        ) from error
    with SummaryWriter(str(target)) as writer:
        for row in rows:
            for name, value in row.items():
                if name not in TIMES and value is not None:
                    writer.add_scalar(name, value, row["step"], walltime=row.get("seconds"))
    return target
