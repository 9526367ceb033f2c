"""Features and encoders in the formats of others: the same numbers, read without this toolkit."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import untrained_runs
from conftest import write_random_maps
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch.nn import functional

import spectral_ssl
from data_prep.basis import Basis, harmonics_basis, pixel_basis, zernike_basis
from data_prep.maps.reader import open_maps
from downstream.features.store import read_features
from pretext.methods.catalogue import METHODS
from pretext.runs.trained_run import TrainedRun
from spectral_ssl.ground.errors import UserError
from spectral_ssl.verbs.features.export_encoder import TOLERANCE, average_adaptively

SMALL = {"width=4", "batch_size=16", "epochs=0"}
MORE = {
    "cgml": {"code=8", "steps=2", "hidden=8"},
    "joint-embedding": {"code=8", "projector=16", "grid=8"},
    "lsc-gan": {"conditioning=none"},
    "rotation-prediction": set(),
}


def make_run(folder: Path, basis: Basis, method: str, task: str = "denoise", *settings: str) -> TrainedRun:
    maps = write_random_maps(folder / "maps.h5", basis)
    chosen = (*SMALL, *MORE.get(method, {"code=8"}), *settings)
    return spectral_ssl.pretrain(maps, method=method, task=task, settings=chosen, out=folder / "run")


@pytest.mark.parametrize("kind", ["npz", "parquet"])
def test_features_in_other_formats_are_the_same(tmp_path: Path, kind: str) -> None:
    run = make_run(tmp_path, zernike_basis(6), "regression")
    wanted = read_features(spectral_ssl.export(run, workspace=tmp_path))
    path = spectral_ssl.export(run, format=kind, workspace=tmp_path)
    assert path == tmp_path / "features" / f"run-maps.{kind}"
    if kind == "npz":
        with np.load(path, allow_pickle=False) as found:
            columns = {name: found[name] for name in found.files}
        values, about = columns["features"], json.loads(str(columns["about"]))
        classes = [columns["class_names"][label] for label in columns["label"]]
    else:
        parquet = pytest.importorskip("pyarrow.parquet", reason="the parquet extra is not installed")
        table = parquet.read_table(path)
        columns = {name: table[name].to_numpy(zero_copy_only=False) for name in table.column_names}
        values, classes = np.stack(columns["features"]), columns["class"]
        about = json.loads(table.schema.metadata[b"spectral-ssl"])
    np.testing.assert_array_equal(values, wanted.values)
    assert values.dtype == np.float32
    assert tuple(columns["id"]) == wanted.ids
    assert (columns["split"] == wanted.splits).all()
    np.testing.assert_array_equal(columns["label"], wanted.labels)
    assert list(classes) == [wanted.classes[label] for label in wanted.labels]
    assert about["checkpoint_digest"] == run.checkpoint_digest
    with pytest.raises(UserError, match="exists already"):
        spectral_ssl.export(run, format=kind, workspace=tmp_path)


ENCODERS = [
    # the default of shapes, of pictures (with patches), of everything else
    (zernike_basis(6), "joint-embedding", "denoise", ()),
    (pixel_basis(3, 16, 16), "joint-embedding", "picture-views", ("filters=6",)),
    (zernike_basis(6), "cgml", "denoise", ()),
]
MORE_ENCODERS = [
    *((zernike_basis(6), name, "denoise", ()) for name, entry in METHODS.items() if entry.task == "denoise"),
    (harmonics_basis(5, 3), "joint-embedding", "denoise", ("encoder=perceptron",)),
    (zernike_basis(6), "cgml", "denoise", ("encoder=grid",)),
    (zernike_basis(6), "cgml", "denoise", ("encoder=pooled-grid",)),
    (pixel_basis(3, 16, 16), "cgml", "colorize", ()),
    (pixel_basis(3, 16, 16), "mr-gan", "super-resolve", ()),
    (pixel_basis(3, 16, 16), "rotation-prediction", "from-code", ()),
    (pixel_basis(3, 16, 16), "lsc-gan", "from-code", ()),
]


def check_encoder(folder: Path, kind: str, basis: Basis, method: str, task: str, settings: tuple[str, ...]) -> None:
    """Export, and run what was written as a stranger would, on maps that the export has not seen."""
    run = make_run(folder, basis, method, task, *settings)
    path = spectral_ssl.export(run, format=kind, workspace=folder)
    maps = np.random.default_rng(5).normal(size=(7, *basis.shape)).astype(np.float32)
    if basis.kind == "pixels":
        maps = np.tanh(maps)
    if kind == "onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        found = session.run(None, {"maps": maps})[0]
        about = session.get_modelmeta().custom_metadata_map
    else:
        extra = {"about.json": ""}
        found = torch.export.load(path, extra_files=extra).module()(torch.from_numpy(maps)).detach().numpy()
        about = json.loads(extra["about.json"])
    wanted = run.encode(maps)
    assert np.abs(found - wanted).max() <= TOLERANCE * np.abs(wanted).max()
    assert about["checkpoint_digest"] == run.checkpoint_digest
    assert Basis.from_json(about["basis"]) == basis


@pytest.mark.parametrize(("basis", "method", "task", "settings"), ENCODERS)
@pytest.mark.parametrize("kind", ["onnx", "torch-export"])
def test_an_exported_encoder_gives_the_runs_numbers(
    tmp_path: Path, kind: str, basis: Basis, method: str, task: str, settings: tuple[str, ...]
) -> None:
    if kind == "onnx":
        pytest.importorskip("onnxruntime", reason="the onnx extra is not installed")
    check_encoder(tmp_path, kind, basis, method, task, settings)


@pytest.mark.slow
@pytest.mark.parametrize(("basis", "method", "task", "settings"), MORE_ENCODERS)
@pytest.mark.parametrize("kind", ["onnx", "torch-export"])
def test_every_methods_encoder_can_be_exported(
    tmp_path: Path, kind: str, basis: Basis, method: str, task: str, settings: tuple[str, ...]
) -> None:
    check_encoder(tmp_path, kind, basis, method, task, settings)


def test_the_encoder_itself_is_a_folder_that_the_other_commands_read(tmp_path: Path) -> None:
    run = untrained_runs.make_run()
    out = spectral_ssl.export(run, format="encoder", layer="stage1+code", workspace=tmp_path)
    assert out == tmp_path / "encoders" / "made-up-stage1-code"
    maps = write_random_maps(tmp_path / "maps.h5", run.basis)
    path = spectral_ssl.export(encoder=str(out), data=maps, workspace=tmp_path)
    np.testing.assert_array_equal(read_features(path).values, spectral_ssl.load(out).encode(maps))
    with pytest.raises(UserError, match="exists already"):
        spectral_ssl.export(run, format="encoder", layer="stage1+code", workspace=tmp_path)
    with pytest.raises(UserError, match="components"):
        spectral_ssl.export(run, format="encoder", components=2, workspace=tmp_path)


def test_a_layer_is_exported_as_well(tmp_path: Path) -> None:
    run = make_run(tmp_path, zernike_basis(6), "regression").at_layer("stage1")
    path = spectral_ssl.export(run, format="torch-export", workspace=tmp_path)
    assert path.name == "run-stage1.pt2"
    maps = np.random.default_rng(0).normal(size=(3, *run.basis.shape)).astype(np.float32)
    found = torch.export.load(path).module()(torch.from_numpy(maps)).detach().numpy()
    np.testing.assert_allclose(found, run.encode(maps), rtol=1e-4, atol=1e-5)


def test_features_of_several_looks_cannot_be_exported_and_it_is_said(tmp_path: Path) -> None:
    maps = spectral_ssl.prep("shapes", degree=4, points=32, out=tmp_path / "maps.h5")
    settings = (*SMALL, *MORE["joint-embedding"], "pose=principal", "points=16")
    run = spectral_ssl.pretrain(maps, settings=settings, out=tmp_path / "run")
    with pytest.raises(UserError, match="several views"):
        spectral_ssl.export(run, format="torch-export", workspace=tmp_path)
    assert not list((tmp_path).glob("encoders/*"))


def test_numbers_that_differ_are_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from spectral_ssl.verbs.features import export_encoder

    run = make_run(tmp_path, zernike_basis(4), "regression")
    true = export_encoder._write_torch
    monkeypatch.setattr(export_encoder, "_write_torch", lambda *a: lambda maps: 1.01 * true(*a)(maps))
    with pytest.raises(UserError, match="does not reproduce the run's features"):
        spectral_ssl.export(run, format="torch-export", workspace=tmp_path)
    assert not list((tmp_path).glob("encoders/*"))


@pytest.mark.parametrize(("kind", "missing"), [("parquet", "pyarrow"), ("onnx", "onnxscript")])
def test_a_library_that_is_missing_is_named_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, missing: str
) -> None:
    run = make_run(tmp_path, zernike_basis(4), "regression")
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(UserError, match=rf"pip install 'spectral-ssl\[{kind}\]'"):
        spectral_ssl.export(run, format=kind, workspace=tmp_path)


def test_components_are_fitted_on_the_training_split_alone(tmp_path: Path) -> None:
    run = make_run(tmp_path, zernike_basis(6), "regression")
    maps = open_maps(tmp_path / "maps.h5")
    values = run.encode(maps)
    train = maps.rows("train")
    assert 3 < len(train) < len(maps)
    path = spectral_ssl.export(run, components=3, workspace=tmp_path)
    assert path.name.endswith("-pca3.h5")
    features = read_features(path)
    assert features.about["pooling"].endswith("3 principal components")
    expected = make_pipeline(StandardScaler(), PCA(3, svd_solver="full")).fit(values[train]).transform(values)
    np.testing.assert_allclose(np.abs(features.values), np.abs(expected), atol=1e-3)
    with np.load(spectral_ssl.export(run, components=3, format="npz", workspace=tmp_path)) as same:
        np.testing.assert_array_equal(same["features"], features.values)
    with pytest.raises(UserError, match="too many principal components"):
        spectral_ssl.export(run, components=len(train) + 1, out=tmp_path / "none.h5")
    assert not (tmp_path / "none.h5").exists()
    with pytest.raises(UserError, match="components are of features"):
        spectral_ssl.export(run, components=3, format="onnx", workspace=tmp_path)


def test_an_unknown_format_gets_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'parquet'"):
        spectral_ssl.export(format="parket", workspace=tmp_path)


@pytest.mark.parametrize("sides", [[2, 2, 2], [3, 2, 1], [1, 1, 1]])
def test_average_adaptively_over_parts_are_torchs(sides: list[int]) -> None:
    activation = torch.randn(2, 3, 5, 4, 7, generator=torch.Generator().manual_seed(0))
    wanted = functional.adaptive_avg_pool3d(activation, sides)
    torch.testing.assert_close(average_adaptively(activation, sides), wanted)
