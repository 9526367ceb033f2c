"""Purity of neighbours and clusters, against what is known of made-up features."""

import numpy as np
import pytest

from downstream.features.clusters import cluster_features, compute_neighbour_purity, score_clusters
from spectral_ssl.ground.errors import UserError


def blobs(samples: int = 240, apart: float = 8.0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    labels = np.arange(samples) % 4
    centres = apart * np.eye(4, 6)
    return (centres[labels] + generator.normal(size=(samples, 6))).astype(np.float32), labels


def test_purity_of_neighbours() -> None:
    features = np.array([[0.0], [1.0], [3.0], [3.5], [10.0]], np.float32)
    labels = np.array([0, 0, 1, 0, 1])
    # first neighbours: 1, 0, 3, 2, 3; second: 2, 2, 1 (at 2, before 0 at 3), 1, 2
    assert compute_neighbour_purity(features, labels, (1, 2)) == {1: 2 / 5, 2: 2 / 5}
    apart, classes = blobs()
    assert set(compute_neighbour_purity(apart, classes).values()) == {1.0}
    shuffled = np.random.default_rng(1).permutation(classes)
    assert compute_neighbour_purity(apart, shuffled)[5] < 0.4
    hidden = np.where(np.arange(len(classes)) < 200, classes, -1)
    assert compute_neighbour_purity(apart, hidden, (1,)) == {1: 1.0}


@pytest.mark.parametrize("how", ["kmeans", "spectral"])
@pytest.mark.filterwarnings("ignore:Graph is not fully connected")
def test_clusters_of_blobs_are_the_blobs(how: str) -> None:
    features, labels = blobs()
    clusters = cluster_features(features, 4, how)
    assert score_clusters(clusters, labels) == pytest.approx({"NMI": 1, "ARI": 1, "purity": 1})
    assert np.array_equal(clusters, cluster_features(features, 4, how))


def test_scores_of_clusters_that_are_not_the_classes() -> None:
    labels = np.array([0, 0, 0, 1, 1, 1])
    scores = score_clusters(np.array([0, 0, 1, 1, 1, 1]), labels)
    assert scores["purity"] == pytest.approx(5 / 6)
    assert 0 < scores["ARI"] < 1
    alone = score_clusters(np.zeros(6, np.int64), labels)
    assert alone == pytest.approx({"NMI": 0, "ARI": 0, "purity": 0.5})
    # a sample without a label plays no part
    assert score_clusters(np.array([0, 0, 1, 1, 1, 1, 0]), np.append(labels, -1)) == scores


def test_what_cannot_be_clustered_is_refused() -> None:
    features, labels = blobs(20)
    with pytest.raises(UserError, match="number of clusters"):
        cluster_features(features, 21)
    with pytest.raises(UserError, match="constant features"):
        cluster_features(np.ones((10, 3)), 2)
    with pytest.raises(UserError, match="finite"):
        cluster_features(np.full((10, 3), np.nan), 2)
    with pytest.raises(UserError, match="clustering"):
        cluster_features(features, 2, "kmean")
    with pytest.raises(UserError, match="a single class"):
        score_clusters(labels, np.zeros(20, np.int64))
    with pytest.raises(UserError, match="a single class"):
        compute_neighbour_purity(features, np.zeros(20, np.int64))
    with pytest.raises(UserError, match="fewer samples"):
        compute_neighbour_purity(features[:4], labels[:4])
