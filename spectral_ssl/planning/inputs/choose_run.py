"""Choose what makes the features: a run of the workspace, or an encoder."""

import os
from dataclasses import replace
from pathlib import Path

from pretext.pretrained.facts import FACTS
from pretext.pretrained.find import DEFAULT_ENCODER, SHIPPED
from pretext.runs.load_encoder import load_encoder
from pretext.runs.origin import is_encoder
from pretext.runs.trained_run import TrainedRun, load_run
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.files import expand_home
from spectral_ssl.ground.progress import say
from spectral_ssl.ground.workspace import Workspace
from spectral_ssl.planning.inputs.encoders import find_encoder

RunArgument = str | Path | TrainedRun | None


def choose_run(
    run: RunArgument, encoder: RunArgument, workspace: Workspace, *, prefers_encoder: bool = False
) -> TrainedRun:
    """Load the run or the encoder that two arguments mean.

    Parameters
    ----------
    run : path, name or TrainedRun, optional
        A run: its folder, its name in the workspace, or the loaded run.
    encoder : str, path or TrainedRun, optional
        An encoder: a name, a folder, ``hf:OWNER/NAME``, or the loaded encoder.
    workspace : Workspace
        The workspace. Without both arguments its latest run is taken. If it has none, the default
        encoder that ships with the package is taken. A line says which.
    prefers_encoder : bool
        Whether the default encoder is taken also if the workspace has runs.

    Returns
    -------
    TrainedRun
        The run. The folder of an encoder is that of its results in the workspace,
        ``WS/encoders/NAME``.

    Raises
    ------
    UserError
        When both arguments are given, or there is no such run or encoder.
    """
    if run is not None and encoder is not None:
        both = f"--run {_show(run)} and --encoder {_show(encoder)}"
        raise UserError("a run and an encoder", both, "give one of them")
    if isinstance(encoder, TrainedRun):
        return _move_results(encoder, workspace)
    if isinstance(run, TrainedRun):
        return _move_results(run, workspace)
    _check_type("run", run)
    _check_type("encoder", encoder)
    if encoder is not None:
        return _load(encoder, workspace)
    if run is not None:
        _refuse_encoder(run, workspace)
        return load_run(workspace.find_run(run))
    if not prefers_encoder and has_runs(workspace):
        latest = workspace.latest_run()
        say(
            f"run {latest.name}, the latest in {latest.parent}; "
            "--run and --encoder choose another, --data other objects"
        )
        return load_run(latest)
    why = "" if prefers_encoder else f"no run in {workspace.root / 'runs'} yet: "
    say(f"{why}encoder {DEFAULT_ENCODER}, which ships with the package; --run and --encoder choose another")
    return _load(DEFAULT_ENCODER, workspace)


def has_runs(workspace: Workspace) -> bool:
    """Tell whether a workspace has a run with a checkpoint."""
    return any((workspace.root / "runs").glob("*/checkpoints/last.pt"))


def _check_type(name: str, value: object) -> None:
    """Raise a UserError if a value is set but is no path."""
    if value is not None and not isinstance(value, str | os.PathLike):
        raise UserError(f"{name} of the wrong type", f"{value!r:.80} ({type(value).__name__})", "give a path or a name")


def _load(encoder: str | Path, workspace: Workspace) -> TrainedRun:
    """Load an encoder, whose results go to the workspace."""
    return _move_results(load_encoder(find_encoder(encoder, workspace)), workspace)


def _move_results(run: TrainedRun, workspace: Workspace) -> TrainedRun:
    """Set the folder of an encoder's results; a run keeps its own folder."""
    return replace(run, folder=workspace.root / "encoders" / run.name) if is_encoder(run) else run


def _refuse_encoder(run: str | Path, workspace: Workspace) -> None:
    """Raise a UserError if an encoder was given as a run."""
    name = str(run)
    is_named = name in SHIPPED and not (workspace.root / "runs" / name).is_dir()
    if is_named or (expand_home(run) / FACTS).is_file():
        raise UserError("an encoder, not a run", name, f"write --encoder {name}")


def _show(value: object) -> str:
    return value.name or str(value.folder) if isinstance(value, TrainedRun) else str(value)
