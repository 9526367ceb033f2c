"""Options of verbs: each one is described once, in a frozen dataclass.

The description serves the Python function (`takes_options`), the command line
(``spectral_ssl.cli.options.make_command``), the dry run and the recipes::

    @dataclass(frozen=True)
    class PrepOptions:
        dataset: str = option("shapes", "A name of `list datasets`.")
        _: KW_ONLY
        degree: int | None = option(None, "Highest degree.")

    @takes_options(PrepOptions)
    def prep(options: PrepOptions) -> MapFile: ...

    prep("digits", degree=8)
"""

import inspect
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, dataclass, field, fields
from functools import wraps
from numbers import Integral, Real
from os import PathLike
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

from spectral_ssl.ground.config import RANGE, Range, check_range
from spectral_ssl.ground.errors import UserError, find_near_name, unknown_name
from spectral_ssl.ground.files import refuse_empty

LINE = 100  # characters of a line of a docstring

Arguments = ParamSpec("Arguments")
Options = TypeVar("Options")
Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class Option:
    """The description of one option.

    Attributes
    ----------
    help : str
        One line for the command line.
    details : str
        The text of the docstring; ``help`` if it is empty.
    kind : str
        The type in the docstring; derived from the annotation if it is empty.
    reads : type or None
        The type that the command line reads; None for the type of the annotation.
    flag : str
        The name on the command line; derived from the name of the field if it is empty.
    is_repeatable : bool
        Whether the command line collects several values.
    has_commas : bool
        Whether the command line splits one text at its commas.
    names : tuple of str
        The allowed values; empty if every value is allowed.
    completes : str
        What the shell completes: "datasets", "encoders", "methods", "tasks", "recipes" or "runs".
    is_argument : bool
        Whether the command line takes one or more values without the name of an option.
    setting : str
        The setting of the plan that the option sets, e.g. "train.epochs".
    in_recipe : bool
        Whether a recipe may set the option.
    with_resume : bool
        Whether the option may be given when a run is resumed.
    """

    help: str
    details: str = ""
    kind: str = ""
    reads: type | None = None
    flag: str = ""
    is_repeatable: bool = False
    has_commas: bool = False
    names: tuple[str, ...] = ()
    completes: str = ""
    setting: str = ""
    in_recipe: bool = False
    with_resume: bool = False
    is_argument: bool = False


def option(
    default: Any,
    short: str,
    details: str = "",
    *,
    limits: dict[str, Range] | None = None,
    **more: Any,
) -> Any:
    """Define a field of a dataclass of options.

    Parameters
    ----------
    default : object
        The default of the option.
    short : str
        One line for the command line.
    details : str
        The text of the docstring.
    limits : dict, optional
        The allowed range of a number, as ``within`` gives it.
    **more
        Further attributes of `Option`.

    Returns
    -------
    dataclasses.Field
        The field, typed as Any so that it can stand for the default.
    """
    return field(default=default, metadata={"option": Option(help=short, details=details, **more), **(limits or {})})


def run_option() -> Any:
    """Define the field ``run`` of a verb that works on a trained run."""
    return option(
        None,
        "Run folder, or its name in the workspace [the latest].",
        "The run: its folder, its name in the workspace, or the loaded run; the latest one by default.",
        kind="path or TrainedRun",
        reads=Path,
        completes="runs",
    )


def encoder_option(default: str = "") -> Any:
    """Define the field ``encoder`` of a verb that works on a trained run or an encoder; ``default`` is its default."""
    usual = default or "universe-upright if there is no run"
    return option(
        None,
        f"Encoder that needs no training: a name of `list encoders`, a folder, or hf:OWNER/NAME [{usual}].",
        "An encoder instead of a run: a name of ``list encoders``, its folder, ``hf:OWNER/NAME``, or a loaded encoder; "
        + (f"``{default}`` by default." if default else "by default ``universe-upright`` if the workspace has no run."),
        kind="str, path or TrainedRun",
        reads=str,
        completes="encoders",
    )


def data_option() -> Any:
    """Define the field ``data`` of a verb that works on the maps of a run or on other maps."""
    return option(
        None,
        "Map file [the run's].",
        "The map file; the one that the run was trained on by default.",
        kind="path or MapFile",
        reads=Path,
    )


def task_settings_option() -> Any:
    """Define the field ``settings`` of a verb that corrupts maps with other settings of the run's task."""
    return option(
        (),
        "key=value over the task's settings, e.g. share=0.25; repeatable.",
        'A dict, or texts "key=value", which override settings of the task, e.g. {"share": 0.25} for masks of a size '
        "that was never trained on.",
        kind="dict, or sequence of str",
        reads=str,
        flag="--set",
        is_repeatable=True,
    )


def workspace_option(**more: Any) -> Any:
    """Define the field ``workspace``; ``more`` holds further attributes of `Option`."""
    return option(
        None,
        "WS: folder of raw data, maps, runs and features [$SPECTRAL_SSL_HOME or ./workspace].",
        "The workspace folder, see ``Workspace.find``.",
        reads=Path,
        **more,
    )


def described(options: Any) -> list[tuple[Field[Any], Option]]:
    """List the fields of a dataclass of options, or of an object of it, with their descriptions."""
    return [(each, each.metadata["option"]) for each in fields(options)]


def is_set(value: object) -> bool:
    """Tell whether an option was given: it is neither None nor empty."""
    return value is not None and (not isinstance(value, Sequence | Mapping) or len(value) > 0)


def settings_of(options: object, section: str) -> dict[str, tuple[str, Any]]:
    """Collect the options that stand for a setting in one section of the plan.

    Parameters
    ----------
    options : object
        An object of a dataclass of options.
    section : str
        "train", "method" or "task".

    Returns
    -------
    dict
        Key of the setting -> (name of the option, value), for every option that was given.
    """
    chosen: dict[str, tuple[str, Any]] = {}
    for each, about in described(options):
        owner, _, key = about.setting.partition(".")
        value = getattr(options, each.name)
        if owner == section and value is not None:
            chosen[key] = each.name, str(value) if about.reads is str else value
    return chosen


def check_options(options: object) -> None:
    """Raise a UserError unless every option has its type, and is in its range or among its allowed values.

    Parameters
    ----------
    options : object
        An object of a dataclass of options; None is always allowed.

    Raises
    ------
    UserError
        On the first value that is not allowed.
    """
    for each, about in described(options):
        value = getattr(options, each.name)
        if value is None and each.default is None:
            continue
        _check_type(each, about, value)
        if about.reads is Path:
            refuse_empty(**{each.name: value})
        if about.names and value not in about.names:
            raise unknown_name(each.name.replace("_", " "), str(value), about.names)
        if RANGE in each.metadata:
            low, high, _ = each.metadata[RANGE]
            check_range(each.name.replace("_", " "), value, low, high)


def _check_type(each: Field[Any], about: Option, value: object) -> None:
    """Raise a UserError unless a value has the type of its field; a bool is no number."""
    if about.names and isinstance(value, str):
        return
    annotation = each.type if isinstance(each.type, str) else getattr(each.type, "__name__", "") or str(each.type)
    # a union such as "int | None" has a name of its own in typing
    annotation = str(each.type) if annotation in ("Union", "UnionType", "Optional", "Sequence") else annotation
    # the bars of a union, not those inside of brackets
    allowed = {part.strip() for part in re.split(r"\|(?![^\[]*\])", annotation)}
    if any(_has_type(value, name) for name in allowed):
        return
    kind = (about.kind or _kind(each, about)).removesuffix(", optional")
    raise UserError(f"{each.name} of the wrong type", f"{value!r:.80} ({type(value).__name__})", f"give {kind}")


def _has_type(value: object, name: str) -> bool:
    """Tell whether a value has the type of this name; numbers of numpy are numbers."""
    name = name.rpartition("abc.")[2].removeprefix("pathlib.")
    if name.startswith("Sequence"):
        inner = name.partition("[")[2].rstrip("]")
        is_list = isinstance(value, Sequence) and not isinstance(value, str | bytes)
        return is_list and (inner != "str" or all(isinstance(part, str) for part in cast("Sequence[Any]", value)))
    if name.startswith("Mapping["):
        return isinstance(value, Mapping)
    if name in ("int", "float"):
        return isinstance(value, Integral if name == "int" else Real) and not isinstance(value, bool)
    if name == "Path":
        return isinstance(value, PathLike)
    return any(cls.__name__ == name for cls in type(value).__mro__)


def takes_options(
    options: Callable[Arguments, Options],
) -> Callable[[Callable[[Options], Result]], Callable[Arguments, Result]]:
    """Make a function of one object of options a function of the options themselves.

    Parameters
    ----------
    options : type
        A dataclass of options.

    Returns
    -------
    callable
        A decorator. The new function has the arguments of the dataclass, also in its signature and
        in its docstring; on an unknown keyword it raises a TypeError that names the nearest one.
    """
    signature = inspect.signature(options)

    def with_arguments(function: Callable[[Options], Result]) -> Callable[Arguments, Result]:
        @wraps(function)
        def call(*positional: Arguments.args, **keywords: Arguments.kwargs) -> Result:
            _check_keywords(function.__name__, keywords, signature.parameters)
            return function(options(*positional, **keywords))

        result = inspect.signature(function).return_annotation
        about: Any = call
        about.__signature__ = signature.replace(return_annotation=result)
        about.__annotations__ = {name: each.annotation for name, each in signature.parameters.items()}
        about.__annotations__["return"] = result
        about.__doc__ = _with_parameters(inspect.cleandoc(function.__doc__ or ""), options)
        return call

    return with_arguments


def _check_keywords(function: str, keywords: Any, known: Any) -> None:
    """Raise a TypeError that names the nearest keyword, if one is unknown."""
    for name in keywords:
        if name not in known:
            near = find_near_name(name, known)
            hint = f"; did you mean {near!r}?" if near else f"; known are: {', '.join(known)}"
            raise TypeError(f"{function}() has no argument {name!r}{hint}")


def _with_parameters(text: str, options: Any) -> str:
    """Insert the section Parameters into a NumPy docstring, in front of the other sections."""
    lines = ["Parameters", "----------"]
    for each, about in described(options):
        lines.append(f"{each.name} : {about.kind or _kind(each, about)}")
        lines += textwrap.wrap(about.details or about.help, LINE, initial_indent=" " * 4, subsequent_indent=" " * 4)
    head, section, rest = text.partition("\n\nReturns\n-------\n")
    return "\n".join([head, "", *lines]) + section + rest


def _kind(each: Field[Any], about: Option) -> str:
    """Describe the type of an option for the docstring."""
    if about.names:
        kind = "{" + ", ".join(f'"{name}"' for name in about.names) + "}"
    elif about.reads is Path:
        kind = "path"
    elif about.reads is not None:
        kind = about.reads.__name__
    else:
        kind = getattr(each.type, "__name__", str(each.type).replace(" | None", ""))
        kind = str(each.type).replace(" | None", "") if kind in ("Optional", "UnionType", "Union") else kind
    return f"{kind}, optional" if each.default is None else kind
