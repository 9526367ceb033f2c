"""``list``: what there is to choose from."""

from pathlib import Path

from spectral_ssl.ground.errors import unknown_name
from spectral_ssl.ground.workspace import Workspace

KINDS = ("datasets", "methods", "tasks", "recipes", "runs", "maps")


def list_names(what: str | None = None, *, workspace: str | Path | None = None) -> dict[str, dict[str, str]]:
    """Names with a line about each.

    Parameters
    ----------
    what : {"datasets", "methods", "tasks", "recipes", "runs", "maps"}, optional
        All of them by default.
    workspace : path, optional
        Whose runs and maps are listed.

    Returns
    -------
    dict
        Kind to name to description.

    Raises
    ------
    UserError
        When there is no such kind.
    """
    if what is not None and what not in KINDS:
        raise unknown_name("kind of list", what, KINDS)
    wanted = KINDS if what is None else (what,)
    return {kind: _names(kind, Workspace.find(workspace)) for kind in wanted}


def _names(kind: str, place: Workspace) -> dict[str, str]:
    # each kind imports its own stage: the datasets are listed without loading torch
    if kind == "datasets":
        from data_prep.sources import SOURCES

        own = {"folder:PATH": "your own files; sub-folders are classes"}
        return {name: entry.description for name, entry in SOURCES.items()} | own
    if kind == "methods":
        from pretext.methods import METHODS

        return {name: entry.description for name, entry in METHODS.items()}
    if kind == "tasks":
        from pretext.tasks import TASKS

        return {name: entry.description for name, entry in TASKS.items()}
    if kind == "recipes":
        from spectral_ssl.verbs.pretrain import read_recipe, recipes

        return {name: " ".join(f"{k}={v}" for k, v in read_recipe(name).get("run", {}).items()) for name in recipes()}
    if kind == "runs":
        return {path.parent.name: str(path.parent) for path in sorted((place.root / "runs").glob("*/config.toml"))}
    return {path.name: str(path) for path in sorted((place.root / "maps").glob("*.h5"))}
