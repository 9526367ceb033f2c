"""Probe a run: score its features and the training-free baselines with the same probes.

Each row of the table is one kind of features (``downstream.probes.compared_features``), each column
one probe (``downstream.probes.rows``). Test labels are sealed
(``downstream.probes.sealed_labels``), so no choice can depend on them.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.maps.reader import MapFile
from downstream.features.kmeans_patches import PatchConfig
from downstream.probes.cache import BaselineCache, describe_code
from downstream.probes.compared_features import TRAINED, UNTRAINED, FeatureRow, list_feature_rows
from downstream.probes.layer_choice import ALL, AUTO, LayerChoice, choose_candidate_layers, choose_layer
from downstream.probes.rotated_maps import Pose, rotate_maps
from downstream.probes.rows import DEFAULT_PROBES, PROTOCOLS, ProbeRow, Split, check_probes, make_row, score_row
from downstream.probes.sealed_labels import SealedLabels
from pretext.data.training_split import check_same_basis
from pretext.networks.feature_layers import DEFAULT
from pretext.runs.trained_run import TrainedRun
from pretext.training.distributed import ALONE, Distributed
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.progress import progress

HELD_OUT = 0.25  # Share of the labelled maps that is held out if a file has no test split.
SHARED_PROTOCOL = (
    "standardised on train; last checkpoint; test scored once per seed; seeds draw the folds, and the initial "
    "parameters of the untrained network"
)


@dataclass(frozen=True)
class ProbeTable:
    """Scores of a run and of its baselines, with the circumstances.

    Attributes
    ----------
    target : str
        Data set of the labelled maps.
    run : str
        Folder of the run.
    train, test : int
        Numbers of labelled maps in the training split and in the test split.
    classes : int
        Number of classes in the training split.
    class_names : tuple of str
        Names of the classes in label order, as in the confusion matrices.
    split : str
        Origin of the split.
    seeds : tuple of int
        Seeds of the fitted probes.
    probes : tuple of str
        Names of the requested probes.
    pose : str
        Pose of the objects in both splits.
    pose_seed : int
        Seed of the rotations.
    layer : str
        Requested layer: its name, "auto" or "all".
    layer_choices : tuple of LayerChoice
        Choice for each network with "auto", made inside the training split.
    rows : tuple of ProbeRow
        Rows of the table.
    """

    target: str
    run: str
    train: int
    test: int
    classes: int
    class_names: tuple[str, ...]
    split: str
    seeds: tuple[int, ...]
    probes: tuple[str, ...]
    pose: str
    pose_seed: int
    layer: str
    layer_choices: tuple[LayerChoice, ...]
    rows: tuple[ProbeRow, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the table for JSON, with a description of the protocol."""
        protocol = "; ".join([SHARED_PROTOCOL, *(PROTOCOLS[probe] for probe in self.probes)])
        return {**asdict(self), "protocol": protocol}


def probe_run(
    run: TrainedRun,
    maps: MapFile,
    seeds: tuple[int, ...] = (0, 1, 2),
    *,
    probes: Sequence[str] = DEFAULT_PROBES,
    pose: Pose = "aligned",
    pose_seed: int = 0,
    layer: str = DEFAULT,
    references: bool = False,
    patches: PatchConfig | None = None,
    cache: BaselineCache | None = None,
    processes: Distributed = ALONE,
) -> ProbeTable:
    """Probe a run and its training-free baselines on a labelled map file.

    Parameters
    ----------
    run : TrainedRun
        Run to probe.
    maps : MapFile
        Labelled maps with the basis of the run.
    seeds : tuple of int
        Seeds of the fitted probes.
    probes : sequence of str
        Names of probes, from ``downstream.probes.rows.PROBES``.
    pose : {"aligned", "vertical", "so3"}
        Rotation of the objects in both splits, see ``downstream.probes.rotated_maps``.
    pose_seed : int
        Seed of the rotations.
    layer : str
        Layer of the networks whose activations are the features
        (``pretext.networks.feature_layers``). "auto" chooses the best layer of each network by
        cross-validation inside the training split. "all" adds a row for each layer of the trained
        network.
    references : bool
        Whether to add features that others learnt with labels (images only).
    patches : PatchConfig, optional
        Settings of the k-means patch features (images only).
    cache : BaselineCache, optional
        Cache of the scores that do not depend on the run.
    processes : Distributed
        Processes that share the rows. All get the whole table.

    Returns
    -------
    ProbeTable
        Scores of all rows.

    Raises
    ------
    UserError
        If the maps have another basis or too few labels, or a probe, pose or layer is unknown or
        not possible here.
    """
    requested = check_probes(probes)
    check_same_basis(run.basis, maps)
    train, test, origin = split_labelled_rows(maps)
    # From here on only the training labels can be read; those of the test split are sealed.
    split = Split(train, test, maps.labels[train], SealedLabels(maps.labels[test]), len(_name_classes(maps)))
    rotated = rotate_maps(maps, pose, pose_seed)
    choices = _choose_layers(run, rotated, split, seeds[0]) if layer == AUTO else ()
    feature_rows = list_feature_rows(
        run if layer in (AUTO, ALL) else run.at_layer(layer),
        rotated,
        train,
        layers={choice.row: choice.layer for choice in choices},
        more_layers=choose_candidate_layers(run.layers()) if layer == ALL else (),
        references=references,
        patches=patches,
    )
    scorer = _RowScorer(split, seeds, requested, _describe_maps(maps, split, pose, pose_seed, seeds), cache)
    return ProbeTable(
        target=maps.source,
        run=str(run.folder),
        train=len(train),
        test=len(test),
        classes=len(np.unique(split.labels)),
        class_names=_name_classes(maps),
        split=origin,
        seeds=seeds,
        probes=requested,
        pose=pose,
        pose_seed=pose_seed,
        layer=layer,
        layer_choices=choices,
        rows=_score_rows(scorer, feature_rows, processes),
    )


@dataclass(frozen=True)
class _RowScorer:
    """Scores rows of the table, and uses the cache for scores that do not depend on the run.

    Attributes
    ----------
    split : Split
        Training split and test split.
    seeds : tuple of int
        Seeds of the fitted probes.
    probes : tuple of str
        Names of the requested probes.
    about_maps : dict
        Part of the cache key that describes the maps.
    cache : BaselineCache or None
        Cache of the scores.
    """

    split: Split
    seeds: tuple[int, ...]
    probes: tuple[str, ...]
    about_maps: dict[str, Any]
    cache: BaselineCache | None

    def score(self, row: FeatureRow) -> ProbeRow:
        """Compute the scores of a row that are not in the cache, and store them there."""
        # Scores are cached for each probe, so that one more probe needs no other scores.
        keys = {probe: self._make_key(row, probe) for probe in self.probes}
        cached = {}
        for probe, key in keys.items():
            scores = self.cache.find(key) if self.cache and key else None
            if scores is not None:
                cached[probe] = scores
        missing = tuple(probe for probe in self.probes if probe not in cached)
        computed = score_row(row, self.split, self.seeds, missing) if missing else {}
        for probe, scores in computed.items():
            key = keys[probe]
            if self.cache and key:
                self.cache.store(key, scores)
        return make_row(row.name, {**cached, **computed}, len(self.split.test), cached=not missing)

    def _make_key(self, row: FeatureRow, probe: str) -> dict[str, Any] | None:
        """Make the cache key of a score; None for features of the run, which are always computed."""
        if row.settings is None:
            return None
        return {
            "row": row.name,
            "settings": row.settings,
            "probe": probe,
            "protocol": [SHARED_PROTOCOL, PROTOCOLS[probe]],
            "computed by": describe_code(*row.code),
            **self.about_maps,
        }


def _choose_layers(run: TrainedRun, maps: MapFile, split: Split, seed: int) -> tuple[LayerChoice, ...]:
    """Choose the best layer of the untrained and of the trained network inside the training split."""
    networks = {UNTRAINED: run.untrained(seed), TRAINED: run}
    return tuple(
        choose_layer(name, network, maps, split.train, split.labels, seed) for name, network in networks.items()
    )


def _describe_maps(maps: MapFile, split: Split, pose: Pose, pose_seed: int, seeds: tuple[int, ...]) -> dict[str, Any]:
    """Return the part of a cache key that describes maps, labels, pose and seeds."""
    return {
        "maps": maps.digest,
        "labels": sha256(maps.labels.tobytes() + split.train.tobytes() + split.test.tobytes()).hexdigest(),
        "pose": [pose, pose_seed],
        "seeds": list(seeds),
    }


def _score_rows(scorer: _RowScorer, feature_rows: Sequence[FeatureRow], processes: Distributed) -> tuple[ProbeRow, ...]:
    """Compute all rows; the processes share the work, and all get the result."""
    rows = []
    with progress("probe", len(feature_rows)) as advance:
        for row in processes.run_in_turn([partial(scorer.score, row) for row in feature_rows]):
            rows.append(row)
            advance(1, row.features)
    return tuple(processes.share_with_all(rows))


def split_labelled_rows(maps: MapFile) -> tuple[NDArray[np.int64], NDArray[np.int64], str]:
    """Return the labelled rows of the training split and of the test split.

    If the file has no test split, a quarter of the rows is held out at random, stratified by class.

    Returns
    -------
    train, test : ndarray, shapes (N,) and (T,), int64
        Rows of the two splits.
    origin : str
        Origin of the split.

    Raises
    ------
    UserError
        If there are no labels, or too few to hold some out.
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


def _name_classes(maps: MapFile) -> tuple[str, ...]:
    """Return the names of the classes; labels without a name have their number as the name."""
    count = max(len(maps.classes), int(maps.labels.max()) + 1)
    return tuple(maps.classes[label] if label < len(maps.classes) else str(label) for label in range(count))
