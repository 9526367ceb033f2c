"""Split the labelled maps: by the data set's own split, or by repeated stratified cross-validation.

A test split of few samples says little. Fewer than 500 labelled samples, and files without a test
split, are therefore cross-validated: all labelled samples are divided into folds, and each fold is
scored by classifiers of the others. All rows of the table use the same folds.

Letters in shapes: N training samples, T test samples, S scored samples.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from data_prep.maps.reader import MapFile
from downstream.probes.sealed_labels import SealedLabels
from spectral_ssl.ground.errors import UserError, unknown_name

SplitChoice = Literal["auto", "own", "cross-validation"]
SPLIT_CHOICES: tuple[SplitChoice, ...] = get_args(SplitChoice)
SMALL = 500  # Fewer labelled samples are cross-validated.
OUTER_FOLDS = 5
OWN_SEEDS = 3  # Seeds with the data set's own split.
# Repeats of the cross-validation, between these limits and about so many scored samples in all.
FEWEST_REPEATS, MOST_REPEATS, SCORED = 3, 5, 1500
FEWEST_OF_A_CLASS = 3  # With fewer, no two are left to choose the regularisation inside a training fold.
MAPS_AT_ONCE = 1024


@dataclass(frozen=True, eq=False)
class Split:
    """Training samples and test samples of one fit.

    Attributes
    ----------
    train, test : ndarray, shapes (N,) and (T,), int64
        Rows of the map file in the training split and in the test split.
    labels : ndarray, shape (N,), int64
        Labels of the training split.
    sealed : SealedLabels
        Labels of the test split.
    classes : int
        Number of classes in a confusion matrix.
    positions : ndarray, shape (T,), int64
        Positions of the test samples among all scored samples.
    """

    train: NDArray[np.int64]
    test: NDArray[np.int64]
    labels: NDArray[np.int64]
    sealed: SealedLabels
    classes: int
    positions: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The splits with which all rows of a table are scored.

    Attributes
    ----------
    seeds : tuple of int
        Seed of each round.
    rounds : tuple of tuple of Split
        Splits of each round. Their test splits together hold every scored sample once.
    folds : int
        Number of folds of the cross-validation; 0 for the data set's own split.
    scored : ndarray, shape (S,), int64
        Rows of the map file that are scored.
    origin : str
        Origin of the splits, as text.
    """

    seeds: tuple[int, ...]
    rounds: tuple[tuple[Split, ...], ...]
    folds: int
    scored: NDArray[np.int64]
    origin: str

    @property
    def is_cross_validated(self) -> bool:
        """Whether all labelled samples are scored, by cross-validation."""
        return self.folds > 0

    @property
    def train(self) -> int:
        """The smallest number of training samples of a fit."""
        return min(len(split.train) for splits in self.rounds for split in splits)

    @property
    def learnt_on(self) -> NDArray[np.int64]:
        """The rows (N,) from which features may be learnt without labels: the training split, or all rows."""
        return self.scored if self.is_cross_validated else self.rounds[0][0].train


def plan_evaluation(maps: MapFile, choice: SplitChoice = "auto", seeds: int | None = None) -> Evaluation:
    """Decide how the labelled maps are scored.

    Parameters
    ----------
    maps : MapFile
        Labelled maps.
    choice : {"auto", "own", "cross-validation"}
        "own": the training split and the test split of the file. "cross-validation": stratified
        5-fold cross-validation of all labelled maps, with fewer folds if a class has fewer samples.
        "auto": the own split if there is one and at least 500 maps are labelled; otherwise
        cross-validation.
    seeds : int, optional
        Number of seeds of the own split (3 by default), or of repeats of the cross-validation (by
        default 5 for up to 300 samples, at least 3 below 500, and 1 above 750).

    Returns
    -------
    Evaluation
        Splits of each seed.

    Raises
    ------
    UserError
        If there are no labels, a single class, a class that is in the test split only, or a class
        with too few samples to be cross-validated.
    """
    if choice not in SPLIT_CHOICES:
        raise unknown_name("split", choice, SPLIT_CHOICES)
    labelled = np.flatnonzero(maps.labels >= 0)
    if not len(labelled):
        raise UserError(
            "no labels to probe with", str(maps.path), "give a target with classes, e.g. sub-folders as classes"
        )
    train, test = (labelled[maps.splits[labelled] == name] for name in ("train", "test"))
    has_own = len(train) > 0 and len(test) > 0
    if choice == "own" and not has_own:
        got = f"{len(train)} labelled training maps and {len(test)} labelled test maps in {maps.path}"
        raise UserError("no split of its own to probe with", got, "leave --split out: the maps are cross-validated")
    rare = _describe_rare_classes(maps, labelled)
    if choice == "own" or (choice == "auto" and has_own and (len(labelled) >= SMALL or rare)):
        note = "" if choice == "own" or len(labelled) >= SMALL else f"; too few to cross-validate: {rare}"
        return _plan_own_split(maps, train, test, seeds or OWN_SEEDS, note)
    if len(np.unique(maps.labels[labelled])) < 2:
        raise _single_class_error(maps, labelled, "labelled")
    if rare:
        raise UserError("too few labels to cross-validate", rare, f"give at least {FEWEST_OF_A_CLASS} for each class")
    return _plan_cross_validation(maps, labelled, seeds or _choose_repeats(len(labelled)), has_own)


def _choose_repeats(samples: int) -> int:
    """Choose the number of repeats: more for fewer samples, whose folds vary more and cost less."""
    fewest = FEWEST_REPEATS if samples < SMALL else 1
    return min(max(SCORED // samples, fewest), MOST_REPEATS)


def _plan_own_split(
    maps: MapFile, train: NDArray[np.int64], test: NDArray[np.int64], seeds: int, note: str
) -> Evaluation:
    """Make one split for all seeds."""
    known = np.unique(maps.labels[train])
    if len(known) < 2:
        raise _single_class_error(maps, train, "training")
    unknown = maps.labels[test][~np.isin(maps.labels[test], known)]
    if len(unknown):
        names = ", ".join(sorted({repr(name_class(maps, label)) for label in unknown.tolist()})[:5])
        got = f"{len(unknown)} test samples of {names}"
        do = "give training samples of this class, or leave it out"
        if not _describe_rare_classes(maps, np.union1d(train, test)):
            do = "give --split cross-validation"
        raise UserError("test samples of a class without training samples", got, do)
    groups = _group_equal_maps(maps, np.concatenate([train, test]))
    copies = int(np.isin(groups[len(train) :], groups[: len(train)]).sum())
    if copies:
        note += f"; {copies} of {len(test)} test maps are in the training split too"
    split = _make_split(maps, train, test, np.arange(len(test)))
    return Evaluation(tuple(range(seeds)), ((split,),) * seeds, 0, test, f"the data set's own{note}")


def _plan_cross_validation(maps: MapFile, labelled: NDArray[np.int64], repeats: int, has_own: bool) -> Evaluation:
    """Make stratified folds for each repeat; equal maps stay in one fold."""
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    labels = maps.labels[labelled]
    folds = min(OUTER_FOLDS, int(np.unique(labels, return_counts=True)[1].min()))
    groups = _group_equal_maps(maps, labelled)
    equal = len(labelled) - len(np.unique(groups))
    rounds = []
    for seed in range(repeats):
        if equal:
            parts = StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(labels, labels, groups)
        else:
            parts = StratifiedKFold(folds, shuffle=True, random_state=seed).split(labels, labels)
        splits = [_make_split(maps, labelled[train], labelled[test], test) for train, test in parts if len(test)]
        for split in splits:
            _check_training_fold(maps, split, labels)
        rounds.append(tuple(splits))
    why = f"fewer than {SMALL} labelled samples" if has_own else "no split of its own"
    if len(labelled) >= SMALL and has_own:
        why = "as requested"
    origin = f"{folds}-fold cross-validation of all labelled samples, stratified, repeated {repeats}x ({why})"
    origin += f"; {equal} repeated maps are in the fold of their equals" if equal else ""
    return Evaluation(tuple(range(repeats)), tuple(rounds), folds, labelled, origin)


def _make_split(
    maps: MapFile, train: NDArray[np.int64], test: NDArray[np.int64], positions: NDArray[np.int64]
) -> Split:
    """Make a split whose test labels are sealed."""
    sealed = SealedLabels(maps.labels[test])
    return Split(train, test, maps.labels[train], sealed, len(name_classes(maps)), positions)


def _check_training_fold(maps: MapFile, split: Split, labels: NDArray[np.int64]) -> None:
    """Raise a UserError unless each class has two training samples, which equal maps can prevent."""
    for label in np.unique(labels).tolist():
        if np.count_nonzero(split.labels == label) < FEWEST_OF_A_CLASS - 1:
            got = f"class {name_class(maps, label)!r}, whose maps are equal"
            raise UserError("too few different maps to cross-validate", got, "give more objects of this class")


def _group_equal_maps(maps: MapFile, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Assign a number to each different map among some rows; equal maps have the same number."""
    digests: list[str] = []
    for block in np.array_split(rows, -(-len(rows) // MAPS_AT_ONCE)):
        digests += [sha256(values.tobytes()).hexdigest() for values in maps.read(block)]
    return np.unique(digests, return_inverse=True)[1].astype(np.int64)


def _describe_rare_classes(maps: MapFile, rows: NDArray[np.int64]) -> str:
    """Describe the classes with too few samples to be cross-validated; empty if there are none."""
    labels, counts = np.unique(maps.labels[rows], return_counts=True)
    rare = [
        f"{name_class(maps, label)!r} with {count}"
        for label, count in zip(labels.tolist(), counts.tolist(), strict=True)
        if count < FEWEST_OF_A_CLASS
    ]
    more = f" and {len(rare) - 3} more" if len(rare) > 3 else ""
    return f"class{'es' * (len(rare) > 1)} {', '.join(rare[:3])}{more}" if rare else ""


def _single_class_error(maps: MapFile, rows: NDArray[np.int64], what: str) -> UserError:
    """Make the error for samples of one class."""
    got = f"{len(rows)} {what} samples, all of class {name_class(maps, int(maps.labels[rows[0]]))!r}"
    return UserError("too few classes to probe", got, "give a target with at least two classes")


def name_class(maps: MapFile, label: int) -> str:
    """Return the name of a class, or its number if it has none."""
    return maps.classes[label] if label < len(maps.classes) else str(label)


def name_classes(maps: MapFile) -> tuple[str, ...]:
    """Return the names of the classes; labels without a name have their number as the name."""
    count = max(len(maps.classes), int(maps.labels.max()) + 1)
    return tuple(name_class(maps, label) for label in range(count))


def describe_imbalance(maps: MapFile, scored: Sequence[int] | NDArray[np.int64]) -> str:
    """Describe the accuracy of a constant prediction, where it is far above that of equal classes.

    Without this number a score of .94 looks good where 94 % of the samples are of one class.

    Parameters
    ----------
    maps : MapFile
        Maps that are scored.
    scored : sequence of int
        Rows that are scored.

    Returns
    -------
    str
        Empty if the largest class has less than twice the share that it would have among equal
        classes, and less than two thirds of the samples.
    """
    labels = maps.labels[np.asarray(scored)]
    counts = np.bincount(labels[labels >= 0])
    if not counts.any():
        return ""
    share = counts.max() / counts.sum()
    if share < min(2 / np.count_nonzero(counts), 2 / 3):
        return ""
    return f"; {share:.1%} of them are of one class: a constant prediction has this accuracy"


def describe_pretraining(maps: MapFile, data_digest: str, scored: Sequence[int] | NDArray[np.int64]) -> str:
    """Describe how many scored maps pretraining saw, without labels; empty if it saw none of the file.

    Parameters
    ----------
    maps : MapFile
        Maps that are scored.
    data_digest : str
        Digest of the map file on which the run was trained.
    scored : sequence of int
        Rows that are scored.
    """
    if data_digest != maps.digest:
        return ""
    count = np.count_nonzero(np.isin(scored, maps.rows("train")))
    return f"; pretraining saw {count} of these {len(scored)} maps, without labels" if count else ""
