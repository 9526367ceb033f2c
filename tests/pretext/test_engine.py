"""The training loop: equal seeds give equal runs, and an interrupted run resumes exactly."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from conftest import write_random_maps

import spectral_ssl
from data_prep.basis import pixel_basis
from data_prep.maps.reader import MapFile
from pretext.methods.catalogue import METHODS
from pretext.randomness import seeded_generator
from pretext.runs.trained_run import load_run
from pretext.training.checkpoint import Progress, content_digest, load_checkpoint
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.run_folder import read_metrics

TINY = ("steps=3", "width=4", "code=8", "hidden=8", "batch_size=20")
SETTINGS_OF = {
    "cgml": ("steps=3", "width=4", "code=8", "hidden=8"),
    "joint-embedding": ("width=4", "code=8", "projector=16", "grid=8"),
    "lsc-gan": ("width=4", "latent=4", "conditioning=code", "features=labels"),
    "rotation-prediction": ("width=4",),
    "mr-gan": ("width=4", "code=8", "samples=3", "predictor_steps=4"),
}


def same_parameters(first: Path, second: Path) -> bool:
    one, two = (load_checkpoint(path / "checkpoints" / "last.pt")["model"] for path in (first, second))
    return all(torch.equal(one[name], two[name]) for name in one) and one.keys() == two.keys()


def without_time(folder: Path) -> list[dict[str, float]]:
    rows = read_metrics(folder / "metrics.jsonl")
    return [{key: value for key, value in row.items() if key not in ("seconds", "waiting")} for row in rows]


def test_equal_seeds_give_equal_runs_and_others_differ(random_maps: MapFile, tmp_path: Path) -> None:
    runs = [
        spectral_ssl.pretrain(random_maps, epochs=2, seed=seed, settings=TINY, out=tmp_path / name).folder
        for name, seed in (("one", 1), ("two", 1), ("three", 2))
    ]
    assert same_parameters(runs[0], runs[1])
    assert without_time(runs[0]) == without_time(runs[1])
    assert not same_parameters(runs[0], runs[2])


def test_training_does_not_use_the_global_generator(random_maps: MapFile, tmp_path: Path) -> None:
    before = torch.random.get_rng_state()
    spectral_ssl.pretrain(random_maps, epochs=1, settings=TINY, out=tmp_path / "run")
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize(
    ("method", "settings"),
    [
        *((name, SETTINGS_OF.get(name, ("width=4", "code=8"))) for name in METHODS),
        ("cgml", (*SETTINGS_OF["cgml"], "latent_updates=whole-path")),
        ("cgml", (*SETTINGS_OF["cgml"], "schedule=two-stage", "first_stage=4")),
    ],
)
def test_a_run_interrupted_within_an_epoch_and_resumed_equals_the_uninterrupted_one(
    random_maps: MapFile, tmp_path: Path, method: str, settings: tuple[str, ...]
) -> None:
    settings = (*settings, "batch_size=20")
    if method == "rotation-prediction":  # works on images only
        random_maps = write_random_maps(tmp_path / "pictures.h5", pixel_basis(1, 16, 16))
    whole = spectral_ssl.pretrain(
        random_maps, method=method, epochs=3, settings=settings, out=tmp_path / "whole"
    ).folder
    # A limit of a millionth of a minute stops it after its first step: 1 of 3 batches of epoch 1.
    parts = spectral_ssl.pretrain(
        random_maps, method=method, epochs=3, max_minutes=1e-6, settings=settings, out=tmp_path / "parts"
    ).folder
    assert load_checkpoint(parts / "checkpoints" / "last.pt")["place"]["step"] == 1
    for expected in (2, 3):
        spectral_ssl.pretrain(random_maps, resume=parts)
        assert load_checkpoint(parts / "checkpoints" / "last.pt")["place"]["step"] == expected
    spectral_ssl.pretrain(random_maps, resume=parts, max_minutes=0)
    assert same_parameters(whole, parts)
    assert without_time(whole) == without_time(parts)
    first, second = (load_checkpoint(path / "checkpoints" / "last.pt")["optimizers"] for path in (whole, parts))
    for name in first:
        for key, state in first[name]["state"].items():
            assert torch.equal(state["exp_avg_sq"], second[name]["state"][key]["exp_avg_sq"])
    assert first.keys() == second.keys()


def test_metrics_past_the_checkpoint_are_dropped_on_resume(random_maps: MapFile, tmp_path: Path) -> None:
    run = spectral_ssl.pretrain(random_maps, epochs=2, settings=TINY, out=tmp_path / "run").folder
    rows = read_metrics(run / "metrics.jsonl")
    with (run / "metrics.jsonl").open("a") as stream:
        stream.write(json.dumps({"epoch": 3, "step": 999, "loss": 0.0}) + "\n" + '{"epoch": 4, "st')
    spectral_ssl.pretrain(random_maps, resume=run, epochs=3)
    after = read_metrics(run / "metrics.jsonl")
    assert after[:2] == rows
    assert [row["step"] for row in after] == [3, 6, 9]


def test_rows_within_epochs_and_across_an_interruption(random_maps: MapFile, tmp_path: Path) -> None:
    settings = (*TINY, "log_every=2")
    whole = spectral_ssl.pretrain(random_maps, epochs=2, settings=settings, out=tmp_path / "whole").folder
    rows = read_metrics(whole / "metrics.jsonl")
    assert [row["step"] for row in rows] == [2, 3, 4, 6]  # 3 steps an epoch: a row every 2, and one at each end
    assert [row["epoch"] for row in rows] == pytest.approx([2 / 3, 1, 4 / 3, 2])
    parts = spectral_ssl.pretrain(
        random_maps, epochs=2, max_minutes=1e-6, settings=settings, out=tmp_path / "parts"
    ).folder
    spectral_ssl.pretrain(random_maps, resume=parts, max_minutes=0)
    assert without_time(whole) == without_time(parts)


def test_resuming_refuses_other_data_and_other_settings(random_maps: MapFile, tmp_path: Path) -> None:
    from conftest import write_random_maps

    run = spectral_ssl.pretrain(random_maps, epochs=1, settings=TINY, out=tmp_path / "run").folder
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


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_checkpoint(random_maps: MapFile, tmp_path: Path) -> None:
    run = spectral_ssl.pretrain(random_maps, epochs=1, settings=TINY, out=tmp_path / "run").folder
    broken = tmp_path / "broken"
    shutil.copytree(run, broken)
    content = load_checkpoint(broken / "checkpoints" / "last.pt")
    content["model"]["encoder.to_code.weight"][0, 0] = float("nan")
    torch.save({**content, "digest": content_digest(content)}, broken / "checkpoints" / "last.pt")
    before = (broken / "checkpoints" / "last.pt").read_bytes()
    with pytest.raises(UserError, match="not finite"):
        spectral_ssl.pretrain(random_maps, resume=broken, epochs=2)
    assert (broken / "checkpoints" / "last.pt").read_bytes() == before
    assert json.loads((broken / "status.json").read_text())["state"] == "failed"


def test_a_run_without_epochs_is_the_untrained_network(random_maps: MapFile, tmp_path: Path) -> None:
    run = spectral_ssl.pretrain(random_maps, epochs=0, seed=4, settings=TINY, out=tmp_path / "run")
    assert (run.encode(random_maps.read()) == run.untrained(4).encode(random_maps.read())).all()
    assert not (run.encode(random_maps.read()) == run.untrained(5).encode(random_maps.read())).all()


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
def test_damaged_checkpoints_raise_a_user_error(random_maps: MapFile, tmp_path: Path, damage: str) -> None:
    run = spectral_ssl.pretrain(random_maps, epochs=1, settings=TINY, out=tmp_path / "run").folder
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


def test_code_in_a_checkpoint_does_not_run(random_maps: MapFile, tmp_path: Path) -> None:
    run = spectral_ssl.pretrain(random_maps, epochs=1, settings=TINY, out=tmp_path / "run").folder
    torch.save({"format": Path("/tmp")}, run / "checkpoints" / "last.pt")
    with pytest.raises(UserError, match="damaged checkpoint"):
        load_run(run)
