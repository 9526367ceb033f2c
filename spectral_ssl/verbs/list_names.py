"""``list``: list the names to choose from."""

import sys
from pathlib import Path

from spectral_ssl.ground.errors import UserError, unknown_name
from spectral_ssl.ground.run_folder import read_status
from spectral_ssl.ground.workspace import Workspace

KINDS = ("datasets", "encoders", "methods", "tasks", "recipes", "runs", "maps")
LAYERS = "layers"  # belongs to one run, so it is listed on request only


def list_names(
    what: str | None = None,
    *,
    run: str | Path | None = None,
    encoder: str | Path | None = None,
    workspace: str | Path | None = None,
) -> dict[str, dict[str, str]]:
    """List names with a line about each.

    Parameters
    ----------
    what : {"datasets", "encoders", "methods", "tasks", "recipes", "runs", "maps", "layers"}, optional
        The kind of names; by default all kinds but the layers.
    run : path, optional
        With "layers": the run whose layers are listed; the latest run by default.
    encoder : str or path, optional
        With "layers": the encoder whose layers are listed, in place of a run.
    workspace : path, optional
        The workspace folder whose runs and maps are listed.

    Returns
    -------
    dict
        Kind -> name -> description.

    Raises
    ------
    UserError
        When there is no such kind, or no such run or encoder.

    Examples
    --------
    >>> import spectral_ssl
    >>> sorted(spectral_ssl.list_names("methods")["methods"])[:3]
    ['bicycle-gan', 'cgml', 'context-encoder']
    """
    if what == LAYERS:
        from spectral_ssl.planning.inputs.choose_run import choose_run

        sizes = choose_run(run, encoder, Workspace.find(workspace)).layers()
        return {LAYERS: {name: f"{size} features" for name, size in sizes.items()}}
    if run is not None or encoder is not None:
        option = f"--run {run}" if run is not None else f"--encoder {encoder}"
        raise UserError("--run and --encoder are for layers only", option, f"write `list layers {option}`")
    if what is not None and what not in KINDS:
        raise unknown_name("kind of list", what, (*KINDS, LAYERS))
    kinds = KINDS if what is None else (what,)
    return {kind: _names(kind, Workspace.find(workspace)) for kind in kinds}


def _names(kind: str, workspace: Workspace) -> dict[str, str]:
    """List the names of one kind. Each kind has its own imports, so that data sets are listed without torch."""
    if kind == "datasets":
        from data_prep.sources.catalogue import SOURCES

        return {
            f"{name}:PATH" if entry.after_colon == "path" else name: entry.description
            for name, entry in SOURCES.items()
        }
    if kind == "encoders":
        from pretext.pretrained.find import SHIPPED
        from spectral_ssl.planning.inputs.encoders import list_saved

        return {**SHIPPED, **{name: _describe_encoder(folder) for name, folder in list_saved(workspace).items()}}
    if kind == "methods":
        from pretext.methods import DESCRIPTIONS

        return _with_added("pretext.methods.catalogue", "METHODS", DESCRIPTIONS)
    if kind == "tasks":
        from pretext.tasks import DESCRIPTIONS

        return _with_added("pretext.tasks.catalogue", "TASKS", DESCRIPTIONS)
    if kind == "recipes":
        from spectral_ssl.planning.recipe import list_recipes, read_recipe

        runs = {name: read_recipe(name).get("run", {}) for name in list_recipes()}
        return {name: " ".join(f"{key}={value}" for key, value in run.items()) for name, run in runs.items()}
    if kind == "runs":
        return {
            path.parent.name: f"{path.parent} ({_state(path.parent)})"
            for path in sorted((workspace.root / "runs").glob("*/config.toml"))
        }
    return {path.name: str(path) for path in sorted((workspace.root / "maps").glob("*.h5"))}


def _with_added(catalogue: str, name: str, descriptions: dict[str, str]) -> dict[str, str]:
    """Return the descriptions, and those of entries that this process has added to the catalogue."""
    loaded = sys.modules.get(catalogue)  # nothing was added where it was never imported
    entries = {} if loaded is None else getattr(loaded, name)
    return {**descriptions, **{key: entry.description for key, entry in entries.items()}}


def _describe_encoder(folder: Path) -> str:
    """Describe an encoder that was saved in the workspace."""
    from pretext.pretrained.facts import read_facts

    try:
        data = read_facts(folder).data
    except UserError as error:
        return f"{folder} ({error.what})"
    return f"{folder}" + (f" (trained on {data})" if data else "")


def _state(run: Path) -> str:
    """Describe the state of a run."""
    status = read_status(run)
    return f"{status['state']}, epoch {status['epoch']}" if "epoch" in status else str(status["state"])
