"""What pretrain says at its end: a quick score, the report, and the next command."""

from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import call
from conftest import write_random_maps

import spectral_ssl
from data_prep.basis import pixel_basis
from data_prep.maps.writer import MapWriter
from downstream.probes.protocol.quick_score import QuickScore, compute_quick_score
from pretext.runs.trained_run import TrainedRun
from spectral_ssl.ground.errors import UserError

TINY = ("width=2", "code=8", "projector=8", "filters=4", "batch_size=16")


def train(folder: Path, *, labelled: bool = True, test: int = 24, epochs: int = 1) -> TrainedRun:
    maps = write_random_maps(folder / "maps.h5", pixel_basis(1, 8, 8), labelled=labelled, test=test)
    return spectral_ssl.pretrain(maps, settings=TINY, epochs=epochs, out=folder / "run")


@pytest.mark.usefixtures("figures")
def test_the_end_names_score_report_and_next_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = train(tmp_path)
    lines = capsys.readouterr().err.splitlines()
    score, why, report, following = lines[-4:]
    assert why == "`spectral-ssl probe` fits classifiers to the training split or to folds, so its scores differ"
    assert "time limit" not in "".join(lines)
    assert score.startswith("quick score, 7 nearest neighbours among 24 images of the test split: trained network 0.")
    assert "untrained network" in score
    assert "maps themselves" in score
    assert report == f"report: {run.folder / 'report.html'}"
    assert (run.folder / "report.html").is_file()
    assert following == f"next: spectral-ssl probe --run {run.folder}"


@pytest.mark.usefixtures("no_figures")
def test_a_time_limit_that_ends_a_training_is_said(tmp_path: Path) -> None:
    maps = write_random_maps(tmp_path / "maps.h5", pixel_basis(1, 8, 8))
    settings = [word for setting in TINY for word in ("--set", setting)]
    options = ["--data", maps.path, "--epochs", "20", "--max-minutes", "1e-6", "--no-report", *settings]
    done = call("pretrain", *options, "--out", "my run", "--workspace", "ws", folder=tmp_path)
    assert done.stderr.splitlines()[-2:] == [
        "the time limit of 1e-06 min ended the training at step 1, with 0 of 20 epochs complete; "
        "go on: spectral-ssl pretrain --resume 'my run' --workspace ws",
        "next: spectral-ssl probe --run 'my run' --workspace ws",
    ]
    assert done.stdout.startswith("my run: trained to epoch 0 of 20, ")


def test_without_labels_there_is_no_score(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = train(tmp_path, labelled=False)
    error = capsys.readouterr().err
    assert "quick score" not in error
    assert error.splitlines()[-1] == f"next: spectral-ssl export --run {run.folder}"


def test_the_score_is_that_of_the_neighbours(tmp_path: Path) -> None:
    run = train(tmp_path, test=8)  # too few test samples: those of all splits are taken
    maps = spectral_ssl.open_maps(tmp_path / "maps.h5")
    score = compute_quick_score(run, maps)
    assert score is not None
    assert score.described == "56 images of the training and the test split"
    values = maps.read(maps.rows()).reshape(56, -1).astype(np.float64)
    standard = (values - values.mean(0)) / values.std(0, ddof=1)
    standard /= np.linalg.norm(standard, axis=1, keepdims=True)
    similarity = standard @ standard.T
    np.fill_diagonal(similarity, -np.inf)
    right = 0
    for row in range(56):
        nearest = np.argsort(-similarity[row])[:10]
        votes = np.zeros(3)
        np.add.at(votes, maps.labels[nearest], 1 + similarity[row, nearest] / 20)
        right += votes.argmax() == maps.labels[row]
    assert score.scores["maps themselves"] == pytest.approx(right / 56)


def test_the_weights_at_the_start_are_scored_too(tmp_path: Path) -> None:
    """A few steps from good weights must not read as if they had taught all of it."""
    first = train(tmp_path)
    maps = spectral_ssl.open_maps(tmp_path / "maps.h5")
    run = spectral_ssl.pretrain(maps, init_from=first.folder, epochs=1, out=tmp_path / "second", report=False)
    score, before = compute_quick_score(run, maps), compute_quick_score(first, maps)
    assert score is not None
    assert before is not None
    assert [*score.scores] == ["trained network", "weights at the start", "untrained network", "maps themselves"]
    assert score.scores["weights at the start"] == before.scores["trained network"]
    first.folder.rename(tmp_path / "gone")
    score = compute_quick_score(run, maps)
    assert score is not None
    assert "weights at the start" not in score.scores


def test_a_score_without_a_mistake_still_has_an_interval() -> None:
    score = QuickScore({"trained network": 1.0, "maps themselves": 0.5}, 25, "25 images of the test split")
    right = "trained network 1.00 (0.87 to 1.00), maps themselves 0.50 (0.32 to 0.68)"
    assert score.write().endswith(right)


def test_features_that_are_not_finite_are_said(tmp_path: Path) -> None:
    """A finished training ends with this line, not with an error."""
    run = train(tmp_path)
    with torch.no_grad():
        for values in run.method.parameters():
            values.fill_(float("nan"))
    score = compute_quick_score(run, spectral_ssl.open_maps(tmp_path / "maps.h5"))
    assert score is not None
    assert ": trained network: features that are not finite, untrained network 0." in score.write()


@pytest.mark.parametrize(("each", "neighbours"), [(2, "1 nearest neighbour"), (4, "3 nearest neighbours")])
def test_few_samples_of_a_class_are_not_outvoted(each: int, neighbours: str, tmp_path: Path) -> None:
    """Ten voters would classify no sample of separated pairs correctly."""
    basis = pixel_basis(1, 8, 8)
    run = train(tmp_path)
    labels = np.repeat(np.arange(10), each)
    generator = np.random.default_rng(0)
    values = generator.uniform(-0.8, 0.8, (10, *basis.shape))[labels] + generator.normal(0, 0.05, (10 * each, 1, 8, 8))
    names = [f"object-{row}" for row in range(10 * each)]
    with MapWriter(
        tmp_path / "pairs.h5", basis, source="made-up", source_digest="0", classes=tuple("abcdefghij"),
        count=10 * each, created_by="test",
    ) as writer:  # fmt: skip
        writer.append(values.astype(np.float32), names, labels.tolist(), ["train"] * len(names))
    score = compute_quick_score(run, spectral_ssl.open_maps(tmp_path / "pairs.h5"))
    assert score is not None
    assert score.scores["maps themselves"] == 1
    assert score.write().startswith(f"quick score, {neighbours} among {10 * each} images of the training split: ")


@pytest.mark.usefixtures("no_figures")
def test_a_refusal_advises_what_the_verb_has(tmp_path: Path) -> None:
    """A run in the way, and a map file that was prepared again, have a way out by options that exist."""
    (tmp_path / "ws" / "runs").mkdir(parents=True)
    run = train(tmp_path / "ws" / "runs", epochs=0)
    maps = tmp_path / "ws" / "runs" / "maps.h5"
    for more in ((), ("--dry-run",)):
        done = call("pretrain", "--data", maps, "--out", run.folder, *more, workspace=tmp_path / "ws")
        assert done.stderr.splitlines()[-1].endswith(
            f"output exists already: got {run.folder}; choose another --out, or continue that run: --resume "
            f"{run.folder}, or remove it: `spectral-ssl runs rm {run.folder}`"
        )
    elsewhere = call("pretrain", "--data", maps, "--out", run.folder, workspace=tmp_path / "other").stderr
    assert "--resume" in elsewhere
    assert "runs rm" not in elsewhere  # it removes only runs of the workspace
    assert call("pretrain", "--data", maps, "--out", tmp_path).stderr.endswith("; choose another --out\n")

    maps.unlink()
    write_random_maps(maps, pixel_basis(1, 8, 8), seed=3)
    again = f"the map file was prepared again since this run: got {maps}, whose old maps are gone; train anew"
    for words, ending in (
        (("export",), f", or name it with --data {maps} to use it all the same"),
        (("probe",), f", or name it with --target {maps} to use it all the same"),
        (("pretrain", "--resume", run.folder), ": a run resumes only with the maps that it began with"),
    ):
        given = words if "--resume" in words else (*words, "--run", run.folder)
        done = call(*given, workspace=tmp_path / "ws")
        assert (done.returncode, done.stderr.splitlines()[-1]) == (2, f"spectral-ssl: {again}{ending}")
    named = call("export", "--run", run.folder, "--data", maps, workspace=tmp_path / "ws")
    assert named.returncode == 0


@pytest.mark.usefixtures("no_figures")
def test_images_of_another_size_are_prepared_with_size(tmp_path: Path) -> None:
    run = train(tmp_path, epochs=0)
    for channels, side, advice in (
        (1, 12, "prepare them with `--size 8`"),
        (3, 8, "prepare images of 1 channel, 8 x 8 pixels, as the run's were"),
    ):
        maps = write_random_maps(tmp_path / f"{channels}.h5", pixel_basis(channels, side, side))
        with pytest.raises(UserError) as caught:
            run.encode(maps)
        assert caught.value.what == "images of another kind than the run's"
        assert caught.value.do == advice


@pytest.mark.usefixtures("no_figures")
def test_a_probe_says_that_the_own_split_is_not_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = train(tmp_path, epochs=0)
    maps = spectral_ssl.open_maps(tmp_path / "maps.h5")
    capsys.readouterr()
    result = spectral_ssl.probe(maps, run=run, seeds=1, probes=("neighbours",), report=False, workspace=tmp_path)
    assert result["folds"] == 5
    line = "the test split of 24 is not used: fewer than 500 labelled samples; `--split own` uses it\n"
    assert line in capsys.readouterr().err
