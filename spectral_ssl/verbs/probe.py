"""``probe``: an honest score for a run's features."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data_prep.maps.reader import MapFile, open_maps
from downstream.figures.confusion import draw_confusion
from downstream.probes.cache import BaselineCache
from downstream.probes.rotated_maps import Pose
from downstream.probes.rows import DEFAULT_PROBES
from downstream.probes.table import probe_run
from downstream.report.page import leave_report
from pretext.networks.feature_layers import DEFAULT
from pretext.runs.trained_run import TrainedRun, load_run
from pretext.training.distributed import join_processes
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.files import write_text
from spectral_ssl.ground.provenance import environment
from spectral_ssl.ground.workspace import Workspace
from spectral_ssl.planning.find_data import open_target


def probe(
    target: str | Path | MapFile | None = None,
    *,
    run: str | Path | TrainedRun | None = None,
    seeds: int = 3,
    probes: Sequence[str] = DEFAULT_PROBES,
    pose: Pose = "aligned",
    layer: str = DEFAULT,
    references: bool = False,
    report: bool = True,
    workspace: str | Path | None = None,
) -> dict[str, Any]:
    """Probe a run's features, and everything that costs nothing beside them, on a labelled target.

    Where a launcher started several processes they share the rows of the table.

    Parameters
    ----------
    target : str, path or MapFile, optional
        A data set's name (prepared with the run's own basis where it is not yet), or a map file; the data the run was
        trained on by default. Of other data too features are made with the run's own statistics.
    run : path or TrainedRun, optional
        The latest run by default.
    seeds : int
        Seeds 0 .. seeds - 1 of the protocol.
    probes : sequence of str
        Of linear, svm, layer, neighbours, few-shot, retrieval and fine-tune; see docs/probing.md.
    pose : {"aligned", "vertical", "so3"}
        The objects of both splits as they are, each turned at random about the vertical, or by any rotation.
    layer : str
        What of the network is probed: a name of ``list layers``, several joined by "+", "auto" (the best by
        cross-validation inside the training split) or "all" (a row for each).
    references : bool
        Whether to add features that others learnt with labels (images): an upper mark.
    report : bool
        Whether to write the run's short ``report.html`` anew.
    workspace : path, optional
        See ``Workspace.find``.

    Returns
    -------
    dict
        The table and its circumstances, as written to ``RUN/probe-MAPS.json`` (``probe-MAPS-POSE.json`` for turned
        objects, ``probe-MAPS-LAYER.json`` for another layer); an earlier probe of the same map file is replaced. The
        linear probe's confusion matrix of the trained network lies beside it as PNG. Scores of the baselines are kept
        in ``WS/cache`` and not computed again.

    Raises
    ------
    UserError
        When run or target are missing, do not fit each other, or hold too few labels; when a probe or a pose is
        unknown or not for such maps.
    """
    if not 1 <= seeds <= 100:
        raise UserError("number of seeds out of range", seeds, "give one from 1 to 100")
    place = Workspace.find(workspace)
    trained = run if isinstance(run, TrainedRun) else load_run(place.find_run(run))
    with join_processes() as processes:
        if isinstance(target, MapFile):
            maps = target
        else:
            maps = open_maps(processes.run_on_main(lambda: str(open_target(target, trained, place).path)))
        table = probe_run(
            trained,
            maps,
            tuple(range(seeds)),
            probes=probes,
            pose=pose,
            layer=layer,
            references=references,
            cache=BaselineCache(place.root / "cache"),
            processes=processes,
        )
    result = {
        **table.as_dict(),
        "maps": maps.path.name,
        "maps_digest": maps.digest,
        "trained_on": Path(trained.plan.data).name,
        "trained_on_digest": trained.plan.data_digest,
        "unusable_objects": len(maps.failures),
        "checkpoint_digest": trained.checkpoint_digest,
        "environment": environment(),
    }
    # named after the file, never after what a file says of itself; a later probe of the same data replaces it
    stem = f"probe-{maps.path.stem}" + ("" if pose == "aligned" else f"-{pose}")
    stem += "" if layer == DEFAULT else f"-{layer}"
    path = trained.folder / f"{stem}.json"
    if not processes.is_main:
        return {**result, "path": str(path)}
    write_text(path, json.dumps(without_nan(result), indent=1, allow_nan=False) + "\n")
    row = next(row for row in table.rows if row.features == "trained network")
    if row.confusion:
        title = f"{table.target}: linear probe of {trained.folder.name}, {row.accuracies[0]:.3f} right"
        draw_confusion(path.with_suffix(".png"), np.array(row.confusion), table.class_names, title)
    if report:
        leave_report(trained)
    return {**result, "path": str(path)}


def without_nan(value: Any) -> Any:
    """The same nested lists and dicts with None for NaN, which JSON cannot say."""
    if isinstance(value, dict):
        return {key: without_nan(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(part) for part in value]
    return None if isinstance(value, float) and math.isnan(value) else value
