"""``study create|serve|results`` as a user calls them, on runs of images and of shapes."""

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import urlopen

import numpy as np
import pytest
from command_line import call
from PIL import Image
from study_client import Client

import spectral_ssl
from data_prep.basis import Basis, pixel_basis, zernike_basis
from data_prep.maps.reader import MapFile, open_maps
from data_prep.maps.writer import MapWriter
from data_prep.pipeline.shape_to_map import clouds_to_maps
from downstream.study.folder import Study
from pretext.runs.evaluation import select_held_out_rows
from pretext.runs.trained_run import TrainedRun
from spectral_ssl.ground.errors import UserError

TINY = ("method.width=4", "method.code=8")


def write_pictures(path: Path, basis: Basis, count: int = 48) -> MapFile:
    """Noise, half of it for training."""
    pictures = np.random.default_rng(0).uniform(-1, 1, (count, *basis.shape)).astype(np.float32)
    with MapWriter(
        path, basis, source="made-up pictures", source_digest="0", classes=("one",), count=count, created_by="test"
    ) as writer:
        writer.append(
            pictures, [f"picture-{row}" for row in range(count)], [0] * count, ["train", "test"] * (count // 2)
        )
    return open_maps(path)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def runs(home: Path) -> list[TrainedRun]:
    """Two runs on the same pictures."""
    maps = write_pictures(home / "pictures.h5", pixel_basis(3, 16, 16))
    return [
        spectral_ssl.pretrain(
            maps, method=method, task="inpaint", epochs=1, settings=TINY, out=home / method, workspace=home
        )
        for method in ("regression", "context-encoder")
    ]


def test_the_three_commands(runs: list[TrainedRun], home: Path) -> None:
    sources = [word for run in runs for word in ("--from", str(run.folder))]
    create = ("study", "create", "--kind", "turing", *sources)
    made = call(*create, "--trials", "6", "--checks", "2", "--exposure", "0.03", workspace=home)
    assert made.returncode == 0, made.stderr
    assert "turing study of regression, context-encoder, 6 trials and 2 checks" in made.stdout
    (folder,) = (home / "studies").iterdir()
    if os.name == "posix":
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700  # it says what is real
    environment = {**os.environ, "SPECTRAL_SSL_HOME": str(home)}
    command = [sys.executable, "-m", "spectral_ssl", "study", "serve", "--port", "0"]
    # a shell that starts the tests in the background hands an ignored SIGINT down to them
    with subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as server:
        assert server.stdout is not None
        client = Client(server.stdout.readline().strip())
        client.join()
        assert client.finish(0.03, lambda trial: trial["place"] % 2) == 8
        found = call("study", "results", "--into-runs", workspace=home)  # while it is served
        server.send_signal(signal.SIGINT)
        assert server.wait(20) == 0
    assert found.returncode == 0, found.stderr
    assert "1 participants, 8 answers" in found.stdout
    results = json.loads((folder / "results.json").read_text())
    assert [row["method"] for row in results["scores_of_everyone"]] == ["regression", "context-encoder"]
    assert sum(row["answers"] for row in results["scores_of_everyone"]) == 6
    assert (folder / "results.png").read_bytes().startswith(b"\x89PNG")
    assert "context-encoder" in (folder / "results.html").read_text()
    for run in runs:
        assert json.loads((run.folder / f"human-study-{folder.name}.json").read_text()) == results
        assert (run.folder / f"human-study-{folder.name}.png").is_file()


def test_an_open_address_is_warned_of(runs: list[TrainedRun], home: Path, tmp_path: Path) -> None:
    study = spectral_ssl.create_study(runs, trials=1, checks=1, out=tmp_path / "study")
    command = [sys.executable, "-m", "spectral_ssl", "study", "serve", str(study.folder), "--port", "0"]
    command += ["--address", "0.0.0.0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stderr is not None
        link = server.stdout.readline().strip()
        assert link.endswith(f"/enter/{study.secret}")
        assert "Ctrl-C" in server.stderr.readline()
        assert server.stderr.readline().startswith("WARNING: everyone who can reach 0.0.0.0")
        with pytest.raises(HTTPError):  # it responds, so it handles signals
            urlopen(f"http://127.0.0.1:{urlsplit(link).port}/nothing", timeout=60)
        server.send_signal(signal.SIGTERM)
        assert server.wait(20) == 0


def images(study: Study, row: dict[str, str]) -> dict[str, np.ndarray]:
    return {
        name: np.asarray(Image.open(study.folder / "images" / file)).astype(int)
        for name, file in row.items()
        if name != "id"
    }


def test_items_are_real_images_and_answers_to_the_same_hole(runs: list[TrainedRun], tmp_path: Path) -> None:
    study = spectral_ssl.create_study(
        runs, kind="psychophysical", trials=8, checks=2, settings=("share=0.25",), out=tmp_path / "study"
    )
    maps = open_maps(runs[0].plan.data)
    held_out = {maps.ids[row] for row in select_held_out_rows(maps, 1000)}
    names = [row["id"] for row in (*study.rows, *study.check_rows)]
    assert len(set(names)) == 10
    assert set(names) <= held_out
    for row in study.rows:
        found = images(study, row)
        assert found.keys() == {"real", "0", "1"}
        truth = maps.read(np.array([maps.ids.index(row["id"])]))[0]
        assert np.abs(found["real"] - (truth.transpose(1, 2, 0) + 1) * 127.5).max() <= 0.5 + 1e-3
        changed = [(found[method] != found["real"]).any(axis=2) for method in "01"]
        hole = changed[0] | changed[1]
        assert hole.sum() == 64  # a quarter of 16 x 16, and nothing else differs
        assert all(each[hole].mean() > 0.9 for each in changed)
    for row in study.check_rows:
        found = images(study, row)
        assert found.keys() == {"real", "spoilt0"}
        assert (found["spoilt0"] != found["real"]).mean() > 0.9
        assert (np.sort(found["spoilt0"].reshape(-1, 3), axis=0) == np.sort(found["real"].reshape(-1, 3), axis=0)).all()
    files = [file for row in (*study.rows, *study.check_rows) for name, file in row.items() if name != "id"]
    assert sorted(files) == sorted(path.name for path in (study.folder / "images").iterdir())
    assert all(len(file) == 20 for file in files)


def test_the_same_seed_gives_the_same_study(runs: list[TrainedRun], tmp_path: Path) -> None:
    one, same, other = (
        spectral_ssl.create_study(runs, trials=4, checks=2, seed=seed, out=tmp_path / name)
        for name, seed in (("one", 0), ("same", 0), ("other", 1))
    )
    assert one.rows == same.rows
    assert one.secret != same.secret
    assert [row["id"] for row in one.rows] != [row["id"] for row in other.rows]


def test_shapes_are_drawn(tmp_path: Path) -> None:
    basis = zernike_basis(6, points=64)
    generator = np.random.default_rng(0)
    clouds = generator.uniform(-0.55, 0.55, (12, 64, 3)) * generator.uniform(0.3, 1, (12, 1, 3))
    with MapWriter(
        tmp_path / "clouds.h5",
        basis,
        source="made-up",
        source_digest="0",
        classes=("one",),
        count=12,
        created_by="test",
    ) as writer:
        names = [f"cloud-{row}" for row in range(12)]
        writer.append(clouds_to_maps(clouds, basis), names, [0] * 12, ["train"] * 6 + ["test"] * 6)
    maps = open_maps(tmp_path / "clouds.h5")
    run = spectral_ssl.pretrain(
        maps, method="regression", task="denoise", epochs=1, settings=TINY, out=tmp_path / "run", workspace=tmp_path
    )
    study = spectral_ssl.create_study([run], kind="realism", trials=2, checks=1, out=tmp_path / "study")
    for row in study.rows:
        for picture in images(study, dict(row)).values():
            assert picture.shape == (256, 256, 3)
            assert 0.03 < (picture != 255).any(axis=2).mean() < 0.9  # a shape on white


def test_what_makes_no_study_is_refused_in_one_line(runs: list[TrainedRun], tmp_path: Path) -> None:
    create = spectral_ssl.create_study
    out = tmp_path / "study"
    with pytest.raises(UserError, match="24 held-out rows"):
        create(runs, trials=30, out=out)
    with pytest.raises(UserError, match="--from 2 to 4"):
        create(runs[:1], kind="psychophysical", trials=4, out=out)
    with pytest.raises(UserError, match="did you mean 'realism'"):
        create(runs, kind="realist", out=out)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="no study yet"):
        spectral_ssl.study_results(workspace=tmp_path)
    (tmp_path / "empty.txt").write_text(" \n")
    with pytest.raises(UserError, match="nothing to agree to"):
        create(runs, consent=tmp_path / "empty.txt", out=out)
    small = write_pictures(tmp_path / "small.h5", pixel_basis(1, 8, 8))
    run = spectral_ssl.pretrain(
        small, method="regression", task="inpaint", epochs=1, settings=TINY, out=tmp_path / "run", workspace=tmp_path
    )
    with pytest.raises(UserError, match="nothing to look at"):
        create([run], trials=4, out=out)
    with pytest.raises(UserError):
        create([runs[0], run], trials=4, out=out)
    assert not out.exists()
    assert not list(tmp_path.glob(".study*"))
    out.mkdir()
    with pytest.raises(UserError, match="--out"):
        create(runs, trials=4, out=out)


def test_serving_loads_no_torch() -> None:
    """Serving is up in a moment, and small."""
    code = "import sys, spectral_ssl.verbs.study.serve, downstream.study.serving; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
