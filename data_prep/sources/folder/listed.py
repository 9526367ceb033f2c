"""One source of several paths: files of the user by themselves, folders of files, or both."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Literal

from data_prep.geometry.unit_ball import find_format_up
from data_prep.readers.image import ImageLoader
from data_prep.readers.images.opening import IMAGE_SUFFIXES
from data_prep.readers.shape import SHAPE_SUFFIXES, read_shape
from data_prep.source import Item, Source
from data_prep.sources.folder.source import open_source
from data_prep.sources.folder.walk import name_folder
from spectral_ssl.ground.errors import UserError

Kind = Literal["shapes", "images"]


@dataclass(frozen=True)
class _Entry:
    """One object of a given path: its item (None if it is known to fail), the reason, the file, and its class."""

    short: str
    path: Path
    item: Item | None
    reason: str
    class_name: str | None


def open_listed(paths: Sequence[Path], kind: Kind, name: str) -> Source:
    """List the shapes or images of several files and folders.

    Parameters
    ----------
    paths : sequence of Path
        Files, and folders in any layout that ``prep FOLDER`` reads. Folders keep their classes and
        splits; single files have no label, and are in the split "train".
    kind : {"shapes", "images"}
        The kind of objects to list. Other files in a folder do not count; other files that are
        given by themselves are failures.
    name : str
        The name of the source.

    Returns
    -------
    Source
        A source whose ids are unique: in a single folder the path below it; else the name of a
        file, or the path from the name of its folder on. If two of these are equal, the ids are the
        paths below the common parent. A file that is given twice is listed once.

    Raises
    ------
    UserError
        When the only path is a folder that cannot be read, or holds no objects of this kind. Such a
        folder among several paths is a failure.

    Examples
    --------
    >>> from pathlib import Path
    >>> from data_prep.sources.folder.listed import open_listed
    >>> for path in ("box.off", "ball.off"):
    ...     _ = (folder / path).write_text("OFF")
    >>> source = open_listed([folder / "box.off", folder / "ball.off"], "shapes", "two")
    >>> [item.id for item in source.items]
    ['box.off', 'ball.off']
    """
    if len(paths) == 1 and paths[0].is_dir():
        return open_source(paths[0], kind=kind)
    opened: list[Source] = []
    entries: list[_Entry] = []
    for path in paths:
        if not path.is_dir():
            entries += _list_file(path, kind)
            continue
        try:
            opened.append(open_source(path, kind=kind))
        except UserError as error:  # the other paths may be usable
            entries.append(_Entry(name_folder(path), path, None, f"{error.what}; {error.do}", None))
        else:
            entries += _list_folder(path, opened[-1])
    entries, repeated = _drop_repeated(entries)
    classes = tuple(sorted({entry.class_name for entry in entries if entry.class_name is not None}))
    items, missing, digest = [], [], sha256()
    for identity, entry in zip(_name_entries(entries), entries, strict=True):
        if entry.item is None:
            missing.append((identity, entry.reason))
            continue
        label = -1 if entry.class_name is None else classes.index(entry.class_name)
        items.append(replace(entry.item, id=identity, label=label))
        size = entry.path.stat().st_size if entry.path.exists() else -1
        digest.update(f"{identity} {size} {entry.item.split} {entry.class_name}\n".encode(errors="replace"))
    notes = [f"{len(entries)} {kind[: None if len(entries) != 1 else -1]} of {len(paths)} paths"]
    notes += [f"{repeated} given twice: read once"] if repeated else []
    return Source(
        name=f"files:{name}",
        kind=kind,
        classes=classes,
        items=tuple(items),
        digest=digest.hexdigest(),
        missing=tuple(missing),
        note="; ".join([*notes, *(source.note for source in opened if source.note)]),
        doubts=tuple(doubt for source in opened for doubt in source.doubts),
    )


def _list_file(path: Path, kind: Kind) -> list[_Entry]:
    """List one file that was given by itself."""
    suffixes, others = (SHAPE_SUFFIXES, IMAGE_SUFFIXES) if kind == "shapes" else (IMAGE_SUFFIXES, SHAPE_SUFFIXES)
    ending = path.suffix.lower()
    if ending in suffixes:
        is_shape = kind == "shapes"
        load = partial(read_shape, path) if is_shape else ImageLoader(path)
        item = Item(path.name, -1, "train", load, find_format_up(path) if is_shape else None)
        return [_Entry(path.name, path, item, "", None)]
    other = f": {'an image' if kind == 'shapes' else 'a shape'}" if ending in others else ""
    reason = f"not {'a shape' if kind == 'shapes' else 'an image'}{other}; known endings are {' '.join(suffixes)}"
    return [_Entry(path.name, path, None, reason, None)]


def _list_folder(path: Path, source: Source) -> list[_Entry]:
    """List the objects of a folder."""
    name = name_folder(path)
    entries = []
    for item in source.items:
        class_name = source.classes[item.label] if item.label >= 0 else None
        entries.append(_Entry(f"{name}/{item.id}", path / item.id, item, "", class_name))
    return entries + [_Entry(f"{name}/{rest}", path / rest, None, reason, None) for rest, reason in source.missing]


def _drop_repeated(entries: Sequence[_Entry]) -> tuple[list[_Entry], int]:
    """Keep the first entry of each file; return the entries and the number of dropped ones."""
    first: dict[Path, _Entry] = {}
    for entry in entries:
        first.setdefault(entry.path.absolute(), entry)
    return list(first.values()), len(entries) - len(first)


def _name_entries(entries: Sequence[_Entry]) -> list[str]:
    """Give each entry a unique name: the short one, or else its path below the common parent of all."""
    short = [entry.short for entry in entries]
    if len(entries) < 2 or max(Counter(short).values()) == 1:
        return short
    whole = [Path(os.path.normpath(entry.path.absolute())) for entry in entries]
    parent = os.path.commonpath([path.parent for path in whole])
    return [path.relative_to(parent).as_posix() for path in whole]
