"""Which features a run of the task from-code is made from: what ``--features`` names, or the setting of the task."""

from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from data_prep.map_store import MapFile
from downstream.feature_export import export_features
from downstream.feature_store import read_features
from pretext.latent_codes import settle_codes
from pretext.layers import pooling_in_words
from pretext.runs import load_run
from pretext.tasks.from_code import LABELS, NONE, FromCodeConfig
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.progress import say
from spectral_ssl.ground.workspace import Workspace


def find_features(given: str | Path | None, task_config: Any, maps: MapFile, place: Workspace) -> Any:
    """The task's config with its features settled; of other tasks the config as it is.

    Parameters
    ----------
    given : path or str, optional
        A feature file, a run's folder, "labels" or "none"; by default what the config says.
    task_config : object
        Of any task.
    maps : MapFile
        The data whose features are wanted.
    place : Workspace
        Where features of a run are exported to.

    Returns
    -------
    object
        The config.

    Raises
    ------
    UserError
        When the task takes no features, or the features do not fit the data.
    """
    if not isinstance(task_config, FromCodeConfig):
        if given is not None:
            raise UserError("features are for the task from-code", f"--features {given}", "give --task from-code")
        return task_config
    features = str(given) if given is not None else task_config.features
    config = replace(task_config, features=features, extractor="")
    if features not in (NONE, LABELS) and Path(features).is_dir():
        path = _export(Path(features), maps, place)
        config = replace(config, features=str(path), extractor=str(Path(features).resolve()))
    return settle_codes(config, maps)


def _export(run: Path, maps: MapFile, place: Workspace) -> Path:
    """The feature file of a run for a map file: one that lies there, if it is that, or a new one. None is replaced."""
    trained = load_run(run)
    usual = place.features(trained.folder.resolve().name, maps.path.stem)
    digest = sha256(f"{trained.checkpoint_digest} {maps.digest}".encode()).hexdigest()
    for path in (usual, usual.with_name(f"{usual.stem}-{digest[:12]}.h5")):
        if not path.exists():
            break
        about = read_features(path).about
        wanted = {
            "checkpoint_digest": trained.checkpoint_digest,
            "data_digest": maps.digest,
            "layer": trained.layer,
            "pooling": pooling_in_words(trained.layer),  # of principal components it is another
        }
        if all(about[name] == value for name, value in wanted.items()):
            return path
    else:
        raise UserError("other features where the run's would be written", str(path), "move that file away")
    say(f"features of {run} for {maps.path}: writing {path}")
    try:
        export_features(path, trained, maps)
    except UserError:
        if not path.exists():
            raise
        return _export(run, maps, place)  # another process has written it meanwhile
    return path
