"""``verify`` finds the raw data of a map file where it can, and reports when it cannot."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from conftest import forget_checksums
from PIL import Image as Pillow

import spectral_ssl
from data_prep.maps.reader import compute_content_digest, open_maps
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.workspace import Workspace
from spectral_ssl.planning.prep_options import PrepOptions
from spectral_ssl.planning.prep_plan import default_out


def _forge(path: Path) -> None:
    """Halve all maps, statistics and digest included, so that only the raw data reveals it."""
    with h5py.File(path, "r+") as file:
        for name in ("maps", "mean"):
            file[name][...] = file[name][:] / 2
        std = file["std"][:]
        file["std"][...] = np.where(std == 1, 1, std / 2)
        forget_checksums(file)
        file.attrs["content_digest"] = compute_content_digest(file)


def test_more_shapes_of_the_universe_than_by_default_are_all_found(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("data_prep.sources.universe.source.COUNT", 4)
    maps = spectral_ssl.prep("universe", count=12, degree=4, points=64, workers=0)
    assert spectral_ssl.verify(maps.path) == []
    assert "8 objects of universe made again from the raw data: the maps are equal" in capsys.readouterr().err
    _forge(maps.path)
    assert sum("computed again, differs by" in finding for finding in spectral_ssl.verify(maps.path)) == 8


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SPECTRAL_SSL_HOME", str(tmp_path / "ws"))
    return tmp_path


def _clouds(folder: Path, seed: int = 0) -> None:
    generator = np.random.default_rng(seed)
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(3):
            np.save(folder / name / f"{number}.npy", generator.normal(size=(80, 3)))


def test_built_in_data_is_compared_by_default(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    maps = spectral_ssl.prep("digits", workers=0)
    assert spectral_ssl.verify(maps.path) == []
    assert "8 objects of digits made again from the raw data: the maps are equal" in capsys.readouterr().err
    _forge(maps.path)
    findings = spectral_ssl.verify(maps.path)
    assert len(findings) == 8
    assert all("computed again, differs by" in finding for finding in findings)


def test_files_of_the_user_are_compared_if_named(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _clouds(workspace / "mine")
    maps = spectral_ssl.prep("folder:mine", degree=4, points=64, workers=0, up="+y", keep_points=False)
    capsys.readouterr()
    assert spectral_ssl.verify(maps.path) == []
    assert "no map was made again: give the raw data with --dataset or --root" in capsys.readouterr().err
    _forge(maps.path)
    assert spectral_ssl.verify(maps.path) == []
    capsys.readouterr()
    for named in ({"dataset": "folder:mine"}, {"root": "mine"}):
        assert sum("computed again, differs" in finding for finding in spectral_ssl.verify(maps.path, **named)) == 6
    assert capsys.readouterr().err.count("6 objects of folder:mine made again from the raw data: not equal") == 2
    with pytest.raises(UserError, match="no raw data"):
        spectral_ssl.verify(maps.path, root="nowhere")
    again = spectral_ssl.prep("folder:mine", degree=4, points=64, workers=0, out="again.h5")
    assert spectral_ssl.verify(again.path, dataset="folder:mine") == []
    assert "6 objects of folder:mine made again from the raw data: the maps are equal" in capsys.readouterr().err


def test_other_data_in_the_workspace_is_reported(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _clouds(workspace / "mine")
    maps = spectral_ssl.prep("folder:mine", degree=4, points=64, workers=0)
    other = Workspace.find().raw("folder")
    _clouds(other, seed=1)
    np.save(other / "a" / "3.npy", np.ones((5, 3)))
    assert spectral_ssl.verify(maps.path) == []
    assert "is not the data of the maps" in capsys.readouterr().err
    findings = spectral_ssl.verify(maps.path, root=other)
    assert "its files are not those the maps were made from" in findings[0]
    assert len(findings) == 7


def test_sizes_and_sides_come_from_the_file(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    generator = np.random.default_rng(0)
    raw = Workspace.find().raw("facades")
    for split in ("train", "test"):
        (raw / split).mkdir(parents=True)
        for number in range(3):
            pixels = generator.integers(0, 255, (16, 32, 3)).astype(np.uint8)
            Pillow.fromarray(pixels).save(raw / split / f"{number}.png")
    for options in ({}, {"size": 8}, {"side": "A"}, {"side": "B", "size": 8}):
        maps = spectral_ssl.prep("facades", workers=0, **options)
        assert maps.path == default_out(PrepOptions("facades", **options), Workspace.find(), "pixels")
        assert maps.basis.shape == (3 if "side" in options else 6, *[options.get("size", 16)] * 2)
        capsys.readouterr()
        assert spectral_ssl.verify(maps.path) == []
        assert " made again from the raw data: the maps are equal" in capsys.readouterr().err
    assert sorted(path.name for path in (workspace / "ws" / "maps").iterdir()) == [
        *("facades-8-pixels.h5", "facades-A-pixels.h5", "facades-B-8-pixels.h5", "facades-pixels.h5")
    ]
    # each side is half of the pair
    pairs, left, right = (
        open_maps(workspace / "ws" / "maps" / f"facades-{name}pixels.h5").read() for name in ("", "A-", "B-8-")
    )
    np.testing.assert_array_equal(left, pairs[:, :3])
    assert np.abs(right - pairs[:, 3:].reshape(6, 3, 8, 2, 8, 2).mean(axis=(3, 5))).max() < 0.01
    with pytest.raises(UserError, match="unknown side"):
        spectral_ssl.prep("facades", side="C", out="c.h5")
    with pytest.raises(UserError, match="--side is for paired images"):
        spectral_ssl.prep("digits", side="A", out="c.h5")
    _forge(workspace / "ws" / "maps" / "facades-A-pixels.h5")
    assert len(spectral_ssl.verify(workspace / "ws" / "maps" / "facades-A-pixels.h5")) == 6


def test_default_names(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    names = {
        default_out(PrepOptions(dataset, **options), workspace, kind).name
        for dataset, kind, options in (
            ("shapes", "zernike", {}),
            ("shapes", "sh", {}),
            ("facades", "pixels", {"side": "B", "size": 64}),
            ("celeba:Male", "pixels", {}),
            (f"folder:{tmp_path}/one/../two/", "radial", {}),
        )
    }
    assert names == {
        "shapes-zernike.h5",
        "shapes-sh.h5",
        "facades-B-64-pixels.h5",
        "celeba-Male-pixels.h5",
        "two-radial.h5",
    }
