"""``probe``: score a run's features on a labelled target."""

from pathlib import Path
from typing import Any

import numpy as np

from data_prep.maps.reader import MapFile, open_maps
from downstream.features.kmeans_patches import PatchConfig
from downstream.figures.confusion import draw_confusion
from downstream.probes.cache import BaselineCache
from downstream.probes.protocol.splits import SMALL
from downstream.probes.table import ProbeTable, probe_run
from downstream.report.page import write_short_report
from pretext.networks.feature_layers import DEFAULT
from pretext.runs.origin import name_option, name_training_data
from pretext.runs.trained_run import TrainedRun
from pretext.training.distributed import join_processes
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.files import write_json
from spectral_ssl.ground.progress import say
from spectral_ssl.ground.provenance import environment
from spectral_ssl.ground.workspace import Workspace
from spectral_ssl.planning.find_data import open_target
from spectral_ssl.planning.inputs.choose_run import choose_run
from spectral_ssl.planning.options import takes_options
from spectral_ssl.planning.run_options import ProbeOptions


@takes_options(ProbeOptions)
def probe(options: ProbeOptions) -> dict[str, Any]:
    """Compute scores of a run's features, and of baselines that need no training, on a labelled target.

    If a launcher started several processes, they share the rows of the table.

    Returns
    -------
    dict
        The table and its circumstances, as written to ``RUN/probe-MAPS.json``
        (``probe-MAPS-POSE.json`` for rotated objects, ``probe-MAPS-LAYER.json`` for another layer),
        see docs/probing.md. ``verdict`` is one sentence: whether the trained network is shown to be
        better than the best training-free baseline. An earlier probe of the same map file is
        replaced. The confusion matrix of the trained network's linear probe is a PNG file next to
        it. Scores of the baselines are stored in ``WS/cache`` and not computed again.

    Raises
    ------
    UserError
        When run or target are missing, do not fit each other, or hold too few labels or classes; when
        features are not finite; when a probe or a pose is unknown or not for such maps.

    Examples
    --------
    >>> import spectral_ssl
    >>> table = spectral_ssl.probe(maps, run=run, seeds=1, probes=("neighbours",), report=False)
    >>> [row["features"] for row in table["rows"]]
    ['raw pixels', 'PCA', 'k-means patches', 'untrained network', 'trained network']
    """
    workspace = Workspace.find(options.workspace)
    target = options.target
    trained = choose_run(options.run, options.encoder, workspace)
    with join_processes() as processes:
        if isinstance(target, MapFile):
            maps = target
        else:
            maps = open_maps(processes.run_on_main(lambda: str(open_target(target, trained, workspace).path)))
        if options.centroids is not None and maps.basis.kind != "pixels":
            raise UserError("k-means patches are for images", f"--centroids on {maps.basis.kind} maps", "leave it out")
        table = probe_run(
            trained,
            maps,
            options.seeds,
            split=options.split,
            probes=options.probes,
            pose=options.pose,
            layer=trained.layer if options.layer == DEFAULT else options.layer,
            references=options.references,
            has_untrained=options.has_untrained,
            patches=None if options.centroids is None else PatchConfig(centroids=options.centroids),
            cache=BaselineCache(workspace.root / "cache"),
            processes=processes,
        )
    if options.split == "auto" and table.folds:
        _say_unused_split(maps)
    result = {
        **table.as_dict(),
        "maps": maps.path.name,
        "maps_digest": maps.digest,
        "encoder": name_option(trained)[1] if trained.name else None,
        "trained_on": name_training_data(trained),
        "trained_on_digest": trained.plan.data_digest,
        "unusable_objects": len(maps.failures),
        "checkpoint_digest": trained.checkpoint_digest,
        "environment": environment(),
    }
    # the name comes from the file's name, never from its content; a later probe of the same data
    # replaces the result
    stem = f"probe-{maps.path.stem}" + ("" if options.pose == "aligned" else f"-{options.pose}")
    stem += "" if options.layer == DEFAULT else f"-{options.layer}"
    path = trained.folder / f"{stem}.json"
    if processes.is_main:
        write_json(path, result)
        _draw_confusion(path.with_suffix(".png"), table, trained)
        if options.report:
            write_short_report(trained)
    return {**result, "path": str(path)}


def _say_unused_split(maps: MapFile) -> None:
    """Say that cross-validation leaves the file's own split unused, if that split could be used."""
    train, test = (maps.labels[maps.rows(name)] for name in ("train", "test"))
    known, scored = np.unique(train[train >= 0]), test[test >= 0]
    if len(scored) and len(known) > 1 and np.isin(scored, known).all():
        say(f"the test split of {len(scored)} is not used: fewer than {SMALL} labelled samples; `--split own` uses it")


def _draw_confusion(path: Path, table: ProbeTable, run: TrainedRun) -> None:
    """Draw the confusion matrix of the trained network's linear probe, if it was probed."""
    row = next(row for row in table.rows if row.features == "trained network")
    if row.confusion:
        accuracy = np.trace(row.confusion) / np.sum(row.confusion)
        title = f"{table.target}: linear probe of {run.folder.name}, {accuracy:.3f} right"
        draw_confusion(path, np.array(row.confusion), table.class_names, title)
