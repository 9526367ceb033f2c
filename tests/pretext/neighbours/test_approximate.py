"""Approximate mining against the exact one."""

from typing import Literal

import numpy as np
import pytest

from pretext.neighbours import approximate as approximate_mining
from pretext.neighbours.approximate import find_approximate_neighbours
from pretext.neighbours.exact import find_exact_neighbours


def clusters(count: int, dimensions: int = 12) -> np.ndarray:
    generator = np.random.default_rng(0)
    centres = 3 * generator.normal(size=(40, dimensions))
    return (centres[generator.integers(40, size=count)] + generator.normal(size=(count, dimensions))).astype(np.float32)


@pytest.mark.parametrize("metric", ["l1", "l2"])
def test_the_recall_reported_is_the_recall(metric: Literal["l1", "l2"]) -> None:
    features = clusters(4000)
    found = find_approximate_neighbours(features, 2, metric, recall=0.9)
    truth = find_exact_neighbours(features, 2, metric)
    nearest = np.mean(found.neighbours.nearest[:, 0] == truth.nearest[:, 0])
    farthest = np.mean(found.neighbours.farthest[:, 0] == truth.farthest[:, 0])
    assert nearest >= 0.85
    assert farthest >= 0.85
    assert abs(found.nearest_recall - nearest) < 0.05
    assert abs(found.farthest_recall - farthest) < 0.05
    assert found.probes < found.cells  # it was not found by looking everywhere
    assert (found.neighbours.nearest != np.arange(4000)[:, None]).all()


def test_duplicates_are_neighbours_and_no_sample_its_own() -> None:
    features = clusters(1500)
    features[700:720] = features[3]
    found = find_approximate_neighbours(features, 1, "l2", recall=1.0)
    truth = find_exact_neighbours(features, 1, "l2")
    assert np.array_equal(found.neighbours.nearest[700:720], truth.nearest[700:720])
    assert np.mean(found.neighbours.nearest_distances == truth.nearest_distances) > 0.99
    assert (found.neighbours.nearest[:, 0] != np.arange(1500)).all()


def test_threads_change_nothing() -> None:
    features = clusters(1200)
    one, two = (find_approximate_neighbours(features, 1, "l1", recall=0.8, threads=threads) for threads in (1, 3))
    assert one.probes == two.probes
    assert np.array_equal(one.neighbours.nearest, two.neighbours.nearest)
    assert np.array_equal(one.neighbours.farthest, two.neighbours.farthest)


def test_cells_with_too_few_samples_are_made_up_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(approximate_mining, "FEWEST_PROBES", 1)
    features = clusters(200)
    found = find_approximate_neighbours(features, 120, "l2", recall=0.0)
    truth = find_exact_neighbours(features, 120, "l2")
    assert np.array_equal(found.neighbours.nearest, truth.nearest)
