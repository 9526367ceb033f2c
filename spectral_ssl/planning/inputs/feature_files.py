"""Find the feature files of ``embed``, and the run or the encoder that made one."""

import shlex
from pathlib import Path

import h5py

from downstream.features.store import Features, is_feature_file
from pretext.networks.feature_layers import DEFAULT
from pretext.pretrained.hub import HUB
from pretext.runs.plan import Plan
from pretext.runs.trained_run import TrainedRun
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.progress import say
from spectral_ssl.ground.workspace import Workspace
from spectral_ssl.planning.inputs.choose_run import RunArgument, choose_run, has_runs


def find_embedded(workspace: Workspace) -> Path | None:
    """Find the newest feature file of ``embed`` with several objects in a workspace without runs; a line names it.

    Parameters
    ----------
    workspace : Workspace
        The workspace.

    Returns
    -------
    Path or None
        The file; None if there is none, or if the workspace has runs.
    """
    if has_runs(workspace):
        return None
    files = sorted((workspace.root / "features").glob("*.h5"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    found = next((path for path in files if _is_embedded(path)), None)
    if found is not None:
        say(f"data: {found}, the newest feature file of embed; --data names other objects")
    return found


def _is_embedded(path: Path) -> bool:
    """Tell whether a file is a feature file of ``embed`` with several objects."""
    if not is_feature_file(path):
        return False
    with h5py.File(path, "r") as file:
        return "option" in file.attrs and len(file["ids"]) > 1


def open_features_run(
    path: Path, stored: Features, run: RunArgument, encoder: RunArgument, layer: str, workspace: Workspace
) -> TrainedRun:
    """Load the run or the encoder that made a feature file.

    Parameters
    ----------
    path : Path
        The feature file.
    stored : Features
        Its content.
    run, encoder : optional
        The run or the encoder, see ``choose_run``; by default the one that the file names.
    layer : str
        The layer of the network that was asked for, "default" for that of the file.
    workspace : Workspace
        The workspace.

    Returns
    -------
    TrainedRun
        The run, at the layer of the features.

    Raises
    ------
    UserError
        When it did not make these features, or they are principal components.
    """
    if stored.has_components:
        do = "embed or export again without --components, or give the map file"
        raise UserError("principal components cannot be compared with new features", str(path), do)
    option, value = _read_option(stored)
    if run is None and encoder is None:
        run, encoder = (value, None) if option == "--run" else (None, value)
    trained = choose_run(run, encoder, workspace)
    if trained.checkpoint_digest != stored.about["checkpoint_digest"]:
        maker = stored.about.get("option") or "another run"
        got = f"{path}, made with {maker}"
        raise UserError("features of another network, or of an earlier checkpoint", got, "embed or export again")
    # encoders with the same weights can differ in the orientations that they encode
    if Plan.from_toml(stored.about["config"]).task_config != trained.plan.task_config:
        raise UserError("features of another setting of the task", str(path), "embed or export again")
    made = stored.about["layer"]
    if layer not in (DEFAULT, made):
        raise UserError(
            "features of another layer", f"{made!r} in {path}", f"embed or export again with --layer {layer}"
        )
    return trained if trained.layer == made else trained.at_layer(made)


def _read_option(stored: Features) -> tuple[str, str | None]:
    """Return the option that loads the maker of a feature file, and its value; None if the file names none."""
    try:
        option, value = shlex.split(stored.about.get("option", ""))
    except ValueError:  # not two words
        return "--encoder", None
    # A file of a stranger must not start a download.
    is_local = option in ("--run", "--encoder") and not value.startswith(HUB)
    return (option, value) if is_local else ("--encoder", None)
