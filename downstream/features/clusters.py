"""Measure how classes are arranged in feature space: by nearest neighbours and by clusters.

Durall et al. (VISAPP 2021, table 2) measure the share of samples whose 1st, 2nd and 5th neighbour
has the same class. They use it as an upper bound for a GAN that is conditioned on the features.

Letters in shapes: N samples, D features, K clusters.
"""

import warnings
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from downstream.features.standardise import fit_scaler
from pretext.neighbours.exact import Metric, find_exact_neighbours
from spectral_ssl.ground.errors import UserError, unknown_name

Clustering = Literal["kmeans", "spectral"]
CLUSTERINGS = ("kmeans", "spectral")
MOST_SPECTRAL = 20_000
# Of 60 sets of 8 to 60 separated blobs, one start of k-means++ misses some blobs of 5, ten starts of none.
STARTS = 10
# Up to so many products N D K k-means is that of scikit-learn, about a minute of one core. Larger
# sets use faiss, which is faster.
MOST_PRODUCTS = 10**9
ITERATIONS = 50
STARTING_SAMPLES = 20_000  # from which the starts of a large set are drawn, and at least 50 a cluster
GRAPH_NEIGHBOURS = 10


def compute_neighbour_purity(
    features: NDArray[Any],
    labels: NDArray[np.int64],
    orders: Sequence[int] = (1, 2, 5),
    metric: Metric = "l1",
    threads: int | None = None,
) -> dict[int, float]:
    """Compute the share of samples whose n-th nearest neighbour has the same class.

    Parameters
    ----------
    features : ndarray, shape (N, D), floating
        Features of the samples. Samples without a label (negative) are left out.
    labels : ndarray, shape (N,), int64
        Class of each sample.
    orders : sequence of int
        Numbers n of the neighbours; 1 is the nearest.
    metric : {"l1", "l2"}
        Distance between features.
    threads : int, optional
        Number of threads. All processors are used by default.

    Returns
    -------
    dict of int to float
        Share for each n, from 0 to 1. Chance is the sum of the squared shares of the classes.

    Raises
    ------
    UserError
        If the labelled samples have a single class, and in all cases of ``find_exact_neighbours``.

    Notes
    -----
    The neighbours are exact. Source: Durall et al., VISAPP 2021, section 4.

    Examples
    --------
    >>> import numpy as np
    >>> from downstream.features import compute_neighbour_purity
    >>> features = np.array([[0.0], [1.0], [3.0], [3.5], [10.0]], np.float32)
    >>> compute_neighbour_purity(features, np.array([0, 0, 1, 0, 1]), orders=(1, 2))
    {1: 0.4, 2: 0.4}
    """
    is_labelled = labels >= 0
    if len(np.unique(labels[is_labelled])) < 2:
        raise UserError(
            "a single class",
            f"{int(is_labelled.sum())} labelled samples",
            "give samples of at least two classes: with one class every neighbour has the same class",
        )
    classes = labels[is_labelled]
    nearest = find_exact_neighbours(features[is_labelled], max(orders), metric, threads=threads).nearest
    return {order: float(np.mean(classes[nearest[:, order - 1]] == classes)) for order in orders}


def cluster_features(
    features: NDArray[Any],
    clusters: int,
    method: Clustering = "kmeans",
    seed: int = 0,
    *,
    standardise: bool = True,
) -> NDArray[np.int64]:
    """Assign samples to clusters without using labels.

    Parameters
    ----------
    features : ndarray, shape (N, D), floating
        Features of the samples.
    clusters : int
        Number K of clusters.
    method : {"kmeans", "spectral"}
        "kmeans": the best of 10 starts by k-means++, computed by scikit-learn, or by faiss if N D K
        is over 10^9. "spectral": spectral clustering of
        scikit-learn on the graph of 10 nearest neighbours, for at most 20,000 samples.
    seed : int
        Seed of the random number generation.
    standardise : bool
        Whether to standardise each feature before clustering. Principal components must keep their
        scale: standardised, those of little variance would count as much as the first.

    Returns
    -------
    ndarray, shape (N,), int64
        Cluster of each sample, from 0 to K - 1.

    Raises
    ------
    UserError
        If the method is unknown, there are fewer samples than clusters or too many for
        "spectral", there are fewer distinct samples than clusters, or the features are constant or
        not finite.

    Notes
    -----
    k-means minimises the sum over samples of min over k of ``|x - c_k|^2`` (S. Lloyd, *Least
    Squares Quantization in PCM*, 1982). It starts at samples that are far apart (D. Arthur, S.
    Vassilvitskii, *k-means++: The Advantages of Careful Seeding*, 2007). Spectral clustering: U. von
    Luxburg, *A Tutorial on Spectral Clustering*, 2007. Both find a local optimum, which need not be
    the global one. The clusters depend on the seed, but not on the number of threads.

    Examples
    --------
    >>> import numpy as np
    >>> from downstream.features import cluster_features
    >>> features = np.array([[0.0], [0.1], [9.0], [9.1]], np.float32)
    >>> clusters = cluster_features(features, 2)
    >>> bool(clusters[0] == clusters[1] != clusters[2] == clusters[3])
    True
    """
    if method not in CLUSTERINGS:
        raise unknown_name("clustering", method, CLUSTERINGS)
    values = np.asarray(features, np.float32)
    if values.ndim != 2 or not np.isfinite(values).all():
        raise UserError("features that cannot be clustered", f"shape {values.shape}", "give finite (N, D)")
    if not 2 <= clusters <= len(values):
        raise UserError(
            "number of clusters out of range",
            f"{clusters} clusters for {len(values)} samples",
            "give at least 2 and at most as many as there are samples",
        )
    scaler = fit_scaler(values)
    if np.isinf(scaler.scale_).all():
        raise UserError("constant features", f"{len(values)} equal samples", "give other features")
    standard: NDArray[np.float32] = np.ascontiguousarray(scaler.transform(values) if standardise else values)
    if method == "kmeans":
        return _run_kmeans(standard, clusters, seed)
    if len(values) > MOST_SPECTRAL:
        raise UserError("too many samples for spectral clustering", len(values), "use kmeans, or one split")
    from sklearn.cluster import SpectralClustering

    neighbours = min(GRAPH_NEIGHBOURS, len(values) - 1)
    model = SpectralClustering(clusters, affinity="nearest_neighbors", n_neighbors=neighbours, random_state=seed)
    return np.asarray(model.fit_predict(standard), np.int64)


def _run_kmeans(values: NDArray[np.float32], clusters: int, seed: int) -> NDArray[np.int64]:
    """Assign standardised samples (N, D) to clusters by k-means; return (N,)."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    if values.size * clusters > MOST_PRODUCTS:
        assigned = _run_large_kmeans(values, clusters, seed)
    else:
        # Several threads add up a centre in the order in which they finish, so that the sums would vary.
        with threadpool_limits(1, "openmp"), warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # raised for equal samples, see below
            assigned = KMeans(clusters, n_init=STARTS, random_state=seed).fit_predict(values).astype(np.int64)
    if len(np.unique(assigned)) < clusters:
        distinct = len(np.unique(values, axis=0))
        if distinct < clusters:
            raise UserError("fewer distinct samples than clusters", f"{distinct} for {clusters}", "give fewer clusters")
    return assigned


def _run_large_kmeans(values: NDArray[np.float32], clusters: int, seed: int) -> NDArray[np.int64]:
    """Assign many samples to clusters: the best of some runs of faiss, each from its own start by k-means++."""
    import faiss
    from sklearn.cluster import kmeans_plusplus

    generator = np.random.default_rng(seed)
    best, smallest = None, np.inf
    for _ in range(STARTS):
        drawn = generator.permutation(len(values))[: max(STARTING_SAMPLES, 50 * clusters)]
        start, _ = kmeans_plusplus(values[drawn], clusters, random_state=int(generator.integers(2**31)))
        model = faiss.Kmeans(
            values.shape[1], clusters, niter=ITERATIONS, seed=seed + 1,
            min_points_per_centroid=1, max_points_per_centroid=len(values),
        )  # fmt: skip
        model.train(values, init_centroids=start)
        squares, assigned = model.index.search(values, 1)
        error = float(squares.sum(dtype=np.float64))
        if error < smallest:
            best, smallest = assigned[:, 0], error
    return np.asarray(best, np.int64)


def score_clusters(clusters: NDArray[np.int64], labels: NDArray[np.int64]) -> dict[str, float]:
    """Compute how well clusters agree with classes.

    Parameters
    ----------
    clusters : ndarray, shape (N,), int64
        Cluster of each sample, not negative.
    labels : ndarray, shape (N,), int64
        Class of each sample. Samples without a label (negative) are left out.

    Returns
    -------
    dict of str to float
        ``NMI``, from 0 to 1: mutual information over the arithmetic mean of the two entropies.
        ``ARI``, at most 1: adjusted Rand index, 0 on average for random clusters.
        ``purity``, from 0 to 1: share of samples that belong to the most frequent class of their
        cluster. Purity rises with the number of clusters.

    Raises
    ------
    UserError
        If the labelled samples have a single class.

    Notes
    -----
    NMI and ARI are those of scikit-learn (N. X. Vinh et al., JMLR 2010; L. Hubert, P. Arabie,
    *Comparing partitions*, 1985).

    Examples
    --------
    >>> import numpy as np
    >>> from downstream.features import score_clusters
    >>> score_clusters(np.array([1, 1, 0, 0]), np.array([0, 0, 1, 1]))
    {'NMI': 1.0, 'ARI': 1.0, 'purity': 1.0}
    """
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    is_labelled = labels >= 0
    classes, assigned = labels[is_labelled], clusters[is_labelled]
    if len(np.unique(classes)) < 2:
        raise UserError(
            "a single class", f"{int(is_labelled.sum())} labelled samples", "give samples of at least two classes"
        )
    table = np.zeros((int(assigned.max()) + 1, int(classes.max()) + 1), np.int64)
    np.add.at(table, (assigned, classes), 1)
    return {
        "NMI": float(normalized_mutual_info_score(classes, assigned)),
        "ARI": float(adjusted_rand_score(classes, assigned)),
        "purity": float(table.max(axis=1).sum() / len(classes)),
    }
