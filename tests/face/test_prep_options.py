import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import trimesh
from command_line import call

import spectral_ssl
from data_prep.basis import Basis, zernike_basis
from data_prep.maps.reader import MapFile
from data_prep.pipeline.single_file import file_to_map
from spectral_ssl.ground.errors import UserError


@pytest.fixture
def meshes(tmp_path: Path) -> str:
    for name, sides in (("a", (1, 1, 2)), ("b", (2, 2, 1))):
        (tmp_path / "raw" / name).mkdir(parents=True)
        for number in range(2):
            box = trimesh.creation.box(np.array(sides) + 0.1 * number)
            box.export(tmp_path / "raw" / name / f"{number}.off")
    return f"folder:{tmp_path / 'raw'}"


@pytest.mark.parametrize("sampling", ["area", "farthest", "quadrature", "solid"])
def test_ways_of_sampling(meshes: str, sampling: str, tmp_path: Path) -> None:
    maps = spectral_ssl.prep(meshes, out=tmp_path / "a.h5", degree=6, points=128, sampling=sampling, workers=0)
    assert len(maps) == 4
    assert maps.basis.sampling == sampling
    assert spectral_ssl.verify(maps.path) == []
    same_meaning = maps.basis.find_conflicts(zernike_basis(6)) == []
    assert same_meaning == (sampling != "solid")


def test_centre_and_reach_are_recorded(meshes: str, tmp_path: Path) -> None:
    maps = spectral_ssl.prep(meshes, out=tmp_path / "a.h5", degree=6, centre="area", reach=0.9, workers=0)
    assert (maps.basis.centre, maps.basis.reach) == ("area", 0.9)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"sampling": "x"}, "unknown sampling"),
        ({"centre": "x"}, "unknown centre"),
        ({"reach": 0.1}, "reach out of range"),
        ({"basis": "sh", "sphere": "x"}, "unknown sphere"),
        ({"basis": "sh", "sampling": "quadrature"}, "without Zernike"),
        ({"sphere": "radial"}, "take --basis sh alone"),
        ({"basis": "sh", "sphere": "radial", "radial": 3}, "take --basis sh alone"),
        ({"basis": "sh", "sphere": "radial", "sampling": "area"}, "no points are sampled"),
        ({"sampling": "quadrature", "keep_points": True}, "keep-points"),
        ({"sampling": "solid", "reach": 0.9}, "no stray points"),
    ],
)
def test_options_that_make_no_sense(meshes: str, options: dict[str, object], what: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=what):
        spectral_ssl.prep(meshes, out=tmp_path / "a.h5", workers=0, **options)
    assert not (tmp_path / "a.h5").exists()


def test_rays_through_the_verb(meshes: str, tmp_path: Path) -> None:
    pytest.importorskip("embreex.rtcore_scene", reason="the embree extra is not installed")
    maps = spectral_ssl.prep(meshes, out=tmp_path / "a.h5", basis="sh", sphere="radial", workers=0)
    assert maps.basis.kind == "radial"
    assert maps.read().shape == (4, 1, 64, 64)


def test_files_from_before_these_options_still_read() -> None:
    values = asdict(zernike_basis(6))
    for name in ("sampling", "centre", "reach"):
        del values[name]
    assert Basis.from_json(json.dumps(values)) == zernike_basis(6)


def _turned_box(path: Path) -> None:
    """Write a box that is longest along the axis that the file's format has up: y for glTF, z for others."""
    path.parent.mkdir(parents=True, exist_ok=True)
    trimesh.creation.box((1.0, 3.0, 2.0) if path.suffix == ".glb" else (1.0, 2.0, 3.0)).export(path)


def _find_longest_axes(maps: MapFile) -> list[int]:
    return [int(np.ptp(cloud, axis=0).argmax()) for cloud in maps.read_points()]


def test_each_format_has_its_up_axis(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.glb", "b.off", "c.stl"):
        _turned_box(tmp_path / "raw" / name)
    options = {"degree": 4, "points": 256, "workers": 0, "workspace": tmp_path / "ws"}
    plain = spectral_ssl.prep(str(tmp_path / "raw"), **options)
    assert _find_longest_axes(plain) == [1, 2, 2]
    assert "1 .glb files have +y up by specification, 2 others have no rule" in capsys.readouterr().err
    by_format = spectral_ssl.prep(str(tmp_path / "raw"), up="by-format", **options)
    assert _find_longest_axes(by_format) == [2, 2, 2]
    assert "specification" not in capsys.readouterr().err
    assert by_format.fingerprint["up axis of the source"] == "by-format"
    assert by_format.path.name == "raw-zernike-degree4-points256-up-by-format.h5"
    assert spectral_ssl.verify(by_format.path, dataset=str(tmp_path / "raw")) == []
    all_y = spectral_ssl.prep(str(tmp_path / "raw"), up="+y", **options)
    assert _find_longest_axes(all_y)[0] == 2
    for name, axis in (("a.glb", 2), ("b.off", 2)):
        single = file_to_map(tmp_path / "raw" / name, plain.basis, "by-format")
        assert single.cloud is not None
        assert int(np.ptp(single.cloud, axis=0).argmax()) == axis
    np.testing.assert_array_equal(file_to_map(tmp_path / "raw" / "a.glb", plain.basis).values, plain.read()[0])
    (tmp_path / "gltf").mkdir()
    (tmp_path / "raw" / "a.glb").rename(tmp_path / "gltf" / "a.glb")
    spectral_ssl.prep(str(tmp_path / "gltf"), **options)
    assert "1 .glb files have +y up by specification, read as +z: --up +y" in capsys.readouterr().err
    with pytest.raises(UserError, match=r"unknown up axis.*by-format"):
        spectral_ssl.prep(str(tmp_path / "raw"), up="z", **options)


def test_leaks_and_doubts_are_repeated_by_a_dry_run_and_when_nothing_is_left_to_do(tmp_path: Path) -> None:
    for name in ("set/train/a", "set/train/b", "set/test/a", "set/loose"):
        (tmp_path / "raw" / name).parent.mkdir(parents=True, exist_ok=True)
        points = np.random.default_rng(len(name)).normal(size=(40, 3))
        np.save(tmp_path / "raw" / f"{name}.npy", points + name.endswith("b"))
    (tmp_path / "raw" / "top.npy").write_bytes((tmp_path / "raw" / "set" / "loose.npy").read_bytes())
    (tmp_path / "raw" / "set" / "loose.npy").unlink()
    (tmp_path / "raw" / "set" / "test" / "c.npy").write_bytes((tmp_path / "raw/set/train/b.npy").read_bytes())
    command = ("prep", "raw", "--degree", "4", "--points", "32", "--workers", "0")
    for more, words in ((("--dry-run",), ""), ((), ""), ((), "nothing to do: "), (("--dry-run",), "")):
        done = call(*command, *more, folder=tmp_path, workspace=tmp_path / "ws")
        assert done.returncode == 0, done.stderr
        assert words in done.stderr
        assert done.stderr.count("the splits leak: 1 of test are also in train, such as set/test/c.npy:") == 1
        assert done.stderr.count("unsure: 1 object next to set/: read as train, without a class") == 1


def test_a_folder_is_named_by_its_path(meshes: str, tmp_path: Path) -> None:
    options = ("--degree", "4", "--points", "32", "--workers", "0")
    done = call("prep", "raw", *options, folder=tmp_path, workspace=tmp_path / "ws")
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert lines[:4] == ["prep raw", "4 shapes in 2 classes", "splits: 4 train", "classes: a 2, b 2"]
    assert "raw-zernike-degree4-points32.h5: 4 maps (4 train) of shape (3, 5, 5), failed objects: 0" in done.stdout
    again = call("prep", "--dataset", "raw", *options, folder=tmp_path, workspace=tmp_path / "ws")
    assert again.returncode == 0
    assert "nothing to do: " in again.stderr
    for words, named in (
        (("raw", "--dataset", "digits"), "two data sets"),
        (("ra",), "did you mean the folder 'raw'"),
        (("raw/a/0.off",), "a single file, not a folder"),
        (("--root", "raw"), "'shapes' is built in"),
        (("folder:raw", "--root", "raw"), "two folders"),
        (("digits", "--split", "none"), "only a folder of your own"),
        (("raw", "--up", "y"), "unknown up axis"),
    ):
        refused = call("prep", *words, folder=tmp_path, workspace=tmp_path / "ws")
        assert refused.returncode == 2
        assert named in refused.stderr.splitlines()[-1]


def test_raw_data_in_place_of_maps_is_named(meshes: str, tmp_path: Path) -> None:
    for data in ("raw", "folder:raw"):
        done = call("pretrain", "--data", data, folder=tmp_path, workspace=tmp_path / "ws")
        assert done.returncode == 2
        assert f"raw data, not a map file: got {data}; prepare it first: spectral-ssl prep {data}" in done.stderr


def test_other_options_have_a_file_of_their_own(meshes: str, tmp_path: Path) -> None:
    common = {"points": 32, "workers": 0, "workspace": tmp_path / "ws"}
    choices = [
        {},
        {"degree": 5},
        {"degree": 5, "seed": 3},
        {"degree": 5, "split": "none"},
        {"degree": 5, "class_level": 0},
    ]
    paths = [spectral_ssl.prep(meshes, **{"degree": 4, **common, **options}).path.name for options in choices]
    assert paths == [
        *("raw-zernike-degree4-points32.h5", "raw-zernike-degree5-points32.h5"),
        *("raw-zernike-degree5-points32-seed3.h5", "raw-zernike-degree5-points32-split-none.h5"),
        "raw-zernike-degree5-points32-class-level0.h5",
    ]
    assert len(list((tmp_path / "ws" / "maps").iterdir())) == len(choices)
    # The raw data is found with the splits and classes of each file.
    for path in paths:
        assert spectral_ssl.verify(tmp_path / "ws" / "maps" / path, dataset=meshes) == []


def test_counts_agree_and_doubts_come_last(tmp_path: Path) -> None:
    for name in ("bus/1.off", "bus/2.off", "car/1.off", "train/1.off"):
        _turned_box(tmp_path / "raw" / name)
    (tmp_path / "raw" / "car" / "2.off").write_text("OFF\n3 1 0\n0 0 0\n")
    (tmp_path / "raw" / "car" / "3.fbx").write_text("words")
    done = call("prep", "raw", "--degree", "4", "--points", "32", folder=tmp_path, workspace=tmp_path / "ws")
    assert "6 shapes in 3 classes" in done.stderr
    assert "prep: 6/6" in done.stderr
    assert "4 maps (4 train) of shape (3, 5, 5), failed objects: 2" in done.stdout
    assert done.stderr.splitlines()[-1] == (
        "unsure: train is read as a class, like bus, car next to it; "
        "is that right? if not, give --split or --class-level"
    )
