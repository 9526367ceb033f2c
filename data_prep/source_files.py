"""The files that a source's objects are read from, as far as their loaders tell."""

from collections.abc import Iterator
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from data_prep.sources.item import Source


def file_times(source: Source) -> str:
    """A digest of the times of last change of a source's files; of as many characters for a source without files.

    A source's own digest is of names and sizes, so that it is the same wherever the files lie. Between the beginning
    and the end of one prep the times tell also of files that were changed and kept their size.

    Parameters
    ----------
    source : Source
        Whose items are loaded by partial functions with the path of their file among the arguments (all that read
        files are).

    Returns
    -------
    str
        16 hexadecimal digits.
    """
    digest = sha256()
    seen: set[Path] = set()
    for item in source.items:
        for path in _paths(item.load):
            if path in seen:
                continue
            seen.add(path)
            try:
                digest.update(f"{path.stat().st_mtime_ns}\n".encode())
            except OSError:  # its object will be a row of failures
                digest.update(b"gone\n")
    return digest.hexdigest()[:16]


def _paths(value: Any) -> Iterator[Path]:
    """The paths among the arguments of a partial function, and of those among its arguments in turn."""
    if isinstance(value, Path):
        yield value
    elif isinstance(value, partial):
        for argument in (*value.args, *value.keywords.values()):
            yield from _paths(argument)
