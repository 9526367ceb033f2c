"""Records of a source: the times of its files, and the names of its objects that a map file can store."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from data_prep.readers.image import ImageLoader
from data_prep.source import ArrayRow, Source
from spectral_ssl.ground.terminal import printable


def digest_file_times(source: Source) -> str:
    """Compute a digest of the modification times of a source's files.

    A source's own digest covers names and sizes, so it does not depend on the folder. Between the
    beginning and the end of one prep, the times also reveal files that changed and kept their size.

    Parameters
    ----------
    source : Source
        A source whose loaders are ``ImageLoader``, ``ArrayRow``, or partial functions with the path
        of their file among the arguments. All loaders that read files are of these kinds.

    Returns
    -------
    str
        16 hexadecimal digits, also for a source without files.
    """
    digest = sha256()
    visited: set[Path] = set()
    array: Any = None
    for item in source.items:
        if isinstance(item.load, ArrayRow):
            if item.load.read is array:
                continue  # Neighbouring rows are in the same file, and there may be many thousands.
            array = item.load.read
        for path in list_paths(item.load):
            if path in visited:
                continue
            visited.add(path)
            try:
                digest.update(f"{path.stat().st_mtime_ns}\n".encode())
            except OSError:  # The object of this file will be a failed object.
                digest.update(b"gone\n")
    return digest.hexdigest()[:16]


def list_paths(value: Any) -> Iterator[Path]:
    """List the files of a loader: the paths among its arguments, and those of the functions among them."""
    if isinstance(value, Path):
        yield value
    elif isinstance(value, ImageLoader):
        yield value.path
    elif isinstance(value, ArrayRow):
        yield from list_paths(value.read)
    elif isinstance(value, partial):
        for argument in (*value.args, *value.keywords.values()):
            yield from list_paths(argument)


LONGEST_NAME = 1000  # characters
DIGEST_SHOWN = 12  # hexadecimal digits


def drop_unusable_names(source: Source) -> Source:
    """Move the objects whose names cannot be stored to the missing objects of a source.

    Names come from file systems and from lists in archives. They may hold terminal commands,
    invalid characters that no file accepts, or a very long text.

    Parameters
    ----------
    source : Source
        The source to check.

    Returns
    -------
    Source
        The same object if all names can be stored.
    """
    name = printable(source.name)
    refused = [item for item in source.items if _find_fault(item.id)]
    if not refused and not any(_find_fault(identity) for identity, _ in source.missing) and name == source.name:
        return source
    dropped = {item.id for item in refused}
    taken = {item.id for item in source.items if item.id not in dropped}
    missing = [(_replace_name(identity, taken), reason) for identity, reason in source.missing]
    missing += [(_replace_name(item.id, taken), f"a name that {_find_fault(item.id)}: rename it") for item in refused]
    items = tuple(item for item in source.items if item.id not in dropped)
    return replace(source, name=name, items=items, missing=tuple(missing))


def _replace_name(name: str, taken: set[str]) -> str:
    """Return a name that can be stored; one that cannot be is shown with a digest, and is none of those ``taken``."""
    if not _find_fault(name):
        return name
    digest = sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:DIGEST_SHOWN]
    shown = f"{printable(name)[: LONGEST_NAME - DIGEST_SHOWN - 2]} #{digest}"
    while shown in taken:  # somebody gave an object this very name
        shown = shown[1:] + "#"
    return shown


def _find_fault(name: str) -> str:
    """Return the reason why a name cannot be stored, or an empty string."""
    if not name or len(name) > LONGEST_NAME:
        return f"has {len(name)} characters"
    if not name.isprintable():
        return "holds control characters or invalid characters"
    return ""
