"""The probe bench: the score of a run's features beside the scores of everything that costs nothing.

Rows: raw coefficients, rotation invariants (shapes only), the untrained network, the trained network. A row whose
features are random (the untrained network) is drawn anew for every seed; for the others the seeds draw the folds only.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.invariants import degree_norms, ring_norms
from data_prep.layout import unfold
from data_prep.map_store import MapFile
from downstream.linear_probe import accuracy, fit_probe
from downstream.neighbour_probe import NEIGHBOURS, neighbour_accuracy
from pretext.runs import TrainedRun
from pretext.training_maps import check_same_basis
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.progress import progress

HELD_OUT = 0.25  # of the labelled maps, where a file has no test split of its own

FeatureMaker = Callable[[int], NDArray[np.float32]]


@dataclass(frozen=True)
class ProbeRow:
    """One line of the table.

    Attributes
    ----------
    features : str
        What was probed.
    dimensions : int
        Of the features.
    mean, std : float
        Test accuracy of the linear probe over the seeds; the sample deviation, NaN for a single seed.
    standard_error : float
        Binomial, from the size of the test split: sqrt(p (1 - p) / T).
    neighbours : float
        Test accuracy of the 10-nearest-neighbour probe (first seed).
    accuracies, strengths, cross_validation : tuple
        For each seed: test accuracy, C chosen, its cross-validated training accuracy.
    """

    features: str
    dimensions: int
    mean: float
    std: float
    standard_error: float
    neighbours: float
    accuracies: tuple[float, ...]
    strengths: tuple[float, ...]
    cross_validation: tuple[float, ...]


@dataclass(frozen=True)
class ProbeTable:
    """The table and what it is about.

    Attributes
    ----------
    target, run : str
        Data set and run folder.
    train, test : int
        Labelled maps in each split.
    classes : int
    split : str
        Whose split it is.
    seeds : tuple of int
    rows : tuple of ProbeRow
    """

    target: str
    run: str
    train: int
    test: int
    classes: int
    split: str
    seeds: tuple[int, ...]
    rows: tuple[ProbeRow, ...]

    def as_dict(self) -> dict[str, Any]:
        """The table for JSON, with the protocol in words."""
        protocol = (
            "logistic regression; standardised on train; C by stratified 5-fold cross-validation inside train; "
            "last checkpoint; test scored once per seed; seeds draw the folds, and the initial parameters of the "
            f"untrained network; neighbours: cosine, k = {NEIGHBOURS}, faiss"
        )
        return {**asdict(self), "protocol": protocol}


def probe_run(run: TrainedRun, maps: MapFile, seeds: tuple[int, ...] = (0, 1, 2)) -> ProbeTable:
    """Probe a run and its free baselines on a labelled map file.

    Parameters
    ----------
    run : TrainedRun
        The run.
    maps : MapFile
        Labelled maps of the run's basis.
    seeds : tuple of int
        Seeds of the protocol.

    Returns
    -------
    ProbeTable

    Raises
    ------
    UserError
        When the basis is another, or there are too few labels.
    """
    check_same_basis(run.basis, maps)
    train, test, split = labelled_rows(maps)
    makers = feature_makers(run, maps)
    rows = []
    with progress("probe", len(makers) * len(seeds)) as advance:
        for name, make in makers.items():
            rows.append(_probe_row(name, make, maps.labels, train, test, seeds, advance))
    return ProbeTable(
        target=maps.source,
        run=str(run.folder),
        train=len(train),
        test=len(test),
        classes=len(np.unique(maps.labels[train])),
        split=split,
        seeds=seeds,
        rows=tuple(rows),
    )


def feature_makers(run: TrainedRun, maps: MapFile) -> dict[str, FeatureMaker]:
    """What is probed, by name: each gives features (N, D) of all maps for a seed."""
    makers: dict[str, FeatureMaker] = {}
    if maps.basis.kind == "pixels":
        makers["raw pixels"] = lambda seed: maps.read().reshape(len(maps), -1)
    else:
        makers["raw coefficients"] = lambda seed: unfold(maps.read(), maps.basis)
        makers["rotation invariants"] = lambda seed: degree_norms(maps.read(), maps.basis)
        makers["ring norms"] = lambda seed: ring_norms(maps.read(), maps.basis)
    makers["untrained network"] = lambda seed: run.untrained(seed).encode_file(maps)
    makers["trained network"] = lambda seed: run.encode_file(maps)
    return makers


def labelled_rows(maps: MapFile) -> tuple[NDArray[np.int64], NDArray[np.int64], str]:
    """Training and test rows with labels; a quarter is held out, stratified, where the file has no test split.

    Raises
    ------
    UserError
        When there are no labels, or too few to hold some out.
    """
    labelled = maps.labels >= 0
    if not labelled.any():
        raise UserError(
            "no labels to probe with", str(maps.path), "give a target with classes, e.g. sub-folders as classes"
        )
    train = np.flatnonzero(labelled & (maps.splits == "train"))
    test = np.flatnonzero(labelled & (maps.splits == "test"))
    if len(train) and len(test):
        return train, test, "the data set's own"
    if len(test):
        raise UserError(
            "a test split with labels but no labelled training split", str(maps.path), "give another target"
        )
    from sklearn.model_selection import train_test_split

    try:
        train, test = train_test_split(
            np.flatnonzero(labelled), test_size=HELD_OUT, random_state=0, stratify=maps.labels[labelled]
        )
    except ValueError as error:
        raise UserError(
            "too few labelled maps to hold out a test split", f"{labelled.sum()} in {maps.path}", "give more"
        ) from error
    return (
        np.sort(train),
        np.sort(test),
        f"{HELD_OUT:.0%} held out at random, stratified, seed 0; pretraining saw these maps, without labels",
    )


def _probe_row(
    name: str,
    make: FeatureMaker,
    labels: NDArray[np.int64],
    train: NDArray[np.int64],
    test: NDArray[np.int64],
    seeds: tuple[int, ...],
    advance: Callable[[int, str], None],
) -> ProbeRow:
    scores, strengths, validation = [], [], []
    neighbours = dimensions = 0.0
    for place, seed in enumerate(seeds):
        if place == 0 or name == "untrained network":
            features = make(seed)
        fitted = fit_probe(features[train], labels[train], seed)
        scores.append(accuracy(fitted, features[test], labels[test]))
        strengths.append(fitted.strength)
        validation.append(fitted.cross_validation)
        if place == 0:
            neighbours = neighbour_accuracy(features[train], labels[train], features[test], labels[test])
            dimensions = features.shape[1]
        advance(1, name)
    mean = float(np.mean(scores))
    return ProbeRow(
        features=name,
        dimensions=int(dimensions),
        mean=mean,
        std=float(np.std(scores, ddof=1)) if len(scores) > 1 else float("nan"),
        standard_error=float(np.sqrt(mean * (1 - mean) / len(test))),
        neighbours=neighbours,
        accuracies=tuple(scores),
        strengths=tuple(strengths),
        cross_validation=tuple(validation),
    )
