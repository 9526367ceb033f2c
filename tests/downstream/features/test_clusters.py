"""Purity of neighbours and clusters, against what is known of made-up features."""

from pathlib import Path

import numpy as np
import pytest

import spectral_ssl
from downstream.features import clusters as module
from downstream.features.clusters import cluster_features, compute_neighbour_purity, score_clusters
from downstream.features.store import ABOUT, Features, write_features
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


def make_separated_blobs(seed: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Make 4 to 48 blobs of 30 samples in 2 to 12 dimensions whose centres are at least 10 deviations apart."""
    generator = np.random.default_rng(seed)
    count, dimensions = int(generator.integers(4, 49)), int(generator.integers(2, 13))
    centres: list[np.ndarray] = []
    while len(centres) < count:
        centre = generator.uniform(-12, 12, dimensions) * count ** (1 / dimensions)
        if all(np.linalg.norm(centre - other) > 10 for other in centres):
            centres.append(centre)
    labels = np.repeat(np.arange(count), 30)
    samples = np.array(centres)[labels] + generator.normal(size=(len(labels), dimensions))
    order = generator.permutation(len(labels))
    return samples[order].astype(np.float32), labels[order], count


@pytest.mark.parametrize("most_products", [module.MOST_PRODUCTS, 0], ids=["scikit-learn", "faiss"])
def test_kmeans_finds_all_of_many_sets_of_separated_blobs(most_products: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_PRODUCTS", most_products)
    for seed in range(16):
        features, labels, count = make_separated_blobs(seed)
        assigned = cluster_features(features, count, seed=seed)
        assert score_clusters(assigned, labels)["ARI"] == 1.0, f"set {seed} of {count} blobs"
    assert np.array_equal(assigned, cluster_features(features, count, seed=seed))


def test_principal_components_keep_their_scale(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    labels = np.arange(300) % 3
    values = generator.normal(size=(300, 60)) * np.geomspace(1, 0.1, 60)
    values[:, :2] += 6 * np.stack([np.cos(2.1 * labels), np.sin(2.1 * labels)], axis=1)
    assert score_clusters(cluster_features(values, 3, standardise=False), labels)["ARI"] == 1.0
    about = dict.fromkeys(ABOUT, "") | {"pooling": "average; 60 principal components"}
    splits = np.full(300, "train")
    names = tuple("abc")
    # A file of components is clustered without standardisation, another one with it.
    for pooling, is_perfect in ((about["pooling"], True), ("average", False)):
        features = Features(
            values=values.astype(np.float32),
            ids=[str(row) for row in range(300)],
            labels=labels,
            splits=splits,
            classes=names,
            about=about | {"pooling": pooling},
        )
        write_features(tmp_path / "features.h5", features, overwrite=True)
        scores = spectral_ssl.cluster(tmp_path / "features.h5", overwrite=True)["scores"]
        assert (scores["ARI"] == 1.0) == is_perfect
    noise = 50 * generator.normal(size=(300, 1))
    assert score_clusters(cluster_features(np.hstack([values, noise]), 3, standardise=False), labels)["ARI"] < 0.2
    assert score_clusters(cluster_features(np.hstack([values[:, :4], noise]), 3), labels)["ARI"] == 1.0


@pytest.mark.parametrize("most_products", [module.MOST_PRODUCTS, 0], ids=["scikit-learn", "faiss"])
def test_equal_samples_cannot_be_more_clusters(most_products: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_PRODUCTS", most_products)
    features = np.repeat(np.array([[0.0, 1.0], [2.0, 3.0], [5.0, 4.0]], np.float32), 10, axis=0)
    assert len(np.unique(cluster_features(features, 3))) == 3
    with pytest.raises(UserError, match="fewer distinct samples than clusters"):
        cluster_features(features, 4)


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
    with pytest.raises(UserError, match="constant features"):
        cluster_features(5 + np.arange(10)[:, None] % 2 * np.full(3, 4.8e-7), 2)
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
