"""Signs that splits and classes of a folder are meant in another way than they were read."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from data_prep.source import Split
from data_prep.sources.folder.split_words import NEUTRAL

# Names of folders that hold other views of the same objects rather than a class of objects.
VIEWS = NEUTRAL | {"annotations", "depth", "groundtruth", "gt", "label", "labels", "mask", "masks", "segmentation"}
NAMES_SHOWN = 4
FEWEST_OF_ONE = 3  # classes of one object each


@dataclass(frozen=True)
class Grouping:
    """One object: the folders that it lies in, and its split.

    Attributes
    ----------
    path : tuple of str
        The names of the folders, from the root.
    split : {"train", "val", "test"}
        The split.
    depth : int or None
        The position of the split folder in the path; None without one.
    """

    path: tuple[str, ...]
    split: Split
    depth: int | None

    def branch(self, wrappers: int) -> tuple[str, ...]:
        """Return the folders down to the split folder if it lies above the classes, otherwise nothing."""
        return self.path[: self.depth + 1] if self.depth == wrappers else ()

    def rest(self, wrappers: int) -> tuple[str, ...]:
        """Return the other folders, without wrappers and split folder."""
        if self.depth is None or self.depth < wrappers:
            return self.path[wrappers:]
        return self.path[wrappers : self.depth] + self.path[self.depth + 1 :]


def find_doubts(
    groupings: Sequence[Grouping], classes: Sequence[str | None], *, is_class_chosen: bool
) -> Iterator[str]:
    """Find signs that splits and classes are meant in another way.

    Parameters
    ----------
    groupings : sequence of Grouping
        The objects.
    classes : sequence of str or None
        The class of each object.
    is_class_chosen : bool
        Whether the user chose the level of the classes.

    Yields
    ------
    str
        One line each.
    """
    counts = Counter(name for name in classes if name is not None)
    by_capitals = defaultdict(set)
    for name in counts:
        by_capitals[name.casefold().strip()].add(name)
    for names in by_capitals.values():
        if len(names) > 1:
            yield f"the classes {', '.join(sorted(names))} differ only in capitals or blanks"
            break
    yield from _find_disjoint(groupings, classes)
    if is_class_chosen or not counts:
        return
    if all(name.lower() in VIEWS for name in counts):
        yield f"the classes are named {show_names(sorted(counts))} (--class-level 0: no classes)"
    elif len(counts) >= FEWEST_OF_ONE and max(counts.values()) == 1:
        yield f"each of the {len(counts)} class folders holds one object (--class-level 0: no classes)"
    else:
        yield from _find_inner_classes(groupings, classes)


def _find_disjoint(groupings: Sequence[Grouping], classes: Sequence[str | None]) -> Iterator[str]:
    """Find splits that have no class in common."""
    by_split = defaultdict(set)
    for grouping, name in zip(groupings, classes, strict=True):
        if name is not None:
            by_split[grouping.split].add(name)
    if len(by_split) > 1:
        first, *others = by_split.values()
        if all(first.isdisjoint(other) for other in others):
            yield f"no class is both in {' and in '.join(sorted(by_split))}"


def _find_inner_classes(groupings: Sequence[Grouping], classes: Sequence[str | None]) -> Iterator[str]:
    """Find sub-folders of the same names in every class folder, which may be the classes."""
    inner = defaultdict(set)
    levels: set[int] = set()
    for grouping, name in zip(groupings, classes, strict=True):
        if name is None:
            continue
        positions = [place for place, each in enumerate(grouping.path) if place != grouping.depth]
        place = next(place for place in positions if grouping.path[place] == name)
        deeper = [position for position in positions if position > place]
        inner[name].add(grouping.path[deeper[0]] if deeper else None)
        levels.update(position + 1 for position in deeper[:1])
    common = set.intersection(*inner.values()) - {None} if len(inner) > 1 else set()
    if len(common) > 1 and len(levels) == 1:
        names = show_names(sorted(str(name) for name in common))
        yield f"every class folder holds the folders {names} (--class-level {levels.pop()}: these are the classes)"


def count_objects(count: int) -> str:
    """Write a number of objects."""
    return f"{count} object{'s' * (count != 1)}"


def show_names(names: Sequence[str]) -> str:
    """List names for the user, the first few."""
    more = len(names) - NAMES_SHOWN
    return ", ".join(names[:NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")
