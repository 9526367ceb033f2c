"""Words that name a split: which names of folders hold one, alone or with a suffix, in any case."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import get_args

from data_prep.source import Split
from spectral_ssl.ground.errors import UserError, unknown_name

SPLITS: tuple[Split, ...] = get_args(Split)
WORDS: dict[Split, tuple[str, ...]] = {
    "train": (
        *("train", "training", "trains", "trn", "tr", "trainval", "learn", "learning"),
        *("unlabeled", "unlabelled", "unsup", "unsupervised"),
    ),
    "val": (
        *("val", "vali", "vals", "valid", "validate", "validating", "validation", "va", "vl"),
        *("dev", "devel", "develop", "development"),
    ),
    "test": (
        *("test", "testing", "tests", "tst", "te", "ts"),
        *("eval", "evaluate", "evaluation", "holdout", "heldout"),
    ),
}
SPLIT_OF_WORD: dict[str, Split] = {word: split for split, words in WORDS.items() for word in words}
# Next to a folder of test objects, these name a validation split.
EVALUATION = ("eval", "evaluate", "evaluation", "holdout", "heldout")
# Words without a meaning of their own: the name of a folder that only wraps others, and what may
# stand next to a split word.
NEUTRAL = frozenset(
    (
        *("all", "archive", "batch", "cloud", "clouds", "content", "data", "dataset", "datasets", "default", "dir"),
        *("file", "files", "folder", "full", "image", "images", "img", "imgs", "input", "inputs", "jpeg", "jpegimages"),
        *("jpegs", "jpg", "jpgs", "mesh", "meshes", "model", "models", "my", "new", "obj", "object", "objects", "off"),
        *("part", "pc", "photo", "photos", "png", "pngs", "point", "pointcloud", "pointclouds", "points", "ply", "raw"),
        *("sample", "samples", "scan", "scans", "set", "sets", "shape", "shapes", "split", "splits", "stl", "subset"),
        *("tiff", "unknown", "unlabeled", "unlabelled", "xyz"),
    )
)
SHORTEST_IN_COMPOUND = 3  # letters of a split word that may be written together with a neutral word
_COMPOUNDS = (
    (re.compile(r"h[oe]ld[\W_]*out", re.IGNORECASE), "holdout"),
    (re.compile(r"train(ing)?[\W_]*(and|plus)?[\W_]*val(id|idation)?(?![a-z])", re.IGNORECASE), "trainval"),
)


def find_split(name: str) -> Split | None:
    """Find the split that the name of a folder means, or None if it means something else.

    Examples
    --------
    >>> from data_prep.sources.folder.split_words import find_split
    >>> [find_split(name) for name in ("Training-Set", "valid", "test2017", "TestImages", "tester")]
    ['train', 'val', 'test', 'test', None]
    """
    splits = set()
    for token in _split_tokens(name):
        split = _find_split_of_token(token)
        if split is not None:
            splits.add(split)
        elif token not in NEUTRAL and not token.isdigit():
            return None
    return splits.pop() if len(splits) == 1 else None


def mentions_split(name: str) -> Split | None:
    """Find the first split word within a name, such as ``train`` in ``cat_train``, or None."""
    found = (_find_split_of_token(token) for token in _split_tokens(name) if len(token) >= SHORTEST_IN_COMPOUND)
    return next((split for split in found if split is not None), None)


def is_neutral(name: str) -> bool:
    """Return whether the name of a folder says nothing about its content, such as ``images``."""
    return all(token in NEUTRAL or token.isdigit() for token in _split_tokens(name)) and not name.isdigit()


def assign_splits(names: Iterable[str], more: Mapping[str, Split]) -> dict[str, Split] | None:
    """Assign a split to each of some sibling folders; return None unless all of them name one.

    Parameters
    ----------
    names : iterable of str
        The names of the folders.
    more : mapping of str to split
        Names, in lower case, that the user has assigned to a split.

    Returns
    -------
    dict of str to split, or None

    Examples
    --------
    >>> from data_prep.sources.folder.split_words import assign_splits
    >>> assign_splits(["train", "eval"], {}), assign_splits(["train", "eval", "test"], {})
    ({'train': 'train', 'eval': 'test'}, {'train': 'train', 'eval': 'val', 'test': 'test'})
    """
    splits: dict[str, Split] = {}
    for name in names:
        split = more.get(name.lower()) or find_split(name)
        if split is None:
            return None
        splits[name] = split
    unsure = [name for name in splits if name.lower() not in more and _names_evaluation(name)]
    if len(unsure) < sum(split == "test" for split in splits.values()) and "val" not in splits.values():
        splits.update(dict.fromkeys(unsure, "val"))
    return splits


def _names_evaluation(name: str) -> bool:
    return any(token.startswith(EVALUATION) for token in _split_tokens(name))


def _split_tokens(name: str) -> list[str]:
    """Split a name into words and numbers, in lower case: at separators, digits and capitals."""
    for pattern, joined in _COMPOUNDS:
        name = pattern.sub(joined, name)
    return [token.lower() for token in re.findall(r"[^\W\d_A-Z]+|[A-Z]+(?![^\W\d_A-Z])|[A-Z][^\W\d_A-Z]+|\d+", name)]


def _find_split_of_token(token: str) -> Split | None:
    """Find the split of one word, which may be written together with a neutral word, as in ``trainset``."""
    if token in SPLIT_OF_WORD:
        return SPLIT_OF_WORD[token]
    for length in range(len(token) - 1, SHORTEST_IN_COMPOUND - 1, -1):
        for word, rest in ((token[:length], token[length:]), (token[-length:], token[:-length])):
            if word in SPLIT_OF_WORD and rest in NEUTRAL:
                return SPLIT_OF_WORD[word]
    return None


@dataclass(frozen=True)
class SplitChoice:
    """The choice of the user about splits.

    Attributes
    ----------
    use_names : bool
        Whether names of folders can mean a split.
    level : int or None
        The level of the split folders, counted from 1 below the root; None to find it.
    names : dict of str to split
        Names of folders, in lower case, that mean a split besides the usual words.
    """

    use_names: bool = True
    level: int | None = None
    names: Mapping[str, Split] = field(default_factory=dict)


def parse_split_choice(text: str | None) -> SplitChoice:
    """Parse the option ``--split``.

    Parameters
    ----------
    text : str, optional
        "auto" (the default), "none", the level of the split folders, names of folders as in
        "fit=train,check=val", or a level and names.

    Returns
    -------
    SplitChoice

    Raises
    ------
    UserError
        When the text is nothing of this.

    Examples
    --------
    >>> from data_prep.sources.folder.split_words import parse_split_choice
    >>> parse_split_choice("2,extra=train")
    SplitChoice(use_names=True, level=2, names={'extra': 'train'})
    """
    parts = [part.strip() for part in ("auto" if text is None else str(text)).split(",")]
    if parts == ["none"]:
        return SplitChoice(use_names=False)
    level: int | None = None
    names: dict[str, Split] = {}
    for part in parts:
        name, is_pair, value = (each.strip() for each in part.partition("="))
        if is_pair and name:
            split = next((each for each in SPLITS if each == value), None)
            if split is None:
                raise unknown_name(f"split of {name!r} in --split", value, SPLITS)
            names[name.strip("/").lower()] = split
        elif part.isdecimal() and int(part) > 0 and level is None:
            level = int(part)
        elif part != "auto":
            do = "give auto, none, the level of the split folders (1, 2, ...), or names as in extra=train"
            raise UserError("unknown --split", repr(text), do)
    return SplitChoice(level=level, names=names)
