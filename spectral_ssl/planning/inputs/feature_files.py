"""Find the feature files of ``embed``, and the run or the encoder that made one."""

import shlex
from pathlib import Path
from tomllib import TOMLDecodeError

import h5py

from downstream.features.store import Features, is_feature_file
from pretext.networks.feature_layers import DEFAULT
from pretext.pretrained.hub import HUB
from pretext.runs.plan import Plan
from pretext.runs.trained_run import TrainedRun
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.hdf5 import read_attribute
from spectral_ssl.ground.progress import say
from spectral_ssl.ground.workspace import Workspace
from spectral_ssl.planning.inputs.choose_run import RunArgument, choose_run, has_runs


def find_embedded(workspace: Workspace, encoder: TrainedRun | None = None) -> Path | None:
    """Find the newest feature file of ``embed`` with several objects; a line names it.

    Parameters
    ----------
    workspace : Workspace
        The workspace.
    encoder : TrainedRun, optional
        The encoder that was named. Without it any will do, in a workspace without runs.

    Returns
    -------
    Path or None
        The file; None if nothing was embedded, or if the workspace has runs and no encoder was named.

    Raises
    ------
    UserError
        If all feature files are of other encoders: their objects are what the user has.
    """
    if encoder is None and has_runs(workspace):
        return None
    files = sorted((workspace.root / "features").glob("*.h5"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    makers = {path: maker for path in files if (maker := _read_maker(path))}
    if not makers:
        return None
    path = next((path for path, maker in makers.items() if encoder is None or _is_of(maker, encoder)), None)
    if path is None and encoder is not None:
        path, maker = next(iter(makers.items()))
        do = "give the objects with --data, e.g. your folder, or embed them with this encoder"
        raise UserError(f"nothing was embedded by {encoder.name}", f"{path} of {maker['encoder']}", do)
    say(f"data: {path}, the newest feature file of embed; --data names other objects")
    return path


def _is_of(maker: dict[str, str], encoder: TrainedRun) -> bool:
    """Tell whether an encoder made a feature file; the same weights may encode several orientations."""
    return (maker["encoder"], maker["checkpoint_digest"]) == (encoder.name, encoder.checkpoint_digest)


def _read_maker(path: Path) -> dict[str, str]:
    """Read who made a feature file of ``embed`` with several objects; empty for all other files."""
    if not is_feature_file(path):
        return {}
    try:
        with h5py.File(path, "r") as file:
            if "option" not in file.attrs or len(file["ids"]) < 2:
                return {}
            return {name: read_attribute(file, name) for name in ("encoder", "checkpoint_digest")}
    except (OSError, RuntimeError, KeyError, TypeError, ValueError):  # damaged: `verify` names its fault
        return {}


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
    try:
        task = Plan.from_toml(stored.about["config"]).task_config
    except (TOMLDecodeError, KeyError, UserError) as error:
        raise UserError("a feature file with a damaged config", f"{path} ({error})", "embed or export again") from error
    if task != trained.plan.task_config:
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
