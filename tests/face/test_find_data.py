"""A data set that is probed by its name is prepared with the run's own basis, all of it."""

from dataclasses import replace
from pathlib import Path

import pytest
import trimesh

from data_prep.basis import Basis, harmonics_basis, radial_basis, zernike_basis
from spectral_ssl.ground.workspace import Workspace
from spectral_ssl.planning.find_data import options_for_basis
from spectral_ssl.planning.prep_plan import prepare_dataset


@pytest.mark.parametrize(
    "basis",
    [
        zernike_basis(5, points=64, seed=3),
        zernike_basis(5, 2, points=64),
        replace(zernike_basis(4, points=64), sampling="farthest", centre="area", reach=0.9),
        replace(zernike_basis(4, points=64), sampling="quadrature"),
        replace(zernike_basis(4, points=64), sampling="solid"),
        harmonics_basis(4, 3, points=64),
        radial_basis(7),
    ],
)
def test_the_whole_basis_is_passed_on(tmp_path: Path, basis: Basis) -> None:
    if basis.kind == "radial":
        pytest.importorskip("embreex.rtcore_scene", reason="the embree extra is not installed")
    (tmp_path / "raw").mkdir()
    for number in range(2):
        trimesh.creation.box((1, 1, 1 + number)).export(tmp_path / "raw" / f"{number}.off")
    maps = prepare_dataset(options_for_basis(f"folder:{tmp_path / 'raw'}", basis, Workspace(tmp_path / "ws")))
    assert maps.basis == basis
    assert maps.path.name.startswith(f"raw-{basis.kind}-degree{basis.degree}")
