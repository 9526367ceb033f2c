"""Mining against brute force in another library, and the rules: itself, ties, duplicates, threads."""

from typing import Literal

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from pretext.neighbours import exact as mining
from pretext.neighbours.exact import find_batch_neighbours, find_exact_neighbours
from spectral_ssl.ground.errors import UserError

METRICS = ("l1", "l2")
NAMES = {"l1": "cityblock", "l2": "euclidean"}


def brute_force(features: np.ndarray, count: int, metric: str) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the nearest and the farthest others, in float64, the lowest row first among equals."""
    distances = cdist(features.astype(np.float64), features.astype(np.float64), NAMES[metric])
    np.fill_diagonal(distances, np.inf)
    nearest = np.argsort(distances, axis=1, kind="stable")[:, :count]
    np.fill_diagonal(distances, -np.inf)
    return nearest, np.argsort(-distances, axis=1, kind="stable")[:, :count]


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("scale", [1.0, 1e-25, 1e25])
def test_random_features_get_the_neighbours_of_brute_force(metric: Literal["l1", "l2"], scale: float) -> None:
    features = (scale * np.random.default_rng(0).normal(size=(700, 19))).astype(np.float32)
    found = find_exact_neighbours(features, 5, metric)
    nearest, farthest = brute_force(features, 5, metric)
    assert np.array_equal(found.nearest, nearest)
    assert np.array_equal(found.farthest, farthest)
    truth = cdist(features.astype(np.float64), features.astype(np.float64), NAMES[metric])
    assert np.allclose(found.nearest_distances, np.take_along_axis(truth, nearest, 1), rtol=1e-12, atol=0)
    assert np.allclose(found.farthest_distances, np.take_along_axis(truth, farthest, 1), rtol=1e-12, atol=0)


@pytest.mark.parametrize("metric", METRICS)
def test_ties_and_duplicates_go_to_the_lowest_row(metric: Literal["l1", "l2"]) -> None:
    # whole numbers: every distance is exact, and most are tied many times over
    features = np.random.default_rng(1).integers(0, 2, size=(400, 6)).astype(np.float32)
    found = find_exact_neighbours(features, 3, metric)
    nearest, farthest = brute_force(features, 3, metric)
    assert np.array_equal(found.nearest, nearest)
    assert np.array_equal(found.farthest, farthest)
    assert (found.nearest != np.arange(400)[:, None]).all()
    assert (found.nearest_distances[:, 0] == 0).mean() > 0.9  # a duplicate is a neighbour


@pytest.mark.parametrize("metric", METRICS)
def test_differences_below_the_rounding_of_float32_decide(metric: Literal["l1", "l2"]) -> None:
    # a cloud far from the origin with differences of single bits: sums in float32 cannot tell many of them apart
    steps = np.random.default_rng(2).integers(0, 30, size=(300, 40))
    features = (np.float32(1000) + steps * np.float32(2.0**-13)).astype(np.float32)
    features[:, 0] += 5000 * (np.arange(300) % 2)
    found = find_exact_neighbours(features, 2, metric)
    nearest, farthest = brute_force(features, 2, metric)
    assert np.array_equal(found.nearest, nearest)
    assert np.array_equal(found.farthest, farthest)


def test_threads_and_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    features = np.random.default_rng(3).normal(size=(300, 8)).astype(np.float32).round(1)
    first = find_exact_neighbours(features, 3, "l1", threads=1)
    monkeypatch.setattr(mining, "QUERIES_AT_ONCE", 7)
    second = find_exact_neighbours(features, 3, "l1", threads=3)
    for name in ("nearest", "farthest", "nearest_distances", "farthest_distances"):
        assert np.array_equal(getattr(first, name), getattr(second, name))


def test_some_rows_are_searched_as_all_of_them() -> None:
    features = np.random.default_rng(4).normal(size=(120, 5)).astype(np.float32)
    rows = np.array([7, 3, 119])
    assert np.array_equal(
        find_exact_neighbours(features, 4, rows=rows).farthest, find_exact_neighbours(features, 4).farthest[rows]
    )


def test_all_others_can_be_asked_for() -> None:
    features = np.random.default_rng(5).normal(size=(6, 3)).astype(np.float32)
    found = find_exact_neighbours(features, 5, "l2")
    assert np.array_equal(found.nearest, found.farthest[:, ::-1])
    assert (np.sort(np.c_[found.nearest, np.arange(6)]) == np.arange(6)).all()


@pytest.mark.parametrize("metric", METRICS)
def test_a_batch_is_mined_as_printed(metric: Literal["l1", "l2"]) -> None:
    features = np.random.default_rng(6).integers(0, 3, size=(64, 5)).astype(np.float32)
    nearest, farthest = find_batch_neighbours(torch.from_numpy(features), metric)
    true_nearest, true_farthest = brute_force(features, 1, metric)
    assert np.array_equal(nearest.numpy(), true_nearest[:, 0])
    assert np.array_equal(farthest.numpy(), true_farthest[:, 0])


def test_what_cannot_be_mined_is_refused() -> None:
    good = np.random.default_rng(7).normal(size=(5, 2)).astype(np.float32)
    with pytest.raises(UserError, match="fewer samples than neighbours"):
        find_exact_neighbours(good, 5)
    with pytest.raises(UserError, match="constant features"):
        find_exact_neighbours(np.ones((5, 2)))
    with pytest.raises(UserError, match="not finite"):
        find_exact_neighbours(np.where(good > 0, np.nan, good))
    with pytest.raises(UserError, match="shape of the features"):
        find_exact_neighbours(good[0])
    with pytest.raises(UserError, match="metric"):
        find_exact_neighbours(good, 1, "cosine")
    with pytest.raises(UserError, match="batch of one"):
        find_batch_neighbours(torch.ones(1, 3))
