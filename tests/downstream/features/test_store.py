"""Feature files: what goes in comes out, and damage is one clear error."""

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from conftest import write_random_maps

import spectral_ssl
from data_prep.basis import zernike_basis
from data_prep.maps.reader import open_maps
from downstream.features.store import read_features
from pretext.runs.trained_run import load_run
from spectral_ssl.ground.errors import UserError

TINY = ("steps=2", "width=4", "code=8", "hidden=8")


@pytest.fixture(scope="module")
def exported_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with maps, a run and its exported features; tests only read it."""
    folder = tmp_path_factory.mktemp("exported")
    maps = write_random_maps(folder / "random.h5", zernike_basis(4))
    run = spectral_ssl.pretrain(maps, epochs=1, settings=TINY, out=folder / "run")
    spectral_ssl.export(run, data=maps, out=folder / "features.h5")
    return folder


@pytest.fixture
def exported(exported_once: Path, tmp_path: Path) -> Path:
    """A copy of the exported features."""
    return Path(shutil.copy(exported_once / "features.h5", tmp_path))


def test_features_are_the_encoded_maps_in_the_files_order(exported: Path, exported_once: Path) -> None:
    random_maps = open_maps(exported_once / "random.h5")
    features = read_features(exported)
    run = load_run(exported_once / "run")
    assert (features.values == run.encode(random_maps.read())).all()
    assert features.values.dtype == np.float32
    assert features.ids == random_maps.ids
    assert (features.labels == random_maps.labels).all()
    assert (features.splits == random_maps.splits).all()
    assert features.classes == random_maps.classes
    assert features.about["checkpoint_digest"] == run.checkpoint_digest
    assert features.about["data_digest"] == random_maps.digest
    assert features.about["config"] == (exported_once / "run" / "config.toml").read_text()
    assert spectral_ssl.verify(exported) == []


def test_export_overwrites_only_with_its_option(exported: Path, exported_once: Path) -> None:
    run, maps = load_run(exported_once / "run"), exported_once / "random.h5"
    before = exported.read_bytes()
    with pytest.raises(UserError, match="exists already"):
        spectral_ssl.export(run, data=maps, out=exported)
    assert exported.read_bytes() == before
    assert spectral_ssl.export(run, data=maps, out=exported, overwrite=True) == exported


@pytest.mark.parametrize("damage", ["truncated", "schema", "rows", "missing"])
def test_damaged_files_are_one_clear_error(exported: Path, damage: str) -> None:
    if damage == "truncated":
        exported.write_bytes(exported.read_bytes()[:500])
    else:
        with h5py.File(exported, "r+") as file:
            if damage == "schema":
                file.attrs["schema_version"] = "something else"
            elif damage == "missing":
                del file["labels"]
            else:
                del file["labels"]
                file["labels"] = np.zeros(3, np.int64)
    with pytest.raises(UserError):
        read_features(exported)


def test_verify_finds_what_is_wrong(exported: Path) -> None:
    with h5py.File(exported, "r+") as file:
        file["features"][0, 0] = np.nan
        file["labels"][0] = 99
    assert len(spectral_ssl.verify(exported)) == 2
