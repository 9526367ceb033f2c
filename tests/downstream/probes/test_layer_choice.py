"""The layer that is chosen by itself: by the training split alone, and written down with all that was tried."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import write_random_maps
from typer.testing import CliRunner

import spectral_ssl
from data_prep.basis import zernike_basis
from data_prep.maps.reader import MapFile
from downstream.probes import layer_choice
from downstream.probes import rows as row_scores
from downstream.probes.layer_choice import choose_candidate_layers, choose_layer, draw_from_each_class
from downstream.probes.table import probe_run
from pretext.networks.feature_layers import DEFAULT
from pretext.runs.trained_run import TrainedRun
from spectral_ssl.cli.app import app
from spectral_ssl.ground.errors import UserError

TINY = ("width=4", "code=8")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainedRun, MapFile]:
    folder = tmp_path_factory.mktemp("layers")
    maps = write_random_maps(folder / "maps.h5", zernike_basis(6))
    return spectral_ssl.pretrain(maps, method="regression", epochs=1, settings=TINY, out=folder / "run"), maps


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("downstream.probes.cross_validation.FOLDS", 2)
    monkeypatch.setattr("downstream.probes.protocol.splits.OUTER_FOLDS", 3)
    monkeypatch.setattr("downstream.probes.classifiers.logistic.STRENGTHS", (1e-3, 1e-1))


def test_the_best_on_the_training_split_is_taken_and_of_equals_the_smallest(
    trained: tuple[TrainedRun, MapFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, maps = trained
    train = maps.rows("train")
    found = choose_layer("row", run, maps, train, maps.labels[train], 0)
    labels = maps.labels.copy()
    labels[maps.rows("test")] = -1
    assert choose_layer("row", run, replace(maps, labels=labels), train, maps.labels[train], 0) == found
    sizes = run.layers()
    assert set(found.scores) == {name for name in sizes if name != "bottleneck-flat"}  # that is the default
    best = max(found.scores.values())
    assert found.scores[found.layer] == best
    assert sizes[found.layer] == min(sizes[name] for name, score in found.scores.items() if score == best)
    assert found.samples == 48
    # A layer that contains the classes is always chosen.
    original = TrainedRun.encode_file

    def knowing(self: TrainedRun, maps: MapFile, rows: np.ndarray) -> np.ndarray:
        features = original(self, maps, rows)
        names = self.layer.split("+")
        start = sum(sizes[name] for name in names[: names.index("stage1-parts")])
        features[:, start : start + sizes["stage1-parts"]] = 0
        features[:, start : start + 3] = np.eye(3)[maps.labels[rows]]
        return features

    monkeypatch.setattr(TrainedRun, "encode_file", knowing)
    monkeypatch.setattr(layer_choice, "MOST_SAMPLES", 30)
    choice = choose_layer("row", run, maps, train, maps.labels[train], 0)
    assert choice.samples == 30
    assert choice.scores["stage1-parts"] == choice.scores[choice.layer] == 1


def test_layers_of_many_features_are_not_tried_but_named(
    trained: tuple[TrainedRun, MapFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, maps = trained
    train = maps.rows("train")
    monkeypatch.setattr(layer_choice, "MOST_FEATURES", 20)
    found = choose_layer("row", run, maps, train, maps.labels[train], 0)
    assert DEFAULT in found.scores
    assert found.not_tried
    assert set(found.scores).isdisjoint(found.not_tried)
    assert all(run.layers()[name] > 20 for name in found.not_tried)


def test_each_class_keeps_its_share() -> None:
    labels = np.repeat([0, 1, 2], [300, 96, 4])
    places = draw_from_each_class(labels, 100, 0)
    assert np.bincount(labels[places]).tolist() == [75, 24, 2]
    assert (np.diff(places) > 0).all()
    assert (places != draw_from_each_class(labels, 100, 1)).any()
    assert draw_from_each_class(labels, 1000, 0).tolist() == list(range(400))


def test_auto_chooses_for_each_network_and_the_choice_is_written(trained: tuple[TrainedRun, MapFile]) -> None:
    run, maps = trained
    result = spectral_ssl.probe(maps, run=run, layer="auto", split="own", seeds=1)
    assert [choice["row"] for choice in result["layer_choices"]] == ["untrained network", "trained network"]
    written = json.loads(Path(result["path"]).read_text())
    assert Path(result["path"]).name == "probe-maps-auto.json"
    assert written["layer"] == "auto"
    assert written["layer_choices"][1]["scores"] == result["layer_choices"][1]["scores"]
    for choice, row in zip(result["layer_choices"], result["rows"][-2:], strict=True):
        assert row["dimensions"] == run.layers()[choice["layer"]]
    named = spectral_ssl.probe(maps, run=run, layer=result["layer_choices"][1]["layer"], split="own", seeds=1)
    assert named["rows"][-1]["accuracies"] == result["rows"][-1]["accuracies"]
    assert spectral_ssl.probe(maps, run=run, seeds=1)["layer_choices"] == ()


def test_in_cross_validation_each_fold_chooses_its_layer(
    trained: tuple[TrainedRun, MapFile], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, maps = trained
    labels_seen = []
    original = row_scores.score_layers

    def spy(features: np.ndarray, labels: np.ndarray, *more: Any) -> dict[str, float]:
        labels_seen.append(len(labels))
        return original(features, labels, *more)

    monkeypatch.setattr(row_scores, "score_layers", spy)
    table = probe_run(run, maps, 1, probes=("neighbours",), layer="auto")
    assert labels_seen == [48] * 6  # 3 folds of 2 networks, never the 24 held-out samples
    for choice, row in zip(table.layer_choices, table.rows[-2:], strict=True):
        assert choice.row == row.features
        assert set(choice.scores) == {DEFAULT, *choose_candidate_layers(run.layers())}
        assert choice.scores[choice.layer] == max(choice.scores.values())
        means = {name: np.mean([each[name] for each in row.layer_scores]) for name in choice.scores}
        assert choice.scores == pytest.approx(means)
    monkeypatch.setattr("downstream.probes.table.LARGEST_JOINED", 1000)
    with pytest.raises(UserError, match="too many features to choose a layer"):
        probe_run(run, maps, 1, layer="auto")


def test_all_gives_each_layer_a_row(trained: tuple[TrainedRun, MapFile]) -> None:
    run, maps = trained
    sizes = run.layers()
    rows = {row.features: row for row in probe_run(run, maps, 1, probes=("neighbours",), layer="all").rows}
    for name, size in sizes.items():
        title = "trained network" if name == DEFAULT else f"trained network, {name}"
        assert rows[title].dimensions == size
    assert len(rows) == 4 + 1 + len(sizes)


def test_the_command_takes_a_layer(trained: tuple[TrainedRun, MapFile]) -> None:
    run, maps = trained
    options = ["--target", str(maps.path), "--run", str(run.folder), "--seeds", "1", "--probes", "neighbours"]
    done = CliRunner().invoke(app, ["probe", *options, "--layer", "auto"])
    assert done.exit_code == 0, done.output
    assert "layer of the trained network: " in done.stdout
    done = CliRunner().invoke(app, ["probe", *options, "--layer", "stage1+code", "--json"])
    assert json.loads(done.stdout)["rows"][-1]["dimensions"] == run.layers()["stage1"] + 8
    done = CliRunner().invoke(app, ["list", "layers", "--run", str(run.folder)])
    assert "stage1-parts" in done.stdout
    with pytest.raises(UserError, match="did you mean 'stage1'"):
        probe_run(run, maps, layer="stgae1")
