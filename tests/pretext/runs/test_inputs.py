"""What ``TrainedRun.encode`` takes: clouds, meshes, files, lists of these, images; and what it refuses."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import trimesh
from conftest import write_random_maps
from PIL import Image
from untrained_runs import BASES, make_case, make_run

from data_prep.pipeline.single_file import file_to_map
from data_prep.source import Shape
from pretext.runs.inputs import generate_maps
from spectral_ssl.ground.errors import UserError

BASIS = BASES["random"]
GENERATOR = np.random.default_rng(0)
CLOUDS = GENERATOR.normal(size=(5, 100, 3))
BOX = trimesh.creation.box()


def to_maps(objects: Any, **options: Any) -> np.ndarray:
    return np.concatenate([*generate_maps(objects, BASIS, **options)])


def test_each_kind_of_object_has_its_map(tmp_path: Path) -> None:
    mesh = Shape(np.asarray(BOX.vertices), np.asarray(BOX.faces))
    BOX.export(tmp_path / "box.stl")
    maps = to_maps([CLOUDS[0], CLOUDS[1][:64], mesh, BOX, tmp_path / "box.stl", CLOUDS[0].tolist()])
    assert maps.shape == (6, *BASIS.shape)
    assert np.array_equal(maps[0], maps[5])
    assert np.array_equal(maps[2], maps[3])
    assert np.array_equal(maps[4], file_to_map(tmp_path / "box.stl", BASIS).values)  # as `prep` makes it
    assert not np.array_equal(maps[4], maps[2])
    assert np.corrcoef(maps[4].ravel(), maps[2].ravel())[0, 1] > 0.5  # the same box, other points
    for same in (CLOUDS[0].astype(np.float64), torch.from_numpy(CLOUDS[0]), Shape(CLOUDS[0]), [CLOUDS[0]], CLOUDS[:1]):
        assert np.array_equal(to_maps(same), maps[:1])
    scene = trimesh.Scene([BOX, trimesh.creation.icosphere(subdivisions=1)])
    assert to_maps([scene, trimesh.PointCloud(CLOUDS[0])]).shape == (2, *BASIS.shape)
    assert np.array_equal(to_maps(maps[:2]), maps[:2])
    assert np.array_equal(to_maps([maps[1], CLOUDS[0]]), maps[[1, 0]])


def test_a_map_depends_on_the_object_and_the_seed_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    maps = to_maps(CLOUDS)
    monkeypatch.setattr("pretext.runs.inputs.OBJECTS_AT_ONCE", 2)
    assert np.array_equal(to_maps(CLOUDS[::-1]), maps[::-1])
    assert np.array_equal(to_maps(CLOUDS, seed=BASIS.seed), maps)
    other = to_maps(CLOUDS, seed=7)
    assert not np.array_equal(other, maps)  # other points of each cloud
    turned = CLOUDS[0][:, [0, 2, 1]] * [1, 1, -1]  # +y up
    assert np.abs(to_maps(CLOUDS[0][:64]) - to_maps(turned[:64], up="+y")).max() < 1e-5


def test_features_of_objects_are_those_of_their_maps() -> None:
    run = make_run()
    expected = run.encode(to_maps(CLOUDS))
    assert np.array_equal(run.encode(CLOUDS), expected)
    assert np.array_equal(run.encode([*CLOUDS]), expected)
    assert np.abs(run.encode(CLOUDS[2]) - expected[2]).max() < 1e-5


def test_images_of_files_and_arrays(tmp_path: Path) -> None:
    run = make_case("joint-embedding, pictures")
    pixels = GENERATOR.integers(0, 256, (2, 1, 16, 16), dtype=np.uint8)
    Image.fromarray(pixels[0, 0]).save(tmp_path / "one.png")
    expected = run.encode(pixels.astype(np.float32) / 127.5 - 1)
    assert np.allclose(run.encode(pixels), expected, atol=1e-5)
    assert np.allclose(run.encode([tmp_path / "one.png", pixels[1]]), expected, atol=1e-5)
    assert run.encode(np.zeros((1, 20, 30), np.uint8)).shape == (1, expected.shape[1])
    for wrong, message in ((CLOUDS, "shape of the images or maps"), ([Shape(CLOUDS[0])], "encodes images")):
        with pytest.raises(UserError, match=message):
            run.encode(wrong)
    with pytest.raises(UserError, match="no up axis"):
        run.encode(pixels, up="+y")


REFUSED: dict[str, tuple[Any, str]] = {
    "no objects": ([], "an empty list"),
    "an empty array": (CLOUDS[:0], "shape of the clouds or maps"),
    "maps of another basis": (np.zeros((2, 3, 4, 4)), "shape of the clouds or maps"),
    "a cloud in the plane": (np.zeros((9, 2)), "shape of the clouds or maps"),
    "three points": ([CLOUDS[0], CLOUDS[1][:3]], r"item 1 of the list \(a cloud of 3 points"),
    "not finite": ([CLOUDS[0], np.full((9, 3), np.nan)], "item 1 of the list"),
    "one place": (np.ones((9, 3)), "the object .*coincide"),
    "no object": ([CLOUDS[0], None], "item 1 of the list"),
    "a text in a list": ([CLOUDS[0], "none.stl"], "no such file.*none.stl"),
    "a mesh without area": (Shape(np.zeros((3, 3)), np.array([[0, 1, 2]])), "zero area"),
    "faces out of range": ([CLOUDS[0], Shape(CLOUDS[0], np.array([[0, 1, 100]]))], "item 1 .*vertex 100.* 0 to 99"),
    "negative faces": (Shape(CLOUDS[0], np.array([[0, 1, -1]])), "vertex -1"),
    "faces of four": (Shape(CLOUDS[0], np.array([[0, 1, 2, 3]])), "faces of shape"),
    "faces of float": (Shape(CLOUDS[0], np.array([[0, 1, 2.5]])), "whole numbers"),
    "a shape in the plane": (Shape(CLOUDS[0][:, :2]), r"points of shape \(100, 2\)"),
    "NaN in a map": (np.stack([np.zeros(BASIS.shape), np.full(BASIS.shape, np.nan)]), "item 1 of the list .*NaN"),
    "NaN in a map of a list": ([CLOUDS[0], np.full(BASIS.shape, np.nan)], "item 1 of the list .*NaN"),
    "a path that is too long": ("x" * 5000 + ".off", "no such file"),
    "no value of a tensor": (torch.empty(9, 3, device="meta"), "not a tensor of numbers"),
    "an array of nothing": (np.array(None), "the object"),
    "an array of arrays": (np.array([CLOUDS[0], None], object), "item 1 of the list"),
    "a file of another kind": (Path(__file__), "not a file of a shape"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_an_error_names_the_object(what: str) -> None:
    objects, message = REFUSED[what]
    with pytest.raises(UserError, match=message) as raised:
        to_maps(objects)
    assert "\n" not in str(raised.value)


def test_unknown_options_are_refused() -> None:
    with pytest.raises(UserError, match="unknown up axis"):
        to_maps(CLOUDS, up="z")
    with pytest.raises(UserError, match="up axis of the wrong type"):
        to_maps(CLOUDS, up=3)
    for seed in (-1, 1.5, "a", True):
        with pytest.raises(UserError, match="not a seed"):
            to_maps(CLOUDS, seed=seed)
    assert np.array_equal(to_maps(CLOUDS, seed=np.int64(7)), to_maps(CLOUDS, seed=7))


def test_maps_are_not_turned(tmp_path: Path) -> None:
    run, maps = make_run(), to_maps(CLOUDS)
    stored = write_random_maps(tmp_path / "random.h5", BASIS)
    for objects in (maps, [maps[0], CLOUDS[0]], stored):
        with pytest.raises(UserError, match=r"\+z up"):
            run.encode(objects, up="+y")
    assert np.array_equal(run.encode(maps, up="+z"), run.encode(maps))


def test_other_types_of_the_same_objects(tmp_path: Path) -> None:
    BOX.export(tmp_path / "box.stl")
    path, faces = str(tmp_path / "box.stl"), np.asarray(BOX.faces)
    assert np.array_equal(to_maps(np.array([path, path])), to_maps([path, path]))
    assert np.array_equal(to_maps(np.array([path, path], object)), to_maps([path, path]))
    half = torch.from_numpy(CLOUDS[0]).bfloat16()
    expected = to_maps(half.float())
    assert np.array_equal(to_maps(half), expected)
    assert np.array_equal(to_maps([half, half])[:1], expected)
    assert np.array_equal(to_maps(half.to_sparse()), expected)
    assert np.array_equal(to_maps(CLOUDS.astype(object)), to_maps(CLOUDS))
    assert np.array_equal(to_maps([CLOUDS[0].astype(object)]), to_maps(CLOUDS[0]))
    mesh = Shape(np.asarray(BOX.vertices), faces)
    assert np.array_equal(to_maps(Shape(BOX.vertices.tolist(), faces.tolist())), to_maps(mesh))
