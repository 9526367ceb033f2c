"""The training loop: equal seeds give equal runs, and an interrupted run resumes exactly."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import write_random_maps
from method_cases import differences

import spectral_ssl
from data_prep.maps.reader import MapFile
from pretext.randomness import seeded_generator
from pretext.runs.trained_run import TrainedRun, load_run
from pretext.training.checkpoint import Progress, content_digest, load_checkpoint
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.run_folder import read_metrics

TINY = ("steps=3", "width=4", "code=8", "hidden=8", "batch_size=20")


@pytest.fixture
def whole(trained_once: Callable[..., TrainedRun]) -> Path:
    """An uninterrupted run of two epochs, each of three steps; tests only read it."""
    return trained_once("cgml", *TINY, epochs=2, seed=1).folder


@pytest.fixture
def run(whole: Path, tmp_path: Path) -> Path:
    """A copy of the uninterrupted run, without the checkpoint before its last."""
    return shutil.copytree(whole, tmp_path / "run", ignore=shutil.ignore_patterns("previous.pt"))


def train(maps: MapFile, out: Path, *settings: str, seed: int = 1, max_minutes: float = 0) -> Path:
    """Train as the uninterrupted run was trained, with a few changes."""
    options = {"epochs": 2, "seed": seed, "max_minutes": max_minutes, "settings": (*TINY, *settings)}
    return spectral_ssl.pretrain(maps, method="cgml", task="denoise", out=out, **options).folder


def test_equal_seeds_give_equal_runs_and_others_differ(random_maps: MapFile, whole: Path, tmp_path: Path) -> None:
    before = torch.random.get_rng_state()
    same, other = (train(random_maps, tmp_path / str(seed), seed=seed) for seed in (1, 2))
    assert differences(whole, same) == []
    assert any("/model/" in name for name in differences(whole, other))
    assert torch.equal(before, torch.random.get_rng_state()), "the training used the global generator"


def test_a_run_interrupted_by_its_time_limit_equals_the_uninterrupted_one(
    random_maps: MapFile, whole: Path, tmp_path: Path
) -> None:
    """One method is enough here: ``test_trust_kill`` kills runs of every method."""
    # a limit of a millionth of a minute stops it after its first step: 1 of 3 batches of epoch 1
    parts = train(random_maps, tmp_path / "parts", max_minutes=1e-6)
    assert load_checkpoint(parts / "checkpoints" / "last.pt")["place"]["step"] == 1
    for expected in (2, 3):
        spectral_ssl.pretrain(random_maps, resume=parts)
        assert load_checkpoint(parts / "checkpoints" / "last.pt")["place"]["step"] == expected
    spectral_ssl.pretrain(random_maps, resume=parts, max_minutes=0)
    assert differences(whole, parts) == []


def test_metrics_past_the_checkpoint_are_dropped_on_resume(random_maps: MapFile, run: Path) -> None:
    rows = read_metrics(run / "metrics.jsonl")
    with (run / "metrics.jsonl").open("a") as stream:
        stream.write(json.dumps({"epoch": 3, "step": 999, "loss": 0.0}) + "\n" + '{"epoch": 4, "st')
    spectral_ssl.pretrain(random_maps, resume=run, epochs=3)
    after = read_metrics(run / "metrics.jsonl")
    assert after[:2] == rows
    assert [row["step"] for row in after] == [3, 6, 9]


def test_rows_within_epochs_and_across_an_interruption(random_maps: MapFile, tmp_path: Path) -> None:
    whole = train(random_maps, tmp_path / "whole", "log_every=2")
    rows = read_metrics(whole / "metrics.jsonl")
    assert [row["step"] for row in rows] == [2, 3, 4, 6]  # 3 steps an epoch: a row every 2, and one at each end
    assert [row["epoch"] for row in rows] == pytest.approx([2 / 3, 1, 4 / 3, 2])
    parts = train(random_maps, tmp_path / "parts", "log_every=2", max_minutes=1e-6)
    spectral_ssl.pretrain(random_maps, resume=parts, max_minutes=0)
    assert differences(whole, parts) == []


def test_resuming_refuses_other_data_and_other_settings(random_maps: MapFile, run: Path, tmp_path: Path) -> None:
    other = write_random_maps(tmp_path / "other.h5", random_maps.basis, seed=5)
    with pytest.raises(UserError, match="other data than the run's"):
        spectral_ssl.pretrain(other, resume=run)
    with pytest.raises(UserError, match="keeps its settings"):
        spectral_ssl.pretrain(random_maps, resume=run, settings=("width=8",))


def test_the_mean_loss_of_an_epoch_counts_the_small_last_batch_by_its_size() -> None:
    progress = Progress()
    progress.add_step({"loss": 1.0}, 10)
    progress.add_step({"loss": 4.0}, 5)
    progress.end_epoch()
    assert progress.take_means() == {"loss": 2.0}
    assert (progress.epoch, progress.step, progress.batch, progress.samples) == (1, 2, 0, 0)


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_checkpoint(random_maps: MapFile, run: Path) -> None:
    path = run / "checkpoints" / "last.pt"
    content = load_checkpoint(path)
    content["model"]["encoder.to_code.weight"][0, 0] = float("nan")
    torch.save({**content, "digest": content_digest(content)}, path)
    before = path.read_bytes()
    with pytest.raises(UserError, match="not finite"):
        spectral_ssl.pretrain(random_maps, resume=run, epochs=3)
    assert path.read_bytes() == before
    assert json.loads((run / "status.json").read_text())["state"] == "failed"


def test_a_run_without_epochs_is_the_untrained_network(
    random_maps: MapFile, trained_once: Callable[..., TrainedRun]
) -> None:
    run = trained_once("regression", epochs=0, seed=4)
    features = run.encode(random_maps.read())
    assert (features == run.untrained(4).encode(random_maps.read())).all()
    assert not (features == run.untrained(5).encode(random_maps.read())).all()


def test_a_loaded_run_encodes_with_its_own_statistics(random_maps: MapFile, tmp_path: Path) -> None:
    run = spectral_ssl.pretrain(random_maps, epochs=1, settings=TINY, out=tmp_path / "run")
    again = load_run(tmp_path / "run")
    assert (again.encode(random_maps.read()) == run.encode(random_maps.read())).all()
    assert (again.standardise.mean.numpy() == random_maps.mean).all()
    undone = again.standardise.undo(again.standardise(random_maps.read())).numpy()
    assert abs(undone - random_maps.read()).max() < 1e-5


def test_seeded_generators_differ_by_every_part() -> None:
    draws = {
        seeded_generator(*parts).initial_seed()
        for parts in ((0, "step", 1), (0, "step", 2), (1, "step", 1), (0, "order", 1))
    }
    assert len(draws) == 4


@pytest.mark.parametrize("damage", ["truncated", "format", "missing", "config"])
def test_damaged_checkpoints_raise_a_user_error(run: Path, damage: str) -> None:
    path = run / "checkpoints" / "last.pt"
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:1000])
    elif damage == "missing":
        path.unlink()
    else:
        content = load_checkpoint(path)
        content["format" if damage == "format" else "config"] = "spectral-ssl checkpoint 0"
        torch.save({**content, "digest": content_digest(content)}, path)
    with pytest.raises(UserError, match="checkpoint"):
        load_run(run)


def test_code_in_a_checkpoint_does_not_run(run: Path) -> None:
    torch.save({"format": Path("/tmp")}, run / "checkpoints" / "last.pt")
    with pytest.raises(UserError, match="damaged checkpoint"):
        load_run(run)
