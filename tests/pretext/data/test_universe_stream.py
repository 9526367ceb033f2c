"""An endless stream of new shapes: which shapes it has, and trainings on it that are interrupted and resumed."""

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import make_once
from method_cases import differences
from universe_maps import COUNT, FRESH_TINY, POINTS, write_universe

import spectral_ssl
from data_prep.basis import harmonics_basis, zernike_basis
from data_prep.maps.reader import MapFile, open_maps
from data_prep.pipeline.shape_to_map import clouds_to_maps
from data_prep.sources.universe import universe_clouds
from pretext.data.training_split import TrainingSplit
from pretext.data.universe_stream import UniverseStream
from pretext.optimisation import rate_at
from pretext.randomness import seeded_generator
from pretext.runs.trained_run import load_run
from pretext.training.checkpoint import load_checkpoint
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.run_folder import read_metrics
from spectral_ssl.ground.workspace import Workspace
from spectral_ssl.planning.new_run.universe import open_training_data
from spectral_ssl.planning.pretrain_options import PretrainOptions
from spectral_ssl.planning.run_plan import plan_run

pytestmark = pytest.mark.usefixtures("no_figures")


@pytest.fixture(scope="session")
def universe(tmp_path_factory: pytest.TempPathFactory) -> MapFile:
    """A reference file; tests only read it."""
    return open_maps(make_once(tmp_path_factory, "universe", lambda folder: write_universe(folder / "u.h5")) / "u.h5")


def stream(maps: MapFile, **more: object) -> UniverseStream:
    return UniverseStream(TrainingSplit(maps, with_points=True), 20, **{"seed": 3, **more})


def test_the_shapes_are_those_after_the_ones_of_the_file(universe: MapFile) -> None:
    data = stream(universe)
    positions = data.order(0, 2)
    assert (len(data), positions[0], len(positions)) == (20, 40, 20)
    batch = data.batch(positions[[3, 0]])
    clouds = universe_clouds([COUNT + 43, COUNT + 40], seed=3, points=POINTS)
    np.testing.assert_array_equal(batch.points.numpy(), clouds)
    assert torch.equal(batch.maps, data.standardise(clouds_to_maps(clouds, universe.basis)))
    assert data.ids(positions[:2]) == [f"universe-{COUNT + 40:07d}", f"universe-{COUNT + 41:07d}"]
    assert data.reference.batch(torch.arange(2)).maps.shape == (2, *universe.basis.shape)
    assert not torch.equal(stream(universe, seed=4).batch(positions[:2]).points, data.batch(positions[:2]).points)


def test_shapes_of_another_version_are_refused(universe: MapFile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(universe.fingerprint, "digest of the source", "0123456789abcdef")
    with pytest.raises(UserError, match="another version of the universe"):
        stream(universe)


def test_maps_are_computed_only_for_tasks_that_read_them(universe: MapFile, tmp_path: Path) -> None:
    assert stream(universe, with_maps=False).batch(torch.arange(3)).maps.shape == (3, 0)
    for task, settings, reads in (
        ("views", (), False),
        ("complete-shape", ("stretch=0.2",), False),
        ("complete-shape", (), True),
        ("mask-shape", (), False),
        ("denoise", (), True),
    ):
        options = PretrainOptions(universe, task=task, settings=("fresh=20", *settings))
        plan, maps = plan_run(options, Workspace(tmp_path))
        data = open_training_data(plan, maps)
        assert data.with_maps == reads
        example = plan.corrupt(data.batch(torch.arange(2)), seeded_generator(0))
        assert example.target.shape == (2, *universe.basis.shape)


def test_the_unit_ball_is_that_of_the_basis(tmp_path: Path) -> None:
    maps = write_universe(tmp_path / "u.h5", harmonics_basis(3, 2, points=POINTS))
    assert stream(maps).batch(torch.arange(2)).maps.shape == (2, *maps.basis.shape)
    inner = write_universe(tmp_path / "v.h5", zernike_basis(2, points=POINTS))
    object.__setattr__(inner.basis, "reach", 0.8)
    norms = stream(inner).batch(torch.arange(2)).points.norm(dim=2)
    assert ((norms > 0.999).sum(dim=1) >= POINTS // 6).all()  # a fifth of the points lies on the sphere


@pytest.mark.parametrize("method", ["joint-embedding", "cgml"])
def test_an_interrupted_training_equals_the_uninterrupted_one(method: str, universe: MapFile, tmp_path: Path) -> None:
    task, settings = "views", FRESH_TINY
    if method == "cgml":
        task = "complete-shape"
        settings = ("fresh=20", "batch_size=8", "width=4", "code=8", "hidden=8", "steps=2")

    def train(name: str, **more: object) -> Path:
        options = {"epochs": 2, "seed": 1, "settings": settings, "out": tmp_path / name, **more}
        return spectral_ssl.pretrain(universe, method=method, task=task, **options).folder

    whole, parts = train("whole"), train("parts", max_minutes=1e-6)
    assert load_checkpoint(parts / "checkpoints" / "last.pt")["place"]["step"] == 1  # of 3 in the first epoch
    assert "fresh = 20" in (parts / "config.toml").read_text()
    spectral_ssl.pretrain(resume=parts, max_minutes=0)
    assert differences(whole, parts) == []
    run = load_run(parts)
    assert run.checkpoint["place"]["step"] == run.method.steps_done == 6
    assert [row["epoch"] for row in read_metrics(parts / "metrics.jsonl")] == [1, 2]


def test_the_schedule_counts_the_steps_of_the_stream(universe: MapFile, tmp_path: Path) -> None:
    run = spectral_ssl.pretrain(universe, epochs=2, settings=(*FRESH_TINY, "warm_up=0"), out=tmp_path / "run")
    # 6 steps of the stream; the maps of the file would be 3 batches an epoch too, but 24 and not 20 samples
    assert run.checkpoint["place"]["step"] == 6
    expected = 2e-3 * rate_at(5, 0, 6)
    assert run.method.optimizers["main"].param_groups[0]["lr"] == pytest.approx(expected)
