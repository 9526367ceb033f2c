"""How classes lie in a space of features: neighbours of the same class, and clusters against classes.

Durall et al. (VISAPP 2021, table 2) use the share of samples whose 1st, 2nd and 5th neighbour has their class as an
upper bound of what a GAN conditioned on these features can reach.
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pretext.neighbours.exact import Metric, exact_neighbours
from spectral_ssl.ground.errors import UserError, unknown_name

Clustering = Literal["kmeans", "spectral"]
CLUSTERINGS = ("kmeans", "spectral")
MOST_SPECTRAL = 20_000
ITERATIONS, RESTARTS = 50, 5
GRAPH_NEIGHBOURS = 10


def neighbour_purity(
    features: NDArray[Any],
    labels: NDArray[np.int64],
    orders: Sequence[int] = (1, 2, 5),
    metric: Metric = "l1",
    threads: int | None = None,
) -> dict[int, float]:
    """Share of samples whose n-th neighbour has their class.

    Parameters
    ----------
    features : ndarray, shape (N, D), floating
        Samples without a label (negative) are left out.
    labels : ndarray, shape (N,), int64
    orders : sequence of int
        Which neighbours, from 1 on.
    metric : {"l1", "l2"}
    threads : int, optional
        All processors by default.

    Returns
    -------
    dict of int to float
        Chance is the sum of the squared shares of the classes.

    Raises
    ------
    UserError
        When there is but a single class, or as ``exact_neighbours``.
    """
    known = labels >= 0
    if len(np.unique(labels[known])) < 2:
        raise UserError("a single class", f"{int(known.sum())} labelled samples", "neighbours of one class say nothing")
    kept = labels[known]
    nearest = exact_neighbours(features[known], max(orders), metric, threads=threads).nearest
    return {order: float(np.mean(kept[nearest[:, order - 1]] == kept)) for order in orders}


def cluster_features(
    features: NDArray[Any], clusters: int, how: Clustering = "kmeans", seed: int = 0
) -> NDArray[np.int64]:
    """Put samples into clusters, without looking at labels.

    Parameters
    ----------
    features : ndarray, shape (N, D), floating
        Standardised here, dimension by dimension.
    clusters : int
        Number K of clusters.
    how : {"kmeans", "spectral"}
        faiss k-means, the best of 5 starts; or scikit-learn's spectral clustering of the graph of 10 neighbours, for up
        to 20,000 samples.
    seed : int

    Returns
    -------
    ndarray, shape (N,), int64
        From 0 to K - 1.

    Raises
    ------
    UserError
        When there are fewer samples than clusters, too many for ``spectral``, features are constant or not finite.
    """
    if how not in CLUSTERINGS:
        raise unknown_name("clustering", how, CLUSTERINGS)
    values = np.asarray(features, np.float32)
    if values.ndim != 2 or not np.isfinite(values).all():
        raise UserError("features that cannot be clustered", f"shape {values.shape}", "give finite (N, D)")
    if not 2 <= clusters <= len(values):
        raise UserError(
            "number of clusters", f"{clusters} of {len(values)} samples", "give at least 2, at most as many"
        )
    deviation = values.std(axis=0)
    if not (deviation > 0).any():
        raise UserError("constant features", f"{len(values)} times the same", "they say nothing; give other features")
    standard = (values - values.mean(axis=0)) / np.where(deviation > 0, deviation, 1)
    if how == "kmeans":
        return _kmeans(standard, clusters, seed)
    if len(values) > MOST_SPECTRAL:
        raise UserError("too many samples for spectral clustering", len(values), "take kmeans, or one split")
    from sklearn.cluster import SpectralClustering

    neighbours = min(GRAPH_NEIGHBOURS, len(values) - 1)
    model = SpectralClustering(clusters, affinity="nearest_neighbors", n_neighbors=neighbours, random_state=seed)
    return np.asarray(model.fit_predict(standard), np.int64)


def _kmeans(values: NDArray[np.float32], clusters: int, seed: int) -> NDArray[np.int64]:
    import faiss

    model = faiss.Kmeans(
        values.shape[1], clusters, niter=ITERATIONS, nredo=RESTARTS, seed=seed + 1,
        min_points_per_centroid=1, max_points_per_centroid=len(values),
    )  # fmt: skip
    model.train(np.ascontiguousarray(values))
    return np.asarray(model.index.search(np.ascontiguousarray(values), 1)[1][:, 0], np.int64)


def cluster_scores(clusters: NDArray[np.int64], labels: NDArray[np.int64]) -> dict[str, float]:
    """How clusters agree with classes: NMI (arithmetic mean of the entropies), ARI, and purity.

    Purity is the share of samples of the most frequent class of their cluster; it rises with the number of clusters.
    Samples without a label (negative) are left out.

    Raises
    ------
    UserError
        When there is but a single class.
    """
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    known = labels >= 0
    kept, found = labels[known], clusters[known]
    if len(np.unique(kept)) < 2:
        raise UserError("a single class", f"{int(known.sum())} labelled samples", "nothing to compare clusters with")
    table = np.zeros((int(found.max()) + 1, int(kept.max()) + 1), np.int64)
    np.add.at(table, (found, kept), 1)
    return {
        "NMI": float(normalized_mutual_info_score(kept, found)),
        "ARI": float(adjusted_rand_score(kept, found)),
        "purity": float(table.max(axis=1).sum() / len(kept)),
    }
