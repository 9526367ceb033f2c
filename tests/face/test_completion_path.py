"""Completion as a user does it: images and shapes, several methods, scored on the same inputs."""

import json
import math
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from command_line import call
from PIL import Image

import spectral_ssl
from data_prep.layout import list_indices, unfold
from pretext.randomness import seeded_generator
from pretext.runs.evaluation import select_held_out_rows
from pretext.training.batch_step import BatchStep
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.run_folder import read_metrics

TINY = ("width=4", "code=8", "batch_size=16")
TINY_CGML = (*TINY, "steps=3", "hidden=8")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A map file of 60 small pictures of one's own."""
    home = tmp_path_factory.mktemp("pictures")
    generator = np.random.default_rng(0)
    for split, count in (("train", 40), ("test", 20)):
        for number in range(count):
            folder = home / "raw" / split / f"class{number % 2}"
            folder.mkdir(parents=True, exist_ok=True)
            coarse = generator.integers(0, 256, (4, 4, 3), dtype=np.uint8)
            Image.fromarray(coarse).resize((32, 32), Image.Resampling.BICUBIC).save(folder / f"{number:03d}.png")
    return spectral_ssl.prep(f"folder:{home / 'raw'}", out=home / "pictures.h5").path


@pytest.fixture(scope="module")
def runs(pictures: Path) -> dict[str, Path]:
    made = {}
    for method in ("cgml", "regression", "context-encoder", "pix2pix"):
        settings = TINY_CGML if method == "cgml" else TINY
        out = pictures.parent / method
        run = spectral_ssl.pretrain(
            pictures, recipe="inpaint", method=method, epochs=1, settings=settings, out=out, workspace=pictures.parent
        )
        made[method] = run.folder
    return made


def test_all_methods_are_scored_on_the_same_inputs(runs: dict[str, Path]) -> None:
    main, *others = runs.values()
    result = spectral_ssl.evaluate(main, beside=others, count=6, modes=3)
    rows = {row["answers"]: row for row in result["rows"]}
    assert list(rows)[3:] == ["regression", "context-encoder", "pix2pix", "the input itself"]
    differences = {(row["predictions"], row["reference"]): row for row in result["differences"]}
    assert len(differences) == 2 * (len(rows) - 1)
    for name in rows:
        for reference in {"regression", "the input itself"} - {name}:
            for column in ("error", "error of the best"):
                difference, low, high = differences[name, reference][column]
                assert difference == pytest.approx(rows[name][column] - rows[reference][column], abs=1e-12)
                assert low < difference < high
    # nothing but the known pixels, grey in the hole
    assert rows["the input itself"]["error"] == rows["the input itself"]["error of the best"]
    shown = call("evaluate", "--run", main, "--count", "6", "--modes", "2").stdout
    assert "compared to" in shown
    assert "the input itself" in shown
    for row in list(rows.values())[:-1]:
        assert 0 < row["error of the best"] <= row["error"]
        assert -1 <= row["SSIM"] <= 1
        assert row["PSNR"] > 0
        assert row["ST-LPIPS"] > 0
    assert rows["regression"]["diversity (ST-LPIPS)"] == pytest.approx(0, abs=1e-6)
    assert rows["cgml, random z"]["diversity (ST-LPIPS)"] > 0
    assert (main / "samples" / "convergence.png").is_file()
    # the same question asked with larger holes: a file of its own, and a task that training has not seen
    larger = spectral_ssl.evaluate(main, count=6, modes=2, settings=["share=0.5"])
    assert larger["path"] != result["path"]
    assert json.loads(Path(larger["path"]).read_text())["task_settings"]["share"] == 0.5
    with pytest.raises(UserError, match="share"):
        spectral_ssl.evaluate(main, count=6, modes=2, settings=["shar=0.5"])


def test_training_images_are_altered_as_the_settings_say(pictures: Path, tmp_path: Path) -> None:
    losses = []
    for number, settings in enumerate(
        (("flip=false",), ("flip=false",), ("flip=true",), ("flip=false", "enlarge=0.3"))
    ):
        out, unaltered = tmp_path / str(number), ("enlarge=0", "log_every=1", *TINY)
        run = spectral_ssl.pretrain(
            pictures, recipe="inpaint", method="regression", epochs=1, settings=(*unaltered, *settings), out=out
        )
        losses.append([row["loss"] for row in read_metrics(run.folder / "metrics.jsonl")])
    assert losses[0] == losses[1]
    assert losses[0] != losses[2]
    assert losses[0] != losses[3]


def test_complete_takes_other_settings_of_the_task(runs: dict[str, Path], tmp_path: Path) -> None:
    shares = {}
    for share in ("0.1", "0.5"):
        out = spectral_ssl.complete(
            runs["regression"], settings=[f"share={share}"], count=5, modes=1, out=tmp_path / f"{share}.h5"
        )
        with h5py.File(out) as file:
            shares[share] = (file["condition"][:] == 0).all(axis=1).mean()
            assert f"share = {share}" in file.attrs["config"]
    assert shares["0.1"] == pytest.approx(0.1, abs=0.03)
    assert shares["0.5"] == pytest.approx(0.5, abs=0.03)
    refused = call("complete", "--run", runs["regression"], "--set", "shar=0.5", "--overwrite")
    assert refused.returncode == 2
    assert "did you mean 'share'" in refused.stderr


def test_complete_writes_answers_and_pictures_of_their_forming(runs: dict[str, Path]) -> None:
    done = call("complete", "--run", runs["cgml"], "--count", "5", "--path")
    assert done.returncode == 0, done.stderr
    with h5py.File(runs["cgml"] / "completions.h5") as file:
        assert file["answers"].shape == (5, 4, 3, 32, 32)
        assert np.abs(file["answers"][:]).max() <= 1
    for name in ("completions.png", "completions-path.png"):
        with Image.open(runs["cgml"] / name) as picture:
            assert np.asarray(picture.convert("L")).std() > 5, "an empty picture"
    with pytest.raises(UserError, match="latent path"):
        spectral_ssl.complete(runs["regression"], path=True, out=runs["regression"] / "other.h5", count=2)


@pytest.mark.usefixtures("few_shapes")
def test_shapes_are_scored_by_degree_against_a_second_sampling(digits_file: Path, tmp_path: Path) -> None:
    maps, second = (
        spectral_ssl.prep(degree=6, points=128, keep_points=True, seed=seed, out=tmp_path / f"{seed}.h5")
        for seed in (0, 1)
    )
    run = spectral_ssl.pretrain(
        maps, recipe="complete-shape", epochs=1, settings=TINY_CGML, out=tmp_path / "run", workspace=tmp_path
    )
    result = spectral_ssl.evaluate(run, count=20, modes=2, second=second)
    by_degree = result["error_by_degree"]
    assert by_degree["degrees"] == list(range(7))
    assert len(by_degree["error"]["cgml, z moved by Z"]) == 7
    assert all(noise > 0 for noise in by_degree["noise"][1:])
    rows = select_held_out_rows(maps, 20)
    damaged = run.example(maps, rows, seeded_generator(0, "evaluate")).condition
    difference = unfold(run.standardise.undo(damaged).double().numpy() - second.read(rows), maps.basis)
    ell = list_indices(maps.basis)[:, 1]
    by_hand = [np.sqrt(np.square(difference[:, ell == degree]).mean()) for degree in range(7)]
    np.testing.assert_allclose(by_degree["error_to_second_sampling"]["the input itself"], by_hand, rtol=1e-6)
    assert 0 < result["rows"][1]["reconstruction mAP"] <= 1
    assert (run.folder / "samples" / "degrees.png").is_file()
    spectral_ssl.complete(run, count=2, modes=1)
    assert (run.folder / "completions-shapes.png").is_file()
    with pytest.raises(UserError, match="second sampling"):
        spectral_ssl.evaluate(run, count=5, modes=2, second=digits_file)


@pytest.mark.usefixtures("few_shapes")
def test_altered_shapes_are_scored_against_their_own_maps(tmp_path: Path) -> None:
    maps, second = (
        spectral_ssl.prep(degree=4, points=128, keep_points=True, seed=seed, out=tmp_path / f"{seed}.h5")
        for seed in (0, 1)
    )
    run = spectral_ssl.pretrain(
        maps, task="mask-shape", method="cgml", epochs=1, settings=TINY_CGML, out=tmp_path / "run", workspace=tmp_path
    )
    by_degree = spectral_ssl.evaluate(run, count=20, modes=2)["error_by_degree"]
    example = run.example(maps, select_held_out_rows(maps, 20), seeded_generator(0, "evaluate"))
    # The input itself has the exact values of the target outside the hidden part.
    given, true = (run.standardise.undo(part).double().numpy() for part in (example.condition, example.target))
    difference = unfold(given - true, maps.basis)
    ell = list_indices(maps.basis)[:, 1]
    by_hand = [np.sqrt(np.square(difference[:, ell == degree]).mean()) for degree in range(5)]
    np.testing.assert_allclose(by_degree["error"]["the input itself"], by_hand, rtol=1e-3)
    with pytest.raises(UserError, match=r"second sampling of other objects.*mask-shape alters.*--set stretch=0"):
        spectral_ssl.evaluate(run, count=5, modes=2, second=second)


def test_a_loss_that_is_not_finite_stops_and_leaves_the_batch(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = BatchStep.step
    monkeypatch.setattr(BatchStep, "step", lambda *given: {**step(*given), "loss": math.nan})
    with pytest.raises(UserError, match=r"not finite.*failed-batch"):
        spectral_ssl.pretrain(
            pictures,
            recipe="inpaint",
            epochs=3,
            settings=TINY_CGML,
            out=tmp_path / "run",
        )
    saved = torch.load(tmp_path / "run" / "failed-batch.pt", weights_only=True)
    assert len(saved["ids"]) == len(saved["condition"])
    assert json.loads((tmp_path / "run" / "status.json").read_text())["state"] == "failed"
