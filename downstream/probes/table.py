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

from data_prep.maps.reader import MapFile
from downstream.features.kmeans_patches import PatchConfig
from downstream.probes.cache import BaselineCache, describe_code
from downstream.probes.compared_features import TRAINED, UNTRAINED, FeatureRow, is_training_free, list_feature_rows
from downstream.probes.layer_choice import (
    ALL,
    AUTO,
    LayerChoice,
    choose_candidate_layers,
    choose_layer,
    summarise_choices,
)
from downstream.probes.protocol.row_scores import NOT_STORED, ProbeRow, make_row
from downstream.probes.protocol.splits import (
    Evaluation,
    SplitChoice,
    describe_imbalance,
    describe_pretraining,
    name_classes,
    plan_evaluation,
)
from downstream.probes.protocol.verdict import COMPARED, Verdict, compare_with_baselines
from downstream.probes.rotated_maps import Pose, rotate_maps
from downstream.probes.rows import DEFAULT_PROBES, PROTOCOLS, check_probes, score_row
from pretext.data.training_split import check_same_basis
from pretext.networks.feature_layers import DEFAULT
from pretext.runs.trained_run import TrainedRun
from pretext.training.distributed import ALONE, Distributed
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.progress import progress

SHARED_PROTOCOL = (
    "standardised on train (of each fold, as principal components, their number and all regularisation); last "
    "checkpoint; test scored once per seed; seeds draw the folds, and the initial parameters of the untrained network; "
    "intervals of 95 % (Wilson; Tango with a continuity correction for differences on the same samples); best "
    "training-free baseline chosen by its test score, which favours the baselines"
)
LARGEST_JOINED = 2**28  # Values of all layers held at a time (1 GB), if a layer is chosen in each fold.


@dataclass(frozen=True)
class ProbeTable:
    """Scores of a run and of its baselines, with the circumstances.

    Attributes
    ----------
    target : str
        Data set of the labelled maps.
    run : str
        Folder of the run.
    train : int
        Number of training samples: of the training split, or the fewest of a fold.
    test : int
        Number of scored samples: of the test split, or in cross-validation all labelled samples.
    classes : int
        Number of classes in the training split.
    class_names : tuple of str
        Names of the classes in label order, as in the confusion matrices.
    split : str
        Origin of the split.
    folds : int
        Number of folds of the cross-validation; 0 for the split of the data set.
    seeds : tuple of int
        Seeds of the fitted probes; in cross-validation one for each repeat.
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
    verdicts : tuple of Verdict
        Comparison of the trained network with the best training-free baseline, for each probe whose
        scores are shares of correct predictions; the first one is the headline.
    """

    target: str
    run: str
    train: int
    test: int
    classes: int
    class_names: tuple[str, ...]
    split: str
    folds: int
    seeds: tuple[int, ...]
    probes: tuple[str, ...]
    pose: str
    pose_seed: int
    layer: str
    layer_choices: tuple[LayerChoice, ...]
    rows: tuple[ProbeRow, ...]
    verdicts: tuple[Verdict, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the table for JSON, with a description of the protocol."""
        protocol = "; ".join([SHARED_PROTOCOL, *(PROTOCOLS[probe] for probe in self.probes)])
        table = asdict(self)
        for row in table["rows"]:
            for name in NOT_STORED:
                del row[name]
        return {**table, "verdict": self.verdict, "protocol": protocol}

    @property
    def verdict(self) -> str | None:
        """The headline: what the first requested probe shows, in one sentence; None without such a probe."""
        if not self.verdicts:
            return None
        first = self.verdicts[0]
        return f"{COMPARED[first.probe]}: {first.sentence}"


def probe_run(
    run: TrainedRun,
    maps: MapFile,
    seeds: int | None = None,
    *,
    split: SplitChoice = "auto",
    probes: Sequence[str] = DEFAULT_PROBES,
    pose: Pose = "aligned",
    pose_seed: int = 0,
    layer: str = DEFAULT,
    references: bool = False,
    has_untrained: bool = True,
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
    seeds : int, optional
        Number of seeds of the fitted probes, in cross-validation the number of repeats; see
        ``downstream.probes.protocol.splits.plan_evaluation``.
    split : {"auto", "own", "cross-validation"}
        Split of the labelled maps, likewise.
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
    has_untrained : bool
        Whether the table has the row of the untrained network.
    patches : PatchConfig, optional
        Settings of the k-means patch features (images only); by default as many centroids as the
        network has patch filters, at least 400.
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
    evaluation = plan_evaluation(maps, split, seeds)  # From here on the labels of held-out samples are sealed.
    rotated = rotate_maps(maps, pose, pose_seed)
    in_folds = layer == AUTO and evaluation.is_cross_validated
    choices = () if layer != AUTO or in_folds else _choose_layers(run, rotated, evaluation)
    listed = list_feature_rows(
        run if layer in (AUTO, ALL) else run.at_layer(layer),
        rotated,
        evaluation.learnt_on,
        layers={choice.row: choice.layer for choice in choices},
        candidates=_list_candidates(run, maps) if in_folds else (),
        more_layers=choose_candidate_layers(run.layers()) if layer == ALL else (),
        references=references,
        patches=patches,
    )
    feature_rows = [row for row in listed if has_untrained or row.name != UNTRAINED]
    described = _describe_maps(maps, evaluation, pose, pose_seed)
    rows = _score_rows(_RowScorer(evaluation, requested, described, cache), feature_rows, processes)
    if in_folds:
        choices = _summarise_layers(run, rows, evaluation)
    return ProbeTable(
        target=maps.source,
        run=str(run.folder),
        train=evaluation.train,
        test=len(evaluation.scored),
        classes=len(np.unique(maps.labels[evaluation.learnt_on])),
        class_names=name_classes(maps),
        split=evaluation.origin
        + describe_imbalance(maps, evaluation.scored)
        + describe_pretraining(maps, run.plan.data_digest, evaluation.scored),
        folds=evaluation.folds,
        seeds=evaluation.seeds,
        probes=requested,
        pose=pose,
        pose_seed=pose_seed,
        layer=layer,
        layer_choices=choices,
        rows=rows,
        verdicts=_reach_verdicts(rows, evaluation),
    )


def _summarise_layers(run: TrainedRun, rows: Sequence[ProbeRow], evaluation: Evaluation) -> tuple[LayerChoice, ...]:
    """Summarise which layers the folds of a cross-validation chose."""
    searched = [row for row in rows if row.layer_scores]
    return tuple(summarise_choices(row.features, row.layer_scores, run.layers(), evaluation.train) for row in searched)


@dataclass(frozen=True)
class _RowScorer:
    """Scores rows of the table, and uses the cache for scores that do not depend on the run.

    Attributes
    ----------
    evaluation : Evaluation
        Splits of each seed.
    probes : tuple of str
        Names of the requested probes.
    about_maps : dict
        Part of the cache key that describes the maps.
    cache : BaselineCache or None
        Cache of the scores.
    """

    evaluation: Evaluation
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
        computed = score_row(row, self.evaluation, missing) if missing else {}
        for probe, scores in computed.items():
            key = keys[probe]
            if self.cache and key:
                self.cache.store(key, scores)
        return make_row(row.name, {**cached, **computed}, len(self.evaluation.scored), cached=not missing)

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


def _choose_layers(run: TrainedRun, maps: MapFile, evaluation: Evaluation) -> tuple[LayerChoice, ...]:
    """Choose the best layer of the untrained and of the trained network inside the training split."""
    split, seed = evaluation.rounds[0][0], evaluation.seeds[0]
    networks = {UNTRAINED: run.untrained(seed), TRAINED: run}
    return tuple(
        choose_layer(name, network, maps, split.train, split.labels, seed) for name, network in networks.items()
    )


def _list_candidates(run: TrainedRun, maps: MapFile) -> tuple[str, ...]:
    """List the layers of which each fold chooses one; raise a UserError if their features need too much memory."""
    sizes = run.layers()
    names = (DEFAULT, *choose_candidate_layers(sizes))
    total = sum(sizes[name] for name in names)
    if total * len(maps) > LARGEST_JOINED:
        got = f"{total} features of {len(maps)} maps"
        raise UserError("too many features to choose a layer in each fold", got, "name a layer, see `list layers`")
    return names


def _reach_verdicts(rows: Sequence[ProbeRow], evaluation: Evaluation) -> tuple[Verdict, ...]:
    """Compare the trained network with the best training-free baseline by each probe that was requested."""
    trained = next(row for row in rows if row.features == TRAINED)
    baselines = [row for row in rows if is_training_free(row.features)]
    return tuple(
        compare_with_baselines(
            probe,
            trained.outcomes[probe],
            {row.features: row.outcomes[probe] for row in baselines},
            is_cross_validated=evaluation.is_cross_validated,
        )
        for probe in COMPARED
        if probe in trained.outcomes
    )


def _describe_maps(maps: MapFile, evaluation: Evaluation, pose: Pose, pose_seed: int) -> dict[str, Any]:
    """Return the part of a cache key that describes maps, labels, splits, pose and seeds."""
    splits = sha256(maps.labels.tobytes())
    for each in (split for splits_of_seed in evaluation.rounds for split in splits_of_seed):
        splits.update(each.train.tobytes() + each.test.tobytes())
    return {
        "maps": maps.digest,
        "labels": splits.hexdigest(),
        "pose": [pose, pose_seed],
        "seeds": list(evaluation.seeds),
    }


def _score_rows(scorer: _RowScorer, feature_rows: Sequence[FeatureRow], processes: Distributed) -> tuple[ProbeRow, ...]:
    """Compute all rows; the processes share the work, and all get the result."""
    rows = []
    # Rows of networks take longest, so the line names what is computed now.
    notes = [*(f"now: {row.name}" for row in feature_rows[1:]), "done"]
    with progress("probe", len(feature_rows)) as advance:
        scored = processes.run_in_turn([partial(scorer.score, row) for row in feature_rows])
        for row, note in zip(scored, notes, strict=False):  # only the main process gets the rows
            rows.append(row)
            advance(1, note)
    return tuple(processes.share_with_all(rows))
