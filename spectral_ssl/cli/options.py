"""Options of commands: those that several commands share, those made from a dataclass, and completion in the shell."""

import ast
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import Field
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

import spectral_ssl
from spectral_ssl.ground.progress import busy, quiet, say
from spectral_ssl.ground.workspace import Workspace
from spectral_ssl.planning.options import Option, described


def _hush(context: typer.Context, is_quiet: bool) -> None:
    """Silence the command until it ends; a Python program that called it may go on and print again."""
    if is_quiet:
        context.with_resource(quiet())


WorkspaceOption = Annotated[
    Path | None,
    typer.Option(help="WS: folder of raw data, maps, runs and features [$SPECTRAL_SSL_HOME or ./workspace]."),
]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace an existing file.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
# its callback acts, so no command reads the value
QuietOption = Annotated[
    bool, typer.Option("--quiet", "-q", callback=_hush, help="No progress and no notices: results and errors only.")
]
DryRunOption = Annotated[
    bool,
    typer.Option("--dry-run", help="Only print what would be done and how long it takes, measured on a small part."),
]


@contextmanager
def announce(what: str) -> Iterator[None]:
    """Say that a command starts, and that it goes on; say nothing if torch, which takes seconds, is loaded."""
    if "torch" in sys.modules:
        yield
        return
    say(f"{what}: loading")
    with busy(what):
        yield


def load_verb(name: str) -> Any:
    """Make a function that imports a verb after a first line, and calls it.

    Parameters
    ----------
    name : str
        A public name of ``spectral_ssl``.

    Returns
    -------
    callable
        A function with the arguments of the verb.
    """

    def call(*arguments: Any, **options: Any) -> Any:
        with announce(name.replace("_", " ")):
            return getattr(spectral_ssl, name)(*arguments, **options)

    return call


def complete_run(incomplete: str) -> list[str]:
    """List the runs of the workspace whose names begin with a text."""
    return [run.name for run in Workspace.find().runs() if run.name.startswith(incomplete)]


def complete_encoder(incomplete: str) -> list[str]:
    """List the encoders whose names begin with a text."""
    from pretext.pretrained.find import SHIPPED
    from spectral_ssl.planning.inputs.encoders import list_saved

    return [name for name in [*SHIPPED, *list_saved(Workspace.find())] if name.startswith(incomplete)]


def complete_dataset(incomplete: str) -> list[str]:
    """List the data sets whose names begin with a text."""
    from data_prep.sources.catalogue import SOURCES

    return [name for name in SOURCES if name.startswith(incomplete)]


def complete_recipe(incomplete: str) -> list[str]:
    """List the recipes whose names begin with a text."""
    folder = Path(__file__).parents[1] / "recipes"
    return sorted(path.stem for path in folder.glob("*.toml") if path.stem.startswith(incomplete))


def complete_method(incomplete: str) -> list[str]:
    """List the methods whose names begin with a text."""
    return [name for name in keys_of("methods/catalogue.py", "METHODS") if name.startswith(incomplete)]


def complete_task(incomplete: str) -> list[str]:
    """List the tasks whose names begin with a text."""
    return [name for name in keys_of("tasks/catalogue.py", "TASKS") if name.startswith(incomplete)]


def keys_of(file: str, name: str) -> list[str]:
    """Read the keys of a dict from the source of a file of ``pretext``; an import would load torch, which is slow."""
    import importlib.util

    package = importlib.util.find_spec("pretext")
    if package is None or not package.submodule_search_locations:
        return []
    tree = ast.parse((Path(package.submodule_search_locations[0]) / file).read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Dict) and ast.unparse(node.target) == name:
            return [str(key.value) for key in node.value.keys if isinstance(key, ast.Constant)]
    return []


RunOption = Annotated[
    Path | None,
    typer.Option(help="Run folder, or its name in the workspace [the latest].", autocompletion=complete_run),
]
EncoderOption = Annotated[
    str | None,
    typer.Option(
        help="Encoder that needs no training: a name of `list encoders`, a folder, or hf:OWNER/NAME [universe-upright "
        "if there is no run].",
        autocompletion=complete_encoder,
    ),
]
COMPLETIONS = {
    "datasets": complete_dataset,
    "encoders": complete_encoder,
    "methods": complete_method,
    "recipes": complete_recipe,
    "runs": complete_run,
    "tasks": complete_task,
}


def make_command(options: type, run: Callable[..., None]) -> Callable[..., None]:
    """Make a command whose options are the fields of a dataclass.

    Parameters
    ----------
    options : type
        A dataclass of options (``spectral_ssl.planning.options``).
    run : callable
        Does the work of the command. It takes an object of the dataclass, and the options of the
        command line alone by name; its docstring is the help text.

    Returns
    -------
    callable
        A function for ``typer``: its signature lists the fields of the dataclass, then the other
        options of ``run``, and the workspace last.
    """
    fields = {each.name: (each, about) for each, about in described(options)}
    generated = {name: _make_parameter(each, about) for name, (each, about) in fields.items()}
    only_here = list(inspect.signature(run).parameters.values())[1:]
    workspace = generated.pop("workspace")
    parameters = [*generated.values(), *only_here, workspace]

    @wraps(run)
    def command(**values: Any) -> None:
        chosen = {name: _read(values.pop(name), about) for name, (_, about) in fields.items()}
        run(options(**chosen), **values)

    about: Any = command
    about.__signature__ = inspect.Signature(parameters)
    about.__annotations__ = {each.name: each.annotation for each in parameters}
    return command


def _make_parameter(each: Field[Any], about: Option) -> inspect.Parameter:
    """Make the parameter of a command from a field."""
    kind: Any = each.type if about.reads is None else about.reads
    default: Any = each.default
    if about.is_argument:
        argument = Annotated[list[kind], typer.Argument(help=about.help, metavar=f"{each.name[:-1].upper()}...")]
        return inspect.Parameter(each.name, inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=argument)
    if about.is_repeatable:
        kind, default = list[kind] | None, None
    elif about.has_commas:
        default = ",".join(default)
    elif default is None and about.reads is not None:
        kind = kind | None
    completion = COMPLETIONS.get(about.completes)
    annotation = Annotated[kind, typer.Option(_flag(each, about), help=about.help, autocompletion=completion)]
    return inspect.Parameter(each.name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=annotation)


def _flag(each: Field[Any], about: Option) -> str:
    """Return the name of an option on the command line; a switch that is off by default has no --no-."""
    flag = f"--{each.name.replace('_', '-')}"
    is_switch = each.type in (bool, bool | None)
    return about.flag or (f"{flag}/--no-{flag[2:]}" if is_switch and each.default is not False else flag)


def _read(value: Any, about: Option) -> Any:
    """Return the value of an option from what the command line gives."""
    if about.is_repeatable:
        return tuple(value or ())
    if about.has_commas:
        return tuple(name.strip() for name in value.split(",") if name.strip())
    return value
