"""Text that is fit for a terminal, and the variables by which a launcher tells a process its part in a run.

Names of objects come from files and may hold anything: ``printable`` and ``one_line`` make one
harmless line of them. ``torchrun`` sets ``RANK``, ``WORLD_SIZE`` and
``TORCHELASTIC_RESTART_COUNT``. They are read here so that only the main process (rank 0) prints
results.
"""

import os
import shutil
import sys
import textwrap
from collections.abc import Mapping
from html import escape
from typing import TextIO


def printable(text: object) -> str:
    """Write a text on one line, with escapes in place of invisible characters.

    Parameters
    ----------
    text : object
        Any value; it is converted by ``str``.

    Returns
    -------
    str
        Line ends and tabs become spaces. Control characters, marks that change the writing
        direction, and lone surrogates (of file names that are not UTF-8) become a backslash, x or
        u, and their number.
    """
    line = str(text)
    if line.isprintable():
        return line
    return "".join(
        sign
        if sign.isprintable()
        else " "
        if sign.isspace()
        else sign.encode("unicode_escape", "surrogatepass").decode("ascii")
        for sign in line
    )


def write_facts(title: str, facts: Mapping[str, object]) -> str:
    """Write a title and facts by name on one line, for ``repr``.

    Examples
    --------
    >>> from spectral_ssl.ground.terminal import write_facts
    >>> write_facts("Features", {"samples": 10, "dimensions": 512})
    '<Features: samples 10, dimensions 512>'
    """
    return f"<{title}: {', '.join(f'{name} {printable(value)}' for name, value in facts.items())}>"


def write_facts_as_html(title: str, facts: Mapping[str, object]) -> str:
    """Write a title and facts by name as a small table in HTML, for notebooks (``_repr_html_``).

    Names and values are escaped, so that what a file says of itself is shown and never interpreted.
    """
    rows = "".join(
        f"<tr><th style='text-align: left'>{escape(name)}</th><td style='text-align: left'>{escape(printable(value))}"
        "</td></tr>"
        for name, value in facts.items()
    )
    return f"<table><caption style='text-align: left'>{escape(printable(title))}</caption><tbody>{rows}</tbody></table>"


def one_line(text: object) -> str:
    """Apply ``printable`` and replace each run of spaces by a single space."""
    return " ".join(printable(text).split())


def wrap(text: object, stream: TextIO) -> str:
    """Apply ``printable``, and break the line between words where the terminal ends.

    Parameters
    ----------
    text : object
        Any value; it is converted by ``str``.
    stream : file
        The stream on which it is printed. If that is no terminal, the text stays one line, so that
        programs read it by lines. A word that is too long stays whole, so that it can be copied.

    Examples
    --------
    >>> import sys
    >>> from spectral_ssl.ground.terminal import wrap
    >>> wrap("two words", sys.stdout)
    'two words'
    """
    line = printable(text)
    if not stream.isatty():
        return line
    columns = shutil.get_terminal_size().columns
    if len(line) <= columns:
        return line
    return textwrap.fill(
        line, columns, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False, replace_whitespace=False
    )


def show(line: object) -> None:
    """Print one line of results on stdout; only the main process prints."""
    if process_rank() == 0:
        print(wrap(line, sys.stdout))


def process_rank() -> int:
    """Return the rank of this process in the run; 0 without a launcher."""
    return int(os.environ.get("RANK", "0")) if world_size() > 1 else 0


def world_size() -> int:
    """Return the number of processes of the run; 1 without a launcher."""
    count = os.environ.get("WORLD_SIZE", "1")
    return int(count) if count.isdigit() and "RANK" in os.environ else 1


def count_restarts() -> int:
    """Return how often the launcher has restarted the processes after one of them died."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))
