import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import trimesh

import spectral_ssl
from data_prep.basis import Basis, zernike_basis
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
