"""``complete FILE``: a photograph in colours, and a scan of which a side is missing."""

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import trimesh
from command_line import call
from PIL import Image

import spectral_ssl
from data_prep.maps.reader import open_maps
from data_prep.pipeline.single_file import file_to_map
from pretext.runs.trained_run import load_run
from spectral_ssl.ground.errors import UserError

NOISE = ("task.kind=sampling-noise",)
TINY = ("latent=2", "steps=1", "code=8", "hidden=8", "width=8")


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scans")
    raw = folder / "raw"
    raw.mkdir()
    for number in range(8):
        trimesh.creation.box(extents=(1, 1 + number / 8, 2)).export(raw / f"{number}.ply")
    spectral_ssl.prep(f"folder:{raw}", degree=6, points=256, keep_points=True, out=folder / "maps.h5")
    return folder


def train(shapes: Path, task: str, *settings: str) -> Path:
    out = shapes / f"run-{task}-{len(settings)}"
    if not out.exists():
        spectral_ssl.pretrain(
            shapes / "maps.h5", method="cgml", task=task, epochs=1, settings=(*TINY, *settings), out=out,
            workspace=shapes,
        )  # fmt: skip
    return out


@pytest.mark.parametrize(("task", "settings"), [("complete-shape", ("task.recentre=true",)), ("denoise", NOISE)])
def test_a_scan_is_completed_as_it_is(shapes: Path, tmp_path: Path, task: str, settings: tuple[str, ...]) -> None:
    run = train(shapes, task, *settings)
    box = trimesh.creation.box(extents=(1, 1.5, 2)).sample(800, seed=0)
    scan = tmp_path / "scan.ply"
    trimesh.PointCloud(7 * box[box[:, 0] < 0.2] + 3).export(scan)
    out = tmp_path / "out.h5"
    done = call("complete", scan, "--run", run, "--modes", "3", "--out", out)
    assert done.returncode == 0, done.stderr
    assert "out-3.ply" in done.stderr
    with h5py.File(out) as file:
        assert "target" not in file
        assert [name.decode() for name in file["ids"][:]] == ["scan.ply"]
        assert file["answers"].shape[:2] == (1, 3)
        # the condition is the map that the file has by itself: its place and size do not count
        trained = load_run(run)
        assert (file.attrs["input"], file.attrs["up"]) == (str(scan), "")
        expected = trained.standardise(file_to_map(scan, open_maps(shapes / "maps.h5").basis).values[None])
        np.testing.assert_array_equal(file["condition"][:], expected)
    for number in (1, 2, 3):
        surface = trimesh.load(tmp_path / f"out-{number}.ply")
        assert len(surface.faces) > 100
        assert np.abs(surface.vertices).max() <= 1
    assert (tmp_path / "out.png").is_file()
    assert (tmp_path / "out-shapes.png").is_file()
    again = call("complete", scan, "--run", run, "--modes", "3", "--out", tmp_path / "again.h5")
    assert again.returncode == 0
    assert (tmp_path / "again-2.ply").read_bytes() == (tmp_path / "out-2.ply").read_bytes()
    turned = call("complete", scan, "--run", run, "--modes", "1", "--up", "+y", "--out", tmp_path / "turned.h5")
    assert turned.returncode == 0
    with h5py.File(out) as file, h5py.File(tmp_path / "turned.h5") as other:
        assert np.abs(file["condition"][:] - other["condition"][:]).max() > 0.1


def test_an_existing_surface_is_not_replaced(shapes: Path, tmp_path: Path) -> None:
    (tmp_path / "out-2.ply").write_text("mine")
    arguments = ("complete", shapes / "raw" / "0.ply", "--run", train(shapes, "denoise", *NOISE), "--modes", "2")
    done = call(*arguments, "--out", tmp_path / "out.h5")
    assert done.returncode == 2
    assert "out-2.ply" in done.stderr
    assert (tmp_path / "out-2.ply").read_text() == "mine"
    assert not (tmp_path / "out.h5").exists()


def test_parts_of_another_frame_and_other_tasks_are_refused(shapes: Path, tmp_path: Path) -> None:
    scan = shapes / "raw" / "0.ply"
    with pytest.raises(UserError, match=r"expects a part at its place.*recentre=true"):
        spectral_ssl.complete(train(shapes, "complete-shape"), like=scan, out=tmp_path / "a.h5")
    with pytest.raises(UserError, match=r"damaged cells.*kind=sampling-noise"):
        spectral_ssl.complete(train(shapes, "denoise"), like=scan, out=tmp_path / "a.h5")
    run = train(shapes, "denoise", *NOISE)
    with pytest.raises(UserError, match="--up is for a scan"):
        spectral_ssl.complete(run, up="banana", out=tmp_path / "a.h5")
    with pytest.raises(UserError, match="banana"):
        spectral_ssl.complete(run, like=scan, up="banana", out=tmp_path / "a.h5")
    for name, content in {"photo.png": b"", "empty.ply": b"", "text.ply": b"ply\nnothing"}.items():
        (tmp_path / name).write_bytes(content)
        done = call("complete", tmp_path / name, "--run", run, "--out", tmp_path / "b.h5")
        assert done.returncode == 2, done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
    done = call("complete", scan, "--like", "0.ply", "--run", run)
    assert done.returncode == 2
    assert "two samples" in done.stderr
    assert not list(tmp_path.glob("*.h5"))


def test_a_file_is_no_object_of_the_data_with_its_name(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = train(shapes, "denoise", *NOISE)
    trimesh.creation.icosphere().export(tmp_path / "0.ply")
    monkeypatch.chdir(tmp_path)
    assert call("complete", "0.ply", "--run", run, "--modes", "1", "--out", "file.h5").returncode == 0
    by_path = spectral_ssl.complete(run, like=Path("0.ply"), modes=1, out="path.h5")
    by_text = spectral_ssl.complete(run, like="./0.ply", modes=1, out="text.h5")
    by_id = spectral_ssl.complete(run, like="0.ply", modes=1, out="id.h5")
    assert "./0.ply is the file" in capsys.readouterr().err
    conditions = []
    for path in ("file.h5", by_path, by_text, by_id):
        with h5py.File(path) as file:
            conditions.append(file["condition"][:])
            assert ("target" in file) == (path == by_id)
    assert (conditions[0] == conditions[1]).all()
    assert (conditions[0] == conditions[2]).all()
    assert np.abs(conditions[0] - conditions[3]).max() > 0.1


def test_the_default_name_is_of_the_scan_and_the_scan_is_never_replaced(shapes: Path, tmp_path: Path) -> None:
    run = train(shapes, "denoise", *NOISE)
    scan = tmp_path / "it-1.ply"
    trimesh.creation.box().export(scan)
    content = scan.read_bytes()
    with pytest.raises(UserError, match="the scan itself would be replaced"):
        spectral_ssl.complete(run, like=scan, modes=1, out=tmp_path / "it.h5", overwrite=True)
    assert scan.read_bytes() == content
    out = spectral_ssl.complete(run, like=scan, modes=1)
    assert out == run / "completion-of-it-1.h5"
    assert (run / "completion-of-it-1-1.ply").is_file()


def test_a_prediction_without_a_surface_is_named_and_left_out(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = load_run(train(shapes, "denoise", *NOISE))
    complete = run.method.complete

    def diverged(*given: object) -> torch.Tensor:
        predictions: torch.Tensor = complete(*given)
        predictions[:, 0] = torch.nan
        return predictions

    monkeypatch.setattr(run.method, "complete", diverged)
    (tmp_path / "out-1.ply").write_text("of an earlier call")
    out = spectral_ssl.complete(run, like=shapes / "raw" / "0.ply", modes=2, out=tmp_path / "out.h5", overwrite=True)
    assert out.is_file()
    assert "out-1.ply is not written" in capsys.readouterr().err
    assert not (tmp_path / "out-1.ply").exists()
    assert (tmp_path / "out-2.ply").is_file()


def test_a_photograph_is_coloured(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    for number in range(8):
        noise = np.random.default_rng(number).integers(0, 256, size=(32, 32, 3), dtype=np.uint8)
        Image.fromarray(noise).save(raw / f"{number}.png")
    pictures = spectral_ssl.prep(f"folder:{raw}", out=tmp_path / "pictures.h5").path
    run = spectral_ssl.pretrain(
        pictures, method="cgml", task="colorize", epochs=1, settings=TINY, out=tmp_path / "run", workspace=tmp_path
    )
    pixels = np.random.default_rng(0).integers(0, 256, size=(40, 60, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    spectral_ssl.complete(run, like=tmp_path / "photo.png", modes=2, out=tmp_path / "out.h5")
    with h5py.File(tmp_path / "out.h5") as file:
        assert file["answers"].shape[:2] == (1, 2)
        assert file["target"].shape[0] == 1
        grey = file["condition"][0]
        assert grey.shape[0] == 1
        assert grey.std() > 0.05
    assert not list(tmp_path.glob("*.ply"))
    with pytest.raises(UserError, match="images have no up axis"):
        spectral_ssl.complete(run, like=tmp_path / "photo.png", up="+y", out=tmp_path / "b.h5")
