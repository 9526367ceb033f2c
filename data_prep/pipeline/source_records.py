"""The files that a source's objects are read from, as far as their loaders tell."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from data_prep.source import Source
from spectral_ssl.ground.terminal import printable


def digest_file_times(source: Source) -> str:
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


LONGEST_NAME = 1000  # characters


def drop_unusable_names(source: Source) -> Source:
    """The source without the objects whose names cannot be kept, which are among its missing ones.

    Names come from file systems and from lists in archives: they may hold commands to a terminal, halves of characters
    that no file takes, or a whole book.

    Parameters
    ----------
    source : Source

    Returns
    -------
    Source
        The same one where all names can be kept.
    """
    name = printable(source.name)
    refused = [item for item in source.items if _why_not(item.id)]
    if not refused and not any(_why_not(identity) for identity, _ in source.missing) and name == source.name:
        return source
    left = {item.id for item in refused}
    missing = [(printable(identity)[:LONGEST_NAME], reason) for identity, reason in source.missing]
    missing += [(printable(item.id)[:LONGEST_NAME], f"a name that {_why_not(item.id)}: rename it") for item in refused]
    items = tuple(item for item in source.items if item.id not in left)
    return replace(source, name=name, items=items, missing=tuple(missing))


def _why_not(name: str) -> str:
    """Why a name cannot be kept, or nothing."""
    if not name or len(name) > LONGEST_NAME:
        return f"has {len(name)} characters"
    if not name.isprintable():
        return "holds control characters or broken ones"
    return ""
