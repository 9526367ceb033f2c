"""The verbs as a user calls them: by the command line, from another folder, on the built-in data."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import h5py
import numpy as np
import pytest
from command_line import call
from conftest import FEW_SHAPES, write_random_maps

from data_prep.basis import zernike_basis
from pretext.pretrained.find import DEFAULT_ENCODER
from spectral_ssl import load, read_features

TINY = ["--method", "cgml", "--set", "steps=2", "--set", "width=4", "--set", "code=8", "--set", "hidden=8"]


@pytest.fixture(scope="module", autouse=True)
def no_figures() -> None:
    """Here the figures are drawn."""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace in which the shapes are prepared and a run is trained, by the user's own commands."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(*FEW_SHAPES)
        done = call("prep", "--degree", "8", "--points", "256", folder=home, workspace=home / "ws")
    assert done.returncode == 0, done.stderr
    assert "72 maps (48 train, 24 test) of shape (5, 9, 9), failed objects: 0" in done.stdout
    done = call("pretrain", "--epochs", "2", *TINY, folder=home, workspace=home / "ws")
    assert done.returncode == 0, done.stderr
    return home


@pytest.mark.usefixtures("quick_probes")
def test_the_four_commands_leave_what_they_promise(prepared: Path) -> None:
    workspace = prepared / "ws"
    (run,) = (workspace / "runs").iterdir()
    for name in ("config.toml", "environment.json", "metrics.jsonl", "status.json", "checkpoints/last.pt"):
        assert (run / name).is_file(), name
    for picture in ("answers.png", "losses.png"):
        assert (run / "samples" / picture).read_bytes().startswith(b"\x89PNG")
    assert json.loads((run / "status.json").read_text())["state"] == "finished"
    assert len((run / "metrics.jsonl").read_text().splitlines()) == 2

    done = call("probe", "--target", "shapes", "--seeds", "1", folder=prepared, workspace=workspace)
    assert done.returncode == 0, done.stderr
    for row in ("raw coefficients", "rotation invariants", "ring norms", "untrained network", "trained network"):
        assert row in done.stdout
    result = json.loads((run / "probe-shapes-zernike-degree8-points256.json").read_text())
    assert all(0 <= row["mean"] <= 1 for row in result["rows"])
    assert max(row["mean"] for row in result["rows"]) > 2 / 12, "no better than chance"
    assert result["environment"]["packages"]["torch"]
    assert (run / "probe-shapes-zernike-degree8-points256.png").read_bytes().startswith(b"\x89PNG")

    done = call("export", folder=prepared, workspace=workspace)
    assert done.returncode == 0, done.stderr
    (features,) = (workspace / "features").glob("*.h5")
    assert done.stdout.strip() == str(features)
    with h5py.File(features) as file, h5py.File(workspace / "maps" / "shapes-zernike-degree8-points256.h5") as maps:
        assert file["features"].shape[0] == 72
        assert np.isfinite(file["features"][:]).all()
        assert (file["ids"][:] == maps["ids"][:]).all()

    done = call("complete", "--modes", "3", "--count", "5", folder=prepared, workspace=workspace)
    assert done.returncode == 0, done.stderr
    with h5py.File(run / "completions.h5") as file:
        assert file["answers"].shape == (5, 3, 5, 9, 9)
    assert (run / "completions.png").read_bytes().startswith(b"\x89PNG")

    for path in (features, workspace / "maps" / "shapes-zernike-degree8-points256.h5"):
        done = call("verify", path, folder=prepared, workspace=workspace)
        assert done.returncode == 0, done.stdout
        assert "sound" in done.stdout
    listed = call("list", folder=prepared, workspace=workspace).stdout
    for name in ("shapes", "modelnet40", "cgml", "denoise", "quick", run.name, "shapes-zernike-degree8-points256.h5"):
        assert name in listed


@pytest.mark.usefixtures("few_shapes")
def test_without_options_the_built_in_shapes_are_trained_on_by_the_joint_embedding(tmp_path: Path) -> None:
    workspace = tmp_path / "ws"
    # pretrain prepares the shapes, with their clouds, and a limit of time is all that it is told
    for command in (["pretrain", "--max-minutes", "0.02"], ["probe", "--probes", "neighbours"], ["export"]):
        done = call(*command, folder=tmp_path, workspace=workspace)
        assert done.returncode == 0, done.stderr
    (run,) = (workspace / "runs").iterdir()
    assert run.name.endswith("-joint-embedding-views")
    with (run / "config.toml").open("rb") as stream:
        config = tomllib.load(stream)
    assert (config["train"]["epochs"], config["train"]["batch_size"]) == (60, 24)
    assert config["method"]["optimisation"]["cosine_steps"] == 0  # the whole training, however long it is
    result = json.loads((run / "probe-shapes-zernike.json").read_text())
    assert result["rows"][-1]["neighbours"] > 3 / 12  # of 12 classes
    (features,) = (workspace / "features").glob("*.h5")
    with h5py.File(features) as file:
        assert file["features"].shape == (72, 512)  # whitened as those of the encoder that the run started from


@pytest.mark.usefixtures("few_shapes")
def test_without_clouds_it_says_what_it_trains_instead(tmp_path: Path) -> None:
    workspace = tmp_path / "ws"
    small = ["--degree", "6", "--points", "64", "--no-keep-points"]
    assert call("prep", *small, folder=tmp_path, workspace=workspace).returncode == 0
    done = call("pretrain", "--epochs", "0", "--set", "width=4", folder=tmp_path, workspace=workspace)
    assert done.returncode == 0, done.stderr
    assert "--keep-points" in done.stderr
    (run,) = (workspace / "runs").iterdir()
    assert run.name.endswith("-cgml-denoise")
    done = call("pretrain", "--task", "views", folder=tmp_path, workspace=workspace)
    assert done.returncode == 2
    assert "--keep-points" in done.stderr


def test_images_go_the_same_way(tmp_path: Path) -> None:
    workspace, said = tmp_path / "ws", {}
    for command in (
        ["prep", "--dataset", "digits"],
        ["pretrain", "--epochs", "1", *TINY],
        ["probe", "--target", "digits", "--seeds", "1", "--probes", "neighbours"],
        ["export"],
    ):
        done = call(*command, folder=tmp_path, workspace=workspace)
        assert done.returncode == 0, done.stderr
        said[command[0]] = done.stdout
    assert "raw pixels" in said["probe"]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("prep --dataset modelnett10", ["modelnett10", "did you mean 'modelnet10'"]),
        ("prep --dataset modelnet10 --root nowhere", ["nowhere"]),
        ("prep --dataset shapenet", ["shapenet"]),
        ("prep --basis fourier", ["fourier", "zernike"]),
        ("prep --degree 0", ["degree", "0"]),
        ("prep --degree 1000", ["1000"]),
        ("prep --points 0", ["points", "0"]),
        (
            "prep --degree 9 --points 256 --out ws/maps/shapes-zernike-degree8-points256.h5",
            ["exists already", "degree 8 against 9", "--overwrite"],
        ),
        ("prep --dataset digits --degree 3", ["images"]),
        ("pretrain --method cglm", ["cglm", "did you mean 'cgml'"]),
        ("pretrain --task denoize", ["denoize", "did you mean 'denoise'"]),
        ("pretrain --recipe qick", ["qick", "did you mean 'quick'"]),
        ("pretrain --set widht=3", ["widht", "did you mean 'width'"]),
        ("pretrain --set width=wide", ["method.networks.width", "wide"]),
        ("pretrain --method cgml --set domain=cube", ["method.path.domain", "cube"]),
        ("pretrain --epochs -1", ["epochs", "-1"]),
        ("pretrain --data nowhere.h5", ["nowhere.h5"]),
        ("pretrain --data damaged.h5", ["damaged.h5"]),
        ("pretrain --resume nowhere", ["nowhere"]),
        ("probe --target modelnet10", ["modelnet10"]),
        ("probe --target moonnet", ["moonnet"]),
        ("probe --run nowhere", ["nowhere"]),
        ("probe --target other.h5", ["another basis"]),
        ("probe --seeds 0", ["seeds", "0"]),
        ("probe --probes linear,svn", ["svn", "did you mean 'svm'"]),
        ("probe --pose so4", ["so4", "did you mean 'so3'"]),
        ("probe --references", ["--references", "spectral maps"]),
        ("probe --centroids 9", ["--centroids", "are for images"]),
        ("export --data other.h5", ["another basis"]),
        ("complete --modes 0", ["modes", "0"]),
        ("verify nowhere.h5", ["nowhere.h5"]),
        ("list datesets", ["datesets", "did you mean 'datasets'"]),
    ],
)
def test_a_mistake_is_one_line_and_status_2_and_nothing_is_written(
    prepared: Path, command: str, words: list[str]
) -> None:
    workspace = prepared / "ws"
    if not (prepared / "other.h5").exists():
        write_random_maps(prepared / "other.h5", zernike_basis(4))
        (prepared / "damaged.h5").write_bytes(
            (workspace / "maps" / "shapes-zernike-degree8-points256.h5").read_bytes()[:5000]
        )

    def state() -> set[tuple[str, int]]:
        return {(str(path), path.stat().st_mtime_ns) for path in prepared.rglob("*") if path.is_file()}

    before = state()
    done = call(*command.split(), folder=prepared, workspace=workspace)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("spectral-ssl: ")]
    assert len(lines) == 1, done.stderr
    for word in words:
        assert word in lines[0]
    assert state() == before


def test_verify_of_a_damaged_file_says_so_with_status_1(prepared: Path) -> None:
    torn = prepared / "torn.h5"
    torn.write_bytes((prepared / "ws" / "maps" / "shapes-zernike-degree8-points256.h5").read_bytes()[:5000])
    done = call("verify", "torn.h5", folder=prepared, workspace=prepared / "ws")
    torn.unlink()
    assert done.returncode == 1
    assert "damaged or truncated" in done.stdout
    assert "Traceback" not in done.stderr


def test_an_existing_run_folder_is_not_touched(prepared: Path) -> None:
    taken = prepared / "taken"
    taken.mkdir(exist_ok=True)
    done = call("pretrain", "--out", "taken", "--epochs", "1", *TINY, folder=prepared, workspace=prepared / "ws")
    assert done.returncode == 2
    assert "exists already" in done.stderr
    assert not any(taken.iterdir())


@pytest.mark.usefixtures("few_shapes")
def test_the_same_prep_again_does_nothing(prepared: Path) -> None:
    path = prepared / "ws" / "maps" / "shapes-zernike-degree8-points256.h5"
    before = path.stat().st_mtime_ns
    done = call("prep", "shapes", "--degree", "8", "--points", "256", folder=prepared, workspace=prepared / "ws")
    assert done.returncode == 0, done.stderr
    assert "nothing to do" in done.stderr
    assert "72 maps (48 train, 24 test)" in done.stdout
    assert path.stat().st_mtime_ns == before


def test_nothing_at_hand_is_said_in_one_line(tmp_path: Path) -> None:
    for verb, advice in (("probe", "--target"), ("complete", "spectral-ssl pretrain")):
        done = call(verb, folder=tmp_path, workspace=tmp_path / "empty")
        assert done.returncode == 2
        assert advice in done.stderr.splitlines()[-1]


@pytest.mark.usefixtures("few_shapes")
def test_export_with_nothing_at_hand_embeds_the_built_in_shapes_and_says_so(tmp_path: Path) -> None:
    workspace = tmp_path / "empty"
    done = call("export", folder=tmp_path, workspace=workspace)
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stderr.split())
    assert f"no run in {workspace / 'runs'} yet: encoder {DEFAULT_ENCODER}, which ships with the package" in said
    assert "data: the built-in shapes; --data FOLDER names your own" in said
    path = Path(done.stdout.split()[-1])
    assert path.is_relative_to(workspace)
    features, encoder = read_features(path), load(DEFAULT_ENCODER)
    assert len(features.ids) == 72
    assert len(features.classes) == 12
    assert features.about["checkpoint_digest"] == encoder.checkpoint_digest
    assert features.about["basis"] == encoder.basis.to_json()
    assert not (workspace / "runs").exists()
    again = call("export", folder=tmp_path, workspace=workspace)
    assert (again.returncode, "exists already" in again.stderr.splitlines()[-1]) == (2, True)


@pytest.mark.usefixtures("few_shapes", "quick_probes")
def test_demo_runs_and_touches_no_map_file_of_the_users(prepared: Path) -> None:
    workspace = prepared / "ws"
    before = (workspace / "maps" / "shapes-zernike-degree8-points256.h5").read_bytes()
    done = call("demo", "--max-minutes", "0.02", folder=prepared, workspace=workspace)
    assert done.returncode == 0, done.stderr
    for word in ("raw coefficients", "untrained network", "encoder universe-upright", "trained network", "demo.h5"):
        assert word in done.stdout
    steps = [line[:14] for line in done.stderr.splitlines() if line[1:7] == " of 4:"]
    assert steps == ["1 of 4: embed,", "2 of 4: neighb", "3 of 4: probe,", "4 of 4: pretra"]
    assert (workspace / "encoders" / "universe-upright" / "samples" / "demo-neighbors.png").is_file()
    result = done.stdout.splitlines()[-1]
    numbers = [float(number) for number in re.findall(r"([\d.]+)%", result)]
    assert result.startswith("With 1 labelled example of each of the 12 classes, ")
    assert len(numbers) == 3
    assert all(0 < number <= 100 for number in numbers)
    table = [line for line in done.stdout.splitlines() if "encoder universe-upright" in line and "│" in line]
    assert f" {numbers[0] / 100:.3f} (" in table[0]
    assert "next: " not in done.stderr
    assert (workspace / "maps" / "shapes-zernike-degree8-points256.h5").read_bytes() == before


def test_an_interrupted_training_is_saved_and_goes_on(tmp_path: Path, shapes_file: Path) -> None:
    workspace = tmp_path / "ws"
    options = ["--data", shapes_file, "--epochs", "100000", "--out", "run", *TINY]
    training = subprocess.Popen(
        [sys.executable, "-m", "spectral_ssl", "pretrain", *options],
        cwd=tmp_path,
        env={**os.environ, "SPECTRAL_SSL_HOME": str(workspace)},
        stderr=subprocess.PIPE,
        text=True,
    )
    metrics = tmp_path / "run" / "metrics.jsonl"
    deadline = time.monotonic() + 120
    while not metrics.exists() and training.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    training.send_signal(signal.SIGINT)
    _, errors = training.communicate(timeout=60)
    assert training.returncode == 130, errors
    assert "--resume" in errors
    assert json.loads((tmp_path / "run" / "status.json").read_text())["state"] == "stopped"
    epochs = len(metrics.read_text().splitlines())
    done = call("pretrain", "--resume", "run", "--epochs", str(epochs + 1), folder=tmp_path, workspace=workspace)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in metrics.read_text().splitlines()]
    assert [row["epoch"] for row in rows] == list(range(1, epochs + 2))
    assert f"epochs = {epochs + 1}" in (tmp_path / "run" / "config.toml").read_text()


def test_as_a_process_a_mistake_is_status_2(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "spectral_ssl", "list", "datesets"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("spectral-ssl: ")
    assert done.stderr.count("\n") == 1


def test_export_without_data_means_the_very_file_the_run_was_trained_on(tmp_path: Path) -> None:
    write_random_maps(tmp_path / "mine.h5", zernike_basis(4))
    workspace = tmp_path / "ws"
    done = call("pretrain", "--data", "mine.h5", "--epochs", "1", *TINY, folder=tmp_path, workspace=workspace)
    assert done.returncode == 0, done.stderr
    assert call("export", folder=tmp_path, workspace=workspace).returncode == 0
    (tmp_path / "mine.h5").unlink()
    write_random_maps(tmp_path / "mine.h5", zernike_basis(4), seed=1)
    done = call("export", "--overwrite", folder=tmp_path, workspace=workspace)
    assert done.returncode == 2
    assert "was prepared again since this run" in done.stderr
