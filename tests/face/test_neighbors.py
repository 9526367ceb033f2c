"""Neighbours of objects of the data, and of files that the toolkit has never seen."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import trimesh
from conftest import write_random_maps
from embedded_parts import write_boxes_and_balls
from PIL import Image
from typer.testing import CliRunner

import spectral_ssl
from data_prep.basis import pixel_basis
from data_prep.pipeline.single_file import image_file_to_map
from downstream.features.nearest import find_nearest
from pretext.runs.trained_run import TrainedRun
from spectral_ssl.cli.app import app
from spectral_ssl.ground.errors import UserError

TINY = ("steps=2", "width=4", "code=8", "hidden=8", "epochs=1")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Boxes and balls of the user's own, prepared, and a run on them."""
    folder = tmp_path_factory.mktemp("neighbors")
    write_boxes_and_balls(folder / "raw", 6)
    trimesh.creation.torus(1, 0.3).export(folder / "raw" / "ring.obj")
    maps = spectral_ssl.prep(f"folder:{folder / 'raw'}", degree=6, points=256, workspace=folder / "ws")
    # untrained networks of this kind tell a box from a ball already
    settings = ("grid=10", "width=8", "code=16", "projector=16", "epochs=0")
    spectral_ssl.pretrain(maps, method="joint-embedding", settings=settings, workspace=folder / "ws")
    return folder


def test_an_object_of_the_data_is_not_its_own_neighbour(home: Path) -> None:
    found = spectral_ssl.neighbors("boxes/2.obj", workspace=home / "ws", count=5)
    assert found["known"]
    ids = [answer["id"] for answer in found["answers"]]
    assert "boxes/2.obj" not in ids
    assert [answer["class"] for answer in found["answers"]] == 5 * ["boxes"]  # all of them before the first ball
    assert found["measure"] == "cosine similarity"
    similarities = [answer["cosine similarity"] for answer in found["answers"]]
    assert similarities == sorted(similarities, reverse=True)
    assert not any("distance" in name for answer in found["answers"] for name in answer)
    assert Path(found["picture"]).read_bytes().startswith(b"\x89PNG")


def test_a_file_never_seen_is_prepared_on_the_runs_basis(home: Path) -> None:
    # a copy of the same name elsewhere: the very same map, at no distance
    shutil.copy(home / "raw" / "ring.obj", home / "ring.obj")
    by_file = spectral_ssl.neighbors(home / "ring.obj", workspace=home / "ws", count=13, metric="l2")
    assert not by_file["known"]
    first, *others = by_file["answers"]
    assert (first["id"], first["class"]) == ("ring.obj", None)
    assert first["l2 distance"] < 1e-5
    by_id = spectral_ssl.neighbors("ring.obj", workspace=home / "ws", count=13, metric="l2")
    assert [answer["id"] for answer in by_id["answers"]] == [answer["id"] for answer in others]
    assert len(others) == 12
    np.savetxt(home / "scan.xyz", trimesh.load(home / "raw" / "boxes" / "0.obj").sample(2000, seed=0))
    found = spectral_ssl.neighbors(home / "scan.xyz", workspace=home / "ws", count=1)
    assert found["answers"][0]["class"] == "boxes"


def test_the_second_question_uses_the_features_of_the_first(home: Path) -> None:
    spectral_ssl.neighbors("balls/0.obj", workspace=home / "ws")
    (features,) = (home / "ws" / "cache").glob("features-*.npy")
    before = features.stat().st_mtime_ns
    found = spectral_ssl.neighbors("balls/1.obj", workspace=home / "ws")
    assert features.stat().st_mtime_ns == before
    features.write_bytes(features.read_bytes()[:200])  # damaged: made again
    assert spectral_ssl.neighbors("balls/1.obj", workspace=home / "ws") == found
    assert features.stat().st_mtime_ns != before


def test_the_command_prints_a_table_or_json(home: Path) -> None:
    arguments = ["neighbors", "boxes/0.obj", "--count", "2", "--workspace", str(home / "ws")]
    shown = CliRunner().invoke(app, arguments).stdout
    assert "boxes/" in shown
    assert "cosine similarity" in shown
    assert "distance" not in shown
    assert "l2 distance" in CliRunner().invoke(app, [*arguments, "--metric", "l2"]).stdout
    assert "image: " in shown
    found = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)
    assert [answer["rank"] for answer in found["answers"]] == [1, 2]


@pytest.mark.parametrize(
    ("query", "options", "words"),
    [
        ("boxes/9.obj", {}, "did you mean 'boxes/"),
        ("0.obj", {}, "did you mean '[a-z]+/0.obj'"),
        ("boxes/0.obj", {"metric": "cosinus"}, "did you mean 'cosine'"),
        ("boxes/0.obj", {"split": "test"}, "no samples in split .*: train$"),
        ("boxes/0.obj", {"layer": "stage9"}, "unknown layer"),
        ("boxes/0.obj", {"count": 0}, "out of range"),
        ("note.md", {}, "not a file of a shape"),
        ("empty.obj", {}, "cannot be used"),
        ("balls-0.obj", {"up": "up"}, "unknown up axis"),
    ],
)
def test_mistakes_are_said(home: Path, query: str, options: dict[str, object], words: str) -> None:
    (home / "note.md").write_text("text")
    (home / "empty.obj").write_text("")
    trimesh.creation.icosphere(2).export(home / "balls-0.obj")
    query = str(home / query) if (home / query).exists() else query
    with pytest.raises(UserError, match=words):
        spectral_ssl.neighbors(query, workspace=home / "ws", **options)


def test_an_image_is_brought_to_the_runs_size(tmp_path: Path) -> None:
    maps = write_random_maps(tmp_path / "images.h5", pixel_basis(1, 16, 16))
    run: TrainedRun = spectral_ssl.pretrain(maps, method="cgml", settings=TINY, out=tmp_path / "run")
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    values = image_file_to_map(tmp_path / "photo.png", maps.basis)
    assert values.shape == (1, 16, 16)
    assert values.min() >= -1
    assert values.max() <= 1
    found = spectral_ssl.neighbors(tmp_path / "photo.png", run=run, workspace=tmp_path / "ws", out=tmp_path / "a.png")
    assert len(found["answers"]) == 8
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(UserError, match="exists already"):
        spectral_ssl.neighbors("object-1", run=run, workspace=tmp_path / "ws", out=tmp_path / "a.png")
    trimesh.creation.box().export(tmp_path / "box.obj")
    with pytest.raises(UserError, match="unreadable image"):
        spectral_ssl.neighbors(tmp_path / "box.obj", run=run, workspace=tmp_path / "ws")


def test_few_objects_are_compared_as_they_are() -> None:
    items = np.array([[3, 4], [4, 3], [-3, -4]], np.float32)
    rows, similarities = find_nearest(np.array([3, 4], np.float32), items, 3)
    assert rows.tolist() == [0, 1, 2]
    np.testing.assert_allclose(similarities, [1, 0.96, -1], atol=1e-6)
    assert find_nearest(items[0], items[1:2], 1)[1].round(2).tolist() == [0.96]
    with pytest.raises(UserError, match="no samples to search"):
        find_nearest(items[0], items[:0], 1)


def test_nearest_is_what_all_distances_say() -> None:
    generator = np.random.default_rng(1)
    items = generator.normal(size=(50, 7)).astype(np.float32) * generator.uniform(0.1, 9, 7).astype(np.float32) + 3
    query = generator.normal(size=7).astype(np.float32)
    rows, distances = find_nearest(query, items, 5, "l2")
    every = np.array([np.sqrt(np.square(item - query).sum()) for item in items])
    assert rows.tolist() == every.argsort()[:5].tolist()
    np.testing.assert_allclose(distances, np.sort(every)[:5], rtol=1e-5)
    rows, similarities = find_nearest(query, items, 50, "cosine")
    standard, asked = ((part - items.mean(0)) / items.std(0) for part in (items, query))
    cosines = np.array([item @ asked / np.linalg.norm(item) / np.linalg.norm(asked) for item in standard])
    assert rows.tolist() == np.argsort(-cosines).tolist()
    np.testing.assert_allclose(similarities, np.sort(cosines)[::-1], atol=1e-5)
    rows, similarities = find_nearest(items[7], items, 1, "cosine")
    assert (rows.tolist(), round(float(similarities[0]), 6)) == ([7], 1.0)  # itself, as near as can be
