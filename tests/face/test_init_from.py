"""`pretrain --init-from`: a new run that starts with the weights of a run or of an encoder."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import call
from conftest import make_once, write_random_maps
from method_cases import differences
from universe_maps import FRESH_TINY, write_universe

import spectral_ssl
from data_prep.basis import pixel_basis, zernike_basis
from data_prep.maps.reader import MapFile, open_maps
from pretext.pretrained.facts import read_facts
from pretext.pretrained.weights import write_weights
from pretext.runs.trained_run import TrainedRun, load_run
from pretext.runs.whitening import can_whiten, sample_universe_maps
from pretext.runs.whitening_file import WHITENING_FILE
from pretext.training.checkpoint import load_checkpoint, save_tensors
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.files import hash_file
from spectral_ssl.ground.workspace import Workspace
from spectral_ssl.planning.inputs.encoders import find_encoder
from spectral_ssl.planning.new_run import init_from
from spectral_ssl.planning.new_run.init_from import LEARNING_RATE, MOST_EPOCHS, find_weights
from spectral_ssl.planning.pretrain_options import PretrainOptions
from spectral_ssl.planning.run_plan import plan_run
from spectral_ssl.planning.run_start import join_run


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> TrainedRun:
    """A joint embedding of a few new shapes; tests only read it."""

    def make(folder: Path) -> None:
        maps = write_universe(folder / "u.h5", zernike_basis(6, points=64))
        spectral_ssl.pretrain(maps, epochs=1, settings=FRESH_TINY, out=folder / "run")

    return load_run(make_once(tmp_path_factory, "weights to start from", make) / "run")


@pytest.fixture
def shapes(shapes_file: Path) -> MapFile:
    return open_maps(shapes_file)


def train(maps: MapFile, out: Path, weights: str | Path | TrainedRun, **more: object) -> TrainedRun:
    options = {"epochs": 2, "settings": ("batch_size=16",), "out": out, **more}
    return spectral_ssl.pretrain(maps, init_from=weights, **options)


def test_an_empty_text_is_not_the_present_folder(
    source: TrainedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(source.save(tmp_path / "tiny"))
    for find in (find_encoder, find_weights):
        with pytest.raises(UserError, match="an empty text"):
            find("", Workspace(tmp_path))
        find(".", Workspace(tmp_path))
    with pytest.raises(UserError, match="no name of the run: got an empty text"):
        Workspace(tmp_path).find_run("")


def test_features_are_whitened_as_those_of_the_source(
    source: TrainedRun, shapes: MapFile, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    maps = sample_universe_maps(source.basis)
    whitened = source.whiten(maps, 6)
    # as the source: after no step the whitening that is fitted again is the same
    same = train(shapes, tmp_path / "same", whitened.save(tmp_path / "tiny"), epochs=0)
    np.testing.assert_allclose(same.encode(shapes), whitened.encode(shapes), rtol=1e-2, atol=1e-2)
    run = train(shapes, tmp_path / "run", tmp_path / "tiny")
    assert run.layers()["default"] == 6
    features = run.encode(maps)
    np.testing.assert_allclose(np.cov(features.T, ddof=0), np.eye(6), atol=1e-3)
    again = load_run(run.folder)
    assert (again.encode(maps) == features).all()
    # features of the same checkpoint that were stored before it was whitened are not taken for these
    digest = hash_file(again.checkpoint_path)
    assert again.checkpoint_digest == run.checkpoint_digest != digest
    (run.folder / WHITENING_FILE).rename(run.folder / "away")
    assert load_run(run.folder).checkpoint_digest == digest
    (run.folder / "away").rename(run.folder / WHITENING_FILE)
    # a probe of it is one of the present checkpoint
    (run.folder / "probe-shapes.json").write_text(json.dumps({"checkpoint_digest": run.checkpoint_digest}))
    (run.folder / "probe-old.json").write_text(json.dumps({"checkpoint_digest": "ab" * 32}))
    shown = call("runs", "show", str(run.folder)).stdout
    assert "probe-old (of an earlier checkpoint)" in shown
    assert "probe-shapes (of" not in shown
    assert "features  whitened on shapes of the universe" in shown
    # without the source a resumed run keeps its features as they are, and says so
    (tmp_path / "tiny").rename(tmp_path / "gone")
    resumed = spectral_ssl.pretrain(resume=run.folder, epochs=3)
    assert resumed.whitening is None
    assert not spectral_ssl.show_run(run.folder)["whitened"]
    assert "the features are not whitened: " in capsys.readouterr().err
    (tmp_path / "gone").rename(tmp_path / "tiny")
    assert spectral_ssl.pretrain(resume=run.folder, epochs=4).whitening is not None
    # the file belongs to one checkpoint
    checkpoint = run.folder / "checkpoints" / "last.pt"
    content = load_checkpoint(checkpoint)
    content["place"]["seconds"] += 1.0
    save_tensors(content, checkpoint)
    assert load_run(run.folder).whitening is None
    good = {"mean": torch.zeros(3), "matrix": torch.eye(3), "checkpoint": torch.zeros(32, dtype=torch.uint8)}
    for change in (
        {"matrix": torch.eye(4)},
        {"matrix": torch.zeros(3, 0)},
        {"matrix": torch.full((3, 3), torch.nan)},
        {"mean": torch.zeros(3, dtype=torch.complex64)},
        {"checkpoint": torch.zeros(32)},
    ):
        write_weights(run.folder / WHITENING_FILE, good | change)
        with pytest.raises(UserError, match=r"damaged whitening of the run: got .* delete it"):
            load_run(run.folder)
    (run.folder / WHITENING_FILE).write_bytes(b"x")
    with pytest.raises(UserError, match=r"damaged whitening of the run: got .* delete it"):
        load_run(run.folder)


def test_an_encoder_is_exported_with_whitened_features(source: TrainedRun, tmp_path: Path) -> None:
    out = tmp_path / "white"
    spectral_ssl.export(source, format="encoder", whiten=5, out=out)
    maps = sample_universe_maps(source.basis)
    np.testing.assert_allclose(
        spectral_ssl.load(out).encode(maps), source.whiten(maps, 5).encode(maps), rtol=1e-2, atol=1e-2
    )
    # a sum of layers has plain features, and its description says how many
    sum_of_layers = spectral_ssl.load(out).at_layer("default+code")
    saved = sum_of_layers.save(tmp_path / "sum")
    assert read_facts(saved).dimensions == sum_of_layers.encode(maps[:3]).shape[1] != 5
    assert spectral_ssl.load(saved).whitening is None
    with pytest.raises(UserError, match="--whiten is an option of the encoder's folder: got --format npz"):
        spectral_ssl.export(source, format="npz", whiten=5, out=tmp_path / "features.npz")
    with pytest.raises(UserError, match="the default layer can be whitened: got layer code"):
        spectral_ssl.export(source, format="encoder", layer="code", whiten=5, out=tmp_path / "code")
    assert can_whiten(source.basis)
    assert not can_whiten(pixel_basis(3, 8, 8))


def test_a_run_begins_as_its_source_with_everything_else_new(
    source: TrainedRun, shapes: MapFile, tmp_path: Path
) -> None:
    run = train(shapes, tmp_path / "run", source.folder, epochs=0)
    assert (run.encode(shapes) == source.encode(shapes)).all()
    assert torch.equal(run.standardise.mean, source.standardise.mean)
    assert not np.array_equal(run.standardise.mean.numpy(), shapes.mean)
    given, taken = source.method.state_dict(), run.method.state_dict()
    assert (int(given.pop("steps_done")), int(taken.pop("steps_done"))) == (3, 0)
    counts = [name for name in given if name.endswith("num_batches_tracked")]
    assert all(torch.equal(given[name], taken[name]) for name in given.keys() - counts)
    assert not run.method.optimizers["main"].state
    # method, task and sizes are those of the source, the rest is for fine-tuning
    assert (run.plan.method, run.plan.task, run.plan.train.data.fresh) == ("joint-embedding", "views", 0)
    assert run.plan.method_config.networks == source.plan.method_config.networks
    assert run.plan.task_config == source.plan.task_config
    assert run.plan.method_config.optimisation.learning_rate == LEARNING_RATE
    assert (run.plan.init_from, run.plan.init_digest) == (str(source.folder), source.checkpoint_digest)
    shown = call("runs", "show", str(run.folder))
    assert f"weights   started from {source.folder}" in shown.stdout


def test_an_interrupted_run_keeps_the_statistics_of_its_weights(
    source: TrainedRun, shapes: MapFile, tmp_path: Path
) -> None:
    whole = train(shapes, tmp_path / "whole", source)
    assert torch.equal(whole.standardise.std, source.standardise.std)
    parts = train(shapes, tmp_path / "parts", source, max_minutes=1e-6).folder
    assert load_checkpoint(parts / "checkpoints" / "last.pt")["place"]["step"] == 1
    spectral_ssl.pretrain(resume=parts, max_minutes=0)
    assert differences(whole.folder, parts) == []
    # killed before its first checkpoint
    shutil.rmtree(parts / "checkpoints")
    (parts / "checkpoints").mkdir()
    spectral_ssl.pretrain(resume=parts)
    assert differences(whole.folder, parts) == []
    assert whole.plan.method_config.optimisation.learning_rate == LEARNING_RATE
    # another process of the run, before the first step and later
    for progress in (None, whole.checkpoint["place"]):
        joined = join_run(str(whole.folder), whole.plan.to_toml(), progress)
        assert torch.equal(joined.training.standardise.mean, source.standardise.mean)


def test_an_encoder_gives_its_weights_and_a_new_projector(source: TrainedRun, shapes: MapFile, tmp_path: Path) -> None:
    folder = source.save(tmp_path / "workspace" / "encoders" / "mine")
    run = train(shapes, tmp_path / "run", "mine", epochs=0, seed=5)
    np.testing.assert_allclose(run.encode(shapes), source.encode(shapes), atol=0.02)
    assert run.plan.init_from == str(folder.resolve())
    assert run.plan.init_digest == spectral_ssl.load(folder).checkpoint_digest
    again = spectral_ssl.load(run.save(tmp_path / "again"))
    assert again.plan.init_from == "mine"  # without the folders of this machine
    fresh = run.plan.build(run.standardise)
    assert torch.equal(run.method.projector[0].weight, fresh.projector[0].weight)
    assert not torch.equal(run.method.encoder.state_dict()[min(run.method.encoder.state_dict())], torch.zeros(1))
    wide = train(shapes, tmp_path / "wide", folder, epochs=0, settings=("projector=24",))
    assert wide.method.projector[0].weight.shape[0] == 24


def test_weights_that_do_not_fit_are_refused_before_anything_is_written(
    source: TrainedRun, shapes: MapFile, tmp_path: Path
) -> None:
    out, name = tmp_path / "run", source.folder
    with pytest.raises(UserError, match=r"of other sizes: got method.networks.width=8 in place of 4 of .*/run; leave"):
        train(shapes, out, name, settings=("width=8",))
    with pytest.raises(UserError, match=r"another method: got regression, and joint-embedding in .*--method joint-emb"):
        train(shapes, out, name, method="regression", task="denoise", settings=())
    other = write_random_maps(tmp_path / "other.h5", pixel_basis(1, 8, 8))
    with pytest.raises(UserError, match="map file of another basis than the run's"):
        train(other, out, name)
    with pytest.raises(UserError, match="unknown run or encoder: got 'universe-uprigt'; did you mean 'universe-uprig"):
        train(shapes, out, "universe-uprigt")
    with pytest.raises(UserError, match="a resumed run keeps its settings"):
        spectral_ssl.pretrain(resume=name, init_from=name)
    assert not out.exists()


def test_weights_that_have_changed_since_are_noticed(source: TrainedRun, shapes: MapFile, tmp_path: Path) -> None:
    copy = shutil.copytree(source.folder, tmp_path / "runs" / "copy")
    dry = call("pretrain", "--data", shapes.path, "--init-from", "copy", "--dry-run", workspace=tmp_path)
    assert f"starting from the weights of {copy}" in dry.stdout, dry.stderr
    run = spectral_ssl.pretrain(
        shapes, init_from="copy", epochs=0, out=tmp_path / "run", settings=("batch_size=16",), workspace=tmp_path
    )
    shutil.rmtree(run.folder / "checkpoints")
    (run.folder / "checkpoints").mkdir()
    spectral_ssl.pretrain(resume=copy, epochs=2)
    with pytest.raises(UserError, match="the weights to start from have changed"):
        spectral_ssl.pretrain(resume=run.folder)


def test_a_few_shapes_start_from_the_encoder_that_ships(
    shapes: MapFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    few = open_maps(write_universe(tmp_path / "few.h5", zernike_basis(20, points=16)).path)
    object.__setattr__(few, "source", "folder mine")

    def weights(maps: MapFile, **options: object) -> str:
        return plan_run(PretrainOptions(maps, **options), Workspace(tmp_path))[0].init_from

    plan, _ = plan_run(PretrainOptions(few, epochs=3, settings=("batch_size=8",)), Workspace(tmp_path))
    assert plan.init_from == "universe-upright"
    assert plan.init_digest == spectral_ssl.load("universe-upright").checkpoint_digest
    assert (plan.method, plan.train.batch_size, plan.train.epochs) == ("joint-embedding", 8, 3)
    assert "24 training maps are few: starting from the weights of universe-upright" in capsys.readouterr().err
    assert plan_run(PretrainOptions(few), Workspace(tmp_path))[0].train.epochs == MOST_EPOCHS
    capsys.readouterr()
    for options in (
        {"init_from": "none"}, {"method": "joint-embedding"}, {"task": "views"}, {"recipe": "joint-embedding"},
        {"settings": ("width=8",)}, {"settings": ("pose=principal",)},
    ):  # fmt: skip
        assert weights(few, **options) == "", options
    # settings of the training change nothing, in any spelling
    for setting in ("fresh=0", "train.fresh=0", "train.data.fresh=0", "watch=0", "train.watch=0"):
        assert weights(few, settings=(setting,)) == "universe-upright", setting
    capsys.readouterr()
    assert weights(shapes) == ""  # another basis
    assert "universe" not in capsys.readouterr().err
    monkeypatch.setattr(init_from, "FEW_MAPS", 24)
    assert weights(few) == ""
    with_recipe = plan_run(
        PretrainOptions(few, recipe="joint-embedding", init_from="universe-any-pose"), Workspace(tmp_path)
    )[0]
    assert with_recipe.init_from == "universe-any-pose"
