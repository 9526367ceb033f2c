"""``cluster``: cluster the samples of a feature file or of your files, and compare the clusters with the classes."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from downstream.features.cached import load_cached_features
from downstream.features.clusters import Clustering, cluster_features, compute_neighbour_purity, score_clusters
from downstream.features.export import describe_features
from downstream.features.store import Features, is_feature_file, read_features
from pretext.neighbours.exact import Metric
from pretext.runs.trained_run import TrainedRun
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.files import atomic_path, expand_home, refuse_empty, refuse_existing
from spectral_ssl.ground.progress import busy
from spectral_ssl.ground.provenance import created_by
from spectral_ssl.ground.workspace import Workspace
from spectral_ssl.planning.inputs.choose_run import RunArgument, choose_run
from spectral_ssl.planning.inputs.open_data import check_path, is_map_file, name_paths, open_data

SCHEMA = "spectral-ssl clusters 1"
EXAMPLES = 3  # ids of each cluster that are listed


def cluster(
    features: str | Path,
    *,
    clusters: int | None = None,
    how: Clustering = "kmeans",
    split: str | None = None,
    neighbours: bool = False,
    metric: Metric = "l1",
    seed: int = 0,
    run: str | Path | TrainedRun | None = None,
    encoder: str | Path | TrainedRun | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    workspace: str | Path | None = None,
) -> dict[str, Any]:
    """Cluster a feature file, a map file or a folder of your files without its labels.

    Features are standardised first. Principal components (``export --components``) keep their scale.

    Parameters
    ----------
    features : path
        A feature file, see ``export`` and ``embed``. Or a map file, a folder of your files or the
        name of a data set, whose features are computed and stored in ``WS/cache``.
    clusters : int, optional
        The number of clusters; the number of classes by default.
    how : {"kmeans", "spectral"}
        k-means, the best of 10 starts, or spectral clustering of the graph of 10 neighbours.
    split : str, optional
        The split to cluster; all samples by default.
    neighbours : bool
        Whether to count the 1st, 2nd and 5th neighbours that have the class of the sample.
    metric : {"l1", "l2"}
        The distance for these neighbours.
    seed : int
        The seed of the clustering.
    run, encoder : path, name or TrainedRun, optional
        The run or the encoder that makes the features of maps and folders, see ``neighbors``.
    out : path, optional
        The HDF5 file, ``FEATURES-clusters.h5`` by default, ``WS/features/NAME-clusters.h5`` of a
        folder: ``/ids``, ``/clusters`` (N,) int64.
    overwrite : bool
        Whether an existing file may be replaced.
    workspace : path, optional
        The workspace folder, see ``Workspace.find``.

    Returns
    -------
    dict
        ``path``, ``samples``, ``clusters``; ``groups``: dicts of ``cluster``, ``samples`` and
        ``examples`` (the ids of at most three), the largest first; ``scores`` (NMI, ARI, purity) if there are labels of
        several classes; ``neighbours`` if they were asked for.

    Raises
    ------
    UserError
        When the features cannot be read or made, the split is empty, or there are fewer samples
        than clusters.

    Examples
    --------
    >>> import spectral_ssl
    >>> path = spectral_ssl.export(run, out=folder / "features.h5")
    >>> result = spectral_ssl.cluster(path, split="test")
    >>> result["clusters"], sorted(result["scores"])
    (2, ['ARI', 'NMI', 'purity'])
    """
    refuse_empty(features=features, out=out, run=run, encoder=encoder, workspace=workspace)
    path, home = Path(features), Workspace.find(workspace)
    is_features = is_feature_file(expand_home(path))
    folder = path.parent if is_map_file(path) else home.root / "features"
    target = Path(out) if out else folder / f"{name_paths([path])}-clusters.h5"
    refuse_existing(target, overwrite)
    if is_features and (run is not None or encoder is not None):
        raise UserError("--run and --encoder are for maps and folders", str(path), "leave them out: it holds features")
    stored = read_features(expand_home(path)) if is_features else _compute_features(path, run, encoder, home)
    rows = np.arange(len(stored.ids)) if split is None else np.flatnonzero(stored.splits == split)
    if not len(rows):
        raise UserError(
            f"no samples in split {split!r}", str(path), f"give one of: {', '.join(sorted(set(stored.splits)))}"
        )
    if clusters is None and len(stored.classes) < 2:
        raise UserError(
            "an unknown number of clusters", f"{len(stored.classes)} class names in {path}", "give --clusters"
        )
    count = len(stored.classes) if clusters is None else clusters
    values, labels = stored.values[rows], stored.labels[rows]
    with busy(f"clustering {len(rows)} samples"):
        assigned = cluster_features(values, count, how, seed, standardise=not stored.has_components)
    result: dict[str, Any] = {"path": str(target), "samples": len(rows), "clusters": count, "how": how, "scores": {}}
    result["groups"] = _list_groups(assigned, [stored.ids[row] for row in rows.tolist()])
    if len(np.unique(labels[labels >= 0])) > 1:
        result["scores"] = score_clusters(assigned, labels)
    if neighbours:
        result["neighbours"] = compute_neighbour_purity(values, labels, metric=metric)
    with atomic_path(target, overwrite=overwrite) as temporary, h5py.File(temporary, "w") as file:
        file.create_dataset("ids", data=[stored.ids[row] for row in rows.tolist()], dtype=h5py.string_dtype())
        file.create_dataset("clusters", data=assigned)
        about = {"schema_version": SCHEMA, "features": str(path), "how": how, "seed": seed, "created_by": created_by()}
        file.attrs.update({**about, **result["scores"], "checkpoint_digest": stored.about["checkpoint_digest"]})
    return result


def _list_groups(assigned: NDArray[np.int64], ids: list[str]) -> list[dict[str, Any]]:
    """List the clusters (N,) with their sizes and a few ids, the largest first."""
    sizes = np.bincount(assigned)
    groups = []
    for cluster in np.argsort(-sizes, kind="stable").tolist():
        members = np.flatnonzero(assigned == cluster)
        examples = [ids[row] for row in members[:EXAMPLES].tolist()]
        groups.append({"cluster": cluster, "samples": len(members), "examples": examples})
    return groups


def _compute_features(path: Path, run: RunArgument, encoder: RunArgument, home: Workspace) -> Features:
    """Compute the features of a map file, a folder or a data set, or load them from the cache."""
    check_path(path)
    if is_map_file(path) and not expand_home(path).is_file():
        read_features(path)  # raises the error for a missing file
    trained = choose_run(run, encoder, home)
    maps = open_data(path, trained, home)
    return describe_features(trained, maps, load_cached_features(trained, maps, home.root / "cache"))
