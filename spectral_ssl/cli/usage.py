"""Turn mistakes in the options of a command into errors of one line that name the value and what to do."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import typer

from spectral_ssl.ground.errors import UserError

UsageError: Any = typer.BadParameter.__mro__[1]  # older versions of typer take the class from click
ASKED_FOR_HELP = "NoArgsIsHelpError"


@contextmanager
def refuse_in_one_line() -> Iterator[None]:
    """Raise a UserError for options that cannot be parsed; typer would print four lines without the value.

    Raises
    ------
    UserError
        If an option or an argument is unknown, missing or of the wrong kind.

    Examples
    --------
    >>> import typer
    >>> with refuse_in_one_line():
    ...     raise typer.BadParameter("no whole number")
    Traceback (most recent call last):
    ...
    spectral_ssl.ground.errors.UserError: wrong options: got Invalid value: no whole number; see `spectral-ssl --help`
    """
    try:
        yield
    except UsageError as error:
        if type(error).__name__ == ASKED_FOR_HELP:
            raise
        raise _describe(error) from None


def refuse_empty_words(words: Sequence[str]) -> None:
    """Raise a UserError if a word of the command line is empty; as a path it would mean the current folder.

    Examples
    --------
    >>> from spectral_ssl.cli.usage import refuse_empty_words
    >>> refuse_empty_words(["embed", ""])
    Traceback (most recent call last):
    ...
    spectral_ssl.ground.errors.UserError: an empty argument: got '' after embed; give a value, or leave it out
    """
    for before, word in pairwise(["spectral-ssl", *words]):
        name, equals, value = word.partition("=")
        if not word:
            raise UserError("an empty argument", f"'' after {before}", "give a value, or leave it out")
        if name.startswith("--") and equals and not value:
            raise UserError("an empty argument", f"'' for {name}", "give a value, or leave it out")


def _describe(error: Any) -> UserError:
    """Make the error of one line from an error of the parser."""
    context = error.ctx
    command = context.command_path if context is not None else "spectral-ssl"
    got = error.format_message().rstrip(".").removeprefix("Got ")
    flags = [flag for flag in getattr(getattr(error, "param", None), "opts", ()) if flag.startswith("-")]
    value = _find_value(flags)
    if value is not None:
        got = f"{flags[0]} {value} ({got})"
    if context is not None and context.parent is None and got.startswith("No such option") and "(" not in got:
        # Most options belong to a command, and the parser reads them as options of the whole program.
        return UserError("wrong options", got, "put options after the name of a command: `spectral-ssl COMMAND ...`")
    return UserError("wrong options", got, _find_hint(error) or f"see `{command} --help`")


def _find_value(flags: list[str]) -> str | None:
    """Find the value that the command line gives to an option; the error of the parser does not hold it."""
    for word, following in pairwise([*sys.argv[1:], ""]):
        name, equals, value = word.partition("=")
        if name in flags:
            return value if equals else following
    return None


def _find_hint(error: Any) -> str:
    """Return the option that was probably meant by a map file without an option; empty if there is none."""
    if error.ctx is None or "unexpected extra argument" not in error.format_message():
        return ""
    known = {flag for parameter in error.ctx.command.params for flag in parameter.opts}
    option = next((flag for flag in ("--data", "--target") if flag in known), None)
    files = [word for word in sys.argv[1:] if word.endswith(".h5") and word in error.format_message()]
    return f"did you mean `{option} {files[0]}`?" if option and files else ""
