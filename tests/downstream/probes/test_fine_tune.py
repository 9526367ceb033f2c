"""Fine-tuning: it learns from labels, leaves the run as it was, and chooses inside the training split."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import write_random_maps

import spectral_ssl
from data_prep.basis import pixel_basis, zernike_basis
from downstream.probes import fine_tune as module
from downstream.probes.fine_tune import fine_tune
from downstream.probes.table import probe_run
from pretext.runs.trained_run import TrainedRun
from spectral_ssl.cli.tables import print_probe
from spectral_ssl.ground.errors import UserError

TINY = ("width=4", "code=8", "batch_size=16")
MORE = {"cgml": ("steps=2", "hidden=8"), "joint-embedding": ("projector=16", "grid=8")}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EPOCHS", (1, 6))
    monkeypatch.setattr(module, "BATCH", 16)


@pytest.mark.parametrize("method", ["cgml", "regression", "joint-embedding", "pix2pix", "context-encoder"])
def test_a_copy_learns_from_labels_and_the_run_stays_as_it_was(method: str, tmp_path: Path) -> None:
    maps = write_random_maps(tmp_path / "maps.h5", zernike_basis(4), train=120, test=60)
    settings = (*TINY, *MORE.get(method, ()))
    run = spectral_ssl.pretrain(maps, method=method, task="denoise", epochs=1, settings=settings, out=tmp_path / "run")
    before = {name: value.clone() for name, value in run.method.state_dict().items()}
    train, test = maps.rows("train"), maps.rows("test")
    tuned = fine_tune(run, maps, train, maps.labels[train], 0)
    for name, value in run.method.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert (tuned.predict(test) == maps.labels[test]).mean() > 0.8
    assert tuned.learning_rate in module.RATES
    assert tuned.epochs in (1, 6)
    assert 0 <= tuned.held_out <= 1


def test_the_network_is_trained_and_not_the_linear_layer_alone(tmp_path: Path) -> None:
    maps = write_random_maps(tmp_path / "maps.h5", pixel_basis(1, 8, 8), train=60, test=30)
    run = spectral_ssl.pretrain(maps, method="regression", epochs=0, settings=TINY, out=tmp_path / "run")
    train = maps.rows("train")
    predictors = module._train_epochs(run, maps, train, maps.labels[train], 1e-3, 0)
    predict = next(predictors)
    (tuned,) = [
        cell.cell_contents for cell in predict.__wrapped__.__closure__ if isinstance(cell.cell_contents, TrainedRun)
    ]
    changed = {
        name
        for name, value in tuned.method.state_dict().items()
        if not torch.equal(value, run.method.state_dict()[name])
    }
    assert any(name.startswith("encoder.halve") for name in changed)
    assert not any(name.startswith("generator") for name in changed)


def test_gaps_between_labels_are_kept(tmp_path: Path) -> None:
    maps = write_random_maps(tmp_path / "maps.h5", zernike_basis(3))
    run = spectral_ssl.pretrain(maps, method="regression", epochs=0, settings=TINY, out=tmp_path / "run")
    train = maps.rows("train")
    labels = np.array([2, 7, 9])[maps.labels[train]]
    assert set(fine_tune(run, maps, train, labels, 0).predict(train)) <= {2, 7, 9}


def test_equal_seeds_give_equal_predictions_whatever_the_labels_of_the_test_split(tmp_path: Path) -> None:
    maps = write_random_maps(tmp_path / "maps.h5", zernike_basis(3))
    run = spectral_ssl.pretrain(maps, method="regression", epochs=0, settings=TINY, out=tmp_path / "run")
    train, test = maps.rows("train"), maps.rows("test")
    labels = maps.labels.copy()
    labels[test] = (labels[test] + 1) % 3
    tuned = [fine_tune(run, each, train, maps.labels[train], 0) for each in (maps, replace(maps, labels=labels))]
    assert tuned[0].predict(test).tolist() == tuned[1].predict(test).tolist()
    assert (tuned[0].learning_rate, tuned[0].epochs) == (tuned[1].learning_rate, tuned[1].epochs)
    assert tuned[0].held_out == tuned[1].held_out


def test_too_few_labels_are_refused(tmp_path: Path) -> None:
    maps = write_random_maps(tmp_path / "maps.h5", zernike_basis(3))
    run = spectral_ssl.pretrain(maps, method="regression", epochs=0, settings=TINY, out=tmp_path / "run")
    for rows, labels in ((np.arange(4), [0, 0, 0, 0]), (np.arange(6), [0, 0, 1, 1, 2, 2])):
        with pytest.raises(UserError):
            fine_tune(run, maps, rows, np.array(labels), 0)


def test_rows_without_a_network_have_a_dash(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    maps = write_random_maps(tmp_path / "maps.h5", zernike_basis(3))
    run = spectral_ssl.pretrain(maps, method="regression", epochs=1, settings=TINY, out=tmp_path / "run")
    table = probe_run(run, maps, 1, split="own", probes=("fine-tune",))
    scores = {row.features: row.fine_tune for row in table.rows}
    assert [name for name, score in scores.items() if score] == ["untrained network", "trained network"]
    for score in scores.values():
        assert score is None or 0 <= score.accuracy <= 1
    result = table.as_dict()
    capsys.readouterr()
    print_probe({**result, "trained_on": "maps.h5", "trained_on_digest": "0", "maps_digest": "0"})
    printed = capsys.readouterr().out
    assert "trained on" not in printed
    assert "upper" in printed
    lines = [line for line in printed.splitlines() if "PCA" in line]
    assert len(lines) == 1
    assert lines[0].rstrip(" │|").endswith("-")
    assert "upper reference" in result["protocol"]
