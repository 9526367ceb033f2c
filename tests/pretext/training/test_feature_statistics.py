"""The feature monitor: its statistics, and that a monitored training equals one without a monitor."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import write_random_maps
from torch import Tensor

import spectral_ssl
from data_prep.basis import zernike_basis
from data_prep.maps.reader import MapFile
from downstream.figures.training_curves import draw_losses
from downstream.probes.classifiers.knn import predict_by_neighbours
from pretext.data.training_split import TrainingSplit
from pretext.methods.catalogue import METHODS
from pretext.runs.trained_run import TrainedRun
from pretext.training.feature_statistics import (
    ALARM_AFTER,
    SPACING,
    FeatureMonitor,
    count_neighbours,
    effective_rank,
    knn_accuracy,
)
from spectral_ssl.ground.run_folder import read_metrics

TINY = ("width=4", "code=8", "batch_size=16")


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Encoder:
    """A stand-in for a method: multiplies each dimension of the maps by a factor."""

    def __init__(self, factors: Tensor) -> None:
        self.factors = factors

    def encode(self, condition: Tensor) -> Tensor:
        return condition.flatten(1)[:, : len(self.factors)] * self.factors


def make_monitor(maps: MapFile, most: int = 2000) -> FeatureMonitor:
    return FeatureMonitor(TrainingSplit(maps), lambda batch: batch.maps, most, seeded())


def test_effective_rank_of_known_matrices() -> None:
    white = torch.linalg.qr(torch.randn(40, 8, generator=seeded()) - 0.0).Q
    white = torch.linalg.qr(white - white.mean(dim=0)).Q
    assert effective_rank(white) == pytest.approx(8.0, rel=1e-4)
    assert effective_rank(white[:, :1] @ torch.ones(1, 30)) == pytest.approx(1.0, abs=1e-2)
    assert effective_rank(torch.ones(10, 4)) == 0.0
    assert math.isnan(effective_rank(torch.full((10, 4), math.nan)))  # the training loop reports the error
    two = white * torch.tensor([3.0, 1.0, 0, 0, 0, 0, 0, 0])
    expected = math.exp(-(0.75 * math.log(0.75) + 0.25 * math.log(0.25)))
    assert effective_rank(two) == pytest.approx(expected, rel=1e-3)
    assert effective_rank(two.T[:, :5]) <= 5


@pytest.mark.parametrize("level", [1e-6, 1.0, 300.0])
def test_rounding_noise_is_neither_rank_nor_similarity(level: float) -> None:
    generator = np.random.default_rng(0)
    steps = generator.integers(-1, 2, (60, 40)) * np.spacing(np.float32(level))
    collapsed = torch.from_numpy((level + steps).astype(np.float32))
    assert effective_rank(collapsed) == 0.0
    labels = torch.arange(60) % 3
    signal = level * (1 + labels[:, None] + 0.01 * torch.randn(60, 1, generator=seeded()))
    features = torch.cat([signal, collapsed], dim=1)
    assert effective_rank(features) == pytest.approx(1.0, abs=1e-6)
    assert knn_accuracy(features[labels != 1], labels[labels != 1]) == 1.0


def test_knn_accuracy_is_the_neighbour_probe_with_each_sample_left_out() -> None:
    generator = np.random.default_rng(0)
    labels = np.arange(60) % 4
    features = (generator.normal(size=(4, 6))[labels] + generator.normal(size=(60, 6))).astype(np.float32)
    # They are standardised beforehand (with N - 1), so that leaving one out changes nothing.
    features = (features - features.mean(axis=0)) / features.std(axis=0, ddof=1)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    right = 0
    for row in range(60):
        others = np.delete(np.arange(60), row)
        nearest = others[np.argsort(-(unit[others] @ unit[row]))[:10]]
        votes = [
            (int((labels[nearest] == each).sum()), float((unit[nearest] @ unit[row])[labels[nearest] == each].sum()))
            for each in range(4)
        ]
        right += max(range(4), key=lambda each: votes[each]) == labels[row]
    found = knn_accuracy(torch.from_numpy(features), torch.from_numpy(labels))
    assert found == pytest.approx(right / 60)
    assert 0.4 < found < 1
    # With itself among the voters, a sample would nearly always be right.
    with_itself = (predict_by_neighbours(features, labels, features, 1) == labels).mean()
    assert with_itself == 1
    assert math.isnan(knn_accuracy(torch.full((5, 2), math.nan), torch.zeros(5, dtype=torch.int64)))


def test_monitored_samples_are_training_samples_and_only_labelled_ones_vote(random_maps: MapFile) -> None:
    labels = random_maps.labels.copy()
    labels[:24] = -1
    monitor = make_monitor(replace(random_maps, labels=labels))
    assert len(monitor) == 48  # all of a small split, not the 24 of the test split
    assert len(monitor.labels) == 24
    assert len(make_monitor(random_maps, 10)) == 10
    found = monitor.measure(Encoder(torch.ones(20)), 0)
    assert set(found) == {"effective_rank", "knn_accuracy"}
    single = make_monitor(replace(random_maps, labels=np.zeros_like(labels)))
    assert set(single.measure(Encoder(torch.ones(20)), 0)) == {"effective_rank"}


def test_an_eighth_of_a_large_split_is_monitored(tmp_path: Path) -> None:
    maps = write_random_maps(tmp_path / "large.h5", zernike_basis(2), train=1600, test=2)
    monitor = make_monitor(maps)
    assert len(monitor) == 200
    assert not monitor.is_due(200 * SPACING - 1)
    assert monitor.is_due(200 * SPACING)


def test_a_collapse_is_reported_once_and_not_in_the_first_steps(
    random_maps: MapFile, capsys: pytest.CaptureFixture[str]
) -> None:
    monitor = make_monitor(random_maps)
    line = Encoder(torch.tensor([1.0, *[1e-4] * 20]))
    assert monitor.measure(line, ALARM_AFTER - 1)["effective_rank"] < 1.5
    assert "collapsing" not in capsys.readouterr().err
    for step in (ALARM_AFTER, ALARM_AFTER + 1):
        monitor.measure(line, step)
    assert capsys.readouterr().err.count("collapsing") == 1
    make_monitor(random_maps).measure(Encoder(torch.ones(20)), ALARM_AFTER)
    assert "collapsing" not in capsys.readouterr().err


def test_data_of_one_dimension_raises_no_alarm(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = spectral_ssl.pretrain(
        spectral_ssl.prep("toy", out=tmp_path / "toy.h5"),
        recipe="toy",
        epochs=1,
        settings=("code=8", "hidden=8", "steps=1", "batch_size=16"),
        out=tmp_path / "run",
    )
    (row,) = read_metrics(run.folder / "metrics.jsonl")
    assert row["step"] > ALARM_AFTER
    assert "knn_accuracy" not in row  # it has no classes
    assert "collapsing" not in capsys.readouterr().err


def test_the_monitor_changes_no_training(random_maps: MapFile, trained_once: Callable[..., TrainedRun]) -> None:
    """One method is enough here: the next test measures every method."""
    monitored, alone = (trained_once("cgml", *more, epochs=2) for more in ((), ("watch=0",)))
    for name, value in monitored.method.state_dict().items():
        assert torch.equal(value, alone.method.state_dict()[name]), name
    rows, others = (read_metrics(run.folder / "metrics.jsonl") for run in (monitored, alone))
    for row, other in zip(rows, others, strict=True):
        assert 1 < row.pop("effective_rank") <= 47
        assert 0 <= row.pop("knn_accuracy") <= 1
        for name in ("seconds", "waiting"):
            del row[name], other[name]
        assert row == other
    last = monitored.encode(random_maps.read(random_maps.rows("train")))
    labels = torch.from_numpy(random_maps.labels[random_maps.rows("train")])
    row = read_metrics(monitored.folder / "metrics.jsonl")[-1]
    assert row["knn_accuracy"] == pytest.approx(knn_accuracy(torch.from_numpy(last), labels))


@pytest.mark.parametrize("method", [name for name, entry in METHODS.items() if entry.task == "denoise"])
def test_every_method_is_measured_and_stays_as_it_was(
    method: str, random_maps: MapFile, trained_once: Callable[..., TrainedRun]
) -> None:
    run = trained_once(method)
    (row,) = read_metrics(run.folder / "metrics.jsonl")
    network = run.method.train()
    state = {name: value.clone() for name, value in network.state_dict().items()}
    generator = torch.random.get_rng_state()
    measured = make_monitor(random_maps).measure(network, 0)
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
    assert network.training
    assert torch.equal(torch.random.get_rng_state(), generator)
    assert measured == pytest.approx({name: row[name] for name in ("effective_rank", "knn_accuracy")}, rel=1e-4)
    assert 1 < measured["effective_rank"] <= 47


def test_labels_change_the_curve_and_nothing_else(tmp_path: Path) -> None:
    runs = []
    for labelled in (True, False):
        maps = write_random_maps(tmp_path / f"{labelled}.h5", zernike_basis(4), labelled=labelled)
        runs.append(
            spectral_ssl.pretrain(maps, method="regression", epochs=2, settings=TINY, out=tmp_path / f"run-{labelled}")
        )
    for name, value in runs[0].method.state_dict().items():
        assert torch.equal(value, runs[1].method.state_dict()[name]), name
    with_labels, without = (read_metrics(run.folder / "metrics.jsonl")[-1] for run in runs)
    assert set(with_labels) - set(without) == {"knn_accuracy"}
    assert with_labels["effective_rank"] == without["effective_rank"]


def test_features_are_measured_only_in_some_rows_of_an_epoch(tmp_path: Path) -> None:
    maps = write_random_maps(tmp_path / "maps.h5", zernike_basis(2), train=640, test=2)
    settings = (*TINY, "log_every=4", "watch=16")  # a row each 64 samples, features each 128 and at the epoch's end
    run = spectral_ssl.pretrain(maps, method="regression", epochs=1, settings=settings, out=tmp_path / "run")
    rows = read_metrics(run.folder / "metrics.jsonl")
    assert [("knn_accuracy" in row) for row in rows] == [False, True] * 5
    draw_losses(tmp_path / "losses.png", rows)
    assert (tmp_path / "losses.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("classes", "each", "neighbours"), [(10, 2, 1), (3, 3, 2), (5, 11, 10), (2, 40, 10)])
def test_separated_classes_of_few_samples_are_not_outvoted(classes: int, each: int, neighbours: int) -> None:
    labels = torch.arange(classes).repeat_interleave(each)
    features = 50 * torch.eye(classes)[labels] + torch.randn(len(labels), classes, generator=torch.Generator())
    assert count_neighbours(labels) == neighbours
    assert knn_accuracy(features, labels) == 1
