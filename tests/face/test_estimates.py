"""Dry runs: they say what would be done and how long it takes, and leave nothing behind."""

import json
from pathlib import Path

import pytest
from conftest import write_random_maps
from typer.testing import CliRunner

import spectral_ssl
from data_prep.basis import pixel_basis, zernike_basis
from data_prep.maps.reader import MapFile
from spectral_ssl.cli.app import app
from spectral_ssl.ground.errors import UserError

TINY = ("width=4", "code=8", "steps=2", "hidden=8")


@pytest.fixture
def _temporary_files_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))


def files(folder: Path) -> set[tuple[str, int]]:
    return {(str(path), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.usefixtures("few_shapes")
def test_prep_says_what_it_would_do_and_does_nothing(tmp_path: Path) -> None:
    found = spectral_ssl.estimate_prep("shapes", degree=16, points=32, workers=0, workspace=tmp_path / "ws")
    assert not (tmp_path / "ws").exists()
    assert found["objects"] == 72
    assert found["splits"] == {"train": 48, "val": 0, "test": 24}
    assert found["seconds"] == pytest.approx(72 * found["seconds_each"], rel=0.01, abs=0.1)
    maps = spectral_ssl.prep("shapes", degree=16, points=32, workspace=tmp_path / "ws")
    assert str(maps.path) == found["out"]
    assert tuple(found["shape"]) == maps.basis.shape
    assert maps.path.stat().st_size / 1e6 == pytest.approx(found["megabytes"], rel=0.1, abs=0.06)
    # The same options again would do nothing; others with the same file would be refused.
    again = {"degree": 16, "points": 32, "workspace": tmp_path / "ws", "out": maps.path}
    assert [spectral_ssl.estimate_prep("shapes", **again)[name] for name in ("finished", "exists")] == [True, False]
    other = spectral_ssl.estimate_prep("shapes", **{**again, "degree": 15})
    assert [other[name] for name in ("finished", "exists")] == [False, True]


def test_prep_refuses_in_a_dry_run_what_it_would_refuse(tmp_path: Path) -> None:
    for options in ({"dataset": "modelnett10"}, {"dataset": "modelnet40"}, {"degree": 0}, {"up": "up"}):
        with pytest.raises(UserError):
            spectral_ssl.estimate_prep(**options, workspace=tmp_path)
    with pytest.raises(UserError, match="would be fetched first"):
        spectral_ssl.estimate_prep("modelnet10", download=True, workspace=tmp_path)


@pytest.mark.usefixtures("_temporary_files_in")
def test_pretrain_is_measured_on_its_own_steps(random_maps: MapFile, tmp_path: Path) -> None:
    before = files(tmp_path)
    found = spectral_ssl.estimate_pretrain(
        random_maps, method="cgml", epochs=50, settings=(*TINY, "batch_size=10"), workspace=tmp_path / "ws"
    )
    assert files(tmp_path) == before
    assert (found["method"], found["task"], found["maps"]) == ("cgml", "denoise", 48)
    assert found["steps"] == 50 * 5
    assert found["measured"] == 12
    assert 0 < found["seconds_each"] < found["seconds"]
    run = spectral_ssl.pretrain(random_maps, method="cgml", epochs=0, settings=TINY, out=tmp_path / "run")
    assert found["parameters"] == sum(values.numel() for values in run.method.parameters())


@pytest.mark.usefixtures("_temporary_files_in")
def test_a_limit_of_time_is_respected(random_maps: MapFile, tmp_path: Path) -> None:
    options = {"method": "cgml", "settings": TINY, "workspace": tmp_path}
    found = spectral_ssl.estimate_pretrain(random_maps, epochs=100_000, max_minutes=0.5, **options)
    assert found["stopped_by_limit"]
    assert found["seconds"] == 30


@pytest.mark.usefixtures("_temporary_files_in")
def test_features_are_mined_in_a_copy(tmp_path: Path) -> None:
    maps = write_random_maps(tmp_path / "images.h5", pixel_basis(1, 16, 16))
    run = spectral_ssl.pretrain(maps, method="cgml", epochs=0, settings=TINY, out=tmp_path / "run")
    features = spectral_ssl.export(run, out=tmp_path / "features.h5")
    before = files(tmp_path)
    for given in (features, run.folder):
        found = spectral_ssl.estimate_pretrain(
            maps, method="lsc-gan", features=given, settings=("width=4",), workspace=tmp_path / "ws"
        )
        assert found["method"] == "lsc-gan"
        assert files(tmp_path) == before


def test_without_maps_prep_comes_first(tmp_path: Path) -> None:
    found = spectral_ssl.estimate_pretrain(workspace=tmp_path / "ws")
    assert found["prep"]["dataset"] == "shapes"
    found = spectral_ssl.estimate_pretrain(recipe="toy", workspace=tmp_path / "ws")
    assert found["prep"]["dataset"] == "toy"
    assert not (tmp_path / "ws").exists()


def test_the_commands_say_it_in_words_or_json(tmp_path: Path) -> None:
    maps = write_random_maps(tmp_path / "maps.h5", zernike_basis(4))
    place = ["--workspace", str(tmp_path / "ws"), "--dry-run"]
    shown = CliRunner().invoke(app, ["prep", "--dataset", "digits", *place]).stdout
    assert "1797 objects (1442 train, 355 test)" in shown
    assert json.loads(CliRunner().invoke(app, ["prep", *place, "--json"]).stdout)["objects"] == 720
    training = ["pretrain", "--data", str(maps.path), "--method", "cgml", *place]
    for setting in TINY:
        training += ["--set", setting]
    assert "48 maps of" in CliRunner().invoke(app, training).stdout
    assert json.loads(CliRunner().invoke(app, [*training, "--json"]).stdout)["steps"] == 20
    refused = CliRunner().invoke(app, [*training, "--resume", "run"])
    assert isinstance(refused.exception, UserError)
    assert "prep shapes" in CliRunner().invoke(app, ["pretrain", *place]).stdout
    assert not (tmp_path / "ws").exists()
