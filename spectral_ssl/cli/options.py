"""Options that several commands have, and what the shell completes them with."""

import ast
from pathlib import Path
from typing import Annotated

import typer

from spectral_ssl.ground.progress import quiet
from spectral_ssl.ground.workspace import Workspace


def _hush(context: typer.Context, given: bool) -> None:
    if given:
        context.with_resource(quiet())  # until the command ends: it may be called from Python, which goes on


WorkspaceOption = Annotated[
    Path | None, typer.Option(help="Folder of raw data, maps, runs and features [$SPECTRAL_SSL_HOME or ./workspace].")
]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
# acts by being given, wherever it stands: no command looks at it
QuietOption = Annotated[
    bool, typer.Option("--quiet", "-q", callback=_hush, help="No progress and no notices: results and errors only.")
]


def complete_run(incomplete: str) -> list[str]:
    """Names of the workspace's runs."""
    return [run.name for run in Workspace.find().runs() if run.name.startswith(incomplete)]


def complete_dataset(incomplete: str) -> list[str]:
    """Names of the data sets."""
    from data_prep.sources.catalogue import SOURCES

    return [name for name in SOURCES if name.startswith(incomplete)]


def complete_recipe(incomplete: str) -> list[str]:
    """Names of the recipes."""
    folder = Path(__file__).parents[1] / "recipes"
    return sorted(path.stem for path in folder.glob("*.toml") if path.stem.startswith(incomplete))


def complete_method(incomplete: str) -> list[str]:
    """Names of the methods."""
    return [name for name in keys_of("methods/catalogue.py", "METHODS") if name.startswith(incomplete)]


def complete_task(incomplete: str) -> list[str]:
    """Names of the tasks."""
    return [name for name in keys_of("tasks/catalogue.py", "TASKS") if name.startswith(incomplete)]


def keys_of(file: str, name: str) -> list[str]:
    """The keys of a dict written out in a file of ``pretext``, without importing it: the shell would wait for torch."""
    import importlib.util

    found = importlib.util.find_spec("pretext")
    if found is None or not found.submodule_search_locations:
        return []
    tree = ast.parse((Path(found.submodule_search_locations[0]) / file).read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Dict) and ast.unparse(node.target) == name:
            return [str(key.value) for key in node.value.keys if isinstance(key, ast.Constant)]
    return []


RunOption = Annotated[
    Path | None,
    typer.Option(help="Run folder, or its name in the workspace [the latest].", autocompletion=complete_run),
]
