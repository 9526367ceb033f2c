"""Trained on one data set, probed and exported on another: the basis and the statistics are the run's."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
import trimesh
from typer.testing import CliRunner

import spectral_ssl
from data_prep.maps.reader import open_maps
from downstream.features.store import read_features
from pretext.runs.trained_run import TrainedRun
from spectral_ssl.cli.app import app
from spectral_ssl.ground.errors import UserError

TINY = ("width=4", "code=16", "projector=16", "grid=8", "batch_size=64")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with the built-in shapes, far from the defaults, and raw meshes of another kind."""
    home = tmp_path_factory.mktemp("cross")
    generator = np.random.default_rng(0)
    for number in range(12):
        for name, mesh in (
            ("box", trimesh.creation.box(generator.uniform(0.5, 1.0, 3))),
            ("plate", trimesh.creation.box(generator.uniform(0.5, 1.0, 3) * [1, 1, 0.1])),
            ("rod", trimesh.creation.cylinder(0.1, generator.uniform(1, 2))),
        ):
            folder = home / "raw" / ("train" if number < 8 else "test") / name
            folder.mkdir(parents=True, exist_ok=True)
            mesh.export(folder / f"{number}.off")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("data_prep.sources.built_in.shapes.COUNTS", {"train": 8, "test": 2})
        spectral_ssl.prep(degree=6, radial=3, points=96, reach=0.95, seed=5, workers=0, workspace=home / "ws")
    return home


@pytest.fixture(scope="module")
def run(home: Path) -> TrainedRun:
    return spectral_ssl.pretrain(epochs=1, settings=TINY, workspace=home / "ws")


def test_another_data_set_is_prepared_with_the_runs_basis_and_probed(home: Path, run: TrainedRun) -> None:
    options = ["--target", f"folder:{home / 'raw'}", "--probes", "neighbours", "--seeds", "1"]
    done = CliRunner().invoke(app, ["probe", *options, "--workspace", str(home / "ws")])
    assert done.exit_code == 0, done.output
    assert "trained on shapes-zernike-degree6-radial3-points96-reach0.95-seed5.h5" in " ".join(done.stdout.split())
    other = open_maps(home / "ws" / "maps" / "raw-zernike-degree6-radial3-points96-reach0.95-seed5.h5")
    assert other.basis == run.basis  # the points' number and seed too
    assert len(other) == 36
    result = json.loads((run.folder / "probe-raw-zernike-degree6-radial3-points96-reach0.95-seed5.json").read_text())
    assert result["class_names"] == ["box", "plate", "rod"]
    assert (result["folds"], result["train"], result["test"]) == (5, 28, 36)  # all 36 are scored
    assert (result["trained_on"], result["maps"]) == (
        "shapes-zernike-degree6-radial3-points96-reach0.95-seed5.h5",
        "raw-zernike-degree6-radial3-points96-reach0.95-seed5.h5",
    )
    assert result["trained_on_digest"] == run.plan.data_digest != result["maps_digest"]
    assert result["rows"][-1]["neighbours"] > 0.6  # plates and rods are told apart by any features
    own = spectral_ssl.probe(run=run, probes=("neighbours",), seeds=1, workspace=home / "ws")
    assert own["trained_on_digest"] == own["maps_digest"]


def test_features_of_other_data_are_made_with_the_runs_statistics(home: Path, run: TrainedRun, tmp_path: Path) -> None:
    other = spectral_ssl.prep(
        f"folder:{home / 'raw'}",
        degree=6,
        radial=3,
        points=96,
        reach=0.95,
        seed=5,
        workers=0,
        out=tmp_path / "other.h5",
    )
    path = spectral_ssl.export(run, data=other.path, out=tmp_path / "features.h5")
    features = read_features(path)
    assert features.about["data_digest"] == other.digest
    np.testing.assert_array_equal(features.values, run.encode(other.read()))
    assert np.abs(other.mean - run.standardise.mean.numpy()).max() > 0.01  # its own would have been others
    with h5py.File(other.path, "r+") as file:
        file["mean"][...] = file["mean"][:] + 1
        file["std"][...] = 2 * file["std"][:]
    again = spectral_ssl.export(run, data=other.path, out=tmp_path / "again.h5")
    np.testing.assert_array_equal(read_features(again).values, features.values)


def test_a_file_of_another_basis_is_refused(home: Path, run: TrainedRun, shapes_file: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="another basis"):
        spectral_ssl.probe(shapes_file, run=run, workspace=home / "ws")
    with pytest.raises(UserError, match="another basis"):
        spectral_ssl.export(run, data=shapes_file, out=tmp_path / "features.h5")
