"""MR-GAN as a user runs it: three tasks, several answers, scores, features, a predictor used again, and mistakes."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from command_line import call
from PIL import Image

import spectral_ssl
from data_prep.basis import pixel_basis
from data_prep.maps.writer import MapWriter
from pretext.runs.trained_run import load_run
from spectral_ssl.ground.errors import UserError

TINY = ("width=4", "code=8", "noise_channels=4", "samples=3", "predictor_steps=3", "batch_size=8")
STEPS = 5  # of one epoch of 40 pictures


def write_pictures(path: Path, *, channels: int = 3, side: int = 32, paired: bool = False, seed: int = 0) -> Path:
    """40 smooth pictures to train on and 12 to test with."""
    generator = torch.Generator().manual_seed(seed)
    coarse = 2 * torch.rand(52, channels, 4, 4, generator=generator) - 1
    maps = torch.nn.functional.interpolate(coarse, size=side, mode="bilinear").numpy()
    basis = pixel_basis(channels, side, side, paired=paired)
    with MapWriter(
        path, basis, source="made-up", source_digest=str(seed), classes=["thing"], count=52, created_by="test"
    ) as writer:
        names = [f"picture-{row}" for row in range(52)]
        writer.append(maps, names, [0] * 52, ["train"] * 40 + ["test"] * 12)
    return path


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with pictures and pairs of pictures."""
    home = tmp_path_factory.mktemp("mr-gan")
    write_pictures(home / "pictures.h5")
    write_pictures(home / "pairs.h5", channels=6, paired=True)
    return home


def train(home: Path, task: str, out: str, *settings: str, data: str = "", **given: object) -> Path:
    data = data or ("pairs.h5" if task == "translate" else "pictures.h5")
    given = {"epochs": 1, "method": "mr-gan", **given}
    run = spectral_ssl.pretrain(
        home / data,
        task=task,
        settings=(*TINY, *settings),
        out=home / "runs" / out,
        workspace=home,
        **given,
    )
    return run.folder


@pytest.fixture(scope="module")
def runs(home: Path) -> dict[str, Path]:
    return {task: train(home, task, task) for task in ("translate", "super-resolve", "inpaint")}


def test_each_task_has_the_papers_networks_and_answers_twenty_times(runs: dict[str, Path]) -> None:
    bases = {"translate": "unet", "super-resolve": "residual", "inpaint": "dilated"}
    for task, folder in runs.items():
        assert load_run(folder).method.base == bases[task]
        written = spectral_ssl.complete(folder, modes=20, count=3, overwrite=True)
        with h5py.File(written) as file:
            answers = file["answers"][:]
        assert answers.shape == (3, 20, 3, 32, 32)
        assert np.abs(answers).max() <= 1
        assert (answers.std(axis=1) > 0).any()
        with Image.open(folder / "completions-moments.png") as picture:
            assert np.asarray(picture.convert("L")).std() > 5, "an empty picture"


def test_it_is_scored_beside_a_baseline_and_its_features_are_exported(home: Path, runs: dict[str, Path]) -> None:
    baseline = train(
        home, "translate", "l1", "reconstruction_weight=100", "samples=1", variant="none"
    )  # the same networks
    result = spectral_ssl.evaluate(runs["translate"], beside=[baseline], count=6, modes=4, workspace=home)
    rows = {row["answers"]: row for row in result["rows"]}
    assert len(rows) == 3
    input_itself = rows.pop("the input itself")
    assert "diversity (ST-LPIPS)" not in input_itself
    assert input_itself["error"] == input_itself["error of the best"]
    for row in rows.values():
        assert row["diversity (ST-LPIPS)"] > 0
        assert np.isfinite(row["Fréchet distance (EfficientNet-Lite0)"])
    written = spectral_ssl.export(runs["translate"], workspace=home)
    with h5py.File(written) as file:
        assert file["features"].shape == (52, 4 * 8)  # the U-Net's innermost activation: one place, 8 times the width
        assert np.isfinite(file["features"][:]).all()


def test_a_run_can_be_resumed_after_its_predictor(home: Path) -> None:
    whole = train(home, "translate", "whole", epochs=2)
    parts = train(home, "translate", "parts", epochs=2, max_minutes=1e-6)
    spectral_ssl.pretrain(home / "pairs.h5", resume=parts, max_minutes=0)
    one, two = (load_run(folder).method.state_dict() for folder in (whole, parts))
    assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.usefixtures("figures")
def test_the_toy_is_scored_by_the_modes_it_finds(home: Path) -> None:
    settings = ("predictor_steps=5", "code=8", "samples=3")
    run = spectral_ssl.pretrain(
        recipe="mr-gan-toy", epochs=1, settings=settings, out=home / "runs" / "toy", workspace=home
    )
    assert run.method.base == "latent"
    (row,) = spectral_ssl.evaluate(run, count=20, modes=10, workspace=home)["rows"]
    assert 0 <= row["modes found"] <= 8
    assert 0 <= row["within 3 sigma"] <= 1
    with Image.open(run.folder / "samples" / "answers.png") as picture:
        assert np.asarray(picture.convert("L")).std() > 5, "an empty picture"


def test_other_methods_take_on_super_resolution(home: Path) -> None:
    run = spectral_ssl.pretrain(
        home / "pictures.h5",
        method="regression",
        task="super-resolve",
        epochs=1,
        settings=("width=4", "code=8"),
        out=home / "runs" / "regression",
    )
    written = spectral_ssl.complete(run, modes=1, count=2)
    with h5py.File(written) as file:
        assert file["condition"].shape == (2, 3, 32, 32)
        blocks = file["condition"][:].reshape(2, 3, 8, 4, 8, 4)
        assert np.allclose(blocks, blocks.mean(axis=(3, 5), keepdims=True))
        truth = file["target"][:].reshape(2, 3, 8, 4, 8, 4).mean(axis=(3, 5))
        assert np.allclose(blocks.mean(axis=(3, 5)), truth, atol=1e-5)


def test_a_predictor_is_used_again_where_data_and_task_are_the_same(home: Path, runs: dict[str, Path]) -> None:
    first = load_run(runs["translate"]).method.predictor.best.state_dict()
    for number, given in enumerate((str(runs["translate"]), "auto")):
        again = load_run(
            train(home, "translate", f"again-{number}", f"predictor={given}", variant="gaussian-proxy-mr1")
        )
        taken = again.method.predictor.best.state_dict()
        assert all(torch.equal(first[name], taken[name]) for name in first)
        assert int(again.method.steps_done) == STEPS
    # none of the runs there are was trained with another seed: it trains its own
    other = load_run(train(home, "translate", "other-seed", "predictor=auto", seed=3))
    assert int(other.method.steps_done) == STEPS - 3
    # nor on mirrored images
    mirrored = load_run(train(home, "translate", "mirrored", "predictor=auto", "train.flip=true"))
    assert int(mirrored.method.steps_done) == STEPS - 3


def test_predictors_of_anything_else_are_refused(home: Path, runs: dict[str, Path]) -> None:
    write_pictures(home / "others.h5", channels=6, paired=True, seed=1)
    known = f"predictor={runs['translate']}"
    refused = {
        "another data set": {"data": "others.h5"},
        "another task": {"settings": ("direction=BtoA",)},
        "other moments": {"variant": "laplace-proxy-mr1"},
        "another network": {"settings": ("width=8",)},
        "no predictor": {"variant": "gaussian-mr2"},
    }
    for what, given in refused.items():
        settings = (known, *given.pop("settings", ()))
        with pytest.raises(UserError, match=what):
            train(home, "translate", "never", *settings, **given)
        assert not (home / "runs" / "never").exists()
    unfinished = train(home, "translate", "unfinished", "predictor_steps=100")
    with pytest.raises(UserError, match="not trained yet"):
        train(home, "translate", "never", f"predictor={unfinished}", "predictor_steps=100")


def test_mistakes_on_the_command_line_are_one_line_each(home: Path, runs: dict[str, Path]) -> None:
    write_pictures(home / "tiny.h5", channels=6, side=4, paired=True)
    write_pictures(home / "others.h5", channels=6, paired=True, seed=1)
    common = ("pretrain", "--method", "mr-gan", "--task", "translate", "--epochs", "1", "--data")
    pairs = (*common, home / "pairs.h5")
    mistakes: list[tuple[tuple[str | Path, ...], list[str]]] = [
        ((*pairs, "--set", "samples=1"), ["second moment", "gaussian-proxy-mr1"]),
        ((*pairs, "--variant", "gausian-proxy-mr2"), ["gausian-proxy-mr2", "did you mean 'gaussian-proxy-mr2'"]),
        ((*common, home / "others.h5", "--set", f"predictor={runs['translate']}"), ["predictor of another data set"]),
        ((*common, home / "tiny.h5"), ["stride", "4 x 4"]),
    ]
    for arguments, parts in mistakes:
        done = call(*arguments, *(word for setting in TINY[:3] for word in ("--set", setting)), workspace=home)
        assert done.returncode == 2, done.stderr
        last = done.stderr.strip().splitlines()[-1]
        assert last.startswith("spectral-ssl: ")
        assert "Traceback" not in done.stderr
        for part in parts:
            assert part in last
