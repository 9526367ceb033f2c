"""Every recipe of a task runs: one epoch on a small made-up file of the kind of its data set."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

import spectral_ssl
from data_prep.basis import Basis, pixel_basis, zernike_basis
from data_prep.geometry.unit_ball import move_to_unit_ball
from data_prep.maps.reader import MapFile, open_maps
from data_prep.maps.writer import MapWriter
from data_prep.pipeline.shape_to_map import clouds_to_maps
from downstream.figures.run import draw_run
from pretext.tasks.catalogue import TASKS
from spectral_ssl.ground.config import bare_key, flatten
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.run_folder import read_metrics

BASES = {
    "corrupted": pixel_basis(1, 32, 32),
    "alternate": pixel_basis(1, 32, 32),
    "inpaint": pixel_basis(3, 64, 64),
    "inpaint-cifar10": pixel_basis(3, 32, 32),
    "colorize": pixel_basis(3, 32, 32),
    "translate": pixel_basis(6, 64, 64, paired=True),
    "mr-gan-translate": pixel_basis(6, 64, 64, paired=True),
    "mr-gan-super-resolve": pixel_basis(3, 64, 64),
    "mr-gan-inpaint": pixel_basis(3, 64, 64),
    "complete-shape": zernike_basis(8, points=128),
    "denoise": zernike_basis(8, points=128),
    "mask-shape-modelnet10": zernike_basis(8, points=128),
}
NEED_CLOUDS = ("complete-shape", "mask-shape-modelnet10")


def write_data(path: Path, basis: Basis, *, train: int = 6, test: int = 2, keep_points: bool = False) -> MapFile:
    """Pictures of noise, or maps of clouds on boxes of any form."""
    generator = np.random.default_rng(0)
    count = train + test
    points = None
    if basis.kind == "pixels":
        maps = generator.uniform(-1, 1, (count, *basis.shape)).astype(np.float32)
    else:
        boxes = generator.uniform(-1, 1, (count, basis.points, 3)) * generator.uniform(0.3, 1, (count, 1, 3))
        points = np.stack([move_to_unit_ball(box) for box in boxes])
        maps = clouds_to_maps(points, basis)
    with MapWriter(
        path,
        basis,
        source="made-up",
        source_digest="0",
        classes=["thing"],
        count=count,
        created_by="test",
        keep_points=basis.points if keep_points else 0,
    ) as writer:
        splits = ["train"] * train + ["test"] * test
        writer.append(maps, [f"object-{row}" for row in range(count)], [0] * count, splits, points)
    return open_maps(path)


@pytest.mark.parametrize("recipe", BASES)
def test_a_recipe_runs_and_its_network_makes_predictions(
    recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # of the figures, only the predictions depend on the task
    monkeypatch.setattr("spectral_ssl.verbs.pretrain.draw_run", draw_run)
    maps = write_data(tmp_path / "data.h5", BASES[recipe], keep_points=recipe in NEED_CLOUDS)
    run = spectral_ssl.pretrain(maps.path, recipe=recipe, epochs=1, out=tmp_path / "run")
    assert run.plan.task == recipe.removeprefix("mr-gan-").removesuffix("-cifar10").removesuffix("-modelnet10")
    (row,) = read_metrics(run.folder / "metrics.jsonl")
    assert np.isfinite(row["loss"])
    assert (run.folder / "samples" / "answers.png").is_file()
    problem = TASKS[run.plan.task].problem(maps.basis, run.plan.task_config)
    example, predictions = run.complete(maps, maps.rows("test"), 2)
    assert example.condition.shape == (2, *problem.condition)
    assert predictions.shape == (2, 2, *problem.target)
    features = run.encode_file(maps)
    assert features.shape[0] == 8
    assert np.isfinite(features).all()
    assert len(np.unique(features, axis=0)) == 8


def test_the_joint_embedding_trains_on_views_and_gives_features(tmp_path: Path) -> None:
    maps = write_data(tmp_path / "data.h5", zernike_basis(8, points=128), keep_points=True)
    run = spectral_ssl.pretrain(maps.path, recipe="joint-embedding", epochs=1, out=tmp_path / "run")
    (row,) = read_metrics(run.folder / "metrics.jsonl")
    assert np.isfinite(row["loss"])
    features = run.encode_file(maps)
    assert features.shape[0] == 8
    assert len(np.unique(features, axis=0)) == 8
    again = run.untrained(run.plan.train.seed).encode_file(maps)
    assert not np.array_equal(features, again)


@pytest.mark.parametrize("recipe", ["complete-shape", "joint-embedding", "mask-shape-modelnet10"])
def test_tasks_on_clouds_say_how_to_prepare_a_file_without_them(recipe: str, tmp_path: Path) -> None:
    maps = write_data(tmp_path / "data.h5", BASES["complete-shape"])
    with pytest.raises(UserError, match="--keep-points"):
        spectral_ssl.pretrain(maps, recipe=recipe, epochs=1, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_another_method_has_its_own_learning_rates(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    maps = write_data(tmp_path / "data.h5", BASES["denoise"])
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        '[run]\nmethod = "cgml"\ntask = "denoise"\n[method.networks]\nwidth = 8\ncode = 16\n'
        "[method.optimisation]\nlearning_rate = 0.5\nlatent_learning_rate = 0.25\n"
    )
    for method, rate in (("cgml", 0.5), ("pix2pix", 2e-4)):
        run = spectral_ssl.pretrain(maps, recipe=str(recipe), method=method, epochs=0, out=tmp_path / method)
        values = {bare_key(key): value for key, value in flatten(asdict(run.plan.method_config)).items()}
        assert (values["width"], values["learning_rate"]) == (8, rate)
        said = capsys.readouterr().err
        assert ("pix2pix has its own learning_rate in place of the recipe's" in said) == (method == "pix2pix")
        assert ("pix2pix has no" in said and "latent_learning_rate" in said) == (method == "pix2pix")
