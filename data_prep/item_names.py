"""Names of objects that a map file can keep; the others' objects become failures."""

from dataclasses import replace

from data_prep.sources.item import Source
from spectral_ssl.ground.printable import printable

LONGEST_NAME = 1000  # characters


def with_names_to_keep(source: Source) -> Source:
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
