"""Feature files: what goes in comes out, and damage is one clear error."""

from pathlib import Path

import h5py
import numpy as np
import pytest

import spectral_ssl
from data_prep.maps.reader import MapFile
from downstream.features.store import read_features
from spectral_ssl.ground.errors import UserError

TINY = ("steps=2", "width=4", "code=8", "hidden=8")


@pytest.fixture
def exported(random_maps: MapFile, tmp_path: Path) -> Path:
    run = spectral_ssl.pretrain(random_maps, epochs=1, settings=TINY, out=tmp_path / "run")
    return spectral_ssl.export(run, data=random_maps)


def test_features_are_the_encoded_maps_in_the_files_order(exported: Path, random_maps: MapFile, tmp_path: Path) -> None:
    from pretext.runs.trained_run import load_run

    features = read_features(exported)
    run = load_run(tmp_path / "run")
    assert (features.values == run.encode(random_maps.read())).all()
    assert features.values.dtype == np.float32
    assert features.ids == random_maps.ids
    assert (features.labels == random_maps.labels).all()
    assert (features.splits == random_maps.splits).all()
    assert features.classes == random_maps.classes
    assert features.about["checkpoint_digest"] == run.checkpoint_digest
    assert features.about["data_digest"] == random_maps.digest
    assert features.about["config"] == (tmp_path / "run" / "config.toml").read_text()
    assert spectral_ssl.verify(exported) == []


def test_export_refuses_to_overwrite_unless_told(exported: Path, random_maps: MapFile, tmp_path: Path) -> None:
    before = exported.read_bytes()
    with pytest.raises(UserError, match="exists already"):
        spectral_ssl.export(tmp_path / "run", data=random_maps)
    assert exported.read_bytes() == before
    assert spectral_ssl.export(tmp_path / "run", data=random_maps, overwrite=True) == exported


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
