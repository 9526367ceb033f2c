"""The probe bench: the score of a run's features beside the scores of everything that costs nothing.

Each row of the table is one kind of features (``downstream.probes.compared_features``), each column one probe
(``downstream.probes.rows``). Test labels are sealed (``downstream.probes.sealed_labels``): whatever chooses anything never
sees them.
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
from downstream.probes.layer_choice import ALL, AUTO, LayerChoice, choose_layer, choose_candidate_layers
from downstream.probes.rows import DEFAULT_PROBES, PROTOCOLS, ProbeRow, Split, check_probes, make_row, score_row
from downstream.probes.sealed_labels import SealedLabels
from downstream.probes.rotated_maps import Pose, rotate_maps
from pretext.data.training_split import check_same_basis
from pretext.networks.feature_layers import DEFAULT
from pretext.runs.trained_run import TrainedRun
from pretext.training.distributed import ALONE, Distributed
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.progress import progress

HELD_OUT = 0.25  # of the labelled maps, where a file has no test split of its own
SHARED_PROTOCOL = (
    "standardised on train; last checkpoint; test scored once per seed; seeds draw the folds, and the initial "
    "parameters of the untrained network"
)


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
    class_names : tuple of str
        In label order, as the confusion matrices are.
    split : str
        Whose split it is.
    seeds : tuple of int
    probes : tuple of str
        What was asked for.
    pose : str
        Of the objects, in both splits.
    pose_seed : int
    layer : str
        What was asked for: a layer's name, "auto" or "all".
    layer_choices : tuple of LayerChoice
        With "auto": what was chosen for each network, inside the training split.
    rows : tuple of ProbeRow
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
        """The table for JSON, with the protocol in words."""
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
    """Probe a run and its free baselines on a labelled map file.

    Parameters
    ----------
    run : TrainedRun
        The run.
    maps : MapFile
        Labelled maps of the run's basis.
    seeds : tuple of int
        Seeds of the protocol.
    probes : sequence of str
        Which of ``downstream.probes.rows.PROBES``.
    pose : {"aligned", "vertical", "so3"}
        How the objects of both splits are turned, see ``downstream.probes.rotated_maps``.
    pose_seed : int
        Draws the rotations.
    layer : str
        What of the networks the features are (``pretext.networks.feature_layers``). "auto": for each network the layer that is best by
        cross-validation inside the training split; "all": a row for each layer of the trained one.
    references : bool
        Whether to add features that others learnt with labels (images).
    patches : PatchConfig, optional
        Of the k-means patch features (images).
    cache : BaselineCache, optional
        Where scores that do not depend on the run are looked for and kept.
    processes : Distributed
        Those that share the rows; all get the table.

    Returns
    -------
    ProbeTable

    Raises
    ------
    UserError
        When the basis is another, there are too few labels, or a probe, pose or layer is unknown or does not fit.
    """
    asked = check_probes(probes)
    check_same_basis(run.basis, maps)
    train, test, split = split_labelled_rows(maps)
    # everything that depends on labels is given the training labels; those of the test split are sealed from here on
    parts = Split(train, test, maps.labels[train], SealedLabels(maps.labels[test]), len(_class_names(maps)))
    turned = rotate_maps(maps, pose, pose_seed)
    choices: tuple[LayerChoice, ...] = ()
    if layer == AUTO:
        networks = {UNTRAINED: run.untrained(seeds[0]), TRAINED: run}
        choices = tuple(
            choose_layer(name, network, turned, train, parts.labels, seeds[0]) for name, network in networks.items()
        )
    rows_of_table = list_feature_rows(
        run if layer in (AUTO, ALL) else run.at_layer(layer),
        turned,
        train,
        layers={choice.row: choice.layer for choice in choices},
        more_layers=choose_candidate_layers(run.layers()) if layer == ALL else (),
        references=references,
        patches=patches,
    )
    about_maps = {
        "maps": maps.digest,
        "labels": sha256(maps.labels.tobytes() + train.tobytes() + test.tobytes()).hexdigest(),
        "pose": [pose, pose_seed],
        "seeds": list(seeds),
    }

    def scored(row: FeatureRow) -> ProbeRow:
        # what was found is cached probe by probe, so that one more probe costs that probe only
        keys = {probe: _key(row, probe, about_maps) for probe in asked}
        found = {}
        for probe, key in keys.items():
            kept = cache.find(key) if cache and key else None
            if kept is not None:
                found[probe] = kept
        missing = tuple(probe for probe in asked if probe not in found)
        computed = score_row(row, parts, seeds, missing) if missing else {}
        for probe, scores in computed.items():
            key = keys[probe]
            if cache and key:
                cache.keep(key, scores)
        return make_row(row.name, {**found, **computed}, len(test), cached=not missing)

    with progress("probe", len(rows_of_table)) as advance:
        rows = []
        for done in processes.run_in_turn([partial(scored, row) for row in rows_of_table]):
            rows.append(done)
            advance(1, done.features)
    rows = processes.share_with_all(rows)
    return ProbeTable(
        target=maps.source,
        run=str(run.folder),
        train=len(train),
        test=len(test),
        classes=len(np.unique(maps.labels[train])),
        class_names=_class_names(maps),
        split=split,
        seeds=seeds,
        probes=asked,
        pose=pose,
        pose_seed=pose_seed,
        layer=layer,
        layer_choices=choices,
        rows=tuple(rows),
    )


def split_labelled_rows(maps: MapFile) -> tuple[NDArray[np.int64], NDArray[np.int64], str]:
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


def _key(row: FeatureRow, probe: str, about_maps: dict[str, Any]) -> dict[str, Any] | None:
    """What a score depends on; None for the run's own features, which are computed every time."""
    if row.settings is None:
        return None
    return {
        "row": row.name,
        "settings": row.settings,
        "probe": probe,
        "protocol": [SHARED_PROTOCOL, PROTOCOLS[probe]],
        "computed by": describe_code(*row.code),
        **about_maps,
    }


def _class_names(maps: MapFile) -> tuple[str, ...]:
    """The names of the classes; numbers for labels that have none."""
    count = max(len(maps.classes), int(maps.labels.max()) + 1)
    return tuple(maps.classes[each] if each < len(maps.classes) else str(each) for each in range(count))
