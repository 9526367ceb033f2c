"""The cache of baselines: used where nothing changed, and nowhere else."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import write_random_maps

import spectral_ssl
from data_prep.basis import zernike_basis
from data_prep.maps.reader import MapFile
from downstream.probes import cache as baseline_cache
from downstream.probes import table as probe
from downstream.probes.cache import BaselineCache
from downstream.probes.table import ProbeTable, probe_run
from pretext.runs.trained_run import TrainedRun

TINY = ("steps=2", "width=4", "code=8", "hidden=8")
BASELINES = ["raw coefficients", "PCA", "rotation invariants", "ring norms", "untrained network"]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("downstream.probes.cross_validation.FOLDS", 2)
    monkeypatch.setattr("downstream.probes.classifiers.logistic.STRENGTHS", (1e-3, 1e-1))


@pytest.fixture(scope="module")
def maps(tmp_path_factory: pytest.TempPathFactory) -> MapFile:
    return write_random_maps(tmp_path_factory.mktemp("maps") / "maps.h5", zernike_basis(3))


@pytest.fixture(scope="module")
def runs(maps: MapFile, tmp_path_factory: pytest.TempPathFactory) -> dict[str, TrainedRun]:
    """One run, one of another seed and training, and one of another network."""
    folder = tmp_path_factory.mktemp("runs")
    settings = {"run": (), "other": ("batch_size=16", "train.seed=1"), "wider": ("width=6",)}
    return {
        name: spectral_ssl.pretrain(maps, epochs=1, settings=(*TINY, *its), out=folder / name)
        for name, its in settings.items()
    }


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """The (row, probe) pairs that were computed, not found."""
    found: list[tuple[str, str]] = []
    original = probe.score_row

    def spy(row: Any, evaluation: Any, probes: Any) -> Any:
        found.extend((row.name, name) for name in probes)
        return original(row, evaluation, probes)

    monkeypatch.setattr(probe, "score_row", spy)
    return found


def quick(run: TrainedRun, maps: MapFile, cache: BaselineCache | None, **options: Any) -> ProbeTable:
    return probe_run(run, maps, **{"seeds": 1, "probes": ["neighbours"], "cache": cache, **options})


def test_a_second_run_computes_its_own_row_only_and_gets_the_same_baselines(
    maps: MapFile, runs: dict[str, TrainedRun], computed: list[tuple[str, str]], tmp_path: Path
) -> None:
    cache = BaselineCache(tmp_path / "cache")
    first, second = runs["run"], runs["other"]
    table = quick(first, maps, cache, probes=["linear", "neighbours"], seeds=2)
    assert [name for name, probe in computed if probe == "linear"] == [*BASELINES, "trained network"]
    assert not any(row.cached for row in table.rows)
    assert len(list((tmp_path / "cache").glob("probe-*.json"))) == 2 * len(BASELINES)

    computed.clear()
    again = quick(second, maps, cache, probes=["linear", "neighbours"], seeds=2)
    assert computed == [("trained network", "linear"), ("trained network", "neighbours")]
    assert [row.cached for row in again.rows] == [True] * 5 + [False]
    for one, two in zip(table.rows[:5], again.rows[:5], strict=True):
        assert repr(replace(one, cached=True)) == repr(two)  # as text, for NaN is not equal to itself
    computed.clear()
    fresh = quick(second, maps, None, probes=["linear", "neighbours"], seeds=2)
    assert len(computed) == 12
    assert [row.accuracies for row in fresh.rows] == [row.accuracies for row in again.rows]


def test_one_more_probe_costs_that_probe_only(
    maps: MapFile, runs: dict[str, TrainedRun], computed: list[tuple[str, str]], tmp_path: Path
) -> None:
    cache, run = BaselineCache(tmp_path / "cache"), runs["run"]
    quick(run, maps, cache)
    computed.clear()
    table = quick(run, maps, cache, probes=["neighbours", "retrieval"])
    assert computed[:5] == [(name, "retrieval") for name in BASELINES]
    assert 0 < table.rows[0].retrieval <= 1


@pytest.mark.parametrize("change", ["seeds", "pose", "pose seed", "maps", "labels", "code"])
def test_whatever_a_score_depends_on_is_a_part_of_its_key(
    change: str,
    maps: MapFile,
    runs: dict[str, TrainedRun],
    computed: list[tuple[str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cache, run = BaselineCache(tmp_path / "cache"), runs["run"]
    before: dict[str, Any] = {"pose": "vertical"} if change == "pose seed" else {}
    quick(run, maps, cache, **before)
    computed.clear()
    after: dict[str, Any] = {}
    if change == "seeds":
        after = {"seeds": 2}
    elif change == "pose":
        after = {"pose": "vertical"}
    elif change == "pose seed":
        after = {"pose": "vertical", "pose_seed": 1}
    elif change == "maps":
        maps = write_random_maps(tmp_path / "others.h5", zernike_basis(3), seed=1)
    elif change == "labels":
        maps = replace(maps, labels=(maps.labels + 1) % 3)  # the digest of the file says nothing of it
    else:
        monkeypatch.setattr(baseline_cache, "_source_digest", lambda package: "edited")
    quick(run, maps, cache, **after)
    assert [name for name, _ in computed] == [*BASELINES, "trained network"]


def test_the_untrained_network_is_that_of_the_config_and_not_of_the_training(
    maps: MapFile, runs: dict[str, TrainedRun], computed: list[tuple[str, str]], tmp_path: Path
) -> None:
    cache = BaselineCache(tmp_path / "cache")
    quick(runs["run"], maps, cache)
    computed.clear()
    quick(runs["other"], maps, cache)
    assert [name for name, _ in computed] == ["trained network"]
    computed.clear()
    quick(runs["wider"], maps, cache)
    assert [name for name, _ in computed] == ["untrained network", "trained network"]


@pytest.mark.parametrize("damage", ["{", "[]", '{"key": {}, "found": {}}'])
def test_a_damaged_or_foreign_entry_counts_as_none(damage: str, tmp_path: Path) -> None:
    cache = BaselineCache(tmp_path)
    key = {"row": "raw", "seeds": [0]}
    assert cache.find(key) is None
    cache.store(key, {"accuracy": 0.5, "nothing": float("nan")})
    assert cache.find(key)["accuracy"] == 0.5
    (path,) = tmp_path.iterdir()
    assert json.loads(path.read_text())["key"] == key
    path.write_text(damage)
    assert cache.find(key) is None


def test_the_choice_of_a_layer_is_not_taken_for_all_layers_together(
    maps: MapFile, runs: dict[str, TrainedRun], tmp_path: Path
) -> None:
    cache = BaselineCache(tmp_path)
    chosen = quick(runs["run"], maps, cache, layer="auto", split="cross-validation")
    together = "+".join(probe._list_candidates(runs["run"], maps))
    table = quick(runs["run"], maps, cache, layer=together, split="cross-validation")
    rows = {row.features: row for row in table.rows}
    assert rows["PCA"].cached
    assert not rows["untrained network"].cached
    assert rows["untrained network"].dimensions == rows["trained network"].dimensions
    assert rows["untrained network"].dimensions > chosen.rows[-1].dimensions
