"""Lines for the user about the splits and the classes of a source, with their counts, and about its up axes."""

from collections import Counter
from pathlib import PurePosixPath
from typing import get_args

from data_prep.source import Source, Split

CLASSES_SHOWN = 10
NAMES_SHOWN = 5
SPLITS: tuple[Split, ...] = get_args(Split)


def describe_groups(source: Source) -> list[str]:
    """Describe the splits and the classes of a source with their counts, one line each.

    Parameters
    ----------
    source : Source
        The source.

    Returns
    -------
    list of str
        Up to three lines: splits, the first ten classes, and classes that are missing in a split.

    Examples
    --------
    >>> from data_prep import open_source
    >>> from data_prep.sources.groups import describe_groups
    >>> describe_groups(open_source("digits"))[0]
    'splits: 1442 train, 355 test'
    """
    splits = Counter(item.split for item in source.items)
    lines = [f"splits: {', '.join(f'{splits[split]} {split}' for split in SPLITS if splits[split])}"]
    if source.classes:
        labels = Counter(item.label for item in source.items)
        names = [f"{name} {labels[label]}" for label, name in enumerate(source.classes[:CLASSES_SHOWN])]
        more = len(source.classes) - CLASSES_SHOWN
        lines.append(f"classes: {', '.join(names)}{f' and {more} more' if more > 0 else ''}")
        lines += _list_missing(source)
    return lines


def _list_missing(source: Source) -> list[str]:
    """Describe the classes that have no object in one of the splits with labels."""
    present = {split: {item.label for item in source.items if item.split == split} - {-1} for split in SPLITS}
    everywhere = set.union(*present.values())
    parts = []
    for split, labels in present.items():
        names = [source.classes[label] for label in sorted(everywhere - labels)]
        if labels and names:
            more = len(names) - NAMES_SHOWN
            parts.append(f"not in {split}: {', '.join(names[:NAMES_SHOWN])}{f' and {more} more' if more > 0 else ''}")
    return [f"classes {'; '.join(parts)}"] if parts else []


def ask_about_up(source: Source) -> str:
    """Ask about the up axis of a source whose files have formats that specify an axis.

    Parameters
    ----------
    source : Source
        The source.

    Returns
    -------
    str
        One line; "" if no format specifies another axis than that of the source.
    """
    turned = [item for item in source.items if item.up not in (None, source.up)]
    if not turned:
        return ""
    counts = Counter(PurePosixPath(item.id).suffix.lower() for item in turned)
    files = ", ".join(f"{count} {suffix}" for suffix, count in sorted(counts.items()))
    axis = turned[0].up
    others = len(source.items) - len(turned)
    if not others:
        return f"up axis: {files} files have {axis} up by specification, read as {source.up}: --up {axis} turns them"
    return (
        f"up axis: {files} files have {axis} up by specification, {others} others have no rule; is it right that "
        f"all are read as {source.up}? --up by-format turns the {'/'.join(sorted(counts))} files, --up {axis} all"
    )
