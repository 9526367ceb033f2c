"""Decision which folders of a tree are splits, which are classes, and which only wrap others.

``decide_layout`` follows these rules.

* A folder that holds nothing but one folder is a wrapper, and is passed through.
* A level is that of the splits if all of its folders name a split and there are at least two
  splits. It lies above the classes, or in each class folder.
* The next level, again after wrappers, is that of the classes.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from data_prep.source import Split
from data_prep.sources.folder.doubts import NAMES_SHOWN, Grouping, count_objects, find_doubts, show_names
from data_prep.sources.folder.split_words import (
    SplitChoice,
    assign_splits,
    find_split,
    is_neutral,
    mentions_split,
)
from spectral_ssl.ground.errors import UserError

# Folders of these names next to the splits hold documents. Their files are no objects.
DOCUMENTS = ("doc", "docs", "documentation", "figures", "notebooks", "paper", "scripts", "src", "code", "logs")

Folders = tuple[str, ...]


@dataclass(frozen=True)
class Layout:
    """Splits and classes of objects.

    Attributes
    ----------
    groups : list of (split, class name or None), or None
        One entry per object; None for an object in a folder of documents, which is left out.
    names : dict of str to split
        The names of folders that were read as splits.
    doubts : list of str
        What was decided but may be meant in another way, one line each.
    """

    groups: list[tuple[Split, str | None] | None]
    names: dict[str, Split]
    doubts: list[str]


@dataclass
class _Node:
    """A folder of the tree: the number of its objects, and its sub-folders that hold objects."""

    files: int = 0
    folders: dict[str, "_Node"] = field(default_factory=dict)

    def add(self, folders: Sequence[str]) -> None:
        node = self
        for name in folders:
            node = node.folders.setdefault(name, _Node())
        node.files += 1


def decide_layout(
    paths: Sequence[Folders],
    choice: SplitChoice,
    class_level: int | None,
    is_list: Sequence[bool] | None = None,
) -> Layout:
    """Decide split and class of each object by the folders that it lies in.

    Parameters
    ----------
    paths : sequence of tuple of str
        The names of the folders of each object, from the root to its file.
    choice : SplitChoice
        The choice of the user about splits.
    class_level : int, optional
        The level of the class folders, counted from 1 below the root; 0 for no classes. By default
        the level is found.
    is_list : sequence of bool, optional
        Whether each object may be a list of files, which says nothing about the folders; by default
        none is.

    Returns
    -------
    Layout

    Raises
    ------
    UserError
        When some folders name splits and others next to them do not, or a chosen level does not
        exist.

    Examples
    --------
    >>> from data_prep.sources.folder.layout import decide_layout
    >>> from data_prep.sources.folder.split_words import SplitChoice
    >>> paths = [("set", "Training", "cat"), ("set", "Training", "dog"), ("set", "Testing", "cat")]
    >>> decide_layout(paths, SplitChoice(), None).groups
    [('train', 'cat'), ('train', 'dog'), ('test', 'cat')]
    """
    deepest = max((len(path) for path in paths), default=0)
    for name, level in (("--class-level", class_level or 0), ("--split", choice.level or 0)):
        if level > deepest:
            raise UserError(f"{name} {level} is deeper than the folders", f"{deepest} levels", "give a level of these")
    if class_level and class_level == choice.level:
        raise UserError("--split and --class-level name the same level", class_level, "give two levels")
    lists = is_list or [False] * len(paths)
    splits = _Splits([path for path, each in zip(paths, lists, strict=True) if not each], choice, class_level)
    found = [splits.locate(path) for path in paths]
    kept = [index for index, place in enumerate(found) if place is not None]
    groupings = [Grouping(paths[index], *place) for index, place in enumerate(found) if place is not None]
    if class_level is None:
        classes = _find_classes(groupings, splits, [lists[index] for index in kept])
    else:
        classes = [
            path[class_level - 1] if 0 < class_level <= len(path) else None
            for path in (each.path for each in groupings)
        ]
    groups: list[tuple[Split, str | None] | None] = [None] * len(paths)
    for index, grouping, class_name in zip(kept, groupings, classes, strict=True):
        groups[index] = grouping.split, class_name
    more_doubts = find_doubts(groupings, classes, is_class_chosen=class_level is not None)
    return Layout(groups, splits.names, [*splits.doubts, *more_doubts])


class _Splits:
    """The split folders of a tree.

    Attributes
    ----------
    names : dict of str to split
        The names of the split folders.
    chain : tuple of str
        The folders above the classes or the splits that were passed through.
    wrappers : int
        Their number.
    doubts : list of str
        See ``Layout``.
    """

    def __init__(self, paths: Sequence[Folders], choice: SplitChoice, class_level: int | None) -> None:
        self.names: dict[str, Split] = {}
        self.doubts: list[str] = []
        self._levels: dict[Folders, dict[str, Split]] = {}  # Folder that holds split folders -> their splits.
        self._documents: dict[Folders, list[str]] = {}
        self._choice, self._class_level = choice, class_level
        self._root = _Node()
        for path in paths:
            self._root.add(path)
        top, self.chain = self._pass_loose_objects(*_pass_wrappers(self._root))
        self.wrappers = len(self.chain)
        if not choice.use_names:
            return
        if choice.level is not None:
            self._use_level(paths, choice.level)
        else:
            self._search(top)
        unused = sorted(set(choice.names) - {name.lower() for name in self.names})
        if unused:
            got = f"{show_names(unused)} (folders: {show_names(sorted(top.folders))})"
            do = "name all folders of one level, or give their level, as in --split 1"
            raise UserError("--split names folders that are not read as splits", got, do)

    def _pass_loose_objects(self, top: _Node, chain: Folders) -> tuple[_Node, Folders]:
        """Continue to the split folders if only some loose objects, such as a preview, lie next to their wrapper."""
        if not self._choice.use_names or len(top.folders) != 1 or not top.files:
            return top, chain
        (name, wrapper), *_ = top.folders.items()
        inner, passed = _pass_wrappers(wrapper)
        splits = assign_splits(inner.folders, self._choice.names)
        if self._is_split(name) or splits is None or len(set(splits.values())) < 2:
            return top, chain
        self.doubts.append(
            f"{count_objects(top.files)} next to {'/'.join((*chain, name))}/: read as train, without a class"
        )
        return inner, (*chain, name, *passed)

    def locate(self, path: Folders) -> tuple[Split, int | None] | None:
        """Return the split of an object and the depth of its split folder (None without one); None for a document."""
        for depth in range(len(path)):
            if path[depth] in self._documents.get(path[:depth], ()):
                return None
            split = self._levels.get(path[:depth], {}).get(path[depth])
            if split is not None:
                return split, depth
        return "train", None

    def _use_level(self, paths: Sequence[Folders], level: int) -> None:
        """Read the level that the user names as the splits."""
        for path in paths:
            if len(path) < level:
                continue
            name = path[level - 1]
            split = self._choice.names.get(name.lower()) or find_split(name)
            if split is None:
                do = f"add its split, as in --split {level},{name}=train, or give another level"
                raise UserError("a folder that names no split", f"{'/'.join(path[:level])} at level {level}", do)
            self._accept(path[: level - 1], {name: split})
        for folders, names in self._levels.items():  # `eval` means another split next to `test`
            names.update(assign_splits(names, self._choice.names) or {})
            self._accept(folders, names)
        loose = sum(len(path) < level for path in paths)
        if loose:
            self.doubts.append(f"{count_objects(loose)} above the split folders: read as train")

    def _search(self, top: _Node) -> None:
        """Find the split folders: above the classes, then in the class folders, then among the wrappers."""
        chain = self.chain
        above = self._read_level(top, chain)
        if above is not None and (len(set(above.values())) > 1 or (top.files and set(above.values()) != {"train"})):
            self._accept(chain, above)
            if top.files:
                self.doubts.append(f"{count_objects(top.files)} next to the split folders: train, without a class")
            return
        below = {name: self._read_class(node, (*chain, name)) for name, node in top.folders.items()}
        levels = {folders: names for each in below.values() if each is not None for folders, names in [each]}
        kinds = {split for names in levels.values() for split in names.values()}
        if levels and any(_go_to(self._root, folders).files for folders in levels):
            kinds.add("train")
        lone = [depth for depth, name in enumerate(chain) if self._is_split(name) and depth + 1 != self._class_level]
        if len(kinds) > 1 or (kinds and not lone and len(levels) == len(top.folders)):
            for folders, names in levels.items():
                self._accept(folders, names)
            self._ask_about_classes_without(below, levels)
        elif lone:
            self._accept(chain[: lone[-1]], assign_splits([chain[lone[-1]]], self._choice.names) or {})
        elif top.folders:
            self._ask_about_words(top, above)
        self._ask_about_single_split()

    def _is_split(self, name: str) -> bool:
        return assign_splits([name], self._choice.names) is not None

    def _read_class(self, node: _Node, folders: Folders) -> tuple[Folders, dict[str, Split]] | None:
        """Return where a class folder holds split folders, and their splits; None if it holds none."""
        while True:
            names = self._read_level(node, folders)
            if names is not None:
                return folders, names
            if node.files or len(node.folders) != 1:
                return None
            (name, node), *_ = node.folders.items()
            folders = (*folders, name)

    def _read_level(self, node: _Node, folders: Folders) -> dict[str, Split] | None:
        """Return the splits of the sub-folders of a folder; None if they are no splits.

        Raises
        ------
        UserError
            When some of them name splits, training included, and others do not.
        """
        if not node.folders or len(folders) + 1 == self._class_level:
            return None
        splits = assign_splits(node.folders, self._choice.names)
        if splits is not None:
            return splits
        pure = [name for name in node.folders if self._is_split(name)]
        kinds = set((assign_splits(pure, self._choice.names) or {}).values())
        others = [name for name in node.folders if name not in pure]
        if len(kinds) > 1 and all(name.lower() in DOCUMENTS for name in others):
            self._documents[folders] = others
            return assign_splits(pure, self._choice.names)
        mentioned = [mentions_split(name) for name in node.folders]
        is_mixture = len(kinds) > 1 and "train" in kinds
        if is_mixture or (None not in mentioned and "train" in mentioned and len(set(mentioned)) > 1):
            example = ",".join(f"{name}={mentions_split(name) or 'train'}" for name in sorted(others)[:NAMES_SHOWN])
            got = f"{show_names(sorted(node.folders))} in {'/'.join(folders) or 'the folder'}"
            do = f"name their splits, as in --split {example}, or give --split none to read all as classes"
            raise UserError("folders that name splits and others next to them", got, do)
        return None

    def _accept(self, folders: Folders, names: Mapping[str, Split]) -> None:
        """Read these sub-folders of a folder as splits."""
        self._levels.setdefault(folders, {}).update(names)
        self.names.update(names)

    def _ask_about_classes_without(self, below: Mapping[str, object], levels: Mapping[Folders, object]) -> None:
        without = sorted(name for name, each in below.items() if each is None)
        if without:
            self.doubts.append(f"{show_names(without)} without split folders, unlike other classes: all train")
        loose = sum(_go_to(self._root, folders).files for folders in levels)
        if loose:
            self.doubts.append(f"{count_objects(loose)} next to the split folders of their class: read as train")

    def _ask_about_words(self, top: _Node, above: Mapping[str, Split] | None) -> None:
        """Ask about class folders whose names are split words."""
        words = sorted(name for name in top.folders if self._is_split(name))
        if above is not None and len(above) > 1:
            self.doubts.append(f"{show_names(words)} are read as classes, as all name the same split")
        elif words:
            others = show_names(sorted(set(top.folders) - set(words)))
            self.doubts.append(f"{show_names(words)} is read as a class, like {others} next to it")

    def _ask_about_single_split(self) -> None:
        kinds = set(self.names.values())
        if len(kinds) == 1 and kinds != {"train"} and not any(True for _ in self._list_loose()):
            word = next(iter(self.names))
            self.doubts.append(f"all objects are in the split {kinds.pop()}, because they lie in {word}/")

    def _list_loose(self) -> Iterator[Folders]:
        """List the folders that hold objects next to their split folders."""
        return (folders for folders in self._levels if _go_to(self._root, folders).files)


def _find_classes(groupings: Sequence[Grouping], splits: _Splits, lists: Sequence[bool]) -> list[str | None]:
    """Find the class of each object: the first level after wrappers and splits. Lists do not count."""
    branches: dict[Folders, _Node] = {}
    for each, is_list in zip(groupings, lists, strict=True):
        if not is_list:
            branches.setdefault(each.branch(splits.wrappers), _Node()).add(each.rest(splits.wrappers))
    first = {key: _pass_wrappers(node) for key, node in branches.items()}
    known = frozenset(name for node, _ in first.values() for name in node.folders)
    starts: dict[Folders, tuple[int, str | None]] = {}
    for key, branch in branches.items():
        node, chain = _pass_wrappers(branch, known)
        others = {
            name for other, (inner, passed) in first.items() if other != key and not passed for name in inner.folders
        }
        # The name of a wrapper can be that of a single class, if there are other splits.
        lone = next((name for name in chain if not is_neutral(name) and find_split(name) is None), None)
        is_class = lone is not None and len(branches) > 1 and others.isdisjoint(node.folders)
        if not node.folders:
            starts[key] = len(chain), lone if is_class else None
        elif is_class and others:
            starts[key] = chain.index(str(lone)), None
        else:
            starts[key] = len(chain), None
        if known and not node.folders and not is_class and (key or chain):
            what, where = count_objects(node.files), "/".join((*(key or splits.chain), *chain))
            splits.doubts.append(f"{what} in {where}/ without class folders: no label; sort them into class folders")
    result: list[str | None] = []
    for each in groupings:
        start, lone = starts.get(each.branch(splits.wrappers), (0, None))
        names = each.rest(splits.wrappers)[start:]
        result.append(names[0] if names else lone)
    # The folder of a list is no class of its own.
    proper = {name for name, is_list in zip(result, lists, strict=True) if not is_list}
    own = [name in each.path and name in proper for name, each in zip(result, groupings, strict=True)]
    return [name if is_own else None for name, is_own in zip(result, own, strict=True)]


def _pass_wrappers(node: _Node, classes: frozenset[str] = frozenset()) -> tuple[_Node, Folders]:
    """Walk down while a folder holds nothing but one folder, which is no known class; return the names passed."""
    chain: list[str] = []
    while node.files == 0 and len(node.folders) == 1 and not classes.issuperset(node.folders):
        (name, node), *_ = node.folders.items()
        chain.append(name)
    return node, tuple(chain)


def _go_to(node: _Node, folders: Folders) -> _Node:
    for name in folders:
        node = node.folders[name]
    return node
